"""What a template prints: JSON values as they are, and nothing of Python, HTML or the disk."""

from __future__ import annotations

import pytest

from assistant.errors import BadUserInput
from tests.unit.templates import render


@pytest.mark.parametrize("tag", ["{{x}}", "{{ x }}", "{{{x}}}", "{{{ x }}}", "{{&x}}", "{{& x }}"])
def test_a_value_is_printed_as_it_is_without_html_escaping(tag: str) -> None:
    assert render(f"<{tag}>", x="\"a\" < 'b' & c") == "<\"a\" < 'b' & c>"


@pytest.mark.parametrize(
    ("value", "printed"),
    [
        (1, "1"),
        (1.0, "1.0"),
        (1.21, "1.21"),
        (0, "0"),
        (True, "true"),
        (False, "false"),
        (None, ""),
        ("", ""),
        ([1, None, "é"], '[1, null, "é"]'),
        ({"a": True}, '{"a": true}'),
    ],
)
def test_values_print_as_json_and_never_as_python(value: object, printed: str) -> None:
    assert render("{{x}}", x=value) == printed
    assert render("{{#o}}{{x}}{{/o}}", o={"x": value}) == printed


def test_a_name_without_a_value_prints_nothing() -> None:
    assert render("[{{x}}{{{x}}}{{&x}}{{x.y}}]") == "[]"


def test_braces_in_a_value_are_text() -> None:
    assert render("{{a}} {{b}}", a="{{b}} {{#b}}{{/b}} {{=<% %>=}}", b="B") == (
        "{{b}} {{#b}}{{/b}} {{=<% %>=}} B"
    )


def test_tags_that_two_values_would_make_together_are_text() -> None:
    assert render("{{a}}{{b}}{{a}}", a="{", b="{x}") == "{{x}{"


@pytest.mark.parametrize(
    "name",
    ["x.__class__", "x.upper", "x.format", "n.real", "l.append", "l.clear", "o.items", "o.keys"],
)
def test_names_reach_json_fields_and_never_python_attributes(name: str) -> None:
    values: dict[str, object] = {"x": "text", "n": 1, "l": [1], "o": {"a": 1}}
    assert render(f"{{{{{name}}}}}", **values) == ""
    assert render(f"{{{{#{name}}}}}found{{{{/{name}}}}}", **values) == ""
    assert values["l"] == [1]


def test_a_dotted_name_is_decided_by_its_first_part() -> None:
    assert render("{{a.b.c}} {{list.1}}", a={"b": {"c": "deep"}}, list=["x", "y"]) == "deep y"
    assert render("{{a.b.c}}{{list.9}}{{a.0}}", a={"b": 1}, list=["x"]) == ""
    assert render("{{#a}}{{b.c}}{{/a}}", a={"b": {}}, b={"c": "not this one"}) == ""


def test_a_dotted_name_is_never_one_key() -> None:
    assert render("{{a.b}}", **{"a.b": "key", "a": {"b": "path"}}) == "path"
    assert render("{{a.b}}", **{"a.b": "key"}) == ""


def test_an_index_of_any_length_is_only_an_index() -> None:
    assert render("{{list." + "9" * 5_000 + "}}", list=[1]) == ""


def test_a_number_that_python_cannot_print_is_refused() -> None:
    with pytest.raises(BadUserInput, match="too many digits"):
        render("{{x}}", x=10**5_000)
