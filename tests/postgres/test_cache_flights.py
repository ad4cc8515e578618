"""Questions that another replica asks: heard from the beginning, in order, to the end or the silence."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest
import pytest_asyncio

from assistant.adapters.postgres.cache import PostgresCache
from assistant.adapters.postgres.cache_flights import PostgresFlights
from assistant.adapters.postgres.connection import Database
from assistant.domain.cache import FlightEvent, FlightKey, Landing, Lead
from assistant.domain.completion import (
    CompletionContinued,
    CompletionRestarted,
    CompletionStarted,
    ProgressEvent,
    ReasoningDelta,
    TextDelta,
)
from assistant.errors import ErrorCode, StorageUnavailable
from tests.postgres.cache_entries import ANSWER, a_flight, a_key, an_entry
from tests.postgres.server import DatabaseUrls, connect

EVERY_KIND: tuple[ProgressEvent, ...] = (
    CompletionStarted(uuid4(), "ollama/m", uuid4(), datetime.now(UTC)),
    CompletionStarted(uuid4(), "ollama/m", None, datetime.now(UTC)),
    ReasoningDelta("hm \x00 {}"),
    TextDelta("Grüße \ud83d"),
    TextDelta("\\u0000"),
    CompletionRestarted("openai/gpt", ErrorCode.PROVIDER_TIMEOUT),
    CompletionContinued("openai/gpt", ErrorCode.STREAM_INTERRUPTED),
    TextDelta(""),
)
LANDING = Landing(answer=ANSWER, source_id=uuid4())


class Replica:
    """A process's view: its own connections, its own background work."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.cache = PostgresCache(database)
        self.flights = PostgresFlights(database)

    async def claim(self, flight: FlightKey) -> Lead:
        found = await self.cache.find_or_lead(a_key(), flight)
        assert isinstance(found, Lead)
        return found

    async def heard(self, flight: FlightKey) -> list[FlightEvent]:
        return [event async for event in self.flights.follow(flight)]


@asynccontextmanager
async def replica(urls: DatabaseUrls, *, watches: bool = True) -> AsyncIterator[Replica]:
    database = Database(urls.service, pool_size=2)
    await database.start()
    opened = Replica(database)
    work = [asyncio.create_task(opened.flights.keep_flights())]
    if watches:
        work.append(asyncio.create_task(opened.flights.watch_flights()))
    try:
        yield opened
    finally:
        for task in work:
            task.cancel()
        await asyncio.wait(work)
        await opened.flights.close()
        await opened.cache.close()
        await database.close()


@pytest_asyncio.fixture
async def here(urls: DatabaseUrls) -> AsyncIterator[Replica]:
    async with replica(urls) as opened:
        yield opened


@pytest_asyncio.fixture
async def there(urls: DatabaseUrls) -> AsyncIterator[Replica]:
    async with replica(urls) as opened:
        yield opened


async def rows(urls: DatabaseUrls) -> list[tuple[Any, ...]]:
    async with await connect(urls.superuser) as connection:
        cursor = await connection.execute(
            "SELECT is_followed, cardinality(events), landing IS NULL FROM cache_flights"
        )
        return await cursor.fetchall()


# ------------------------------------------------------------------------------ followed


async def test_every_event_is_heard_in_order_and_then_the_end(
    here: Replica, there: Replica
) -> None:
    ours, theirs = a_flight(), a_flight()
    assert await here.claim(ours) is Lead.OURS
    events: list[ProgressEvent] = list(EVERY_KIND[:3])
    here.flights.lead(ours, events)
    assert await there.claim(theirs) is Lead.ANOTHERS
    following = asyncio.create_task(there.heard(theirs))
    for event in EVERY_KIND[3:]:
        await asyncio.sleep(0.02)
        events.append(event)

    await here.flights.land(ours, LANDING)

    assert await asyncio.wait_for(following, 2) == [*EVERY_KIND, LANDING]


async def test_a_long_stream_has_no_gap_for_any_of_many_who_join_at_any_time(
    here: Replica, there: Replica
) -> None:
    ours = a_flight()
    await here.claim(ours)
    events: list[ProgressEvent] = []
    here.flights.lead(ours, events)
    expected = [TextDelta(f"{number} ") for number in range(400)]

    async def join(after_s: float) -> list[FlightEvent]:
        await asyncio.sleep(after_s)
        theirs = a_flight()
        assert await there.claim(theirs) is Lead.ANOTHERS
        return await there.heard(theirs)

    following = [asyncio.create_task(join(number / 25)) for number in range(20)]
    for event in expected:
        events.append(event)
        await asyncio.sleep(0.0025)
    await here.flights.land(ours, LANDING)

    for heard in await asyncio.wait_for(asyncio.gather(*following), 3):
        assert heard == [*expected, LANDING]


async def test_events_come_while_the_question_is_asked_and_not_only_at_its_end(
    here: Replica, there: Replica
) -> None:
    ours, theirs = a_flight(), a_flight()
    await here.claim(ours)
    events: list[ProgressEvent] = [TextDelta("one")]
    here.flights.lead(ours, events)
    await there.claim(theirs)

    following = there.flights.follow(theirs)
    assert await asyncio.wait_for(anext(following), 1) == TextDelta("one")
    events.append(TextDelta("two"))
    assert await asyncio.wait_for(anext(following), 1) == TextDelta("two")
    await following.aclose()


async def test_without_notifications_nothing_is_lost(urls: DatabaseUrls) -> None:
    async with replica(urls, watches=False) as here, replica(urls, watches=False) as there:
        ours, theirs = a_flight(), a_flight()
        await here.claim(ours)
        events: list[ProgressEvent] = list(EVERY_KIND[:4])
        here.flights.lead(ours, events)
        await there.claim(theirs)
        following = there.flights.follow(theirs)
        heard = [await asyncio.wait_for(anext(following), 3)]
        events += EVERY_KIND[4:]
        await here.flights.land(ours, LANDING)
        heard += [event async for event in following]

    assert heard == [*EVERY_KIND, LANDING]


async def test_an_error_is_told_as_it_is(here: Replica, there: Replica) -> None:
    ours, theirs = a_flight(), a_flight()
    await here.claim(ours)
    here.flights.lead(ours, [])
    await there.claim(theirs)
    failed = Landing(error={"code": "PROVIDER_TIMEOUT", "text": "\x00"})

    await here.flights.land(ours, failed)

    assert await there.heard(theirs) == [failed]


async def test_who_comes_just_after_the_end_still_hears_it(here: Replica, there: Replica) -> None:
    ours, theirs = a_flight(), a_flight()
    await here.claim(ours)
    here.flights.lead(ours, [TextDelta("one")])
    await there.claim(theirs)
    await here.flights.land(ours, LANDING)

    assert await there.heard(theirs) == [TextDelta("one"), LANDING]


async def test_what_has_landed_is_still_read_while_the_next_one_asks(
    here: Replica, there: Replica
) -> None:
    first, second, theirs = a_flight(), a_flight(), a_flight()
    await here.claim(first)
    here.flights.lead(first, [TextDelta("one")])
    await there.claim(theirs)
    following = there.flights.follow(theirs)
    assert await anext(following) == TextDelta("one")
    await here.flights.land(first, LANDING)
    assert await here.claim(second) is Lead.OURS
    here.flights.lead(second, [TextDelta("two")])

    assert [event async for event in following] == [LANDING]
    await here.flights.land(second, Landing())


# --------------------------------------------------------------------------- not followed


async def test_what_nobody_follows_leaves_nothing_behind_and_writes_no_event(
    here: Replica, urls: DatabaseUrls
) -> None:
    ours = a_flight()
    await here.claim(ours)
    here.flights.lead(ours, list(EVERY_KIND))
    await asyncio.sleep(0.2)
    assert await rows(urls) == [(False, 0, True)]

    await here.flights.land(ours, LANDING)

    assert await rows(urls) == []


async def test_many_land_together(here: Replica, urls: DatabaseUrls) -> None:
    flights = [a_flight(a_key(f"{number}?", f"tenant-{number % 3}")) for number in range(100)]
    for flight in flights:
        here.flights.lead(flight, [])

    await asyncio.gather(*(here.flights.land(flight, LANDING) for flight in flights))

    assert await rows(urls) == []


async def test_another_tenants_question_is_not_heard(here: Replica, there: Replica) -> None:
    ours = a_flight()
    await here.claim(ours)
    here.flights.lead(ours, [TextDelta("secret")])
    foreign = FlightKey("globex", ours.key, uuid4())

    assert await there.heard(foreign) == [Landing()]
    await here.flights.land(ours, Landing())


async def test_a_question_that_nobody_asks_is_over(there: Replica) -> None:
    assert await there.heard(a_flight()) == [Landing()]


# --------------------------------------------------------------------------- gone leaders


async def test_a_leader_that_is_slow_stays_the_leader(here: Replica, there: Replica) -> None:
    ours = a_flight()
    await here.claim(ours)
    here.flights.lead(ours, [])

    for _ in range(8):
        await asyncio.sleep(0.5)
        assert await there.claim(a_flight()) is Lead.ANOTHERS
    await here.flights.land(ours, Landing())


async def test_a_leader_that_gives_up_says_so(here: Replica, there: Replica) -> None:
    ours, theirs = a_flight(), a_flight()
    await here.claim(ours)
    here.flights.lead(ours, [TextDelta("one")])
    await there.claim(theirs)
    following = asyncio.create_task(there.heard(theirs))
    await asyncio.sleep(0.1)

    await here.flights.land(ours, Landing())

    assert await following == [TextDelta("one"), Landing()]
    assert await there.claim(theirs) is Lead.OURS


async def test_a_leader_that_is_killed_is_noticed_and_the_next_one_leads(
    there: Replica, urls: DatabaseUrls
) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.postgres.leading", urls.service),
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    assert json.loads(await asyncio.wait_for(process.stdout.readline(), 20)) == "OURS"
    theirs = a_flight()
    assert await there.claim(theirs) is Lead.ANOTHERS
    following = there.flights.follow(theirs)
    heard = [await asyncio.wait_for(anext(following), 2) for _ in range(3)]

    os.kill(process.pid, signal.SIGKILL)
    await process.wait()
    async with asyncio.timeout(10):
        heard += [event async for event in following]

    *deltas, end = heard
    assert deltas == [TextDelta(f"{number}") for number in range(len(deltas))]
    assert end == Landing()
    assert await there.claim(theirs) is Lead.OURS
    there.flights.lead(theirs, [])
    assert await there.claim(a_flight()) is Lead.ANOTHERS
    await there.flights.land(theirs, Landing())


async def test_a_leader_that_was_taken_for_gone_lands_nothing(
    here: Replica, there: Replica, urls: DatabaseUrls
) -> None:
    ours, theirs = a_flight(), a_flight()
    await here.claim(ours)
    async with await connect(urls.superuser) as connection:
        await connection.execute("UPDATE cache_flights SET heard_at = now() - interval '4 s'")
    assert await there.claim(theirs) is Lead.OURS
    there.flights.lead(theirs, [TextDelta("theirs")])
    here.flights.lead(ours, [TextDelta("ours")])
    following = asyncio.create_task(here.heard(a_flight()))
    await asyncio.sleep(0.2)

    await here.flights.land(ours, Landing())
    await there.flights.land(theirs, LANDING)

    assert await following == [TextDelta("theirs"), LANDING]


# -------------------------------------------------------------------------- broken servers


async def test_a_broken_connection_loses_no_event(
    here: Replica, there: Replica, urls: DatabaseUrls
) -> None:
    ours, theirs = a_flight(), a_flight()
    await here.claim(ours)
    events: list[ProgressEvent] = [TextDelta("0")]
    here.flights.lead(ours, events)
    await there.claim(theirs)
    following = asyncio.create_task(there.heard(theirs))
    async with await connect(urls.superuser) as superuser:
        for number in range(1, 6):
            await asyncio.sleep(0.1)
            await superuser.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE usename = 'assistant_service' AND datname = current_database()"
            )
            events.append(TextDelta(str(number)))
    await asyncio.sleep(0.1)
    await here.flights.land(ours, LANDING)

    assert await asyncio.wait_for(following, 3) == [*(TextDelta(str(n)) for n in range(6)), LANDING]


async def test_without_a_database_whoever_follows_is_told_at_once() -> None:
    database = Database("postgresql://nobody@127.0.0.1:1/nowhere")
    flights = PostgresFlights(database)

    with pytest.raises(StorageUnavailable):
        await anext(flights.follow(a_flight()))
    with pytest.raises(StorageUnavailable):
        await flights.land(a_flight(), Landing())
    flights.lead(a_flight(), [])
    with pytest.raises(StorageUnavailable):
        await asyncio.wait_for(flights.keep_flights(), 3)

    await flights.close()
    await database.close()


async def test_an_answer_that_was_kept_meanwhile_is_found_instead(
    here: Replica, there: Replica
) -> None:
    ours = a_flight()
    await here.claim(ours)
    await here.cache.keep(entry := an_entry())

    assert await there.cache.find_or_lead(a_key(), a_flight()) == entry
    await here.flights.land(ours, LANDING)
