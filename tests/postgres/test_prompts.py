"""Prompts: the tenant's own over the platform's, in any order, each method one statement."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from uuid import UUID, uuid4

import pytest

from assistant.adapters.postgres.connection import Database
from assistant.adapters.postgres.prompt_releases import PostgresPromptReleases
from assistant.adapters.postgres.prompts import PostgresPrompts
from assistant.domain.prompt import (
    Prompt,
    PromptOrderField,
    PromptQuery,
    PromptVersion,
    PromptVersionStatus,
    ServedPrompt,
)
from assistant.domain.rollout import ReleaseKind, Rollout, RolloutGuard
from tests.postgres.catalog import NOW, a_release, add


@pytest.fixture
def prompts(database: Database) -> PostgresPrompts:
    return PostgresPrompts(database)


def served(prompt: Prompt, version: PromptVersion) -> ServedPrompt:
    """What everybody gets of a prompt that is not split."""
    return ServedPrompt(prompt, version.version, {version.version: version})


async def test_the_published_version_reads_back_exactly(
    prompts: PostgresPrompts, database: Database, statements: list[str]
) -> None:
    prompt, versions = await add(database, "acme", "summary", versions=3, published_number=2)
    statements.clear()

    assert await prompts.find_served("acme", "summary") == served(prompt, versions[1])
    assert len(statements) == 1


async def test_every_version_that_somebody_gets_is_served_and_no_other(
    prompts: PostgresPrompts, database: Database, statements: list[str]
) -> None:
    prompt, versions = await add(database, versions=4, published_number=1)
    rollout = Rollout((1,) * 70 + (4,) * 10 + (2,) * 20, NOW)
    release = a_release(prompt, rollout.weights, ReleaseKind.ROLLOUT)
    await PostgresPromptReleases(database).set_rollout(prompt, rollout, release)
    statements.clear()

    found = await prompts.find_served("acme", "summary")

    assert found is not None
    assert found.prompt == replace(prompt, rollout=rollout)
    assert (found.published, sorted(found.versions)) == (1, [1, 2, 4])
    assert found.versions[1] == versions[0]
    assert {version.status for version in found.versions.values()} == {
        PromptVersionStatus.PUBLISHED
    }
    assert len(statements) == 1
    platforms = await prompts.find_served("globex", "summary")
    assert platforms is None


async def test_what_splits_the_platforms_callers_splits_every_tenants(
    prompts: PostgresPrompts, database: Database
) -> None:
    await add(database, "platform", versions=2)
    rollout = await split(database, "platform", "summary")

    found = await prompts.find_served("acme", "summary")

    assert found is not None
    assert (found.prompt.rollout, sorted(found.versions)) == (rollout, [1, 2])
    assert (await prompts.list_prompts("acme", PromptQuery()))[0].rollout == rollout
    by_id = await prompts.prompts_by_id("acme", [found.prompt.id])
    assert by_id[found.prompt.id].rollout == rollout


async def test_a_response_schema_keeps_the_order_of_its_properties(
    prompts: PostgresPrompts, database: Database
) -> None:
    await add(database, "acme", "summary")

    found = await prompts.find_version("acme", "summary", 1)

    assert found is not None
    assert found[1].response_schema is not None
    assert list(found[1].response_schema) == ["zeta", "alpha"]


async def test_a_prompt_without_a_published_version_is_served_to_nobody(
    prompts: PostgresPrompts, database: Database
) -> None:
    await add(database, "acme", "draft", published_number=None)

    assert await prompts.find_served("acme", "draft") is None


async def test_a_platform_prompt_is_everybodys(
    prompts: PostgresPrompts, database: Database
) -> None:
    prompt, (version,) = await add(database, "platform", "summary")

    assert await prompts.find_served("acme", "summary") == served(prompt, version)
    assert await prompts.find_served("platform", "summary") == served(prompt, version)


async def test_a_tenants_prompt_hides_the_platforms_of_the_same_name(
    prompts: PostgresPrompts, database: Database
) -> None:
    theirs, _ = await add(database, "platform", "summary")
    own, (version,) = await add(database, "acme", "summary")

    assert await prompts.find_served("acme", "summary") == served(own, version)
    assert await prompts.prompts_by_name("acme", ["summary"]) == {"summary": own}
    assert await prompts.list_prompts("acme", PromptQuery()) == [own]
    assert await prompts.list_prompts("globex", PromptQuery()) == [theirs]


async def test_an_archived_prompt_of_a_tenant_still_hides_the_platforms(
    prompts: PostgresPrompts, database: Database
) -> None:
    await add(database, "platform", "summary")
    await add(database, "acme", "summary", published_number=None, is_archived=True)

    assert await prompts.find_served("acme", "summary") is None


async def test_while_a_tenant_writes_a_prompt_its_callers_still_get_the_platforms(
    prompts: PostgresPrompts, database: Database
) -> None:
    platforms, _ = await add(database, "platform", "summary")
    own, (version,) = await add(database, "acme", "summary", published_number=None)

    served = await prompts.find_served("acme", "summary")

    assert served is not None and served.prompt == platforms
    assert await prompts.prompts_by_name("acme", ["summary"]) == {"summary": own}
    assert await prompts.find_version("acme", "summary", 1) == (own, version)


async def test_another_tenants_prompt_does_not_exist(
    prompts: PostgresPrompts, database: Database
) -> None:
    prompt, (version,) = await add(database, "globex", "secret")

    assert await prompts.find_served("acme", "secret") is None
    assert await prompts.find_version("acme", "secret", 1) is None
    assert await prompts.prompts_by_id("acme", [prompt.id]) == {}
    assert await prompts.versions_by_id("acme", [version.id]) == {}
    assert await prompts.versions_by_number("acme", [(prompt.id, 1)]) == {}
    assert await prompts.list_versions("acme", [prompt.id], 10, None) == {prompt.id: []}


async def test_a_version_is_found_by_its_number(
    prompts: PostgresPrompts, database: Database
) -> None:
    prompt, versions = await add(database, "acme", "summary", versions=3)

    assert await prompts.find_version("acme", "summary", 3) == (prompt, versions[2])
    assert await prompts.find_version("acme", "summary", 4) is None


async def test_an_archived_prompt_is_found_by_id_but_not_to_be_used(
    prompts: PostgresPrompts, database: Database
) -> None:
    prompt, _ = await add(database, "acme", "old", is_archived=True)

    assert await prompts.find_served("acme", "old") is None
    assert await prompts.find_version("acme", "old", 1) is None
    assert await prompts.prompts_by_id("acme", [prompt.id]) == {prompt.id: prompt}
    assert await prompts.list_prompts("acme", PromptQuery()) == []
    assert await prompts.list_prompts("acme", PromptQuery(include_archived=True)) == [prompt]


async def test_many_are_fetched_in_one_statement_each(
    prompts: PostgresPrompts, database: Database, statements: list[str]
) -> None:
    made = [await add(database, "acme", f"p{number}", versions=3) for number in range(5)]
    ids = [prompt.id for prompt, _ in made]
    statements.clear()

    assert await prompts.prompts_by_id("acme", [*ids, uuid4()]) == {p.id: p for p, _ in made}
    assert len(statements) == 1
    names = [prompt.name for prompt, _ in made]
    assert await prompts.prompts_by_name("acme", [*names, "nobody"]) == {p.name: p for p, _ in made}
    assert len(statements) == 2
    versions = {version.id: version for _, versions in made for version in versions}
    assert await prompts.versions_by_id("acme", list(versions)) == versions
    assert len(statements) == 3
    numbered = {(v.prompt_id, v.version): v for v in versions.values()}
    wanted = [*numbered, (ids[0], 99)]
    assert await prompts.versions_by_number("acme", wanted) == numbered
    assert len(statements) == 4
    listed = await prompts.list_versions("acme", ids, 2, 3)
    assert listed == {prompt.id: [versions[1], versions[0]] for prompt, versions in made}
    assert len(statements) == 5


async def test_nothing_asked_for_is_nothing_found(prompts: PostgresPrompts) -> None:
    assert await prompts.prompts_by_id("acme", []) == {}
    assert await prompts.versions_by_number("acme", []) == {}
    assert await prompts.list_versions("acme", [], 10, None) == {}


async def test_versions_come_newest_first_page_by_page(
    prompts: PostgresPrompts, database: Database
) -> None:
    prompt, versions = await add(database, "acme", "summary", versions=5)

    first = await prompts.list_versions("acme", [prompt.id], 2, None)
    second = await prompts.list_versions("acme", [prompt.id], 2, 4)
    third = await prompts.list_versions("acme", [prompt.id], 2, 2)

    pages = [*first[prompt.id], *second[prompt.id], *third[prompt.id]]
    assert pages == list(reversed(versions))


# ------------------------------------------------------------------ lists


async def catalog(database: Database) -> None:
    for number, name in enumerate(["delta", "alpha", "echo", "bravo", "charlie"]):
        await add(
            database,
            "platform" if number % 2 else "acme",
            name,
            versions=2,
            category="writing" if number < 3 else "coding",
            tags=("long",) if name == "delta" else ("short", "nice"),
            created_at=NOW + timedelta(hours=number // 2),
            updated_at=NOW + timedelta(hours=number // 2),
        )


async def split(database: Database, tenant: str, name: str) -> Rollout:
    """Give callers of a prompt its versions 1 and 2, half and half."""
    prompt = (await PostgresPrompts(database).prompts_by_name(tenant, [name]))[name]
    rollout = Rollout((1,) * 50 + (2,) * 50, NOW, RolloutGuard(0.1, None, 7))
    release = a_release(prompt, rollout.weights, ReleaseKind.ROLLOUT, prompt.updated_at)
    await PostgresPromptReleases(database).set_rollout(prompt, rollout, release)
    return rollout


@pytest.mark.parametrize("order_by", list(PromptOrderField))
@pytest.mark.parametrize("is_descending", [False, True])
async def test_pages_together_are_the_whole_list_in_order(
    prompts: PostgresPrompts,
    database: Database,
    order_by: PromptOrderField,
    is_descending: bool,
) -> None:
    await catalog(database)
    await split(database, "acme", "delta")
    await split(database, "platform", "alpha")
    query = PromptQuery(first=100, order_by=order_by, is_descending=is_descending)
    whole = await prompts.list_prompts("acme", query)

    def place(prompt: Prompt) -> tuple[str, UUID]:
        match order_by:
            case PromptOrderField.NAME:
                return prompt.name, prompt.id
            case PromptOrderField.CREATED_AT:
                return prompt.created_at.isoformat(), prompt.id
            case PromptOrderField.UPDATED_AT:
                return prompt.updated_at.isoformat(), prompt.id

    assert len(whole) == 5
    assert {prompt.name for prompt in whole if prompt.rollout} == {"alpha", "delta"}
    assert list(whole) == sorted(whole, key=place, reverse=is_descending)
    paged: list[Prompt] = []
    while True:
        after = place(paged[-1]) if paged else None
        page = await prompts.list_prompts("acme", replace(query, first=2, after=after))
        paged += page
        if len(page) < 2:
            break
    assert paged == list(whole)


@pytest.mark.parametrize(
    ("query", "names"),
    [
        (PromptQuery(name_contains="AR"), ["charlie"]),
        (PromptQuery(name_contains="%"), []),
        (PromptQuery(name_contains="_"), []),
        (PromptQuery(category="coding"), ["bravo", "charlie"]),
        (PromptQuery(tag="nice"), ["alpha", "bravo", "charlie", "echo"]),
        (PromptQuery(tag="long", category="coding"), []),
        (PromptQuery(name_contains="'; DROP TABLE prompts; --"), []),
    ],
    ids=["name", "percent", "underscore", "category", "tag", "both", "injection"],
)
async def test_a_filter_keeps_what_it_describes(
    prompts: PostgresPrompts, database: Database, query: PromptQuery, names: list[str]
) -> None:
    await catalog(database)

    assert [prompt.name for prompt in await prompts.list_prompts("acme", query)] == names


async def test_a_list_is_one_statement(
    prompts: PostgresPrompts, database: Database, statements: list[str]
) -> None:
    await catalog(database)
    statements.clear()

    await prompts.list_prompts("acme", PromptQuery(first=2))

    assert len(statements) == 1
