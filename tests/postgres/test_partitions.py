"""Partitions: there before they are needed, gone when expired, never a gap."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from sqlalchemy.exc import DBAPIError

from assistant.adapters.postgres.completions import PostgresCompletions
from assistant.adapters.postgres.connection import Database
from assistant.adapters.postgres.ledger import PostgresLedger
from assistant.adapters.postgres.migrate import MONTHS_AHEAD
from assistant.adapters.postgres.partitions import (
    PartitionChanges,
    keep_partitions,
    maintain_partitions,
)
from assistant.domain.budget import Stake
from tests.postgres.completions import running, succeeded
from tests.postgres.server import DatabaseUrls, connect


@pytest.fixture
def urls(fresh: DatabaseUrls) -> DatabaseUrls:
    """These tests add and drop tables."""
    return fresh


def month(offset: int) -> datetime:
    """The first moment of a month, counted from this one."""
    now = datetime.now(UTC)
    year, index = divmod(now.year * 12 + now.month - 1 + offset, 12)
    return datetime(year, index + 1, 1, tzinfo=UTC)


def names(offsets: range) -> list[str]:
    return [f"{month(offset):%Y_%m}" for offset in offsets]


async def partitions(urls: DatabaseUrls, table: str = "usage_logs") -> list[str]:
    async with await connect(urls.superuser) as connection:
        cursor = await connection.execute(
            "SELECT right(relname, 7) FROM pg_inherits JOIN pg_class ON oid = inhrelid "
            "WHERE inhparent = %s::regclass AND relkind = 'r' ORDER BY 1",
            (table,),
        )
        return [row[0] for row in await cursor.fetchall()]


async def maintain_as_of(
    urls: DatabaseUrls, as_of: datetime, ahead: int, retention: int | None
) -> tuple[object, ...] | None:
    async with await connect(urls.owner) as connection:
        cursor = await connection.execute(
            "SELECT * FROM assistant_maintain_partitions(%s, %s, %s)", (ahead, retention, as_of)
        )
        return await cursor.fetchone()


@pytest.mark.parametrize("table", ["completions", "usage_logs", "cache_entries"])
async def test_after_migrating_this_month_its_neighbour_and_some_ahead_exist(
    urls: DatabaseUrls, table: str
) -> None:
    assert await partitions(urls, table) == names(range(-1, MONTHS_AHEAD + 1))


async def test_maintaining_again_changes_nothing(database: Database) -> None:
    assert await maintain_partitions(database, 13) == PartitionChanges(0, 0)


async def test_months_ahead_are_added_for_every_table(
    database: Database, urls: DatabaseUrls
) -> None:
    changes = await maintain_partitions(database, 13, months_ahead=MONTHS_AHEAD + 2)

    assert changes == PartitionChanges(created=6, dropped=0)
    assert await partitions(urls) == names(range(-1, MONTHS_AHEAD + 3))


async def test_after_months_without_the_service_there_is_no_gap(urls: DatabaseUrls) -> None:
    await maintain_as_of(urls, month(9), 1, None)

    assert await partitions(urls) == names(range(-1, 11))


async def test_what_expired_is_dropped_and_nothing_else(
    ledger: PostgresLedger, urls: DatabaseUrls
) -> None:
    await maintain_as_of(urls, month(-4), 4, None)
    assert await partitions(urls) == names(range(-5, MONTHS_AHEAD + 1))

    changed = await maintain_as_of(urls, month(0), MONTHS_AHEAD, 2)

    assert changed == (0, 6 + 4), "answers are kept for a month and a month, whatever is retained"
    assert await partitions(urls) == names(range(-2, MONTHS_AHEAD + 1))


async def test_many_replicas_may_maintain_at_once(database: Database) -> None:
    changes = await asyncio.gather(
        *(maintain_partitions(database, 13, months_ahead=10) for _ in range(5))
    )

    assert sorted(change.created for change in changes) == [0, 0, 0, 0, 3 * (10 - MONTHS_AHEAD)]


async def test_a_report_that_reads_an_expired_month_does_not_stop_the_rest(
    urls: DatabaseUrls,
) -> None:
    await maintain_as_of(urls, month(-3), 0, None)
    async with await connect(urls.superuser) as report, report.transaction():
        await report.execute("SELECT count(*) FROM usage_logs")
        changed = await maintain_as_of(urls, month(0), MONTHS_AHEAD + 1, 1)

    assert changed is not None
    created, dropped = changed
    assert created == 3
    assert dropped == 4, "the months of completions and of answers, which nobody reads"


async def test_writers_are_not_stopped_while_partitions_are_made(
    ledger: PostgresLedger, urls: DatabaseUrls
) -> None:
    async with await connect(urls.owner) as owner, owner.transaction():
        await owner.execute("SELECT assistant_maintain_partitions(20, NULL)")
        await asyncio.wait_for(ledger.settle(succeeded(running())), timeout=3)


@pytest.mark.parametrize("offset_ms", [-1, 0, 1])
async def test_a_months_last_and_first_milliseconds_find_their_partitions(
    ledger: PostgresLedger, database: Database, urls: DatabaseUrls, offset_ms: int
) -> None:
    at = month(1) + timedelta(milliseconds=offset_ms)
    opened = running(at=at)
    await ledger.open(opened, Stake())
    await ledger.settle(succeeded(opened))

    found = await PostgresCompletions(database).find_completions("acme", [opened.id])
    assert found[opened.id].created_at == at
    async with await connect(urls.superuser) as connection:
        cursor = await connection.execute("SELECT tableoid::regclass::text FROM usage_logs")
        assert await cursor.fetchone() == (f"usage_logs_{at:%Y_%m}",)


async def test_borders_are_utc_whatever_the_session_thinks(urls: DatabaseUrls) -> None:
    async with await connect(urls.owner) as connection:
        await connection.execute("SET timezone = 'Pacific/Auckland'")
        await connection.execute("SELECT assistant_maintain_partitions(5, NULL)")
        await connection.execute("SET timezone = 'UTC'")
        cursor = await connection.execute(
            "SELECT pg_get_expr(relpartbound, oid) FROM pg_class WHERE relname = %s",
            (f"usage_logs_{month(5):%Y_%m}",),
        )
        row = await cursor.fetchone()
    assert row is not None
    assert f"FROM ('{month(5):%Y-%m-%d} 00:00:00+00')" in row[0]


async def test_nonsense_is_refused(database: Database) -> None:
    with pytest.raises(DBAPIError, match="retention_months at least 1"):
        await maintain_partitions(database, 0)


async def test_keeping_them_says_what_it_did(database: Database, urls: DatabaseUrls) -> None:
    async with await connect(urls.owner) as connection:
        newest = names(range(MONTHS_AHEAD, MONTHS_AHEAD + 1))[0]
        await connection.execute(f"DROP TABLE usage_logs_{newest}".encode())

    did = [await keep_partitions(database, 13) for _ in range(2)]

    assert did == ["partitions: 1 made, 0 dropped", "partitions: 0 made, 0 dropped"]
    assert newest in await partitions(urls)


async def test_a_settlement_of_last_month_that_comes_late_has_its_place(
    ledger: PostgresLedger, urls: DatabaseUrls
) -> None:
    late = running(at=month(0) - timedelta(days=3))

    await ledger.settle(replace(succeeded(late)))

    async with await connect(urls.superuser) as connection:
        cursor = await connection.execute("SELECT count(*) FROM usage_logs")
        assert await cursor.fetchone() == (2,)


async def test_a_month_made_later_has_the_index_of_prompts_and_counts_as_all_do(
    ledger: PostgresLedger, database: Database, urls: DatabaseUrls
) -> None:
    await maintain_partitions(database, 13, months_ahead=MONTHS_AHEAD + 2)
    version = uuid4()
    opened = running(at=month(MONTHS_AHEAD + 2), prompt_version_id=version)

    await ledger.settle(succeeded(opened))

    async with await connect(urls.superuser) as connection:
        cursor = await connection.execute(
            "SELECT count(*) FROM pg_inherits WHERE inhparent = 'usage_logs_prompt_version'::regclass"
        )
        assert await cursor.fetchone() == (len(names(range(-1, MONTHS_AHEAD + 3))),)
        cursor = await connection.execute(
            "SELECT prompt_version_id, hour, requests FROM prompt_version_hours"
        )
        assert await cursor.fetchall() == [(version, month(MONTHS_AHEAD + 2), 1)]


async def test_figures_by_the_hour_expire_after_the_rows_that_they_sum_up(
    database: Database, urls: DatabaseUrls
) -> None:
    async with await connect(urls.superuser) as connection:
        for age in ("13 months", "14 months -1 day", "14 months 1 day", "3 years"):
            await connection.execute(
                f"INSERT INTO prompt_version_hours SELECT tenant, gen_random_uuid(), "
                f"now() - interval '{age}', 0, 1, 1, 0, 1, 0, 0, 1 "
                "FROM unnest(ARRAY['acme', 'globex']) AS tenant".encode()
            )

    await maintain_partitions(database, 13)

    async with await connect(urls.superuser) as connection:
        cursor = await connection.execute("SELECT count(*) FROM prompt_version_hours")
        assert await cursor.fetchone() == (4,)
