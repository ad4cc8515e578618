"""What is true of every rule and every request."""

from __future__ import annotations

import random
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from assistant.domain.model import TaskType
from assistant.domain.rule import RoutingRule, RuleFacts
from assistant.domain.values import JsonValue
from assistant.errors import BadUserInput
from assistant.services.rules import CompiledRule, check_conditions, compile_rule, ordered

# Texts with lone surrogates and NUL too: facts are whatever a request holds.
WORDS = st.sampled_from(["code", "support", "de", "en", "", "GENERAL", "7", "\ud800", "a\x00"])
TEXT = WORDS | st.text(st.characters(), max_size=20)
NUMBERS = st.integers() | st.floats(allow_nan=True, allow_infinity=True) | st.integers(-3, 30)
ANYTHING: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=10,
)
FACTS = st.builds(
    RuleFacts,
    prompt_category=st.none() | TEXT,
    prompt_name=st.none() | TEXT,
    task=st.sampled_from(TaskType),
    tags=st.lists(TEXT, max_size=3).map(tuple),
    max_tokens=st.none() | st.integers(),
    estimated_prompt_tokens=st.integers(),
    requires_accuracy=st.booleans(),
    service_id=st.none() | TEXT,
    user_id=st.none() | TEXT,
    feature=st.none() | TEXT,
    language=st.none() | st.sampled_from(["de", "en"]),
    has_response_schema=st.booleans(),
    metadata=st.dictionaries(st.sampled_from(["a", "b"]), ANYTHING, max_size=2),
    hour=st.integers(0, 23),
)


def _tests(
    scalars: st.SearchStrategy[Any], *, is_ordered: bool = False, is_text: bool = False
) -> st.SearchStrategy[Any]:
    operators: dict[str, st.SearchStrategy[Any]] = {
        "eq": scalars,
        "in": st.lists(scalars, min_size=1, max_size=4),
    }
    if is_ordered:
        operators |= dict.fromkeys(("lt", "lte", "gt", "gte"), st.integers(0, 23))
    if is_text:
        operators["matches"] = st.sampled_from(["", "^c", "o", "(?i)CODE", "[^a]+$", ".", r"\d"])

    def deeper(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
        known = operators | {"not": inner}
        return st.sets(st.sampled_from(sorted(known)), min_size=1, max_size=4).flatmap(
            lambda names: st.fixed_dictionaries({name: known[name] for name in names})
        )

    simple = scalars | st.lists(scalars, min_size=1, max_size=4)
    return simple | deeper(simple | deeper(simple))


PLAIN_TEXT = st.sampled_from(["code", "support", "de", "en", "", "GENERAL", "7"])
TEXT_TESTS = _tests(st.none() | PLAIN_TEXT, is_text=True)
CONDITIONS = st.fixed_dictionaries(
    {},
    optional={
        "promptCategory": TEXT_TESTS,
        "promptName": TEXT_TESTS,
        "task": _tests(st.sampled_from([task.value for task in TaskType])),
        "tags": _tests(PLAIN_TEXT, is_text=True),
        "maxTokens": _tests(st.none() | st.integers(-5, 5), is_ordered=True),
        "estimatedPromptTokens": _tests(st.integers(-5, 5), is_ordered=True),
        "requiresAccuracy": _tests(st.booleans()),
        "userId": TEXT_TESTS,
        "language": _tests(st.none() | st.sampled_from(["de", "en"])),
        "hasResponseSchema": _tests(st.booleans()),
        "hour": _tests(st.integers(0, 23), is_ordered=True),
        "metadata.a": _tests(
            st.none() | st.booleans() | PLAIN_TEXT | st.integers(-5, 5),
            is_ordered=True,
            is_text=True,
        ),
        "metadata.a.b": TEXT_TESTS,
    },
)


def compiled(conditions: Any, priority: int = 0, name: str = "a") -> CompiledRule:
    return compile_rule(
        RoutingRule(
            UUID(int=0),
            "acme",
            name,
            priority,
            conditions,
            ("m",),
            datetime(2026, 1, 1, tzinfo=UTC),
        )
    )


@given(CONDITIONS, FACTS)
def test_every_rule_answers_every_request_and_always_the_same(
    conditions: Any, facts: RuleFacts
) -> None:
    first, second = compiled(conditions), compiled(dict(reversed(conditions.items())))
    verdict = first.failed_condition(facts)
    assert verdict is None or isinstance(verdict, str)
    assert first.holds(facts) is (verdict is None)
    assert second.failed_condition(facts) == verdict == first.failed_condition(facts)


@given(CONDITIONS, FACTS)
def test_a_rule_holds_exactly_when_each_of_its_conditions_holds_alone(
    conditions: dict[str, Any], facts: RuleFacts
) -> None:
    alone = [compiled({key: value}).holds(facts) for key, value in conditions.items()]
    assert compiled(conditions).holds(facts) is all(alone)


@given(CONDITIONS.filter(bool), FACTS)
def test_not_is_exactly_the_negation(conditions: dict[str, Any], facts: RuleFacts) -> None:
    for name, tests in conditions.items():
        negated = compiled({name: {"not": tests}})
        assert negated.holds(facts) is not compiled({name: tests}).holds(facts)


@given(st.lists(st.tuples(CONDITIONS, FACTS), max_size=5), FACTS, st.randoms())
def test_where_priorities_differ_the_order_of_rules_does_not_matter(
    drawn: list[tuple[Any, RuleFacts]], facts: RuleFacts, chance: random.Random
) -> None:
    rules = [
        compiled(conditions, priority, f"rule-{priority}")
        for priority, (conditions, _) in enumerate(drawn)
    ]
    by_name = {found.rule.name: found for found in rules}

    def decision(given_in: list[CompiledRule]) -> str | None:
        for candidate in ordered(found.rule for found in given_in):
            if by_name[candidate.name].holds(facts):
                return candidate.name
        return None

    shuffled = list(rules)
    chance.shuffle(shuffled)
    assert decision(shuffled) == decision(rules)


@given(st.dictionaries(st.sampled_from(["hour", "tags", "metadata.a", "language", "x"]), ANYTHING))
def test_whatever_is_written_is_a_rule_or_is_refused_with_its_place(conditions: JsonValue) -> None:
    try:
        check_conditions(conditions)
    except BadUserInput as error:
        assert error.path[0] == "conditions"
        error.message.encode()
    else:
        compiled(conditions)
