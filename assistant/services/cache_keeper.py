"""Keeping answers, behind their being given: nobody waits for it, and nobody is failed by it."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass, replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import structlog

from assistant.domain.cache import CachedAnswer, CacheEntry, Landing
from assistant.domain.completion import FinishReason
from assistant.domain.ports import CacheStore, Clock, FlightStore, ModelCatalog, Vector
from assistant.errors import StorageUnavailable
from assistant.services.cache_keys import Question
from assistant.services.cache_memory import CacheMemory
from assistant.services.ledger_entry import LedgerEntry

log = structlog.get_logger(__name__)

# Of its life an entry is fresh for so long; after that, who is answered by it has it made anew.
_FRESH_SHARE = 0.8
_LONGEST_KEPT_REQUEST = 16_000
# Whoever follows elsewhere is told of the answer at the latest then, kept or not.
_KEEP_TIMEOUT_S = 1.0


@dataclass(frozen=True, slots=True)
class CacheLimits:
    """``ttl_s`` counts where a prompt does not say; times in seconds, sizes in bytes."""

    is_on: bool = True
    ttl_s: int = 300
    lookup_timeout_s: float = 0.02
    max_entry_bytes: int = 262_144
    memory_bytes: int = 33_554_432


class CacheKeeper:
    """Keeps answers in memory and in the database, and lands the flights that they were made in."""

    def __init__(
        self,
        *,
        store: CacheStore,
        flights: FlightStore,
        memory: CacheMemory,
        clock: Clock,
        limits: CacheLimits,
    ) -> None:
        self._store = store
        self._flights = flights
        self._memory = memory
        self._clock = clock
        self._limits = limits
        self._behind: set[asyncio.Task[None]] = set()

    def keep(
        self,
        question: Question,
        draft: LedgerEntry,
        vector: Vector | None,
        catalog: ModelCatalog,
        *,
        is_led: bool,
    ) -> CachedAnswer:
        """The answer in ``draft``, kept where it may answer others; the flight lands after that."""
        answer = answer_of(draft)
        kept = self._entry(question, draft, answer, vector)
        if kept is not None:
            is_best = draft.route is not None and draft.model is draft.route.candidates[0].model
            self._memory.put(kept, catalog if is_best else None)
        landing = Landing(answer, source_id=draft.id) if is_led else None
        self._do_behind(self._keep(question, kept, landing))
        return answer

    def land(self, question: Question, landing: Landing) -> None:
        """Tell whoever follows elsewhere how it ended."""
        self._do_behind(self._flights.land(question.flight, landing))

    async def drain(self, timeout_s: float) -> None:
        """Wait for what is still being kept, at most so long."""
        if self._behind:
            await asyncio.wait(self._behind, timeout=timeout_s)

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
        by_meaning = vector is not None
        return CacheEntry(
            id=draft.id,
            key=question.key if by_meaning else replace(question.key, scope=None, wording=None),
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
        keeping = asyncio.ensure_future(self._store.keep(kept)) if kept is not None else None
        try:
            if keeping is not None:
                await asyncio.wait([keeping], timeout=_KEEP_TIMEOUT_S)
        finally:
            if landing is not None:
                await self._flights.land(question.flight, landing)
        if keeping is not None:
            await keeping

    def _do_behind(self, work: Coroutine[Any, Any, None]) -> None:
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


def answer_of(draft: LedgerEntry) -> CachedAnswer:
    """What a model has answered, with what all its attempts took."""
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
