"""Texts that a template includes: where they stand, what they mean, how much they may be."""

from __future__ import annotations

import time

import pytest

from assistant.domain.prompt import PromptPartial
from assistant.services.mustache import Template
from assistant.services.mustache_reading import MAX_PARTIAL_DEPTH, MAX_PARTIALS
from tests.unit.templates import refusal, render, text


def test_an_included_text_stands_where_its_tag_stood() -> None:
    assert render("a {{> hello}}, {{>hello}}!", text("hello", "hi")) == "a hi, hi!"


def test_a_text_is_included_by_its_name_or_by_a_version_of_it() -> None:
    both = [text("hello", "now"), text("hello@3", "then")]
    assert render("{{> hello}} {{> hello@3}}", *both) == "now then"


def test_an_included_text_means_the_values_of_where_it_stands() -> None:
    item = text("item", "- {{name}}{{sep}} ({{.}})")
    assert render("{{#all}}{{> item}}{{/all}}", item, all=["x"], name="n", sep=";") == "- n; (x)"
    assert render("{{#all}}{{> item}}{{/all}}", item, all=[{"name": "m"}]) == '- m ({"name": "m"})'


def test_an_included_text_has_what_it_includes_itself_and_nothing_else() -> None:
    inner = text("inner", "its own")
    outer = text("outer", "[{{> inner}}]", inner)
    assert render("{{> outer}} {{> inner}}", outer, text("inner", "other")) == "[its own] other"
    said = refusal("{{> inner}}\n{{> outer}}", text("outer", "a\n  {{> inner}}"), inner)
    assert said.startswith(
        "template, line 2, column 1, in the included outer, line 2, column 3: "
        "There is no published prompt inner to include"
    )


def test_every_line_of_a_text_that_is_included_on_a_line_of_its_own_is_indented() -> None:
    lines = text("lines", "|\n{{{content}}}\n|\n")
    assert render("\\\n {{> lines}}\n/\n", lines, content="<\n->") == "\\\n |\n <\n->\n |\n/\n"
    assert render("  {{> lines}}\n>", text("lines", ">\n>")) == "  >\n  >>"
    assert render(">\n\t{{> lines}}", text("lines", ">\r\n\r\n>")) == ">\n\t>\r\n\t\r\n\t>"


def test_indentation_adds_up() -> None:
    inner = text("inner", "c\nd\n")
    outer = text("outer", "b\n  {{> inner}}\ne\n", inner)
    assert render("a\n {{> outer}}\nf", outer) == "a\n b\n   c\n   d\n e\nf"


def test_tags_of_an_indented_text_take_their_lines_with_them() -> None:
    rows = text("rows", "{{#rows}}\n- {{.}}\n{{/rows}}\nend\n")
    assert render("  {{> rows}}\n", rows, rows=["a", "b"]) == "  - a\n  - b\n  end\n"


def test_a_text_included_within_a_line_is_not_indented() -> None:
    assert render("  {{x}}  {{> lines}}\n", text("lines", ">\n>"), x="|") == "  |  >\n>\n"


def test_a_text_that_ends_with_a_tag_on_its_own_line_or_is_empty_leaves_no_line() -> None:
    assert render("a\n  {{> empty}}\nb", text("empty", "")) == "a\nb"
    assert render("a\n  {{> tag}}\nb", text("tag", "{{! only }}")) == "a\nb"


def test_delimiters_end_where_the_text_ends() -> None:
    inner = text("inner", "{{x}}{{=| |=}}|x|")
    assert render("{{=<% %>=}}<%> inner%> <%x%>{{x}}", inner, x=1) == "11 1{{x}}"


def test_a_section_cannot_end_in_another_text() -> None:
    said = refusal("{{#x}}{{> rest}}", text("rest", "a{{/x}}"))
    assert "in the included rest, line 1, column 2" in said
    assert "never opened" in said


def test_what_an_included_text_uses_the_template_uses() -> None:
    inner = text("inner", "{{b}}{{#c}}{{d}}{{/c}}")
    template = Template.parse("{{a}}\n {{> inner}}\n{{#e}}{{> inner}}{{/e}}", partials=[inner])
    assert template.variables == {
        "a": "template, line 1, column 1",
        "b": "template, line 2, column 2, in the included inner, line 1, column 1",
        "c": "template, line 2, column 2, in the included inner, line 1, column 6",
        "e": "template, line 3, column 1",
    }
    assert template.scalars == {"a", "b"}
    assert template.inner_names == {"b", "c", "d"}


def test_a_value_that_looks_like_an_including_tag_is_text() -> None:
    assert render("{{x}}", text("secret", "s"), x="{{> secret}}") == "{{> secret}}"


# -------------------------------------------------------------------- refusals


@pytest.mark.parametrize("used_as", ["nobody", "nobody@3"])
def test_an_unknown_text_is_refused_with_its_place_and_what_to_name(used_as: str) -> None:
    said = refusal(f"a\n b {{{{> {used_as}}}}}", text("somebody", ""))
    assert said.startswith("template, line 2, column 4: There is no ")
    assert f" {used_as} to include" in said
    assert "{{> greeting@3}}" in said


@pytest.mark.parametrize(
    "name",
    ["", "/etc/passwd", "../a", "a.mustache", "A", "ä", "a b", "a_b", "*a", "a" * 65],
)
def test_a_name_that_no_prompt_can_have_is_refused_with_its_place(name: str) -> None:
    said = refusal(f"x {{{{> {name}}}}}", PromptPartial(name, name, 1, "found"))
    assert said.startswith("template, line 1, column 3: ")
    assert "{{> greeting@3}}" in said


@pytest.mark.parametrize("number", ["", "0", "-1", "01", "x", "1@2", "1234567890", "\u0661"])
def test_a_number_that_no_version_can_have_is_refused_with_its_place(number: str) -> None:
    said = refusal(f"x {{{{> a@{number}}}}}", PromptPartial(f"a@{number}", "a", 1, "found"))
    assert said.startswith("template, line 1, column 3: ")
    assert "{{> greeting@3}}" in said


def test_the_column_in_an_indented_text_is_that_of_the_text_itself() -> None:
    said = refusal("    {{> inner}}", text("inner", "ab\n  {{x y}}"))
    assert "line 1, column 5, in the included inner, line 2, column 3: " in said


def doubling(times: int, template: str) -> PromptPartial:
    """A text that comes to ``template`` 2 ** ``times`` times, sharing everything."""
    inner = text("a", template)
    for _ in range(times):
        inner = text("a", "{{> a}}{{> a}}", inner)
    return inner


@pytest.mark.parametrize("template", ["", "ha", "{{x}}", "a" * 50_000, "\n" * 50_000])
def test_texts_that_double_again_and_again_are_refused_at_once(template: str) -> None:
    started = time.perf_counter()
    said = refusal("{{> a}}", doubling(15, template))
    assert "at most 100,000" in said or "1,000 tags" in said
    # Read one by one they take minutes; a bound this loose fails for nothing else.
    assert time.perf_counter() - started < 1


def test_indentation_cannot_multiply_either() -> None:
    said = refusal(" " * 90_000 + "{{> lines}}", text("lines", "\n" * 90_000))
    assert "in the included lines: with this there are 8,100,180,011 characters" in said


def test_the_template_and_what_it_includes_have_one_bound_on_characters_together() -> None:
    source = "{{> half}}b{{> half}}"
    assert len(render(source, text("half", "a" * 49_989))) == 99_979
    said = refusal(source, text("half", "a" * 49_990))
    assert said.startswith("template, line 1, column 12, in the included half: with this there are")
    assert "100,001 characters; at most 100,000" in said


def test_the_template_and_what_it_includes_have_one_bound_on_tags_together() -> None:
    many = text("many", "{{x}}" * 333)
    assert render("{{> many}}" * 2 + "{{x}}" * 330, many, x="a") == "a" * 996
    assert "More than 1,000 tags" in refusal("{{> many}}" * 3, many)


def test_sections_around_an_included_text_count_for_its_depth() -> None:
    deep = text("deep", "{{#x}}" * 16 + "a" + "{{/x}}" * 16)
    assert render("{{#x}}" * 16 + "{{> deep}}" + "{{/x}}" * 16, deep, x=1) == "a"
    said = refusal("{{#x}}" * 17 + "{{> deep}}" + "{{/x}}" * 17, deep)
    assert "in the included deep, line 1, column 91: Sections are nested deeper than 32" in said


def test_texts_include_one_another_to_a_bounded_depth() -> None:
    inner = text("a", "end")
    for _ in range(MAX_PARTIAL_DEPTH - 1):
        inner = text("a", "{{> a}}", inner)
    assert render("{{> a}}", inner) == "end"
    assert "more than 16 deep" in refusal("{{> a}}", text("a", "{{> a}}", inner))


def test_a_template_includes_a_bounded_number_of_texts() -> None:
    texts = [text(f"t{number}", "a") for number in range(MAX_PARTIALS + 1)]
    source = "".join(f"{{{{> {partial.used_as}}}}}" for partial in texts)
    assert f"More than {MAX_PARTIALS} different texts" in refusal(source, *texts)
    assert render(source.removesuffix("{{> t32}}") * 2, *texts) == "a" * 64
