"""What the custom scalars look like on the wire, and what they take from it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from graphql import GraphQLScalarType

from assistant.api.schema import create_schema

TYPES: dict[str, Any] = {
    name: type_
    for name, type_ in create_schema()._schema.type_map.items()
    if isinstance(type_, GraphQLScalarType)
}


@pytest.mark.parametrize(
    ("scalar", "value", "wire"),
    [
        ("DateTime", datetime(2026, 1, 31, 12, 0, tzinfo=UTC), "2026-01-31T12:00:00.000Z"),
        (
            "DateTime",
            datetime(2026, 1, 1, 1, 30, 0, 123_999, tzinfo=timezone(timedelta(hours=2))),
            "2025-12-31T23:30:00.123Z",
        ),
        ("Decimal", Decimal("0.0000000001"), "0.0000000001"),
        ("Decimal", Decimal("1E+3"), "1000"),
        ("Decimal", Decimal("12345678901234567890.123456789"), "12345678901234567890.123456789"),
        ("BigInt", 2**63, "9223372036854775808"),
        ("BigInt", 0, "0"),
    ],
)
def test_a_value_leaves_in_the_form_that_its_description_promises(
    scalar: str, value: object, wire: str
) -> None:
    assert TYPES[scalar].coerce_output_value(value) == wire


@pytest.mark.parametrize(
    ("scalar", "wire", "value"),
    [
        ("DateTime", "2026-01-31T12:00:00Z", datetime(2026, 1, 31, 12, tzinfo=UTC)),
        ("DateTime", "2026-01-31T14:00:00+02:00", datetime(2026, 1, 31, 12, tzinfo=UTC)),
        ("Decimal", "0.10", Decimal("0.10")),
        ("Decimal", 3, Decimal(3)),
        ("BigInt", "9007199254740993", 9_007_199_254_740_993),
    ],
)
def test_what_a_client_sends_keeps_every_digit(scalar: str, wire: object, value: object) -> None:
    assert TYPES[scalar].coerce_input_value(wire) == value


@pytest.mark.parametrize(
    ("scalar", "wire"),
    [
        ("DateTime", "2026-01-31T12:00:00"),
        ("DateTime", "yesterday"),
        ("DateTime", 1_770_000_000),
        ("Decimal", 0.1),
        ("Decimal", True),
        ("Decimal", "NaN"),
        ("Decimal", "Infinity"),
        ("Decimal", "a lot"),
        ("BigInt", 1.5),
        ("BigInt", False),
        ("BigInt", "1.5"),
    ],
)
def test_what_would_lose_something_is_refused(scalar: str, wire: object) -> None:
    with pytest.raises(ValueError):
        TYPES[scalar].coerce_input_value(wire)
