"""Bulkheads: a provider gets so many calls at once, the next wait in a queue of ours.

A server that queues in silence, as Ollama does, makes everybody wait and tells nobody. Here the
queue is bounded and seen, and a call that would wait for too long is told so at once.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import dataclass, field

from assistant.domain.model import ProviderConfig, ProviderKind
from assistant.domain.ports import Clock
from assistant.errors import ProviderBusy

# How much the newest call's duration counts in the running mean.
_NEWEST = 0.2
_UNKNOWN_RETRY_S = 1.0


@dataclass(frozen=True, slots=True)
class BulkheadSettings:
    """How many calls a provider takes at once whose row does not say, and how many may wait.

    ``by_kind`` counts before ``max_concurrency``.
    """

    max_concurrency: int = 256
    by_kind: Mapping[ProviderKind, int] = field(default_factory=dict)
    max_waiting: int = 1_000
    max_wait_s: float = 10.0


@dataclass(slots=True)
class Bulkhead:
    """The places of one provider."""

    limit: int
    running: int = 0
    mean_s: float | None = None
    queue: deque[asyncio.Future[None]] = field(default_factory=deque)

    @property
    def waiting(self) -> int:
        return sum(not place.done() for place in self.queue)


class Bulkheads:
    """Who may call now, and who has to wait; first come, first served."""

    def __init__(self, clock: Clock, settings: BulkheadSettings | None = None) -> None:
        self.clock = clock
        self._settings = settings or BulkheadSettings()
        self._bulkheads: dict[tuple[str, str], Bulkhead] = {}

    def of(self, config: ProviderConfig) -> Bulkhead:
        """The bulkhead of a provider, with the limit that its row says now."""
        settings = self._settings
        limit = (
            config.max_concurrency or settings.by_kind.get(config.kind) or settings.max_concurrency
        )
        key = (config.tenant_id, config.name)
        bulkhead = self._bulkheads.get(key)
        if bulkhead is None:
            bulkhead = self._bulkheads[key] = Bulkhead(limit)
        bulkhead.limit = limit
        return bulkhead

    @property
    def by_provider(self) -> dict[tuple[str, str], Bulkhead]:
        """Every bulkhead by its provider's tenant and name."""
        return self._bulkheads

    def place(self, config: ProviderConfig) -> AbstractAsyncContextManager[None]:
        """A place among the provider's calls, for as long as the block lasts.

        Raises: ProviderBusy at once where the queue is full or too slow, and after
        ``max_wait_s`` in it.
        """
        return _Place(self, config)

    async def enter(self, config: ProviderConfig) -> Bulkhead:
        """Take a place, that ``leave`` gives back. Raises as ``place`` does."""
        bulkhead = self.of(config)
        if bulkhead.queue:
            self._let_in(bulkhead)  # the limit may have been raised
        if bulkhead.running >= bulkhead.limit:
            await self._wait(bulkhead, config)
        else:
            bulkhead.running += 1
        return bulkhead

    def leave(self, bulkhead: Bulkhead, took_s: float) -> None:
        mean_s = bulkhead.mean_s
        bulkhead.mean_s = took_s if mean_s is None else mean_s + _NEWEST * (took_s - mean_s)
        bulkhead.running -= 1
        if bulkhead.queue:
            self._let_in(bulkhead)

    async def _wait(self, bulkhead: Bulkhead, config: ProviderConfig) -> None:
        """Return with a place. It is counted by who gives it, so that nobody overtakes."""
        wait_s = self._expected_wait_s(bulkhead)
        if bulkhead.waiting >= self._settings.max_waiting or wait_s > self._settings.max_wait_s:
            raise self._busy(config, bulkhead, wait_s)
        place = asyncio.get_running_loop().create_future()
        bulkhead.queue.append(place)
        try:
            async with asyncio.timeout(self._settings.max_wait_s):
                await place
        except BaseException as error:
            if place.done() and not place.cancelled():
                # Given in the very moment: it goes to the next in line.
                bulkhead.running -= 1
                self._let_in(bulkhead)
            else:
                with suppress(ValueError):  # it was passed over already
                    bulkhead.queue.remove(place)
            if isinstance(error, TimeoutError):
                wait_s = self._expected_wait_s(bulkhead)
                raise self._busy(config, bulkhead, wait_s) from error
            raise

    def _let_in(self, bulkhead: Bulkhead) -> None:
        while bulkhead.queue and bulkhead.running < bulkhead.limit:
            place = bulkhead.queue.popleft()
            if not place.done():  # else it has been given up
                bulkhead.running += 1
                place.set_result(None)

    def _expected_wait_s(self, bulkhead: Bulkhead) -> float:
        """How long the next in line will wait, as calls have lately taken; 0 where unknown."""
        return (bulkhead.waiting + 1) * (bulkhead.mean_s or 0.0) / bulkhead.limit

    def _busy(self, config: ProviderConfig, bulkhead: Bulkhead, wait_s: float) -> ProviderBusy:
        return ProviderBusy(
            f"The provider {config.name} is busy: {bulkhead.running} calls run and "
            f"{bulkhead.waiting} wait. Try again later, or name another model.",
            retry_after_s=wait_s or _UNKNOWN_RETRY_S,
        )


class _Place:
    """A block with a place. Every call has one: as a generator it was measured to take 6 us more."""

    __slots__ = ("_bulkhead", "_bulkheads", "_config", "_started")

    def __init__(self, bulkheads: Bulkheads, config: ProviderConfig) -> None:
        self._bulkheads = bulkheads
        self._config = config

    async def __aenter__(self) -> None:
        self._bulkhead = await self._bulkheads.enter(self._config)
        self._started = self._bulkheads.clock.monotonic()

    async def __aexit__(self, *_: object) -> None:
        took_s = self._bulkheads.clock.monotonic() - self._started
        self._bulkheads.leave(self._bulkhead, took_s)
