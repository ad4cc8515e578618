"""What ``assistant usage`` prints."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any

from assistant.domain.provider_usage import Difference, Measure, Reconciliation, ReportedUsage

_HEAD = ("day", "model", "figure", "ours", "theirs", "difference", "percent")
_IS_NUMBER = (False, False, False, True, True, True, True)


def reconciliation_lines(
    provider: str, reported: ReportedUsage, found: Reconciliation, *, show_all: bool
) -> Iterable[str]:
    """For people: what differs, or all figures, and the sums of all of them."""
    yield (
        f"{provider}, {found.first_day} to {found.last_day} (UTC, both included), beside "
        f"{reported.source}"
    )
    for theirs, ours in found.names.items():
        yield f"{theirs} is counted as {ours}"
    yield ""
    shown = [line for line in found.lines if show_all or not line.is_equal]
    yield from _table([_HEAD, *map(_cells, (*shown, *found.totals))])
    yield ""
    yield from found.notes
    equal = sum(line.is_equal for line in found.lines)
    yield f"{equal:,} of {len(found.lines):,} figures are equal"


def reconciliation_json(
    provider: str, reported: ReportedUsage, found: Reconciliation
) -> dict[str, Any]:
    """For programs: counts are numbers, money and percents are texts with exact digits."""
    return {
        "provider": provider,
        "source": reported.source,
        "firstDay": found.first_day.isoformat(),
        "lastDay": found.last_day.isoformat(),
        "isEqual": found.is_equal,
        "doubt": found.doubt,
        "names": dict(found.names),
        "notes": list(found.notes),
        "lines": [_line_json(line) for line in found.lines],
        "totals": [_line_json(line) for line in found.totals],
    }


def _line_json(line: Difference) -> dict[str, Any]:
    numbers = {"ours": line.ours, "theirs": line.theirs, "difference": line.difference}
    is_money = line.measure is Measure.COST
    return {
        "day": None if line.day is None else line.day.isoformat(),
        "model": line.model,
        "figure": line.measure,
        **{name: _digits(value) if is_money else int(value) for name, value in numbers.items()},
        "percent": None if line.percent is None else _digits(line.percent),
        "isEqual": line.is_equal,
    }


def _cells(line: Difference) -> Sequence[str]:
    is_money = line.measure is Measure.COST

    def shown(value: Decimal, *, sign: str = "") -> str:
        return f"{sign}{_digits(value)}" if is_money else f"{sign}{int(value):,}"

    more = "+" if line.difference > 0 else ""
    return (
        "total" if line.day is None else line.day.isoformat(),
        line.model or "",
        line.measure,
        shown(line.ours),
        shown(line.theirs),
        shown(line.difference, sign=more),
        "" if line.percent is None else f"{more}{_digits(line.percent)} %",
    )


def _digits(value: Decimal) -> str:
    """Exact, and without zeros that say nothing."""
    digits = f"{value:f}"
    if "." in digits:
        digits = digits.rstrip("0").removesuffix(".")
    return "0" if digits == "-0" else digits


def _table(rows: Sequence[Sequence[str]]) -> Iterable[str]:
    widths = [max(len(row[place]) for row in rows) for place in range(len(_HEAD))]
    for row in rows:
        cells = (
            cell.rjust(width) if is_number else cell.ljust(width)
            for cell, width, is_number in zip(row, widths, _IS_NUMBER, strict=True)
        )
        yield "  ".join(cells).rstrip()
