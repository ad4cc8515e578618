"""What is asserted of answers: what can be asked, what holds, and what is said where it does not."""

from __future__ import annotations

import pytest

from assistant.domain.completion import TokenUsage
from assistant.domain.prompt_test import (
    Assertion,
    Contains,
    JsonPath,
    JudgedBy,
    Matches,
    MaxLatency,
    MaxTokens,
    NotContains,
    PromptTestDraft,
    SatisfiesSchema,
    SimilarTo,
)
from assistant.domain.values import JsonObject
from assistant.errors import BadUserInput
from assistant.services.prompt_assertions import (
    MAX_DETAIL_CHARACTERS,
    Plain,
    check_answer,
    check_assertions,
    check_draft,
)
from tests.unit.prompt_desk import paths
from tests.unit.trial_desk import answer_of

LABEL = '{"label": "positive", "scores": [1, 2.5], "is_sure": true}'
FENCED = f"```json\n{LABEL}\n```"


def equal(path: str, expected: object) -> JsonPath:
    return JsonPath(path, expected, has_expected=True)  # type: ignore[arg-type]


def schema(**properties: JsonObject) -> SatisfiesSchema:
    return SatisfiesSchema({"type": "object", "properties": properties})


@pytest.mark.parametrize(
    ("assertion", "answer"),
    [
        (Contains("Paris"), "It is Paris."),
        (Contains(" "), "a b"),
        (NotContains("paris"), "It is Paris."),
        (Matches(r"\d{4}"), "in 1789"),
        (Matches("^It"), "It is Paris."),
        (Matches("(?i)PARIS"), "It is Paris."),
        (Matches("^$"), ""),
        (Matches("(?s)one.*two"), "one\ntwo"),
        (JsonPath("$.label"), LABEL),
        (JsonPath("$.label"), FENCED),
        (JsonPath("$"), "null"),
        (equal("$.label", "positive"), LABEL),
        (equal("$.scores[*]", 2.5), LABEL),
        (equal("$.scores", [1.0, 2.5]), LABEL),
        (equal("$.is_sure", True), LABEL),
        (equal("$", None), "null"),
        (equal("$", "12"), '"12"'),
        (schema(label={"enum": ["positive", "negative"]}), LABEL),
        (schema(label={"type": "string"}), FENCED),
        (MaxTokens(3), "three tokens"),
        (MaxLatency(120), "after 120 ms"),
    ],
)
def test_an_assertion_holds_and_says_no_more(assertion: Plain, answer: str) -> None:
    check_assertions([assertion])
    result = check_answer(assertion, answer_of(answer))
    assert (result.passed, result.detail) == (True, None)
    assert result.assertion is assertion


@pytest.mark.parametrize(
    ("assertion", "answer", "detail"),
    [
        (Contains("paris"), "It is Paris.", "The answer is: It is Paris."),
        (Contains("Paris"), "", "The answer is empty."),
        (Contains("a\nb"), "a b\n\nc", "The answer is: a b c"),
        (NotContains("Lyon"), "Paris or Lyon?", "The answer has: Paris or Lyon?"),
        (Matches(r"^\d+$"), "12 or 13", "The answer is: 12 or 13"),
        (Matches(r"\S"), "\n ", "The answer is empty."),
        (JsonPath("$.text"), LABEL, "The path leads to nothing in the answer."),
        (
            JsonPath("$.label"),
            "positive",
            "The answer is not JSON (line 1, column 1: Expecting value).",
        ),
        (JsonPath("$.a"), f"Here it is: {LABEL}", "The answer is not JSON (line 1, column 1: "),
        (equal("$.label", "negative"), LABEL, 'The path leads to "positive".'),
        (equal("$.is_sure", 1), LABEL, "The path leads to true."),
        (equal("$.scores[0]", True), LABEL, "The path leads to 1."),
        (equal("$[*]", 0), "[1, 2, 3, 4, 5, 6]", "The path leads to 1, 2, 3, 4, 5, …."),
        (schema(label={"type": "integer"}), LABEL, "In the answer $.label must be of type integer"),
        (schema(), "[]", "In the answer $ must be of type object."),
        (schema(), "{", "The answer is not JSON (line 1, column 2: "),
        (MaxTokens(2), "three tokens", "The answer has 3 tokens."),
        (MaxLatency(119), "after 120 ms", "The answer took 120 ms."),
    ],
)
def test_where_an_assertion_does_not_hold_it_says_what_was_found_instead(
    assertion: Plain, answer: str, detail: str
) -> None:
    result = check_answer(assertion, answer_of(answer))
    assert not result.passed
    assert result.detail is not None
    assert result.detail.startswith(detail)


def test_tokens_that_the_provider_did_not_count_are_about_so_many() -> None:
    answer = answer_of("many", usage=TokenUsage(7, 1_234, is_estimated=True))
    assert check_answer(MaxTokens(99), answer).detail == "The answer has about 1,234 tokens."


@pytest.mark.parametrize(
    "assertion", [Contains("Lyon"), Matches("^$"), NotContains("y"), equal("$", 1), schema()]
)
def test_a_detail_is_at_most_200_characters_of_one_line(assertion: Plain) -> None:
    answer = '"' + "x " * 500 + "y" + " x" * 500 + '"'
    detail = check_answer(assertion, answer_of(answer)).detail
    assert detail is not None
    assert len(detail) <= MAX_DETAIL_CHARACTERS
    assert "\n" not in detail


def test_what_must_not_be_there_is_shown_with_what_stands_around_it() -> None:
    detail = check_answer(NotContains("Lyon"), answer_of("a " * 300 + "Lyon" + " b" * 300)).detail
    assert detail is not None
    assert detail.startswith("The answer has: …")
    assert "a Lyon b" in detail
    assert detail.endswith("…")


def test_a_pattern_too_large_for_a_long_answer_is_given_up() -> None:
    result = check_answer(Matches(".{900}x"), answer_of("ab" * 100_000))
    assert not result.passed
    assert result.detail is not None
    assert "too large" in result.detail


def test_a_path_that_asks_for_too_much_of_an_answer_is_given_up() -> None:
    result = check_answer(JsonPath("$..*"), answer_of(f"[{'1, ' * 100_000}1]"))
    assert not result.passed
    assert result.detail == "The path asks for too much of this answer; write a narrower one."


# ---------------------------------------------------------------------- what can be asked


@pytest.mark.parametrize(
    ("assertion", "path"),
    [
        (Matches("("), "matches"),
        (Matches("(?=a)"), "matches"),
        (Matches(r"(a)\1"), "matches"),
        (JsonPath("label"), "json_path.path"),
        (equal("$", "x" * 10_001), "json_path.equals"),
        (SatisfiesSchema({"type": "text"}), "satisfies_schema"),
        (SatisfiesSchema({"pattern": "("}), "satisfies_schema"),
        (Contains(""), "contains"),
        (MaxTokens(0), "max_tokens"),
        (SimilarTo("a", 2.0), "similar_to.threshold"),
        (JudgedBy("a\x00"), "judged_by.rubric"),
    ],
)
def test_what_cannot_be_asked_is_refused_where_it_stands(assertion: Assertion, path: str) -> None:
    with pytest.raises(BadUserInput) as error:
        check_assertions([Contains("a"), assertion], ("tests", "0", "assertions"))
    assert paths(error.value) == [f"tests.0.assertions.1.{path}"]


def test_everything_that_is_wrong_is_said_at_once() -> None:
    with pytest.raises(BadUserInput) as error:
        check_assertions([Matches("("), Contains("a"), JsonPath("a")])
    assert paths(error.value) == ["assertions.0.matches", "assertions.2.json_path.path"]


@pytest.mark.parametrize("count", [0, 33])
def test_a_test_has_1_to_32_assertions(count: int) -> None:
    check_assertions([Contains("a")] * 32)
    with pytest.raises(BadUserInput) as error:
        check_assertions([Contains("a")] * count)
    assert paths(error.value) == ["assertions"]


def test_a_test_case_is_checked_as_a_whole() -> None:
    draft = PromptTestDraft(" " * 3, {"text": "x" * 100_001}, (Matches("("),))
    with pytest.raises(BadUserInput) as error:
        check_draft(draft)
    assert paths(error.value) == ["name", "variables", "assertions.0.matches"]


@pytest.mark.parametrize("name", ["", "x" * 129, "a\x00b"])
def test_a_test_case_has_a_name_that_can_be_kept(name: str) -> None:
    with pytest.raises(BadUserInput) as error:
        check_draft(PromptTestDraft(name, {}, (Contains("a"),)))
    assert paths(error.value) == ["name"]
