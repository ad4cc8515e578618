"""Circuits that all replicas share: one row, one probe, and the news of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
import pytest_asyncio
from sqlalchemy import text

from assistant.adapters.clock import SystemClock
from assistant.adapters.postgres.circuits import PostgresCircuits, notice_of
from assistant.adapters.postgres.connection import Database
from assistant.adapters.postgres.listen import CIRCUIT_CHANNEL, EVERYTHING, listen
from assistant.domain.model import CircuitState, ModelKey
from assistant.domain.ports import CircuitNotice
from assistant.errors import CircuitOpen, ProviderUnavailable, StorageUnavailable
from assistant.services.circuits import Circuits, CircuitSettings
from tests.postgres.server import DatabaseUrls

KEY = ModelKey("acme", "ollama", "llama3.2:3b")
ELSEWHERE = replace(KEY, tenant_id="globex")


@pytest.fixture
def store(database: Database) -> PostgresCircuits:
    return PostgresCircuits(database)


@pytest_asyncio.fixture
async def heard(database: Database) -> AsyncIterator[asyncio.Queue[CircuitNotice]]:
    """What every replica hears of circuits."""
    queue: asyncio.Queue[CircuitNotice] = asyncio.Queue()
    listening = asyncio.Event()

    async def run() -> None:
        async for payload in listen(database, CIRCUIT_CHANNEL):
            if payload == EVERYTHING:
                listening.set()
            else:
                queue.put_nowait(notice_of(payload))

    task = asyncio.create_task(run())
    await asyncio.wait_for(listening.wait(), 5)
    yield queue
    task.cancel()
    await asyncio.wait({task})


async def only(store: PostgresCircuits) -> CircuitNotice:
    (notice,) = await store.list_circuits()
    return notice


# ------------------------------------------------------------------ opening and closing


async def test_a_circuit_that_opens_is_listed_until_it_closes(store: PostgresCircuits) -> None:
    assert await store.list_circuits() == []

    await store.open(KEY, 60)
    notice = await only(store)
    assert notice.key == KEY
    assert notice.open_for_s == pytest.approx(60, abs=5)
    assert notice.probe_for_s is None

    await store.close(KEY)
    assert await store.list_circuits() == []


async def test_opening_again_makes_it_longer_and_never_shorter(store: PostgresCircuits) -> None:
    await store.open(KEY, 60)
    await store.open(KEY, 1)
    assert (await only(store)).open_for_s == pytest.approx(60, abs=5)

    await store.open(KEY, 120)
    assert (await only(store)).open_for_s == pytest.approx(120, abs=5)


async def test_closing_what_is_closed_is_nothing(store: PostgresCircuits) -> None:
    await store.close(KEY)
    await store.release_probe(KEY)

    assert await store.list_circuits() == []


async def test_models_of_all_tenants_are_listed(store: PostgresCircuits) -> None:
    keys = {KEY, ELSEWHERE, replace(KEY, provider="openai"), replace(KEY, model="mistral:7b")}
    for key in keys:
        await store.open(key, 60)

    assert {notice.key for notice in await store.list_circuits()} == keys


# ------------------------------------------------------------------ who tries again


async def test_nobody_tries_before_its_time(store: PostgresCircuits) -> None:
    await store.open(KEY, 60)

    obstacle = await store.take_probe(KEY, 150)

    assert obstacle is not None
    assert obstacle.open_for_s == pytest.approx(60, abs=5)
    assert obstacle.probe_for_s is None


async def test_of_twenty_that_want_to_try_at_once_one_may(store: PostgresCircuits) -> None:
    await store.open(KEY, 0)

    answers = await asyncio.gather(*(store.take_probe(KEY, 150) for _ in range(20)))

    obstacles = [answer for answer in answers if answer is not None]
    assert len(obstacles) == 19
    for obstacle in obstacles:
        assert obstacle.key == KEY
        assert obstacle.open_for_s is not None and obstacle.open_for_s <= 0
        assert obstacle.probe_for_s == pytest.approx(150, abs=5)


async def test_a_probe_that_is_given_back_may_be_taken(store: PostgresCircuits) -> None:
    await store.open(KEY, 0)
    assert await store.take_probe(KEY, 150) is None
    assert await store.take_probe(KEY, 150) is not None

    await store.release_probe(KEY)

    assert await store.take_probe(KEY, 150) is None


async def test_a_probe_that_is_never_heard_of_again_may_be_taken_when_its_lease_is_over(
    store: PostgresCircuits,
) -> None:
    await store.open(KEY, 0)
    assert await store.take_probe(KEY, 0.03) is None
    assert await store.take_probe(KEY, 150) is not None

    await asyncio.sleep(0.04)

    assert await store.take_probe(KEY, 150) is None


async def test_a_probe_that_failed_opens_it_anew_and_ends_the_lease(
    store: PostgresCircuits,
) -> None:
    await store.open(KEY, 0)
    assert await store.take_probe(KEY, 150) is None

    await store.open(KEY, 60)

    notice = await only(store)
    assert notice.open_for_s == pytest.approx(60, abs=5)
    assert notice.probe_for_s is None


async def test_who_wants_to_try_what_has_closed_is_told_so(store: PostgresCircuits) -> None:
    assert await store.take_probe(KEY, 150) == CircuitNotice(KEY, open_for_s=None)


# ------------------------------------------------------------------ the news


async def test_every_change_is_announced_with_all_there_is_to_know(
    store: PostgresCircuits, heard: asyncio.Queue[CircuitNotice]
) -> None:
    async def news() -> CircuitNotice:
        notice = await asyncio.wait_for(heard.get(), 1)
        assert notice.key == KEY
        return notice

    await store.open(KEY, 0.01)
    opened = await news()
    assert opened.open_for_s == pytest.approx(0, abs=1)
    assert opened.probe_for_s is None

    await asyncio.sleep(0.02)
    assert await store.take_probe(KEY, 150) is None
    tried = await news()
    assert tried.open_for_s is not None and tried.open_for_s < 0
    assert tried.probe_for_s == pytest.approx(150, abs=5)

    await store.release_probe(KEY)
    assert (await news()).probe_for_s is None

    await store.open(KEY, 60)
    assert (await news()).open_for_s == pytest.approx(60, abs=5)

    await store.close(KEY)
    assert await news() == CircuitNotice(KEY, open_for_s=None)


async def test_the_longest_names_can_be_announced(
    store: PostgresCircuits, heard: asyncio.Queue[CircuitNotice]
) -> None:
    """A payload of more than 8,000 bytes would make the change itself fail."""
    longest = ModelKey("\N{FOX FACE}" * 128, "p" * 64, "\N{FOX FACE}" * 256)

    await store.open(longest, 60)

    assert (await asyncio.wait_for(heard.get(), 1)).key == longest


async def test_who_may_not_try_announces_nothing(
    store: PostgresCircuits, heard: asyncio.Queue[CircuitNotice]
) -> None:
    await store.open(KEY, 60)
    await asyncio.wait_for(heard.get(), 1)

    for _ in range(5):
        await store.take_probe(KEY, 150)
    await store.close(ELSEWHERE)
    await store.close(KEY)

    assert (await asyncio.wait_for(heard.get(), 1)).open_for_s is None
    assert heard.empty()


# ------------------------------------------------------------------ tenants


async def test_another_tenants_circuit_is_neither_seen_nor_changed(
    store: PostgresCircuits, database: Database
) -> None:
    await store.open(ELSEWHERE, 0)

    async with database.tenant("acme") as connection:
        assert (await connection.execute(text("SELECT * FROM circuits"))).all() == []
        for change in ("UPDATE circuits SET probe_until = now()", "DELETE FROM circuits"):
            assert (await connection.execute(text(change))).rowcount == 0
    assert await store.take_probe(KEY, 150) == CircuitNotice(KEY, open_for_s=None)
    await store.close(KEY)

    assert (await only(store)).key == ELSEWHERE
    assert await store.take_probe(ELSEWHERE, 150) is None


async def test_a_store_that_is_gone_says_so(urls: DatabaseUrls) -> None:
    gone = Database(urls.service.replace("host=", "host=/nowhere"), acquire_timeout_s=0.5)
    store = PostgresCircuits(gone)

    for asking in (store.open(KEY, 1), store.take_probe(KEY, 1), store.list_circuits()):
        with pytest.raises(StorageUnavailable):
            await asking
    await gone.close()


# ------------------------------------------------------------------ replicas


@asynccontextmanager
async def replica(database: Database, **settings: float) -> AsyncIterator[Circuits]:
    """A replica's circuits, told of what the others find out as the service tells them."""
    circuits = Circuits(
        PostgresCircuits(database),
        SystemClock(),
        CircuitSettings(**settings),  # type: ignore[arg-type]
    )
    listening = asyncio.Event()

    async def follow() -> None:
        async for payload in listen(database, CIRCUIT_CHANNEL):
            if payload == EVERYTHING:
                await circuits.learn_all()
                listening.set()
            else:
                circuits.learn(notice_of(payload))

    task = asyncio.create_task(follow())
    await asyncio.wait_for(listening.wait(), 5)
    yield circuits
    await circuits.drain()
    task.cancel()
    await asyncio.wait({task})


async def fail(circuits: Circuits) -> None:
    with pytest.raises(ProviderUnavailable):
        async with circuits.guard(KEY):
            raise ProviderUnavailable("down")


async def until(circuits: Circuits, state: CircuitState) -> None:
    async with asyncio.timeout(1):
        while circuits.state(KEY) is not state:
            await asyncio.sleep(0.005)


async def test_what_one_replica_finds_out_protects_the_others_within_a_second(
    database: Database,
) -> None:
    async with replica(database) as one, replica(database) as other:
        for _ in range(5):
            await fail(one)

        await until(other, CircuitState.OPEN)
        with pytest.raises(CircuitOpen) as caught:
            async with other.guard(KEY):
                pytest.fail("the call was made")

        assert caught.value.retry_after_s == pytest.approx(60, abs=5)


async def test_a_replica_that_starts_knows_what_was_found_out_before(database: Database) -> None:
    async with replica(database) as one:
        for _ in range(5):
            await fail(one)

    async with replica(database) as late:
        assert late.state(KEY) is CircuitState.OPEN


async def test_of_all_replicas_calls_one_tries_again_and_what_it_finds_out_is_known_to_all(
    database: Database,
) -> None:
    async with (
        replica(database, open_s=0.2) as one,
        replica(database, open_s=0.2) as two,
        replica(database, open_s=0.2) as three,
    ):
        replicas = [one, two, three]
        for _ in range(5):
            await fail(one)
        for circuits in replicas:
            await until(circuits, CircuitState.HALF_OPEN)
        made = 0

        async def call(circuits: Circuits) -> None:
            nonlocal made
            async with circuits.guard(KEY):
                made += 1
                await asyncio.sleep(0.05)

        results = await asyncio.gather(
            *(call(circuits) for circuits in replicas * 10), return_exceptions=True
        )

        assert made == 1
        assert [type(result) for result in results if result is not None] == [CircuitOpen] * 29
        for circuits in replicas:
            await until(circuits, CircuitState.CLOSED)
        assert await PostgresCircuits(database).list_circuits() == []


async def test_a_call_that_was_cancelled_while_it_tried_leaves_it_to_another_replica(
    database: Database,
) -> None:
    async with replica(database, open_s=0) as one, replica(database, open_s=0) as other:
        for _ in range(5):
            await fail(one)
        await until(other, CircuitState.HALF_OPEN)

        async def hang() -> None:
            async with one.guard(KEY):
                trying.set()
                await asyncio.sleep(60)

        trying = asyncio.Event()
        probe = asyncio.create_task(hang())
        await asyncio.wait_for(trying.wait(), 1)
        with pytest.raises(CircuitOpen):
            async with other.guard(KEY):
                pytest.fail("two calls try at once")
        probe.cancel()
        await asyncio.wait({probe})
        await one.drain()

        async with asyncio.timeout(2):
            while other.state(KEY) is not CircuitState.CLOSED:
                try:
                    async with other.guard(KEY):
                        pass
                except CircuitOpen:
                    await asyncio.sleep(0.02)
