"""The kinds of values that providers' files have, checked."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, ValidationError

from assistant.errors import BadUserInput

_MOST = 2**63 - 1
_MOST_NAME = 200


def _count(value: Any) -> int:
    """Also of ``59200.0``, as spreadsheets and one provider's table write whole numbers."""
    if isinstance(value, bool):
        raise ValueError("is no count")
    try:
        number = Decimal(value)
    except (InvalidOperation, TypeError, ValueError):
        raise ValueError("is no count") from None
    if not number.is_finite() or not 0 <= number <= _MOST or number != number.to_integral_value():
        raise ValueError(f"is no count from 0 to {_MOST}")
    return int(number)


def _amount(value: Any) -> Decimal:
    """Also what is below 0, as credits are."""
    if isinstance(value, bool):
        raise ValueError("is no amount")
    try:
        number = Decimal(value)
    except (InvalidOperation, TypeError, ValueError):
        raise ValueError("is no amount") from None
    # What is added up without a rounding: 15 digits before the point and 60 after it.
    if not number.is_finite() or abs(number) >= 10**15 or int(number.as_tuple().exponent) < -60:
        raise ValueError("is no amount of money")
    return number


def _name(value: Any) -> Any:
    """Fit to be shown on a terminal."""
    if isinstance(value, str) and (len(value) > _MOST_NAME or not value.isprintable()):
        raise ValueError("is no name")
    return value


Count = Annotated[int, BeforeValidator(_count)]
Amount = Annotated[Decimal, BeforeValidator(_amount)]
Name = Annotated[str, BeforeValidator(_name), Field(min_length=1)]


def refusal(error: ValidationError, where: str) -> BadUserInput:
    """What is wrong, in one line; what the value is, is left out."""
    first = error.errors(include_url=False, include_input=False)[0]
    at = ".".join(str(step) for step in first["loc"])
    reason = first["msg"].removeprefix("Value error, ")
    return BadUserInput(f"{where}: {at}: {reason}")
