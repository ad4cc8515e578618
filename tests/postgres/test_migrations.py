"""Migrations: forth and back, many at once, by an owner that is no superuser."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from assistant.adapters.postgres import migrate
from assistant.adapters.postgres.connection import Database
from assistant.adapters.postgres.errors import DatabaseStartError
from assistant.adapters.postgres.ledger import PostgresLedger
from tests.postgres.completions import running, succeeded
from tests.postgres.server import DatabaseUrls, PostgresServer, connect

# Everything that a migration could leave behind, extensions' members aside.
LEFT = """
    SELECT 'table ' || relname FROM pg_class WHERE relnamespace = 'public'::regnamespace
    UNION ALL
    SELECT 'function ' || proname FROM pg_proc AS f WHERE pronamespace = 'public'::regnamespace
       AND NOT EXISTS (SELECT FROM pg_depend WHERE objid = f.oid AND deptype = 'e')
    UNION ALL
    SELECT 'type ' || typname FROM pg_type AS t WHERE typnamespace = 'public'::regnamespace
       AND NOT EXISTS (SELECT FROM pg_depend WHERE objid = t.oid AND deptype IN ('e', 'i'))
       AND NOT EXISTS (SELECT FROM pg_depend WHERE objid = t.typelem AND deptype = 'e')
    UNION ALL
    SELECT 'grant to ' || grantee::regrole::text FROM pg_namespace, aclexplode(nspacl)
     WHERE nspname = 'public' AND grantee::regrole::text LIKE 'assistant_%'
"""


@pytest_asyncio.fixture
async def empty(server: PostgresServer) -> AsyncIterator[DatabaseUrls]:
    async with server.database("template1") as fresh:
        yield fresh


@pytest.fixture
def urls(fresh: DatabaseUrls) -> DatabaseUrls:
    """These tests change the schema."""
    return fresh


async def left_in(urls: DatabaseUrls) -> list[str]:
    async with await connect(urls.superuser) as connection:
        cursor = await connection.execute(LEFT)
        return sorted(row[0] for row in await cursor.fetchall())


async def test_up_down_and_up_again_leaves_nothing_in_between(empty: DatabaseUrls) -> None:
    assert await left_in(empty) == []
    assert await migrate.current_revision(empty.owner) is None

    await migrate.upgrade(empty.owner)
    assert await migrate.current_revision(empty.owner) == migrate.expected_revision()
    full = await left_in(empty)
    assert "table usage_logs" in full

    await migrate.downgrade(empty.owner)
    assert await left_in(empty) == []
    assert await migrate.current_revision(empty.owner) is None

    await migrate.upgrade(empty.owner)
    assert await left_in(empty) == full


async def test_every_single_step_down_and_up_works(empty: DatabaseUrls) -> None:
    await migrate.upgrade(empty.owner)
    full = await left_in(empty)
    for revision in ("0006", "0005", "0004", "0003", "0002", "0001"):
        await migrate.downgrade(empty.owner, revision)
        assert await migrate.current_revision(empty.owner) == revision

    await migrate.upgrade(empty.owner)

    assert await left_in(empty) == full


async def test_many_replicas_may_migrate_at_once(empty: DatabaseUrls) -> None:
    await asyncio.gather(*(migrate.upgrade(empty.owner) for _ in range(4)))

    assert await migrate.current_revision(empty.owner) == migrate.expected_revision()


async def test_the_command_may_run_in_several_processes_at_once(empty: DatabaseUrls) -> None:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("ASSISTANT_")}

    async def assistant_migrate() -> str:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "assistant", "migrate"),
            env=environment | {"ASSISTANT_DATABASE_URL": empty.owner},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        output, _ = await process.communicate()
        return output.decode() if process.returncode == 0 else f"failed: {output.decode()}"

    said = await asyncio.gather(*(assistant_migrate() for _ in range(3)))

    expected = f"The database is at revision {migrate.expected_revision()}."
    assert all(text.splitlines()[-1] == expected for text in said), said


async def test_migrating_again_changes_nothing(urls: DatabaseUrls) -> None:
    before = await left_in(urls)

    await migrate.upgrade(urls.owner)

    assert await left_in(urls) == before


async def test_an_owner_without_superuser_can_migrate_and_the_service_can_act_through_it(
    server: PostgresServer,
) -> None:
    """A company's database: one plain login that owns it and may create roles."""
    await server.execute("CREATE ROLE plain LOGIN CREATEROLE")
    # Other databases of this server have made the roles; a new server would have none.
    await server.execute("GRANT assistant_service, assistant_ledger TO plain WITH ADMIN OPTION")
    async with server.database("template1") as urls:
        owner = urls.owner.replace("assistant_owner", "plain")
        name = owner.partition("@/")[2].partition("?")[0]
        await server.execute(f"ALTER DATABASE {name} OWNER TO plain")
        await migrate.upgrade(owner)

        database = Database(owner)
        await database.start()
        ledger = PostgresLedger(database)
        await ledger.start()
        opened = running()
        await ledger.open(opened)
        await ledger.settle(succeeded(opened))
        await ledger.close()
        await database.close()

        async with await connect(urls.superuser) as connection:
            cursor = await connection.execute("SELECT count(*) FROM usage_logs")
            assert await cursor.fetchone() == (1,)
        await migrate.downgrade(owner)
        assert await left_in(urls) == []
    await server.execute("DROP OWNED BY plain")
    await server.execute("DROP ROLE plain")


async def test_a_database_of_a_newer_program_is_refused(urls: DatabaseUrls) -> None:
    async with await connect(urls.superuser) as connection:
        await connection.execute("UPDATE alembic_version SET version_num = '9999'")

    with pytest.raises(DatabaseStartError, match=r"9999.*newer program"):
        await migrate.upgrade(urls.owner)


async def test_a_database_that_cannot_be_reached_is_reported_without_its_password() -> None:
    with pytest.raises(DatabaseStartError, match="cannot be reached") as caught:
        await migrate.upgrade("postgresql://user:hunter2@127.0.0.1:1/nowhere")

    assert "hunter2" not in str(caught.value)
    assert "\n" not in str(caught.value)


async def test_a_failing_migration_changes_nothing(empty: DatabaseUrls) -> None:
    async with await connect(empty.superuser) as connection:
        await connection.execute("CREATE TABLE api_keys (in_the_way integer)")

    with pytest.raises(DatabaseStartError, match='"api_keys" already exists'):
        await migrate.upgrade(empty.owner)

    assert await left_in(empty) == ["table api_keys", "type api_keys"] or await left_in(empty) == [
        "table api_keys"
    ]
