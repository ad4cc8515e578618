"""Seeding of prompts: new wordings, what they include, their tests, and what admins are doing."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from assistant.adapters.postgres.connection import Database
from assistant.adapters.postgres.prompt_changes import PostgresPromptChanges
from assistant.adapters.postgres.prompt_releases import PostgresPromptReleases
from assistant.adapters.postgres.prompt_tests import PostgresPromptTests
from assistant.adapters.postgres.prompts import PostgresPrompts
from assistant.adapters.postgres.seeds import PostgresSeeds
from assistant.domain.cache import CacheSettings, CacheSharing
from assistant.domain.prompt import Prompt, PromptDraft, PromptPartial, PromptVersion, VersionDraft
from assistant.domain.prompt_document import PromptDocument
from assistant.domain.prompt_test import Contains, MaxTokens, PromptTestCase, PromptTestDraft
from assistant.domain.rollout import ReleaseKind, Rollout
from assistant.domain.seed import Seed, SeedReport
from assistant.services.seeds import read_seeds
from tests.postgres.catalog import a_prompt, a_release, a_version

DAY_1 = datetime(2026, 1, 1, tzinfo=UTC)
DAY_2 = DAY_1 + timedelta(days=1)
DAY_3 = DAY_1 + timedelta(days=2)

SHORT = PromptTestDraft("a short text", {"text": "x"}, (Contains("Paris"), MaxTokens(100)))
LONG = PromptTestDraft("a/long text", {}, (Contains("Rome"),))


def seed(template: str = "Sum up {{text}}", *tests: PromptTestDraft, model: str = "fast") -> Seed:
    """One prompt with its tests."""
    draft = PromptDraft("summary", "writing", VersionDraft(template, model=model))
    return Seed(prompts=(PromptDocument(draft, tests),))


@pytest.fixture
def seeds(database: Database) -> PostgresSeeds:
    return PostgresSeeds(database)


async def find(
    database: Database, name: str = "summary"
) -> tuple[Prompt, dict[int, PromptVersion]]:
    """A prompt of the platform and all its versions."""
    prompts = PostgresPrompts(database)
    prompt = (await prompts.prompts_by_name("platform", [name]))[name]
    versions = await prompts.list_versions("platform", [prompt.id], 99, None)
    return prompt, {version.version: version for version in versions[prompt.id]}


async def statuses(database: Database) -> str:
    """Of the versions from the first one on, by their first letters."""
    _, versions = await find(database)
    return "".join(versions[number].status[0] for number in sorted(versions))


async def cases_of(database: Database) -> dict[str, PromptTestCase]:
    prompt, _ = await find(database)
    cases = (await PostgresPromptTests(database).list_cases("platform", [prompt.id]))[prompt.id]
    return {case.name: case for case in cases}


async def test_the_shipped_catalog_is_seeded_whole_and_once(
    seeds: PostgresSeeds, database: Database
) -> None:
    shipped = read_seeds()
    everything = (
        *(shipped.providers + shipped.models + shipped.groups + shipped.rules),
        *(each for document in shipped.prompts for each in (document, *document.tests)),
    )

    assert await seeds.apply(shipped, DAY_1) == SeedReport(added=len(everything))
    assert await seeds.apply(shipped, DAY_2) == SeedReport(unchanged=len(everything))

    store = PostgresPromptTests(database)
    for document in shipped.prompts:
        prompt, versions = await find(database, document.prompt.name)
        cases = (await store.list_cases("acme", [prompt.id]))[prompt.id]
        assert {case.name: (case.variables, case.assertions) for case in cases} == {
            test.name: (test.variables, test.assertions) for test in document.tests
        }
        assert versions[1].template == document.prompt.version.template


# ------------------------------------------------------------------ wordings


async def test_a_new_wording_takes_the_place_of_the_old_and_is_in_the_history(
    seeds: PostgresSeeds, database: Database
) -> None:
    await seeds.apply(seed(), DAY_1)

    assert await seeds.apply(seed("New {{text}}"), DAY_2) == SeedReport(updated=1)

    prompt, versions = await find(database)
    assert await statuses(database) == "AP"
    assert prompt.published_version_id == versions[2].id
    assert (versions[1].published_at, versions[2].published_at) == (DAY_1, DAY_2)
    assert (prompt.created_at, prompt.updated_at) == (DAY_1, DAY_2)
    releases = await PostgresPromptReleases(database).list_releases("acme", [prompt.id], 9, None)
    assert [
        (of.kind, of.at, of.weights, of.user_id, of.service_id, of.reason)
        for of in releases[prompt.id]
    ] == [
        (ReleaseKind.PUBLISHED, at, {number: 100}, None, None, "Comes with the service.")
        for at, number in ((DAY_2, 2), (DAY_1, 1))
    ]


async def test_how_answers_are_kept_is_seeded_and_kept_up_to_date_until_an_admin_says_otherwise(
    seeds: PostgresSeeds, database: Database
) -> None:
    draft = PromptDraft("summary", "writing", VersionDraft("x"))
    shared = replace(draft, cache=CacheSettings(sharing=CacheSharing.TENANT, variables=("text",)))
    await seeds.apply(Seed(prompts=(PromptDocument(draft),)), DAY_1)

    report = await seeds.apply(Seed(prompts=(PromptDocument(shared),)), DAY_2)

    assert report == SeedReport(updated=1)
    prompt, versions = await find(database)
    assert (prompt.cache, list(versions)) == (shared.cache, [1])
    again = await seeds.apply(Seed(prompts=(PromptDocument(shared),)), DAY_3)
    assert again == SeedReport(unchanged=1)
    await PostgresPromptChanges(database).update_prompt(
        "platform", prompt.id, {"cache": {"ttl_s": 0}}, DAY_3
    )
    assert await seeds.apply(Seed(prompts=(PromptDocument(draft),)), DAY_3) == SeedReport(kept=1)
    assert (await find(database))[0].cache == replace(shared.cache, ttl_s=0)


async def test_a_model_and_the_wish_for_tests_are_seeded_and_kept_up_to_date(
    seeds: PostgresSeeds, database: Database
) -> None:
    draft = PromptDraft("summary", "writing", VersionDraft("x", model="fast"))
    strict = replace(draft, publish_requires_tests=True)
    await seeds.apply(Seed(prompts=(PromptDocument(draft),)), DAY_1)
    assert not (await find(database))[0].publish_requires_tests

    report = await seeds.apply(Seed(prompts=(PromptDocument(strict),)), DAY_2)

    assert report == SeedReport(updated=1)
    prompt, versions = await find(database)
    assert prompt.publish_requires_tests
    assert [version.model for version in versions.values()] == ["fast"]
    slow = replace(strict, version=VersionDraft("x", model="slow"))
    assert await seeds.apply(Seed(prompts=(PromptDocument(slow),)), DAY_3) == SeedReport(updated=1)
    assert (await find(database))[1][2].model == "slow"


async def test_a_rollout_that_runs_is_not_disturbed_by_a_new_wording(
    seeds: PostgresSeeds, database: Database
) -> None:
    await seeds.apply(seed(), DAY_1)
    prompt, _ = await find(database)
    await PostgresPromptChanges(database).add_version("platform", a_version(prompt), 10)
    rollout = Rollout((1,) * 50 + (2,) * 50, DAY_1)
    release = a_release(prompt, rollout.weights, ReleaseKind.ROLLOUT)
    await PostgresPromptReleases(database).set_rollout(prompt, rollout, release)

    assert await seeds.apply(seed("New {{text}}"), DAY_2) == SeedReport(kept=1)
    assert await seeds.apply(seed("New {{text}}"), DAY_3) == SeedReport(unchanged=1)

    now, versions = await find(database)
    assert (now.rollout, now.published_version_id) == (rollout, prompt.published_version_id)
    assert await statuses(database) == "PPD"
    assert versions[3].template == "New {{text}}"


async def test_what_an_admin_published_before_stays_and_what_they_publish_meanwhile_is_not_lost(
    seeds: PostgresSeeds, database: Database
) -> None:
    await seeds.apply(seed(), DAY_1)
    prompt, _ = await find(database)
    own = await PostgresPromptChanges(database).add_version("platform", a_version(prompt), 10)
    assert own is not None
    publishing = PostgresPromptReleases(database).publish(
        "platform", own, 1, a_release(prompt, {2: 100})
    )

    results = await asyncio.gather(
        publishing, seeds.apply(seed("New {{text}}"), DAY_2), return_exceptions=True
    )

    # Whoever came second has seen what the first one did.
    now, versions = await find(database)
    if results[0] is None:
        assert results[1] == SeedReport(kept=1)
        assert (now.published_version_id, await statuses(database)) == (own.id, "APD")
    else:
        assert results[1] == SeedReport(updated=1)
        assert (now.published_version_id, await statuses(database)) == (versions[3].id, "ADP")


# ------------------------------------------------------------------ what wordings include

NAME = PromptPartial("name", "name", 0, "Ann")
GREETING = PromptPartial("greeting", "greeting", 0, "Hello {{> name}}", (NAME,))


def including(name: str) -> Seed:
    """Three prompts, each of which includes the one before; the innermost says ``name``."""
    inner = replace(NAME, template=name)
    outer = replace(GREETING, partials=(inner,))
    drafts = (
        PromptDraft("name", "c", VersionDraft(name)),
        PromptDraft("greeting", "c", VersionDraft("Hello {{> name}}")),
        PromptDraft("a-letter", "c", VersionDraft("{{> greeting}}!")),
    )
    return Seed(
        prompts=tuple(map(PromptDocument, drafts)),
        partials={"greeting": (inner,), "a-letter": (outer,)},
    )


async def test_what_a_prompt_file_partials_is_kept_with_it_under_the_numbers_of_the_catalog(
    seeds: PostgresSeeds, database: Database
) -> None:
    await seeds.apply(including("Ann"), DAY_1)

    _, versions = await find(database, "a-letter")

    inner = replace(NAME, version=1)
    assert versions[1].partials == (replace(GREETING, version=1, partials=(inner,)),)
    assert await seeds.apply(including("Ann"), DAY_2) == SeedReport(unchanged=3)


async def test_a_new_text_makes_new_versions_of_all_that_include_it(
    seeds: PostgresSeeds, database: Database
) -> None:
    await seeds.apply(including("Ann"), DAY_1)

    assert await seeds.apply(including("Bob"), DAY_2) == SeedReport(updated=3)

    _, versions = await find(database, "a-letter")
    inner = replace(NAME, version=2, template="Bob")
    assert versions[2].partials == (replace(GREETING, version=2, partials=(inner,)),)
    assert await seeds.apply(including("Bob"), DAY_3) == SeedReport(unchanged=3)


# ------------------------------------------------------------------ tests


async def test_tests_come_with_their_prompt(seeds: PostgresSeeds, database: Database) -> None:
    assert await seeds.apply(seed("t", SHORT, LONG), DAY_1) == SeedReport(added=3)

    cases = await cases_of(database)

    assert {
        name: (case.variables, case.assertions, case.updated_at) for name, case in cases.items()
    } == {test.name: (test.variables, test.assertions, DAY_1) for test in (SHORT, LONG)}
    assert await seeds.apply(seed("t", SHORT, LONG), DAY_2) == SeedReport(unchanged=3)
    assert await cases_of(database) == cases


async def test_a_changed_test_is_updated_and_keeps_its_id(
    seeds: PostgresSeeds, database: Database
) -> None:
    await seeds.apply(seed("t", SHORT, LONG), DAY_1)
    before = await cases_of(database)
    changed = replace(SHORT, assertions=(Contains("Berlin"),))

    assert await seeds.apply(seed("t", changed, LONG), DAY_2) == SeedReport(updated=1, unchanged=2)

    cases = await cases_of(database)
    assert cases[LONG.name] == before[LONG.name]
    assert cases[SHORT.name] == replace(
        before[SHORT.name], assertions=changed.assertions, updated_at=DAY_2
    )


async def test_a_test_that_is_new_in_the_seed_is_added_to_a_prompt_of_before(
    seeds: PostgresSeeds, database: Database
) -> None:
    await seeds.apply(seed("t"), DAY_1)

    assert await seeds.apply(seed("t", SHORT), DAY_2) == SeedReport(added=1, unchanged=1)

    assert list(await cases_of(database)) == [SHORT.name]


async def test_a_test_that_an_admin_changed_or_deleted_stays_so(
    seeds: PostgresSeeds, database: Database
) -> None:
    await seeds.apply(seed("t", SHORT, LONG), DAY_1)
    store, cases = PostgresPromptTests(database), await cases_of(database)
    own = replace(cases[SHORT.name], assertions=(Contains("mine"),))
    await store.put_case("platform", own, 10)
    await store.delete_case("platform", cases[LONG.name].id)
    tests = (replace(SHORT, variables={"text": "y"}), replace(LONG, variables={"text": "y"}))

    assert await seeds.apply(seed("t", SHORT, LONG), DAY_2) == SeedReport(unchanged=3)
    assert await seeds.apply(seed("t", *tests), DAY_2) == SeedReport(kept=2, unchanged=1)

    (left,) = (await cases_of(database)).values()
    assert left.assertions == own.assertions


async def test_a_test_of_the_same_name_that_an_admin_made_first_is_theirs(
    seeds: PostgresSeeds, database: Database
) -> None:
    await seeds.apply(seed("t"), DAY_1)
    prompt, versions = await find(database)
    own = PromptTestCase(versions[1].id, prompt.id, SHORT.name, {}, (Contains("mine"),), DAY_1)
    await PostgresPromptTests(database).put_case("platform", own, 10)

    assert await seeds.apply(seed("t", SHORT), DAY_2) == SeedReport(kept=1, unchanged=1)

    assert await cases_of(database) == {SHORT.name: own}


async def test_a_prompt_that_is_an_admins_own_gets_no_tests(
    seeds: PostgresSeeds, database: Database
) -> None:
    prompt = a_prompt("platform", category="own")
    await PostgresPromptChanges(database).add_prompt(prompt, a_version(prompt), None, 10)

    assert await seeds.apply(seed("t", SHORT), DAY_2) == SeedReport(kept=2)

    assert await cases_of(database) == {}


async def test_an_archived_prompts_tests_stay_as_they_are(
    seeds: PostgresSeeds, database: Database
) -> None:
    await seeds.apply(seed("t", SHORT), DAY_1)
    prompt, _ = await find(database)
    changes = PostgresPromptChanges(database)
    await changes.update_prompt("platform", prompt.id, {"is_archived": True}, DAY_1)
    before = await cases_of(database)

    changed = replace(SHORT, variables={})
    assert await seeds.apply(seed("t", SHORT), DAY_2) == SeedReport(unchanged=2)
    assert await seeds.apply(seed("t", changed, LONG), DAY_2) == SeedReport(unchanged=1, kept=2)

    assert await cases_of(database) == before
