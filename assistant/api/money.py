"""Money as clients see it."""

from __future__ import annotations

from decimal import Decimal

import strawberry


@strawberry.type(description="An exact amount of money.")
class Money:
    amount: Decimal = strawberry.field(description="In units of the currency, exact.")
    currency: str = strawberry.field(description="ISO 4217 code; always USD for now.")


def usd(amount: Decimal) -> Money:
    """``amount`` US dollars."""
    return Money(amount=amount, currency="USD")
