"""Finding an answer out, for everybody aboard a flight: kept, another replica's, or a model's."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from typing import TypeAlias

from assistant.domain.cache import (
    CacheEntry,
    CacheOutcome,
    CachePolicy,
    CacheVerdict,
    Landing,
    Lead,
)
from assistant.domain.completion import CompletionRequest
from assistant.domain.ports import Clock, FlightStore, ModelCatalog, Vector
from assistant.domain.prompt import RenderedPrompt
from assistant.errors import (
    AdmissionRefused,
    AssistantError,
    StorageUnavailable,
    TimeLimitReached,
    error_of,
)
from assistant.services.cache_keeper import CacheKeeper
from assistant.services.cache_keys import Question
from assistant.services.cache_memory import CacheMemory
from assistant.services.cache_reader import Admits, CacheReader, age_ms
from assistant.services.cache_uses import CacheUses
from assistant.services.flights import Flight, Found
from assistant.services.ledger_entry import LedgerEntry
from assistant.services.replay import going_on, tell_all
from assistant.services.routing import Router, Standing
from assistant.services.selection import parameters_of
from assistant.services.work import Emit

Ask: TypeAlias = Callable[[LedgerEntry, Emit], Awaitable[None]]
"""Fills an entry with a model's answer, and emits as ``Completions.complete`` does."""

REFRESHED = CacheVerdict(CacheOutcome.BYPASSED, "The request asked for a new answer, to be kept.")

# Leaders on other replicas that are waited for, one after the other.
_MOST_LEADERS = 3


class Inquiries:
    """Finds answers out. Every step that only the cache needs may fail, and is left out then."""

    def __init__(
        self,
        *,
        reader: CacheReader,
        keeper: CacheKeeper,
        memory: CacheMemory,
        uses: CacheUses,
        flights: FlightStore,
        router: Router,
        clock: Clock,
    ) -> None:
        self._reader = reader
        self._keeper = keeper
        self._memory = memory
        self._uses = uses
        self._flights = flights
        self._router = router
        self._clock = clock

    def admits(
        self, request: CompletionRequest, prompt: RenderedPrompt, catalog: ModelCatalog
    ) -> Admits:
        """Whether an entry is as good as what the request would get now from a model."""

        async def admits(kept: CacheEntry) -> bool:
            standing = await self._router.standing(kept.answer.model, request, prompt, catalog)
            return standing is not Standing.WORSE

        return admits

    async def find_out(
        self,
        flight: Flight,
        question: Question,
        catalog: ModelCatalog,
        ask: Ask,
        *,
        asking: int,
    ) -> Found:
        """A kept answer, another replica's, or a model's; told to all who are aboard.

        ``asking``: so many questions are under way, this one included.

        Raises: whatever ``ask`` does, or did on the replica that was followed.
        """
        request, prompt = flight.draft.request, flight.draft.prompt
        assert prompt is not None
        if request.cache is CachePolicy.REFRESH:
            vector = await self._reader.vector_of(question, asking=asking)
            return await self._ask(flight, question, ask, REFRESHED, vector, catalog)
        admits = self.admits(request, prompt, catalog)
        for _ in range(_MOST_LEADERS):
            forgotten = self._memory.forgotten
            found = await self._reader.find_or_lead(question)
            if isinstance(found, CacheEntry) and await admits(found):
                if forgotten == self._memory.forgotten:
                    self._memory.put(found, None)
                return await self._give(flight, found, exact_verdict(found, self._clock), catalog)
            if found is not Lead.ANOTHERS:
                break
            heard = await self._listen(flight, question, catalog)
            if heard is not None:
                return heard
        # Who has waited for several in vain asks without: nobody can say what is wrong there.
        is_led = found is Lead.OURS
        landing: Landing | None = Landing()
        if is_led:
            self._flights.lead(question.flight, flight.events)
        try:
            similar = await self._reader.find_similar(question, admits, asking=asking)
            if similar.entry is not None:
                # Others find it by themselves: it is a hit for them as well.
                return await self._give(flight, similar.entry, similar.verdict, catalog)
            result = await self._ask(
                flight, question, ask, similar.verdict, similar.vector, catalog, is_led=is_led
            )
            landing = None  # follows when it is kept
            return result
        except AdmissionRefused:
            raise  # on other replicas somebody else would pay: they ask by themselves
        except AssistantError as error:
            landing = Landing(error=error.to_json())
            raise
        finally:
            if is_led and landing is not None:
                self._keeper.land(question, landing)

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
        self._uses.count(draft.request, draft.prompt, kept, verdict)
        draft.take(kept.answer, model, verdict)
        await tell_all(flight)
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
        while True:
            try:
                await ask(draft, going_on(flight))
                break
            except AdmissionRefused as refusal:
                # It is refused to the one who pays: the next one may have more left.
                if draft.reservation.is_open or not flight.dismiss_payer(refusal):
                    raise
        answer = self._keeper.keep(question, draft, vector, catalog, is_led=is_led)
        coalesced = CacheVerdict(
            CacheOutcome.COALESCED,
            "The same was being asked: one call of a model has answered both.",
            source_id=draft.id,
        )
        assert draft.model is not None
        return Found(answer, draft.model, coalesced, verdict)

    async def _listen(
        self, flight: Flight, question: Question, catalog: ModelCatalog
    ) -> Found | None:
        """The answer that another replica is being given; None where it gives up, or dies.

        Raises: the error that it met.
        """
        draft = flight.draft
        started = self._clock.monotonic()
        # What has been told of a flight that came to nothing is void: the next one begins anew.
        emit = going_on(flight)
        landing = Landing()
        try:
            async with (
                asyncio.timeout_at(self._deadline_of(draft)),
                aclosing(self._flights.follow(question.flight)) as events,
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
        await tell_all(flight)
        return Found(landing.answer, model, verdict)

    def _deadline_of(self, draft: LedgerEntry) -> float | None:
        """Until when the caller waits. The time goes on if a model has to be asked after all."""
        assert draft.prompt is not None
        timeout_ms = parameters_of(draft.request, draft.prompt).timeout_ms
        if draft.deadline_at is None and timeout_ms is not None:
            draft.deadline_at = asyncio.get_running_loop().time() + timeout_ms / 1000
        return draft.deadline_at


def exact_verdict(kept: CacheEntry, clock: Clock) -> CacheVerdict:
    """What is said where the very same request is answered by ``kept``."""
    return CacheVerdict(
        CacheOutcome.EXACT,
        "The same was asked before.",
        age_ms=age_ms(kept, clock),
        source_id=kept.id,
    )
