"""The template language: what it renders, what it refuses, and where it says the mistake is."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from assistant.errors import BadUserInput
from assistant.services.mustache import Template, parse_template


def render(source: str, **values: object) -> str:
    return Template.parse(source).render(values)  # type: ignore[arg-type]


def refusal(source: str) -> str:
    with pytest.raises(BadUserInput) as refused:
        Template.parse(source)
    assert refused.value.path == ("template",)
    return refused.value.message


@pytest.mark.parametrize("tag", ["{{x}}", "{{ x }}", "{{{x}}}", "{{&x}}"])
def test_a_value_is_printed_as_it_is_without_html_escaping(tag: str) -> None:
    assert render(f"<{tag}>", x="\"a\" < 'b' & c") == "<\"a\" < 'b' & c>"


@pytest.mark.parametrize(
    ("value", "text"),
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
def test_values_print_as_json_and_never_as_python(value: object, text: str) -> None:
    assert render("{{x}}", x=value) == text
    assert render("{{#o}}{{x}}{{/o}}", o={"x": value}) == text


def test_braces_in_a_value_are_text() -> None:
    assert render("{{a}} {{b}}", a="{{b}} {{#b}}{{/b}} {{=<% %>=}}", b="B") == (
        "{{b}} {{#b}}{{/b}} {{=<% %>=}} B"
    )


@pytest.mark.parametrize(
    "name",
    ["x.__class__", "x.upper", "x.format", "n.real", "l.append", "l.clear", "o.items", "o.keys"],
)
def test_names_reach_json_fields_and_never_python_attributes(name: str) -> None:
    values: dict[str, object] = {"x": "text", "n": 1, "l": [1], "o": {"a": 1}}
    assert render(f"{{{{{name}}}}}", **values) == ""
    assert render(f"{{{{#{name}}}}}found{{{{/{name}}}}}", **values) == ""
    assert values["l"] == [1]


def test_a_section_repeats_for_every_item_of_a_list_falsy_items_included() -> None:
    assert render("{{#x}}[{{.}}]{{/x}}", x=[0, "", False, None, 1, "a"]) == "[0][][false][][1][a]"


@pytest.mark.parametrize("value", [False, None, 0, "", [], {}])
def test_a_falsy_value_skips_its_section_and_shows_the_inverted_one(value: object) -> None:
    assert render("{{#x}}yes{{/x}}{{^x}}no{{/x}}", x=value) == "no"
    assert render("{{#y}}yes{{/y}}{{^y}}no{{/y}}", x=value) == "no"


def test_names_in_a_section_mean_the_item_first_and_the_outer_values_then() -> None:
    people = [{"name": "Ann"}, {"name": "Bob", "sep": "!"}]
    assert render("{{#p}}{{name}}{{sep}}{{/p}}", p=people, sep=", ") == "Ann, Bob!"


def test_sections_of_one_name_nest_inverted_ones_too() -> None:
    assert render("{{#a}}1{{^a}}no{{/a}}2{{/a}}", a=[True, True]) == "1212"


def test_a_dotted_name_is_decided_by_its_first_part() -> None:
    assert render("{{a.b.c}} {{list.1}}", a={"b": {"c": "deep"}}, list=["x", "y"]) == "deep y"
    assert render("{{a.b.c}}{{list.9}}{{a.0}}", a={"b": 1}, list=["x"]) == ""
    assert render("{{#a}}{{b.c}}{{/a}}", a={"b": {}}, b={"c": "not this one"}) == ""


def test_an_index_of_any_length_is_only_an_index() -> None:
    assert render("{{list." + "9" * 5_000 + "}}", list=[1]) == ""


def test_tags_alone_on_a_line_take_the_line_with_them() -> None:
    source = "Items:\n  {{#items}}\n- {{.}}\n\t{{/items}}\n{{! a remark }}\nEnd {{! kept }} here\n"
    assert render(source, items=["a", "b"]) == "Items:\n- a\n- b\nEnd  here\n"
    assert render("|\r\n{{#x}}\r\n|\r\n{{/x}}\r\n|", x=1) == "|\r\n|\r\n|"
    assert render("a\n {{! remark }} ") == "a\n"


def test_other_delimiters_let_json_stand_in_a_template() -> None:
    assert render('{{=<% %>=}}{"a":{{"b":<%x%>}}}', x=1) == '{"a":{{"b":1}}}'


def test_names_outside_sections_are_variables_and_those_inside_may_be_fields() -> None:
    template = Template.parse("{{a}} {{b.c}} {{#d}}{{e}}{{^f}}{{g}}{{/f}}{{/d}} {{^h}}{{i}}{{/h}}")
    assert template.variables == {"a", "b", "d", "h", "i"}
    assert template.scalars == {"a", "i"}


# -------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("source", "place", "advice"),
    [
        ("ab\ncd {{x", "line 2, column 4", "add }}"),
        ("{{", "line 1, column 1", "add }}"),
        ("é {{}}", "line 1, column 3", "without a name"),
        ("{{ }}", "line 1, column 1", "not a variable's name"),
        ('{"a":{{"b":1}}}', "line 1, column 6", "set other delimiters"),
        ("{{a b}}", "line 1, column 1", "not a variable's name"),
        ("{{a..b}}", "line 1, column 1", "not a variable's name"),
        ("{{{x}} y", "line 1, column 1", "closed by three"),
        ("{{=<% %>}}", "line 1, column 1", "{{=<% %>=}}"),
        ("{{= =}}", "line 1, column 1", "are two"),
        ("{{=a b c=}}", "line 1, column 1", "are two"),
        ("{{=<= =>=}}", "line 1, column 1", "without ="),
        ("{{> /etc/passwd}}", "line 1, column 1", "not supported"),
        ("{{.}}", "line 1, column 1", "in none"),
        ("{{^x}}{{.}}{{/x}}", "line 1, column 7", "in none"),
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
    assert place in message
    assert advice in message


def test_nothing_is_ever_read_from_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "secret.mustache").write_text("secret")
    monkeypatch.chdir(tmp_path)
    refusal("{{> secret}}")
    assert render("{{secret}}{{x}}", x="{{> secret}}") == "{{> secret}}"


def test_a_refusal_quotes_no_more_than_a_little_of_the_template() -> None:
    assert len(refusal("{{" + "? " * 10_000 + "}}")) < 400


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
    # chevron's own renderer takes ten seconds; a bound this loose fails for nothing else.
    assert time.perf_counter() - started < 1


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


def test_nul_and_half_surrogates_are_refused_in_a_template() -> None:
    assert "NUL" in refusal("a\x00")
    assert "surrogate" in refusal("a\ud800")


def test_a_template_is_read_once_and_a_bad_one_every_time() -> None:
    assert parse_template("once {{x}}") is parse_template("once {{x}}")
    for _ in range(2):
        with pytest.raises(BadUserInput, match="never closed"):
            parse_template("{{x")


def test_how_long_a_template_of_four_kilobytes_takes(capsys: pytest.CaptureFixture[str]) -> None:
    line = "Summarise {{topic}} for {{reader}} in {{language}}, politely and without any ado.\n"
    source = line * (4_096 // len(line)) + "{{#notes}}- {{.}}\n{{/notes}}"
    values = {"topic": "tea", "reader": "a child", "language": "French", "notes": ["a", "b"]}
    parse_template(source)
    started = time.perf_counter()
    for _ in range(100):
        text = parse_template(source).render(values)
    with capsys.disabled():
        print(f"\n4 kB template: {(time.perf_counter() - started) * 10:.3f} ms a rendering")
    assert text.count("French") == source.count("{{language}}")
