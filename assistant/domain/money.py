"""Money: exact, in USD, never a float."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from assistant.domain.model import Model

_TOKENS_PER_PRICE = Decimal(1_000_000)


@dataclass(frozen=True, slots=True)
class Money:
    """An exact amount in one currency."""

    amount: Decimal
    currency: str = "USD"


def in_words(amount: Decimal) -> str:
    """An amount of USD as it is told to people: exact, with two digits after the point at least."""
    if not amount:
        return "0 USD"
    digits = f"{amount.normalize():f}"
    whole, _, fraction = digits.partition(".")
    return f"{whole}.{fraction:0<2} USD"


def token_cost(
    prompt_tokens: int,
    completion_tokens: int,
    input_price: Decimal,
    output_price: Decimal,
    *,
    cached_tokens: int = 0,
    cached_input_price: Decimal | None = None,
) -> Decimal:
    """Cost in USD of some tokens at prices in USD per million tokens; exact.

    ``cached_tokens`` are those of the prompt that the provider had in its cache; they cost
    ``cached_input_price`` where there is one.
    """
    if cached_input_price is None or not cached_tokens:
        prompt_cost = prompt_tokens * input_price
    else:
        prompt_cost = (
            prompt_tokens - cached_tokens
        ) * input_price + cached_tokens * cached_input_price
    return (prompt_cost + completion_tokens * output_price) / _TOKENS_PER_PRICE


def cost_of(
    model: Model, prompt_tokens: int, completion_tokens: int, *, cached_tokens: int = 0
) -> Decimal | None:
    """What some tokens of ``model`` cost in USD; None where nobody knows, which is not nothing.

    A price that no token asks for may be unknown: embeddings have no answer.
    """
    if (prompt_tokens and model.input_price is None) or (
        completion_tokens and model.output_price is None
    ):
        return None
    return token_cost(
        prompt_tokens,
        completion_tokens,
        model.input_price or Decimal(0),
        model.output_price or Decimal(0),
        cached_tokens=cached_tokens,
        cached_input_price=model.cached_input_price,
    )
