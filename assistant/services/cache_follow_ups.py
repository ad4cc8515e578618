"""Behind the answer: entries that grow old are made anew, and semantic hits are compared at times."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import replace
from hashlib import sha256
from typing import TypeAlias
from uuid import UUID

import structlog

from assistant.domain.cache import (
    CacheKey,
    CacheOutcome,
    CachePolicy,
    FlightKey,
    Landing,
    Lead,
    ShadowVerdict,
    relaxed,
    tightened,
)
from assistant.domain.completion import Completion, CompletionRequest
from assistant.domain.ports import CacheStore, Clock, Embedder, FlightStore, Telemetry
from assistant.errors import AssistantError
from assistant.services.bounded_cache import BoundedCache
from assistant.services.cache_uses import FollowUp
from assistant.services.wording import failing_guard, read_wording

log = structlog.get_logger(__name__)

Complete: TypeAlias = Callable[[CompletionRequest], Awaitable[Completion]]

# Live traffic comes first: no more than so many at once, and none while so many completions run.
_AT_ONCE = 2
_BUSY_COMPLETIONS = 64
# Two answers of a model to one question are seldom the same words.
_SAME_ANSWER_SIMILARITY = 0.85
# Entries that are remembered to have been renewed, or tried to be.
_MOST_RENEWED = 10_000


class CacheFollowUps:
    """Asks the model again where a hit is to be looked after. What it costs, the asker pays."""

    def __init__(
        self,
        *,
        queue: asyncio.Queue[FollowUp],
        complete: Complete,
        running: Callable[[], int],
        store: CacheStore,
        flights: FlightStore,
        clock: Clock,
        embedder: Embedder,
        telemetry: Telemetry,
        chance: random.Random,
        shadow_share: float,
    ) -> None:
        """``shadow_share`` of semantic hits is compared; ``running`` says how busy we are."""
        self._queue = queue
        self._complete = complete
        self._running = running
        self._store = store
        self._flights = flights
        self._clock = clock
        self._embedder = embedder
        self._telemetry = telemetry
        self._chance = chance
        self._shadow_share = shadow_share
        self._renewed: BoundedCache[UUID, UUID] = BoundedCache(_MOST_RENEWED)

    async def watch(self) -> None:
        """Look after hits as they come, until cancelled."""
        async with asyncio.TaskGroup() as group:
            for _ in range(_AT_ONCE):
                group.create_task(self._work())

    async def _work(self) -> None:
        while True:
            follow_up = await self._queue.get()
            if self._running() < _BUSY_COMPLETIONS:
                await self.follow_up(follow_up)

    async def follow_up(self, one: FollowUp) -> None:
        """Compare a semantic hit, where chance wills it; make an old entry anew. Never raises."""
        try:
            if one.verdict.outcome is CacheOutcome.SEMANTIC:
                if self._chance.random() < self._shadow_share:
                    await self._compare(one)
            else:
                await self._renew(one)
        except AssistantError as error:
            log.info("cache_follow_up_failed", code=error.code.value, reason=error.message)
        except Exception:
            log.exception("cache_follow_up_failed")

    async def _renew(self, one: FollowUp) -> None:
        # Once for an entry: a new answer that fails, or is none to be kept, would be asked for with
        # every hit that there is until the entry expires.
        if self._renewed.get(one.hit.id) is not None:
            return
        self._renewed.put(one.hit.id, one.hit.id)
        key = one.hit.key
        # A question of its own, which nothing is ever kept for: who leads it makes the entry anew.
        renewal = sha256(b"renewal of " + key.exact).digest()
        flight = FlightKey(key.tenant_id, renewal, self._clock.new_id())
        lead = await self._store.find_or_lead(CacheKey(key.tenant_id, renewal), flight)
        if lead is not Lead.OURS:
            return
        self._flights.lead(flight, ())
        try:
            newest = await self._store.find(key)
            # Another replica may have been quicker.
            if newest is not None and newest.id == one.hit.id:
                await self._complete(_anew(one.request))
        finally:
            await self._flights.land(flight, Landing())

    async def _compare(self, one: FollowUp) -> None:
        hit, verdict = one.hit, one.verdict
        assert verdict.similarity is not None
        try:
            answer = await self._complete(_anew(one.request))
            is_same = await self._says_the_same(hit.answer.text, answer.text)
        except AssistantError:
            self._telemetry.cache_shadow_checked(ShadowVerdict.FAILED)
            raise
        tenant_id = hit.key.tenant_id
        # The model took its time: somebody else may have judged the entry meanwhile.
        now = await self._store.get_entry(tenant_id, hit.id)
        current = hit.min_similarity if now is None else now.min_similarity
        if is_same:
            self._telemetry.cache_shadow_checked(ShadowVerdict.SAME)
            least = relaxed(current, one.base)
            # A hit that would be none any more says nothing: somebody has called it wrong.
            if least < current <= verdict.similarity:
                await self._store.judge(tenant_id, hit.id, least)
        else:
            self._telemetry.cache_shadow_checked(ShadowVerdict.DIFFERENT)
            log.warning("semantic_hit_differs", entry_id=str(hit.id), similarity=verdict.similarity)
            least = tightened(current, verdict.similarity)
            await self._store.judge(tenant_id, hit.id, least, verdict.wording)

    async def _says_the_same(self, one: str, other: str) -> bool:
        """Whether two answers, which need not be the same words, say the same."""
        if " ".join(one.split()).casefold() == " ".join(other.split()).casefold():
            return True
        first, second = read_wording(one), read_wording(other)
        if failing_guard(first, second) is not None and min(len(one), len(other)) < 200:
            return False
        vectors = await self._embedder.embed([one, other])
        similarity = sum(a * b for a, b in zip(vectors[0], vectors[1], strict=True))
        return similarity >= _SAME_ANSWER_SIMILARITY


def _anew(request: CompletionRequest) -> CompletionRequest:
    return replace(request, cache=CachePolicy.REFRESH)
