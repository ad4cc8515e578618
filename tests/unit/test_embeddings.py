"""Embeddings: which model makes them, and what of a call is recorded however it ends."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal

import pytest

from assistant.domain.caller import Caller
from assistant.domain.completion import AttemptOutcome, CompletionStatus, Operation
from assistant.domain.embeddings import EmbeddingsRequest
from assistant.domain.model import DiscoveredModel, Model, ModelCapability
from assistant.domain.ports import Embeddings, TimeLimits
from assistant.errors import (
    AssistantError,
    BadUserInput,
    CircuitOpen,
    ErrorCode,
    Forbidden,
    InternalError,
    InvalidResponse,
    LimitReached,
    NotFound,
    ProviderRejected,
    ProviderTimeout,
    ProviderUnavailable,
    StorageUnavailable,
)
from assistant.services.bulkheads import Bulkheads
from assistant.services.circuits import Circuits, CircuitSettings
from assistant.services.embeddings import EmbeddedTexts, TextEmbedding
from assistant.services.ledger import Ledger
from assistant.services.models import Models
from assistant.services.request_limits import RequestLimits
from assistant.services.retries import Retries
from tests.unit.fakes import (
    ALICE,
    FakeCircuitStore,
    FakeClock,
    FakeLedgerStore,
    FakeModelStore,
    FakeProvider,
    FakeRequestLimits,
    FakeTelemetry,
    catalog,
    model,
)

EMBEDDING = frozenset({ModelCapability.EMBEDDING})


@dataclass
class Embedding(FakeProvider):
    """Answers with one vector per text, or fails as it is told to."""

    prompt_tokens: int | None = 5
    error: BaseException | None = None
    failures: int = 1_000
    wait_s: float = 0.0
    asked: list[tuple[str, Sequence[str]]] = field(default_factory=list)

    async def embed(self, model: str, texts: Sequence[str], limits: TimeLimits) -> Embeddings:
        self.asked.append((model, texts))
        await asyncio.sleep(self.wait_s)
        if self.error and len(self.asked) <= self.failures:
            raise self.error
        return Embeddings([[1.0, 0.0] for _ in texts], self.prompt_tokens)


class Service:
    """The service over fakes; every model named by a row is there unless it is ``absent``."""

    def __init__(
        self,
        provider: Embedding,
        *rows: Model,
        absent: str | None = None,
        store: FakeLedgerStore | None = None,
        total_s: float = 5.0,
    ) -> None:
        rows = rows or (model("builtin/all-minilm-l6-v2", capabilities=EMBEDDING),)
        provider.models = [
            DiscoveredModel(row.name, row.capabilities) for row in rows if row.id != absent
        ]
        self.store = store or FakeLedgerStore()
        self.telemetry = FakeTelemetry()
        clock = FakeClock()
        self.circuits = Circuits(FakeCircuitStore(), clock, CircuitSettings(failures=2))
        self.request_limits = FakeRequestLimits()
        self.embedding = TextEmbedding(
            models=Models(FakeModelStore(catalog(*rows)), lambda _config: provider, 30.0),
            connect=lambda _config: provider,
            circuits=self.circuits,
            bulkheads=Bulkheads(clock),
            retries=Retries(clock, random.Random(1)),
            ledger=Ledger(self.store, clock, self.telemetry),
            request_limits=RequestLimits(self.request_limits, clock),
            store=self.store,
            clock=clock,
            time_limits=TimeLimits(total_s=total_s),
        )

    async def embed(self, *texts: str, **fields: object) -> EmbeddedTexts:
        return await self.embedding.embed(EmbeddingsRequest(ALICE, texts, **fields))  # type: ignore[arg-type]

    async def refusal(self, *texts: str, **fields: object) -> AssistantError:
        with pytest.raises(AssistantError) as refused:
            await self.embed(*texts, **fields)
        return refused.value


async def test_texts_become_vectors_of_the_builtin_model_by_default() -> None:
    provider = Embedding()
    service = Service(provider)

    found = await service.embed("one", "two")

    assert provider.asked == [("all-minilm-l6-v2", ("one", "two"))]
    assert found.model.id == "builtin/all-minilm-l6-v2"
    assert found.vectors == [[1.0, 0.0], [1.0, 0.0]]
    assert found.dimensions == 2
    assert found.usage.prompt_tokens == 5
    assert not found.usage.is_estimated


async def test_a_call_is_open_before_its_provider_is_asked_and_settled_before_the_answer() -> None:
    service = Service(Embedding())

    await service.embed("one")

    (opened,), (settled,) = service.store.opened, service.store.settled
    assert opened.id == settled.id
    assert opened.status is CompletionStatus.RUNNING
    assert settled.status is CompletionStatus.SUCCEEDED
    assert settled.operation is Operation.EMBEDDINGS
    assert settled.model == "builtin/all-minilm-l6-v2"
    assert settled.usage.prompt_tokens == 5
    assert settled.text == ""
    (attempt,) = settled.decision.attempts
    assert attempt.outcome is AttemptOutcome.SUCCEEDED
    assert service.telemetry.settled == [settled]


async def test_tokens_that_are_not_reported_are_estimated_and_cost_the_input_price() -> None:
    priced = model("openai/e", capabilities=EMBEDDING, input_price=Decimal("0.02"))
    service = Service(Embedding(prompt_tokens=None), priced)

    found = await service.embed("some words to embed", model="openai/e")

    assert found.usage.is_estimated
    assert found.usage.prompt_tokens > 0
    assert found.usage.cost == found.usage.prompt_tokens * Decimal("0.02") / 1_000_000


@pytest.mark.parametrize(
    ("texts", "path"),
    [
        ((), ("texts",)),
        (("x",) * 1_025, ("texts",)),
        (("a", " \n"), ("texts", "1")),
        (("a", "x" * 100_001), ("texts", "1")),
        (("x" * 100_000,) * 11, ("texts",)),
        (("a\x00",), ("texts", "0")),
        (("\ud800",), ("texts", "0")),
    ],
)
async def test_texts_that_cannot_be_embedded_are_refused_and_counted(
    texts: tuple[str, ...], path: tuple[str, ...]
) -> None:
    provider = Embedding()
    service = Service(provider)

    error = await service.refusal(*texts)

    assert isinstance(error, BadUserInput)
    assert error.path == path
    assert provider.asked == []
    assert service.store.opened == []
    (settled,) = service.store.settled
    assert (settled.status, settled.model) == (CompletionStatus.FAILED, "")
    assert settled.error_code is ErrorCode.BAD_USER_INPUT


async def test_the_largest_request_is_taken() -> None:
    assert await Service(Embedding()).embed(*("x" * 976 for _ in range(1_024)))


async def test_a_caller_without_the_scope_is_refused() -> None:
    service = Service(Embedding())
    nobody = Caller("acme", "bob", None, frozenset())

    with pytest.raises(Forbidden, match="assistant:complete"):
        await service.embedding.embed(EmbeddingsRequest(nobody, ("a",)))

    assert service.store.settled[0].error_code is ErrorCode.FORBIDDEN


@pytest.mark.parametrize(
    ("row", "absent", "kind"),
    [
        (model("ollama/e", capabilities=EMBEDDING, is_allowed=False), None, Forbidden),
        (model("ollama/e", capabilities=EMBEDDING), "ollama/e", ProviderUnavailable),
        (model("ollama/e"), None, BadUserInput),
        (model("ollama/other", capabilities=EMBEDDING), None, NotFound),
    ],
)
@pytest.mark.parametrize("name", ["ollama/e", "e"])
async def test_a_model_that_cannot_serve_is_refused_and_never_replaced(
    row: Model, absent: str | None, kind: type[AssistantError], name: str
) -> None:
    provider = Embedding()

    error = await Service(provider, row, absent=absent).refusal("a", model=name)

    assert type(error) is kind
    assert name in error.message
    assert provider.asked == []
    if isinstance(error, BadUserInput):
        assert error.path == ("model",)


async def test_of_models_of_one_name_the_local_one_is_taken_and_those_that_cannot_serve_never() -> (
    None
):
    rows = (
        model("azure/e", capabilities=EMBEDDING, is_local=False),
        model("broken/e", capabilities=EMBEDDING, is_allowed=False),
        model("ollama/e", capabilities=EMBEDDING),
    )

    assert (await Service(Embedding(), *rows).embed("a", model="e")).model.id == "ollama/e"
    assert (await Service(Embedding(), *rows).embed("a", model="azure/e")).model.id == "azure/e"


@pytest.mark.parametrize(
    ("error", "outcome", "kind"),
    [
        (ProviderRejected("no"), AttemptOutcome.FAILED, ProviderRejected),
        (InvalidResponse("what?"), AttemptOutcome.FAILED, InvalidResponse),
        (RuntimeError("a defect"), AttemptOutcome.CANCELLED, InternalError),
    ],
)
async def test_a_call_that_fails_is_recorded_with_its_attempt(
    error: Exception, outcome: AttemptOutcome, kind: type[AssistantError]
) -> None:
    service = Service(Embedding(error=error))

    assert type(await service.refusal("a")) is kind

    (settled,) = service.store.settled
    assert settled.status is CompletionStatus.FAILED
    assert settled.decision.attempts[0].outcome is outcome
    assert settled.usage.total_tokens == 0


async def test_a_call_that_may_succeed_in_a_moment_is_made_again() -> None:
    provider = Embedding(error=ProviderUnavailable("away"), failures=1)
    service = Service(provider)

    found = await service.embed("a")

    assert found.usage.prompt_tokens == 5
    outcomes = [attempt.outcome for attempt in service.store.settled[0].decision.attempts]
    assert outcomes == [AttemptOutcome.FAILED, AttemptOutcome.SUCCEEDED]


async def test_a_model_that_keeps_failing_is_not_called_for_a_while() -> None:
    provider = Embedding(error=InvalidResponse("what?"))
    service = Service(provider)
    for _ in range(2):
        await service.refusal("a")

    error = await service.refusal("a")

    assert isinstance(error, CircuitOpen)
    assert error.retry_after_s
    assert len(provider.asked) == 2
    assert service.store.settled[-1].decision.attempts[0].outcome is AttemptOutcome.CIRCUIT_OPEN
    await service.circuits.drain()


async def test_a_call_has_a_time_limit() -> None:
    service = Service(Embedding(wait_s=5.0), total_s=0.01)

    assert isinstance(await service.refusal("a"), ProviderTimeout)

    assert service.store.settled[0].error_code is ErrorCode.PROVIDER_TIMEOUT


async def test_a_cancelled_call_is_recorded_although_it_is_cancelled_again() -> None:
    service = Service(Embedding(wait_s=5.0), store=FakeLedgerStore(settle_delay_s=0.02))
    call = asyncio.create_task(service.embed("a"))
    await asyncio.sleep(0.01)

    call.cancel()
    await asyncio.sleep(0.01)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call

    (settled,) = service.store.settled
    assert settled.status is CompletionStatus.CANCELLED
    assert settled.error_code is ErrorCode.CANCELLED


async def test_vectors_whose_usage_cannot_be_recorded_are_not_given() -> None:
    store = FakeLedgerStore(settle_error=StorageUnavailable("down"))

    assert isinstance(await Service(Embedding(), store=store).refusal("a"), StorageUnavailable)


async def test_no_provider_is_asked_while_nothing_can_be_recorded() -> None:
    provider = Embedding()
    store = FakeLedgerStore(open_error=StorageUnavailable("down"))

    assert isinstance(await Service(provider, store=store).refusal("a"), StorageUnavailable)

    assert provider.asked == []


async def test_texts_beyond_a_rate_limit_are_refused_before_a_model_is_chosen_and_recorded() -> (
    None
):
    provider = Embedding()
    service = Service(provider)
    service.request_limits.limited.add(ALICE.tenant_id)
    service.request_limits.refusal = LimitReached("Used up.", retry_after_s=1.5)

    with pytest.raises(LimitReached):
        await service.embed("one", model="nobody/has-this")

    (refused,) = service.store.settled
    assert (refused.error_code, refused.model) == (ErrorCode.RATE_LIMITED, "")
    assert provider.asked == []
