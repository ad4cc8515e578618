"""The replay log: whole and in order for who reads elsewhere, one end, and gone ten minutes later."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sys
import weakref
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
import pytest_asyncio
from structlog.testing import capture_logs

from assistant.adapters.postgres import migrate
from assistant.adapters.postgres.connection import Database
from assistant.adapters.postgres.embedded import EmbeddedPostgres
from assistant.adapters.postgres.stream_log import PostgresStreamLog, clean_streams
from assistant.domain.completion import TextDelta
from assistant.domain.stream import LoggedEvent, LogPage, Settled
from assistant.errors import StorageUnavailable
from tests.postgres.server import DatabaseUrls, connect
from tests.postgres.streams import EVERY_KIND, AStream, interrupted

SILENT = "UPDATE stream_producers SET heard_at = now() - interval '4 s'"
# A server that was not there could hear nobody.
UP = "SELECT pg_sleep_until(pg_postmaster_start_time() + interval '3.1 s')"


class Replica:
    """A process's view: its own connections, its own background work."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.log = PostgresStreamLog(database)
        self.cancelled: list[tuple[str, UUID]] = []
        self.work: list[asyncio.Task[None]] = []

    def begin(self, *, watches: bool) -> None:
        self.work.append(asyncio.create_task(self.log.keep_streams()))
        if watches:
            watching = self.log.watch_streams(lambda *named: self.cancelled.append(named))
            self.work.append(asyncio.create_task(watching))

    async def freeze(self) -> None:
        """Say nothing any more, as a process that was stopped."""
        for task in self.work:
            task.cancel()
        if self.work:
            await asyncio.wait(self.work)
        self.work.clear()

    async def close(self) -> None:
        await self.freeze()
        await self.log.close()
        await self.database.close()

    async def read(
        self, stream: AStream | UUID, after: int = -1, tenant: str = "acme"
    ) -> list[tuple[int, LoggedEvent]]:
        """The numbered events after that one, to the end."""
        heard: list[tuple[int, LoggedEvent]] = []
        async with aclosing(self.log.follow(tenant, id_of(stream), after)) as pages:
            async for page in pages:
                assert page is not None
                heard += list(enumerate(page.events, page.first))
        return heard

    async def look(
        self, stream: AStream | UUID, after: int = -1, tenant: str = "acme"
    ) -> LogPage | None:
        """The first page."""
        async with aclosing(self.log.follow(tenant, id_of(stream), after)) as pages:
            return await anext(pages)

    async def abandon(self, stream: AStream | UUID, first: int) -> bool:
        return await self.log.abandon("acme", id_of(stream), first, [interrupted()])


def id_of(stream: AStream | UUID) -> UUID:
    return stream if isinstance(stream, UUID) else stream.id


@asynccontextmanager
async def replica(
    urls: DatabaseUrls, *, watches: bool = True, works: bool = True
) -> AsyncIterator[Replica]:
    database = Database(urls.service, pool_size=2)
    await database.start()
    opened = Replica(database)
    if works:
        opened.begin(watches=watches)
    try:
        yield opened
    finally:
        await opened.close()


@pytest_asyncio.fixture
async def here(urls: DatabaseUrls) -> AsyncIterator[Replica]:
    async with replica(urls) as opened:
        yield opened


@pytest_asyncio.fixture
async def there(urls: DatabaseUrls) -> AsyncIterator[Replica]:
    async with replica(urls) as opened:
        yield opened


async def until(is_so: Callable[[], object], within_s: float = 5.0) -> None:
    async with asyncio.timeout(within_s):
        while not is_so():
            await asyncio.sleep(0.01)


async def rows(urls: DatabaseUrls, statement: str) -> list[tuple[Any, ...]]:
    async with await connect(urls.superuser) as connection:
        cursor = await connection.execute(statement.encode())
        return await cursor.fetchall() if cursor.description else []


async def silence(urls: DatabaseUrls) -> None:
    """As if nobody had been heard of for four seconds."""
    await rows(urls, UP)
    await rows(urls, SILENT)


def numbered(events: list[LoggedEvent]) -> list[tuple[int, LoggedEvent]]:
    return list(enumerate(events))


# --------------------------------------------------------------------------------- reading


async def test_every_kind_of_event_comes_back_as_it_was(here: Replica, there: Replica) -> None:
    stream = AStream(*EVERY_KIND, ends=True)
    failed = AStream(TextDelta("one"))
    failed.end(interrupted(failed.id))
    for each in (stream, failed):
        here.log.keep(each)
    await until(lambda: stream.is_written and failed.is_written)

    assert await there.read(stream) == numbered([*EVERY_KIND, Settled()])
    assert await there.read(failed) == numbered([TextDelta("one"), interrupted(failed.id)])
    page = await there.look(stream)
    assert page is not None
    assert (page.user_id, page.service_id) == ("ann", "billing")
    assert (page.is_ended, page.is_abandoned, page.is_silent) == (True, False, False)


async def test_a_thousand_events_come_in_order_and_once_while_they_are_made(
    here: Replica, there: Replica
) -> None:
    stream = AStream()
    here.log.keep(stream)
    await until(lambda: stream.logged)

    async def join(after_s: float, after: int) -> list[tuple[int, LoggedEvent]]:
        await asyncio.sleep(after_s)
        return await there.read(stream, after)

    following = [asyncio.create_task(join(n / 10, 10 * n - 1)) for n in range(10)]
    for number in range(1_000):
        stream.say(f"{number} ")
        await asyncio.sleep(0.001)
    stream.end()

    for number, heard in enumerate(await asyncio.wait_for(asyncio.gather(*following), 10)):
        assert heard == numbered(stream.events)[10 * number :]
    assert stream.followed


async def test_what_is_followed_comes_at_once(here: Replica, there: Replica) -> None:
    stream = AStream(TextDelta("one"))
    here.log.keep(stream)
    await until(lambda: stream.logged)
    async with aclosing(there.log.follow("acme", stream.id, -1)) as pages:
        page = await asyncio.wait_for(anext(pages), 1)
        assert page is not None and page.events == [TextDelta("one")]
        following = asyncio.ensure_future(anext(pages))
        await until(lambda: stream.followed)
        stream.say("two")
        page = await asyncio.wait_for(following, 1)

    assert page is not None
    assert (page.first, page.events) == (1, [TextDelta("two")])


async def test_who_only_looks_whose_a_stream_is_does_not_keep_it_going(
    here: Replica, there: Replica, urls: DatabaseUrls
) -> None:
    stream = AStream(TextDelta("one"))
    here.log.keep(stream)
    await until(lambda: stream.logged)

    for _ in range(3):
        async with aclosing(there.log.follow("acme", stream.id, -1)) as pages:
            assert await anext(pages) is not None

    assert await rows(urls, "SELECT followed_at FROM streams") == [(None,)]
    assert not stream.followed


async def test_without_notifications_nothing_is_lost(urls: DatabaseUrls) -> None:
    async with replica(urls, watches=False) as here, replica(urls, watches=False) as there:
        stream = AStream(*EVERY_KIND[:4])
        here.log.keep(stream)
        await until(lambda: stream.logged)
        following = asyncio.create_task(there.read(stream))
        await until(lambda: stream.followed)
        stream.events += EVERY_KIND[4:]
        await there.log.cancel("acme", stream.id)
        await until(lambda: stream.cancelled)
        stream.end()

        assert await asyncio.wait_for(following, 5) == numbered([*EVERY_KIND, Settled()])
    assert stream.cancelled == 1


async def test_of_a_long_stream_so_much_comes_as_one_may_hold(
    here: Replica, there: Replica, urls: DatabaseUrls
) -> None:
    many = AStream(*(TextDelta(f"{number}") for number in range(20_000)), ends=True)
    wide = AStream(*(TextDelta("x" * 1_000) for _ in range(2_000)), ends=True)
    one = AStream(TextDelta("x" * 1_000_000), TextDelta("y"), ends=True)
    for stream in (many, wide, one):
        here.log.keep(stream)
    await until(lambda: many.is_written and wide.is_written and one.is_written, 20)

    for stream in (many, wide, one):
        pages = [page async for page in there.log.follow("acme", stream.id, -1)]
        events = [event for page in pages if page is not None for event in page.events]
        assert events == stream.events
        for page in pages[:-1]:
            assert page is not None
            assert not page.is_ended
            assert len(page.events) <= 256 * 64
            if stream is wide:
                assert sum(len(e.text) for e in page.events if isinstance(e, TextDelta)) < 262_144
    assert await there.read(many, 19_990) == numbered(many.events)[19_991:]


async def test_who_has_all_is_told_of_the_end_and_who_has_more_than_the_log_waits(
    here: Replica, there: Replica
) -> None:
    stream = AStream(TextDelta("one"))
    here.log.keep(stream)
    await until(lambda: stream.logged)
    page = await there.look(stream, 4)
    assert page is not None and (page.first, page.events, page.count) == (5, [], 1)
    stream.say("two")
    stream.end()
    await until(lambda: stream.is_written)

    page = await there.look(stream, 2)

    assert page is not None
    assert (page.first, page.events, page.count, page.is_ended) == (3, [], 3, True)


async def test_what_is_no_longer_there_is_a_gap(here: Replica, there: Replica) -> None:
    stream = AStream(TextDelta("eleven"), ends=True)
    stream.first = 11
    here.log.keep(stream)
    await until(lambda: stream.logged)

    page = await there.look(stream, 3)

    assert page is not None
    assert (page.first, page.events) == (11, [TextDelta("eleven"), Settled()])
    assert page.count == 13


async def test_nobody_hears_of_another_tenants_stream_or_of_none(
    here: Replica, there: Replica
) -> None:
    stream = AStream(TextDelta("secret"), ends=True)
    here.log.keep(stream)
    await until(lambda: stream.logged)

    assert await there.look(stream, tenant="globex") is None
    assert await there.look(uuid4()) is None


async def test_a_stream_that_is_not_there_yet_is_found_when_it_is(
    here: Replica, there: Replica
) -> None:
    stream = AStream(TextDelta("one"))
    async with aclosing(there.log.follow("acme", stream.id, -1)) as pages:
        assert await anext(pages) is None
        here.log.keep(stream)
        page = await asyncio.wait_for(anext(pages), 2)

    assert page is not None and page.events == [TextDelta("one")]


async def test_who_reads_hears_each_second_that_there_is_nothing_new(
    here: Replica, there: Replica
) -> None:
    stream = AStream()
    here.log.keep(stream)
    await until(lambda: stream.logged)
    async with asyncio.timeout(6), aclosing(there.log.follow("acme", stream.id, -1)) as pages:
        for _ in range(4):
            page = await anext(pages)
            assert page is not None and page.events == [] and not page.is_silent


# --------------------------------------------------------------------------------- stopping


async def test_a_cancelled_stream_is_told_so_at_once_wherever_it_is_made(
    here: Replica, there: Replica
) -> None:
    stream = AStream()
    here.log.keep(stream)
    await until(lambda: stream.logged)
    unlogged = uuid4()
    await asyncio.sleep(0.2)  # both listen

    await there.log.cancel("acme", stream.id)
    await there.log.cancel("globex", stream.id)
    await there.log.cancel("acme", unlogged)

    expected = [("acme", stream.id), ("globex", stream.id), ("acme", unlogged)]
    await until(lambda: here.cancelled == expected, 1)
    await until(lambda: there.cancelled == expected, 1)
    await until(lambda: stream.cancelled, 2)
    await asyncio.sleep(1.5)
    assert stream.cancelled == 1


async def test_a_foreign_tenant_cancels_nothing(
    here: Replica, there: Replica, urls: DatabaseUrls
) -> None:
    stream = AStream()
    here.log.keep(stream)
    await until(lambda: stream.logged)

    await there.log.cancel("globex", stream.id)

    assert await rows(urls, "SELECT cancel_asked FROM streams") == [(False,)]


# ------------------------------------------------------------------------------ gone makers


async def test_a_maker_that_is_killed_is_noticed_and_its_stream_ended_once(
    here: Replica, there: Replica, urls: DatabaseUrls
) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.postgres.streaming", urls.service),
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    stream = UUID((await asyncio.wait_for(process.stdout.readline(), 20)).decode().strip())
    await asyncio.sleep(0.5)
    page = await there.look(stream)
    assert page is not None and not page.is_silent
    os.kill(process.pid, signal.SIGKILL)
    await process.wait()

    heard: list[LoggedEvent] = []
    async with asyncio.timeout(10), aclosing(there.log.follow("acme", stream, -1)) as pages:
        async for found in pages:
            assert found is not None
            heard += found.events
            if found.is_silent:
                break
    known = len(heard)
    assert found is not None and found.count == known
    assert not await there.abandon(stream, known + 3)
    assert sorted(
        await asyncio.gather(here.abandon(stream, known), there.abandon(stream, known))
    ) == [False, True]

    *deltas, end = await here.read(stream)
    assert deltas == [(n, TextDelta(f"{n}")) for n in range(known)]
    assert end == (known, interrupted())
    # Who had heard more of it from its maker itself finds that it broke off before; so does who
    # has an event under the number of the end.
    for after in (known, known + 3):
        page = await here.look(stream, after)
        assert page is not None and page.is_ended and page.is_abandoned and page.is_torn
        assert (page.events, page.count) == ([], known + 1)
    page = await here.look(stream, known - 1)
    assert page is not None and page.is_abandoned and not page.is_torn


async def test_who_has_a_number_of_an_end_that_others_wrote_may_have_another_event(
    here: Replica, there: Replica, urls: DatabaseUrls
) -> None:
    stream = AStream(TextDelta("one"))
    here.log.keep(stream)
    await until(lambda: stream.is_written)
    await here.freeze()
    await silence(urls)
    end: list[LoggedEvent] = [TextDelta("two "), TextDelta("three"), Settled()]
    assert await there.log.abandon("acme", stream.id, 1, end)

    pages = [await there.look(stream, after) for after in range(-1, 5)]

    assert [page is not None and page.is_torn for page in pages] == [False] * 2 + [True] * 4


async def test_a_stream_is_not_taken_from_who_lives_or_has_said_more(
    here: Replica, there: Replica, urls: DatabaseUrls
) -> None:
    stream, ended = AStream(TextDelta("one"), TextDelta("two")), AStream(ends=True)
    here.log.keep(stream)
    here.log.keep(ended)
    await until(lambda: stream.is_written and ended.is_written)
    assert not await there.abandon(stream, 2)
    await here.freeze()
    await silence(urls)

    page = await there.look(stream)
    assert page is not None and page.is_silent
    assert not await there.abandon(stream, 1)
    assert not await there.abandon(ended, 1)
    assert not await there.log.abandon("globex", stream.id, 2, [interrupted()])
    assert await there.abandon(stream, 2)


async def test_a_maker_that_comes_back_too_late_writes_no_more(
    here: Replica, there: Replica, urls: DatabaseUrls
) -> None:
    stream, other = AStream(TextDelta("one")), AStream()
    here.log.keep(stream)
    here.log.keep(other)
    await until(lambda: stream.is_written and other.logged)
    await here.freeze()
    await silence(urls)
    assert await there.abandon(stream, 1)

    stream.say("two")
    stream.end()
    here.begin(watches=True)
    await until(lambda: stream.abandoned)
    other.say("goes on")
    await until(lambda: other.is_written)

    assert await there.read(stream) == numbered([TextDelta("one"), interrupted()])
    assert stream.logged[-1] == 1
    assert stream.abandoned == 1


async def test_a_stream_never_has_two_ends_nor_anything_after_one(
    urls: DatabaseUrls,
) -> None:
    """Those who write and those who take it away meet at any moment."""
    await rows(urls, UP)
    async with (
        replica(urls, works=False) as here,
        replica(urls) as there,
        await connect(urls.superuser) as superuser,
    ):
        outcomes = set()
        for seed in range(40):
            chance = random.Random(seed)
            stream = AStream(TextDelta("0"))
            here.begin(watches=False)
            here.log.keep(stream)
            await until(lambda stream=stream: stream.logged)  # type: ignore[misc]
            await here.freeze()
            await superuser.execute(SILENT)
            here.begin(watches=False)
            taking = asyncio.create_task(take(there, stream, superuser, chance.uniform(0.0, 0.08)))
            for number in range(1, chance.randint(1, 4)):
                await asyncio.sleep(chance.uniform(0.0, 0.04))
                stream.say(f"{number}")
            stream.end()
            is_taken = await taking
            await until(lambda stream=stream: stream.is_written or stream.abandoned)  # type: ignore[misc]
            await here.freeze()

            heard = await there.read(stream)
            ends = [event for _, event in heard if not isinstance(event, TextDelta)]
            assert ends == [interrupted() if is_taken else Settled()]
            assert heard[:-1] == numbered(stream.events)[: len(heard) - 1]
            assert bool(stream.abandoned) is is_taken
            outcomes.add(is_taken)
        assert outcomes == {True, False}


async def take(
    there: Replica, stream: AStream, superuser: psycopg.AsyncConnection, after_s: float
) -> bool:
    await asyncio.sleep(after_s)
    await superuser.execute(SILENT)
    return await there.abandon(stream, 1)


# -------------------------------------------------------------------------- broken servers


async def test_a_broken_connection_loses_and_repeats_no_event(
    here: Replica, there: Replica, urls: DatabaseUrls
) -> None:
    stream = AStream(TextDelta("0"))
    here.log.keep(stream)
    await until(lambda: stream.logged)
    following = asyncio.create_task(there.read(stream))
    async with await connect(urls.superuser) as superuser:
        for number in range(1, 30):
            await asyncio.sleep(0.03)
            await superuser.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE usename = 'assistant_service' AND datname = current_database()"
            )
            stream.say(f"{number}")
    await asyncio.sleep(0.1)
    stream.end()

    assert await asyncio.wait_for(following, 15) == numbered(stream.events)


async def test_what_a_killed_server_has_lost_is_written_anew(short_folder: Path) -> None:
    embedded = EmbeddedPostgres(short_folder / "postgres")
    owner_url = await embedded.start()
    await migrate.upgrade(owner_url)
    urls = DatabaseUrls(
        owner_url, embedded.service_url, owner_url.replace("assistant_owner", "postgres")
    )
    try:
        async with replica(urls) as here, replica(urls) as there:
            streams = [AStream(TextDelta("0")) for _ in range(20)]
            for stream in streams:
                here.log.keep(stream)
            await until(lambda: all(stream.logged for stream in streams))
            following = [asyncio.create_task(there.read(stream)) for stream in streams]

            async def talk() -> None:
                while not is_over.is_set():
                    for stream in streams:
                        stream.say(f"{len(stream.events)}")
                    await asyncio.sleep(0.02)

            is_over = asyncio.Event()
            talking = asyncio.create_task(talk())
            await asyncio.sleep(0.7)
            os.kill(
                int((short_folder / "postgres/postmaster.pid").read_text().split()[0]),
                signal.SIGKILL,
            )
            counts = [stream.logged[-1] for stream in streams]
            await until(
                lambda: all(
                    s.logged[-1] > count + 50 for s, count in zip(streams, counts, strict=True)
                ),
                30,
            )
            is_over.set()
            await talking
            for stream in streams:
                stream.end()

            for stream, heard in zip(streams, await asyncio.gather(*following), strict=True):
                assert heard == numbered(stream.events)
                assert stream.abandoned == 0
            late = await asyncio.gather(*(there.read(stream) for stream in streams))
            assert late == [numbered(stream.events) for stream in streams]
    finally:
        await embedded.stop()


async def test_without_a_database_streams_wait_and_readers_are_told_at_once() -> None:
    database = Database("postgresql://nobody@127.0.0.1:1/nowhere")
    there = Replica(database)
    there.log.keep(stream := AStream(TextDelta("one")))
    with capture_logs() as lines:
        there.begin(watches=False)
        with pytest.raises(StorageUnavailable):
            await there.look(stream)
        with pytest.raises(StorageUnavailable):
            await there.abandon(stream, 1)
        with pytest.raises(StorageUnavailable):
            await there.log.cancel("acme", stream.id)
        await asyncio.sleep(1)
        assert not there.work[0].done()

    assert [line["event"] for line in lines] == ["streams_not_logged"]
    await there.close()
    assert stream.logged == []


async def test_a_stream_that_the_server_refuses_keeps_no_other_from_being_written(
    here: Replica, there: Replica
) -> None:
    broken = AStream(TextDelta("one"), tenant="x" * 129)
    others = [AStream(TextDelta("one"), ends=True) for _ in range(5)]
    with capture_logs() as lines:
        for stream in (*others[:2], broken, *others[2:]):
            here.log.keep(stream)
        await until(lambda: all(stream.is_written for stream in others))
        await asyncio.sleep(0.5)

    assert broken.logged == []
    assert [(line["event"], line["completion_id"]) for line in lines] == [
        ("stream_refused", str(broken.id))
    ]


# ------------------------------------------------------------------------------- the books


async def test_closing_writes_what_there_is(urls: DatabaseUrls, there: Replica) -> None:
    async with replica(urls, works=False) as here:
        stream, endless = AStream(*EVERY_KIND, ends=True), AStream(TextDelta("one"))
        here.log.keep(stream)
        here.log.keep(endless)

    assert await there.read(stream) == numbered(stream.events)
    page = await there.look(endless)
    assert page is not None and page.events == endless.events


async def test_a_stream_in_which_nothing_happens_is_left_alone(
    here: Replica, urls: DatabaseUrls
) -> None:
    stream = AStream(TextDelta("one"))
    here.log.keep(stream)
    await until(lambda: stream.logged)
    before = await rows(urls, "SELECT ctid, xmin FROM streams")
    await asyncio.sleep(1.5)
    stream.say("two")
    await until(lambda: stream.is_written)

    # Not one new version of its row.
    assert await rows(urls, "SELECT ctid, xmin FROM streams") == before
    assert len(stream.logged) <= 4


async def test_streams_are_forgotten_ten_minutes_after_their_end(
    here: Replica, there: Replica, urls: DatabaseUrls
) -> None:
    ended, recent, running = (AStream(TextDelta("one")) for _ in range(3))
    for stream in (ended, recent, running):
        here.log.keep(stream)
    ended.end()
    recent.end()
    await until(lambda: ended.is_written and recent.is_written and running.is_written)
    await rows(
        urls, f"UPDATE streams SET ended_at = now() - interval '601 s' WHERE id = '{ended.id}'"
    )

    assert await clean_streams(here.database) == "streams: 1 forgotten"
    assert await clean_streams(here.database) == "streams: 0 forgotten"

    assert await there.look(ended) is None
    assert await there.read(recent) == numbered(recent.events)
    assert await rows(urls, "SELECT DISTINCT id FROM stream_events ORDER BY 1") == [
        (each,) for each in sorted((recent.id, running.id))
    ]


async def test_streams_without_an_end_are_forgotten_when_nobody_makes_them_any_more(
    here: Replica, urls: DatabaseUrls
) -> None:
    await rows(urls, UP)
    running, orphan = AStream(TextDelta("one")), AStream(TextDelta("one"))
    here.log.keep(running)
    async with replica(urls) as gone:
        gone.log.keep(orphan)
        await until(lambda: orphan.is_written)
    await asyncio.sleep(2)

    assert await clean_streams(here.database, kept_s=1.5) == "streams: 1 forgotten"

    assert await rows(urls, "SELECT id FROM streams") == [(running.id,)]
    assert len(await rows(urls, "SELECT id FROM stream_producers")) == 1


async def test_many_streams_are_forgotten_in_batches(
    database: Database, urls: DatabaseUrls
) -> None:
    await rows(
        urls,
        "INSERT INTO streams (tenant_id, id, instance_id, ended_at) "
        "SELECT 'acme', gen_random_uuid(), gen_random_uuid(), now() - interval '1 h' "
        "FROM generate_series(1, 1200)",
    )
    await rows(
        urls,
        "INSERT INTO stream_events SELECT tenant_id, id, 0, 1, '[\"x\"]' FROM streams",
    )

    said = await asyncio.gather(clean_streams(database), clean_streams(database))

    assert sum(int(line.split()[1]) for line in said) == 1_200
    assert await rows(urls, "SELECT count(*) FROM stream_events") == [(0,)]


async def test_streams_that_an_outage_ends_are_not_kept_without_bound() -> None:
    log = PostgresStreamLog(Database("postgresql://nobody@127.0.0.1:9/nowhere"))
    streams = [AStream(TextDelta("x"), ends=True) for _ in range(3_000)]
    kept = [weakref.ref(stream) for stream in streams]
    for stream in streams:
        log.keep(stream)
    del stream
    streams.clear()

    work = asyncio.create_task(log.keep_streams())
    try:
        await until(lambda: sum(each() is not None for each in kept) <= 1_000)
    finally:
        work.cancel()
        await asyncio.wait([work])
        await log.close()
