"""The prompt catalog as callers use it: which version they get, from memory, come what may."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from uuid import UUID

import pytest
from structlog.testing import capture_logs

from assistant.domain.caller import Caller
from assistant.domain.completion import Message, MessageRole
from assistant.domain.prompt import Prompt, PromptQuery
from assistant.errors import BadUserInput, NotFound, StorageUnavailable
from tests.unit.prompt_desk import ANN, OPERATOR, PromptDesk, refused
from tests.unit.world import request_of


@pytest.fixture
def at() -> PromptDesk:
    return PromptDesk()


async def text(at: PromptDesk, name: str = "greet", caller: Caller = ANN, **fields: object) -> str:
    """What would be sent to a model."""
    rendered = await at.prompts.render(
        request_of(caller=caller, prompt_name=name, text=None, **fields)
    )
    return rendered.messages[-1].content


def users(count: int) -> list[Caller]:
    return [replace(ANN, user_id=f"user-{number}") for number in range(count)]


async def in_half(at: PromptDesk) -> Prompt:
    """A prompt whose callers are split evenly between the first two of three versions."""
    await at.three()
    return await at.roll_out("greet", (1, 50), (2, 50))


# ------------------------------------------------------------------ which version


async def test_callers_get_the_published_version_while_there_is_no_rollout(at: PromptDesk) -> None:
    await at.three()
    assert {await text(at, caller=user) for user in users(50)} == {"one"}

    await at.publish("greet", 3)
    assert {await text(at, caller=user) for user in users(50)} == {"three"}


async def test_a_rollout_splits_callers_by_their_hash_and_keeps_each_at_their_version(
    at: PromptDesk,
) -> None:
    await in_half(at)
    got = [await text(at, caller=user) for user in users(400)]

    assert Counter(got).keys() == {"one", "two"}
    assert 140 < Counter(got)["two"] < 260
    assert [await text(at, caller=user) for user in users(400)] == got


async def test_what_is_rendered_is_the_prompt_and_the_version_that_the_caller_got(
    at: PromptDesk,
) -> None:
    prompt = await in_half(at)
    for user in users(20):
        rendered = await at.prompts.render(request_of(caller=user, prompt_name="greet", text=None))
        assert prompt.rollout is not None
        assert rendered.version is not None
        assert rendered.prompt == prompt
        assert rendered.version.version == prompt.rollout.version_for(
            prompt.id, f"user:{user.user_id}"
        )


async def test_a_caller_without_user_and_service_gets_the_published_version(
    at: PromptDesk,
) -> None:
    await at.three()
    await at.roll_out("greet", (1, 1), (2, 99))

    assert await text(at, caller=Caller("acme", None, None, ANN.scopes)) == "one"
    assert await at.prompts.get_served("acme", "greet") == await at.prompts.get_version(
        "acme", "greet", 1
    )


async def test_a_version_that_is_asked_for_by_number_is_given_whatever_the_rollout_says(
    at: PromptDesk,
) -> None:
    await in_half(at)
    for number, said in enumerate(("one", "two", "three"), 1):
        assert {await text(at, caller=u, prompt_version=number) for u in users(20)} == {said}


async def test_drafts_and_archived_versions_are_given_only_to_who_names_them(
    at: PromptDesk,
) -> None:
    prompt = await at.three()
    await at.publish("greet", 2)
    assert at.statuses(prompt) == "APD"

    assert await text(at) == "two"
    assert [await text(at, prompt_version=n) for n in (1, 3)] == ["one", "three"]


async def test_a_prompt_that_is_not_of_the_catalog_is_rendered_like_one_of_it(
    at: PromptDesk,
) -> None:
    prompt = await at.create("greet", "of the catalog")
    version = replace(next(iter(at.rows.versions.values())), template="of a file")
    at.rows.asked.clear()

    rendered = await at.prompts.render(request_of(text=None, unsaved=(prompt, version)))

    assert (rendered.prompt, rendered.version) == (prompt, version)
    assert rendered.messages == (Message(MessageRole.USER, "of a file"),)
    assert at.rows.asked == []


async def test_messages_and_texts_need_no_prompt(at: PromptDesk) -> None:
    said = (Message(MessageRole.SYSTEM, "be brief"), Message(MessageRole.USER, "hi"))

    assert (await at.prompts.render(request_of(text=None, messages=said))).messages == said
    rendered = await at.prompts.render(request_of(text="hi"))
    assert rendered.messages == said[1:]
    assert (rendered.prompt, rendered.version) == (None, None)
    assert at.rows.asked == []


# ------------------------------------------------------------------ whose


async def test_a_tenants_own_prompt_hides_the_platforms_and_only_from_itself(
    at: PromptDesk,
) -> None:
    await at.create("greet", "the platform's", OPERATOR)
    await at.create("greet", "acme's", ANN)

    globex = Caller("globex", "bob", None, ANN.scopes)
    assert (await text(at), await text(at, caller=globex)) == ("acme's", "the platform's")


async def test_an_archived_prompt_does_not_let_the_platforms_show_through(at: PromptDesk) -> None:
    await at.create("greet", "the platform's", OPERATOR)
    own = await at.create("greet", "acme's", ANN)
    await at.authoring.update(ANN, own.id, {"is_archived": True})

    for number in (None, 1):
        with pytest.raises(NotFound, match="'greet'"):
            await text(at, prompt_version=number)


@pytest.mark.parametrize(
    ("name", "number", "what"),
    [
        ("nothing", None, "no published version"),
        ("draft", None, "no published version"),
        ("draft", 2, "no version 2"),
        ("x" * 100, None, f"'{'x' * 64}'"),
    ],
)
async def test_what_is_not_there_is_not_found_and_said_so(
    at: PromptDesk, name: str, number: int | None, what: str
) -> None:
    await at.create("draft", publish=False)

    with pytest.raises(NotFound, match=what):
        await text(at, name, prompt_version=number)


@pytest.mark.parametrize("name", ["\x00", "half \ud800"])
@pytest.mark.parametrize("number", [None, 1])
async def test_a_name_that_no_database_can_carry_never_reaches_it(
    at: PromptDesk, name: str, number: int | None
) -> None:
    problem = await refused(text(at, name, prompt_version=number))

    assert problem.path == ("promptName",)
    assert at.rows.asked == []


async def test_a_search_that_no_database_can_carry_never_reaches_it(at: PromptDesk) -> None:
    with pytest.raises(BadUserInput):
        await at.prompts.list_prompts("acme", PromptQuery(name_contains="\x00"))

    assert at.rows.asked == []


# ------------------------------------------------------------------ memory


async def test_what_callers_get_is_read_once_for_all_of_them(at: PromptDesk) -> None:
    await in_half(at)
    at.rows.asked.clear()

    for user in users(30):
        await text(at, caller=user)
        await text(at, caller=user, prompt_version=3)

    assert sorted(at.rows.asked) == ["find_served", "find_version"]


async def test_a_changed_prompt_is_read_anew_also_by_those_who_name_a_version(
    at: PromptDesk,
) -> None:
    prompt = await at.three()
    await text(at)
    await text(at, prompt_version=1)
    at.rows.prompts[prompt.id] = replace(prompt, description="by another replica")

    assert (await at.prompts.get_served("acme", "greet"))[0].description is None
    at.prompts.forget("acme")

    assert (await at.prompts.get_served("acme", "greet"))[0].description is not None
    assert (await at.prompts.get_version("acme", "greet", 1))[0].description is not None


async def test_what_is_forgotten_of_one_tenant_stays_known_of_others(at: PromptDesk) -> None:
    for caller in (OPERATOR, ANN):
        await at.create("greet", caller=caller)
        await text(at, caller=caller)
    at.rows.asked.clear()

    at.prompts.forget("globex")
    await text(at)
    assert at.rows.asked == []

    at.prompts.forget("acme")
    await text(at, caller=OPERATOR)
    assert at.rows.asked == []
    await text(at)
    assert at.rows.asked == ["find_served"]


async def test_a_change_of_the_platforms_prompts_is_forgotten_of_every_tenant(
    at: PromptDesk,
) -> None:
    prompt = await at.create("greet", "old", OPERATOR)
    assert await text(at) == "old"

    await at.add(prompt, "new", OPERATOR)
    await at.publish("greet", 2, OPERATOR)

    assert await text(at) == "new"


# ------------------------------------------------------------------ without a database


async def test_while_the_database_is_away_what_was_known_is_rendered_and_logged_once(
    at: PromptDesk,
) -> None:
    await at.three()
    await text(at)
    await text(at, prompt_version=2)
    at.prompts.forget("acme")
    at.rows.is_away = True

    with capture_logs() as lines:
        for _ in range(3):
            assert await text(at) == "one"
            assert await text(at, prompt_version=2) == "two"

    assert [(line["what"], line["key"]) for line in lines] == [
        ("prompt", "('acme', 'greet')"),
        ("prompt version", "('acme', 'greet', 2)"),
    ]
    at.rows.is_away = False
    await at.publish("greet", 3)
    assert await text(at) == "three"


async def test_a_prompt_that_was_never_known_cannot_be_had_without_the_database(
    at: PromptDesk,
) -> None:
    await at.three()
    await text(at)
    at.rows.is_away = True

    with pytest.raises(StorageUnavailable):
        await text(at, "other")
    with pytest.raises(StorageUnavailable):
        await text(at, prompt_version=2)
    with pytest.raises(StorageUnavailable):
        await text(at, caller=Caller("globex", "bob", None, ANN.scopes))


async def test_a_deleted_prompt_does_not_come_back_when_the_database_goes_away(
    at: PromptDesk,
) -> None:
    prompt = await at.create("greet")
    await text(at)
    await at.authoring.update(ANN, prompt.id, {"is_archived": True})
    with pytest.raises(NotFound):
        await text(at)
    at.rows.is_away = True

    with pytest.raises(StorageUnavailable):
        await text(at)


# ------------------------------------------------------------------ batches


async def test_a_batch_finds_what_the_tenant_may_see_and_nothing_else(at: PromptDesk) -> None:
    own = await at.create("own")
    shared = await at.create("shared", caller=OPERATOR)
    foreign = await at.create("foreign", caller=Caller("globex", "bob", None, ANN.scopes))
    ids = [own.id, shared.id, foreign.id, UUID(int=7)]

    assert (await at.prompts.by_id("acme", ids)).keys() == {own.id, shared.id}
    names = ["own", "shared", "foreign", "nothing"]
    assert (await at.prompts.by_name("acme", names)).keys() == {"own", "shared"}
    keys = [(id_, 1) for id_ in ids]
    found = await at.prompts.versions_by_number("acme", keys)
    assert found.keys() == {(own.id, 1), (shared.id, 1)}
    versions = [version.id for version in at.rows.versions.values()]
    assert len(await at.prompts.versions_by_id("acme", versions)) == 2
    assert (await at.prompts.list_versions("acme", ids, 20, None)).keys() == {own.id, shared.id}
