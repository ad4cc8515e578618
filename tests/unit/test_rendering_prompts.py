"""From a version and a caller's variables to messages."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assistant.domain.completion import GenerationParameters, Message, MessageRole
from assistant.domain.model import TaskType
from assistant.domain.prompt import PromptVariable, PromptVersion, PromptVersionStatus
from assistant.domain.tokens import estimate_tokens
from assistant.errors import AssistantError, BadUserInput
from assistant.services.rendering import bind, check_templates, render_prompt

TEXT = PromptVariable("text")
TONE = PromptVariable("tone", is_required=False, default_value="plain")
NOTE = PromptVariable("note", is_required=False)


def version(
    template: str, *variables: PromptVariable, system_template: str | None = None
) -> PromptVersion:
    return PromptVersion(
        id=UUID(int=1),
        prompt_id=UUID(int=2),
        version=1,
        status=PromptVersionStatus.PUBLISHED,
        template=template,
        system_template=system_template,
        variables=variables,
        task=TaskType.SUMMARIZATION,
        model=None,
        parameters=GenerationParameters(),
        response_schema=None,
        change_note=None,
        created_by=None,
        created_at=datetime(2026, 1, 1, tzinfo=UTC),
        published_at=None,
    )


def refused(variables: Any, *declared: PromptVariable) -> BadUserInput:
    with pytest.raises(BadUserInput) as refusal:
        bind(declared, variables, {"text", "tone"})
    return refusal.value


def test_a_prompt_becomes_a_system_and_a_user_message() -> None:
    prompt = version(
        "Summarise: {{text}}", TEXT, TONE, NOTE, system_template="Be {{tone}}.{{note}}"
    )
    rendered = render_prompt(prompt, {"text": "a <b> & c"})
    assert rendered.messages == (
        Message(MessageRole.SYSTEM, "Be plain."),
        Message(MessageRole.USER, "Summarise: a <b> & c"),
    )
    assert rendered.version is prompt
    assert rendered.task is TaskType.SUMMARIZATION
    assert rendered.variables == {"text": "a <b> & c", "tone": "plain"}
    assert rendered.estimated_tokens == estimate_tokens(rendered.messages)


def test_a_system_template_that_renders_to_nothing_sends_no_system_message() -> None:
    prompt = version("{{text}}", TEXT, NOTE, system_template="{{#note}}Note: {{note}}{{/note}} ")
    assert render_prompt(prompt, {"text": "t"}).messages == (Message(MessageRole.USER, "t"),)
    assert len(render_prompt(prompt, {"text": "t", "note": "n"}).messages) == 2


def test_a_prompt_that_renders_to_nothing_is_refused() -> None:
    prompt = version(" {{note}}\n", NOTE, system_template="Be kind.")
    with pytest.raises(BadUserInput, match="is empty"):
        render_prompt(prompt, None)


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


@pytest.mark.parametrize(
    ("variables", "found"),
    [([], "a list"), ("text", "a string"), (1.5, "a number"), (True, "a boolean")],
)
def test_variables_must_be_an_object(variables: Any, found: str) -> None:
    error = refused(variables, TEXT)
    assert error.message.endswith(f"found {found}.")
    assert error.path == ("variables",)


def test_null_means_absent_for_an_optional_variable() -> None:
    assert bind([TONE, NOTE], {"tone": None, "note": None}, {"tone"}) == {"tone": "plain"}


def test_null_is_no_value_for_a_required_one_even_if_only_a_section_uses_it() -> None:
    assert "found null" in refused({"flag": None}, PromptVariable("flag")).message
    assert bind([PromptVariable("flag")], {"flag": False}, ()) == {"flag": False}


def test_lists_and_objects_serve_sections() -> None:
    prompt = version(
        "{{#rows}}{{name}};{{/rows}}{{one.name}}", *map(PromptVariable, ("rows", "one"))
    )
    values = {"rows": [{"name": "a"}, {"name": "b"}], "one": {"name": "c"}}
    assert render_prompt(prompt, values).messages[0].content == "a;b;c"


def test_values_that_the_database_cannot_hold_are_refused() -> None:
    assert "NUL" in refused({"text": "a\x00"}, TEXT).message
    assert "surrogate" in refused({"text": "\ud800"}, TEXT).message


def test_a_refusal_stays_short_whatever_the_names_are() -> None:
    assert len(refused({str(n) * 1_000: 1 for n in range(1_000)}, TEXT).message) < 1_500


# ------------------------------------------------------------------- new versions


def test_templates_may_use_declared_variables_and_the_fields_of_their_items() -> None:
    check_templates("{{text}}{{#note}}{{author}}{{/note}}", "{{tone}}", [TEXT, TONE, NOTE])


@pytest.mark.parametrize(
    ("template", "system_template", "names", "path", "said"),
    [
        ("{{text}} {{oops}}", None, ["text"], ("template",), "uses oops"),
        ("a", "{{^oops}}x{{/oops}}", ["text"], ("systemTemplate",), "uses oops"),
        ("a", "b\n{{c", [], ("systemTemplate",), "systemTemplate, line 2, column 1"),
        ("a", None, ["x", "x"], ("variables", "1", "name"), "twice"),
        ("a", None, ["a.b"], ("variables", "0", "name"), "1 to 64"),
        ("a", None, [""], ("variables", "0", "name"), "1 to 64"),
    ],
)
def test_a_version_that_could_not_be_rendered_is_refused(
    template: str,
    system_template: str | None,
    names: list[str],
    path: tuple[str, ...],
    said: str,
) -> None:
    with pytest.raises(BadUserInput, match=said) as refusal:
        check_templates(template, system_template, [PromptVariable(name) for name in names])
    assert refusal.value.path == path


# --------------------------------------------------------------------- properties

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
HOSTILE = st.sampled_from(
    ["{{other}}", "{{#other}}", "{{/value}}", "{{> /etc/passwd}}", "{{=<% %>=}}", "}}", "{{{"]
)


@given(st.one_of(json_values, HOSTILE))
def test_no_value_changes_the_text_around_it_or_raises_a_foreign_error(value: Any) -> None:
    prompt = version(
        "before {{other}} | {{value}} | {{#value}}{{/value}} after {{other}}",
        PromptVariable("value"),
        PromptVariable("other"),
    )
    try:
        text = render_prompt(prompt, {"value": value, "other": "OTHER"}).messages[0].content
    except AssistantError:
        return
    assert text.startswith("before OTHER | ")
    assert text.endswith(" |  after OTHER")


@given(st.dictionaries(st.sampled_from(["rows", "text", "x"]), json_values))
def test_any_values_render_or_are_refused_by_our_own_errors(values: Any) -> None:
    prompt = version(
        "{{text}}{{#rows}}{{.}}{{x}}{{#x}}{{.}}{{/x}}{{rows.0.text}}{{/rows}}{{^x}}-{{/x}}",
        *(PromptVariable(name, is_required=False) for name in ("rows", "text", "x")),
    )
    try:
        content = render_prompt(prompt, values).messages[0].content
    except BadUserInput:
        return
    assert "object at 0x" not in content
