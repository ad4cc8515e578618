"""What is written into the prompt catalog: whole, by its owner, numbered without a gap."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from uuid import uuid4

import psycopg
import pytest
from sqlalchemy.exc import DBAPIError, IntegrityError

from assistant.adapters.postgres.connection import Database
from assistant.adapters.postgres.listen import CATALOG_CHANNEL, EVERYTHING, listen
from assistant.adapters.postgres.prompt_changes import PostgresPromptChanges
from assistant.adapters.postgres.prompt_releases import PostgresPromptReleases
from assistant.adapters.postgres.prompts import PostgresPrompts
from assistant.domain.cache import CacheSettings, CacheSharing
from assistant.domain.prompt import CacheChanges, PromptChanges, PromptQuery, PromptVersionStatus
from assistant.errors import Conflict
from tests.postgres.catalog import NOW, a_prompt, a_release, a_version, add, published
from tests.postgres.server import DatabaseUrls, connect

KEPT = CacheSettings(
    ttl_s=60,
    min_similarity=0.97,
    max_temperature=0.0,
    sharing=CacheSharing.TENANT,
    is_semantic=False,
    variables=("text", "größe"),
)
LATER = NOW + timedelta(hours=1)


@pytest.fixture
def changes(database: Database) -> PostgresPromptChanges:
    return PostgresPromptChanges(database)


@pytest.fixture
def prompts(database: Database) -> PostgresPrompts:
    return PostgresPrompts(database)


# ------------------------------------------------------------------ new prompts


async def test_a_new_draft_reads_back_as_it_was_written_and_is_served_to_nobody(
    changes: PostgresPromptChanges, prompts: PostgresPrompts
) -> None:
    prompt = a_prompt(publish_requires_tests=True, cache=KEPT)
    first = a_version(prompt)

    assert await changes.add_prompt(prompt, first, None, 1)

    assert await prompts.find_version("acme", "summary", 1) == (prompt, first)
    assert await prompts.find_served("acme", "summary") is None
    assert await prompts.find_version("globex", "summary", 1) is None


async def test_a_new_prompt_may_be_published_at_once(
    changes: PostgresPromptChanges, prompts: PostgresPrompts, database: Database
) -> None:
    prompt = a_prompt()
    first = a_version(prompt)
    release = a_release(prompt, {1: 100}, at=LATER)

    assert await changes.add_prompt(prompt, first, release, 1)

    assert await prompts.find_version("acme", "summary", 1) == (
        replace(prompt, published_version_id=first.id, updated_at=LATER),
        published(first, LATER),
    )
    releases = await PostgresPromptReleases(database).list_releases("acme", [prompt.id], 9, None)
    assert releases == {prompt.id: [release]}


@pytest.mark.parametrize("is_archived", [False, True])
async def test_two_prompts_of_one_tenant_cannot_have_one_name(
    changes: PostgresPromptChanges, prompts: PostgresPrompts, is_archived: bool
) -> None:
    first = a_prompt(is_archived=is_archived)
    await changes.add_prompt(first, a_version(first), None, 10)
    for tenant in ("globex", "platform"):
        other = a_prompt(tenant)
        assert await changes.add_prompt(other, a_version(other), None, 10)

    second = a_prompt()
    with pytest.raises(Conflict, match="named 'summary' already"):
        await changes.add_prompt(second, a_version(second), a_release(second, {1: 100}), 10)

    listed = await prompts.list_prompts("acme", PromptQuery(include_archived=True))
    assert [prompt.id for prompt in listed] == [first.id]


async def test_of_two_who_add_the_same_name_at_once_one_does(
    changes: PostgresPromptChanges,
) -> None:
    two = [a_prompt(), a_prompt()]

    results = await asyncio.gather(
        *(changes.add_prompt(prompt, a_version(prompt), None, 10) for prompt in two),
        return_exceptions=True,
    )

    assert sorted(type(result).__name__ for result in results) == ["Conflict", "bool"]


async def test_a_prompt_too_many_is_not_written_and_other_tenants_prompts_do_not_count(
    changes: PostgresPromptChanges, prompts: PostgresPrompts
) -> None:
    for tenant in ("platform", "globex", "acme"):
        prompt = a_prompt(tenant)
        assert await changes.add_prompt(prompt, a_version(prompt), None, 1)

    more = a_prompt(name="more")
    assert not await changes.add_prompt(more, a_version(more), a_release(more, {1: 100}), 1)

    assert await prompts.prompts_by_id("acme", [more.id]) == {}


# ------------------------------------------------------------------ what describes a prompt


@pytest.mark.parametrize(
    "given",
    [
        PromptChanges(description="Better"),
        PromptChanges(description=None),
        PromptChanges(category="coding"),
        PromptChanges(tags=()),
        PromptChanges(tags=("a", "b")),
        PromptChanges(is_archived=True),
        PromptChanges(publish_requires_tests=True),
        PromptChanges(
            description="d",
            category="c",
            tags=("t",),
            is_archived=True,
            publish_requires_tests=True,
        ),
        PromptChanges(),
    ],
    ids=lambda given: ",".join(given) or "nothing",
)
async def test_only_what_is_named_changes(
    changes: PostgresPromptChanges,
    prompts: PostgresPrompts,
    database: Database,
    given: PromptChanges,
    statements: list[str],
) -> None:
    prompt, _ = await add(database)
    statements.clear()

    changed = await changes.update_prompt("acme", prompt.id, given, LATER)

    assert changed == replace(prompt, updated_at=LATER, **given)
    assert len(statements) == 1
    assert await prompts.prompts_by_id("acme", [prompt.id]) == {prompt.id: changed}


@pytest.mark.parametrize("before", [CacheSettings(), KEPT], ids=["as usual", "otherwise"])
@pytest.mark.parametrize(
    "given",
    [
        CacheChanges(),
        CacheChanges(ttl_s=0),
        CacheChanges(ttl_s=None),
        CacheChanges(min_similarity=0.95, max_temperature=0.3, sharing=CacheSharing.USER),
        CacheChanges(is_semantic=True, variables=()),
        CacheChanges(min_similarity=1.0, max_temperature=0.1 + 0.2, variables=("a", "b")),
    ],
    ids=lambda given: ",".join(given) or "nothing",
)
async def test_of_how_answers_are_kept_only_what_is_named_changes(
    changes: PostgresPromptChanges,
    prompts: PostgresPrompts,
    before: CacheSettings,
    given: CacheChanges,
) -> None:
    prompt = a_prompt(cache=before)
    await changes.add_prompt(prompt, a_version(prompt), None, 1)

    changed = await changes.update_prompt("acme", prompt.id, {"cache": given}, LATER)

    assert changed == replace(prompt, updated_at=LATER, cache=replace(before, **given))
    assert await prompts.prompts_by_id("acme", [prompt.id]) == {prompt.id: changed}
    # What says nothing of the cache leaves it.
    assert await changes.update_prompt("acme", prompt.id, {"tags": prompt.tags}, LATER) == changed


async def test_two_who_change_different_parts_of_how_answers_are_kept_at_once_both_do(
    changes: PostgresPromptChanges, prompts: PostgresPrompts, database: Database
) -> None:
    prompt, _ = await add(database)

    await asyncio.gather(
        *(
            changes.update_prompt("acme", prompt.id, {"cache": given}, LATER)
            for given in (
                CacheChanges(ttl_s=60),
                CacheChanges(min_similarity=0.97),
                CacheChanges(sharing=CacheSharing.TENANT),
            )
        )
    )

    found = (await prompts.prompts_by_id("acme", [prompt.id]))[prompt.id]
    assert found.cache == CacheSettings(ttl_s=60, min_similarity=0.97, sharing=CacheSharing.TENANT)


async def test_an_archived_prompt_can_be_brought_back(
    changes: PostgresPromptChanges, prompts: PostgresPrompts, database: Database
) -> None:
    prompt, _ = await add(database)
    await changes.update_prompt("acme", prompt.id, {"is_archived": True}, LATER)
    assert await prompts.find_served("acme", "summary") is None

    await changes.update_prompt("acme", prompt.id, {"is_archived": False}, LATER)

    assert await prompts.find_served("acme", "summary") is not None


@pytest.mark.parametrize("owner", ["globex", "platform"])
async def test_nobody_changes_what_is_anothers(
    changes: PostgresPromptChanges, prompts: PostgresPrompts, database: Database, owner: str
) -> None:
    prompt, _ = await add(database, owner)

    assert await changes.update_prompt("acme", prompt.id, {"category": "x"}, LATER) is None
    with pytest.raises(IntegrityError, match="prompt_versions_tenant_id_prompt_id_fkey"):
        await changes.add_version("acme", a_version(prompt), 10)

    assert (await prompts.prompts_by_id(owner, [prompt.id]))[prompt.id] == prompt


# ------------------------------------------------------------------ new versions


async def test_a_version_has_the_next_number_whatever_it_says(
    changes: PostgresPromptChanges, prompts: PostgresPrompts, database: Database
) -> None:
    prompt, _ = await add(database, versions=2)
    version = a_version(prompt, 77, template="New")

    added = await changes.add_version("acme", version, 10)

    assert added == replace(version, version=3)
    assert await prompts.find_version("acme", "summary", 3) == (prompt, added)


async def test_versions_added_at_once_are_numbered_without_a_gap(
    changes: PostgresPromptChanges, database: Database
) -> None:
    prompt, _ = await add(database)
    other, _ = await add(database, name="other")

    added = await asyncio.gather(
        *(changes.add_version("acme", a_version(prompt), 1_000) for _ in range(20)),
        *(changes.add_version("acme", a_version(other), 1_000) for _ in range(5)),
    )

    numbers = [version.version for version in added if version is not None]
    assert sorted(numbers[:20]) == list(range(2, 22))
    assert sorted(numbers[20:]) == list(range(2, 7))


async def test_a_prompt_never_has_a_version_too_many_also_not_at_once(
    changes: PostgresPromptChanges, prompts: PostgresPrompts, database: Database
) -> None:
    prompt, _ = await add(database)
    await add(database, name="other", versions=5)

    added = await asyncio.gather(
        *(changes.add_version("acme", a_version(prompt), 4) for _ in range(10))
    )

    assert sum(version is not None for version in added) == 3
    versions = (await prompts.list_versions("acme", [prompt.id], 99, None))[prompt.id]
    assert [version.version for version in versions] == [4, 3, 2, 1]


async def test_a_change_is_announced_with_its_tenant(
    changes: PostgresPromptChanges, database: Database
) -> None:
    heard = listen(database, CATALOG_CHANNEL)
    assert await anext(heard) == EVERYTHING

    await add(database)

    async with asyncio.timeout(5):
        assert await anext(heard) == "acme"
    await heard.aclose()  # type: ignore[attr-defined]


# ------------------------------------------------------------------ immutability

OTHER_VALUES = {
    "tenant_id": "'globex'",
    "id": f"'{uuid4()}'",
    "prompt_id": f"'{uuid4()}'",
    "version": "7",
    "template": "'x'",
    "system_template": "NULL",
    "variables": "'[]'",
    "task": "'REASONING'",
    "model": "'slow'",
    "parameters": "'{}'",
    "response_schema": "NULL",
    "on_interruption": "'ERROR'",
    "partials": "'[]'",
    "change_note": "'x'",
    "created_by": "NULL",
    "created_at": "now()",
}


async def test_a_version_never_changes(database: Database, urls: DatabaseUrls) -> None:
    await add(database)

    async with await connect(urls.superuser) as connection:
        cursor = await connection.execute(
            "SELECT attname FROM pg_attribute WHERE attrelid = 'prompt_versions'::regclass "
            "AND attnum > 0 AND NOT attisdropped"
        )
        columns = {name for (name,) in await cursor.fetchall()}
        for column, value in OTHER_VALUES.items():
            with pytest.raises(psycopg.errors.RestrictViolation, match="never changes"):
                await connection.execute(f"UPDATE prompt_versions SET {column} = {value}".encode())
        await connection.execute("UPDATE prompt_versions SET status = 'ARCHIVED'")

    assert columns - set(OTHER_VALUES) == {"status", "published_at"}


async def test_the_service_cannot_even_try_to_change_what_a_version_says(
    database: Database,
) -> None:
    await add(database)

    for statement in ("UPDATE prompt_versions SET template = 'x'", "DELETE FROM prompt_versions"):
        with pytest.raises(DBAPIError, match="permission denied"):
            async with database.tenant("acme") as connection:
                await connection.exec_driver_sql(statement)


async def test_a_version_that_is_added_is_a_draft(
    changes: PostgresPromptChanges, database: Database
) -> None:
    prompt, _ = await add(database)

    added = await changes.add_version("acme", a_version(prompt), 10)

    assert added is not None
    assert (added.status, added.published_at) == (PromptVersionStatus.DRAFT, None)
