"""What a provider says that we used, and what we say: by model and day of UTC."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Context, Decimal
from enum import StrEnum
from typing import TypeAlias

# Sums of money never lose a digit: providers write amounts with 37 decimals.
EXACT = Context(prec=200)


class Measure(StrEnum):
    """What is compared. Cached input tokens are among the input tokens, with us and with others."""

    REQUESTS = "requests"
    INPUT_TOKENS = "input_tokens"
    CACHED_INPUT_TOKENS = "cached_input_tokens"
    OUTPUT_TOKENS = "output_tokens"
    COST = "cost_usd"


Figures: TypeAlias = Mapping[Measure, Decimal]


@dataclass(frozen=True, slots=True)
class UsageOfDay:
    """What one model was used on one day of UTC."""

    model: str
    day: date
    figures: Figures


@dataclass(frozen=True, slots=True)
class RecordedDay(UsageOfDay):
    """The same as we recorded it. Of so many attempts the tokens are estimated, or the price unknown."""

    estimated: int = 0
    unpriced: int = 0


@dataclass(frozen=True, slots=True)
class ReportedUsage:
    """What a file of a provider says.

    ``models`` are called as the provider calls them. ``measures`` is what the file speaks of at all,
    ``operation`` what kind of requests it is about; None: of every kind. ``first_day`` and
    ``last_day`` are None where it names no day. ``is_cut_off``: it says itself that there is more.
    ``notes`` are for who reads the comparison.
    """

    source: str
    measures: tuple[Measure, ...]
    operation: str | None
    rows: tuple[UsageOfDay, ...]
    first_day: date | None
    last_day: date | None
    notes: tuple[str, ...] = ()
    is_cut_off: bool = False


@dataclass(frozen=True, slots=True)
class Difference:
    """One figure, by us and by them. ``day`` and ``model`` are None in a total.

    ``percent`` is of theirs; None where theirs is nothing.
    """

    day: date | None
    model: str | None
    measure: Measure
    ours: Decimal
    theirs: Decimal
    is_equal: bool

    @property
    def difference(self) -> Decimal:
        """Ours less theirs."""
        return EXACT.subtract(self.ours, self.theirs)

    @property
    def percent(self) -> Decimal | None:
        if not self.theirs:
            return None
        share = EXACT.divide(self.difference, EXACT.abs(self.theirs))
        return EXACT.quantize(EXACT.multiply(share, Decimal(100)), Decimal("0.0001"))


@dataclass(frozen=True, slots=True)
class Reconciliation:
    """All figures of a time, ours beside theirs. ``names``: their models that are counted as ours.

    ``doubt`` is why nobody can say whether all of it is equal; None where one can.
    """

    first_day: date
    last_day: date
    names: Mapping[str, str]
    lines: tuple[Difference, ...]
    totals: tuple[Difference, ...]
    notes: tuple[str, ...] = field(default=())
    doubt: str | None = None

    @property
    def is_equal(self) -> bool | None:
        """None where there is a doubt."""
        return None if self.doubt else all(line.is_equal for line in self.lines)


def total(figures: Iterable[Figures], measures: Iterable[Measure]) -> Figures:
    """The exact sum of each measure; 0 where there is nothing to add."""
    sums = dict.fromkeys(measures, Decimal(0))
    for each in figures:
        for measure in sums:
            sums[measure] = EXACT.add(sums[measure], each.get(measure, Decimal(0)))
    return sums
