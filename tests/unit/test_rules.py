"""The rule language: what holds, what does not and why, and what is refused."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from uuid_utils.compat import uuid7

from assistant.domain.model import TaskType
from assistant.domain.rule import RoutingRule, RuleFacts
from assistant.domain.values import JsonValue
from assistant.errors import BadUserInput
from assistant.services.rules import check_conditions, compile_rule, ordered

FACTS = RuleFacts(
    prompt_category="code",
    prompt_name="code-review",
    task=TaskType.CODE_REVIEW,
    tags=("python", "strict"),
    max_tokens=500,
    estimated_prompt_tokens=1200,
    requires_accuracy=True,
    service_id="web",
    user_id="alice",
    feature="editor",
    language="de",
    has_response_schema=False,
    metadata={
        "tier": "gold",
        "seats": 40,
        "trial": False,
        "one": 1,
        "nothing": None,
        "list": ["gold"],
        "team": {"name": "blue", "lead": {"id": 7}},
    },
    hour=14,
)
NOTHING = RuleFacts()


def rule(conditions: Any, **fields: Any) -> RoutingRule:
    given: dict[str, Any] = {"tenant_id": "acme", "name": "a-rule", "priority": 1}
    return RoutingRule(
        id=uuid7(),
        conditions=conditions,
        models=("ollama/llama3.2:3b",),
        created_at=datetime(2026, 3, 14, tzinfo=UTC),
        **(given | fields),
    )


def holds(conditions: Any, facts: RuleFacts = FACTS) -> bool:
    compiled = compile_rule(rule(conditions))
    assert compiled.holds(facts) is (compiled.failed_condition(facts) is None)
    return compiled.holds(facts)


def refusal(conditions: Any) -> tuple[tuple[str, ...], str]:
    with pytest.raises(BadUserInput) as refused:
        check_conditions(conditions)
    return refused.value.path, refused.value.message


@pytest.mark.parametrize(
    "conditions",
    [
        {},
        {"promptCategory": "code"},
        {"promptCategory": ["prose", "code"]},
        {"promptName": {"matches": "^code-"}},
        {"promptName": {"matches": "review"}},
        {"task": "CODE_REVIEW"},
        {"task": ["CODE_GENERATION", "CODE_REVIEW"]},
        {"task": {"not": "GENERAL"}},
        {"tags": "strict"},
        {"tags": ["lax", "strict"]},
        {"tags": {"matches": "^py"}},
        {"tags": {"not": "lax"}},
        {"tags": {"eq": "python", "in": ["strict"]}},
        {"maxTokens": 500},
        {"maxTokens": {"lte": 500, "gte": 500}},
        {"estimatedPromptTokens": {"gt": 1000, "lt": 2000}},
        {"requiresAccuracy": True},
        {"serviceId": "web", "userId": "alice", "feature": "editor"},
        {"language": ["de", "fr"]},
        {"hasResponseSchema": False},
        {"hour": {"gte": 8, "lt": 18}},
        {"hour": {"not": {"gte": 18}}},
        {"hour": {"not": [0, 1, 2]}},
        {"metadata.tier": "gold"},
        {"metadata.seats": {"gt": 39.5}},
        {"metadata.one": 1.0},
        {"metadata.trial": False},
        {"metadata.nothing": None},
        {"metadata.missing": None},
        {"metadata.team.name": "blue"},
        {"metadata.team.lead.id": [7, 8]},
        {"metadata.tier": {"not": {"not": "gold"}}},
        {"metadata.seats": {"not": {"matches": "4"}}},
    ],
)
def test_what_holds(conditions: JsonValue) -> None:
    assert holds(conditions)


@pytest.mark.parametrize(
    ("conditions", "failed"),
    [
        ({"promptCategory": "support"}, "promptCategory eq 'support' (is 'code')"),
        ({"promptName": {"matches": "^review"}}, "promptName matches '^review' (is 'code-review')"),
        ({"task": ["GENERAL"]}, "task in ['GENERAL'] (is 'CODE_REVIEW')"),
        ({"tags": "lax"}, "tags eq 'lax' (are ['python', 'strict'])"),
        ({"tags": {"not": "strict"}}, "tags not eq 'strict' (are ['python', 'strict'])"),
        ({"maxTokens": {"gt": 500}}, "maxTokens gt 500 (is 500)"),
        ({"requiresAccuracy": False}, "requiresAccuracy eq false (is true)"),
        (
            {"hour": {"not": {"gte": 8, "lt": 18}}},
            "hour not (lt 18, gte 8) (is 14)",
        ),
        ({"language": "fr"}, "language eq 'fr' (is 'de')"),
        ({"userId": "bob"}, "userId eq 'bob'"),
        ({"serviceId": "cli"}, "serviceId eq 'cli'"),
        ({"feature": None}, "feature eq null"),
        ({"metadata.tier": ["silver", "bronze"]}, "metadata.tier in ['silver', 'bronze']"),
        ({"metadata.tier": {"gt": 3}}, "metadata.tier gt 3"),
        ({"metadata.one": True}, "metadata.one eq true"),
        ({"metadata.trial": 0}, "metadata.trial eq 0"),
        ({"metadata.trial": {"lt": 1}}, "metadata.trial lt 1"),
        ({"metadata.list": "gold"}, "metadata.list eq 'gold'"),
        ({"metadata.team": "blue"}, "metadata.team eq 'blue'"),
        ({"metadata.seats": {"matches": "40"}}, "metadata.seats matches '40'"),
        ({"metadata.tier.name": "gold"}, "metadata.tier.name eq 'gold'"),
    ],
)
def test_what_does_not_hold_says_which_condition_failed(conditions: JsonValue, failed: str) -> None:
    assert compile_rule(rule(conditions)).failed_condition(FACTS) == failed
    assert not holds(conditions)


@pytest.mark.parametrize(
    ("conditions", "expected"),
    [
        ({"userId": None}, True),
        ({"userId": [None, "bob"]}, True),
        ({"userId": "alice"}, False),
        ({"userId": {"matches": ".*"}}, False),
        ({"userId": {"not": "alice"}}, True),
        ({"userId": {"not": {"matches": ".*"}}}, True),
        ({"userId": {"not": None}}, False),
        ({"maxTokens": {"lt": 10}}, False),
        ({"maxTokens": {"gte": 10}}, False),
        ({"maxTokens": {"not": {"lt": 10}}}, True),
        ({"language": {"not": "de"}}, True),
        ({"metadata.tier": {"not": {"gt": 3}}}, True),
        ({"tags": "any"}, False),
        ({"tags": {"not": "any"}}, True),
    ],
)
def test_what_a_request_does_not_have_equals_null_only_and_not_is_exactly_the_negation(
    conditions: JsonValue, expected: bool
) -> None:
    assert holds(conditions, NOTHING) is expected


def test_what_is_absent_is_said_to_be() -> None:
    compiled = compile_rule(rule({"promptCategory": "code"}))
    assert compiled.failed_condition(NOTHING) == "promptCategory eq 'code' (is absent)"


def test_the_failed_condition_is_the_same_however_the_rule_was_written() -> None:
    written = {
        "hour": 3,
        "promptCategory": "x",
        "metadata.b": 1,
        "metadata.a": 1,
        "task": "GENERAL",
    }
    backwards = dict(reversed(written.items()))
    assert (
        compile_rule(rule(written)).failed_condition(FACTS) == "promptCategory eq 'x' (is 'code')"
    )
    for conditions in (written, backwards):
        names = [name.name for name, _ in compile_rule(rule(conditions)).conditions]
        assert names == ["promptCategory", "task", "hour", "metadata.a", "metadata.b"]


def test_values_that_callers_wrote_are_not_repeated() -> None:
    facts = replace(FACTS, metadata={"note": "secret words"}, user_id="secret", feature="secret")
    for name in ("metadata.note", "userId", "feature", "serviceId"):
        failed = compile_rule(rule({name: "x"})).failed_condition(facts)
        assert failed == f"{name} eq 'x'"


@pytest.mark.parametrize(
    ("conditions", "path", "part"),
    [
        ([], (), "must be an object"),
        ("always", (), "must be an object"),
        (None, (), "must be an object"),
        ({"colour": "red"}, ("colour",), "Known: promptCategory, promptName, task"),
        ({"metadata": "x"}, ("metadata",), "metadata.<key>"),
        ({"metadata.": "x"}, ("metadata.",), "metadata.<key>"),
        ({"metadata.a..b": "x"}, ("metadata.a..b",), "metadata.<key>"),
        (
            {"hour": {"between": [1, 2]}},
            ("hour", "between"),
            "it takes eq, in, lt, lte, gt, gte, not",
        ),
        ({"task": {"gt": "GENERAL"}}, ("task", "gt"), "it takes eq, in, not"),
        ({"promptName": {"lt": 1}}, ("promptName", "lt"), "it takes eq, in, matches, not"),
        ({"hour": {}}, ("hour",), "needs an operator"),
        ({"hour": {"not": {}}}, ("hour", "not"), "needs an operator"),
        ({"hour": 24}, ("hour",), "from 0 to 23"),
        ({"hour": 1.5}, ("hour",), "from 0 to 23"),
        ({"hour": True}, ("hour",), "from 0 to 23"),
        ({"hour": None}, ("hour",), "from 0 to 23"),
        ({"hour": [1, "2"]}, ("hour", "1"), "from 0 to 23"),
        ({"maxTokens": "500"}, ("maxTokens",), "must be a number"),
        ({"maxTokens": True}, ("maxTokens",), "must be a number"),
        ({"maxTokens": {"lt": None}}, ("maxTokens", "lt"), "must be a number"),
        ({"maxTokens": {"lt": 2**60}}, ("maxTokens", "lt"), "2^53"),
        ({"estimatedPromptTokens": None}, ("estimatedPromptTokens",), "must be a number"),
        ({"requiresAccuracy": 1}, ("requiresAccuracy",), "true or false"),
        ({"hasResponseSchema": None}, ("hasResponseSchema",), "true or false"),
        ({"task": "code_review"}, ("task",), "GENERAL, SUMMARIZATION"),
        ({"language": "German"}, ("language",), "ISO 639-1"),
        ({"promptName": 3}, ("promptName",), "must be a text"),
        ({"promptName": []}, ("promptName",), "1 to 100"),
        ({"promptName": ["x"] * 101}, ("promptName",), "1 to 100"),
        ({"promptName": {"in": "x"}}, ("promptName", "in"), "must be a list"),
        ({"promptName": {"in": {}}}, ("promptName", "in"), "must be a list"),
        ({"promptName": {"eq": ["x"]}}, ("promptName", "eq"), "must be a text"),
        ({"promptName": "x" * 257}, ("promptName",), "256 characters"),
        ({"promptName": {"matches": "x" * 257}}, ("promptName", "matches"), "256 characters"),
        ({"promptName": {"matches": "(a"}}, ("promptName", "matches"), "missing ): (a"),
        ({"promptName": {"matches": r"(a)\1"}}, ("promptName", "matches"), "RE2"),
        ({"promptName": {"matches": "((a{900}){900})"}}, ("promptName", "matches"), "RE2"),
        ({"promptName": {"matches": None}}, ("promptName", "matches"), "must be a text"),
        ({"tags": None}, ("tags",), "must be a text"),
        ({"metadata.x": {"eq": {"a": 1}}}, ("metadata.x", "eq"), "a text, a number"),
        ({"metadata.x": [["a"]]}, ("metadata.x", "0"), "a text, a number"),
        ({"metadata.x": {"lt": "a"}}, ("metadata.x", "lt"), "must be a number"),
        ({"metadata.x": float("nan")}, ("metadata.x",), "not a finite number"),
        ({"metadata.x": "\ud800"}, ("metadata.x",), "surrogate"),
        ({"metadata.x": "a\x00"}, ("metadata.x",), "NUL"),
        (
            {"hour": {"not": {"not": {"not": {"not": {"not": {"not": 1}}}}}}},
            ("hour", "not", "not", "not", "not", "not"),
            "nested deeper than 4",
        ),
        ({f"metadata.k{n}": 1 for n in range(33)}, (), "at most 32 conditions"),
    ],
)
def test_what_is_not_of_the_language_is_refused_with_its_place(
    conditions: JsonValue, path: tuple[str, ...], part: str
) -> None:
    where, message = refusal(conditions)
    assert where == ("conditions", *path)
    assert part in message


def test_a_pattern_searches_the_first_thousand_characters_of_a_value() -> None:
    assert holds({"metadata.x": {"matches": "b$"}}, RuleFacts(metadata={"x": "a" * 999 + "bc"}))
    assert not holds({"metadata.x": {"matches": "c"}}, RuleFacts(metadata={"x": "a" * 1000 + "c"}))


def test_a_hostile_pattern_takes_no_more_time_than_any_other() -> None:
    compiled = compile_rule(rule({"metadata.x": {"matches": "(a+)+(a+)+(a|aa)+$"}}))
    began = time.perf_counter()
    assert not compiled.holds(RuleFacts(metadata={"x": "a" * 990 + "b"}))
    assert time.perf_counter() - began < 1


def test_an_invalid_pattern_writes_nothing_to_standard_error(
    capfd: pytest.CaptureFixture[str],
) -> None:
    refusal({"promptName": {"matches": "secret(("}})
    assert capfd.readouterr().err == ""


def test_rules_are_tried_by_priority_then_the_tenants_own_then_by_name() -> None:
    rules = [
        rule({}, name="b", priority=5),
        rule({}, name="a", priority=5, tenant_id="platform"),
        rule({}, name="c", priority=-1, tenant_id="platform"),
        rule({}, name="a", priority=5),
        rule({}, name="z", priority=1),
    ]
    names = [(found.tenant_id, found.name) for found in ordered(rules)]
    assert names == [
        ("platform", "c"),
        ("acme", "z"),
        ("acme", "a"),
        ("acme", "b"),
        ("platform", "a"),
    ]


def test_only_rules_about_language_need_it() -> None:
    assert compile_rule(rule({"language": {"not": "de"}})).needs_language
    assert not compile_rule(rule({"promptCategory": "language"})).needs_language
