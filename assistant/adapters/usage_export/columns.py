"""What an exported row consists of, in this order, in every format."""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import UTC, datetime
from enum import StrEnum
from operator import attrgetter
from typing import Any

from assistant.domain.usage_log import UsageRow


class ColumnKind(StrEnum):
    """What a column holds. Money is in USD."""

    TEXT = "text"
    WHOLE = "whole number"
    MONEY = "money"
    TRUTH = "truth"
    TIME = "time"


@dataclass(frozen=True, slots=True)
class Column:
    """A column: its name in files, where its values come from, and what they are."""

    name: str
    field: str
    kind: ColumnKind


_KINDS = {
    "int": ColumnKind.WHOLE,
    "Decimal": ColumnKind.MONEY,
    "bool": ColumnKind.TRUTH,
    "datetime": ColumnKind.TIME,
}

COLUMNS = tuple(
    Column(
        f"{field.name}_usd" if kind is ColumnKind.MONEY else field.name,
        field.name,
        kind,
    )
    for field in fields(UsageRow)
    for kind in [_KINDS.get(str(field.type).removesuffix(" | None"), ColumnKind.TEXT)]
)

values_of = attrgetter(*(column.field for column in COLUMNS))
"""A row's values in the order of ``COLUMNS``, as Python has them."""


def in_digits(value: Any, kind: ColumnKind) -> Any:
    """A value as text formats have it: money and times as text, exact; identifiers as text."""
    if value is None or kind is ColumnKind.WHOLE or kind is ColumnKind.TRUTH:
        return value
    if kind is ColumnKind.MONEY:
        return f"{value:f}"
    if kind is ColumnKind.TIME:
        return rfc_3339(value)
    return str(value)


def rfc_3339(moment: datetime) -> str:
    """As in ``2026-11-01T09:30:00.123000Z``: always in UTC, always to the microsecond."""
    return f"{moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec='microseconds')}Z"
