"""What a document may ask for, and that hostile ones cost little."""

from __future__ import annotations

import sys
import time
from collections import Counter
from types import CodeType, FrameType
from typing import Any

import graphql
import pytest
from graphql import (
    GraphQLObjectType,
    GraphQLSchema,
    get_introspection_query,
    get_named_type,
    get_nullable_type,
    is_list_type,
)

from assistant.api.federation import SubgraphSchema
from assistant.api.limits import Limits
from assistant.api.schema import create_schema
from tests.api.in_process import codes, messages, run
from tests.api.small_schema import create_small_schema

TOO_MUCH = ["GRAPHQL_VALIDATION_FAILED"]


@pytest.fixture(scope="module")
def schema() -> SubgraphSchema:
    return create_small_schema()


def nested(levels: int) -> str:
    """``levels`` levels of fields, ``depth`` being the last."""
    return "{ " + "tree { " * (levels - 1) + "depth" + " }" * levels


def fragments(count: int, body: str, last: str) -> str:
    """Fragments F0 to F<count>; ``body`` names the next one as NEXT."""
    return " ".join(
        f"fragment F{n} on Tree {{ {body.replace('NEXT', f'F{n + 1}')} }}" for n in range(count)
    ) + (f" fragment F{count} on Tree {{ {last} }}")


# --- depth, aliases, fields, directives


async def test_an_operation_may_be_12_levels_deep(schema: SubgraphSchema) -> None:
    assert (await run(schema, nested(12))).errors is None


async def test_an_operation_of_13_levels_is_refused_with_what_to_do(schema: SubgraphSchema) -> None:
    result = await run(schema, nested(13))

    assert codes(result) == TOO_MUCH
    assert messages(result) == [
        "An operation may have 12 levels of fields, fragments included; this one has more: "
        "ask for less, or in several operations."
    ]


async def test_fragments_do_not_hide_depth(schema: SubgraphSchema) -> None:
    query = "{ tree { ...F0 } } " + fragments(11, "tree { ...NEXT }", "depth")
    assert codes(await run(schema, query)) == TOO_MUCH

    query = "{ tree { ...F0 } } " + fragments(10, "tree { ...NEXT }", "depth")
    assert (await run(schema, query)).errors is None


async def test_inline_fragments_are_no_levels(schema: SubgraphSchema) -> None:
    query = "{ tree { " + "... on Tree { " * 20 + "depth" + " }" * 22
    assert (await run(schema, query)).errors is None


@pytest.mark.parametrize(("count", "expected"), [(30, []), (31, TOO_MUCH)])
async def test_an_operation_may_have_30_aliases(
    schema: SubgraphSchema, count: int, expected: list[str]
) -> None:
    aliases = " ".join(f"a{n}: depth" for n in range(count))

    assert codes(await run(schema, f"{{ tree {{ {aliases} }} }}")) == expected
    query = f"{{ tree {{ ...F }} }} fragment F on Tree {{ {aliases} }}"
    assert codes(await run(schema, query)) == expected


@pytest.mark.parametrize(("count", "expected"), [(50, []), (51, TOO_MUCH)])
async def test_an_operation_may_repeat_itself_50_times(
    schema: SubgraphSchema, count: int, expected: list[str]
) -> None:
    assert codes(await run(schema, "{ hello" + " hello" * count + " }")) == expected
    query = "{ hello" + " ... on Query { hello }" * count + " }"
    assert codes(await run(schema, query)) == expected


@pytest.mark.parametrize(("count", "expected"), [(50, []), (51, TOO_MUCH)])
async def test_an_operation_may_have_50_directives(
    schema: SubgraphSchema, count: int, expected: list[str]
) -> None:
    fields = [f"f{n}: depth @include(if: true)" for n in range(min(count, 25))]
    fragments_ = ["... on Tree @include(if: true) { depth }" for _ in range(count - 25)]
    query = "{ tree { " + " ".join(fields + fragments_) + " } }"

    assert codes(await run(schema, query)) == expected


async def test_a_document_of_more_than_2000_tokens_is_not_parsed_to_its_end(
    schema: SubgraphSchema,
) -> None:
    result = await run(schema, "{" + " hello" * 2_000 + "} {")

    assert codes(result) == ["GRAPHQL_PARSE_FAILED"]
    assert "more than 2000 tokens" in messages(result)[0]


async def test_a_document_has_100_000_characters_and_longer_texts_belong_in_variables(
    schema: SubgraphSchema,
) -> None:
    result = await run(schema, f'{{ echo(text: "{"x" * 100_000}") }}')
    assert codes(result) == ["GRAPHQL_PARSE_FAILED"]

    query = "query($t: String!) { echo(text: $t) }"
    assert (await run(schema, query, {"t": "x" * 100_000})).errors is None


async def test_the_introspection_of_graphiql_passes(schema: SubgraphSchema) -> None:
    query = get_introspection_query(
        descriptions=True,
        specified_by_url=True,
        directive_is_repeatable=True,
        schema_description=True,
        input_value_deprecation=True,
    )
    assert (await run(schema, query)).errors is None


async def test_introspection_cannot_go_in_circles(schema: SubgraphSchema) -> None:
    circle = "fields { type { " * 4 + "name" + " } }" * 4
    result = await run(schema, f"{{ __schema {{ types {{ {circle} }} }} }}")

    assert codes(result) == TOO_MUCH


# --- money


@pytest.mark.parametrize(
    "query",
    [
        "mutation { a: generateCompletion b: generateCompletion }",
        "mutation { generateCompletion b: generateCompletion @skip(if: true) }",
        "mutation { generateCompletion createEmbeddings }",
        "mutation { generateCompletion testPromptVersion }",
        "mutation { a: generateCompletion ...F } fragment F on Mutation { b: generateCompletion }",
        "mutation { ...F ... on Mutation { a: generateCompletion } } "
        "fragment F on Mutation { ...G } fragment G on Mutation { generateCompletion }",
    ],
)
async def test_an_operation_runs_one_completion_whatever_it_is_called(
    schema: SubgraphSchema, query: str
) -> None:
    result = await run(schema, query)

    assert codes(result) == TOO_MUCH
    assert (
        "An operation may run one completion, or embed once, or run tests once; this one asks for 2"
        in messages(result)[0]
    )


@pytest.mark.parametrize(
    "query",
    [
        "mutation { generateCompletion }",
        "mutation { answer: generateCompletion }",
        "mutation { generateCompletion ...F } fragment F on Mutation { generateCompletion }",
    ],
)
async def test_one_completion_asked_for_twice_is_one(schema: SubgraphSchema, query: str) -> None:
    assert (await run(schema, query)).errors is None


async def test_the_fields_that_cost_money_are_an_argument() -> None:
    schema = create_small_schema(Limits(paid_fields=frozenset({"hello"})))

    assert codes(await run(schema, "{ hello other: hello }")) == TOO_MUCH
    assert (await run(schema, "mutation { a: generateCompletion b: generateCompletion }")).data


# --- pages


@pytest.mark.parametrize("first", ["1", "20", "100"])
async def test_a_page_has_1_to_100_items(schema: SubgraphSchema, first: str) -> None:
    literal = await run(schema, f"{{ books(first: {first}) {{ nodes {{ id }} }} }}")
    assert literal.data is not None
    assert len(literal.data["books"]["nodes"]) == int(first)

    query = "query($n: Int) { books(first: $n) { nodes { id } } }"
    assert (await run(schema, query, {"n": int(first)})).data == literal.data


async def test_a_page_that_is_not_asked_for_has_20_items(schema: SubgraphSchema) -> None:
    for query in (
        "{ books { nodes { id } } }",
        "query($n: Int) { books(first: $n) { nodes { id } } }",
    ):
        data = (await run(schema, query)).data
        assert data is not None
        assert len(data["books"]["nodes"]) == 20


@pytest.mark.parametrize("first", ["0", "-1", "101", "null", "9999999999999999999999"])
async def test_a_page_of_another_size_is_refused_wherever_it_is_said(
    schema: SubgraphSchema, first: str
) -> None:
    for query in (
        f"{{ books(first: {first}) {{ nodes {{ id }} }} }}",
        f"{{ ...F }} fragment F on Query {{ tree {{ trees(first: {first}) {{ depth }} }} }}",
        f"query($n: Int = {first}) {{ books(first: $n) {{ nodes {{ id }} }} }}",
    ):
        result = await run(schema, query)
        assert codes(result) == ["BAD_USER_INPUT"]
        assert messages(result) == ["first must be 1 to 100."] or "$n" in query


@pytest.mark.parametrize("first", [0, -1, 101, None, 1e300, "1", True, [1]])
async def test_a_variable_page_of_another_size_is_refused(
    schema: SubgraphSchema, first: object
) -> None:
    query = "query($n: Int) { tree { ...F } } fragment F on Tree { trees(first: $n) { depth } }"
    result = await run(schema, query, {"n": first})

    assert codes(result) == ["BAD_USER_INPUT"]
    assert messages(result) == ["Variable $n must be 1 to 100."]
    assert (result.errors or [])[0].extensions == {"code": "BAD_USER_INPUT", "inputPath": ["n"]}


# --- hostile documents


@pytest.mark.parametrize(
    "query",
    [
        "{ tree { ...F0 } } " + fragments(60, "...NEXT ...NEXT ...NEXT", "depth"),
        "{ tree { ...F0 } } " + fragments(60, "a: tree { ...NEXT } b: tree { ...NEXT }", "depth"),
        "{ tree { ...F0 } } " + fragments(150, "tree { ...NEXT }", "depth"),
        "{ tree { ...F0 } } " + fragments(200, "...NEXT", "depth"),
        "{ tree { ...A } } fragment A on Tree { ...B } fragment B on Tree { ...A }",
        "{ tree { ...A } } fragment A on Tree { tree { ...A } }",
        "{ ...A } fragment A on Query { ...A }",
        "{ ...Nowhere }",
        nested(190),
        nested(400),
        "{ anything(value: " + "[" * 900 + "]" * 900 + ") }",
        "{" + " hello" * 1_900 + "}",
        "{" + " tree { depth }" * 450 + "}",
        "{" + " ... on Query { tree { tree { depth } } }" * 140 + "}",
        "{" + "".join(f" a{n}: hello" for n in range(600)) + "}",
        "{" + "".join(f" a{n}" for n in range(1_900)) + "}",
        "{ hello " + "@skip(if: false) " * 280 + "}",
        "{ hello " + "@a " * 900 + "}",
        "".join(f"query Q{n} {{ hello }} " for n in range(380)),
        "{ " + "h" * 900_000 + " }",
        "{ hello } " + "#\n" * 400_000,
        "{ hello @" + "\n" * 900_000,
    ],
    ids=range(22),
)
async def test_a_hostile_document_is_refused_quickly_and_briefly(
    schema: SubgraphSchema, query: str
) -> None:
    started = time.process_time()
    result = await run(schema, query)
    took_s = time.process_time() - started

    assert result.errors
    assert took_s < 1.0  # each takes a hundredth of this; an exponential one would take years
    assert len(str([error.formatted for error in result.errors])) < 5_000


async def test_an_exponential_document_within_every_other_limit_is_refused(
    schema: SubgraphSchema,
) -> None:
    body = "tree { ...NEXT } trees { ...NEXT } "
    query = "{ tree { ...F0 } } " + fragments(10, body, "depth")
    result = await run(schema, query)

    assert codes(result) == TOO_MUCH
    assert "2000 fields" in messages(result)[0]


# --- memory


async def test_the_same_document_is_neither_parsed_nor_validated_again(
    schema: SubgraphSchema,
) -> None:
    query = "query Once($t: String!) { echo(text: $t) }"
    with_calls = Counter[str]()
    watched: dict[CodeType, str] = {
        graphql.language.parser.Parser.parse_document.__code__: "parse",
        graphql.validation.validate.__code__: "validate",
    }

    def count(frame: FrameType, event: str, _arg: Any) -> None:
        if event == "call" and frame.f_code in watched:
            with_calls[watched[frame.f_code]] += 1

    sys.setprofile(count)
    try:
        for text in ("a", "b", "c"):
            assert (await run(schema, query, {"t": text})).data == {"echo": text}
    finally:
        sys.setprofile(None)

    assert with_calls == {"parse": 1, "validate": 1}


async def test_a_remembered_document_is_still_judged_for_each_request(
    schema: SubgraphSchema,
) -> None:
    query = "query($n: Int) { books(first: $n) { nodes { id } } __schema { __typename } }"

    assert (await run(schema, query, {"n": 1})).errors is None
    assert codes(await run(schema, query, {"n": 1}, authenticated=False)) == ["UNAUTHENTICATED"]
    assert codes(await run(schema, query, {"n": 500})) == ["BAD_USER_INPUT"]
    assert (await run(schema, query, {"n": 1})).errors is None


async def test_a_wrong_document_stays_wrong(schema: SubgraphSchema) -> None:
    for _ in range(3):
        assert codes(await run(schema, "{ nope }")) == TOO_MUCH
        assert codes(await run(schema, "{ hello(")) == ["GRAPHQL_PARSE_FAILED"]


# --- lists that lead back to themselves


@pytest.mark.parametrize(
    "query",
    [
        "{ availableModels { provider { models { provider { models { id } } } } } }",
        "{ providers { models { provider { ...P } } } } fragment P on Provider { models { id } }",
        '{ promptByName(name: "x") { versions { nodes { prompt { versions { nodes { id } } } } } } }',
        '{ promptByName(name: "x") { rollout { version { prompt { rollout { weight } } } } } }',
        '{ promptByName(name: "x") { performance { byVersion { promptVersion { prompt { '
        "performance { byVersion { requests } } } } } } } }",
        '{ promptByName(name: "x") { version(number: 1) { testRuns { promptVersion { '
        "testRuns { id } } } } } }",
        '{ promptByName(name: "x") { releases { nodes { shares { version { prompt { '
        "releases { nodes { id } } } } } } } } }",
    ],
)
async def test_a_list_is_not_asked_for_within_itself(query: str) -> None:
    result = await run(create_schema(), query)

    assert codes(result) == TOO_MUCH
    assert "within" in messages(result)[0]


@pytest.mark.parametrize(
    "query",
    [
        "{ prompts { nodes { versions { nodes { testRuns { id } } } } } }",
        "{ prompts { nodes { releases { nodes { shares { version { testRuns { id } } } } } } } }",
        "{ prompts { nodes { ...P } } } fragment P on Prompt { versions { nodes { prompt { "
        "rollout { weight } } } } }",
        '{ _entities(representations: [{__typename: "Prompt", name: "x"}]) { ... on Prompt { '
        "versions { nodes { testRuns { id } } } } } }",
    ],
)
async def test_three_long_lists_are_not_asked_for_within_one_another(query: str) -> None:
    result = await run(create_schema(), query)

    assert codes(result) == TOO_MUCH
    assert "2 long lists within one another" in messages(result)[0]


@pytest.mark.parametrize(
    "query",
    [
        "{ prompts { nodes { versions { nodes { id } } rollout { weight } tests { id } "
        "releases { nodes { shares { weight } } } performance { byVersion { requests } } } } }",
        '{ promptByName(name: "x") { versions { nodes { testRuns { results { caseName } } } } } }',
    ],
)
async def test_two_long_lists_within_one_another_are_not_too_many(query: str) -> None:
    assert codes(await run(create_schema(), query, authenticated=False)) == ["UNAUTHENTICATED"]


def test_no_other_list_of_the_schema_leads_back_to_itself() -> None:
    schema = create_schema()._schema
    loops = [
        f"{type_.name}.{name}"
        for type_ in schema.type_map.values()
        # Of introspection GraphQL bounds the depth by a rule of its own.
        if isinstance(type_, GraphQLObjectType) and not type_.name.startswith("__")
        for name, field in type_.fields.items()
        if is_list_type(get_nullable_type(field.type))
        and name not in Limits().list_fields
        and type_.name in reached(schema, get_named_type(field.type).name)
    ]
    assert loops == []


def reached(schema: GraphQLSchema, start: str) -> set[str]:
    """The object types that can be got to from ``start`` without a field that is bounded."""
    found, waiting = set[str](), [start]
    while waiting:
        type_ = schema.type_map[waiting.pop()]
        if isinstance(type_, GraphQLObjectType) and type_.name not in found:
            found.add(type_.name)
            waiting += [
                get_named_type(field.type).name
                for name, field in type_.fields.items()
                if name not in Limits().list_fields
            ]
    return found
