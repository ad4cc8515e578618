"""Looking into the cache: by key, then by meaning; in time, or as if there were none."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, TypeVar

import structlog

from assistant.domain.cache import (
    CacheEntry,
    CacheLevel,
    CacheLookup,
    CacheOutcome,
    CacheVerdict,
    Landing,
    Lead,
)
from assistant.domain.ports import CacheStore, Clock, Embedder, FlightStore, Telemetry, Vector
from assistant.errors import AssistantError
from assistant.services.cache_keys import TEXT_SEPARATOR, Question
from assistant.services.embedding_budget import EmbeddingBudget
from assistant.services.wording import Guard, Wording, failing_guard, read_wording

log = structlog.get_logger(__name__)

T = TypeVar("T")

Admits = Callable[[CacheEntry], Awaitable[bool]]

# The nearest may be forbidden by a guard where the next is the same question.
_NEAREST = 5
# Embedding takes 6 ms on an idle core; beyond this the model is asked without.
_EMBEDDING_TIMEOUT_S = 0.25
# The time limit is waited in so many parts: each lets the event loop pass once more, so that a
# database that has answered is not called late because this process was busy.
_PARTS = 4

REPORTED = "REPORTED"
"""The guard that remembers what was reported, or found by comparing, to be another question."""


@dataclass(frozen=True, slots=True)
class Similar:
    """What was found by meaning: ``entry`` is None for a miss; ``vector`` is the question's."""

    entry: CacheEntry | None
    verdict: CacheVerdict
    vector: Vector | None = None


class CacheReader:
    """Looks into the shared cache. Whatever is wrong there, nobody who asks is failed by it."""

    def __init__(
        self,
        *,
        store: CacheStore,
        flights: FlightStore,
        embedder: Embedder,
        clock: Clock,
        telemetry: Telemetry,
        timeout_s: float,
    ) -> None:
        """``timeout_s`` bounds each look into the database."""
        self._store = store
        self._flights = flights
        self._embedder = embedder
        self._clock = clock
        self._telemetry = telemetry
        self._timeout_s = timeout_s
        self._budget = EmbeddingBudget(clock)
        self._late: set[asyncio.Task[None]] = set()

    async def find(self, question: Question) -> CacheEntry | None:
        """The entry of the very same request."""
        found, outcome, started = await self._look(self._store.find(question.key))
        self._count(CacheLevel.EXACT, outcome or _outcome(found), started)
        return found

    async def find_or_lead(self, question: Question) -> CacheEntry | Lead | None:
        """As ``find``; else whether the caller asks for the answer. None: nobody could say."""
        flight = question.flight

        def give_back(late: CacheEntry | Lead | None) -> None:
            # Whoever wanted to lead has asked without; others must not wait for it.
            if late is Lead.OURS:
                task = asyncio.create_task(_ignoring(self._flights.land(flight, Landing())))
                self._late.add(task)
                task.add_done_callback(self._late.discard)

        found, outcome, started = await self._look(
            self._store.find_or_lead(question.key, flight), give_back
        )
        entry = found if isinstance(found, CacheEntry) else None
        self._count(CacheLevel.EXACT, outcome or _outcome(entry), started)
        return found

    async def find_similar(self, question: Question, admits: Admits, *, asking: int = 1) -> Similar:
        """The nearest entry that asks the same in other words, and whose model ``admits`` lets in.

        ``asking``: so many requests are under way, this one included.
        """
        key = question.key
        if key.wording is None:
            return Similar(None, _miss("It is not kept yet; only the very same request would do."))
        wording = read_wording(key.wording)
        vector, why_not = await self._embed(wording, asking)
        if vector is None:
            return Similar(None, _miss(f"It is not kept yet{why_not}"))
        found, failure, started = await self._look(self._store.find_similar(key, vector, _NEAREST))
        if found is None:
            self._count(CacheLevel.SEMANTIC, failure or CacheLookup.ERROR, started)
            return Similar(None, _miss("It is not kept yet; the cache did not answer."), vector)
        entry, verdict = await self._choose(question, wording, found, admits)
        self._count(CacheLevel.SEMANTIC, _outcome(entry), started)
        return Similar(entry, verdict, vector)

    async def vector_of(self, question: Question, *, asking: int = 1) -> Vector | None:
        """By what ``question`` is to be found in other words; None where it is not to be."""
        wording = question.key.wording
        return None if wording is None else (await self._embed(read_wording(wording), asking))[0]

    async def _embed(self, wording: Wording, asking: int) -> tuple[Vector | None, str]:
        """The vector that reflects the whole text, else why there is none."""
        text = wording.canonical
        if not self._budget.allows(asking):
            self._count(CacheLevel.SEMANTIC, CacheLookup.SKIPPED, self._clock.monotonic())
            return None, "; there was too much to do to look by meaning."
        started = self._clock.monotonic()
        try:
            if not text or not self._embedder.covers(text):
                return None, ", and is too long to be found by meaning."
            async with asyncio.timeout(_EMBEDDING_TIMEOUT_S):
                return (await self._embedder.embed([text]))[0], ""
        except TimeoutError:
            outcome = CacheLookup.TIMEOUT
        except AssistantError:
            outcome = CacheLookup.ERROR
        except Exception:
            log.exception("wording_not_embedded")
            outcome = CacheLookup.ERROR
        finally:
            self._budget.spend(self._clock.monotonic() - started)
        self._count(CacheLevel.SEMANTIC, outcome, started)
        return None, ", and could not be embedded in time."

    async def _choose(
        self,
        question: Question,
        wording: Wording,
        nearest: Sequence[tuple[CacheEntry, float]],
        admits: Admits,
    ) -> tuple[CacheEntry | None, CacheVerdict]:
        """The first of ``nearest`` that nothing is to be said against; else what, of the nearest."""
        digest = wording_digest(wording)
        missed: CacheVerdict | None = None
        for entry, similarity in nearest:
            least = max(question.settings.min_similarity, entry.min_similarity)
            guard, reason = await self._objection(
                question, wording, entry, similarity, least, admits
            )
            verdict = CacheVerdict(
                CacheOutcome.SEMANTIC if reason is None else CacheOutcome.MISS,
                reason or "The same was asked in other words.",
                similarity=similarity,
                min_similarity=least,
                age_ms=age_ms(entry, self._clock),
                guard=guard,
                source_id=entry.id,
                wording=digest,
            )
            if reason is None:
                return entry, verdict
            missed = missed or verdict
        return None, missed or _miss("Nothing that asks the like is kept.")

    async def _objection(
        self,
        question: Question,
        wording: Wording,
        entry: CacheEntry,
        similarity: float,
        least: float,
        admits: Admits,
    ) -> tuple[str | None, str | None]:
        """The guard that forbids ``entry`` to answer, if one does, and why it must not, if so."""
        if similarity < least:
            return None, f"The nearest question is not near enough: {similarity:.4f} < {least:.4f}."
        if wording_digest(wording) in entry.rejected:
            return REPORTED, "The nearest question was found to be another one before."
        guard = _failing_guard(wording, question.key.wording or "", entry.key.wording or "")
        if guard is not None:
            return guard.value, f"The nearest question differs in what matters ({guard.value})."
        if not await admits(entry):
            return None, "The nearest question was answered by a model that is not the one to ask."
        return None, None

    # ---------------------------------------------------------------------- in time

    async def _look(
        self,
        work: Coroutine[Any, Any, T],
        if_late: Callable[[T], None] | None = None,
    ) -> tuple[T | None, CacheLookup | None, float]:
        """What ``work`` returns, what went wrong instead, and when it was begun."""
        started = self._clock.monotonic()
        task = asyncio.ensure_future(work)

        def end_late(late: asyncio.Task[T]) -> None:
            if not late.cancelled() and late.exception() is None and if_late is not None:
                if_late(late.result())

        try:
            for _ in range(_PARTS):
                done, _ = await asyncio.wait([task], timeout=self._timeout_s / _PARTS)
                if done:
                    return task.result(), None, started
        except AssistantError:
            return None, CacheLookup.ERROR, started
        except asyncio.CancelledError:
            task.add_done_callback(end_late)
            raise
        except Exception:
            # A row that another version has written, say: a defect, but not of who asks.
            log.exception("cache_not_read")
            return None, CacheLookup.ERROR, started
        # Not cancelled: that would take the server's consent, which may be what is missing.
        task.add_done_callback(end_late)
        return None, CacheLookup.TIMEOUT, started

    def _count(self, level: CacheLevel, outcome: CacheLookup, started: float) -> None:
        self._telemetry.cache_looked_up(level, outcome, self._clock.monotonic() - started)


async def _ignoring(work: Awaitable[None]) -> None:
    with suppress(AssistantError):
        await work


def _failing_guard(wording: Wording, asked: str, answered: str) -> Guard | None:
    """The guard that objects. Of several texts each is compared: no word may change its place."""
    ours, theirs = asked.split(TEXT_SEPARATOR), answered.split(TEXT_SEPARATOR)
    if len(ours) == 1:
        return failing_guard(wording, read_wording(answered))
    pairs = zip(ours, theirs, strict=True)
    guards = (failing_guard(read_wording(one), read_wording(other)) for one, other in pairs)
    return next((guard for guard in guards if guard is not None), None)


def wording_digest(wording: Wording) -> bytes:
    """What a wording is remembered by that an entry must not answer again."""
    return sha256(wording.canonical.encode("utf-8", "replace")).digest()


def _outcome(found: CacheEntry | None) -> CacheLookup:
    return CacheLookup.MISS if found is None else CacheLookup.HIT


def _miss(reason: str) -> CacheVerdict:
    return CacheVerdict(CacheOutcome.MISS, reason)


def age_ms(entry: CacheEntry, clock: Clock) -> int:
    """How long ago the answer was made; 0 where the clocks disagree."""
    return max(0, round(1000 * (clock.now() - entry.created_at).total_seconds()))
