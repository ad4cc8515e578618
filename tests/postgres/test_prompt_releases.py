"""Publishing and its history: one version for everybody, and who made it so."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from assistant.adapters.postgres.connection import Database
from assistant.adapters.postgres.listen import CATALOG_CHANNEL, EVERYTHING, listen
from assistant.adapters.postgres.prompt_releases import PostgresPromptReleases
from assistant.adapters.postgres.prompts import PostgresPrompts
from assistant.domain.prompt import Prompt, PromptVersion, PromptVersionStatus
from assistant.domain.rollout import PromptRelease, ReleaseKind, Rollout
from assistant.errors import Conflict
from tests.postgres.catalog import NOW, a_prompt, a_release, a_version, add, published

LATER = NOW + timedelta(hours=1)
DRAFT = PromptVersionStatus.DRAFT
PUBLISHED = PromptVersionStatus.PUBLISHED
ARCHIVED = PromptVersionStatus.ARCHIVED


@pytest.fixture
def releases(database: Database) -> PostgresPromptReleases:
    return PostgresPromptReleases(database)


async def read(database: Database, prompt: Prompt) -> tuple[Prompt, list[PromptVersion]]:
    """The prompt as it is now, and its versions from the first one on."""
    prompts = PostgresPrompts(database)
    now = (await prompts.prompts_by_id(prompt.tenant_id, [prompt.id]))[prompt.id]
    versions = await prompts.list_versions(prompt.tenant_id, [prompt.id], 99, None)
    return now, list(reversed(versions[prompt.id]))


async def history(releases: PostgresPromptReleases, prompt: Prompt) -> list[PromptRelease]:
    return list((await releases.list_releases("acme", [prompt.id], 99, None))[prompt.id])


async def test_publishing_archives_what_was_published_and_is_recorded(
    releases: PostgresPromptReleases, database: Database
) -> None:
    prompt, versions = await add(database, versions=3)
    release = a_release(prompt, {2: 100}, at=LATER, reason="shorter", service_id="ci")

    await releases.publish("acme", versions[1], 1, release)

    now, after = await read(database, prompt)
    assert now == replace(prompt, published_version_id=versions[1].id, updated_at=LATER)
    assert after == [
        replace(versions[0], status=ARCHIVED),
        published(versions[1], LATER),
        versions[2],
    ]
    assert (await history(releases, prompt))[0] == release


async def test_history_is_in_the_order_in_which_things_happened_whatever_the_clocks_say(
    releases: PostgresPromptReleases, database: Database
) -> None:
    prompt, versions = await add(database, versions=3)
    behind = a_release(prompt, {3: 100}, at=LATER - timedelta(hours=1))
    ahead = a_release(prompt, {2: 100}, at=LATER)
    assert behind.id < ahead.id

    await releases.publish("acme", versions[1], None, ahead)
    await releases.publish("acme", versions[2], None, behind)

    newest, before, *_ = await history(releases, prompt)
    assert (newest.weights, before.weights) == ({3: 100}, {2: 100})
    assert (newest.at, before.at) == (LATER, LATER)
    assert (await read(database, prompt))[0].updated_at == LATER


async def test_going_back_keeps_the_time_of_the_first_publication(
    releases: PostgresPromptReleases, database: Database
) -> None:
    prompt, versions = await add(database, versions=2)
    for hours, number in ((1, 2), (2, 1), (3, 2)):
        release = a_release(prompt, {number: 100}, at=NOW + timedelta(hours=hours))
        await releases.publish("acme", versions[number - 1], None, release)

    _, (first, second) = await read(database, prompt)

    assert (first.status, first.published_at) == (ARCHIVED, NOW)
    assert (second.status, second.published_at) == (PUBLISHED, LATER)
    assert [list(of.weights) for of in await history(releases, prompt)] == [[2], [1], [2], [1]]


async def test_publishing_ends_a_rollout_and_archives_all_others(
    releases: PostgresPromptReleases, database: Database
) -> None:
    prompt, versions = await add(database, versions=4)
    rollout = Rollout((1,) * 60 + (2,) * 30 + (3,) * 10, LATER)
    split = a_release(prompt, rollout.weights, ReleaseKind.ROLLOUT, LATER)
    await releases.set_rollout(prompt, rollout, split)

    await releases.publish("acme", versions[1], 1, a_release(prompt, {2: 100}, at=LATER))

    now, after = await read(database, prompt)
    assert (now.rollout, now.published_version_id) == (None, versions[1].id)
    assert [version.status for version in after] == [ARCHIVED, PUBLISHED, ARCHIVED, DRAFT]
    assert await releases.list_rollouts() == []


async def test_publishing_what_is_published_changes_its_history_only(
    releases: PostgresPromptReleases, database: Database
) -> None:
    prompt, versions = await add(database, versions=2)

    await releases.publish("acme", versions[0], 1, a_release(prompt, {1: 100}, at=LATER))

    assert await read(database, prompt) == (replace(prompt, updated_at=LATER), versions)
    assert len(await history(releases, prompt)) == 2


@pytest.mark.parametrize(
    ("now", "expected", "problem"),
    [
        (1, 2, "Version 1 is published now, but version 2 was expected"),
        (1, 0, "Version 1 is published now, but none was expected"),
        (None, 2, "No version is published now, but version 2 was expected"),
    ],
)
async def test_nobody_publishes_over_what_they_did_not_expect(
    releases: PostgresPromptReleases,
    database: Database,
    now: int | None,
    expected: int,
    problem: str,
) -> None:
    prompt, versions = await add(database, versions=3, published_number=now)
    before = await read(database, prompt), await history(releases, prompt)

    with pytest.raises(Conflict, match=problem):
        await releases.publish("acme", versions[2], expected, a_release(prompt, {3: 100}))

    assert (await read(database, prompt), await history(releases, prompt)) == before


@pytest.mark.parametrize(("now", "expected"), [(1, 1), (None, 0), (1, None), (None, None)])
async def test_who_expects_what_is_so_may_publish(
    releases: PostgresPromptReleases, database: Database, now: int | None, expected: int | None
) -> None:
    prompt, versions = await add(database, versions=2, published_number=now)

    await releases.publish("acme", versions[1], expected, a_release(prompt, {2: 100}))

    assert (await read(database, prompt))[0].published_version_id == versions[1].id


async def test_of_those_who_expect_the_same_one_alone_publishes(
    releases: PostgresPromptReleases, database: Database
) -> None:
    prompt, versions = await add(database, versions=5)

    results = await asyncio.gather(
        *(
            releases.publish("acme", version, 1, a_release(prompt, {version.version: 100}))
            for version in versions[1:]
        ),
        return_exceptions=True,
    )

    assert sorted(str(type(result)) for result in results) == sorted(
        map(str, [type(None), Conflict, Conflict, Conflict])
    )
    winner = results.index(None) + 2
    now, after = await read(database, prompt)
    assert now.published_version_id == versions[winner - 1].id
    assert [v.version for v in after if v.status is PUBLISHED] == [winner]
    assert [list(of.weights) for of in await history(releases, prompt)] == [[winner], [1]]


async def test_another_tenants_prompt_cannot_be_published(
    releases: PostgresPromptReleases, database: Database
) -> None:
    for owner in ("globex", "platform"):
        prompt, versions = await add(database, owner, versions=2)

        with pytest.raises(Exception, match="No row was found"):
            await releases.publish("acme", versions[1], None, a_release(prompt, {2: 100}))

        assert await read(database, prompt) == (prompt, versions)


async def test_histories_come_newest_first_page_by_page_in_one_statement_each(
    releases: PostgresPromptReleases, database: Database, statements: list[str]
) -> None:
    made = [await add(database, name=name, versions=2) for name in ("one", "two")]
    theirs, _ = await add(database, "globex")
    platforms, _ = await add(database, "platform", "three")
    for _ in range(3):
        for prompt, versions in made:
            await releases.publish("acme", versions[1], None, a_release(prompt, {2: 100}))
    ids = [prompt.id for prompt, _ in made]
    whole = await releases.list_releases("acme", ids, 99, None)
    assert [len(whole[id_]) for id_ in ids] == [4, 4]
    assert all(
        [of.id for of in whole[id_]] == sorted((of.id for of in whole[id_]), reverse=True)
        for id_ in ids
    )
    statements.clear()

    first = await releases.list_releases("acme", ids, 3, None)

    assert first == {id_: whole[id_][:3] for id_ in ids}
    assert len(statements) == 1
    second = await releases.list_releases("acme", [ids[0]], 3, first[ids[0]][-1].id)
    assert second == {ids[0]: whole[ids[0]][3:]}
    others = await releases.list_releases("acme", [theirs.id, platforms.id], 9, None)
    assert (others[theirs.id], len(others[platforms.id])) == ([], 1)
    assert await releases.list_releases("acme", [], 9, None) == {}


async def test_publishing_is_announced(
    releases: PostgresPromptReleases, database: Database
) -> None:
    prompt, versions = await add(database, versions=2)
    heard = listen(database, CATALOG_CHANNEL)
    assert await anext(heard) == EVERYTHING

    await releases.publish("acme", versions[1], None, a_release(prompt, {2: 100}))

    async with asyncio.timeout(5):
        assert await anext(heard) == "acme"
    await heard.aclose()  # type: ignore[attr-defined]


async def test_a_version_of_another_prompt_cannot_be_published_as_its_own(
    releases: PostgresPromptReleases, database: Database
) -> None:
    prompt, versions = await add(database)
    other = a_prompt(name="other")
    stranger = a_version(other, prompt_id=prompt.id)

    with pytest.raises(Exception, match="prompts_published_version_fkey"):
        await releases.publish("acme", stranger, None, a_release(prompt, {1: 100}))

    assert await read(database, prompt) == (prompt, versions)
