"""New prompts, new versions, what describes them: who may write what, and what is kept of it."""

from __future__ import annotations

from dataclasses import replace
from math import nan
from typing import Any
from uuid import UUID

import pytest

from assistant.domain.cache import CacheSettings, CacheSharing
from assistant.domain.caller import Caller
from assistant.domain.completion import GenerationParameters, InterruptionPolicy
from assistant.domain.model import TaskType
from assistant.domain.prompt import (
    CacheChanges,
    Prompt,
    PromptDraft,
    PromptVariable,
    PromptVersionStatus,
)
from assistant.domain.rollout import ReleaseKind
from assistant.errors import BadUserInput, Conflict, Forbidden, NotFound
from tests.unit.prompt_desk import ANN, BOB, DEVELOPER, OPERATOR, READER, PromptDesk, paths, refused
from tests.unit.prompt_desk import wording as wording_of

FULL = wording_of(
    "Hello {{name}}",
    system_template="Be brief.",
    variables=(PromptVariable("name", "whom", False, "you"),),
    task=TaskType.SUMMARIZATION,
    model="fast",
    parameters=GenerationParameters(temperature=0.5),
    response_schema={"type": "object"},
    on_interruption=InterruptionPolicy.CONTINUE,
    change_note="first",
)


@pytest.fixture
def at() -> PromptDesk:
    return PromptDesk()


def draft(name: str = "greet", **fields: Any) -> PromptDraft:
    given: dict[str, Any] = {"name": name, "category": "general", "version": FULL}
    return PromptDraft(**(given | fields))


async def create(at: PromptDesk, *, publish: bool = False, **fields: Any) -> Prompt:
    return await at.authoring.create(ANN, draft(**fields), publish=publish)


# ------------------------------------------------------------------ new prompts


async def test_a_new_prompt_is_the_tenants_own_with_a_first_draft_that_says_all_it_was_given(
    at: PromptDesk,
) -> None:
    cache = CacheSettings(ttl_s=60, sharing=CacheSharing.TENANT, variables=("name",))
    prompt = await create(
        at, description="d", tags=("a", "b"), publish_requires_tests=True, cache=cache
    )

    assert at.now(prompt) == prompt
    assert prompt == Prompt(
        id=prompt.id,
        tenant_id="acme",
        name="greet",
        description="d",
        category="general",
        tags=("a", "b"),
        published_version_id=None,
        is_archived=False,
        created_by="ann",
        created_at=at.clock.now(),
        updated_at=at.clock.now(),
        publish_requires_tests=True,
        cache=cache,
    )
    version = at.rows.of(prompt.id)[1]
    assert {name: getattr(version, name) for name in FULL.__dataclass_fields__} == {
        name: getattr(FULL, name) for name in FULL.__dataclass_fields__
    }
    assert (version.status, version.created_by, version.created_at, version.published_at) == (
        PromptVersionStatus.DRAFT,
        "ann",
        at.clock.now(),
        None,
    )
    assert at.rows.releases == []


async def test_a_new_prompt_may_be_published_at_once_and_its_history_says_by_whom(
    at: PromptDesk,
) -> None:
    with pytest.raises(NotFound):
        await at.prompts.get_served("acme", "greet")

    prompt = await create(at, publish=True)

    _, version = await at.prompts.get_served("acme", "greet")
    assert prompt.published_version_id == version.id
    assert at.statuses(prompt) == "P"
    release = at.last_release(prompt)
    assert (release.kind, release.weights) == (ReleaseKind.PUBLISHED, {1: 100})
    assert (release.user_id, release.service_id, release.at) == ("ann", "console", at.clock.now())


async def test_a_prompt_that_requires_tests_is_not_published_before_there_can_be_any(
    at: PromptDesk,
) -> None:
    problem = await refused(create(at, publish=True, publish_requires_tests=True))

    assert problem.path == ("publish",)
    assert "testPromptVersion" in problem.message
    assert at.rows.prompts == {}


async def test_a_name_is_the_tenants_once_also_while_its_prompt_is_archived(
    at: PromptDesk,
) -> None:
    prompt = await create(at)
    with pytest.raises(Conflict):
        await create(at)
    await at.authoring.update(ANN, prompt.id, {"is_archived": True})
    with pytest.raises(Conflict):
        await create(at)

    assert list(at.rows.prompts) == [prompt.id]


async def test_a_prompt_may_be_named_as_the_platforms_and_takes_its_place_at_once(
    at: PromptDesk,
) -> None:
    await at.create("greet", "the platform's", OPERATOR)
    assert (await at.prompts.get_served("acme", "greet"))[0].tenant_id == "platform"

    await create(at, publish=True)

    assert (await at.prompts.get_served("acme", "greet"))[0].tenant_id == "acme"
    assert (await at.prompts.get_served("globex", "greet"))[0].tenant_id == "platform"


async def test_what_a_developer_creates_is_their_tenants_and_not_the_platforms(
    at: PromptDesk,
) -> None:
    assert (await at.create("greet", caller=DEVELOPER)).tenant_id == "dev"
    assert (await at.create("greet", caller=OPERATOR)).tenant_id == "platform"


async def test_everything_that_is_wrong_with_a_new_prompt_is_said_at_once(at: PromptDesk) -> None:
    problem = await refused(
        create(
            at,
            name="Greet",
            category="",
            description="d" * 2_001,
            tags=("a", "a", ""),
            cache=CacheSettings(ttl_s=-1, max_temperature=nan, variables=("a.b", "a", "a")),
            publish=True,
            publish_requires_tests=True,
            version=wording_of("{{> nothing}}{{x", "y", model="gpt-9", change_note="\x00"),
        )
    )

    assert paths(problem) == [
        "name",
        "category",
        "description",
        "tags.1",
        "tags.2",
        "cache.ttlSeconds",
        "cache.maxTemperature",
        "cache.variables.0",
        "cache.variables.2",
        "publish",
        "initialVersion.template",
        "initialVersion.model",
        "initialVersion.changeNote",
    ]
    assert at.rows.prompts == {}


async def test_there_is_room_for_so_many_prompts_and_no_more(at: PromptDesk) -> None:
    at.changes.is_full = True

    assert "at most 5,000 prompts" in (await refused(create(at))).message


# ------------------------------------------------------------------ who may


async def test_only_those_with_the_scope_may_write(at: PromptDesk) -> None:
    prompt = await create(at)
    for change in (
        at.authoring.create(READER, draft("other"), publish=False),
        at.authoring.update(READER, prompt.id, {}),
        at.authoring.add_version(READER, prompt.id, FULL),
    ):
        with pytest.raises(Forbidden, match="assistant:prompts:write"):
            await change


async def test_the_prompts_of_another_tenant_look_as_if_they_did_not_exist(at: PromptDesk) -> None:
    theirs = await at.create("greet", caller=BOB)
    for caller in (ANN, DEVELOPER, OPERATOR):
        for id_ in (theirs.id, UUID(int=7)):
            with pytest.raises(NotFound, match="no prompt of this id"):
                await at.authoring.update(caller, id_, {"category": "mine"})
            with pytest.raises(NotFound, match="no prompt of this id"):
                await at.authoring.add_version(caller, id_, FULL)


async def test_the_platforms_prompts_are_the_operators_to_change(at: PromptDesk) -> None:
    shared = await at.create("greet", caller=OPERATOR)
    for change in (
        at.authoring.update(ANN, shared.id, {"category": "mine"}),
        at.authoring.add_version(ANN, shared.id, FULL),
    ):
        with pytest.raises(Forbidden, match="prompt of your own with the same name"):
            await change

    for number, caller in enumerate((OPERATOR, DEVELOPER), 2):
        await at.authoring.update(caller, shared.id, {"category": caller.tenant_id})
        assert at.now(shared).category == caller.tenant_id
        assert (await at.authoring.add_version(caller, shared.id, FULL)).version == number


# ------------------------------------------------------------------ what describes a prompt


async def test_an_update_changes_what_it_names_and_nothing_else(at: PromptDesk) -> None:
    prompt = await create(at, publish=True, description="d", tags=("a",))
    at.clock.advance(60)

    changed = await at.authoring.update(
        ANN, prompt.id, {"description": None, "tags": (), "publish_requires_tests": True}
    )

    assert changed == replace(
        prompt,
        description=None,
        tags=(),
        publish_requires_tests=True,
        updated_at=at.clock.now(),
    )
    assert at.now(prompt) == changed
    assert (await at.authoring.update(ANN, prompt.id, {})) == changed


async def test_of_how_answers_are_kept_each_part_changes_on_its_own(at: PromptDesk) -> None:
    prompt = await create(at, cache=CacheSettings(ttl_s=60, min_similarity=0.9))

    changed = await at.authoring.update(
        ANN, prompt.id, {"cache": {"ttl_s": None, "variables": ("name",)}}
    )

    assert changed.cache == CacheSettings(min_similarity=0.9, variables=("name",))


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        (CacheChanges(ttl_s=30 * 24 * 3600 + 1), "cache.ttlSeconds"),
        (CacheChanges(min_similarity=0.79), "cache.minSimilarity"),
        (CacheChanges(min_similarity=1.01), "cache.minSimilarity"),
        (CacheChanges(min_similarity=nan), "cache.minSimilarity"),
        (CacheChanges(max_temperature=2.1), "cache.maxTemperature"),
        (CacheChanges(variables=("",)), "cache.variables.0"),
        (CacheChanges(variables=("x" * 65,)), "cache.variables.0"),
        (CacheChanges(variables=tuple(f"v{n}" for n in range(21))), "cache.variables"),
    ],
)
async def test_how_answers_are_kept_has_its_limits(
    at: PromptDesk, changes: CacheChanges, path: str
) -> None:
    prompt = await create(at)

    assert paths(await refused(at.authoring.update(ANN, prompt.id, {"cache": changes}))) == [path]
    assert at.now(prompt) == prompt


async def test_any_name_that_a_variable_may_have_can_be_that_of_one_whose_wording_may_differ(
    at: PromptDesk,
) -> None:
    prompt = await create(at, cache=CacheSettings(variables=("of-no-version_yet", "größe")))
    assert at.now(prompt).cache.variables == ("of-no-version_yet", "größe")


async def test_everything_that_is_wrong_with_an_update_is_said_at_once(at: PromptDesk) -> None:
    prompt = await create(at)

    problem = await refused(
        at.authoring.update(
            ANN, prompt.id, {"category": " ", "description": "\x00", "tags": ("", "a")}
        )
    )

    assert paths(problem) == ["category", "description", "tags.0"]
    assert at.now(prompt) == prompt


async def test_an_archived_prompt_is_gone_for_callers_until_it_is_brought_back(
    at: PromptDesk,
) -> None:
    prompt = await create(at, publish=True)
    await at.prompts.get_served("acme", "greet")

    await at.authoring.update(ANN, prompt.id, {"is_archived": True})
    with pytest.raises(NotFound):
        await at.prompts.get_served("acme", "greet")

    await at.authoring.update(ANN, prompt.id, {"is_archived": False})
    assert (await at.prompts.get_served("acme", "greet"))[1].version == 1


# ------------------------------------------------------------------ new versions


async def test_a_new_version_is_a_draft_with_the_next_number_and_changes_nothing_for_callers(
    at: PromptDesk,
) -> None:
    prompt = await at.create("greet", "one")
    before = await at.prompts.get_served("acme", "greet")

    for number in (2, 3):
        version = await at.authoring.add_version(ANN, prompt.id, FULL)
        assert (version.version, version.status) == (number, PromptVersionStatus.DRAFT)
        assert at.rows.versions[version.id] == version

    assert await at.prompts.get_served("acme", "greet") == before
    assert at.statuses(prompt) == "PDD"
    assert len(at.rows.releases) == 1


async def test_a_new_version_can_be_asked_for_by_number_at_once(at: PromptDesk) -> None:
    await create(at)
    with pytest.raises(NotFound):
        await at.prompts.get_version("acme", "greet", 2)

    added = await at.authoring.add_version(ANN, next(iter(at.rows.prompts)), FULL)

    assert (await at.prompts.get_version("acme", "greet", 2))[1] == added


async def test_a_version_never_changes_when_another_is_added(at: PromptDesk) -> None:
    prompt = await create(at)
    first = at.rows.of(prompt.id)[1]

    await at.add(prompt, "other words")

    assert at.rows.of(prompt.id)[1] == first


async def test_an_archived_prompt_takes_no_new_version(at: PromptDesk) -> None:
    prompt = await create(at)
    await at.authoring.update(ANN, prompt.id, {"is_archived": True})

    problem = await refused(at.authoring.add_version(ANN, prompt.id, FULL))

    assert "isArchived false" in problem.message
    assert len(at.rows.versions) == 1


async def test_everything_that_is_wrong_with_a_new_version_is_said_at_once(
    at: PromptDesk,
) -> None:
    prompt = await create(at, publish=True)

    problem = await refused(
        at.authoring.add_version(ANN, prompt.id, wording_of("{{> greet}}{{a}}", "b", model="gpt-9"))
    )

    # It includes itself, uses what is not declared, declares what is not used, ...
    assert sorted(set(paths(problem))) == ["model", "template", "variables.0.name"]
    assert len(at.rows.versions) == 1


async def test_there_is_room_for_so_many_versions_and_no_more(at: PromptDesk) -> None:
    prompt = await create(at)
    at.changes.is_full = True

    problem = await refused(at.authoring.add_version(ANN, prompt.id, FULL))

    assert "at most 1,000 versions" in problem.message


async def test_a_service_without_a_user_may_write_too(at: PromptDesk) -> None:
    robot = Caller("acme", None, "deployer", ANN.scopes)

    prompt = await at.create("greet", caller=robot)

    assert prompt.created_by is None
    assert at.rows.of(prompt.id)[1].created_by is None
    assert at.last_release(prompt).service_id == "deployer"


async def test_what_is_wrong_is_input_and_never_a_half_written_prompt(at: PromptDesk) -> None:
    for template in ("", "   ", "{{", "{{> a@0}}", "{{> a@99999999999}}", "\x00", "x" * 100_001):
        with pytest.raises(BadUserInput) as caught:
            await at.authoring.create(ANN, draft(version=wording_of(template)), publish=True)
        assert caught.value.path == ("initialVersion", "template"), template

    assert at.rows.prompts == {}
    assert at.rows.versions == {}
