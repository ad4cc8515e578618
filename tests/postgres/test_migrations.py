"""Migrations: forth and back, many at once, by an owner that is no superuser."""

from __future__ import annotations

import asyncio
import json
import os
import random
import sys
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

import psycopg
import pytest
import pytest_asyncio

from assistant.adapters.postgres import migrate
from assistant.adapters.postgres.completion_rows import completion_row
from assistant.adapters.postgres.connection import Database
from assistant.adapters.postgres.errors import DatabaseStartError
from assistant.adapters.postgres.ledger import PostgresLedger
from assistant.adapters.postgres.prompt_releases import PostgresPromptReleases
from assistant.adapters.postgres.prompts import PostgresPrompts
from assistant.adapters.postgres.seeds import PostgresSeeds
from assistant.adapters.postgres.usage import PostgresUsage
from assistant.domain.budget import Stake
from assistant.domain.completion import Completion, TokenUsage
from assistant.domain.prompt import PromptDraft, PromptVersionStatus, VersionDraft
from assistant.domain.prompt_document import PromptDocument
from assistant.domain.prompt_test import Contains, PromptTestDraft
from assistant.domain.rollout import ReleaseKind, Rollout
from assistant.domain.seed import Seed, SeedReport
from assistant.domain.usage import UsageWindow
from tests.postgres.catalog import NOW, a_release, add
from tests.postgres.completions import running, succeeded
from tests.postgres.server import DatabaseUrls, PostgresServer, connect

NOON = datetime.now(UTC).replace(hour=12, minute=0, second=0, microsecond=0)

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


async def figures_in(urls: DatabaseUrls) -> tuple[list[Any], list[Any]]:
    """What is kept of prompts by the hour, and what the usage rows say."""
    figures = "count(*), sum(prompt_tokens + completion_tokens), sum(cost)"
    async with await connect(urls.superuser) as connection:
        kept = await connection.execute(
            "SELECT tenant_id, prompt_version_id, hour, sum(requests)::bigint, "
            "sum(total_tokens)::bigint, sum(cost) FROM prompt_version_hours "
            "GROUP BY 1, 2, 3 ORDER BY 1, 2, 3"
        )
        counted = await connection.execute(
            f"SELECT tenant_id, prompt_version_id, date_trunc('hour', created_at, 'UTC'), {figures} "
            "FROM usage_logs WHERE prompt_version_id IS NOT NULL AND attempt = 0 "
            "GROUP BY 1, 2, 3 ORDER BY 1, 2, 3"
        )
        return await kept.fetchall(), await counted.fetchall()


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
    revisions = [f"{number:04}" for number in range(1, int(migrate.expected_revision()))]
    for revision in reversed(revisions):
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
        await ledger.open(opened, Stake())
        await ledger.settle(succeeded(opened))
        await ledger.close()
        await database.close()

        async with await connect(urls.superuser) as connection:
            cursor = await connection.execute("SELECT count(*) FROM usage_logs WHERE attempt = 0")
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


async def test_prompts_and_their_figures_outlive_a_step_down_and_up(
    urls: DatabaseUrls, database: Database, ledger: PostgresLedger
) -> None:
    """As where 0007 is put on a database that has been in use."""
    test = PromptTestDraft("one", {}, (Contains("x"),))
    draft = PromptDraft("seeded", "writing", VersionDraft("Hello"))
    seed = Seed(prompts=(PromptDocument(draft, (test,)),))
    await PostgresSeeds(database).apply(seed, NOW)
    prompt, versions = await add(database, "acme", versions=3)
    for tenant in ("acme", "globex"):
        for hours in (0, 1, 30):
            at = datetime.now(UTC) - timedelta(hours=hours)
            for version in versions:
                await ledger.settle(succeeded(running(tenant, at=at, prompt_version_id=version.id)))
    before = await figures_in(urls)
    rollout = Rollout((1,) * 50 + (2,) * 50, NOW)
    release = a_release(prompt, rollout.weights, ReleaseKind.ROLLOUT)
    await PostgresPromptReleases(database).set_rollout(prompt, rollout, release)

    await migrate.downgrade(urls.owner, "0006")
    await migrate.upgrade(urls.owner)

    kept, counted = await figures_in(urls)
    assert kept == counted
    assert len(kept) == 2 * 3 * 3
    assert (kept, counted) == before
    found = await PostgresPrompts(database).list_versions("acme", [prompt.id], 9, None)
    by_number = {version.version: version.status for version in found[prompt.id]}
    assert by_number[1] is PromptVersionStatus.PUBLISHED
    assert await PostgresSeeds(database).apply(seed, NOW) == SeedReport(added=1, unchanged=1)


async def test_only_what_is_published_is_called_so_after_the_step_up(
    urls: DatabaseUrls, database: Database
) -> None:
    prompt, _ = await add(database, "platform", versions=3, published_number=2)
    await migrate.downgrade(urls.owner, "0006")
    async with await connect(urls.superuser) as connection:
        await connection.execute(
            "UPDATE prompt_versions SET status = 'PUBLISHED' WHERE version < 3"
        )

    await migrate.upgrade(urls.owner)

    found = await PostgresPrompts(database).list_versions("acme", [prompt.id], 9, None)
    assert [version.status.value for version in found[prompt.id]] == [
        "DRAFT",
        "PUBLISHED",
        "ARCHIVED",
    ]


@pytest.mark.parametrize("before", ["0006", "0010"])
async def test_whatever_is_settled_while_figures_are_introduced_is_counted_once(
    urls: DatabaseUrls, database: Database, before: str
) -> None:
    """Those of prompts come with 0007, those of usage with 0011."""
    await migrate.downgrade(urls.owner, before)
    version = uuid4()
    is_over = asyncio.Event()

    async def write() -> None:
        # Programs of before end when they find that theirs is not the database's revision.
        with suppress(psycopg.errors.UndefinedFunction):
            async with await connect(urls.service) as connection:
                while True:
                    opened = running(prompt_version_id=version)
                    await settle_as_before(connection, succeeded(opened))
        ledger = PostgresLedger(database)
        await ledger.start()
        while not is_over.is_set():
            await ledger.settle(succeeded(running(prompt_version_id=version)))
        await ledger.close()

    writers = [asyncio.create_task(write()) for _ in range(3)]
    await asyncio.sleep(0.2)
    await migrate.upgrade(urls.owner)
    await asyncio.sleep(0.2)
    is_over.set()
    await asyncio.gather(*writers)

    kept, counted = await figures_in(urls)
    assert kept == counted
    assert sum(row[3] for row in kept) > 100
    sums, rows = await usage_in(urls)
    assert sums == [rows] * 3
    assert rows[0] == sum(row[3] for row in kept)


async def test_usage_from_before_its_sums_adds_up_to_the_same_afterwards(
    urls: DatabaseUrls, database: Database
) -> None:
    await migrate.downgrade(urls.owner, "0010")
    dice = random.Random(7)
    completions = []
    for number in range(300):
        at = NOON - timedelta(minutes=dice.randrange(3_000))
        opened = running(at=at, model=f"ollama/{number % 3}", feature=dice.choice([None, "a"]))
        cost = Decimal(dice.randrange(10**9)).scaleb(-9)
        usage = TokenUsage(dice.randrange(900), dice.randrange(90), 0, False, cost)
        completions.append(succeeded(opened, usage=dice.choice([usage, TokenUsage()])))
    async with await connect(urls.service) as connection:
        for completion in completions:
            await settle_as_before(connection, completion)

    await migrate.upgrade(urls.owner)

    window = UsageWindow(NOON - timedelta(minutes=2_222, seconds=1), NOON)
    found = (await PostgresUsage(database).summarize_users("acme", ["ann"], window))["ann"]
    expected = [c for c in completions if window.start <= c.created_at < window.end]
    assert found.requests == len(expected)
    assert found.prompt_tokens == sum(c.usage.prompt_tokens for c in expected)
    assert found.completion_tokens == sum(c.usage.completion_tokens for c in expected)
    assert found.cost == sum(c.usage.cost for c in expected)
    assert found.saved_cost == sum(c.decision.saved_cost for c in expected)
    for share in found.by_model:
        theirs = [c for c in expected if c.model == share.key]
        assert (share.requests, share.cost) == (len(theirs), sum(c.usage.cost for c in theirs))
    sums, rows = await usage_in(urls)
    assert sums == [rows] * 3


async def test_usage_outlives_a_step_down_and_up(
    urls: DatabaseUrls, ledger: PostgresLedger
) -> None:
    for tenant in ("acme", "globex"):
        for hours in (0, 1, 30):
            at = NOON - timedelta(hours=hours)
            await ledger.settle(succeeded(running(tenant, at=at)))
    before = await usage_in(urls)

    await migrate.downgrade(urls.owner, "0010")
    await migrate.upgrade(urls.owner)

    assert await usage_in(urls) == before


async def settle_as_before(connection: psycopg.AsyncConnection, completion: Completion) -> None:
    """As programs of revisions before 0012 do."""
    row = json.dumps([completion_row(completion)])
    await connection.execute("SELECT assistant_settle(%s)", (row,))


async def usage_in(urls: DatabaseUrls) -> tuple[list[Any], Any]:
    """Requests, tokens and cost by each table of sums, and by the usage rows."""
    async with await connect(urls.superuser) as connection:
        sums = [
            await (
                await connection.execute(
                    "SELECT sum(requests)::bigint, sum(prompt_tokens)::bigint, "
                    f"sum(completion_tokens)::bigint, sum(cost) FROM {table}".encode()
                )
            ).fetchone()
            for table in ("usage_hours", "usage_service_hours", "usage_user_days")
        ]
        rows = await connection.execute(
            "SELECT count(*) FILTER (WHERE attempt = 0), "
            "coalesce(sum(prompt_tokens) FILTER (WHERE attempt > 0), 0), "
            "coalesce(sum(completion_tokens) FILTER (WHERE attempt > 0), 0), "
            "coalesce(sum(cost) FILTER (WHERE attempt > 0), 0) FROM usage_logs"
        )
        return sums, await rows.fetchone()
