"""How the versions of a prompt do: rates and averages that are of something, or None."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from assistant.domain.performance import (
    LatencyPercentiles,
    Performance,
    PromptLatencies,
    PromptPerformance,
)
from assistant.domain.usage import UsagePeriod, UsageWindow, window_of
from assistant.services.periods import Periods
from assistant.services.prompt_reports import PromptReports
from tests.unit.fakes import FakeClock, FakeTenantSettings

PROMPT, FIRST = UUID(int=1), UUID(int=2)
CLOCK = FakeClock()
WINDOW = window_of(UsagePeriod.LAST_30_DAYS, CLOCK.now())

COUNTS = st.integers(0, 1_000_000)
FIGURES = st.builds(
    Performance,
    COUNTS,
    COUNTS,
    COUNTS,
    COUNTS,
    st.decimals(0, 1_000, places=9),
    COUNTS,
)


def test_what_was_cancelled_counts_as_neither_success_nor_failure() -> None:
    some = Performance(requests=10, succeeded=6, failed=2)

    assert some.success_rate == 0.75


def test_a_success_rate_of_nothing_that_ended_is_none() -> None:
    assert Performance().success_rate is None
    assert Performance(requests=3).success_rate is None
    assert Performance(requests=3, failed=3).success_rate == 0


def test_latency_is_the_average_of_what_succeeded() -> None:
    assert Performance(10, 4, 6, latency_ms=1_000).average_latency_ms == 250
    assert Performance(10, 0, 10).average_latency_ms is None


def test_tokens_and_cost_are_averages_over_all_requests_failures_too() -> None:
    some = Performance(4, 1, 3, 100, Decimal("0.02"))

    assert (some.average_tokens, some.average_cost) == (25, Decimal("0.005"))
    assert (Performance().average_tokens, Performance().average_cost) == (None, Decimal(0))


@given(st.lists(FIGURES, max_size=4))
def test_the_total_of_a_prompt_is_the_sum_over_its_versions(each: list[Performance]) -> None:
    by_version = {UUID(int=number): figures for number, figures in enumerate(each)}

    total = PromptPerformance(WINDOW, by_version).total

    for name in Performance.__dataclass_fields__:
        assert getattr(total, name) == sum(getattr(figures, name) for figures in each)


# ------------------------------------------------------------------ reports


@dataclass
class FakePerformance:
    """A PerformanceStore that remembers what it was asked."""

    asked: list[tuple[Any, ...]] = field(default_factory=list)

    async def performance(
        self, tenant_id: str, prompt_ids: Sequence[UUID], window: UsageWindow
    ) -> Mapping[UUID, PromptPerformance]:
        self.asked.append(("performance", tenant_id, tuple(prompt_ids), window))
        return {id_: PromptPerformance(window, {FIRST: Performance(1)}) for id_ in prompt_ids}

    async def latencies(
        self, tenant_id: str, prompt_ids: Sequence[UUID], window: UsageWindow
    ) -> Mapping[UUID, PromptLatencies]:
        self.asked.append(("latencies", tenant_id, tuple(prompt_ids), window))
        return {id_: PromptLatencies(LatencyPercentiles(1, 2)) for id_ in prompt_ids}


async def test_reports_are_of_the_tenants_own_requests_up_to_now() -> None:
    store = FakePerformance()
    reports = PromptReports(store, Periods(FakeTenantSettings(), CLOCK))

    figures = await reports.performance("acme", [PROMPT], UsagePeriod.LAST_30_DAYS)
    latencies = await reports.latencies("acme", [PROMPT], UsagePeriod.LAST_30_DAYS)

    assert figures[PROMPT].total == Performance(1)
    assert latencies[PROMPT].total.p95_ms == 2
    assert store.asked == [
        ("performance", "acme", (PROMPT,), WINDOW),
        ("latencies", "acme", (PROMPT,), WINDOW),
    ]
