"""What prompts take from their callers: names, types, defaults."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NoReturn

from assistant.domain.prompt import PromptVariable, VariableType
from assistant.domain.values import JsonObject, JsonValue, check_json, check_text
from assistant.errors import BadUserInput

_NAME = re.compile(r"[\w-]{1,64}")  # what a template can print without dots
_EXPECTED = {
    VariableType.STRING: "a string",
    VariableType.INTEGER: "a whole number, without a decimal point",
    VariableType.NUMBER: "a number",
    VariableType.BOOLEAN: "a boolean",
    VariableType.LIST: "a list",
    VariableType.OBJECT: "an object",
}
_EXAMPLES = {
    VariableType.INTEGER: "3",
    VariableType.NUMBER: "0.5",
    VariableType.BOOLEAN: "true",
    VariableType.LIST: '["a", "b"]',
    VariableType.OBJECT: '{"a": 1}',
}


@dataclass(frozen=True, slots=True)
class Variables:
    """The variables of one version, with the values of their defaults.

    ``printed`` are the names that its templates print as they are: a value of ANY type must be a
    string, a number or a boolean for that. Where LIST or OBJECT was declared, JSON is printed.
    """

    declared: Mapping[str, PromptVariable]
    printed: Collection[str]
    defaults: JsonObject

    @staticmethod
    def of(variables: Sequence[PromptVariable], printed: Collection[str]) -> Variables:
        """Raises BadUserInput for a default that is not what the variable's type asks for."""
        return Variables(
            declared={variable.name: variable for variable in variables},
            printed=printed,
            defaults={
                variable.name: _read_default(variable, ("variables", variable.name))
                for variable in variables
                if variable.default_value is not None
            },
        )

    def bind(self, given: JsonObject | None) -> JsonObject:
        """The values to render with: those ``given``, and the defaults of what is absent.

        Null is "absent" for an optional variable; an absent one without a default has no value
        and prints nothing.

        Raises: BadUserInput with everything that is wrong: names that the prompt does not
        declare, required ones that are missing, values that are not of their type or cannot be
        printed.
        """
        given = _check_object(given)
        problems: list[BadUserInput] = []
        unknown = [name for name in given if name not in self.declared]
        if unknown:
            problems.append(self._unknown(unknown))
        missing: list[str] = []
        values: dict[str, JsonValue] = {}
        for name, variable in self.declared.items():
            value = given.get(name)
            if value is not None or (variable.is_required and name in given):
                if self._fits(value, variable):
                    values[name] = value
                else:
                    problems.append(self._unfit(value, variable))
            elif variable.is_required:
                missing.append(name)
            elif name in self.defaults:
                values[name] = self.defaults[name]
        if missing:
            problems.append(
                BadUserInput(
                    f"The prompt needs {listed(missing)}; give a value in variables for each.",
                    path=("variables", missing[0]),
                )
            )
        if problems:
            raise BadUserInput.joined(problems)
        return values

    def _fits(self, value: JsonValue, variable: PromptVariable) -> bool:
        if variable.type is not VariableType.ANY:
            return _is_of_type(value, variable.type)
        if variable.name in self.printed:
            return isinstance(value, str | int | float)
        return value is not None

    def _unknown(self, names: Sequence[str]) -> BadUserInput:
        known = f"it takes {', '.join(self.declared)}" if self.declared else "it takes none"
        return BadUserInput(
            f"The prompt has no variable {listed(names)}; {known}.",
            path=("variables", clipped(names[0])),
        )

    def _unfit(self, value: JsonValue, variable: PromptVariable) -> BadUserInput:
        printed = "a string, a number or a boolean" if variable.name in self.printed else "a value"
        expected = _EXPECTED.get(variable.type, printed)
        return BadUserInput(
            f"variables.{variable.name} must be {expected}; found {_kind(value)}.",
            path=("variables", variable.name),
        )


def check_variable_name(name: str, path: tuple[str, ...]) -> None:
    """Let a name pass that a variable can have. Raises BadUserInput."""
    if not _NAME.fullmatch(name):
        raise BadUserInput("A variable's name has 1 to 64 letters, digits, _ or -.", path=path)


def find_variable_problems(variables: Sequence[PromptVariable]) -> Iterable[BadUserInput]:
    """What is wrong with the names and defaults of a new version's variables, one by one."""
    seen: set[str] = set()
    for index, variable in enumerate(variables):
        name, path = variable.name, ("variables", str(index), "name")
        try:
            check_variable_name(name, path)
            if name in seen:
                raise BadUserInput(f"The variable {name} is declared twice.", path=path)
        except BadUserInput as problem:
            yield problem
        seen.add(name)
        if variable.default_value is None:
            continue
        path = ("variables", str(index), "defaultValue")
        if variable.is_required:
            yield BadUserInput(
                f"{clipped(name)} is required and needs no default: a caller always gives it. "
                "Make it optional or leave out its default.",
                path=path,
            )
            continue
        try:
            _read_default(variable, path)
        except BadUserInput as problem:
            yield problem


def _read_default(variable: PromptVariable, path: tuple[str, ...]) -> JsonValue:
    text = variable.default_value or ""
    if variable.type in (VariableType.ANY, VariableType.STRING):
        check_text(text, path)
        return text
    try:
        value: JsonValue = json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        value = None
    if not _is_of_type(value, variable.type):
        raise BadUserInput(
            f"The default of {clipped(variable.name)} must be {_EXPECTED[variable.type]}, written as JSON: "
            f"{_EXAMPLES[variable.type]}",
            path=path,
        )
    check_json(value, path)
    return value


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _is_of_type(value: JsonValue, type_: VariableType) -> bool:
    match type_:
        case VariableType.ANY:
            return value is not None
        case VariableType.STRING:
            return isinstance(value, str)
        case VariableType.INTEGER:  # Python's booleans are integers, JSON's are not
            return isinstance(value, int) and not isinstance(value, bool)
        case VariableType.NUMBER:
            return isinstance(value, int | float) and not isinstance(value, bool)
        case VariableType.BOOLEAN:
            return isinstance(value, bool)
        case VariableType.LIST:
            return isinstance(value, list | tuple)
        case VariableType.OBJECT:
            return isinstance(value, dict)


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


def listed(names: Sequence[str]) -> str:
    """Names for a message: ten of them at most, none too long."""
    shown = ", ".join(clipped(name) for name in names[:10])
    return shown if len(names) <= 10 else f"{shown} and {len(names) - 10} more"


def clipped(name: str) -> str:
    """A name for a message, cut where nobody reads on."""
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
