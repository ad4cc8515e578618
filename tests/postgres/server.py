"""A real server for tests: one per session, a fresh database per test.

Other folders may use it as well::

    async with running_server() as server, server.database() as urls:
        database = Database(urls.service)
"""

from __future__ import annotations

import itertools
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg

from assistant.adapters.postgres import migrate
from assistant.adapters.postgres.embedded import EmbeddedPostgres

_TEMPLATE = "migrated"
_numbers = itertools.count(1)


@dataclass(frozen=True)
class DatabaseUrls:
    """One database, as its owner, as the service and as the server's superuser."""

    owner: str
    service: str
    superuser: str


class PostgresServer:
    """A running server with a migrated database to copy from."""

    def __init__(self, embedded: EmbeddedPostgres, owner_url: str) -> None:
        self.embedded = embedded
        self._owner_url = owner_url

    def urls(self, database: str) -> DatabaseUrls:
        query = self._owner_url.partition("?")[2]
        return DatabaseUrls(
            *(
                f"postgresql://{role}@/{database}?{query}"
                for role in ("assistant_owner", "assistant_service", "postgres")
            )
        )

    @asynccontextmanager
    async def database(self, template: str = _TEMPLATE) -> AsyncIterator[DatabaseUrls]:
        """A fresh database, a copy of the migrated one; "template1" gives an empty one."""
        name = f"test_{next(_numbers)}"
        await self.execute(f"CREATE DATABASE {name} TEMPLATE {template} OWNER assistant_owner")
        try:
            yield self.urls(name)
        finally:
            await self.execute(f"DROP DATABASE {name} WITH (FORCE)")

    async def execute(self, statement: str) -> None:
        """Run one statement as the superuser, outside any test's database."""
        async with await connect(self.urls("postgres").superuser) as connection:
            await connection.execute(statement)


async def connect(url: str) -> psycopg.AsyncConnection:
    """A plain connection in autocommit."""
    return await psycopg.AsyncConnection.connect(url, autocommit=True)


@asynccontextmanager
async def running_server() -> AsyncIterator[PostgresServer]:
    """A server in a folder of its own, gone with everything in it afterwards."""
    # Not pytest's folder: it closes that to other users whenever another session begins.
    folder = Path(tempfile.mkdtemp(prefix="assistant-test-"))
    embedded = EmbeddedPostgres(folder / "postgres")
    try:
        server = PostgresServer(embedded, await embedded.start())
        await server.execute(f"CREATE DATABASE {_TEMPLATE} OWNER assistant_owner")
        await migrate.upgrade(server.urls(_TEMPLATE).owner)
        yield server
    finally:
        await embedded.stop()
        shutil.rmtree(folder, ignore_errors=True)
