"""How the versions of a prompt do: counts, times and costs over a period."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Self
from uuid import UUID

from assistant.domain.usage import UsageWindow


@dataclass(frozen=True, slots=True)
class Performance:
    """What some requests came to. Runs of a prompt's tests are not among them.

    ``latency_ms`` is the sum over those that succeeded, as a failure's time says nothing of an
    answer's; tokens and cost are sums over all, as failures cost too. Cost is in USD.
    """

    requests: int = 0
    succeeded: int = 0
    failed: int = 0
    total_tokens: int = 0
    cost: Decimal = Decimal(0)
    latency_ms: int = 0

    def __add__(self, other: Self) -> Performance:
        return Performance(
            self.requests + other.requests,
            self.succeeded + other.succeeded,
            self.failed + other.failed,
            self.total_tokens + other.total_tokens,
            self.cost + other.cost,
            self.latency_ms + other.latency_ms,
        )

    @property
    def success_rate(self) -> float | None:
        """Of those that were not cancelled; None where there are none."""
        ended = self.succeeded + self.failed
        return self.succeeded / ended if ended else None

    @property
    def average_latency_ms(self) -> float | None:
        """Of those that succeeded."""
        return self.latency_ms / self.succeeded if self.succeeded else None

    @property
    def average_tokens(self) -> float | None:
        return self.total_tokens / self.requests if self.requests else None

    @property
    def average_cost(self) -> Decimal:
        return self.cost / self.requests if self.requests else Decimal(0)


@dataclass(frozen=True, slots=True)
class PromptPerformance:
    """The figures of a prompt's versions within a window, by version id; unused ones are absent."""

    window: UsageWindow
    by_version: Mapping[UUID, Performance] = field(default_factory=dict)

    @property
    def total(self) -> Performance:
        return sum(self.by_version.values(), Performance())


@dataclass(frozen=True, slots=True)
class LatencyPercentiles:
    """Latencies of requests that succeeded that half, and 95 in 100, did not exceed.

    Each is the latency of a real request, the smallest that covers the share; None without any.
    """

    p50_ms: int | None = None
    p95_ms: int | None = None


@dataclass(frozen=True, slots=True)
class PromptLatencies:
    """Percentiles over all of a prompt's requests, and over those of each version by its id."""

    total: LatencyPercentiles = field(default_factory=LatencyPercentiles)
    by_version: Mapping[UUID, LatencyPercentiles] = field(default_factory=dict)
