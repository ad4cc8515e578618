"""The whole flow over hand-written ports: scripted providers, nothing durable, no time lost."""

from __future__ import annotations

import random
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, field

from assistant.domain.completion import CompletionRequest, ProgressEvent, ProviderEvent
from assistant.domain.model import DiscoveredModel, Model, ModelGroup, ProviderConfig
from assistant.domain.ports import (
    Embedder,
    ModelCatalog,
    PromptStore,
    ProviderCall,
    ProviderConnector,
    TimeLimits,
)
from assistant.services.answers import Answers
from assistant.services.attempts import Attempts
from assistant.services.bulkheads import Bulkheads, BulkheadSettings
from assistant.services.cache import Cache
from assistant.services.cache_keeper import CacheLimits
from assistant.services.circuits import Circuits
from assistant.services.completion import Completions
from assistant.services.failover import Failover
from assistant.services.latencies import Latencies
from assistant.services.ledger import Ledger
from assistant.services.models import Models
from assistant.services.prompts import Prompts
from assistant.services.ranking import Ranking
from assistant.services.request_limits import RequestLimits
from assistant.services.retries import Retries
from assistant.services.routing import Router
from assistant.services.selection import Selector
from tests.unit.fake_cache import FakeCacheStore, FakeFlightStore
from tests.unit.fakes import (
    ALICE,
    FakeCircuitStore,
    FakeClock,
    FakeCompletionStore,
    FakeEmbedder,
    FakeLanguages,
    FakeLedgerStore,
    FakeModelStore,
    FakeProvider,
    FakeRequestLimits,
    FakeTelemetry,
    FakeTokens,
    catalog,
    model,
)


def request_of(**fields: object) -> CompletionRequest:
    """A request of Alice's to complete "hello", but for ``fields``."""
    return CompletionRequest(**({"caller": ALICE, "text": "hello"} | fields))  # type: ignore[arg-type]


class NoBackoff(random.Random):
    """Waits as little as it may, and chooses the first of two."""

    def uniform(self, a: float, b: float) -> float:
        return a

    def sample(self, population: Sequence[int], k: int, *, counts: object = None) -> list[int]:  # type: ignore[override]
        return list(population)[:k]


@dataclass
class World:
    """The flow over one scripted provider per model id; ``models`` are their rows."""

    providers: Mapping[str, FakeProvider]
    models: list[Model] = field(default_factory=list)
    groups: Sequence[ModelGroup] = ()
    max_concurrency: int = 256
    store: FakeLedgerStore = field(default_factory=FakeLedgerStore)
    request_limits: FakeRequestLimits = field(default_factory=FakeRequestLimits)
    telemetry: FakeTelemetry = field(default_factory=FakeTelemetry)
    tokens: FakeTokens = field(default_factory=FakeTokens)
    clock: FakeClock = field(default_factory=FakeClock)
    connect: ProviderConnector | None = None
    cache_limits: CacheLimits = CacheLimits(is_on=False)  # noqa: RUF009 - immutable
    cache_store: FakeCacheStore = field(default_factory=FakeCacheStore)
    embedder: Embedder = field(default_factory=FakeEmbedder)
    prompts: PromptStore | None = None
    time_limits: TimeLimits = TimeLimits(total_s=30)  # noqa: RUF009 - immutable

    def __post_init__(self) -> None:
        rows = self.models or [
            model(id_, preference=index) for index, id_ in enumerate(self.providers)
        ]
        self.catalog: ModelCatalog = catalog(*rows, groups=self.groups)
        self.models_store = FakeModelStore(self.catalog)
        models = Models(
            self.models_store,
            lambda config: FakeProvider(
                models=[DiscoveredModel(row.name) for row in rows if row.provider == config.name]
            ),
            poll_interval_s=30,
        )
        self.circuits = Circuits(FakeCircuitStore(), self.clock)
        self.latencies = Latencies(NoBackoff())
        self.bulkheads = Bulkheads(
            self.clock, BulkheadSettings(max_concurrency=self.max_concurrency, max_waiting=2)
        )
        self.ledger = Ledger(self.store, self.clock, self.telemetry)
        router = Router(
            selector=Selector(Ranking(self.latencies), FakeLanguages(), self.clock),
            tokens=self.tokens,
            circuits=self.circuits,
            why_unhealthy=lambda config: models.state(config).reason,
        )
        attempts = Attempts(
            self.connect or (lambda config: _ByModel(config, self.providers)),
            self.clock,
            circuits=self.circuits,
            bulkheads=self.bulkheads,
            latencies=self.latencies,
        )
        failover = Failover(
            attempts,
            Retries(self.clock, NoBackoff()),
            self.latencies,
            self.tokens,
            self.time_limits,
        )
        self.cache_store.clock = self.clock
        self.flights = FakeFlightStore(self.cache_store)
        self.cache = Cache(
            store=self.cache_store,
            flights=self.flights,
            embedder=self.embedder,
            router=router,
            clock=self.clock,
            telemetry=self.telemetry,
            limits=self.cache_limits,
        )
        self.flow = Completions(
            ledger=self.ledger,
            request_limits=RequestLimits(self.request_limits, self.clock),
            prompts=Prompts(self.prompts),  # type: ignore[arg-type] - most name no prompt
            models=models,
            router=router,
            answers=Answers(failover),
            cache=self.cache,
            store=FakeCompletionStore(),
        )

    async def ask(self, **fields: object) -> list[ProgressEvent]:
        """Complete "hello" and return what was emitted; the record is in ``store.settled``."""
        emitted: list[ProgressEvent] = []

        async def emit(event: ProgressEvent) -> None:
            emitted.append(event)

        await self.flow.complete(request_of(**fields), emit)
        return emitted


@dataclass
class _ByModel:
    """One provider that plays another script for each of its models."""

    config: ProviderConfig
    scripts: Mapping[str, FakeProvider]

    def generate(self, call: ProviderCall) -> AsyncGenerator[ProviderEvent, None]:
        return self.scripts[f"{self.config.name}/{call.model}"].generate(call)

    async def list_models(self) -> Sequence[DiscoveredModel]:
        return ()
