"""Which versions callers get: publishing, gradual rollout, and what is recorded of both."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any

import pytest

from assistant.domain.prompt import Prompt
from assistant.domain.rollout import ReleaseKind
from assistant.errors import BadUserInput, Conflict, Forbidden, NotFound
from tests.unit.prompt_desk import (
    ANN,
    BOB,
    DEVELOPER,
    OPERATOR,
    READER,
    PromptDesk,
    paths,
    refused,
)


@pytest.fixture
def at() -> PromptDesk:
    return PromptDesk()


# ------------------------------------------------------------------ publishing


async def test_a_published_version_is_given_to_every_caller_at_once(at: PromptDesk) -> None:
    prompt = await at.three()
    assert (await at.prompts.get_served("acme", "greet"))[1].version == 1

    changed, version = await at.releases.publish(ANN, "greet", 2, expected=None, reason=None)

    assert (await at.prompts.get_served("acme", "greet")) == (changed, version)
    assert (version.version, changed.published_version_id) == (2, version.id)
    assert at.statuses(prompt) == "APD"


async def test_an_earlier_version_may_be_published_again(at: PromptDesk) -> None:
    prompt = await at.three()
    for number in (2, 3, 1):
        await at.publish("greet", number)

    assert at.statuses(prompt) == "PAA"
    assert (await at.prompts.get_served("acme", "greet"))[1].version == 1


async def test_publishing_ends_a_rollout(at: PromptDesk) -> None:
    prompt = await at.three()
    await at.roll_out("greet", (1, 80), (2, 20))

    changed = await at.publish("greet", 3)

    assert changed.rollout is None
    assert at.statuses(prompt) == "AAP"


@pytest.mark.parametrize("expected", [None, 1])
async def test_publishing_goes_well_where_what_was_expected_is_published(
    at: PromptDesk, expected: int | None
) -> None:
    prompt = await at.three()
    await at.publish("greet", 2, expected=expected)

    assert at.statuses(prompt) == "APD"


@pytest.mark.parametrize("expected", [0, 2, 3, 99])
async def test_publishing_is_refused_where_something_else_than_expected_is_published(
    at: PromptDesk, expected: int
) -> None:
    prompt = await at.three()
    with pytest.raises(Conflict):
        await at.publish("greet", 2, expected=expected)

    assert at.statuses(prompt) == "PDD"
    assert len(at.rows.releases) == 1


async def test_zero_expects_that_nothing_is_published_yet(at: PromptDesk) -> None:
    prompt = await at.create("greet", publish=False)
    with pytest.raises(Conflict):
        await at.publish("greet", 1, expected=1)

    await at.publish("greet", 1, expected=0)

    assert at.statuses(prompt) == "P"
    with pytest.raises(Conflict):
        await at.publish("greet", 1, expected=0)


async def test_of_many_who_expect_the_same_one_publishes_and_the_others_are_told(
    at: PromptDesk,
) -> None:
    await at.three()

    ends = await asyncio.gather(
        *(at.publish("greet", number, expected=1) for number in (2, 3, 2, 3)),
        return_exceptions=True,
    )

    assert sum(isinstance(end, Conflict) for end in ends) == 3
    assert len(at.rows.releases) == 2


@pytest.mark.parametrize("number", [0, -1, 4, 2**31, 2**64])
async def test_a_version_that_is_not_there_cannot_be_published(at: PromptDesk, number: int) -> None:
    await at.three()

    with pytest.raises(NotFound, match=f"greet has no version {number}"):
        await at.publish("greet", number)


# ------------------------------------------------------------------ tests before callers


async def gated(at: PromptDesk) -> Prompt:
    """Three versions, the first one published, of a prompt that requires tests."""
    prompt = await at.three()
    await at.authoring.update(ANN, prompt.id, {"publish_requires_tests": True})
    return prompt


async def test_a_version_that_callers_never_got_is_published_once_its_tests_have_passed(
    at: PromptDesk,
) -> None:
    prompt = await gated(at)

    problem = await refused(at.publish("greet", 2))
    assert (problem.path, problem.message) == (
        ("version",),
        "The tests of version 2 have not passed.",
    )
    assert at.statuses(prompt) == "PDD"

    at.gate.passed.add(at.rows.of(prompt.id)[2].id)
    await at.publish("greet", 2)
    assert at.statuses(prompt) == "APD"
    assert at.gate.asked == [("acme", 2)] * 2


async def test_a_version_that_callers_got_before_is_published_again_without_tests(
    at: PromptDesk,
) -> None:
    prompt = await at.three()
    await at.roll_out("greet", (1, 99), (3, 1))
    await at.publish("greet", 2)
    await at.authoring.update(ANN, prompt.id, {"publish_requires_tests": True})

    for number in (1, 3, 2):  # published, of a rollout only, and published now
        await at.publish("greet", number)

    assert at.gate.asked == []


async def test_every_draft_in_a_rollout_needs_its_tests_and_the_published_version_does_not(
    at: PromptDesk,
) -> None:
    prompt = await gated(at)

    problem = await refused(at.roll_out("greet", (2, 10), (1, 80), (3, 10)))

    assert paths(problem) == ["shares.0.version", "shares.2.version"]
    assert [each.message for each in problem.every] == [
        "The tests of version 2 have not passed.",
        "The tests of version 3 have not passed.",
    ]
    assert at.now(prompt).rollout is None

    at.gate.passed |= {at.rows.of(prompt.id)[number].id for number in (2, 3)}
    await at.roll_out("greet", (2, 10), (1, 80), (3, 10))
    assert at.statuses(prompt) == "PPP"

    at.gate.passed.clear()
    await at.roll_out("greet", (2, 20), (1, 70), (3, 10))
    await at.publish("greet", 3)
    assert at.statuses(prompt) == "AAP"


async def test_tests_are_not_asked_for_where_the_prompt_does_not_require_them(
    at: PromptDesk,
) -> None:
    await at.three()
    await at.roll_out("greet", (1, 50), (2, 50))
    await at.publish("greet", 3)

    assert at.gate.asked == []


async def test_the_tests_of_the_platforms_prompts_are_those_of_who_publishes(
    at: PromptDesk,
) -> None:
    await at.create("greet", caller=OPERATOR, publish=False, publish_requires_tests=True)

    await refused(at.publish("greet", 1, DEVELOPER))
    await refused(at.publish("greet", 1, OPERATOR))

    assert at.gate.asked == [("dev", 1), ("platform", 1)]


# ------------------------------------------------------------------ who may, and what there is

Change = Callable[..., Coroutine[Any, Any, Prompt]]


def changes(at: PromptDesk) -> list[Change]:
    """Both ways to change who gets what, of a prompt that is named."""
    return [
        lambda name, **given: at.publish(name, 1, **given),
        lambda name, **given: at.roll_out(name, (1, 100), **given),
    ]


async def test_only_those_with_the_scope_may_change_what_callers_get(at: PromptDesk) -> None:
    await at.create("greet")
    for change in changes(at):
        with pytest.raises(Forbidden, match="assistant:prompts:write"):
            await change("greet", caller=READER)


async def test_a_prompt_that_is_not_there_or_another_tenants_is_not_found(at: PromptDesk) -> None:
    await at.create("theirs", caller=BOB)
    for change in changes(at):
        for name in ("theirs", "nothing"):
            with pytest.raises(NotFound, match=f"'{name}'"):
                await change(name)


async def test_an_archived_prompt_is_brought_back_before_callers_get_anything_of_it(
    at: PromptDesk,
) -> None:
    prompt = await at.create("greet")
    await at.authoring.update(ANN, prompt.id, {"is_archived": True})
    for change in changes(at):
        problem = await refused(change("greet"))
        assert problem.path == ("promptName",)
        assert "isArchived false" in problem.message


async def test_what_callers_get_of_the_platforms_prompts_is_the_operators_to_change(
    at: PromptDesk,
) -> None:
    prompt = await at.create("greet", caller=OPERATOR)
    for change in changes(at):
        with pytest.raises(Forbidden, match="belongs to the platform"):
            await change("greet")
        for caller in (OPERATOR, DEVELOPER):
            assert (await change("greet", caller=caller)).id == prompt.id


async def test_who_hides_the_platforms_prompt_changes_their_own(at: PromptDesk) -> None:
    shared = await at.create("greet", caller=OPERATOR)
    own = await at.create("greet", caller=DEVELOPER)
    for change in changes(at):
        assert (await change("greet", caller=DEVELOPER)).id == own.id

    assert {r.prompt_id for _, r in at.rows.releases[2:]} == {own.id}
    assert at.statuses(shared) == "P"


async def test_a_reason_is_not_endless(at: PromptDesk) -> None:
    await at.create("greet")
    for change in changes(at):
        assert (await refused(change("greet", reason="r" * 2_001))).path == ("reason",)


# ------------------------------------------------------------------ history


async def test_every_change_is_recorded_with_who_when_what_and_why(at: PromptDesk) -> None:
    prompt = await at.three()
    service = replace(ANN, user_id=None, service_id="deployer")
    await at.roll_out("greet", (1, 90), (2, 10), reason="try it")
    tried_at = at.clock.now()
    await at.publish("greet", 2, service)

    history = (await at.releases.list_releases("acme", [prompt.id], 20, None))[prompt.id]

    assert [(r.kind, dict(r.weights), r.user_id, r.service_id, r.reason) for r in history] == [
        (ReleaseKind.PUBLISHED, {2: 100}, None, "deployer", None),
        (ReleaseKind.ROLLOUT, {1: 90, 2: 10}, "ann", "console", "try it"),
        (ReleaseKind.PUBLISHED, {1: 100}, "ann", "console", None),
    ]
    assert [r.at for r in history[:2]] == [at.clock.now(), tried_at]
    assert len({r.id for r in history}) == 3
    page = await at.releases.list_releases("acme", [prompt.id], 1, history[0].id)
    assert page == {prompt.id: [history[1]]}


async def test_what_is_refused_is_not_recorded(at: PromptDesk) -> None:
    await gated(at)
    recorded = list(at.rows.releases)

    for change in (
        at.publish("greet", 2),
        at.publish("greet", 1, expected=3),
        at.roll_out("greet", (1, 50), (2, 50)),
        at.roll_out("greet", (1, 50)),
    ):
        with pytest.raises((BadUserInput, Conflict)):
            await change

    assert at.rows.releases == recorded
