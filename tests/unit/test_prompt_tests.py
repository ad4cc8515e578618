"""Test cases of prompts: who words them, and what must have passed before a version is published."""

from __future__ import annotations

from dataclasses import replace

import pytest

from assistant.domain.caller import Caller, Scope
from assistant.domain.prompt import Prompt, PromptVersion
from assistant.domain.prompt_test import (
    Contains,
    PromptTestDraft,
    PromptTestRun,
    PromptTestStatus,
    SatisfiesSchema,
)
from assistant.errors import BadUserInput, Forbidden, NotFound
from tests.unit.prompt_desk import paths, refused
from tests.unit.trial_desk import PARIS, TESTER, TrialDesk, new_id

BOTH = frozenset({Scope.PROMPTS_WRITE, Scope.COMPLETE})
OPERATOR = Caller("platform", "ops", None, frozenset({Scope.ADMIN}))
DEVELOPER = Caller("dev", "me", None, BOTH, is_developer=True)
STRANGER = Caller("globex", "bob", None, BOTH)


@pytest.fixture
def desk() -> TrialDesk:
    return TrialDesk()


# -------------------------------------------------------------------------------- cases


async def test_a_case_is_added_and_worded_anew_under_its_name(desk: TrialDesk) -> None:
    prompt = await desk.create()
    first = await desk.set("one")
    second = await desk.set("one", Contains("Lyon"))
    assert second.id == first.id
    assert second.updated_at > first.updated_at
    assert second.assertions == (Contains("Lyon"),)
    other = await desk.set("another")
    listed = await desk.tests.list_cases("acme", [prompt.id])
    assert listed == {prompt.id: [other, second]}


async def test_saying_again_what_a_case_says_changes_nothing(desk: TrialDesk) -> None:
    await desk.create()
    same = SatisfiesSchema({"type": "object"})
    first = await desk.set("one", same, text="Paris")
    assert await desk.set("one", same, text="Paris") == first
    assert (await desk.set("one", same, text="Lyon")).updated_at > first.updated_at


async def test_to_tell_true_from_one_is_to_word_a_case_anew(desk: TrialDesk) -> None:
    await desk.create()
    drafts = [PromptTestDraft("one", {"text": value}, (PARIS,)) for value in (1, True)]
    first = await desk.tests.set_case(TESTER, "capital", drafts[0])
    desk.clock.advance(1)
    second = await desk.tests.set_case(TESTER, "capital", drafts[1])
    assert second.updated_at > first.updated_at


async def test_a_case_that_cannot_be_run_is_refused(desk: TrialDesk) -> None:
    await desk.create()
    draft = PromptTestDraft("", {"text": "x" * 200_000}, ())
    problem = await refused(desk.tests.set_case(TESTER, "capital", draft))
    assert paths(problem) == ["name", "variables", "assertions"]


async def test_a_prompt_has_at_most_200_cases(desk: TrialDesk) -> None:
    await desk.create()
    await desk.set("one")
    desk.store.is_full = True
    with pytest.raises(BadUserInput, match="at most 200 tests"):
        await desk.set("two")
    assert (await desk.set("one", Contains("Lyon"))).assertions == (Contains("Lyon"),)


async def test_cases_are_worded_by_who_may_write_prompts(desk: TrialDesk) -> None:
    await desk.create()
    case = await desk.set("one")
    reader = Caller("acme", "eve", None, frozenset({Scope.COMPLETE}))
    with pytest.raises(Forbidden):
        await desk.set("two", caller=reader)
    with pytest.raises(Forbidden):
        await desk.tests.delete_case(reader, case.id)


async def test_a_prompt_that_is_not_there_has_no_cases(desk: TrialDesk) -> None:
    await desk.create()
    with pytest.raises(NotFound):
        await desk.set("one", caller=STRANGER)
    with pytest.raises(BadUserInput):
        await desk.tests.set_case(TESTER, "\x00", PromptTestDraft("one", {}, (PARIS,)))


async def test_the_platforms_cases_are_the_operators_to_word(desk: TrialDesk) -> None:
    prompt = await desk.create(caller=OPERATOR)
    for caller in (OPERATOR, DEVELOPER):
        await desk.set(f"of {caller.tenant_id}", caller=caller)
    with pytest.raises(Forbidden, match="belongs to the platform"):
        await desk.set("mine", caller=TESTER)
    seen = (await desk.tests.list_cases("acme", [prompt.id]))[prompt.id]
    assert [case.name for case in seen] == ["of dev", "of platform"]


async def test_a_case_is_deleted_by_those_who_may_word_it(desk: TrialDesk) -> None:
    await desk.create(caller=OPERATOR)
    platforms = await desk.set("theirs", caller=OPERATOR)
    await desk.create(caller=TESTER)
    own = await desk.set("ours")
    for caller, id_ in ((TESTER, platforms.id), (STRANGER, own.id), (DEVELOPER, own.id)):
        with pytest.raises(NotFound):
            await desk.tests.delete_case(caller, id_)
    await desk.tests.delete_case(TESTER, own.id)
    await desk.tests.delete_case(DEVELOPER, platforms.id)
    assert desk.store.cases == {}
    with pytest.raises(NotFound):
        await desk.tests.delete_case(TESTER, own.id)


# ------------------------------------------------------------- before a version is published


async def subject(desk: TrialDesk) -> tuple[Prompt, PromptVersion]:
    prompt = await desk.create()
    return prompt, desk.desk.rows.of(prompt.id)[1]


async def held_up(desk: TrialDesk, prompt: Prompt, version: PromptVersion) -> str:
    problem = await refused(desk.tests.require_passed("acme", prompt, version))
    assert paths(problem) == ["version"]
    assert "testPromptVersion" in problem.message
    return problem.message


async def test_a_version_passes_once_every_case_has(desk: TrialDesk) -> None:
    prompt, version = await subject(desk)
    await desk.set("one Paris")
    await desk.set("two Paris")
    await desk.run()
    await desk.tests.require_passed("acme", prompt, version)


async def test_a_prompt_without_cases_is_held_up(desk: TrialDesk) -> None:
    assert "has no tests" in await held_up(desk, *await subject(desk))


async def test_a_version_that_was_never_tested_is_held_up(desk: TrialDesk) -> None:
    prompt, version = await subject(desk)
    await desk.set("one Paris")
    await desk.run()
    number = await desk.word(prompt)
    newer = desk.desk.rows.of(prompt.id)[number]
    assert await held_up(desk, prompt, newer) == (
        "Version 2 of capital is published only after its tests have passed. It has not been "
        'tested yet. Run testPromptVersion(input: {promptName: "capital", version: 2}).'
    )
    await desk.tests.require_passed("acme", prompt, version)


async def test_what_failed_last_holds_the_version_up_by_name(desk: TrialDesk) -> None:
    prompt, version = await subject(desk)
    await desk.set("one Paris")
    await desk.run()
    for number in range(7):
        await desk.set(f"two {number}")
    await desk.run()
    message = await held_up(desk, prompt, version)
    assert (
        "In the run of 2026-03-14 15:09 UTC these did not pass: "
        "'two 0', 'two 1', 'two 2', 'two 3', 'two 4' and 2 more."
    ) in message


async def test_cases_that_are_new_or_changed_since_hold_the_version_up(desk: TrialDesk) -> None:
    prompt, version = await subject(desk)
    await desk.set("one Paris")
    await desk.set("two Paris")
    await desk.set("three Paris")
    await desk.run()
    await desk.set("four Paris")
    await desk.set("two Paris", Contains("is"))
    message = await held_up(desk, prompt, version)
    assert "these are new or changed: 'four Paris', 'two Paris'." in message
    await desk.run()
    await desk.tests.require_passed("acme", prompt, version)


async def test_a_case_that_is_gone_or_said_again_holds_nothing_up(desk: TrialDesk) -> None:
    prompt, version = await subject(desk)
    await desk.set("one Paris")
    gone = await desk.set("two Paris")
    await desk.run()
    await desk.tests.delete_case(TESTER, gone.id)
    await desk.set("one Paris")
    await desk.tests.require_passed("acme", prompt, version)


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (PromptTestStatus.RUNNING, "has not ended yet"),
        (PromptTestStatus.CANCELLED, "was cancelled"),
    ],
)
async def test_a_run_that_did_not_end_holds_the_version_up(
    desk: TrialDesk, status: PromptTestStatus, words: str
) -> None:
    prompt, version = await subject(desk)
    await desk.set("one Paris")
    passed = await desk.run()
    await desk.store.put_run("acme", again(passed, status), 100)
    assert words in await held_up(desk, prompt, version)


def again(run: PromptTestRun, status: PromptTestStatus) -> PromptTestRun:
    return replace(run, id=new_id(), status=status, results=())


async def test_what_another_tenant_has_run_does_not_count(desk: TrialDesk) -> None:
    prompt = await desk.create(caller=OPERATOR)
    version = desk.desk.rows.of(prompt.id)[1]
    await desk.set("one Paris", caller=OPERATOR)
    await desk.run()
    await desk.tests.require_passed("acme", prompt, version)
    with pytest.raises(BadUserInput, match="not been tested"):
        await desk.tests.require_passed("platform", prompt, version)
