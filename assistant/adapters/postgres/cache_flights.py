"""Questions that are being asked: told by the replica that asks, followed by the others.

Notifications make it quick and nothing depends on them: leaders are told that they are followed
whenever they say that they live, and followers look by themselves every quarter of a second.
"""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict
from collections.abc import AsyncGenerator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from assistant.adapters.postgres.cache_lookups import Lookups
from assistant.adapters.postgres.cache_rows import (
    LAND_FLIGHTS,
    flight_row,
    landing_of,
)
from assistant.adapters.postgres.connection import Database
from assistant.adapters.postgres.group_commit import GroupCommit
from assistant.adapters.postgres.listen import EVERYTHING, FLIGHT_CHANNEL, listen
from assistant.adapters.postgres.own_connection import OwnConnection
from assistant.adapters.postgres.stream_rows import event_of
from assistant.domain.cache import FlightEvent, FlightKey, Landing
from assistant.domain.completion import ProgressEvent

_TELL = "SELECT * FROM assistant_tell_flights(%s)"
_READ = "SELECT * FROM assistant_read_flights(%s::text[], %s::bytea[], %s::uuid[], %s::integer[])"

# Three seconds of silence and a flight is anybody's.
_LIFE_SIGN_INTERVAL_S = 1.0
_TELL_INTERVAL_S = 0.05
_LOOK_INTERVAL_S = 0.25

_READ_TIMEOUT_S = 1.0
_WRITE_TIMEOUT_S = 2.0

_Key = tuple[str, bytes]


@dataclass(slots=True, eq=False)
class _Led:
    """A flight that this process leads. ``events`` grows elsewhere; ``told`` are written."""

    flight: FlightKey
    events: Sequence[ProgressEvent]
    told: int = 0
    is_followed: bool = False

    @property
    def has_news(self) -> bool:
        return self.is_followed and len(self.events) > self.told


@dataclass(frozen=True, slots=True)
class _Read:
    """``leader`` None: it is not known yet whom to follow."""

    flight: FlightKey
    leader: UUID | None
    told: int


@dataclass(frozen=True, slots=True)
class _Landed:
    led: _Led
    landing: Landing


class PostgresFlights:
    """The FlightStore port. ``keep_flights`` and ``watch_flights`` have to run beside it."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._writer = OwnConnection(database, timeout_s=_WRITE_TIMEOUT_S)
        self._reader = OwnConnection(database, timeout_s=_READ_TIMEOUT_S)
        self._landings = GroupCommit(self._write_landings, max_group=64)
        self._reads = Lookups(self._look_up)
        self._led: dict[_Key, _Led] = {}
        self._leads = asyncio.Event()
        self._followers: defaultdict[_Key, set[asyncio.Event]] = defaultdict(set)

    async def close(self) -> None:
        """Write what waits, then disconnect."""
        await self._landings.flush()
        await self._reads.close()
        await self._writer.close()
        await self._reader.close()

    # ------------------------------------------------------------------------------ leading

    def lead(self, flight: FlightKey, events: Sequence[ProgressEvent]) -> None:
        self._led[_key(flight)] = _Led(flight, events)
        self._leads.set()

    async def land(self, flight: FlightKey, landing: Landing) -> None:
        led = self._led.get(_key(flight))
        if led is None or led.flight.id != flight.id:
            led = _Led(flight, ())
        else:
            del self._led[_key(flight)]
        await self._landings.submit(_Landed(led, landing))

    async def keep_flights(self) -> None:
        """Keep every flight that is led alive, and tell of those that are followed; for ever.

        Raises: StorageUnavailable; who runs it runs it again.
        """
        loop = asyncio.get_running_loop()
        signs_at = loop.time()
        while True:
            if not self._led:
                self._leads.clear()
                await self._leads.wait()
            await asyncio.sleep(_TELL_INTERVAL_S)
            is_due = loop.time() >= signs_at
            if is_due:
                signs_at = loop.time() + _LIFE_SIGN_INTERVAL_S
            if flights := [led for led in self._led.values() if is_due or led.has_news]:
                await self._tell(flights)

    async def _tell(self, flights: Sequence[_Led]) -> None:
        ends = [len(led.events) if led.is_followed else led.told for led in flights]
        rows = [
            flight_row(led.flight, led.told, led.events[led.told : end])
            for led, end in zip(flights, ends, strict=True)
        ]
        told = await self._writer.fetch(_TELL, (json.dumps(rows),))
        followed = {row.id: row.is_followed for row in told}
        for led, end in zip(flights, ends, strict=True):
            led.told = end
            # Absent where another replica leads it by now: then nobody listens here any more.
            led.is_followed = followed.get(led.flight.id, False)

    async def _write_landings(self, landed: Sequence[_Landed]) -> None:
        # Few are followed: events and answers travel only where somebody waits for them.
        alone = [each for each in landed if not each.led.is_followed]
        heard = [each for each in landed if each.led.is_followed]
        if alone:
            left = await self._land([flight_row(each.led.flight) for each in alone])
            heard += [each for each in alone if each.led.flight.id in left]
        if heard:
            await self._land(
                [
                    flight_row(each.led.flight, told, each.led.events[told:], each.landing)
                    for each in heard
                    for told in (each.led.told,)
                ]
            )

    async def _land(self, rows: Sequence[dict[str, Any]]) -> set[UUID]:
        """The flights that are followed and were not told how they ended."""
        return {row.id for row in await self._writer.fetch(LAND_FLIGHTS, (json.dumps(rows),))}

    # ---------------------------------------------------------------------------- following

    async def follow(self, flight: FlightKey) -> AsyncGenerator[FlightEvent, None]:
        key, news = _key(flight), asyncio.Event()
        leader: UUID | None = None
        told = 0
        self._followers[key].add(news)
        try:
            while True:
                news.clear()
                found = await self._reads.ask(_Read(flight, leader, told))
                if found is None:
                    yield Landing()
                    return
                leader = found.id
                for event in found.events:
                    told += 1
                    yield event_of(event)
                if found.landing is not None:
                    yield landing_of(found.landing)
                    return
                if found.is_silent:
                    yield Landing()
                    return
                with suppress(TimeoutError):
                    async with asyncio.timeout(_LOOK_INTERVAL_S):
                        await news.wait()
        finally:
            self._followers[key].discard(news)
            if not self._followers[key]:
                del self._followers[key]

    async def watch_flights(self) -> None:
        """Pass on what the other replicas announce; for ever."""
        async for payload in listen(self._database, FLIGHT_CHANNEL):
            if payload == EVERYTHING:
                for followers in self._followers.values():
                    _wake(followers)
                continue
            row = json.loads(payload)
            key = row["tenant_id"], bytes.fromhex(row["key"])
            # Whoever announces something of a flight of ours has begun to follow it, or is us.
            if (led := self._led.get(key)) is not None:
                led.is_followed = True
            _wake(self._followers.get(key, ()))

    async def _look_up(self, reads: Sequence[_Read]) -> Sequence[Any]:
        rows = await self._reader.fetch(
            _READ,
            (
                [read.flight.tenant_id for read in reads],
                [read.flight.key for read in reads],
                [read.leader for read in reads],
                [read.told for read in reads],
            ),
        )
        found: list[Any] = [None] * len(reads)
        for row in rows:
            found[row.place - 1] = row
        return found


def _key(flight: FlightKey) -> _Key:
    return flight.tenant_id, flight.key


def _wake(followers: set[asyncio.Event] | tuple[()]) -> None:
    for news in followers:
        news.set()
