"""Runs of tests: a few cases at a time, told and recorded as they go, and stopped at any moment."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest
from structlog.testing import capture_logs

from assistant.domain.caller import Caller, Scope
from assistant.domain.prompt import PromptDraft, PromptPartial
from assistant.domain.prompt_document import PromptDocument
from assistant.domain.prompt_test import (
    TEST_FEATURE,
    Contains,
    JudgedBy,
    Matches,
    PromptTestDraft,
    PromptTestOutcome,
    PromptTestRun,
    PromptTestStatus,
)
from assistant.errors import (
    BadUserInput,
    Forbidden,
    NotFound,
    ProviderUnavailable,
    StorageUnavailable,
)
from assistant.services.prompt_test_progress import AT_ONCE
from tests.unit.prompt_desk import paths, refused, wording
from tests.unit.trial_desk import PARIS, TESTER, TrialDesk


@pytest.fixture
async def desk() -> TrialDesk:
    """With the prompt, and no cases yet."""
    desk = TrialDesk()
    await desk.create()
    return desk


async def cases(desk: TrialDesk, *names: str) -> None:
    for name in names:
        await desk.set(name)


async def until(condition: object) -> None:
    assert callable(condition)
    for _ in range(1_000):
        if condition():
            return
        await asyncio.sleep(0.001)
    raise AssertionError("it never came to that")


def names(run: PromptTestRun) -> list[str]:
    return [result.case_name for result in run.results]


async def test_a_run_passes_where_every_case_does(desk: TrialDesk) -> None:
    await cases(desk, "Paris", "Paris again")
    run = await desk.run()
    assert run.status is PromptTestStatus.PASSED
    assert (run.cases, run.passed, run.started_by, run.model) == (2, 2, "ann", None)
    assert run.ended_at is not None
    assert desk.store.runs[run.id] == ("acme", run)


async def test_one_case_that_fails_or_has_no_answer_fails_the_run_and_the_others_go_on(
    desk: TrialDesk,
) -> None:
    await cases(desk, "Paris", "a Lyon", "b Paris")
    desk.asks.answers["Paris"] = ProviderUnavailable("Nothing can be reached.")
    run = await desk.run()
    assert run.status is PromptTestStatus.FAILED
    assert [(result.case_name, result.outcome.value) for result in run.results] == [
        ("Paris", "ERROR"),
        ("a Lyon", "FAILED"),
        ("b Paris", "PASSED"),
    ]
    assert run.passed == 1


async def test_results_are_in_the_order_of_the_cases_whoever_ends_first(desk: TrialDesk) -> None:
    await cases(desk, "a Paris", "b Paris", "c Paris")
    desk.asks.slow_s = {"a Paris": 0.03, "b Paris": 0.015}
    await desk.run()
    assert [names(run) for run in desk.heard] == [
        [],
        ["c Paris"],
        ["b Paris", "c Paris"],
        ["a Paris", "b Paris", "c Paris"],
        ["a Paris", "b Paris", "c Paris"],
    ]
    assert [run.status.name for run in desk.heard] == [*["RUNNING"] * 4, "PASSED"]


async def test_only_a_few_cases_are_asked_at_a_time(desk: TrialDesk) -> None:
    await cases(desk, *(f"Paris {number:02}" for number in range(3 * AT_ONCE)))
    desk.asks.hold.clear()
    running = asyncio.create_task(desk.run())
    await until(lambda: desk.asks.running == AT_ONCE)
    await asyncio.sleep(0.01)
    assert desk.asks.running == AT_ONCE
    desk.asks.hold.set()
    run = await running
    assert run.passed == 3 * AT_ONCE
    assert desk.asks.most == AT_ONCE


async def test_a_result_tells_which_wording_of_the_case_was_run(desk: TrialDesk) -> None:
    case = await desk.set("Paris")
    [result] = (await desk.run()).results
    assert (result.case_id, result.case_updated_at) == (case.id, case.updated_at)


async def test_a_run_is_recorded_at_its_start_at_most_every_second_and_at_its_end(
    desk: TrialDesk,
) -> None:
    await cases(desk, *(f"Paris {number}" for number in range(6)))

    async def hear(run: PromptTestRun) -> None:
        if len(run.results) == 2:
            desk.clock.advance(1)

    await desk.tests.run(TESTER, "capital", 1, None, hear)
    assert [len(run.results) for run in desk.store.recorded] == [0, 3, 6]
    assert [run.status.name for run in desk.store.recorded] == ["RUNNING", "RUNNING", "PASSED"]


# ----------------------------------------------------------------------- what is refused


async def test_what_cannot_be_run_is_refused_before_anything_is_asked(desk: TrialDesk) -> None:
    with pytest.raises(NotFound):
        await desk.tests.run(TESTER, "capitol", 1, None)
    with pytest.raises(NotFound):
        await desk.tests.run(TESTER, "capital", 7, None)
    problem = await refused(desk.tests.run(TESTER, "capital", 1, None))
    assert "setPromptTest" in problem.message
    await cases(desk, "Paris")
    assert paths(await refused(desk.tests.run(TESTER, "capital", 1, "m" * 257))) == ["model"]
    assert (desk.asks.asked, desk.store.recorded) == ([], [])


@pytest.mark.parametrize("scope", [Scope.COMPLETE, Scope.PROMPTS_WRITE])
async def test_who_runs_tests_may_write_prompts_and_complete(desk: TrialDesk, scope: Scope) -> None:
    caller = Caller("acme", "eve", None, frozenset({scope}))
    with pytest.raises(Forbidden):
        await desk.tests.run(caller, "capital", 1, None)
    with pytest.raises(Forbidden):
        await desk.tests.run_document(caller, document(), (), None)


async def test_a_run_that_cannot_be_recorded_is_not_begun(desk: TrialDesk) -> None:
    await cases(desk, "Paris")
    desk.store.is_away = True
    with pytest.raises(StorageUnavailable):
        await desk.run()
    assert desk.asks.asked == []


async def test_a_run_goes_on_where_the_database_is_away_for_a_moment(desk: TrialDesk) -> None:
    await cases(desk, *(f"Paris {number}" for number in range(6)))

    async def hear(run: PromptTestRun) -> None:
        desk.clock.advance(1)
        desk.store.is_away = len(run.results) in (2, 3)

    with capture_logs() as lines:
        run = await desk.tests.run(TESTER, "capital", 1, None, hear)

    assert (run.status, run.passed) == (PromptTestStatus.PASSED, 6)
    assert desk.store.recorded[-1] == run
    assert {line["event"] for line in lines} == {"test_run_not_recorded"}


async def test_a_run_whose_end_cannot_be_recorded_says_so(desk: TrialDesk) -> None:
    await cases(desk, "Paris")

    async def hear(run: PromptTestRun) -> None:
        desk.store.is_away = True

    with pytest.raises(StorageUnavailable):
        await desk.tests.run(TESTER, "capital", 1, None, hear)


# ---------------------------------------------------------------------------- stopping


async def test_a_run_whose_watcher_leaves_stops_and_keeps_what_had_ended(desk: TrialDesk) -> None:
    await cases(desk, "a Paris", "b Paris", "c Paris")
    desk.asks.slow_s = {"b Paris": 60, "c Paris": 60}
    running = asyncio.create_task(desk.run())
    await until(lambda: desk.heard and len(desk.heard[-1].results) == 1)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert desk.asks.cancelled == 2
    assert desk.asks.running == 0
    [(_, stored)] = desk.store.runs.values()
    assert stored.status is PromptTestStatus.CANCELLED
    assert (names(stored), stored.cases) == (["a Paris"], 3)
    assert stored.ended_at is not None


async def test_cases_that_nobody_asked_yet_are_not_asked_after_the_watcher_left(
    desk: TrialDesk,
) -> None:
    await cases(desk, *(f"Paris {number:02}" for number in range(2 * AT_ONCE)))
    desk.asks.hold.clear()
    running = asyncio.create_task(desk.run())
    await until(lambda: desk.asks.running == AT_ONCE)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert len(desk.asks.asked) == AT_ONCE


async def test_a_run_is_recorded_as_cancelled_however_often_it_is_cancelled(
    desk: TrialDesk,
) -> None:
    await cases(desk, "Paris")
    desk.asks.hold.clear()
    running = asyncio.create_task(desk.run())
    await until(lambda: desk.asks.running == 1)
    desk.store.delay_s = 0.03
    for _ in range(5):
        running.cancel()
        await asyncio.sleep(0.002)
    with pytest.raises(asyncio.CancelledError):
        await running
    assert [run.status.name for run in desk.store.recorded] == ["RUNNING", "CANCELLED"]


async def test_a_watcher_that_leaves_while_it_is_told_loses_no_result(desk: TrialDesk) -> None:
    await cases(desk, "a Paris", "b Paris")

    async def stuck(run: PromptTestRun) -> None:
        if run.results:
            await asyncio.sleep(60)

    running = asyncio.create_task(desk.tests.run(TESTER, "capital", 1, None, stuck))
    await until(lambda: len(desk.asks.asked) == 2 and not desk.asks.running)
    await asyncio.sleep(0.02)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    [(_, stored)] = desk.store.runs.values()
    assert names(stored) == ["a Paris", "b Paris"]
    assert stored.status is PromptTestStatus.PASSED, "every case had ended"


async def test_a_cancelled_run_stays_cancelled_while_the_database_is_away(desk: TrialDesk) -> None:
    await cases(desk, "Paris")
    desk.asks.hold.clear()
    running = asyncio.create_task(desk.run())
    await until(lambda: desk.asks.running == 1)
    desk.store.is_away = True
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running


async def test_a_defect_ends_the_run_and_is_heard_of(desk: TrialDesk) -> None:
    await cases(desk, "a Paris", "b Paris")
    desk.asks.answers["a Paris"] = ZeroDivisionError("a defect")
    desk.asks.slow_s = {"b Paris": 60}
    with pytest.raises(ZeroDivisionError):
        await desk.run()
    assert desk.asks.cancelled == 1
    [(_, stored)] = desk.store.runs.values()
    assert (stored.status, stored.results) == (PromptTestStatus.CANCELLED, ())


# ------------------------------------------------------------------------- what is kept


async def test_runs_are_listed_newest_first_and_only_to_their_tenant(desk: TrialDesk) -> None:
    await cases(desk, "Paris")
    first, second = await desk.run(), await desk.run()
    found = await desk.tests.list_runs("acme", [first.version_id], 10)
    assert found[first.version_id] == [second, first]
    assert await desk.tests.list_runs("globex", [first.version_id], 10) == {first.version_id: []}


async def test_a_run_whose_process_was_killed_counts_as_cancelled_after_a_day(
    desk: TrialDesk,
) -> None:
    await cases(desk, "Paris")
    run = await desk.run()
    desk.store.runs[run.id] = (
        "acme",
        replace(run, status=PromptTestStatus.RUNNING, ended_at=None),
    )
    [now] = (await desk.tests.list_runs("acme", [run.version_id], 1))[run.version_id]
    assert now.status is PromptTestStatus.RUNNING
    desk.clock.advance(86_401)
    [later] = (await desk.tests.list_runs("acme", [run.version_id], 1))[run.version_id]
    assert later.status is PromptTestStatus.CANCELLED
    assert later.ended_at == run.started_at + timedelta(days=1)


# ------------------------------------------------------------------------ tests of files


def document(*tests: PromptTestDraft) -> PromptDocument:
    draft = wording("{{> greeting}} Say: {{text}}", "text")
    tests = tests or (PromptTestDraft("one", {"text": "Paris"}, (PARIS,)),)
    return PromptDocument(PromptDraft("greet", "general", draft), tests)


GREETING = PromptPartial("greeting", "greeting", 3, "Hello!")


async def test_the_tests_of_a_file_are_run_and_recorded_nowhere(desk: TrialDesk) -> None:
    run = await desk.tests.run_document(TESTER, document(), (GREETING,), "fast", desk.hear)
    assert run.status is PromptTestStatus.PASSED
    assert [len(heard.results) for heard in desk.heard] == [0, 1, 1]
    assert desk.store.runs == {}
    [request] = desk.asks.asked
    assert (request.prompt_name, request.feature, request.model) == (None, TEST_FEATURE, "fast")
    assert request.unsaved is not None
    prompt, version = request.unsaved
    assert (prompt.name, prompt.tenant_id) == ("greet", "acme")
    assert (version.template, version.partials) == ("{{> greeting}} Say: {{text}}", (GREETING,))
    assert (run.prompt_id, run.version_id) == (prompt.id, version.id)


async def test_a_judge_of_a_file_reads_what_the_file_would_send(desk: TrialDesk) -> None:
    desk.asks.verdicts = ['{"passes": true}']
    judged = PromptTestDraft("one", {"text": "Paris"}, (JudgedBy("It is kind."),))
    await desk.tests.run_document(TESTER, document(judged), (GREETING,), None)
    assert desk.asks.asked[-1].variables == {
        "rubric": "It is kind.",
        "question": "Hello! Say: Paris",
        "answer": "Paris",
    }


async def test_a_file_whose_tests_cannot_be_run_is_refused(desk: TrialDesk) -> None:
    none = replace(document(), tests=())
    assert paths(await refused(desk.tests.run_document(TESTER, none, (), None))) == ["tests"]
    bad = document(
        PromptTestDraft("one", {}, (PARIS,)), PromptTestDraft("", {}, (PARIS, Matches("(")))
    )
    assert paths(await refused(desk.tests.run_document(TESTER, bad, (), None))) == [
        "tests.1.name",
        "tests.1.assertions.1.matches",
    ]
    assert desk.asks.asked == []


async def test_a_case_of_a_file_may_fail(desk: TrialDesk) -> None:
    failing = document(PromptTestDraft("one", {"text": "Lyon"}, (Contains("Paris"),)))
    run = await desk.tests.run_document(TESTER, failing, (GREETING,), None)
    assert run.status is PromptTestStatus.FAILED
    assert run.results[0].outcome is PromptTestOutcome.FAILED


async def test_a_refusal_is_of_the_input(desk: TrialDesk) -> None:
    with pytest.raises(BadUserInput):
        await desk.tests.run(TESTER, "capital\x00", 1, None)
