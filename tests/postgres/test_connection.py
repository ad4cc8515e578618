"""Connections: any spelling of the address, and back by themselves when the database is."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import psycopg
import pytest
import pytest_asyncio
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError, ProgrammingError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from assistant.adapters.postgres.address import connection_arguments
from assistant.adapters.postgres.cluster import Cluster
from assistant.adapters.postgres.connection import Database
from assistant.adapters.postgres.embedded import EmbeddedPostgres
from assistant.adapters.postgres.errors import DatabaseStartError, find_unavailable
from assistant.errors import StorageUnavailable
from tests.postgres.server import DatabaseUrls, connect

ONE = text("SELECT 1")


@pytest.mark.parametrize("scheme", ["postgresql", "postgres", "postgresql+psycopg"])
async def test_every_spelling_of_the_scheme_connects(urls: DatabaseUrls, scheme: str) -> None:
    database = Database(f"{scheme}://{urls.service.partition('://')[2]}")
    await database.start()
    assert await database.check() is None
    await database.close()


@pytest.mark.parametrize(
    "url",
    ["mysql://x/y", "nonsense", "", "postgresql://u:secret@[::1/x", "postgresql://u:50%@h/x"],
)
def test_an_address_that_cannot_be_used_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(DatabaseStartError, match="postgresql://user:password@host") as caught:
        connection_arguments(url)

    assert "secret" not in str(caught.value)
    assert "50%" not in str(caught.value)


def test_everything_that_libpq_understands_is_passed_on() -> None:
    arguments = connection_arguments(
        "postgresql://u:p%40ss@db1.example:6432,db2.example/app"
        "?sslmode=require&target_session_attrs=read-write&connect_timeout=2"
    )

    assert arguments["password"] == "p@ss"
    assert arguments["host"] == "db1.example,db2.example"
    assert (arguments["sslmode"], arguments["target_session_attrs"]) == ("require", "read-write")
    assert int(arguments["connect_timeout"]) == 2


def test_the_addresss_own_options_win_over_ours() -> None:
    arguments = connection_arguments(
        "postgresql://db/app?options=-c%20statement_timeout%3D1s", statement_timeout="15s"
    )

    assert arguments["options"] == "-c statement_timeout=15s -c statement_timeout=1s"


async def test_pooled_connections_that_were_cut_are_replaced_unnoticed(
    database: Database, urls: DatabaseUrls
) -> None:
    async def use() -> None:
        async with database.tenant("acme") as connection:
            await connection.execute(text("SELECT pg_sleep(0.02)"))

    await asyncio.gather(*(use() for _ in range(5)))
    async with await connect(urls.superuser) as connection:
        await connection.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )

    await asyncio.gather(*(use() for _ in range(5)))


async def test_an_exhausted_pool_is_reported_within_seconds(urls: DatabaseUrls) -> None:
    database = Database(urls.service, pool_size=1, acquire_timeout_s=0.2)
    await database.start()
    async with database.tenant("acme"):
        with pytest.raises(StorageUnavailable, match="in use") as caught:
            async with database.tenant("acme"):
                pass

    assert caught.value.retry_after_s is not None
    await database.close()


async def test_a_caller_that_gives_up_gives_its_connection_back(urls: DatabaseUrls) -> None:
    database = Database(urls.service, pool_size=1, acquire_timeout_s=2)
    await database.start()

    async def dawdle() -> None:
        async with database.tenant("acme") as connection:
            await connection.execute(text("SELECT pg_sleep(10)"))

    for _ in range(3):
        task = asyncio.create_task(dawdle())
        await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    async with database.tenant("acme") as connection:
        assert (await connection.execute(ONE)).scalar() == 1
    await database.close()


async def test_a_failed_block_is_rolled_back(database: Database) -> None:
    with pytest.raises(ZeroDivisionError):
        async with database.tenant("acme") as connection:
            await connection.execute(
                text("INSERT INTO providers (tenant_id, name, kind) VALUES ('acme', 'p', 'OLLAMA')")
            )
            raise ZeroDivisionError

    async with database.tenant("acme") as connection:
        rows = await connection.execute(text("SELECT count(*) FROM providers"))
        assert rows.scalar() == 0


async def test_a_defect_of_ours_is_not_called_an_outage(database: Database) -> None:
    with pytest.raises(ProgrammingError):
        async with database.tenant("acme") as connection:
            await connection.execute(text("SELECT no_such_column"))


async def test_an_error_repeats_neither_parameters_nor_the_refused_row(database: Database) -> None:
    with pytest.raises(IntegrityError) as caught:
        async with database.tenant("acme") as connection:
            await connection.execute(
                text(
                    "INSERT INTO providers (tenant_id, name, kind, base_url) "
                    "VALUES ('acme', 'p', 'NONSENSE', :url)"
                ),
                {"url": "https://bob:secret@host"},
            )

    assert "providers_kind_check" in str(caught.value)
    assert "secret" not in str(caught.value)


async def test_a_statement_that_takes_too_long_is_an_outage(database: Database) -> None:
    with pytest.raises(StorageUnavailable, match="too long"):
        async with database.tenant("acme") as connection:
            await connection.execute(text("SET LOCAL statement_timeout = '50ms'"))
            await connection.execute(text("SELECT pg_sleep(5)"))

    async with database.tenant("acme") as connection:
        await connection.execute(ONE)


async def test_a_database_that_takes_no_writes_is_an_outage(
    database: Database, urls: DatabaseUrls
) -> None:
    with pytest.raises(StorageUnavailable, match="read-only"):
        async with database.tenant("acme") as connection:
            await connection.execute(text("SET LOCAL transaction_read_only = on"))
            await connection.execute(
                text("INSERT INTO providers (tenant_id, name, kind) VALUES ('acme', 'p', 'OLLAMA')")
            )


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (psycopg.errors.DiskFull(), "disk is full"),
        (psycopg.errors.TooManyConnections(), "too many connections"),
        (psycopg.errors.OutOfMemory(), "run out of resources"),
        (psycopg.errors.CrashShutdown(), "shutting down or starting up"),
        (psycopg.errors.CannotConnectNow(), "shutting down or starting up"),
        (psycopg.errors.DeadlockDetected(), "conflicting write"),
        (psycopg.OperationalError("connection refused"), "connection to the database was lost"),
        (PoolTimeout(), "in use"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else None,
)
def test_what_says_not_now_is_an_outage_with_a_time_to_come_back(
    error: Exception, words: str
) -> None:
    found = find_unavailable(error)

    assert found is not None
    assert words in found.message
    assert found.retry_after_s is not None


@pytest.mark.parametrize(
    "error",
    [
        psycopg.errors.CheckViolation(),
        psycopg.errors.UniqueViolation(),
        psycopg.errors.UndefinedTable(),
        psycopg.ProgrammingError("wrong number of parameters"),
        ValueError(),
    ],
    ids=lambda error: type(error).__name__,
)
def test_what_is_wrong_with_the_statement_is_no_outage(error: Exception) -> None:
    assert find_unavailable(error) is None


async def test_a_database_that_is_down_is_a_reason_not_to_be_ready() -> None:
    database = Database("postgresql://nobody@127.0.0.1:1/nowhere")

    assert "connection to the database was lost" in str(await database.check())
    with pytest.raises(StorageUnavailable):
        await database.start()
    await database.close()


@pytest_asyncio.fixture
async def restartable(short_folder: Path) -> AsyncIterator[EmbeddedPostgres]:
    embedded = EmbeddedPostgres(short_folder / "postgres")
    await embedded.start()
    yield embedded
    await embedded.stop()


async def test_the_service_recovers_by_itself_when_the_database_comes_back(
    restartable: EmbeddedPostgres, short_folder: Path
) -> None:
    database = Database(restartable.service_url, pool_size=3)
    await database.start()
    cluster = Cluster((short_folder / "postgres").resolve())
    running = cluster.find_server()
    assert running is not None

    os.kill(running.pid, signal.SIGQUIT)
    outages = 0
    for _ in range(400):
        try:
            async with database.tenant("acme") as connection:
                await connection.execute(ONE)
        except StorageUnavailable:
            outages += 1
            await asyncio.sleep(0.05)
        else:
            if outages:
                break

    assert outages > 0
    async with database.tenant("acme") as connection:
        assert (await connection.execute(ONE)).scalar() == 1
    await database.close()
