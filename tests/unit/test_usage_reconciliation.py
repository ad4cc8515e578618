"""Our usage beside a provider's: which figures are compared, and what is equal."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal

import pytest

from assistant.domain.provider_usage import (
    Difference,
    Measure,
    RecordedDay,
    ReportedUsage,
    UsageOfDay,
)
from assistant.domain.usage import UsageWindow
from assistant.domain.usage_log import UsageRow
from assistant.errors import BadUserInput
from assistant.services.usage_reconciliation import (
    MOST_DAYS,
    UsageReconciliation,
    compare,
    shared_names,
)
from assistant.usage_output import reconciliation_json, reconciliation_lines
from tests.unit.fakes import FakeModelStore, catalog, model

CATALOG = FakeModelStore(catalog(model("openai/gpt-4o")))
FIRST, SECOND, THIRD = (date(2026, 11, day) for day in (1, 2, 3))
REQUESTS, COST = Measure.REQUESTS, Measure.COST


class RecordedUsage:
    """The UsageLogStore port, of days that are known beforehand."""

    def __init__(self, *days: RecordedDay) -> None:
        self._days = days
        self.asked: list[tuple[str, str, date, str | None]] = []

    async def used_of_provider(
        self, tenant_id: str, provider: str, day: date, operation: str | None
    ) -> Sequence[RecordedDay]:
        self.asked.append((tenant_id, provider, day, operation))
        return [each for each in self._days if each.day == day]

    async def pages(
        self, tenant_id: str, window: UsageWindow, *, of_attempts: bool | None = None
    ) -> AsyncGenerator[Sequence[UsageRow], None]:
        raise AssertionError("a comparison reads no rows")
        yield []


def ours(model: str, day: date, requests: int, cost: str = "0", **counts: int) -> RecordedDay:
    return RecordedDay(model, day, {REQUESTS: Decimal(requests), COST: Decimal(cost)}, **counts)


def theirs(model: str, day: date, requests: int, cost: str = "0") -> UsageOfDay:
    return UsageOfDay(model, day, {REQUESTS: Decimal(requests), COST: Decimal(cost)})


def reported(*rows: UsageOfDay, measures: tuple[Measure, ...] = (REQUESTS,)) -> ReportedUsage:
    days = [row.day for row in rows]
    return ReportedUsage(
        "a file", measures, "chat", rows, min(days, default=None), max(days, default=None)
    )


def test_states_of_a_model_are_counted_as_the_model_that_was_asked_for() -> None:
    names = shared_names(
        ["gpt-4o", "gpt-4o-mini-2024-07-18", "claude-haiku-4-5", "gpt-3.5-turbo"],
        [
            "gpt-4o-2024-08-06",
            "gpt-4o-2024-05-13",
            "gpt-4o-mini-2024-07-18",
            "gpt-4o-audio-preview-2024-12-17",
            "gpt-4-0613",
            "gpt-3.5-turbo-0125",
            "claude-haiku-4-5-20251001",
            "claude-haiku-4-5@20251001",
            "claude-haiku-4-5-latest",
            "ft:gpt-4o-2024-08-06:acme::abc",
        ],
    )
    assert {theirs: own for theirs, own in names.items() if theirs != own} == {
        "gpt-4o-2024-08-06": "gpt-4o",
        "gpt-4o-2024-05-13": "gpt-4o",
        "gpt-3.5-turbo-0125": "gpt-3.5-turbo",
        "claude-haiku-4-5-20251001": "claude-haiku-4-5",
        "claude-haiku-4-5@20251001": "claude-haiku-4-5",
        "claude-haiku-4-5-latest": "claude-haiku-4-5",
    }


def test_a_state_that_we_name_ourselves_joins_the_model_only_where_we_ask_for_that_too() -> None:
    dated = "gpt-4o-2024-08-06"
    assert shared_names([dated], [dated]) == {dated: dated}
    assert shared_names(["gpt-4o", dated], [dated]) == {"gpt-4o": "gpt-4o", dated: "gpt-4o"}


def test_what_only_one_side_has_is_beside_nothing() -> None:
    lines = compare(
        [ours("a", FIRST, 2), ours("a", FIRST, 1)],
        [theirs("b", SECOND, 4)],
        (REQUESTS,),
        Decimal(0),
    )
    assert lines == (
        Difference(FIRST, "a", REQUESTS, Decimal(3), Decimal(0), False),
        Difference(SECOND, "b", REQUESTS, Decimal(0), Decimal(4), False),
    )
    assert [(line.difference, line.percent) for line in lines] == [(3, None), (-4, -100)]


def test_only_figures_that_the_file_has_are_compared() -> None:
    lines = compare([ours("a", FIRST, 2, "5")], [theirs("a", FIRST, 2)], (REQUESTS,), Decimal(0))
    assert [(line.measure, line.is_equal) for line in lines] == [(REQUESTS, True)]


@pytest.mark.parametrize(
    ("mine", "other", "tolerance", "is_equal"),
    [
        ("0.1", "0.1000", "0", True),
        ("0.1", "0.1" + "0" * 39 + "1", "0", False),
        (f"{10**14}.{'0' * 37}1", f"{10**14}", "0", False),
        ("101", "100", "1", True),
        ("101.0000001", "100", "1", False),
        ("99", "100", "1", True),
        ("0.1", "0", "100", False),
        ("-1", "-1", "0", True),
    ],
)
def test_a_figure_is_equal_to_the_last_digit_or_within_what_is_tolerated(
    mine: str, other: str, tolerance: str, is_equal: bool
) -> None:
    (line,) = compare(
        [ours("a", FIRST, 1, mine)], [theirs("a", FIRST, 1, other)], (COST,), Decimal(tolerance)
    )
    assert line.is_equal is is_equal


async def test_the_days_of_the_file_are_compared_one_after_the_other() -> None:
    log = RecordedUsage(ours("a", FIRST, 1), ours("a", SECOND, 1), ours("a", THIRD, 1))

    found = await UsageReconciliation(log, CATALOG).reconcile(
        "acme", "openai", reported(theirs("a", FIRST, 1), theirs("a", THIRD, 1))
    )

    assert log.asked == [("acme", "openai", day, "chat") for day in (FIRST, SECOND, THIRD)]
    assert [(line.day, line.is_equal) for line in found.lines] == [
        (FIRST, True),
        (SECOND, False),  # the file speaks of the days around it, and of nothing on it
        (THIRD, True),
    ]
    assert [(line.ours, line.theirs) for line in found.totals] == [(3, 2)]
    assert not found.is_equal


async def test_what_is_equal_in_sum_but_not_by_day_is_not_equal() -> None:
    log = RecordedUsage(ours("a", FIRST, 1), ours("a", SECOND, 2))
    file = reported(theirs("a", FIRST, 2), theirs("a", SECOND, 1))

    found = await UsageReconciliation(log, CATALOG).reconcile("acme", "openai", file)

    assert [line.is_equal for line in found.totals] == [True]
    assert not found.is_equal


async def test_days_that_were_not_asked_for_are_left_out_with_a_word() -> None:
    log = RecordedUsage(ours("a", SECOND, 1))

    found = await UsageReconciliation(log, CATALOG).reconcile(
        "acme",
        "openai",
        reported(theirs("a", FIRST, 7), theirs("a", SECOND, 1)),
        first_day=SECOND,
        last_day=SECOND,
    )

    assert found.is_equal
    assert found.notes == ("Rows of the file that are of other days, and left out: 1",)


async def test_what_we_estimated_or_could_not_price_is_said() -> None:
    log = RecordedUsage(ours("a", FIRST, 2_000, estimated=1_500, unpriced=3))
    file = reported(theirs("a", FIRST, 2_000), measures=(REQUESTS, COST))

    found = await UsageReconciliation(log, CATALOG).reconcile("acme", "openai", file)

    assert found.notes == (
        "Our attempts whose tokens are estimated, since nobody reported them: 1,500",
        "Our attempts without a price, which our cost leaves out: 3",
    )


async def test_days_must_be_known_and_not_too_many() -> None:
    reconciliation = UsageReconciliation(RecordedUsage(), CATALOG)
    with pytest.raises(BadUserInput, match="names no day"):
        await reconciliation.reconcile("acme", "openai", reported())
    with pytest.raises(BadUserInput, match="1 to 400"):
        await reconciliation.reconcile(
            "acme",
            "openai",
            reported(theirs("a", FIRST, 1), theirs("a", FIRST + timedelta(days=MOST_DAYS), 1)),
        )
    file = reported(theirs("a", SECOND, 1))
    with pytest.raises(BadUserInput, match="after the last of the file, which is 2026-11-02"):
        await reconciliation.reconcile("acme", "openai", file, first_day=THIRD)
    with pytest.raises(BadUserInput, match="before the first of the file, which is 2026-11-02"):
        await reconciliation.reconcile("acme", "openai", file, last_day=FIRST)


async def test_nothing_beside_nothing_is_not_equal_but_unknown() -> None:
    found = await UsageReconciliation(RecordedUsage(), CATALOG).reconcile(
        "acme", "openai", reported(), first_day=FIRST, last_day=FIRST
    )

    assert found.is_equal is None
    assert found.doubt is not None
    assert found.doubt.startswith("Nothing was compared")
    assert reconciliation_json("openai", reported(), found)["isEqual"] is None


async def test_a_file_that_is_not_whole_is_compared_and_equals_nothing() -> None:
    file = replace(reported(theirs("a", FIRST, 1)), is_cut_off=True)

    found = await UsageReconciliation(RecordedUsage(ours("a", FIRST, 1)), CATALOG).reconcile(
        "acme", "openai", file
    )

    assert [line.is_equal for line in found.lines] == [True]
    assert found.is_equal is None
    assert found.doubt is not None
    assert "next_page" in found.doubt


async def test_a_provider_is_in_the_catalog_or_was_used() -> None:
    file = reported(theirs("a", FIRST, 1))

    unused = await UsageReconciliation(RecordedUsage(), CATALOG).reconcile("acme", "openai", file)
    deleted = await UsageReconciliation(RecordedUsage(ours("a", FIRST, 1)), CATALOG).reconcile(
        "acme", "deleted", file
    )

    assert (unused.is_equal, deleted.is_equal) == (False, True)
    with pytest.raises(BadUserInput, match=r"no such provider.*: nope\. There are: openai\."):
        await UsageReconciliation(RecordedUsage(), CATALOG).reconcile("acme", "nope", file)


async def test_what_differs_is_printed_in_a_table_and_all_of_it_as_json() -> None:
    log = RecordedUsage(ours("gpt-4o", FIRST, 1_200, "0.30"), ours("o1", FIRST, 5, "1"))
    file = reported(
        theirs("gpt-4o-2024-08-06", FIRST, 1_000, "0.25"),
        theirs("o1", FIRST, 5, "1.00"),
        measures=(REQUESTS, COST),
    )
    found = await UsageReconciliation(log, CATALOG).reconcile("acme", "openai", file)

    assert list(reconciliation_lines("openai", file, found, show_all=False)) == [
        "openai, 2026-11-01 to 2026-11-01 (UTC, both included), beside a file",
        "gpt-4o-2024-08-06 is counted as gpt-4o",
        "",
        "day         model   figure     ours  theirs  difference     percent",
        "2026-11-01  gpt-4o  requests  1,200   1,000        +200       +20 %",
        "2026-11-01  gpt-4o  cost_usd    0.3    0.25       +0.05       +20 %",
        "total               requests  1,205   1,005        +200  +19.9005 %",
        "total               cost_usd    1.3    1.25       +0.05        +4 %",
        "",
        "2 of 4 figures are equal",
    ]
    assert len(list(reconciliation_lines("openai", file, found, show_all=True))) == 12

    document = reconciliation_json("openai", file, found)
    assert document["names"] == {"gpt-4o-2024-08-06": "gpt-4o"}
    assert document["isEqual"] is False
    assert document["lines"][0] == {
        "day": "2026-11-01",
        "model": "gpt-4o",
        "figure": "requests",
        "ours": 1200,
        "theirs": 1000,
        "difference": 200,
        "percent": "20",
        "isEqual": False,
    }
    assert document["lines"][3]["theirs"] == "1"
    assert document["totals"][1]["difference"] == "0.05"
