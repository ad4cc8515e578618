"""Reading the variables of a prompt."""

from __future__ import annotations

import pytest

from assistant.adapters.extractive.variables import read_count, read_labels, read_text
from assistant.domain.values import JsonValue
from assistant.errors import BadUserInput


@pytest.mark.parametrize("value", ["3", 3, 3.0, " 3 ", "3.0"])
def test_a_count_may_be_a_number_or_digits(value: JsonValue) -> None:
    assert read_count({"n": value}, "n", at_most=5) == 3


@pytest.mark.parametrize("value", [None, "", "  "])
def test_an_absent_count_leaves_it_to_the_default(value: JsonValue) -> None:
    assert read_count({"n": value}, "n", at_most=5) is None
    assert read_count({}, "n", at_most=5) is None


@pytest.mark.parametrize(
    "value", [0, -1, 6, "three", 2.5, True, [3], {"a": 1}, "9" * 10_000, float("nan"), 1e300]
)
def test_a_count_out_of_range_names_the_variable_and_the_range(value: JsonValue) -> None:
    with pytest.raises(BadUserInput, match="whole number from 1 to 5") as raised:
        read_count({"n": value}, "n", at_most=5)
    assert raised.value.path == ("variables", "n")


@pytest.mark.parametrize("value", [None, 5, ["a"], "", " \n "])
def test_a_text_that_is_missing_or_empty_names_the_variable(value: JsonValue) -> None:
    with pytest.raises(BadUserInput, match="text") as raised:
        read_text({"text": value}, "text")
    assert raised.value.path == ("variables", "text")


@pytest.mark.parametrize(
    "value",
    [
        "bug, praise , bug",
        ["bug", "praise"],
        '["bug", "praise"]',
        {"bug": "bug", "praise": ""},
        '{"bug": null, "praise": " praise "}',
    ],
)
def test_labels_come_as_a_list_an_object_or_separated_by_commas(value: JsonValue) -> None:
    assert read_labels({"labels": value}, "labels") == {"bug": "bug", "praise": "praise"}


def test_labels_may_have_descriptions() -> None:
    labels = {"bug": "faults of the software", "praise": "thanks"}
    assert read_labels({"labels": labels}, "labels") == labels


@pytest.mark.parametrize("value", [None, "", "  "])
def test_no_labels_leave_it_to_the_default(value: JsonValue) -> None:
    assert read_labels({"labels": value}, "labels") == {}


@pytest.mark.parametrize(
    "value",
    [
        "one",
        ",,",
        [],
        {},
        [1, 2],
        ["a", None],
        {"a": 1, "b": 2},
        7,
        True,
        '["a", "b"',
        "[" * 5_000,
        "a," + "x" * 501,
        [str(number) for number in range(51)],
    ],
)
def test_labels_of_any_other_kind_are_refused_with_the_rule(value: JsonValue) -> None:
    with pytest.raises(BadUserInput, match="2 to 50 different labels") as raised:
        read_labels({"labels": value}, "labels")
    assert raised.value.path == ("variables", "labels")
