"""Comments, delimiters, and which tags take their line with them."""

from __future__ import annotations

import pytest

from tests.unit.templates import render


def test_comments_are_left_out() -> None:
    assert render("12{{! Comment! }}34") == "1234"
    assert render("a\n{{!\n  of {{ two\n  lines\n}}\nb") == "a\nb"
    assert render("{{!x}}", x="not this one") == ""


def test_other_delimiters_let_json_stand_in_a_template() -> None:
    assert render('{{=<% %>=}}{"a":{{"b":<%x%>}}}', x=1) == '{"a":{{"b":1}}}'


@pytest.mark.parametrize("pair", ["| |", "[ ]", "( )", "$ ^", "<% %>", "@ @", "\\ \\"])
def test_delimiters_may_be_any_signs(pair: str) -> None:
    opening, closing = pair.split()
    assert (
        render(f"{{{{={pair}=}}}}{opening}#x{closing}{{{{x}}}}{opening}/x{closing}", x=1) == "{{x}}"
    )
    back = f"{{{{={pair}=}}}}{opening}={{{{ }}}}={closing}{{{{x}}}}"
    assert render(back, x=1) == "1"


def test_values_that_html_would_not_escape_have_other_delimiters_too() -> None:
    assert render("{{=<% %>=}}<%{x}%><%& x %>{{{x}}}", x="<") == "<<{{{x}}}"


@pytest.mark.parametrize(
    "tag", ["{{#x}}{{/x}}", "{{^y}}{{/y}}", "{{! remark }}", "{{=<% %>=}}", "{{!\n}}"]
)
def test_a_tag_within_a_line_leaves_the_spaces_around_it(tag: str) -> None:
    assert render(f" a {tag} \n b", x=1) == " a  \n b"


def test_tags_alone_on_a_line_take_the_line_with_them() -> None:
    source = "Items:\n  {{#items}}\n- {{.}}\n\t{{/items}}\n{{! a remark }}\nEnd {{! kept }} here\n"
    assert render(source, items=["a", "b"]) == "Items:\n- a\n- b\nEnd  here\n"
    assert render("|\r\n{{#x}}\r\n|\r\n{{/x}}\r\n|", x=1) == "|\r\n|\r\n|"
    assert render("a\n {{! remark }} ") == "a\n"
    assert render("  {{=| |=}}\n|x|", x=1) == "1"


def test_two_tags_on_one_line_leave_the_line() -> None:
    assert render("a\n{{#x}} {{/x}}\nb", x=1) == "a\n \nb"
    assert render("{{!a}} {{!b}}\n") == " \n"


def test_a_value_alone_on_a_line_leaves_the_line() -> None:
    assert render("a\n  {{x}}\n{{{x}}} \nb", x=1) == "a\n  1\n1 \nb"


def test_spaces_that_are_no_blanks_stay() -> None:
    assert render("a\n\u3000{{#x}}\nb{{/x}}", x=1) == "a\n\u3000\nb"
