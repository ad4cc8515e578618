"""Money: exact, in USD, never a float."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

_TOKENS_PER_PRICE = Decimal(1_000_000)


@dataclass(frozen=True, slots=True)
class Money:
    """An exact amount in one currency."""

    amount: Decimal
    currency: str = "USD"


def in_words(amount: Decimal) -> str:
    """An amount of USD as it is told to people: exact, with two digits after the point at least."""
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
