"""From a version and a caller's variables to messages."""

from __future__ import annotations

from dataclasses import replace

import pytest

from assistant.domain.completion import Message, MessageRole
from assistant.domain.model import TaskType
from assistant.domain.prompt import PromptVariable, VariableType
from assistant.domain.tokens import estimate_tokens
from assistant.errors import BadUserInput
from assistant.services.rendering import render_prompt
from tests.unit.templates import text, version

TEXT = PromptVariable("text")
TONE = PromptVariable("tone", is_required=False, default_value="plain")
NOTE = PromptVariable("note", is_required=False)


def typed(name: str, type_: VariableType) -> PromptVariable:
    return PromptVariable(name, type=type_)


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


def test_lists_and_objects_serve_sections() -> None:
    prompt = version(
        "{{#rows}}{{name}};{{/rows}}{{one.name}}", *map(PromptVariable, ("rows", "one"))
    )
    values = {"rows": [{"name": "a"}, {"name": "b"}], "one": {"name": "c"}}
    assert render_prompt(prompt, values).messages[0].content == "a;b;c"


def test_both_templates_may_include_texts() -> None:
    prompt = version(
        "{{> ask}} {{text}}",
        TEXT,
        TONE,
        system_template="Be {{tone}}.\n  {{> rules}}\n",
        partials=(text("ask", "Summarise:"), text("rules", "- Be brief.\n- {{text}}\n")),
    )
    system, user = render_prompt(prompt, {"text": "t"}).messages
    assert system.content == "Be plain.\n  - Be brief.\n  - t\n"
    assert user.content == "Summarise: t"


def test_a_version_that_is_rendered_again_stays_itself_among_others_of_its_id() -> None:
    prompt = version("old {{text}}", TEXT)
    other = replace(prompt, template="new {{text}}")
    for _ in range(2):
        assert render_prompt(prompt, {"text": "t"}).messages[-1].content == "old t"
        assert render_prompt(other, {"text": "t"}).messages[-1].content == "new t"


def test_a_thousand_other_versions_later_a_version_is_read_anew() -> None:
    prompt = version("mine {{text}}", TEXT)
    for number in range(1_100):
        rendered = render_prompt(version(f"{number} {{{{text}}}}", TEXT), {"text": "t"})
        assert rendered.messages[-1].content == f"{number} t"
        if number % 1_050 == 0:
            assert render_prompt(prompt, {"text": "t"}).messages[-1].content == "mine t"


def test_a_value_of_its_type_prints_as_json() -> None:
    kinds = (VariableType.INTEGER, VariableType.BOOLEAN, VariableType.LIST, VariableType.OBJECT)
    names = ("a", "b", "c", "d")
    prompt = version("{{a}} {{b}} {{c}} {{d}}", *map(typed, names, kinds))
    values = {"a": 3, "b": True, "c": ["x", 1], "d": {"k": None}}
    assert render_prompt(prompt, values).messages[0].content == '3 true ["x", 1] {"k": null}'


def test_a_default_of_a_type_is_bound_and_printed_as_its_value() -> None:
    prompt = version(
        "{{#tags}}<{{.}}>{{/tags}} {{count}} {{^quiet}}loud{{/quiet}}",
        PromptVariable("tags", None, False, '["a", "b"]', VariableType.LIST),
        PromptVariable("count", None, False, " 3 ", VariableType.INTEGER),
        PromptVariable("quiet", None, False, "false", VariableType.BOOLEAN),
    )
    rendered = render_prompt(prompt, None)
    assert rendered.messages[0].content == "<a><b> 3 loud"
    assert rendered.variables == {"tags": ["a", "b"], "count": 3, "quiet": False}


def test_a_default_of_no_type_is_text_whatever_it_looks_like() -> None:
    prompt = version("{{x}}{{#x}}!{{/x}}", PromptVariable("x", None, False, "false"))
    assert render_prompt(prompt, None).messages[0].content == "false!"
    assert render_prompt(prompt, None).variables == {"x": "false"}
