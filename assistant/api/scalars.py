"""Custom scalars: what they look like on the wire."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any, NewType

import strawberry
from strawberry.scalars import JSON

BigInt = NewType("BigInt", int)


def datetime_text(value: datetime) -> str:
    """``value`` as a client reads it: UTC, to the millisecond."""
    return value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _parse_datetime(value: object) -> datetime:
    if not isinstance(value, str):
        raise ValueError("DateTime takes an RFC 3339 text, as in 2026-01-31T12:00:00Z.")
    parsed = datetime.fromisoformat(value)
    if parsed.tzinfo is None:
        raise ValueError("DateTime needs a time zone, as in 2026-01-31T12:00:00Z.")
    return parsed.astimezone(UTC)


def _parse_decimal(value: object) -> Decimal:
    # A float has already lost the digits that a Decimal is there to keep.
    if not isinstance(value, str | int) or isinstance(value, bool):
        raise ValueError('Decimal takes a text, as in "1.50".')
    try:
        parsed = Decimal(value)
    except InvalidOperation:
        raise ValueError('Decimal takes a text, as in "1.50".') from None
    if not parsed.is_finite():
        raise ValueError("Decimal must be finite.")
    return parsed


def _parse_big_int(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise ValueError('BigInt takes a text, as in "9007199254740993".')
    return int(value)


SCALARS: dict[object, Any] = {
    datetime: strawberry.scalar(
        name="DateTime",
        description="RFC 3339 timestamp in UTC.",
        specified_by_url="https://scalars.graphql.org/andimarek/date-time.html",
        serialize=datetime_text,
        parse_value=_parse_datetime,
    ),
    JSON: strawberry.scalar(name="JSON", description="Any JSON value."),
    Decimal: strawberry.scalar(
        name="Decimal",
        description='Exact decimal number as a string, as in "1.50", for money. Never a float.',
        serialize=lambda value: format(value, "f"),
        parse_value=_parse_decimal,
    ),
    BigInt: strawberry.scalar(
        name="BigInt",
        description="Integer beyond 32 bits, as a string.",
        serialize=str,
        parse_value=_parse_big_int,
    ),
}
