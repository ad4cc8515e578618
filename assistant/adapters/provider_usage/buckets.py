"""Stretches of time that usage is given for: each within a day of UTC, none of them twice."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from typing import Any

from assistant.domain.provider_usage import Measure, ReportedUsage, UsageOfDay
from assistant.errors import BadUserInput

_LEAST = timedelta(microseconds=1)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, order=True)
class Bucket:
    """From ``start`` to ``end``, exclusive."""

    start: datetime
    end: datetime

    @property
    def day(self) -> date:
        """Its day of UTC. Raises BadUserInput where it is in two."""
        if self.end <= self.start:
            raise BadUserInput(f"{self} ends before it begins")
        day = self.start.astimezone(UTC).date()
        if (self.end - _LEAST).astimezone(UTC).date() != day:
            raise BadUserInput(
                f"{self} is in more than one day of UTC: fetch it with a bucket of a day or less"
            )
        return day

    def __str__(self) -> str:
        return f"the time from {self.start.isoformat()} to {self.end.isoformat()}"


def moment_of_seconds(seconds: int) -> datetime:
    """Unix time. Raises BadUserInput."""
    try:
        return _EPOCH + timedelta(seconds=seconds)
    except OverflowError:
        raise BadUserInput(f"{seconds} is no time") from None


def check_pages(buckets: Sequence[Bucket]) -> None:
    """Let no time be in two pages. Raises BadUserInput."""
    twice = [bucket for bucket, times in Counter(buckets).items() if times > 1]
    if twice:
        raise BadUserInput(
            f"{min(twice)} is in it {Counter(buckets)[min(twice)]} times, as if pages had been "
            "fetched twice"
        )


def reported(
    source: str,
    measures: tuple[Measure, ...],
    operation: str | None,
    rows: Sequence[UsageOfDay],
    buckets: Iterable[Bucket],
    *,
    is_cut_off: bool = False,
    repeated: int = 0,
) -> ReportedUsage:
    """Put together what a file says.

    Raises: BadUserInput where times overlap: hours and the day that they are in would be counted twice.
    """
    ordered = sorted(set(buckets))
    days = [bucket.day for bucket in ordered]
    for earlier, later in pairwise(ordered):
        if later.start < earlier.end:
            raise BadUserInput(f"{later} is also in {earlier}: hours and days are mixed")
    notes = []
    if repeated:
        notes.append(
            f"Rows of the file that are like another one in everything, and counted: {repeated:,}"
        )
    return ReportedUsage(
        source,
        measures,
        operation,
        tuple(rows),
        days[0] if days else None,
        days[-1] if days else None,
        tuple(notes),
        is_cut_off,
    )


def repetitions(rows: Iterable[Mapping[str, Any]]) -> int:
    """How many rows have been met before, to the last value."""
    times = Counter(repr(sorted(row.items())) for row in rows)
    return sum(count - 1 for count in times.values())
