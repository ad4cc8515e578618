"""What is no template: the mistake, its place and the remedy; and how much is too much."""

from __future__ import annotations

import time

import pytest

from assistant.errors import BadUserInput
from assistant.services.mustache import Template
from tests.unit.templates import refusal, render


@pytest.mark.parametrize(
    ("source", "place", "advice"),
    [
        ("ab\ncd {{x", "line 2, column 4", "add }}"),
        ("{{", "line 1, column 1", "add }}"),
        ("é {{}}", "line 1, column 3", "without a name"),
        ("{{ }}", "line 1, column 1", "not a variable's name"),
        ('{"a":{{"b":1}}}', "line 1, column 6", "set other delimiters"),
        ('{"a":{"b":{{{"c":1}}}}}', "line 1, column 11", "set other delimiters"),
        ("{{a b}}", "line 1, column 1", "not a variable's name"),
        ("{{a..b}}", "line 1, column 1", "not a variable's name"),
        ("{{#}}", "line 1, column 1", "not a variable's name"),
        ("{{# #x}}", "line 1, column 1", "not a variable's name"),
        ("{{{x}} y", "line 1, column 1", "closed by three"),
        ("{{{x}} {{{y}}}", "line 1, column 1", "closed by three"),
        ("{{=<% %>}}", "line 1, column 1", "{{=<% %>=}}"),
        ("{{=}}", "line 1, column 1", "{{=<% %>=}}"),
        ("{{= =}}", "line 1, column 1", "are two"),
        ("{{=a b c=}}", "line 1, column 1", "are two"),
        ("{{=<= =>=}}", "line 1, column 1", "without ="),
        ("\n\n {{#x}} {{^y}}{{/y}}", "line 3, column 2", "add {{/x}}"),
        ("{{=<% %>=}}<%#x%>", "line 1, column 12", "add <%/x%>"),
        ("{{/x}}", "line 1, column 1", "never opened"),
        ("{{#x}}{{/y}}", "line 1, column 7", "add {{/x}} first"),
    ],
)
def test_a_mistake_is_refused_with_its_place_and_the_remedy(
    source: str, place: str, advice: str
) -> None:
    message = refusal(source)
    assert message.startswith(f"template, {place}: ")
    assert advice in message


def test_the_place_names_the_field_that_the_template_came_in() -> None:
    with pytest.raises(BadUserInput, match=r"^systemTemplate, line 1, column 2: ") as refused:
        Template.parse(" {{/x}}", ("systemTemplate",))
    assert refused.value.path == ("systemTemplate",)


@pytest.mark.parametrize(
    "source",
    ["{{%s}}", "{{#%s}}", "{{/%s}}", "{{#x}}{{/%s}}", "{{#%s}}{{/x}}", "{{> %s}}", "{{=| %s=}}|x"],
)
def test_a_refusal_quotes_no_more_than_a_little_of_the_template(source: str) -> None:
    assert len(refusal(source.replace("%s", "?" * 10_000))) < 400
    if "=" not in source and source != "{{%s}}":
        assert len(refusal(source.replace("%s", "n" * 10_000))) < 400


def test_a_template_has_a_bounded_size() -> None:
    assert "100,000" in refusal("a" * 100_001)
    assert render("a" * 100_000) == "a" * 100_000


def test_a_template_has_a_bounded_number_of_tags() -> None:
    assert render("{{x}}" * 1_000, x="a") == "a" * 1_000
    assert "1,000 tags" in refusal("{{x}}" * 1_001)


def test_sections_have_a_bounded_depth_and_three_thousand_are_refused_at_once() -> None:
    assert render("{{#x}}" * 32 + "a" + "{{/x}}" * 32, x=True) == "a"
    started = time.perf_counter()
    assert "column 193" in refusal("{{#x}}" * 3_000 + "{{/x}}" * 3_000)
    # Mustache renderers take ten seconds for them; a bound this loose fails for nothing else.
    assert time.perf_counter() - started < 1


@pytest.mark.parametrize(
    "source",
    [
        ("{{x}}" + "\U0001f600" * 95) * 1_000,
        "{{#x}}{{/x}}" * 500 + "\U0001f600" * 94_000,
        "\n{{#x}}\n{{/x}}" * 499 + " " * 90_000 + "\U0001f600",
        "{{!x}}" * 999 + " " * 94_000 + "x",
        (" " * 94 + "{{!x}}") * 1_000,
        "{{!x}}\n" + "{{#x}} " * 16 + "{{/x}} " * 16 + "\r" * 99_000,
        "{{" + "a." * 49_000 + "a}}",
        "{{" + "\n" * 99_990 + "x}}",
    ],
    ids=range(8),
)
def test_the_longest_templates_are_read_in_no_time(source: str) -> None:
    assert 95_000 < len(source) <= 100_000
    started = time.perf_counter()
    render(source, x="")
    # About ten milliseconds; what goes through the rest of the text at every tag takes seconds.
    assert time.perf_counter() - started < 0.5


@pytest.mark.parametrize("body", ["", "x", "{{.}}"])
def test_nested_lists_cannot_multiply_without_bound(body: str) -> None:
    template = Template.parse("{{#x}}" * 32 + body + "{{/x}}" * 32)
    with pytest.raises(BadUserInput, match="more than") as refused:
        template.render({"x": [1, 2]})
    assert refused.value.path == ("variables",)


def test_a_repeated_long_value_cannot_fill_the_memory() -> None:
    template = Template.parse("{{#items}}{{text}}{{/items}}")
    with pytest.raises(BadUserInput, match="1,000,000 characters"):
        template.render({"items": [1] * 10_000, "text": "a" * 100_000})


def test_a_repeated_long_list_cannot_fill_the_memory_either() -> None:
    template = Template.parse("{{#items}}{{list}}{{/items}}")
    started = time.perf_counter()
    with pytest.raises(BadUserInput, match="1,000,000 characters"):
        template.render({"items": [1] * 10_000, "list": ["a"] * 100_000})
    assert time.perf_counter() - started < 1


def test_nul_and_half_surrogates_are_refused_in_a_template() -> None:
    assert "NUL" in refusal("a\x00")
    assert "surrogate" in refusal("a\ud800")
