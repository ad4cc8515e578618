"""From a prompt's version and a caller's variables to the messages that a model gets."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

from assistant.domain.completion import Message, MessageRole
from assistant.domain.prompt import PromptVariable, PromptVersion, RenderedPrompt
from assistant.domain.tokens import estimate_tokens
from assistant.domain.values import JsonObject, JsonValue, check_json
from assistant.errors import BadUserInput
from assistant.services.mustache import Template, parse_template

_VARIABLE_NAME = re.compile(r"[\w-]{1,64}")  # what a template can print without dots
_TEMPLATE = ("template",)
_SYSTEM_TEMPLATE = ("systemTemplate",)


def render_prompt(version: PromptVersion, given: JsonObject | None) -> RenderedPrompt:
    """What a model would get for ``version`` with the caller's variables ``given``.

    The system template comes first as a SYSTEM message, left out where it renders to nothing.
    Variables are text wherever they stand: their braces are not rendered again.

    Raises: BadUserInput where the variables do not fit, or leave nothing to say.
    """
    template = parse_template(version.template, _TEMPLATE)
    templates = [(MessageRole.USER, template)]
    if version.system_template is not None:
        system = parse_template(version.system_template, _SYSTEM_TEMPLATE)
        templates.insert(0, (MessageRole.SYSTEM, system))
    scalars = frozenset().union(*(template.scalars for _, template in templates))
    values = bind(version.variables, given, scalars)
    rendered = ((role, template.render(values)) for role, template in templates)
    messages = tuple(Message(role, text) for role, text in rendered if text.strip())
    if not messages or messages[-1].role is not MessageRole.USER:
        raise BadUserInput(
            "With these variables the prompt is empty; give the ones it prints.",
            path=("variables",),
        )
    return RenderedPrompt(version, messages, version.task, values, estimate_tokens(messages))


def bind(
    variables: Sequence[PromptVariable], given: JsonObject | None, scalars: Collection[str]
) -> JsonObject:
    """The values to render with: those ``given``, and the defaults of what is absent.

    ``scalars`` are the names that the templates print. Null is "absent" for an optional
    variable; an absent one without a default has no value and prints nothing.

    Raises: BadUserInput for names that the prompt does not declare, for required ones that
    are missing (all of them at once), and for values that cannot be printed.
    """
    given = _check_object(given)
    declared = {variable.name: variable for variable in variables}
    unknown = [name for name in given if name not in declared]
    if unknown:
        known = f"it takes {', '.join(declared)}" if declared else "it takes none"
        raise BadUserInput(
            f"The prompt has no variable {_listed(unknown)}; {known}.",
            path=("variables", _clipped(unknown[0])),
        )
    missing = [v.name for v in variables if v.is_required and v.name not in given]
    if missing:
        raise BadUserInput(
            f"The prompt needs {_listed(missing)}; give a value in variables for each.",
            path=("variables", missing[0]),
        )
    values: dict[str, JsonValue] = {}
    for name, variable in declared.items():
        value = given.get(name)
        if value is None and not variable.is_required:
            value = variable.default_value
            if value is None:
                continue
        expected = "a string, a number or a boolean" if name in scalars else "a value"
        if value is None or (name in scalars and not isinstance(value, str | int | float)):
            raise BadUserInput(
                f"variables.{name} must be {expected}; found {_kind(value)}.",
                path=("variables", name),
            )
        values[name] = value
    return values


def check_templates(
    template: str, system_template: str | None, variables: Sequence[PromptVariable]
) -> None:
    """Let a new version pass whose templates are well-formed and use declared variables only.

    Raises: BadUserInput; for templates with line and column.
    """
    names = [variable.name for variable in variables]
    for index, name in enumerate(names):
        path = ("variables", str(index), "name")
        if not _VARIABLE_NAME.fullmatch(name):
            raise BadUserInput("A variable's name has 1 to 64 letters, digits, _ or -.", path=path)
        if name in names[:index]:
            raise BadUserInput(f"The variable {name} is declared twice.", path=path)
    _check_declared(Template.parse(template, _TEMPLATE), names, _TEMPLATE)
    if system_template is not None:
        _check_declared(Template.parse(system_template, _SYSTEM_TEMPLATE), names, _SYSTEM_TEMPLATE)


def _check_declared(template: Template, names: Sequence[str], path: tuple[str, ...]) -> None:
    undeclared = sorted(template.variables.difference(names))
    if undeclared:
        raise BadUserInput(
            f"{path[0]} uses {_listed(undeclared)}, which variables does not declare.", path=path
        )


def _check_object(given: JsonObject | None) -> JsonObject:
    if given is None:
        return {}
    # Clients send any JSON here, whatever the type says.
    if not isinstance(given, dict):
        raise BadUserInput(
            f'variables must be an object, as in {{"text": "..."}}; found {_kind(given)}.',
            path=("variables",),
        )
    check_json(given, ("variables",))
    return given


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(_clipped(name) for name in names[:10])
    return shown if len(names) <= 10 else f"{shown} and {len(names) - 10} more"


def _clipped(name: str) -> str:
    return name if len(name) <= 64 else name[:64] + "…"


def _kind(value: object) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "a boolean"
        case int() | float():
            return "a number"
        case str():
            return "a string"
        case dict():
            return "an object"
        case _:
            return "a list"
