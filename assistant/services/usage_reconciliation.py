"""Whether what we recorded is what the provider counted."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, timedelta
from decimal import Decimal

from assistant.domain.ports import ModelStore, UsageLogStore
from assistant.domain.provider_usage import (
    EXACT,
    Difference,
    Figures,
    Measure,
    Reconciliation,
    RecordedDay,
    ReportedUsage,
    UsageOfDay,
    total,
)
from assistant.errors import BadUserInput

MOST_DAYS = 400

# What providers put behind a model's name for one state of it: gpt-4o-2024-08-06, gpt-4-0613,
# claude-haiku-4-5-20251001, claude-3-7-sonnet-latest. Without the rule that it is one of these,
# gpt-4o-mini would be a gpt-4o.
# Source: https://platform.openai.com/docs/models,
# https://docs.claude.com/en/docs/about-claude/models/overview
_SNAPSHOT = re.compile(r"[-@](\d{4}-\d{2}-\d{2}|\d{8}|\d{4}|latest)", re.ASCII)


class UsageReconciliation:
    """Compares a tenant's usage with a file of a provider."""

    def __init__(self, log: UsageLogStore, models: ModelStore) -> None:
        self._log = log
        self._models = models

    async def reconcile(
        self,
        tenant_id: str,
        provider: str,
        reported: ReportedUsage,
        *,
        first_day: date | None = None,
        last_day: date | None = None,
        tolerance_percent: Decimal = Decimal(0),
    ) -> Reconciliation:
        """Compare days of UTC, both ends included; those that the file speaks of where none are said.

        Raises: BadUserInput where nobody says which days, or they are too many, and where neither the
        tenant's catalog nor its usage on these days knows the provider.
        """
        first_day = first_day or reported.first_day
        last_day = last_day or reported.last_day
        if first_day is None or last_day is None:
            raise BadUserInput("The file names no day. Say which with --from and --to.")
        if first_day > last_day:
            raise BadUserInput(
                f"The days to compare begin on {first_day}, after the last of the file, which is "
                f"{last_day}."
                if last_day == reported.last_day
                else f"The days to compare end on {last_day}, before the first of the file, which is "
                f"{first_day}."
            )
        if last_day >= first_day + timedelta(days=MOST_DAYS):
            raise BadUserInput(f"The days to compare must be 1 to {MOST_DAYS}.")
        ours: list[RecordedDay] = []
        day = first_day
        while day <= last_day:
            # A statement for each day: what a month used is not read in one.
            ours += await self._log.used_of_provider(tenant_id, provider, day, reported.operation)
            day += timedelta(days=1)
        if not ours:
            await self._check_provider(tenant_id, provider)
        theirs = [row for row in reported.rows if first_day <= row.day <= last_day]
        names = shared_names([row.model for row in ours], [row.model for row in theirs])
        lines = compare(
            _renamed(ours, names), _renamed(theirs, names), reported.measures, tolerance_percent
        )
        return Reconciliation(
            first_day=first_day,
            last_day=last_day,
            names={name: own for name, own in sorted(names.items()) if name != own},
            lines=lines,
            totals=_totals(lines, reported.measures, tolerance_percent),
            notes=(*reported.notes, *_notes(ours, theirs, reported)),
            doubt=_doubt(lines, reported),
        )

    async def _check_provider(self, tenant_id: str, name: str) -> None:
        known = (await self._models.load(tenant_id)).providers
        if name not in known:
            raise BadUserInput(
                f"There is no such provider, and no usage of one: {name}. "
                f"There are: {', '.join(sorted(known)) or 'none'}."
            )


def shared_names(ours: Iterable[str], theirs: Iterable[str]) -> Mapping[str, str]:
    """What each model is compared as: the name without a date, where we called it without one.

    A provider's file says which state of a model answered; who asked for gpt-4o has asked one of them.
    Then our own requests for that very state are counted with it, since the file cannot tell them apart.
    """
    asked = frozenset(ours)
    names: dict[str, str] = {}
    for name in asked.union(theirs):
        found = _SNAPSHOT.search(name)
        family = name
        while found is not None:
            if found.end() == len(name) and name[: found.start()] in asked:
                family = name[: found.start()]
                break
            found = _SNAPSHOT.search(name, found.start() + 1)
        names[name] = family
    return names


def compare(
    ours: Iterable[UsageOfDay],
    theirs: Iterable[UsageOfDay],
    measures: Sequence[Measure],
    tolerance_percent: Decimal,
) -> tuple[Difference, ...]:
    """A line for each day, model and measure that either of them has, in this order."""
    mine, other = _sums(ours, measures), _sums(theirs, measures)
    nothing = total((), measures)
    return tuple(
        _difference(
            day,
            model,
            measure,
            mine.get((day, model), nothing),
            other.get((day, model), nothing),
            tolerance_percent,
        )
        for day, model in sorted(mine.keys() | other.keys())
        for measure in measures
    )


def _sums(
    rows: Iterable[UsageOfDay], measures: Sequence[Measure]
) -> Mapping[tuple[date, str], Figures]:
    found: dict[tuple[date, str], list[Figures]] = defaultdict(list)
    for row in rows:
        found[row.day, row.model].append(row.figures)
    return {key: total(figures, measures) for key, figures in found.items()}


def _totals(
    lines: Sequence[Difference], measures: Sequence[Measure], tolerance_percent: Decimal
) -> tuple[Difference, ...]:
    mine = total(({line.measure: line.ours} for line in lines), measures)
    other = total(({line.measure: line.theirs} for line in lines), measures)
    return tuple(
        _difference(None, None, measure, mine, other, tolerance_percent) for measure in measures
    )


def _difference(
    day: date | None,
    model: str | None,
    measure: Measure,
    ours: Figures,
    theirs: Figures,
    tolerance_percent: Decimal,
) -> Difference:
    mine, other = ours[measure], theirs[measure]
    off = EXACT.abs(EXACT.subtract(mine, other))
    is_equal = EXACT.multiply(off, Decimal(100)) <= EXACT.multiply(
        tolerance_percent, EXACT.abs(other)
    )
    return Difference(day, model, measure, mine, other, is_equal)


def _renamed(rows: Iterable[UsageOfDay], names: Mapping[str, str]) -> Iterable[UsageOfDay]:
    return (UsageOfDay(names[row.model], row.day, row.figures) for row in rows)


def _doubt(lines: Sequence[Difference], reported: ReportedUsage) -> str | None:
    if reported.is_cut_off:
        return (
            "The file is not whole: its last page says that there is more. Fetch what next_page leads "
            "to, and add it to the file."
        )
    if not lines:
        return "Nothing was compared: neither the file nor our usage has anything on these days."
    return None


def _notes(
    ours: Sequence[RecordedDay], theirs: Sequence[UsageOfDay], reported: ReportedUsage
) -> Iterable[str]:
    if estimated := sum(row.estimated for row in ours):
        yield f"Our attempts whose tokens are estimated, since nobody reported them: {estimated:,}"
    unpriced = sum(row.unpriced for row in ours)
    if unpriced and Measure.COST in reported.measures:
        yield f"Our attempts without a price, which our cost leaves out: {unpriced:,}"
    if left_out := len(reported.rows) - len(theirs):
        yield f"Rows of the file that are of other days, and left out: {left_out:,}"
