"""Of what use kept answers are: counted, and looked after where they grow old or may be wrong."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass
from uuid import UUID

from assistant.domain.cache import CacheEntry, CacheOutcome, CacheVerdict
from assistant.domain.completion import CompletionRequest
from assistant.domain.ports import CacheStore, Clock
from assistant.domain.prompt import RenderedPrompt
from assistant.errors import StorageUnavailable
from assistant.services.cache_keys import settings_of

_COUNT_INTERVAL_S = 1.0
_MOST_FOLLOW_UPS = 1_000
# Entries whose hits wait for a database that is away; older ones are given up.
_MOST_UNTOLD = 10_000


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


class CacheUses:
    """Takes note of hits. Nobody waits for what comes of it."""

    def __init__(self, store: CacheStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._hits: Counter[tuple[str, UUID]] = Counter()
        self.follow_ups: asyncio.Queue[FollowUp] = asyncio.Queue(_MOST_FOLLOW_UPS)
        """Hits that are to be looked after; when it is full, more are left as they are."""

    def count(
        self,
        request: CompletionRequest,
        prompt: RenderedPrompt,
        kept: CacheEntry,
        verdict: CacheVerdict,
    ) -> None:
        """``kept`` has answered ``request``."""
        self._hits[kept.key.tenant_id, kept.id] += 1
        is_old = kept.fresh_until <= self._clock.now()
        if (is_old or verdict.outcome is CacheOutcome.SEMANTIC) and not self.follow_ups.full():
            base = settings_of(prompt).min_similarity
            self.follow_ups.put_nowait(FollowUp(request, kept, verdict, base))

    async def keep_counting(self) -> None:
        """Tell the database every second, until cancelled. Raises StorageUnavailable."""
        while True:
            await asyncio.sleep(_COUNT_INTERVAL_S)
            await self.flush()

    async def flush(self) -> None:
        """Tell the database now; what it does not take is told the next time.

        Raises: StorageUnavailable.
        """
        hits, self._hits = self._hits, Counter()
        if not hits:
            return
        try:
            await self._store.count_hits(hits)
        except StorageUnavailable:
            if len(self._hits) < _MOST_UNTOLD:
                self._hits.update(hits)
            raise
