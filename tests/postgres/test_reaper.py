"""Who is gone is settled for, once; who only was away settles by itself, or is told that it is late."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any

import pytest

from assistant.adapters.postgres.completions import PostgresCompletions
from assistant.adapters.postgres.connection import Database
from assistant.adapters.postgres.ledger import PostgresLedger
from assistant.adapters.postgres.reaper import reap
from assistant.domain.budget import Stake
from assistant.domain.completion import CompletionStatus
from assistant.errors import EntryReaped, ErrorCode, StorageUnavailable
from tests.postgres.completions import running, succeeded
from tests.postgres.server import DatabaseUrls, PostgresServer, connect

STAKE = Stake(
    prompt_tokens=100,
    output_tokens=50,
    least_output_tokens=16,
    fixed_cost=Decimal("0.0003"),
    output_price=Decimal("1.5"),
)
WORST = Decimal("0.000375")


async def fetch(urls: DatabaseUrls, statement: str) -> list[tuple[Any, ...]]:
    async with await connect(urls.superuser) as connection:
        cursor = await connection.execute(statement)  # type: ignore[arg-type]
        return await cursor.fetchall()


async def open_entries(urls: DatabaseUrls) -> int:
    return len(await fetch(urls, "SELECT id FROM reservations"))


@asynccontextmanager
async def dying(database: Database) -> AsyncIterator[PostgresLedger]:
    """A ledger whose process dies at the end of the block: it neither settles nor leaves."""
    ledger = PostgresLedger(database)
    await ledger.start()
    yield ledger
    assert ledger._beating is not None and ledger._connection is not None
    ledger._beating.cancel()
    await ledger._connection.close()


async def test_what_a_dead_process_left_open_is_charged_at_its_worst(
    database: Database, urls: DatabaseUrls
) -> None:
    opened = running()
    async with dying(database) as ledger:
        await ledger.open(opened, STAKE)

    said = await reap(database, silence_s=0.0, patience_s=0.0)

    assert said == "completions: 1 reaped"
    found = (await PostgresCompletions(database).find_completions("acme", [opened.id]))[opened.id]
    assert (found.status, found.error_code) == (
        CompletionStatus.FAILED,
        ErrorCode.STREAM_INTERRUPTED,
    )
    assert (found.usage.prompt_tokens, found.usage.completion_tokens) == (100, 50)
    assert (found.usage.cost, found.usage.is_estimated) == (WORST, True)
    (attempt,) = found.decision.attempts
    assert (attempt.model, attempt.usage.cost) == (opened.model, WORST)
    rows = await fetch(urls, "SELECT attempt, cost, status FROM usage_logs ORDER BY attempt")
    assert rows == [(0, WORST, "FAILED"), (1, WORST, "FAILED")]
    assert await open_entries(urls) == 0


async def test_nothing_is_reaped_twice(database: Database, urls: DatabaseUrls) -> None:
    async with dying(database) as ledger:
        for _ in range(30):
            await ledger.open(running(), STAKE)

    said = await asyncio.gather(*(reap(database, silence_s=0.0, patience_s=0.0) for _ in range(5)))

    assert sorted(said)[-1] == "completions: 30 reaped"
    assert sorted(said)[0] == "completions: 0 reaped"
    assert len(await fetch(urls, "SELECT id FROM usage_logs WHERE attempt = 0")) == 30


async def test_who_is_heard_of_is_not_reaped(
    ledger: PostgresLedger, database: Database, urls: DatabaseUrls
) -> None:
    await ledger.open(running(), STAKE)

    await reap(database)

    assert await open_entries(urls) == 1


async def test_nobody_is_reaped_for_the_time_in_which_the_server_was_away(
    ledger: PostgresLedger, database: Database, urls: DatabaseUrls
) -> None:
    await ledger.open(running(), STAKE)
    await fetch(
        urls, "UPDATE ledger_instances SET heard_at = now() - interval '1 hour' RETURNING id"
    )

    # This server has been there for less than that.
    await reap(database, silence_s=1_000_000.0)

    assert await open_entries(urls) == 1


async def test_who_was_silent_for_as_long_as_everybody_may_say_that_they_live(
    database: Database, urls: DatabaseUrls
) -> None:
    ledger = PostgresLedger(database, beat_interval_s=0.05)
    await ledger.start()
    await ledger.open(running(), STAKE)
    await fetch(
        urls, "UPDATE ledger_instances SET heard_at = now() - interval '1 hour' RETURNING id"
    )

    await reap(database, silence_s=0.5, patience_s=0.4)

    assert await open_entries(urls) == 1
    await ledger.close()


async def test_who_was_taken_for_dead_is_told_so_and_changes_nothing(
    ledger: PostgresLedger, database: Database, urls: DatabaseUrls
) -> None:
    opened = running()
    await ledger.open(opened, STAKE)
    await fetch(urls, "DELETE FROM ledger_instances RETURNING id")
    await reap(database, silence_s=0.0, patience_s=0.0)
    before = await fetch(urls, "SELECT * FROM usage_logs ORDER BY attempt")

    with pytest.raises(EntryReaped):
        await ledger.settle(succeeded(opened))
    with pytest.raises(EntryReaped):
        await ledger.open(opened, STAKE, is_more=True)

    assert await fetch(urls, "SELECT * FROM usage_logs ORDER BY attempt") == before
    assert await open_entries(urls) == 0


async def test_who_has_settled_may_say_so_again(ledger: PostgresLedger, database: Database) -> None:
    opened = running()
    await ledger.open(opened, STAKE)
    await ledger.settle(succeeded(opened))

    await reap(database, silence_s=0.0, patience_s=0.0)
    await ledger.settle(succeeded(opened))


async def test_who_leaves_in_order_is_no_longer_listed(
    database: Database, urls: DatabaseUrls
) -> None:
    ledger = PostgresLedger(database)
    await ledger.start()
    await ledger.open(running(), STAKE)
    assert len(await fetch(urls, "SELECT id FROM ledger_instances")) == 1

    await ledger.close()

    assert await fetch(urls, "SELECT id FROM ledger_instances") == []


async def test_what_could_not_be_settled_is_settled_when_the_database_is_back(
    server: PostgresServer, urls: DatabaseUrls
) -> None:
    database = Database(urls.service)
    await database.start()
    ledger = PostgresLedger(database, beat_interval_s=0.05)
    await ledger.start()
    opened = running()
    await ledger.open(opened, STAKE)
    name = urls.service.split("/")[3].partition("?")[0]
    await server.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
    await server.execute(
        f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"
    )

    with pytest.raises(StorageUnavailable):
        await ledger.settle(succeeded(opened))
    await server.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")

    async with asyncio.timeout(10):
        while await open_entries(urls):
            await asyncio.sleep(0.02)
    rows = await fetch(urls, "SELECT status FROM usage_logs WHERE attempt = 0")
    assert rows == [("SUCCEEDED",)]
    await ledger.close()
    await database.close()
