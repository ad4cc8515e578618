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


def token_cost(
    prompt_tokens: int, completion_tokens: int, input_price: Decimal, output_price: Decimal
) -> Decimal:
    """Cost in USD of some tokens at prices in USD per million tokens; exact."""
    return (prompt_tokens * input_price + completion_tokens * output_price) / _TOKENS_PER_PRICE
