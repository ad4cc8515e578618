"""The cache: a request is answered by what is kept, or once for everybody who asks it now."""

from __future__ import annotations

from contextlib import suppress

from assistant.domain.cache import (
    CacheKey,
    CacheLevel,
    CacheLookup,
    CacheOutcome,
    CachePolicy,
    CacheVerdict,
)
from assistant.domain.completion import CompletionRequest
from assistant.domain.ports import (
    CacheStore,
    Clock,
    Embedder,
    FlightStore,
    ModelCatalog,
    Telemetry,
)
from assistant.domain.prompt import RenderedPrompt
from assistant.errors import StorageUnavailable
from assistant.services.cache_keeper import CacheKeeper, CacheLimits
from assistant.services.cache_keys import Question, exact_key_of, question_of, why_not_kept
from assistant.services.cache_memory import CacheMemory
from assistant.services.cache_reader import CacheReader
from assistant.services.cache_uses import CacheUses
from assistant.services.flights import Flight, Found
from assistant.services.inquiries import REFRESHED, Ask, Inquiries, exact_verdict
from assistant.services.ledger_entry import LedgerEntry
from assistant.services.replay import tell
from assistant.services.routing import Router, Standing
from assistant.services.selection import is_ruled
from assistant.services.work import Emit


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
        self._keeper = CacheKeeper(
            store=store, flights=flights, memory=self._memory, clock=clock, limits=limits
        )
        self._uses = CacheUses(store, clock)
        self._inquiries = Inquiries(
            reader=self._reader,
            keeper=self._keeper,
            memory=self._memory,
            uses=self._uses,
            flights=flights,
            router=router,
            clock=clock,
        )
        self._flights: dict[bytes, Flight] = {}

    @property
    def uses(self) -> CacheUses:
        """Of what use it is."""
        return self._uses

    @property
    def memory_bytes(self) -> int:
        """What is kept in memory, roughly."""
        return self._memory.size_bytes

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
                await tell(entry, emit)
            return
        question = question_of(
            entry.request,
            entry.prompt,
            exact,
            entry.id,
            self._embedder.id,
            has_rules=is_ruled(entry.request, entry.prompt, catalog),
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
            return REFRESHED
        admits = self._inquiries.admits(request, prompt, catalog)
        found = await self._reader.find(question)
        if found is not None and await admits(found):
            return exact_verdict(found, self._clock)
        return (await self._reader.find_similar(question, admits)).verdict

    def forget(self, tenant_id: str | None = None, exact: bytes | None = None) -> None:
        """Look again into the database for one entry, all of a tenant's, or everything."""
        self._memory.forget(tenant_id, exact)

    async def drain(self, timeout_s: float) -> None:
        """Wait for what is still being kept, at most so long, and count the last hits."""
        await self._keeper.drain(timeout_s)
        with suppress(StorageUnavailable):
            await self._uses.flush()

    def _why_not(self, request: CompletionRequest, prompt: RenderedPrompt) -> str | None:
        return why_not_kept(request, prompt) if self._limits.is_on else "The cache is switched off."

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
            and (found.catalog is not catalog or is_ruled(request, prompt, catalog))
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
        verdict = exact_verdict(kept, self._clock)
        entry.take(kept.answer, catalog.models[kept.answer.model], verdict)
        self._uses.count(request, prompt, kept, verdict)
        return True

    def _begin(
        self,
        question: Question,
        entry: LedgerEntry,
        catalog: ModelCatalog,
        ask: Ask,
    ) -> Flight:
        flights, key = self._flights, question.flight.key

        async def find_out(flight: Flight) -> Found:
            return await self._inquiries.find_out(
                flight, question, catalog, ask, asking=len(flights)
            )

        flight = flights[key] = Flight(entry, find_out)

        def forget() -> None:
            if flights.get(key) is flight:
                del flights[key]

        flight.on_end(forget)
        return flight
