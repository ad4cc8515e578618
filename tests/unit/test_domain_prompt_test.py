"""Assertions as JSON has them, and what a run says of itself."""

from __future__ import annotations

from decimal import Decimal
from math import nan
from typing import get_args

import pytest

from assistant.domain.prompt_test import (
    Assertion,
    Contains,
    JsonPath,
    JudgedBy,
    Matches,
    MaxLatency,
    MaxTokens,
    NotContains,
    PromptTestOutcome,
    PromptTestResult,
    PromptTestRun,
    PromptTestStatus,
    SatisfiesSchema,
    SimilarTo,
    assertion_json,
    assertion_of,
)
from assistant.domain.values import JsonValue
from assistant.errors import BadUserInput
from tests.unit.fakes import FakeClock
from tests.unit.trial_desk import new_id

EVERY: list[Assertion] = [
    Contains("Paris"),
    NotContains("Lyon"),
    Matches("^P"),
    JsonPath("$.label"),
    JsonPath("$.label", None, has_expected=True),
    JsonPath("$.label", ["positive", 1], has_expected=True),
    SatisfiesSchema({"type": "object"}),
    MaxTokens(16),
    MaxLatency(2_000),
    SimilarTo("It is Paris.", 0.7),
    JudgedBy("It names one city."),
    JudgedBy("It names one city.", "fast"),
]


@pytest.mark.parametrize("assertion", EVERY)
def test_an_assertion_is_read_as_it_was_written(assertion: Assertion) -> None:
    assert assertion_of(assertion_json(assertion), ("assertions", "0")) == assertion


def test_every_kind_of_assertion_is_written_and_read() -> None:
    assert {type(assertion) for assertion in EVERY} == set(get_args(Assertion))


def test_a_similarity_has_a_usual_threshold() -> None:
    assert assertion_of({"similar_to": {"text": "a"}}, ()) == SimilarTo("a", 0.8)


@pytest.mark.parametrize(
    ("given", "path"),
    [
        ("contains", ""),
        ({}, ""),
        ({"contains": "a", "matches": "a"}, ""),
        ({"includes": "a"}, ""),
        ({"contains": ""}, "contains"),
        ({"contains": 1}, "contains"),
        ({"contains": "a" * 10_001}, "contains"),
        ({"contains": "\x00"}, "contains"),
        ({"json_path": "$.a"}, "json_path"),
        ({"json_path": {"equals": 1}}, "json_path.path"),
        ({"json_path": {"path": "$", "equal": 1}}, "json_path"),
        ({"json_path": {"path": "$", "equals": nan}}, "json_path.equals"),
        ({"satisfies_schema": "object"}, "satisfies_schema"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_tokens": True}, "max_tokens"),
        ({"max_tokens": 1.5}, "max_tokens"),
        ({"max_latency_ms": 2**31}, "max_latency_ms"),
        ({"similar_to": {"text": "a", "threshold": 1.1}}, "similar_to.threshold"),
        ({"similar_to": {"text": "a", "threshold": nan}}, "similar_to.threshold"),
        ({"similar_to": {"text": "a", "threshold": True}}, "similar_to.threshold"),
        ({"similar_to": {"threshold": 1}}, "similar_to.text"),
        ({"judged_by": {"model": "fast"}}, "judged_by.rubric"),
        ({"judged_by": {"rubric": "a", "model": ""}}, "judged_by.model"),
    ],
)
def test_what_is_no_assertion_is_refused_where_it_stands(given: JsonValue, path: str) -> None:
    with pytest.raises(BadUserInput) as error:
        assertion_of(given, ("tests", "2"))
    assert ".".join(error.value.path) == f"tests.2.{path}".rstrip(".")


def test_a_run_counts_what_passed_and_what_it_cost() -> None:
    def result(outcome: PromptTestOutcome, cost: str) -> PromptTestResult:
        return PromptTestResult(new_id(), "a", FakeClock().now(), outcome, cost=Decimal(cost))

    run = PromptTestRun(
        id=new_id(),
        prompt_id=new_id(),
        version_id=new_id(),
        model=None,
        status=PromptTestStatus.FAILED,
        cases=3,
        started_at=FakeClock().now(),
        results=(
            result(PromptTestOutcome.PASSED, "0.1"),
            result(PromptTestOutcome.ERROR, "0"),
            result(PromptTestOutcome.FAILED, "0.2"),
        ),
    )
    assert run.passed == 1
    assert run.cost == Decimal("0.3")
