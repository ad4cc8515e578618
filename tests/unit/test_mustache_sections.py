"""Sections: repeated, skipped, turned round, nested."""

from __future__ import annotations

import pytest

from assistant.services.mustache import Template
from tests.unit.templates import render


def test_a_section_repeats_for_every_item_of_a_list_falsy_items_included() -> None:
    assert render("{{#x}}[{{.}}]{{/x}}", x=[0, "", False, None, 1, "a"]) == "[0][][false][][1][a]"


@pytest.mark.parametrize("value", [True, 1, "a", {"a": 1}, [0]])
def test_a_truthy_value_shows_its_section_once_and_hides_the_inverted_one(value: object) -> None:
    assert render("{{#x}}yes{{/x}}{{^x}}no{{/x}}", x=value) == "yes"


@pytest.mark.parametrize("value", [False, None, 0, "", [], {}])
def test_a_falsy_value_skips_its_section_and_shows_the_inverted_one(value: object) -> None:
    assert render("{{#x}}yes{{/x}}{{^x}}no{{/x}}", x=value) == "no"
    assert render("{{#y}}yes{{/y}}{{^y}}no{{/y}}", x=value) == "no"


def test_names_in_a_section_mean_the_item_first_and_the_outer_values_then() -> None:
    people = [{"name": "Ann"}, {"name": "Bob", "sep": "!"}]
    assert render("{{#p}}{{name}}{{sep}}{{/p}}", p=people, sep=", ") == "Ann, Bob!"


def test_a_null_field_of_the_item_hides_the_outer_value() -> None:
    assert render("{{#p}}[{{name}}]{{/p}}", p=[{"name": None}, {}], name="outer") == "[][outer]"


def test_the_current_item_is_the_item_itself_even_where_it_has_a_nameless_field() -> None:
    assert render("{{#x}}{{.}}{{/x}}", x=[{"": 1, ".": 2}]) == '{"": 1, ".": 2}'
    assert render("{{#x}}{{#.}}[{{.}}]{{/.}}{{/x}}", x=[["a", "b"], ["c"]]) == "[a][b][c]"
    assert render("{{#x}}{{^.}}empty{{/.}}{{/x}}", x=[[], 1]) == "empty"


def test_an_inverted_section_keeps_what_names_mean() -> None:
    assert render("{{#x}}{{^no}}{{.}}{{y}}{{/no}}{{/x}}", x=["a", "b"], y="-") == "a-b-"


def test_sections_of_one_name_nest_inverted_ones_too() -> None:
    assert render("{{#a}}1{{^a}}no{{/a}}2{{/a}}", a=[True, True]) == "1212"


def test_a_section_may_go_by_a_dotted_name() -> None:
    assert render("{{#a.b}}[{{c}}]{{/a.b}}{{^a.x}}no{{/a.x}}", a={"b": {"c": 1}}) == "[1]no"
    assert render("{{#list.1}}{{.}}{{/list.1}}", list=["x", "y"]) == "y"


def test_names_outside_sections_are_variables_and_those_inside_may_be_fields() -> None:
    template = Template.parse("{{a}} {{b.c}} {{#d}}{{e}}{{^f}}{{g}}{{/f}}{{/d}} {{^h}}{{i}}{{/h}}")
    assert template.variables.keys() == {"a", "b", "d", "h", "i"}
    assert template.inner_names == {"e", "f", "g"}
    assert template.scalars == {"a", "i"}


def test_a_variable_comes_with_the_place_of_its_first_use() -> None:
    template = Template.parse("{{a}}\n  {{#b}}{{c}}{{/b}} {{a}} {{c}}")
    assert template.variables == {
        "a": "template, line 1, column 1",
        "b": "template, line 2, column 3",
        "c": "template, line 2, column 27",
    }


def test_the_current_item_outside_every_section_is_told() -> None:
    assert Template.parse("{{#x}}{{.}}{{^y}}{{.}}{{/y}}{{/x}}").item is None
    assert Template.parse("{{^x}}{{.}}{{/x}}").item == "template, line 1, column 7"
