"""The cache: a request is answered by what is kept, or once for everybody who asks it now."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from datetime import timedelta
from decimal import Decimal
from typing import Any, TypeAlias
from uuid import UUID

import structlog

from assistant.domain.cache import (
    CachedAnswer,
    CacheEntry,
    CacheKey,
    CacheLevel,
    CacheLookup,
    CacheOutcome,
    CachePolicy,
    CacheVerdict,
    Landing,
    Lead,
)
from assistant.domain.completion import (
    CompletionRequest,
    CompletionRestarted,
    CompletionStarted,
    FinishReason,
    ProgressEvent,
    ReasoningDelta,
    TextDelta,
)
from assistant.domain.ports import (
    CacheStore,
    Clock,
    Embedder,
    FlightStore,
    ModelCatalog,
    Telemetry,
    Vector,
)
from assistant.domain.prompt import RenderedPrompt
from assistant.errors import (
    AssistantError,
    ErrorCode,
    StorageUnavailable,
    TimeLimitReached,
    error_of,
)
from assistant.services.cache_keys import (
    Question,
    exact_key_of,
    question_of,
    settings_of,
    why_not_kept,
)
from assistant.services.cache_memory import CacheMemory
from assistant.services.cache_reader import CacheReader, age_ms
from assistant.services.flights import Flight, Found, pieces
from assistant.services.ledger import LedgerEntry
from assistant.services.routing import Router, Standing
from assistant.services.selection import parameters_of
from assistant.services.work import Emit

log = structlog.get_logger(__name__)

Ask: TypeAlias = Callable[[LedgerEntry, Emit], Awaitable[None]]
"""Fills an entry with a model's answer, and emits as ``Completions.complete`` does."""

# Of its life an entry is fresh for so long; after that, who is answered by it has it made anew.
_FRESH_SHARE = 0.8
_LONGEST_KEPT_REQUEST = 16_000
_COUNT_INTERVAL_S = 1.0
_MOST_FOLLOW_UPS = 1_000
# Leaders on other replicas that are waited for, one after the other.
_MOST_LEADERS = 3


@dataclass(frozen=True, slots=True)
class CacheLimits:
    """``ttl_s`` counts where a prompt does not say; times in seconds, sizes in bytes."""

    is_on: bool = True
    ttl_s: int = 300
    lookup_timeout_s: float = 0.02
    max_entry_bytes: int = 262_144
    memory_bytes: int = 33_554_432


@dataclass(frozen=True, slots=True)
class FollowUp:
    """A hit behind which the model is to be asked all the same.

    ``hit`` is what was given; it is to be compared where ``verdict`` is SEMANTIC, and to be
    replaced where it is EXACT. ``base`` is the similarity that the prompt asks for.
    """

    request: CompletionRequest
    hit: CacheEntry
    verdict: CacheVerdict
    base: float


class Cache:
    """Answers requests, with or without a model.

    In memory, then the very same request in the database, then one that asks the same in other
    words. Where all that is in vain, a model is asked once for everybody who asks the same at that
    time, on whatever replica. Without its database there is no cache, and requests go on.
    """

    def __init__(
        self,
        *,
        store: CacheStore,
        flights: FlightStore,
        embedder: Embedder,
        router: Router,
        clock: Clock,
        telemetry: Telemetry,
        limits: CacheLimits,
    ) -> None:
        self._store = store
        self._remote_flights = flights
        self._embedder = embedder
        self._router = router
        self._clock = clock
        self._telemetry = telemetry
        self._limits = limits
        self._reader = CacheReader(
            store=store,
            flights=flights,
            embedder=embedder,
            clock=clock,
            telemetry=telemetry,
            timeout_s=limits.lookup_timeout_s,
        )
        self._memory = CacheMemory(clock, limits.memory_bytes)
        self._flights: dict[bytes, Flight] = {}
        self._hits: Counter[tuple[str, UUID]] = Counter()
        self._behind: set[asyncio.Task[None]] = set()
        self.follow_ups: asyncio.Queue[FollowUp] = asyncio.Queue(_MOST_FOLLOW_UPS)
        """Hits that are to be looked after; when it is full, more are left as they are."""

    async def answer(
        self, entry: LedgerEntry, catalog: ModelCatalog, emit: Emit, ask: Ask, *, streamed: bool
    ) -> None:
        """Fill ``entry`` with a kept answer, else with a model's, which is kept.

        Raises: whatever ``ask`` does.
        """
        assert entry.prompt is not None
        why = self._why_not(entry.request, entry.prompt)
        if why is not None:
            entry.verdict = CacheVerdict(CacheOutcome.BYPASSED, why)
            await ask(entry, emit)
            return
        exact = exact_key_of(entry.request, entry.prompt)
        if await self._recall(exact, entry, catalog):
            if streamed:
                await _tell(entry, emit)
            return
        question = question_of(
            entry.request,
            entry.prompt,
            exact,
            entry.id,
            self._embedder.id,
            has_rules=bool(catalog.rules),
        )
        flight = self._flights.get(question.flight.key)
        if flight is None or flight.is_over:
            flight = self._begin(question, entry, catalog, ask)
        await flight.ride(entry, emit if streamed else None)

    async def explain(
        self, request: CompletionRequest, prompt: RenderedPrompt, catalog: ModelCatalog
    ) -> CacheVerdict:
        """What ``answer`` would do with ``request`` now. Asks no model and leads nobody."""
        why = self._why_not(request, prompt)
        if why is not None:
            return CacheVerdict(CacheOutcome.BYPASSED, why)
        question = question_of(
            request,
            prompt,
            exact_key_of(request, prompt),
            self._clock.new_id(),
            self._embedder.id,
        )
        if request.cache is CachePolicy.REFRESH:
            return _REFRESHED
        admits = self._admits(request, prompt, catalog)
        found = await self._reader.find(question)
        if found is not None and await admits(found):
            return self._exact(found)
        return (await self._reader.find_similar(question, admits)).verdict

    def forget(self, tenant_id: str | None = None, exact: bytes | None = None) -> None:
        """Look again into the database for one entry, all of a tenant's, or everything."""
        self._memory.forget(tenant_id, exact)

    @property
    def memory_bytes(self) -> int:
        """What is kept in memory, roughly."""
        return self._memory.size_bytes

    async def keep_counting(self) -> None:
        """Tell the database how often entries were of use, every second, until cancelled."""
        while True:
            await asyncio.sleep(_COUNT_INTERVAL_S)
            hits, self._hits = self._hits, Counter()
            if hits:
                await self._store.count_hits(hits)

    async def drain(self, timeout_s: float) -> None:
        """Wait for what is still being kept, at most so long."""
        if self._behind:
            await asyncio.wait(self._behind, timeout=timeout_s)

    def _why_not(self, request: CompletionRequest, prompt: RenderedPrompt) -> str | None:
        return why_not_kept(request, prompt) if self._limits.is_on else "The cache is switched off."

    # ------------------------------------------------------------------------ kept answers

    async def _recall(self, exact: CacheKey, entry: LedgerEntry, catalog: ModelCatalog) -> bool:
        """Whether ``entry`` could be filled from memory."""
        request, prompt = entry.request, entry.prompt
        assert prompt is not None
        if request.cache is CachePolicy.REFRESH:
            return False
        started = self._clock.monotonic()
        found = self._memory.find(exact)
        kept = found.entry if found is not None else None
        # What rules look at is not in the key: the right model of one request may be another's wrong.
        if (
            found is not None
            and kept is not None
            and (found.catalog is not catalog or catalog.rules)
        ):
            standing = await self._router.standing(kept.answer.model, request, prompt, catalog)
            if standing is Standing.WORSE:
                kept = None
            elif standing is Standing.BEST:
                found.catalog = catalog
        outcome = CacheLookup.MISS if kept is None else CacheLookup.HIT
        self._telemetry.cache_looked_up(
            CacheLevel.MEMORY, outcome, self._clock.monotonic() - started
        )
        if kept is None:
            return False
        verdict = self._exact(kept)
        entry.take(kept.answer, catalog.models[kept.answer.model], verdict)
        self._count_use(request, prompt, kept, verdict)
        return True

    def _exact(self, kept: CacheEntry) -> CacheVerdict:
        return CacheVerdict(
            CacheOutcome.EXACT,
            "The same was asked before.",
            age_ms=age_ms(kept, self._clock),
            source_id=kept.id,
        )

    def _admits(
        self, request: CompletionRequest, prompt: RenderedPrompt, catalog: ModelCatalog
    ) -> Callable[[CacheEntry], Awaitable[bool]]:
        """Whether an entry is as good as what the request would get now from a model."""

        async def admits(kept: CacheEntry) -> bool:
            standing = await self._router.standing(kept.answer.model, request, prompt, catalog)
            return standing is not Standing.WORSE

        return admits

    def _count_use(
        self,
        request: CompletionRequest,
        prompt: RenderedPrompt,
        kept: CacheEntry,
        verdict: CacheVerdict,
    ) -> None:
        """Take note that ``kept`` was of use, and see to it that it is looked after."""
        self._hits[kept.key.tenant_id, kept.id] += 1
        is_old = kept.fresh_until <= self._clock.now()
        if (is_old or verdict.outcome is CacheOutcome.SEMANTIC) and not self.follow_ups.full():
            self.follow_ups.put_nowait(
                FollowUp(request, kept, verdict, settings_of(prompt).min_similarity)
            )

    # ------------------------------------------------------------------------ one flight

    def _begin(
        self,
        question: Question,
        entry: LedgerEntry,
        catalog: ModelCatalog,
        ask: Ask,
    ) -> Flight:
        flights, key = self._flights, question.flight.key

        async def find_out(flight: Flight) -> Found:
            return await self._find_out(flight, question, catalog, ask)

        flight = flights[key] = Flight(entry, find_out)

        def forget() -> None:
            if flights.get(key) is flight:
                del flights[key]

        flight.on_end(forget)
        return flight

    async def _find_out(
        self, flight: Flight, question: Question, catalog: ModelCatalog, ask: Ask
    ) -> Found:
        """A kept answer, another replica's, or a model's; told to all who are aboard."""
        request, prompt = flight.draft.request, flight.draft.prompt
        assert prompt is not None
        if request.cache is CachePolicy.REFRESH:
            vector = await self._reader.vector_of(question, asking=len(self._flights))
            return await self._ask(flight, question, ask, _REFRESHED, vector, catalog)
        admits = self._admits(request, prompt, catalog)
        for _ in range(_MOST_LEADERS):
            forgotten = self._memory.forgotten
            found = await self._reader.find_or_lead(question)
            if isinstance(found, CacheEntry) and await admits(found):
                if forgotten == self._memory.forgotten:
                    self._memory.put(found, None)
                return await self._give(flight, found, self._exact(found), catalog)
            if found is not Lead.ANOTHERS:
                break
            heard = await self._listen(flight, question, catalog)
            if heard is not None:
                return heard
        # Who has waited for several in vain asks without: nobody can say what is wrong there.
        is_led = found is Lead.OURS
        landing: Landing | None = Landing()
        if is_led:
            self._remote_flights.lead(question.flight, flight.events)
        try:
            similar = await self._reader.find_similar(question, admits, asking=len(self._flights))
            if similar.entry is not None:
                # Others find it by themselves: it is a hit for them as well.
                return await self._give(flight, similar.entry, similar.verdict, catalog)
            result = await self._ask(
                flight, question, ask, similar.verdict, similar.vector, catalog, is_led=is_led
            )
            landing = None  # follows when it is kept
            return result
        except AssistantError as error:
            landing = Landing(error=error.to_json())
            raise
        finally:
            if is_led and landing is not None:
                self._do_behind(self._remote_flights.land(question.flight, landing))

    async def _give(
        self,
        flight: Flight,
        kept: CacheEntry,
        verdict: CacheVerdict,
        catalog: ModelCatalog,
    ) -> Found:
        """A kept answer, to everybody aboard."""
        draft = flight.draft
        model = catalog.models[kept.answer.model]
        assert draft.prompt is not None
        self._count_use(draft.request, draft.prompt, kept, verdict)
        draft.take(kept.answer, model, verdict)
        await _tell_all(flight)
        return Found(kept.answer, model, verdict)

    async def _ask(
        self,
        flight: Flight,
        question: Question,
        ask: Ask,
        verdict: CacheVerdict,
        vector: Vector | None,
        catalog: ModelCatalog,
        *,
        is_led: bool = False,
    ) -> Found:
        """A model's answer, kept where it may be."""
        draft = flight.draft
        draft.verdict = verdict
        await ask(draft, _going_on(flight))
        assert draft.model is not None and draft.finish_reason is not None
        answer = _answer_of(draft)
        coalesced = CacheVerdict(
            CacheOutcome.COALESCED,
            "The same was being asked: one call of a model has answered both.",
            source_id=draft.id,
        )
        kept = self._entry(question, draft, answer, vector)
        if kept is not None:
            is_best = draft.route is not None and draft.model is draft.route.candidates[0].model
            self._memory.put(kept, catalog if is_best else None)
        landing = Landing(answer, source_id=draft.id) if is_led else None
        self._do_behind(self._keep(question, kept, landing))
        return Found(answer, draft.model, coalesced, verdict)

    def _entry(
        self, question: Question, draft: LedgerEntry, answer: CachedAnswer, vector: Vector | None
    ) -> CacheEntry | None:
        """What is kept of an answer; None where it must not answer anybody else."""
        is_whole = answer.finish_reason is FinishReason.STOP and not draft.tool_calls
        size = len(answer.text.encode("utf-8", "replace")) + len(answer.reasoning)
        if not is_whole or not answer.text or size > self._limits.max_entry_bytes:
            return None
        ttl_s = self._limits.ttl_s if question.settings.ttl_s is None else question.settings.ttl_s
        now = self._clock.now()
        request, prompt = draft.request, draft.prompt
        assert prompt is not None
        said = sum(len(message.content) for message in prompt.messages)
        return CacheEntry(
            id=draft.id,
            key=question.key
            if vector is not None
            else replace(question.key, scope=None, wording=None),
            answer=answer,
            created_at=draft.created_at,
            fresh_until=now + timedelta(seconds=_FRESH_SHARE * ttl_s),
            expires_at=now + timedelta(seconds=ttl_s),
            min_similarity=question.settings.min_similarity,
            vector=vector,
            prompt_name=prompt.prompt.name if prompt.prompt else None,
            prompt_version_id=prompt.version.id if prompt.version else None,
            request=request if said <= _LONGEST_KEPT_REQUEST else None,
        )

    async def _keep(
        self, question: Question, kept: CacheEntry | None, landing: Landing | None
    ) -> None:
        """Keep first, then land: whoever asks meanwhile finds the one or the other."""
        try:
            if kept is not None:
                await self._store.keep(kept)
        finally:
            if landing is not None:
                await self._remote_flights.land(question.flight, landing)

    def _do_behind(self, work: Coroutine[Any, Any, None]) -> None:
        """Nobody waits for it, and nobody is failed by it."""

        async def do() -> None:
            try:
                await work
            except StorageUnavailable as error:
                log.warning("answer_not_kept", reason=error.message)
            except Exception:
                log.exception("answer_not_kept")

        task = asyncio.create_task(do())
        self._behind.add(task)
        task.add_done_callback(self._behind.discard)

    # --------------------------------------------------------------- another replica's flight

    async def _listen(
        self, flight: Flight, question: Question, catalog: ModelCatalog
    ) -> Found | None:
        """The answer that another replica is being given; None where it gives up, or dies.

        Raises: the error that it met.
        """
        draft = flight.draft
        started = self._clock.monotonic()
        # What has been told of a flight that came to nothing is void: the next one begins anew.
        emit = _going_on(flight)
        landing = Landing()
        try:
            async with (
                asyncio.timeout_at(self._deadline_of(draft)),
                aclosing(self._remote_flights.follow(question.flight)) as events,
            ):
                async for event in events:
                    if isinstance(event, Landing):
                        landing = event
                        break
                    await emit(event)
        except StorageUnavailable:
            return None
        except TimeoutError:
            raise TimeLimitReached(
                "The same was being asked on another replica, and was not answered in time. Raise "
                "parameters.timeoutMs, or ask for fewer tokens."
            ) from None
        finally:
            draft.provider_intervals.append((started, self._clock.monotonic()))
        if landing.error is not None:
            raise error_of(landing.error)
        if landing.answer is None or landing.answer.model not in catalog.models:
            return None
        verdict = CacheVerdict(
            CacheOutcome.COALESCED,
            "The same was being asked on another replica: one call of a model has answered both.",
            source_id=landing.source_id,
        )
        model = catalog.models[landing.answer.model]
        draft.take(landing.answer, model, verdict)
        await _tell_all(flight)
        return Found(landing.answer, model, verdict)

    def _deadline_of(self, draft: LedgerEntry) -> float | None:
        """Until when the caller waits. The time goes on if a model has to be asked after all."""
        assert draft.prompt is not None
        timeout_ms = parameters_of(draft.request, draft.prompt).timeout_ms
        if draft.deadline_at is None and timeout_ms is not None:
            draft.deadline_at = asyncio.get_running_loop().time() + timeout_ms / 1000
        return draft.deadline_at


_REFRESHED = CacheVerdict(CacheOutcome.BYPASSED, "The request asked for a new answer, to be kept.")


def _going_on(flight: Flight) -> Emit:
    """The flight's emit, for an answer that may begin after another one of which some was told."""
    if not flight.events:
        return flight.emit

    async def emit(event: ProgressEvent) -> None:
        if isinstance(event, CompletionStarted):
            event = CompletionRestarted(event.model, ErrorCode.STREAM_INTERRUPTED)
        await flight.emit(event)

    return emit


async def _tell_all(flight: Flight) -> None:
    """The answer that is there, but for what has been told of it; anew where that was another's."""
    draft = flight.draft
    assert draft.model is not None
    if not flight.events:
        await _tell(draft, flight.emit, is_whole=True)
    elif _told(flight.events) != "".join(draft.text):
        await flight.emit(CompletionRestarted(draft.model.id, ErrorCode.STREAM_INTERRUPTED))
        await flight.emit(TextDelta("".join(draft.text)))


def _told(events: Sequence[ProgressEvent]) -> str:
    """The text that stands after ``events``."""
    texts: list[str] = []
    for event in events:
        if isinstance(event, CompletionRestarted):
            texts.clear()
        elif isinstance(event, TextDelta):
            texts.append(event.text)
    return "".join(texts)


async def _tell(entry: LedgerEntry, emit: Emit, *, is_whole: bool = False) -> None:
    """The events of an answer that is there already: as of one that is being made, but at once."""
    assert entry.model is not None
    version = entry.prompt.version if entry.prompt else None
    version_id = version.id if version else None
    await emit(CompletionStarted(entry.id, entry.model.id, version_id, entry.created_at))
    for thought in entry.reasoning:
        await emit(ReasoningDelta(thought))
    text = "".join(entry.text)
    for piece in (text,) if is_whole else pieces(text):
        await emit(TextDelta(piece))


def _answer_of(draft: LedgerEntry) -> CachedAnswer:
    assert draft.model is not None and draft.finish_reason is not None
    attempts = draft.attempts
    return CachedAnswer(
        text="".join(draft.text),
        finish_reason=draft.finish_reason,
        model=draft.model.id,
        json=draft.json,
        reasoning="".join(draft.reasoning),
        prompt_tokens=sum(attempt.usage.prompt_tokens for attempt in attempts),
        completion_tokens=sum(attempt.usage.completion_tokens for attempt in attempts),
        cost=sum((attempt.usage.cost for attempt in attempts), Decimal(0)),
        latency_ms=sum(attempt.latency_ms for attempt in attempts),
    )
