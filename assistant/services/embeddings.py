"""Embeddings: texts turned into vectors by the model that was named, accounted for like answers."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from assistant.domain.caller import Scope
from assistant.domain.completion import (
    Attempt,
    AttemptOutcome,
    Completion,
    CompletionStatus,
    Decision,
    Operation,
    TokenUsage,
)
from assistant.domain.embeddings import DEFAULT_MODEL, EmbeddingsRequest
from assistant.domain.identifier import time_of
from assistant.domain.model import Model, ModelCapability, ProviderConfig
from assistant.domain.money import cost_of
from assistant.domain.ports import (
    Clock,
    Embeddings,
    LedgerStore,
    ModelCatalog,
    ProviderConnector,
    TimeLimits,
    Vector,
)
from assistant.domain.route import key_of
from assistant.domain.tokens import estimate_tokens
from assistant.errors import (
    AssistantError,
    BadUserInput,
    CompletionCancelled,
    ErrorCode,
    Forbidden,
    NotFound,
    ProviderTimeout,
    ProviderUnavailable,
)
from assistant.services.attempts import outcome_of, plausible
from assistant.services.bulkheads import Bulkheads
from assistant.services.circuits import Circuits
from assistant.services.ledger import Ledger
from assistant.services.models import Models
from assistant.services.request_limits import RequestLimits
from assistant.services.retries import Retries
from assistant.services.stakes import embedding_stake
from assistant.services.unpriced_use import UnpricedUse

# How long it is worth to wait for a provider that names a time.
_PATIENCE_S = 10.0


@dataclass(frozen=True, slots=True)
class EmbeddedTexts:
    """One L2-normalised vector per text, in order, all of the same length."""

    model: Model
    vectors: Sequence[Vector]
    usage: TokenUsage

    @property
    def dimensions(self) -> int:
        return len(self.vectors[0])


class TextEmbedding:
    """Embeds texts. What a call used is durable before its vectors are given."""

    def __init__(
        self,
        *,
        models: Models,
        connect: ProviderConnector,
        circuits: Circuits,
        bulkheads: Bulkheads,
        retries: Retries,
        ledger: Ledger,
        request_limits: RequestLimits,
        store: LedgerStore,
        clock: Clock,
        time_limits: TimeLimits,
    ) -> None:
        self._models = models
        self._connect = connect
        self._circuits = circuits
        self._bulkheads = bulkheads
        self._retries = retries
        self._ledger = ledger
        self._request_limits = request_limits
        self._store = store
        self._clock = clock
        self._time_limits = time_limits
        self._unpriced = UnpricedUse(clock)

    async def embed(self, request: EmbeddingsRequest) -> EmbeddedTexts:
        """The vectors of the request's texts, and their usage, which is recorded.

        Refusals are recorded too, as those of completions are.

        Raises: every AssistantError, StorageUnavailable where the usage cannot be recorded.
        """
        async with self._ledger.settling(_Entry(request, self._clock)) as entry:
            request.caller.require(Scope.COMPLETE)
            await self._request_limits.check(request.caller)
            request.check()
            catalog = await self._models.catalog(request.caller.tenant_id)
            model = entry.model = _choose(request.model, catalog)
            stake = embedding_stake(model, request.texts)
            await self._store.open(entry.record(CompletionStatus.RUNNING), stake)
            found = await self._call(entry, model, catalog)
        return EmbeddedTexts(model, found.vectors, entry.usage)

    async def _call(self, entry: _Entry, model: Model, catalog: ModelCatalog) -> Embeddings:
        """The provider's answer, in as many attempts as it is worth."""
        config, limits = catalog.providers[model.provider], self._time_limits
        try:
            async with asyncio.timeout(limits.total_s):
                return await self._retries.run(
                    (config.tenant_id, config.name),
                    lambda: self._attempt(entry, model, config),
                    patience_s=lambda: _PATIENCE_S,
                )
        except TimeoutError as error:
            raise ProviderTimeout(
                f"{model.id} did not finish within {limits.total_s:g} s. Send fewer texts."
            ) from error

    async def _attempt(self, entry: _Entry, model: Model, config: ProviderConfig) -> Embeddings:
        """One call of the provider, recorded in ``entry`` however it ends."""
        key = key_of(model, config)
        started = self._clock.monotonic()
        outcome = AttemptOutcome.CANCELLED
        code: ErrorCode | None = ErrorCode.CANCELLED
        usage = TokenUsage()
        try:
            self._circuits.check(key)
            async with self._bulkheads.place(config), self._circuits.guard(key):
                started = self._clock.monotonic()
                texts = entry.request.texts
                found = await self._connect(config).embed(model.name, texts, self._time_limits)
            outcome, code = AttemptOutcome.SUCCEEDED, None
            usage = _usage(model, texts, found.prompt_tokens)
            if not usage.is_priced:
                self._unpriced.note(model)
            return found
        except AssistantError as error:
            outcome, code = outcome_of(error), error.code
            raise
        finally:
            entry.attempts.append(
                Attempt(
                    provider=model.provider,
                    model=model.id,
                    outcome=outcome,
                    latency_ms=round(1000 * (self._clock.monotonic() - started)),
                    error_code=code,
                    usage=usage,
                )
            )


class _Entry:
    """What is known of one call while it runs."""

    def __init__(self, request: EmbeddingsRequest, clock: Clock) -> None:
        self.request = request
        self.id = clock.new_id()
        self.model: Model | None = None
        self.attempts: list[Attempt] = []
        self._clock = clock
        self._started = clock.monotonic()

    @property
    def usage(self) -> TokenUsage:
        return sum((attempt.usage for attempt in self.attempts), TokenUsage())

    @property
    def counted_prompt(self) -> str | None:
        return None

    def close(self, error: AssistantError | None) -> Completion:
        match error:
            case None:
                return self.record(CompletionStatus.SUCCEEDED)
            case CompletionCancelled():
                return self.record(CompletionStatus.CANCELLED, error)
            case _:
                return self.record(CompletionStatus.FAILED, error)

    def record(self, status: CompletionStatus, error: AssistantError | None = None) -> Completion:
        took_ms = 1000 * (self._clock.monotonic() - self._started)
        return Completion(
            id=self.id,
            caller=self.request.caller,
            status=status,
            created_at=time_of(self.id),
            model=self.model.id if self.model else "",
            usage=self.usage,
            decision=Decision(
                candidates=(self.model.id,) if self.model else (),
                attempts=tuple(self.attempts),
                overhead_ms=max(took_ms - sum(a.latency_ms for a in self.attempts), 0.0),
            ),
            latency_ms=round(took_ms),
            error_code=error.code if error else None,
            operation=Operation.EMBEDDINGS,
        )


def _usage(model: Model, texts: Sequence[str], reported: int | None) -> TokenUsage:
    reported = plausible(reported)
    tokens = sum(map(estimate_tokens, texts)) if reported is None else reported
    cost = cost_of(model, tokens, 0)
    return TokenUsage(
        prompt_tokens=tokens,
        is_estimated=reported is None,
        cost=Decimal(0) if cost is None else cost,
        is_priced=cost is not None,
    )


def _preference(model: Model) -> tuple[bool, bool, Decimal, int, str]:
    """Local ones come first, then what is cheaper; what has no price comes after what has one."""
    price = model.input_price
    return (
        not model.is_local,
        price is None,
        Decimal(0) if price is None else price,
        model.preference,
        model.id,
    )


def _choose(name: str, catalog: ModelCatalog) -> Model:
    """The model of that id; else of that name, local ones before others.

    Raises: NotFound, BadUserInput, Forbidden, ProviderUnavailable.
    """
    exact = catalog.models.get(name)
    named = [exact] if exact else [m for m in catalog.models.values() if m.name == name]
    embedding = [m for m in named if ModelCapability.EMBEDDING in m.capabilities]
    allowed = [m for m in embedding if m.is_allowed]
    available = [m for m in allowed if m.is_available]
    if available:
        return min(available, key=_preference)
    if allowed:
        raise ProviderUnavailable(
            f"Model '{name}' is not available now. Pull it or start its provider, or use "
            f"{DEFAULT_MODEL}."
        )
    if embedding:
        raise Forbidden(f"Model '{name}' is not allowed here. An administrator can allow it.")
    known = ", ".join(
        sorted(m.id for m in catalog.models.values() if ModelCapability.EMBEDDING in m.capabilities)
    )
    if named:
        raise BadUserInput(
            f"Model '{name}' makes no embeddings. Those that do: {known[:2_000]}.", path=("model",)
        )
    raise NotFound(f"There is no model named '{name[:80]}'. For embeddings: {known[:2_000]}.")
