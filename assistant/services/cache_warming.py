"""Warming: what is asked most is asked again before it would be forgotten."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import structlog

from assistant.domain.cache import CachePolicy
from assistant.domain.ports import CacheUpkeepStore, Clock
from assistant.errors import AssistantError
from assistant.services.cache_follow_ups import Complete

log = structlog.get_logger(__name__)

WARMING_FEATURE = "cache-warming"
"""What usage is reported by that nobody waited for."""

_HORIZON = timedelta(days=1)
_MOST_PROMPTS = 10
_MOST_ENTRIES = 10
# Live traffic comes first: each request waits for a moment in which hardly any other runs.
_FEW_COMPLETIONS = 4
_PAUSE_S = 1.0
_MOST_PAUSES = 60


class CacheWarming:
    """Asks again, one request at a time, for whoever asked it first; theirs are budget and scope."""

    def __init__(
        self,
        store: CacheUpkeepStore,
        complete: Complete,
        running: Callable[[], int],
        clock: Clock,
    ) -> None:
        """``running`` is how many completions run in this process now."""
        self._store = store
        self._complete = complete
        self._running = running
        self._clock = clock

    async def run(self) -> str:
        """``warm``, in words."""
        warmed, failed = await self.warm()
        return f"{warmed} answers made anew, {failed} failed"

    async def warm(self) -> tuple[int, int]:
        """How many entries were made anew, and how many could not be. Stops while we are busy.

        Running it again finds what is left: what was made anew no longer expires soon.

        Raises: StorageUnavailable.
        """
        before = self._clock.now() + _HORIZON
        tasks = await self._store.list_warming(before, _MOST_PROMPTS, _MOST_ENTRIES)
        warmed = failed = 0
        for task in tasks:
            if not await self._is_quiet():
                log.info("cache_warming_gave_way", warmed=warmed, left=len(tasks) - warmed - failed)
                break
            request = replace(task.request, cache=CachePolicy.REFRESH, feature=WARMING_FEATURE)
            try:
                await self._complete(request)
                warmed += 1
            except AssistantError as error:
                failed += 1
                log.info("cache_warming_failed", entry_id=str(task.entry_id), code=error.code.value)
        return warmed, failed

    async def _is_quiet(self) -> bool:
        for _ in range(_MOST_PAUSES):
            if self._running() <= _FEW_COMPLETIONS:
                return True
            await asyncio.sleep(_PAUSE_S)
        return False
