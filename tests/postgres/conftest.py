"""One server for the session, one database for each test that asks for one."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio
from sqlalchemy import event
from sqlalchemy.engine import Engine

from assistant.adapters.postgres.connection import Database
from assistant.adapters.postgres.ledger import PostgresLedger
from tests.postgres.server import DatabaseUrls, PostgresServer, connect, running_server


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def server() -> AsyncIterator[PostgresServer]:
    async with running_server() as running:
        yield running


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def shared(server: PostgresServer) -> AsyncIterator[DatabaseUrls]:
    async with server.database() as database:
        yield database


@pytest_asyncio.fixture
async def urls(shared: DatabaseUrls) -> AsyncIterator[DatabaseUrls]:
    """A migrated database without any rows. Who changes its tables takes ``fresh`` instead."""
    yield shared
    async with await connect(shared.superuser) as connection:
        # Without triggers and foreign keys the order does not matter; for a few rows, deleting
        # is many times quicker than truncating.
        await connection.execute("SET session_replication_role = replica")
        cursor = await connection.execute(
            "SELECT string_agg('DELETE FROM ' || oid::regclass, ';') FROM pg_class "
            "WHERE relnamespace = 'public'::regnamespace AND relrowsecurity AND NOT relispartition"
        )
        row = await cursor.fetchone()
        assert row is not None
        await connection.execute(row[0])


@pytest_asyncio.fixture
async def fresh(server: PostgresServer) -> AsyncIterator[DatabaseUrls]:
    """A migrated database that nobody has used and nobody else will."""
    async with server.database() as database:
        yield database


@pytest_asyncio.fixture
async def database(urls: DatabaseUrls) -> AsyncIterator[Database]:
    """The service's view of that database."""
    opened = Database(urls.service, pool_size=5)
    await opened.start()
    yield opened
    await opened.close()


@pytest_asyncio.fixture
async def ledger(database: Database) -> AsyncIterator[PostgresLedger]:
    opened = PostgresLedger(database)
    await opened.start()
    yield opened
    await opened.close()


@pytest.fixture
def short_folder() -> Iterator[Path]:
    """An empty folder outside pytest's own: that one is closed again whenever a session begins."""
    folder = Path(tempfile.mkdtemp(prefix="assistant-test-"))
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def statements() -> Iterator[list[str]]:
    """The statements that pooled connections run from now on, those that name the tenant aside."""
    seen: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        if "set_config" not in statement:
            seen.append(statement)

    event.listen(Engine, "before_cursor_execute", note)
    yield seen
    event.remove(Engine, "before_cursor_execute", note)
