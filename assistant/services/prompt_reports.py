"""How prompts do, for those who use them and those who write them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from uuid import UUID

from assistant.domain.performance import PromptLatencies, PromptPerformance
from assistant.domain.ports import PerformanceStore
from assistant.domain.usage import UsagePeriod
from assistant.services.periods import Periods


class PromptReports:
    """Figures of prompts by version, over the tenant's own requests."""

    def __init__(self, store: PerformanceStore, periods: Periods) -> None:
        self._store = store
        self._periods = periods

    async def performance(
        self, tenant_id: str, prompt_ids: Sequence[UUID], period: UsagePeriod
    ) -> Mapping[UUID, PromptPerformance]:
        """Counts, sums and averages of every prompt asked for; one statement."""
        window = await self._periods.window(tenant_id, period)
        return await self._store.performance(tenant_id, prompt_ids, window)

    async def latencies(
        self, tenant_id: str, prompt_ids: Sequence[UUID], period: UsagePeriod
    ) -> Mapping[UUID, PromptLatencies]:
        """Percentiles of every prompt asked for. They read every row: ask only where they are shown."""
        window = await self._periods.window(tenant_id, period)
        return await self._store.latencies(tenant_id, prompt_ids, window)
