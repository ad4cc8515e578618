"""Says what is wrong with an input value without repeating the value.

graphql-core's messages end in "found: {...}", which would carry prompts into clients' logs and
answer a megabyte with a megabyte.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, Final, cast

from graphql import (
    SKIP,
    GraphQLEnumType,
    GraphQLError,
    GraphQLInputObjectType,
    GraphQLInputType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLScalarType,
    GraphQLSchema,
    Undefined,
    ValueNode,
    ValuesOfCorrectTypeRule,
    VariableDefinitionNode,
    VisitorAction,
    is_required_input_field,
    is_specified_scalar_type,
    type_from_ast,
    value_from_ast_untyped,
)
from graphql.utilities import validate_input_literal

Path = tuple[str | int, ...]

_MAX_PROBLEMS: Final = 10
_MAX_NAME: Final = 64


def explain_input(value: Any, type_: GraphQLInputType) -> Iterator[tuple[Path, str]]:
    """What is wrong with ``value``, which comes as no variable: the path in it, and a sentence.

    At most ten; the path is () where the whole of it is wrong.
    """
    for path, problem in islice(_explain(value, type_, ()), _MAX_PROBLEMS):
        yield path, f"{_dotted(path) or 'The value'} {problem}."


class _Known:
    """Stands for a variable inside a literal: it is checked on its own."""


def explain_variables(
    schema: GraphQLSchema,
    definitions: Iterable[VariableDefinitionNode],
    values: Mapping[str, Any],
) -> Iterator[tuple[VariableDefinitionNode, list[str | int], str]]:
    """What is wrong with ``values``: the variable, the path from its name on, and a sentence.

    At least one problem is named for each of ``definitions``, at most ten.
    """
    for definition in definitions:
        name = definition.variable.name.value
        type_ = cast("GraphQLInputType", type_from_ast(schema, definition.type))
        problems = list(islice(_explain(values.get(name, Undefined), type_, ()), _MAX_PROBLEMS))
        for path, problem in problems or [((), f"must be of type {type_}")]:
            yield definition, [name, *path], f"Variable ${_dotted((name, *path))} {problem}."


class ValuesOfCorrectType(ValuesOfCorrectTypeRule):
    """GraphQL's rule about literals, its messages without the literals.

    Source: https://spec.graphql.org/draft/#sec-Values-of-Correct-Type
    """

    def is_valid_value_node(
        self, node: ValueNode, input_type: GraphQLInputType | None
    ) -> VisitorAction:
        failures: list[GraphQLError] = []
        if input_type:
            validate_input_literal(node, input_type, lambda error, _path: failures.append(error))
        if failures and input_type:
            self.report_error(GraphQLError(_literal_problem(node, input_type), node))
        return SKIP


def _literal_problem(node: ValueNode, type_: GraphQLInputType) -> str:
    value = value_from_ast_untyped(node, _AnyVariable())
    for path, problem in _explain(value, type_, ()):
        return f"{_dotted(path) or 'The value'} {problem}."
    # JSON would pass, a literal does not: "1" for an Int, "RED" for an enum.
    return f"The value must be written as {type_}."


class _AnyVariable(dict[str, Any]):
    def __missing__(self, name: str) -> _Known:
        return _Known()

    def __contains__(self, name: object) -> bool:
        return True

    def get(self, name: str, default: Any = None) -> Any:  # noqa: ARG002 - dict's signature
        return self[name]


def _explain(value: Any, type_: GraphQLInputType, path: Path) -> Iterator[tuple[Path, str]]:
    if isinstance(value, _Known):
        return
    if isinstance(type_, GraphQLNonNull):
        if value is None or value is Undefined:
            yield path, f"is required and must be of type {type_}"
        else:
            yield from _explain(value, type_.of_type, path)
    elif value is None or value is Undefined:
        return
    elif isinstance(type_, GraphQLList):
        # GraphQL takes a single value for a list of one.
        if isinstance(value, Sequence) and not isinstance(value, str):
            for index, item in enumerate(value):
                yield from _explain(item, type_.of_type, (*path, index))
        else:
            yield from _explain(value, type_.of_type, path)
    elif isinstance(type_, GraphQLInputObjectType):
        yield from _explain_object(value, type_, path)
    else:
        yield from _explain_leaf(value, type_, path)


def _explain_object(
    value: Any, type_: GraphQLInputObjectType, path: Path
) -> Iterator[tuple[Path, str]]:
    if not isinstance(value, Mapping):
        yield path, f"must be an object of type {type_}"
        return
    for name, field in type_.fields.items():
        if name in value:
            yield from _explain(value[name], field.type, (*path, name))
        elif is_required_input_field(field):
            yield (*path, name), f"is required and must be of type {field.type}"
    for name in value:
        if name not in type_.fields:
            yield path, f"has no field {name[:_MAX_NAME]!r}, {type_} has {', '.join(type_.fields)}"
    if type_.is_one_of and len([name for name in value if name in type_.fields]) != 1:
        yield path, f"must have exactly one of {', '.join(type_.fields)}"


def _explain_leaf(
    value: Any, type_: GraphQLScalarType | GraphQLEnumType, path: Path
) -> Iterator[tuple[Path, str]]:
    try:
        fits = type_.coerce_input_value(value) is not Undefined
    except Exception:  # noqa: BLE001 - a scalar may raise anything; graphql-core takes it as "no"
        fits = False
    if fits:
        return
    if isinstance(type_, GraphQLEnumType):
        yield path, f"must be one of {', '.join(type_.values)}"
    elif is_specified_scalar_type(type_) or not type_.description:
        yield path, f"must be of type {type_}"
    else:
        # Its exception would say more, and might say what it was given.
        yield path, f"must be of type {type_}: {type_.description.rstrip('.')}"


def _dotted(path: Path) -> str:
    return "".join(
        f"[{part}]" if isinstance(part, int) else f".{part}" if index else str(part)
        for index, part in enumerate(path)
    )
