"""Hand-written stand-ins for the ports, for tests of the services."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from uuid import UUID
from zlib import crc32

from uuid_utils.compat import uuid7

from assistant.domain.budget import Admission, BudgetAlert, Stake
from assistant.domain.cache import CacheLevel, CacheLookup, ShadowVerdict
from assistant.domain.caller import Caller, Scope
from assistant.domain.completion import (
    Completion,
    CompletionStatus,
    FinishReason,
    GenerationFinished,
    ProviderEvent,
    TextDelta,
)
from assistant.domain.idempotency import KeyOutcome
from assistant.domain.job import JobOutcome
from assistant.domain.model import (
    DiscoveredModel,
    Model,
    ModelCapability,
    ModelGroup,
    ModelKey,
    ProviderConfig,
    ProviderKind,
)
from assistant.domain.ports import (
    CircuitNotice,
    Embeddings,
    ModelCatalog,
    ProviderCall,
    TimeLimits,
    Vector,
)
from assistant.domain.prompt import RenderedPrompt
from assistant.domain.rule import RoutingRule
from assistant.domain.stream import Resumption
from assistant.domain.tokens import TokenCount

ALICE = Caller("acme", "alice", "web", frozenset({Scope.COMPLETE}))


class FakeClock:
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self.time = datetime(2026, 3, 14, 15, 9, 26, tzinfo=UTC)
        self.elapsed_s = 0.0

    def now(self) -> datetime:
        return self.time

    def monotonic(self) -> float:
        return self.elapsed_s

    def new_id(self) -> UUID:
        return uuid7()

    def advance(self, seconds: float) -> None:
        self.time += timedelta(seconds=seconds)
        self.elapsed_s += seconds


@dataclass
class FakeTenantSettings:
    """Time zones by tenant; ``unknown`` are those that the database has not heard of."""

    time_zones: dict[str, str] = field(default_factory=dict)
    unknown: frozenset[str] = frozenset()

    async def find_time_zone(self, tenant_id: str) -> str | None:
        return self.time_zones.get(tenant_id)

    async def set_time_zone(self, tenant_id: str, time_zone: str) -> bool:
        if time_zone in self.unknown:
            return False
        self.time_zones[tenant_id] = time_zone
        return True


@dataclass
class FakeLedgerStore:
    """Remembers what was opened and settled; fails where it is told to."""

    opened: list[Completion] = field(default_factory=list)
    stakes: list[Stake] = field(default_factory=list)
    settled: list[Completion] = field(default_factory=list)
    open_error: Exception | None = None
    admissions: list[Admission | Exception] = field(default_factory=list)
    """What is answered, in order; then everything is granted, and no budget holds."""
    settle_error: Exception | None = None
    settle_delay_s: float = 0.0

    async def open(
        self, completion: Completion, stake: Stake, *, is_more: bool = False
    ) -> Admission:
        if self.open_error:
            raise self.open_error
        self.stakes.append(stake)
        answer = self.admissions.pop(0) if self.admissions else None
        if isinstance(answer, Exception):
            raise answer
        if not is_more:
            self.opened.append(completion)
        return answer or Admission(stake.output_tokens, stake.fixed_cost)

    async def settle(self, completion: Completion) -> None:
        await asyncio.sleep(self.settle_delay_s)
        if self.settle_error:
            raise self.settle_error
        self.settled.append(completion)


@dataclass
class FakeRequestLimits:
    """No tenant is limited but those named; who is limited passes unless ``refusal`` says no."""

    limited: set[str] = field(default_factory=set)
    asked: list[str] = field(default_factory=list)
    taken: list[Caller] = field(default_factory=list)
    refusal: Exception | None = None
    error: Exception | None = None
    may_answer: asyncio.Event | None = None

    async def is_limited(self, tenant_id: str) -> bool:
        self.asked.append(tenant_id)
        answer = tenant_id in self.limited
        if self.may_answer is not None:
            await self.may_answer.wait()
        if self.error:
            raise self.error
        return answer

    async def take(self, caller: Caller) -> None:
        if self.refusal:
            raise self.refusal
        self.taken.append(caller)


@dataclass
class FakeTelemetry:
    settled: list[Completion] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    taken_back: list[str] = field(default_factory=list)
    lookups: list[tuple[CacheLevel, CacheLookup]] = field(default_factory=list)
    shadow_checks: list[ShadowVerdict] = field(default_factory=list)
    jobs: list[tuple[str, JobOutcome]] = field(default_factory=list)
    alerts: list[BudgetAlert] = field(default_factory=list)
    resumed: list[Resumption] = field(default_factory=list)
    keys: list[KeyOutcome] = field(default_factory=list)
    dropped_readers: int = 0

    def stream_resumed(self, outcome: Resumption) -> None:
        self.resumed.append(outcome)

    def reader_dropped(self) -> None:
        self.dropped_readers += 1

    def key_met(self, outcome: KeyOutcome) -> None:
        self.keys.append(outcome)

    def completion_settled(self, completion: Completion, prompt_name: str | None) -> None:
        self.settled.append(completion)

    def budget_alert_announced(self, alert: BudgetAlert) -> None:
        self.alerts.append(alert)

    def request_refused(self, code: str) -> None:
        self.refused.append(code)

    def cache_looked_up(self, level: CacheLevel, outcome: CacheLookup, latency_s: float) -> None:
        self.lookups.append((level, outcome))

    def cache_shadow_checked(self, verdict: ShadowVerdict) -> None:
        self.shadow_checks.append(verdict)

    def job_ended(self, job: str, outcome: JobOutcome, duration_s: float) -> None:
        self.jobs.append((job, outcome))

    def version_taken_back(self, prompt_name: str) -> None:
        self.taken_back.append(prompt_name)


@dataclass
class FakeProvider:
    """Plays a script: events are yielded, exceptions raised, numbers slept (seconds)."""

    script: Sequence[ProviderEvent | Exception | float] = ()
    models: Sequence[DiscoveredModel] | None = ()
    calls: list[ProviderCall] = field(default_factory=list)
    closed: int = 0

    async def generate(self, call: ProviderCall) -> AsyncGenerator[ProviderEvent, None]:
        self.calls.append(call)
        try:
            for step in self.script:
                if isinstance(step, Exception):
                    raise step
                if isinstance(step, float):
                    await asyncio.sleep(step)
                else:
                    yield step
        finally:
            self.closed += 1

    async def list_models(self) -> Sequence[DiscoveredModel] | None:
        return self.models

    async def embed(self, model: str, texts: Sequence[str], limits: TimeLimits) -> Embeddings:
        return Embeddings([(1.0, 0.0) for _ in texts], len(texts))


@dataclass
class FakeCircuitStore:
    """Lets everybody probe, and remembers what it was told."""

    told: list[tuple[str, ModelKey]] = field(default_factory=list)
    obstacle: CircuitNotice | None = None
    circuits: Sequence[CircuitNotice] = ()
    error: Exception | None = None

    async def open(self, key: ModelKey, open_s: float) -> None:
        self._hear("open", key)

    async def take_probe(self, key: ModelKey, lease_s: float) -> CircuitNotice | None:
        self._hear("take_probe", key)
        return self.obstacle

    async def release_probe(self, key: ModelKey) -> None:
        self._hear("release_probe", key)

    async def close(self, key: ModelKey) -> None:
        self._hear("close", key)

    async def list_circuits(self) -> Sequence[CircuitNotice]:
        if self.error:
            raise self.error
        return self.circuits

    def _hear(self, what: str, key: ModelKey) -> None:
        if self.error:
            raise self.error
        self.told.append((what, key))


@dataclass
class FakeTokens:
    """Counts as the prompt says, for every model."""

    learnt: list[tuple[str, int]] = field(default_factory=list)

    async def count(
        self,
        prompt: RenderedPrompt,
        models: Sequence[Model],
        providers: Mapping[str, ProviderConfig] | None = None,
    ) -> Mapping[str, TokenCount]:
        return {model.id: TokenCount(prompt.estimated_tokens) for model in models}

    def learn(
        self,
        prompt: RenderedPrompt,
        model: Model,
        reported_tokens: int,
        provider: ProviderConfig | None = None,
    ) -> None:
        self.learnt.append((model.id, reported_tokens))


class FakeLanguages:
    """Takes every text for German, and counts how often it was asked."""

    asked = 0

    async def detect(self, text: str) -> str | None:
        self.asked += 1
        return "de"


def answering(
    *texts: str, prompt_tokens: int | None = 7, completion_tokens: int | None = 3
) -> FakeProvider:
    """A provider that says ``texts`` and ends well."""
    end = GenerationFinished(FinishReason.STOP, prompt_tokens, completion_tokens)
    return FakeProvider([*(TextDelta(text) for text in texts), end])


def model(id_: str, **fields: object) -> Model:
    """An allowed, available chat model."""
    provider, _, name = id_.partition("/")
    given: dict[str, object] = {
        "capabilities": frozenset({ModelCapability.CHAT}),
        "context_window": 8192,
        "is_available": True,
    }
    return Model(provider, name, **(given | fields))  # type: ignore[arg-type]


def catalog(
    *models: Model, groups: Sequence[ModelGroup] = (), rules: Sequence[RoutingRule] = ()
) -> ModelCatalog:
    names = {model.provider for model in models}
    return ModelCatalog(
        providers={name: ProviderConfig(name, ProviderKind.OLLAMA) for name in names},
        models={model.id: model for model in models},
        groups={group.name: group for group in groups},
        rules=tuple(rules),
    )


@dataclass
class FakeModelStore:
    rows: ModelCatalog
    loads: int = 0

    async def load(self, tenant_id: str) -> ModelCatalog:
        self.loads += 1
        return self.rows


@dataclass
class FakeCompletionStore:
    found: Mapping[UUID, Completion] = field(default_factory=dict)

    async def find_completions(
        self, tenant_id: str, ids: Sequence[UUID]
    ) -> Mapping[UUID, Completion]:
        return {id_: self.found[id_] for id_ in ids if id_ in self.found}


def statuses(completions: Sequence[Completion]) -> list[CompletionStatus]:
    return [completion.status for completion in completions]


@dataclass
class FakeEmbedder:
    """Vectors of words: texts of the same words are alike, whatever their order; others are not."""

    id: str = "words"
    dimensions: int = 64
    embedded: list[str] = field(default_factory=list)
    error: Exception | None = None
    delay_s: float = 0.0

    def covers(self, text: str) -> bool:
        return len(text) < 1_000

    async def embed(self, texts: Sequence[str]) -> Sequence[Vector]:
        self.embedded += texts
        if self.delay_s:
            await asyncio.sleep(self.delay_s)
        if self.error:
            raise self.error
        return [self._vector(text) for text in texts]

    def _vector(self, text: str) -> Vector:
        counts = [0.0] * self.dimensions
        for word in text.lower().replace("?", "").split():
            counts[crc32(word.encode()) % self.dimensions] += 1.0
        length = sum(count * count for count in counts) ** 0.5 or 1.0
        return [count / length for count in counts]
