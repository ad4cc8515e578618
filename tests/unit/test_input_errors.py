"""Custom scalars explain themselves without repeating what they were given."""

from __future__ import annotations

from typing import NoReturn

from graphql import GraphQLScalarType, build_schema, parse
from graphql.language import OperationDefinitionNode

from assistant.api.input_errors import explain_variables


def refuse(value: object) -> NoReturn:
    raise ValueError(f"{value!r} is not a moment")


def explained(variable_type: str, value: object) -> list[tuple[list[str | int], str]]:
    schema = build_schema(
        '"RFC 3339 timestamp in UTC." scalar DateTime scalar Bare '
        "input Range { from: DateTime! to: DateTime } type Query { a(r: Range): Int }"
    )
    for name in ("DateTime", "Bare"):
        scalar = schema.type_map[name]
        assert isinstance(scalar, GraphQLScalarType)
        scalar.coerce_input_value = refuse  # type: ignore[method-assign]
    operation = parse(f"query($v: {variable_type}) {{ a }}").definitions[0]
    assert isinstance(operation, OperationDefinitionNode)
    return [
        (path, message)
        for _, path, message in explain_variables(
            schema, operation.variable_definitions or (), {"v": value}
        )
    ]


def test_a_scalars_description_says_what_it_takes() -> None:
    assert explained("DateTime", "yesterday, in secret") == [
        (["v"], "Variable $v must be of type DateTime: RFC 3339 timestamp in UTC.")
    ]


def test_a_scalar_without_description_is_named() -> None:
    assert explained("Bare", "secret") == [(["v"], "Variable $v must be of type Bare.")]


def test_every_wrong_place_is_named() -> None:
    problems = explained("[Range]", [{"from": "x"}, {"to": "y"}])

    assert [path for path, _ in problems] == [["v", 0, "from"], ["v", 1, "from"], ["v", 1, "to"]]


def test_a_problem_that_cannot_be_found_again_still_names_the_variable() -> None:
    assert explained("Range", None) == [(["v"], "Variable $v must be of type Range.")]


def test_at_most_ten_problems_are_named() -> None:
    assert len(explained("[DateTime]", ["x"] * 1_000)) == 10
