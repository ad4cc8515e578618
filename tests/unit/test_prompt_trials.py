"""One test case: the answer it gets, who judges it, and what becomes of it where nobody can."""

from __future__ import annotations

from decimal import Decimal

import pytest

from assistant.domain.prompt_test import (
    TEST_FEATURE,
    Contains,
    JudgedBy,
    Matches,
    PromptTestOutcome,
    SimilarTo,
)
from assistant.errors import (
    BadUserInput,
    ErrorCode,
    NotFound,
    ProviderTimeout,
    ProviderUnavailable,
)
from tests.unit.trial_desk import TESTER, TrialDesk, answer_of

KIND = JudgedBy("It is kind.")


@pytest.fixture
def desk() -> TrialDesk:
    return TrialDesk()


async def test_a_case_passes_where_all_assertions_hold(desk: TrialDesk) -> None:
    result = await desk.only("It is Paris.", Contains("Paris"), Matches("^It"))
    assert result.outcome is PromptTestOutcome.PASSED
    assert [one.passed for one in result.assertions] == [True, True]
    assert (result.latency_ms, result.cost) == (120, Decimal("0.02"))
    assert result.completion_id is not None
    assert (result.error_code, result.message) == (None, None)


async def test_every_assertion_is_looked_at_though_one_fails(desk: TrialDesk) -> None:
    result = await desk.only("It is Paris.", Contains("Lyon"), Contains("Paris"))
    assert result.outcome is PromptTestOutcome.FAILED
    assert [one.passed for one in result.assertions] == [False, True]
    assert [one.detail for one in result.assertions] == ["The answer is: It is Paris.", None]


async def test_a_case_is_asked_of_the_version_and_accounted_as_a_test(desk: TrialDesk) -> None:
    prompt = await desk.create()
    number = await desk.word(prompt)
    await desk.set("Paris")
    await desk.run(number, model="fast")
    [request] = desk.asks.asked
    assert (request.caller, request.feature) == (TESTER, TEST_FEATURE)
    assert (request.prompt_name, request.prompt_version) == ("capital", number)
    assert (request.model, request.variables) == ("fast", {"text": "Paris"})


@pytest.mark.parametrize(
    "error",
    [
        BadUserInput("There is no variable txt.", path=("variables", "txt")),
        ProviderTimeout("It took too long."),
        ProviderUnavailable("Nothing can be reached."),
    ],
)
async def test_a_case_without_an_answer_is_an_error_that_says_why(
    desk: TrialDesk, error: BadUserInput | ProviderTimeout
) -> None:
    desk.asks.answers["x"] = error
    result = await desk.only("x", Contains("x"))
    assert result.outcome is PromptTestOutcome.ERROR
    assert (result.error_code, result.message) == (error.code, error.message)
    assert result.completion_id == error.completion_id is not None
    assert (result.assertions, result.cost, result.latency_ms) == ((), 0, None)


# --------------------------------------------------------------------------- similarity


@pytest.mark.parametrize(
    ("vector", "outcome", "detail"),
    [
        ((0.8, 0.6), PromptTestOutcome.PASSED, "The similarity is 0.8."),
        ((0.79996, 0.6), PromptTestOutcome.PASSED, "The similarity is 0.8."),
        ((0.7991, 0.6), PromptTestOutcome.FAILED, "The similarity is 0.7991."),
        ((-1.0, 0.0), PromptTestOutcome.FAILED, "The similarity is -1."),
    ],
)
async def test_similarity_is_the_cosine_and_is_told_either_way(
    desk: TrialDesk, vector: tuple[float, float], outcome: PromptTestOutcome, detail: str
) -> None:
    desk.embedder.vectors["It is Paris."] = vector
    result = await desk.only("It is Paris.", SimilarTo("Paris it is.", 0.8))
    assert result.outcome is outcome
    assert result.assertions[0].detail == detail


async def test_an_answer_equal_to_the_text_passes_any_threshold(desk: TrialDesk) -> None:
    desk.embedder.vectors["same"] = (0.6, 0.7999999)
    result = await desk.only("same", SimilarTo("same", 1.0))
    assert result.outcome is PromptTestOutcome.PASSED


async def test_of_a_long_text_it_is_said_that_only_its_beginning_counts(desk: TrialDesk) -> None:
    result = await desk.only("word " * 300, SimilarTo("word", 0.8))
    assert result.assertions[0].detail == (
        "The similarity is 1. Of a long text only the beginning counts: 256 word pieces."
    )


async def test_without_the_embedding_model_the_case_is_an_error(desk: TrialDesk) -> None:
    desk.embedder.error = ProviderUnavailable("Run make setup.")
    result = await desk.only("It is Paris.", Contains("Paris"), SimilarTo("Paris", 0.8))
    assert result.outcome is PromptTestOutcome.ERROR
    assert result.error_code is ErrorCode.PROVIDER_UNAVAILABLE
    assert result.message == "The answer could not be judged: Run make setup."
    assert [one.passed for one in result.assertions] == [True], "what was judged before is kept"
    assert result.completion_id is not None
    assert result.cost == Decimal("0.02")


# ------------------------------------------------------------------------------- judges


async def test_a_judge_gets_the_rubric_the_question_and_the_answer(desk: TrialDesk) -> None:
    desk.asks.verdicts = ['{"passes": true, "reason": "It is\\n kind."}']
    result = await desk.only("You are well.", JudgedBy("It is kind.", "fast"))
    judge = desk.asks.asked[-1]
    assert judge.prompt_name == "judge"
    assert judge.prompt_version is None
    assert judge.variables == {
        "rubric": "It is kind.",
        "question": "Say: You are well.",
        "answer": "You are well.",
    }
    assert (judge.model, judge.feature, judge.caller) == ("fast", TEST_FEATURE, TESTER)
    assert result.outcome is PromptTestOutcome.PASSED
    assert result.assertions[0].detail == "It is kind."
    assert result.cost == Decimal("0.04"), "what judges cost is part of it"


@pytest.mark.parametrize(
    ("verdict", "detail"),
    [
        ('{"passes": false, "reason": "It is rude."}', "It is rude."),
        ('```json\n{"passes": false}\n```', None),
        ('{"passes": false, "reason": "", "score": 3}', None),
        (f'{{"passes": false, "reason": "{"word " * 99}"}}', ("word " * 40)[:199] + "…"),
    ],
)
async def test_a_case_fails_where_its_judge_says_so(
    desk: TrialDesk, verdict: str, detail: str | None
) -> None:
    desk.asks.verdicts = [verdict]
    result = await desk.only("x", KIND)
    assert result.outcome is PromptTestOutcome.FAILED
    assert result.assertions[0].detail == detail


@pytest.mark.parametrize("verdict", ["yes", '{"passes": "yes"}', '{"reason": "kind"}', "[true]"])
async def test_a_judge_that_gives_no_verdict_makes_the_case_an_error(
    desk: TrialDesk, verdict: str
) -> None:
    desk.asks.verdicts = [verdict]
    result = await desk.only("x", Contains("y"), KIND)
    assert result.outcome is PromptTestOutcome.ERROR
    assert result.error_code is ErrorCode.INVALID_RESPONSE
    assert result.message is not None
    assert result.message.startswith("The answer could not be judged by the prompt judge: ")
    assert result.cost == Decimal("0.04"), "it was paid all the same"


async def test_a_judge_that_cannot_be_asked_makes_the_case_an_error(desk: TrialDesk) -> None:
    desk.asks.verdicts = [NotFound("There is no prompt named 'judge'.")]
    result = await desk.only("x", KIND)
    assert result.outcome is PromptTestOutcome.ERROR
    assert result.error_code is ErrorCode.NOT_FOUND
    assert result.completion_id is not None, "the answer is there to be read"


async def test_judges_are_asked_one_after_the_other_and_each_counts(desk: TrialDesk) -> None:
    desk.asks.answers["x"] = answer_of("x")
    desk.asks.verdicts = ['{"passes": true}', '{"passes": false}']
    result = await desk.only("x", KIND, JudgedBy("It is short."))
    assert [one.passed for one in result.assertions] == [True, False]
    assert desk.asks.most == 1
    assert result.cost == Decimal("0.06")
