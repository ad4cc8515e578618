"""How the versions of a prompt do, as clients see it.

Counts and averages are kept as requests end. Percentiles read every request of the period and
are computed only where an operation asks for them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Self
from uuid import UUID

import strawberry

from assistant.api import loaders
from assistant.api.context import Info
from assistant.api.money import Money, usd
from assistant.api.prompt_version import PromptVersion
from assistant.api.usage import UsageWindow
from assistant.domain import performance as domain
from assistant.domain.usage import UsagePeriod

if TYPE_CHECKING:
    from assistant.api.prompt import Prompt


@strawberry.type(description="How one version of a prompt did. Runs of its tests are not counted.")
class PromptVersionPerformance:
    prompt_version: PromptVersion = strawberry.field(description="The version.")
    requests: int = strawberry.field(description="Completions asked for with it.")
    success_rate: float | None = strawberry.field(
        description="The share of them that had an answer, 0 to 1; stopped ones are left out. Null "
        "without any."
    )
    average_latency_ms: float | None = strawberry.field(
        description="Of those that had an answer; null without any."
    )
    average_tokens: float | None = strawberry.field(
        description="Prompt and answer, of a request; null without any."
    )
    average_cost: Money = strawberry.field(description="Of a request; 0 without any.")
    period: strawberry.Private[UsagePeriod]

    @strawberry.field(
        name="latencyP95Ms",
        description="What 95 in 100 of those that had an answer did not exceed; null without any.",
    )
    async def latency_p95_ms(self, info: Info) -> int | None:
        version = self.prompt_version
        found = await loaders.prompt_latencies(info, self.period).load(version.prompt_id)
        latencies = found.by_version.get(version.key) if found else None
        return latencies.p95_ms if latencies else None

    @classmethod
    def of(
        cls, version: PromptVersion, performance: domain.Performance, period: UsagePeriod
    ) -> Self:
        return cls(
            prompt_version=version,
            requests=performance.requests,
            success_rate=performance.success_rate,
            average_latency_ms=performance.average_latency_ms,
            average_tokens=performance.average_tokens,
            average_cost=usd(performance.average_cost),
            period=period,
        )


@strawberry.type(
    description="How a prompt did within a period: the tenant's own requests, all versions "
    "together. Runs of its tests are not counted."
)
class PromptPerformance:
    prompt: Annotated[Prompt, strawberry.lazy("assistant.api.prompt")] = strawberry.field(
        description="The prompt."
    )
    period: UsageWindow = strawberry.field(description="The period as a window.")
    requests: int = strawberry.field(description="Completions asked for with it.")
    success_rate: float | None = strawberry.field(
        description="The share of them that had an answer, 0 to 1; stopped ones are left out. Null "
        "without any."
    )
    average_latency_ms: float | None = strawberry.field(
        description="Of those that had an answer; null without any."
    )
    average_tokens: float | None = strawberry.field(
        description="Prompt and answer, of a request; null without any."
    )
    average_cost: Money = strawberry.field(description="Of a request; 0 without any.")
    prompt_id: strawberry.Private[UUID]
    asked_for: strawberry.Private[UsagePeriod]
    figures: strawberry.Private[domain.PromptPerformance]

    @strawberry.field(
        name="latencyP50Ms",
        description="What half of those that had an answer did not exceed; null without any.",
    )
    async def latency_p50_ms(self, info: Info) -> int | None:
        found = await loaders.prompt_latencies(info, self.asked_for).load(self.prompt_id)
        return found.total.p50_ms if found else None

    @strawberry.field(
        name="latencyP95Ms",
        description="What 95 in 100 of those that had an answer did not exceed; null without any.",
    )
    async def latency_p95_ms(self, info: Info) -> int | None:
        found = await loaders.prompt_latencies(info, self.asked_for).load(self.prompt_id)
        return found.total.p95_ms if found else None

    @strawberry.field(
        description="The same of each version that was used, in order of their numbers."
    )
    async def by_version(self, info: Info) -> list[PromptVersionPerformance]:
        by_version = self.figures.by_version
        found = await loaders.version_by_id(info).load_many(list(by_version))
        versions = sorted((version for version in found if version), key=lambda v: v.version)
        return [
            PromptVersionPerformance.of(
                PromptVersion.of(version), by_version[version.id], self.asked_for
            )
            for version in versions
        ]


async def performance_of(info: Info, prompt: Prompt, period: UsagePeriod) -> PromptPerformance:
    """How a prompt did."""
    figures = await loaders.prompt_performance(info, period).load(prompt.key)
    assert figures is not None  # there are figures for every prompt asked for
    total = figures.total
    return PromptPerformance(
        prompt=prompt,
        period=UsageWindow(from_=figures.window.start, to=figures.window.end),
        requests=total.requests,
        success_rate=total.success_rate,
        average_latency_ms=total.average_latency_ms,
        average_tokens=total.average_tokens,
        average_cost=usd(total.average_cost),
        prompt_id=prompt.key,
        asked_for=period,
        figures=figures,
    )
