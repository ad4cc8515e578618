"""Which wordings of a prompt may become a version, and all that is said of the others."""

from __future__ import annotations

import pytest

from assistant.domain.prompt import PromptPartial, PromptVariable, VariableType
from assistant.errors import BadUserInput
from assistant.services.rendering import check_templates, included_as, partial_names
from tests.unit.templates import text, version

TEXT = PromptVariable("text")
TONE = PromptVariable("tone", is_required=False, default_value="plain")
NOTE = PromptVariable("note", is_required=False)


def problems(
    template: str,
    system_template: str | None = None,
    variables: tuple[PromptVariable, ...] = (),
    partials: tuple[PromptPartial, ...] = (),
) -> list[tuple[str, str]]:
    """Paths and messages of everything that is said."""
    with pytest.raises(BadUserInput) as refused:
        check_templates(template, system_template, variables, partials)
    return [(".".join(problem.path), problem.message) for problem in refused.value.every]


def test_templates_may_use_declared_variables_and_the_fields_of_their_items() -> None:
    check_templates("{{text}}{{#note}}{{author}}{{/note}}", "{{tone}}", [TEXT, TONE, NOTE])


def test_a_name_that_is_not_declared_is_refused_with_the_place_of_its_first_use() -> None:
    said = problems("{{text}}\n {{oops}}{{oops}}", "{{^no.way}}x{{/no.way}}", (TEXT,))
    assert [path for path, _ in said] == ["template", "systemTemplate"]
    assert said[0][1].startswith("template, line 2, column 2: oops is not declared in variables;")
    assert said[1][1].startswith("systemTemplate, line 1, column 1: no is not declared")


def test_a_variable_that_no_template_uses_is_refused() -> None:
    said = problems("{{text}}", "Be kind.", (TEXT, TONE, NOTE))
    assert [path for path, _ in said] == ["variables.1.name", "variables.2.name"]
    assert "tone is declared and used in no template" in said[0][1]


@pytest.mark.parametrize(
    "template", ["{{#x}}{{note}}{{/x}}", "{{#note}}{{/note}}", "{{^note}}{{/note}}", "{{note.a}}"]
)
def test_any_use_counts_also_within_a_section_or_in_the_system_template(template: str) -> None:
    x = PromptVariable("x", is_required=False)
    check_templates(f"{template}{{{{x}}}}", None, [NOTE, x])
    check_templates("{{x}}", f"{template}{{{{x}}}}", [NOTE, x])


def test_what_included_texts_use_counts_and_must_be_declared() -> None:
    greeting = text("greeting", "Hello {{name}}, {{#items}}{{title}}{{/items}}")
    declared = (PromptVariable("name"), PromptVariable("items"))
    check_templates("{{> greeting}}", None, declared, [greeting])
    said = problems("a\n{{> greeting}}", None, (), (greeting,))
    assert [message.partition(" is not")[0] for _, message in said] == [
        "template, line 2, column 1, in the included greeting, line 1, column 7: name",
        "template, line 2, column 1, in the included greeting, line 1, column 17: items",
    ]


def test_a_text_that_is_not_there_is_refused_in_each_template() -> None:
    said = problems("{{> a}}", " {{> b@2}}")
    assert [path for path, _ in said] == ["template", "systemTemplate"]
    assert "template, line 1, column 1: There is no published prompt a" in said[0][1]
    assert "systemTemplate, line 1, column 2: There is no prompt version b@2" in said[1][1]


def test_the_current_item_outside_every_section_is_refused() -> None:
    said = problems("{{^x}}{{.}}{{/x}}", None, (PromptVariable("x"),))
    assert said == [
        (
            "template",
            "template, line 1, column 7: {{.}} is the current item of a section; "
            "here it is in none.",
        )
    ]


def test_everything_is_said_at_once() -> None:
    variables = (
        PromptVariable("a.b"),
        PromptVariable("text"),
        PromptVariable("text"),
        PromptVariable("n", None, False, "three", VariableType.INTEGER),
        PromptVariable("r", None, True, "x"),
    )
    said = problems("{{text}}{{oops}}{{n}}{{r}}", "\n{{/x}}{{", variables)
    assert [path for path, _ in said] == [
        "variables.0.name",
        "variables.2.name",
        "variables.3.defaultValue",
        "variables.4.defaultValue",
        "template",
        "systemTemplate",
    ]
    assert "systemTemplate, line 2, column 1" in said[-1][1]


def test_nothing_is_called_unused_while_a_template_cannot_be_read() -> None:
    assert [path for path, _ in problems("{{text", None, (TEXT,))] == ["template"]
    assert [path for path, _ in problems("a", "{{text", (TEXT,))] == ["systemTemplate"]


def test_no_more_is_said_than_anybody_would_read() -> None:
    said = problems("".join(f"{{{{n{number}}}}}" for number in range(900)))
    assert len(said) == 100


@pytest.mark.parametrize("name", ["", "a.b", "a b", "a" * 65, "{{a}}", "a\x00", "."])
def test_a_name_that_no_template_can_use_is_refused(name: str) -> None:
    assert ("variables.0.name", "A variable's name has 1 to 64 letters, digits, _ or -.") in (
        problems("a", None, (PromptVariable(name),))
    )


def test_a_required_variable_has_no_default() -> None:
    said = problems("{{x}}", None, (PromptVariable("x", default_value=""),))
    assert [path for path, _ in said] == ["variables.0.defaultValue"]
    assert "x is required and needs no default" in said[0][1]


@pytest.mark.parametrize(
    ("type_", "default", "example"),
    [
        (VariableType.INTEGER, "three", "3"),
        (VariableType.INTEGER, "3.0", "3"),
        (VariableType.INTEGER, "true", "3"),
        (VariableType.INTEGER, "9" * 5_000, "3"),
        (VariableType.NUMBER, "", "0.5"),
        (VariableType.NUMBER, "NaN", "0.5"),
        (VariableType.NUMBER, "-Infinity", "0.5"),
        (VariableType.NUMBER, '"1"', "0.5"),
        (VariableType.BOOLEAN, "True", "true"),
        (VariableType.BOOLEAN, "1", "true"),
        (VariableType.LIST, "a, b", '["a", "b"]'),
        (VariableType.LIST, "[1,]", '["a", "b"]'),
        (VariableType.LIST, "[" * 100_000, '["a", "b"]'),
        (VariableType.OBJECT, "[]", '{"a": 1}'),
        (VariableType.OBJECT, "null", '{"a": 1}'),
    ],
)
def test_a_default_that_is_not_json_of_its_type_is_refused_with_an_example(
    type_: VariableType, default: str, example: str
) -> None:
    said = problems("{{x}}", None, (PromptVariable("x", None, False, default, type_),))
    assert [path for path, _ in said] == ["variables.0.defaultValue"]
    assert said[0][1].endswith(f"written as JSON: {example}")


@pytest.mark.parametrize(
    ("type_", "default", "complaint"),
    [
        (VariableType.NUMBER, "1e999", "not a finite number"),
        (VariableType.LIST, '["\\u0000"]', "NUL"),
        (VariableType.LIST, "[" * 40 + "]" * 40, "nested deeper"),
        (VariableType.STRING, "a\x00", "NUL"),
        (VariableType.ANY, "\ud800", "surrogate"),
    ],
)
def test_a_default_that_no_caller_could_give_is_refused(
    type_: VariableType, default: str, complaint: str
) -> None:
    said = problems("{{x}}", None, (PromptVariable("x", None, False, default, type_),))
    assert complaint in said[0][1]


@pytest.mark.parametrize(
    ("type_", "default"),
    [
        (VariableType.ANY, "anything { } [,"),
        (VariableType.STRING, ""),
        (VariableType.INTEGER, "-3"),
        (VariableType.NUMBER, "3"),
        (VariableType.NUMBER, "1e3"),
        (VariableType.BOOLEAN, "false"),
        (VariableType.LIST, "[]"),
        (VariableType.OBJECT, '{"a": [null]}'),
    ],
)
def test_a_default_of_its_type_passes(type_: VariableType, default: str) -> None:
    check_templates("{{x}}", None, [PromptVariable("x", None, False, default, type_)])


# -------------------------------------------------------------------- included texts


def test_the_names_of_included_texts_come_in_order_of_first_use() -> None:
    template = "{{> b}}{{#x}}{{>a@2}}{{/x}}{{=<% %>=}}<%> c %>{{> d}}<%> b%>"
    assert partial_names(template, "{{> e}}{{> a@2}}") == ("b", "a@2", "c", "e")
    assert partial_names("{{x}}", None) == ()


def test_names_are_found_up_to_the_first_mistake_in_each_template() -> None:
    assert partial_names("{{> a}}{{> b", "{{> c}}{{}}{{> d}}") == ("a", "c")
    assert partial_names("{{> A}}{{> ../b}}{{> c@0}}{{> d}}", None) == ("d",)


def test_no_more_names_are_found_than_a_template_may_include() -> None:
    template = "".join(f"{{{{> t{number}}}}}" for number in range(1_000))
    assert len(partial_names(template, None)) == 32


def test_a_version_is_included_with_what_its_template_includes_and_nothing_of_its_system() -> None:
    inner, secret = text("inner", "i"), text("secret", "s")
    other = version("{{> inner}}", system_template="{{> secret}}", partials=(inner, secret))
    assert included_as("other@1", "other", other) == PromptPartial(
        "other@1", "other", 1, "{{> inner}}", (inner,)
    )


@pytest.mark.parametrize("characters", [0, 1_000])
def test_texts_that_are_too_much_to_keep_are_refused_even_where_none_is_read(
    characters: int,
) -> None:
    inner = text("a", "x" * characters)
    for _ in range(30):
        inner = PromptPartial("a", "a", 1, "x" * characters, (inner, inner))
    said = problems("{{> a}}", None, (), (inner,))
    assert "included in all; include less" in said[0][1]
