"""The cache's stores in memory, written by hand. Two replicas are two users of one store."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from operator import attrgetter, itemgetter
from uuid import UUID

from assistant.domain.cache import (
    CacheEntry,
    CacheFigures,
    CacheKey,
    CacheSelection,
    CacheUpkeep,
    FlightEvent,
    FlightKey,
    Landing,
    Lead,
    WarmingTask,
)
from assistant.domain.completion import ProgressEvent
from assistant.domain.ports import Clock, Vector
from assistant.domain.usage import UsageWindow
from tests.unit.fakes import FakeClock

_SILENCE_S = 3.0
_MOST_REJECTED = 32


@dataclass
class FakeFlight:
    """A question that ``leader`` asks. One that ``is_led`` is heard of all the time."""

    leader: FlightKey
    heard_at: float
    events: Sequence[ProgressEvent] = ()
    landing: Landing | None = None
    is_led: bool = False
    is_followed: bool = False


@dataclass
class FakeCacheStore:
    """A CacheStore; slow, or failing, where it is told to be.

    ``calls`` are the names of the methods in the order of their calls. ``listeners`` are told
    what other replicas would be: the tenant, and the exact key or None for all of its entries.
    """

    clock: Clock = field(default_factory=FakeClock)
    entries: dict[tuple[str, UUID], CacheEntry] = field(default_factory=dict)
    flights: dict[tuple[str, bytes], FakeFlight] = field(default_factory=dict)
    hits: Counter[tuple[str, UUID]] = field(default_factory=Counter)
    listeners: list[Callable[[str, bytes | None], None]] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)
    error: Exception | None = None
    delay_s: float = 0.0

    async def find(self, key: CacheKey) -> CacheEntry | None:
        await self._answer("find")
        return self._newest(key)

    async def find_or_lead(self, key: CacheKey, flight: FlightKey) -> CacheEntry | Lead:
        await self._answer("find_or_lead")
        # Nothing is awaited from here on: at most one of all who ask is told that it leads.
        entry = self._newest(key)
        if entry is not None:
            return entry
        running = self.find_flight(flight)
        if running is not None and running.landing is None:
            running.is_followed = True
            return Lead.ANOTHERS
        self.flights[flight.tenant_id, flight.key] = FakeFlight(flight, self.clock.monotonic())
        return Lead.OURS

    async def find_similar(
        self, key: CacheKey, vector: Vector, most: int
    ) -> Sequence[tuple[CacheEntry, float]]:
        await self._answer("find_similar")
        if key.scope is None:
            return []
        found = [
            (replace(entry, vector=None), _dot(entry.vector, vector))
            for entry in self._living(key.tenant_id)
            if entry.key.scope == key.scope and entry.vector is not None
        ]
        return sorted(found, key=itemgetter(1), reverse=True)[:most]

    async def keep(self, entry: CacheEntry) -> None:
        await self._answer("keep")
        key = entry.key
        older = [
            each
            for each in self.entries.values()
            if each.key.tenant_id == key.tenant_id and each.key.exact == key.exact
        ]
        for each in older:
            del self.entries[key.tenant_id, each.id]
        # What was learnt of the old answer's questions is as true of the new one's.
        learnt = max((each.min_similarity for each in older), default=0.0)
        parted = tuple(digest for each in older for digest in each.rejected)
        self.entries[key.tenant_id, entry.id] = replace(
            entry,
            min_similarity=max(entry.min_similarity, learnt),
            rejected=(*parted, *entry.rejected),
        )
        if older:
            self._announce(key.tenant_id, key.exact)

    async def count_hits(self, hits: Mapping[tuple[str, UUID], int]) -> None:
        await self._answer("count_hits")
        self.hits.update(hits)

    async def judge(
        self, tenant_id: str, id_: UUID, min_similarity: float, rejected: bytes | None = None
    ) -> None:
        await self._answer("judge")
        entry = self.entries.get((tenant_id, id_))
        if entry is None:
            return
        all_rejected = entry.rejected
        if rejected is not None and rejected not in all_rejected:
            all_rejected = (*all_rejected, rejected)[-_MOST_REJECTED:]
        self.entries[tenant_id, id_] = replace(
            entry, min_similarity=min_similarity, rejected=all_rejected
        )
        self._announce(tenant_id, entry.key.exact)

    async def remove(self, tenant_id: str, id_: UUID) -> bool:
        await self._answer("remove")
        entry = self.entries.pop((tenant_id, id_), None)
        if entry is None:
            return False
        self._announce(tenant_id, entry.key.exact)
        return True

    async def clear(self, tenant_id: str, selection: CacheSelection) -> int:
        await self._answer("clear")
        selected = [
            entry
            for entry in self.entries.values()
            if entry.key.tenant_id == tenant_id and _is_selected(entry, selection)
        ]
        for entry in selected:
            del self.entries[tenant_id, entry.id]
        self._announce(tenant_id, None)
        return len(selected)

    async def get_entry(self, tenant_id: str, id_: UUID) -> CacheEntry | None:
        await self._answer("get_entry")
        found = (entry for entry in self._living(tenant_id) if entry.id == id_)
        return next((replace(entry, vector=None) for entry in found), None)

    def find_flight(self, flight: FlightKey) -> FakeFlight | None:
        """The flight of that key, landed or running; None where nobody has been heard of."""
        found = self.flights.get((flight.tenant_id, flight.key))
        if found is None or found.landing is not None or found.is_led:
            return found
        is_heard = self.clock.monotonic() - found.heard_at < _SILENCE_S
        return found if is_heard else None

    def _newest(self, key: CacheKey) -> CacheEntry | None:
        found = [entry for entry in self._living(key.tenant_id) if entry.key.exact == key.exact]
        if not found:
            return None
        return replace(max(found, key=attrgetter("created_at")), vector=None)

    def _living(self, tenant_id: str) -> list[CacheEntry]:
        now = self.clock.now()
        return [
            entry
            for entry in self.entries.values()
            if entry.key.tenant_id == tenant_id and entry.expires_at > now
        ]

    async def _answer(self, name: str) -> None:
        self.calls.append(name)
        if self.delay_s:
            await asyncio.sleep(self.delay_s)
        if self.error:
            raise self.error

    def _announce(self, tenant_id: str, exact: bytes | None) -> None:
        for listener in self.listeners:
            listener(tenant_id, exact)


@dataclass
class FakeFlightStore:
    """A FlightStore over the flights of ``store``; fails where it is told to."""

    store: FakeCacheStore
    error: Exception | None = None

    def lead(self, flight: FlightKey, events: Sequence[ProgressEvent]) -> None:
        found = self._find_led(flight)
        if found is not None:
            found.is_led = True
            found.events = events

    async def land(self, flight: FlightKey, landing: Landing) -> None:
        if self.error:
            raise self.error
        found = self._find_led(flight)
        if found is not None and found.is_followed:
            found.landing = landing
            found.events = tuple(found.events)
        elif found is not None:
            del self.store.flights[flight.tenant_id, flight.key]

    async def follow(self, flight: FlightKey) -> AsyncGenerator[FlightEvent, None]:
        if self.error:
            raise self.error
        followed = self.store.find_flight(flight)
        told = 0
        while followed is not None and followed is self.store.find_flight(flight):
            # Told before the landing: nothing comes after it.
            landing = followed.landing
            while told < len(followed.events):
                told += 1
                yield followed.events[told - 1]
            if landing is not None:
                yield landing
                return
            await asyncio.sleep(0.001)
        yield Landing()

    def lose(self, flight: FlightKey) -> None:
        """The leader dies without a word: it has not been heard of for long enough."""
        found = self._find_led(flight)
        assert found is not None
        found.is_led = False
        found.heard_at = self.store.clock.monotonic() - _SILENCE_S

    def _find_led(self, flight: FlightKey) -> FakeFlight | None:
        found = self.store.flights.get((flight.tenant_id, flight.key))
        return found if found is not None and found.leader.id == flight.id else None


@dataclass
class FakeCacheUpkeepStore:
    """A CacheUpkeepStore over the entries of ``store``; figures and tasks are what they are told.

    ``figures`` are by tenant, without their entries: those are counted. ``windows`` are what was
    asked for. An entry is as large as its text is long.
    """

    store: FakeCacheStore
    told: dict[str, CacheFigures] = field(default_factory=dict)
    tasks: list[WarmingTask] = field(default_factory=list)
    windows: list[UsageWindow] = field(default_factory=list)

    async def clean(self, max_bytes_per_tenant: int) -> CacheUpkeep:
        now = self.store.clock.now()
        rows = self.store.entries
        expired = [key for key, entry in rows.items() if entry.expires_at <= now]
        for key in expired:
            del rows[key]
        evicted = 0
        for tenant_id in {tenant_id for tenant_id, _ in rows}:
            theirs = [key for key in rows if key[0] == tenant_id]
            theirs.sort(key=lambda key: (self.store.hits[key], rows[key].created_at))
            size = sum(_size_of(rows[key]) for key in theirs)
            while size > max_bytes_per_tenant:
                size -= _size_of(rows.pop(theirs.pop(0)))
                evicted += 1
        return replace(await self.measure(), expired=len(expired), evicted=evicted)

    async def measure(self) -> CacheUpkeep:
        rows = self.store.entries.values()
        return CacheUpkeep(entries=len(rows), size_bytes=sum(map(_size_of, rows)))

    async def figures(self, tenant_id: str, window: UsageWindow) -> CacheFigures:
        self.windows.append(window)
        entries = [
            entry for entry in self.store.entries.values() if entry.key.tenant_id == tenant_id
        ]
        return replace(self.told.get(tenant_id, CacheFigures()), entries=len(entries))

    async def list_warming(
        self, before: datetime, prompts: int, entries: int
    ) -> Sequence[WarmingTask]:
        expiring = {entry.id for entry in self.store.entries.values() if entry.expires_at < before}
        return [task for task in self.tasks if task.entry_id in expiring]


def _is_selected(entry: CacheEntry, selection: CacheSelection) -> bool:
    return (
        selection.prompt_name in (None, entry.prompt_name)
        and selection.model in (None, entry.answer.model)
        and (selection.older_than is None or entry.created_at < selection.older_than)
    )


def _size_of(entry: CacheEntry) -> int:
    return len(entry.answer.text)


def _dot(left: Vector, right: Vector) -> float:
    return sum(a * b for a, b in zip(left, right, strict=True))
