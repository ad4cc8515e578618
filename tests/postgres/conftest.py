"""One server for the session, one database for each test that asks for one."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from assistant.adapters.postgres.connection import Database
from assistant.adapters.postgres.ledger import PostgresLedger
from tests.postgres.server import DatabaseUrls, PostgresServer, running_server


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def server() -> AsyncIterator[PostgresServer]:
    async with running_server() as running:
        yield running


@pytest_asyncio.fixture
async def urls(server: PostgresServer) -> AsyncIterator[DatabaseUrls]:
    """A fresh, migrated database."""
    async with server.database() as fresh:
        yield fresh


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
