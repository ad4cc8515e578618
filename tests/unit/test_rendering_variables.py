"""A caller's variables against what a version declares."""

from __future__ import annotations

from typing import Any

import pytest

from assistant.domain.prompt import PromptVariable, VariableType
from assistant.domain.values import JsonObject
from assistant.errors import BadUserInput
from assistant.services.prompt_variables import Variables

TEXT = PromptVariable("text")
TONE = PromptVariable("tone", is_required=False, default_value="plain")
NOTE = PromptVariable("note", is_required=False)
VALUES: dict[str, Any] = {
    "a string": "3",
    "an empty string": "",
    "a whole number": 3,
    "a huge number": 10**30,
    "a number with a point": 3.0,
    "a boolean": True,
    "a list": [1],
    "an empty list": [],
    "an object": {"a": 1},
    "null": None,
}
FITTING = {
    VariableType.STRING: {"a string", "an empty string"},
    VariableType.INTEGER: {"a whole number", "a huge number"},
    VariableType.NUMBER: {"a whole number", "a huge number", "a number with a point"},
    VariableType.BOOLEAN: {"a boolean"},
    VariableType.LIST: {"a list", "an empty list"},
    VariableType.OBJECT: {"an object"},
    VariableType.ANY: set(VALUES) - {"null"},
}


def bound(
    variables: Any, *declared: PromptVariable, printed: tuple[str, ...] = ("text", "tone")
) -> JsonObject:
    return Variables.of(declared, printed).bind(variables)


def refused(variables: Any, *declared: PromptVariable) -> BadUserInput:
    with pytest.raises(BadUserInput) as refusal:
        bound(variables, *declared)
    return refusal.value


@pytest.mark.parametrize("type_", VariableType)
@pytest.mark.parametrize("kind", VALUES)
def test_a_value_is_of_its_variables_type_or_is_refused(kind: str, type_: VariableType) -> None:
    variable, value = PromptVariable("x", type=type_), VALUES[kind]
    if kind in FITTING[type_]:
        assert bound({"x": value}, variable) == {"x": value}
        assert bound({"x": value}, variable)["x"] is value
    else:
        assert refused({"x": value}, variable).path == ("variables", "x")


@pytest.mark.parametrize(
    ("type_", "value", "said"),
    [
        (VariableType.STRING, 3, "a string; found a number"),
        (VariableType.INTEGER, 3.0, "a whole number, without a decimal point; found a number"),
        (VariableType.INTEGER, True, "a whole number, without a decimal point; found a boolean"),
        (VariableType.NUMBER, "3", "a number; found a string"),
        (VariableType.BOOLEAN, 0, "a boolean; found a number"),
        (VariableType.LIST, {"a": 1}, "a list; found an object"),
        (VariableType.OBJECT, [1], "an object; found a list"),
        (VariableType.OBJECT, None, "an object; found null"),
    ],
)
def test_a_value_of_another_type_is_refused_with_what_was_expected(
    type_: VariableType, value: object, said: str
) -> None:
    error = refused({"text": value}, PromptVariable("text", type=type_))
    assert error.message == f"variables.text must be {said}."


@pytest.mark.parametrize(
    ("value", "found"), [(None, "null"), ([], "a list"), ({"a": 1}, "an object")]
)
def test_what_cannot_be_printed_is_refused_with_what_was_expected(
    value: object, found: str
) -> None:
    error = refused({"text": value}, TEXT)
    assert error.message == (
        f"variables.text must be a string, a number or a boolean; found {found}."
    )
    assert error.path == ("variables", "text")


def test_a_declared_list_or_object_may_be_printed() -> None:
    listed = PromptVariable("text", type=VariableType.LIST)
    assert bound({"text": ["a"]}, listed, printed=("text",)) == {"text": ["a"]}


def test_all_missing_variables_are_named_at_once() -> None:
    error = refused({}, TEXT, TONE, PromptVariable("language"))
    assert "text, language" in error.message
    assert error.path == ("variables", "text")
    assert "text" in refused(None, TEXT).message


def test_an_unknown_variable_is_refused_with_the_known_ones() -> None:
    error = refused({"text": "t", "txet": "t"}, TEXT, TONE)
    assert "txet" in error.message
    assert "text, tone" in error.message
    assert error.path == ("variables", "txet")
    assert "takes none" in refused({"x": 1}).message


def test_everything_that_is_wrong_is_said_at_once() -> None:
    count = PromptVariable("count", type=VariableType.INTEGER)
    error = refused({"txet": "t", "count": "3", "tone": []}, TEXT, TONE, count)
    assert [problem.path[-1] for problem in error.every] == ["txet", "tone", "count", "text"]


@pytest.mark.parametrize(
    ("variables", "found"),
    [([], "a list"), ("text", "a string"), (1.5, "a number"), (True, "a boolean")],
)
def test_variables_must_be_an_object(variables: Any, found: str) -> None:
    error = refused(variables, TEXT)
    assert error.message.endswith(f"found {found}.")
    assert error.path == ("variables",)


def test_null_means_absent_for_an_optional_variable_of_any_type() -> None:
    assert bound({"tone": None, "note": None}, TONE, NOTE) == {"tone": "plain"}
    count = PromptVariable("count", None, False, "3", VariableType.INTEGER)
    assert bound({"count": None}, count) == {"count": 3}


def test_null_is_no_value_for_a_required_one_even_if_only_a_section_uses_it() -> None:
    assert "found null" in refused({"flag": None}, PromptVariable("flag")).message
    assert bound({"flag": False}, PromptVariable("flag")) == {"flag": False}


def test_values_that_the_database_cannot_hold_are_refused() -> None:
    assert "NUL" in refused({"text": "a\x00"}, TEXT).message
    assert "surrogate" in refused({"text": "\ud800"}, TEXT).message


def test_a_refusal_stays_short_whatever_the_names_are() -> None:
    assert len(refused({str(n) * 1_000: 1 for n in range(1_000)}, TEXT).message) < 1_500
