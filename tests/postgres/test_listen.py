"""Notifications: within a second, and none missed whatever happens to the connection."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from sqlalchemy import text

from assistant.adapters.postgres.connection import Database
from assistant.adapters.postgres.listen import CATALOG_CHANNEL, EVERYTHING, listen
from tests.postgres.server import DatabaseUrls, connect


@pytest_asyncio.fixture
async def heard(database: Database) -> AsyncIterator[asyncio.Queue[str]]:
    """What a listener to the catalog hears."""
    queue: asyncio.Queue[str] = asyncio.Queue()

    async def run() -> None:
        async for payload in listen(database, CATALOG_CHANNEL):
            queue.put_nowait(payload)

    task = asyncio.create_task(run())
    assert await asyncio.wait_for(queue.get(), 5) == EVERYTHING
    yield queue
    task.cancel()
    await asyncio.wait({task})


INSERTS = {
    "providers": "INSERT INTO providers VALUES ('acme', 'p', 'OLLAMA')",
    "llm_models": "INSERT INTO llm_models VALUES ('acme', 'p', 'm', '{CHAT}', NULL, 1)",
    "model_groups": "INSERT INTO model_groups VALUES ('acme', 'g', '{p/m}')",
    "prompts": (
        "INSERT INTO prompts (tenant_id, id, name, category, created_at, updated_at) "
        "VALUES ('acme', gen_random_uuid(), 'p', 'c', now(), now())"
    ),
}


@pytest.mark.parametrize("table", INSERTS)
async def test_a_change_is_announced_with_its_tenant_within_a_second(
    heard: asyncio.Queue[str], database: Database, table: str
) -> None:
    async with database.tenant("acme") as connection:
        await connection.execute(text(INSERTS[table]))

    assert await asyncio.wait_for(heard.get(), 1) == "acme"


@pytest.mark.parametrize(
    "change", ["UPDATE providers SET is_local = false", "DELETE FROM providers"]
)
async def test_changing_and_deleting_are_announced_too(
    heard: asyncio.Queue[str], database: Database, change: str
) -> None:
    async with database.tenant("acme") as connection:
        await connection.execute(text(INSERTS["providers"]))
    assert await asyncio.wait_for(heard.get(), 1) == "acme"

    async with database.tenant("acme") as connection:
        await connection.execute(text(change))

    assert await asyncio.wait_for(heard.get(), 1) == "acme"


async def test_what_was_rolled_back_is_not_announced(
    heard: asyncio.Queue[str], database: Database
) -> None:
    with pytest.raises(ZeroDivisionError):
        async with database.tenant("acme") as connection:
            await connection.execute(text(INSERTS["providers"]))
            raise ZeroDivisionError
    async with database.tenant("globex") as connection:
        await connection.execute(text(INSERTS["providers"].replace("acme", "globex")))

    assert await asyncio.wait_for(heard.get(), 1) == "globex"


async def test_after_a_cut_connection_everything_may_have_changed(
    heard: asyncio.Queue[str], database: Database, urls: DatabaseUrls
) -> None:
    async with await connect(urls.superuser) as connection:
        await connection.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )

    assert await asyncio.wait_for(heard.get(), 5) == EVERYTHING
    async with database.tenant("acme") as connection:
        await connection.execute(text(INSERTS["providers"]))
    assert await asyncio.wait_for(heard.get(), 1) == "acme"
