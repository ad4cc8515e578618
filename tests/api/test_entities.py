"""Entities by reference: each on its own, all keys in one batch, nothing leaking."""

from __future__ import annotations

import json
from typing import Any

import pytest
import strawberry
import strawberry.federation as fed
from graphql import build_schema, print_schema
from strawberry.types import ExecutionResult
from structlog.testing import capture_logs

from assistant.api.federation import SubgraphSchema
from tests.api.in_process import codes, messages, run
from tests.api.small_schema import SECRET, Probe, create_small_schema

ENTITIES = """
query($representations: [_Any!]!) {
  _entities(representations: $representations) {
    __typename
    ... on Book { id title }
    ... on Stamp { serial }
  }
}
"""


@pytest.fixture(scope="module")
def schema() -> SubgraphSchema:
    return create_small_schema()


async def entities(
    schema: SubgraphSchema, *representations: object, probe: Probe | None = None
) -> ExecutionResult:
    return await run(schema, ENTITIES, {"representations": list(representations)}, probe=probe)


def book(id_: object) -> dict[str, object]:
    return {"__typename": "Book", "id": id_}


def titles(result: ExecutionResult) -> list[Any]:
    assert result.data is not None
    return [entity and entity.get("title") for entity in result.data["_entities"]]


async def test_the_keys_of_one_call_are_looked_up_in_one_batch(schema: SubgraphSchema) -> None:
    probe = Probe()
    result = await entities(schema, *(book(str(n)) for n in range(50)), probe=probe)

    assert titles(result) == [f"Book {n}" for n in range(50)]
    assert probe.batches == [[str(n) for n in range(50)]]


async def test_any_of_its_keys_identifies_an_entity(schema: SubgraphSchema) -> None:
    result = await entities(
        schema,
        {"__typename": "Book", "title": "Moby Dick"},
        {"__typename": "Book", "id": "1", "title": None},
        {"__typename": "Stamp", "serial": 7},
    )

    assert result.errors is None
    assert result.data is not None
    assert result.data["_entities"] == [
        {"__typename": "Book", "id": "titled Moby Dick", "title": "Book titled Moby Dick"},
        {"__typename": "Book", "id": "1", "title": "Book 1"},
        {"__typename": "Stamp", "serial": 7},
    ]


async def test_what_does_not_exist_is_null_without_an_error(schema: SubgraphSchema) -> None:
    result = await entities(schema, book("missing"), book("1"))

    assert result.errors is None
    assert titles(result) == [None, "Book 1"]


@pytest.mark.parametrize(
    ("representation", "message"),
    [
        (3, "A representation must be an object."),
        ([], "A representation must be an object."),
        ({}, "A representation's __typename must name an entity."),
        ({"__typename": "Nothing", "id": "1"}, "A representation's __typename must name an entity."),
        ({"__typename": "Query"}, "A representation's __typename must name an entity."),
        ({"__typename": "Tree", "depth": 1}, "A representation's __typename must name an entity."),
        ({"__typename": ["Book"]}, "A representation's __typename must name an entity."),
        ({"__typename": "Book"}, "A representation of Book needs id or title."),
        ({"__typename": "Book", "id": None}, "A representation of Book needs id or title."),
        ({"__typename": "Book", "info": 1}, "A representation of Book needs id or title."),
        (book({"a": SECRET}), "A representation of Book has the wrong type of id."),
        ({"__typename": "Book", "title": 5}, "A representation of Book has the wrong type of title."),
        (
            {"__typename": "Stamp", "serial": SECRET},
            "A representation of Stamp has the wrong type of serial.",
        ),
    ],
)  # fmt: skip
async def test_a_bad_representation_is_an_error_beside_the_answers_to_others(
    schema: SubgraphSchema, representation: object, message: str
) -> None:
    with capture_logs() as logs:
        result = await entities(schema, book("1"), representation, book("2"))

    assert titles(result) == ["Book 1", None, "Book 2"]
    assert codes(result) == ["BAD_USER_INPUT"]
    assert messages(result) == [message]
    assert (result.errors or [])[0].path == ["_entities", 1]
    assert not logs


async def test_a_number_identifies_where_an_id_is_a_text(schema: SubgraphSchema) -> None:
    assert titles(await entities(schema, book(12))) == ["Book 12"]


async def test_unknown_fields_of_a_representation_are_ignored(schema: SubgraphSchema) -> None:
    result = await entities(
        schema, book("1") | {"price": 3, "info": {}, "self": 1, "cls": 1, "__proto__": {}}
    )

    assert result.errors is None
    assert titles(result) == ["Book 1"]


async def test_an_entity_that_is_refused_or_breaks_does_not_take_the_others_with_it(
    schema: SubgraphSchema,
) -> None:
    with capture_logs() as logs:
        result = await entities(schema, book("1"), book("forbidden"), book("broken"), book("2"))

    assert titles(result) == ["Book 1", None, None, "Book 2"]
    assert sorted(codes(result)) == ["INTERNAL_SERVER_ERROR", "NOT_FOUND"]
    assert SECRET not in json.dumps([error.formatted for error in result.errors or ()])
    assert len(logs) == 1


@pytest.mark.parametrize(("count", "expected"), [(500, []), (501, ["BAD_USER_INPUT"])])
async def test_a_call_may_have_500_representations(
    schema: SubgraphSchema, count: int, expected: list[str]
) -> None:
    probe = Probe()
    result = await entities(schema, *(book(str(n)) for n in range(count)), probe=probe)

    assert codes(result) == expected
    assert len(probe.batches) == (0 if expected else 1)


async def test_representations_may_be_written_into_the_document(schema: SubgraphSchema) -> None:
    query = """{ _entities(representations: [{__typename: "Book", id: "1"}]) { ... on Book { title } } }"""
    result = await run(schema, query)

    assert result.data == {"_entities": [{"title": "Book 1"}]}


@fed.type(keys=["id"])
class Orphan:
    id: strawberry.ID


@strawberry.type
class OrphanQuery:
    orphan: Orphan


def test_an_entity_without_resolve_reference_stops_the_start() -> None:
    with pytest.raises(TypeError, match="Orphan has a @key and needs a resolve_reference"):
        SubgraphSchema(query=OrphanQuery)


# --- SDL


def test_the_sdl_extends_the_schema_with_federation_2_9(schema: SubgraphSchema) -> None:
    first_line = schema.as_str().splitlines()[0]

    assert first_line == (
        'extend schema @link(url: "https://specs.apollo.dev/federation/v2.9", '
        'import: ["@cost", "@key", "@listSize", "@shareable"])'
    )


def test_the_sdl_says_what_gateways_need_and_not_what_they_add(schema: SubgraphSchema) -> None:
    sdl = schema.as_str()

    assert 'type Book @key(fields: "id") @key(fields: "title") {' in sdl
    assert "type PageInfo @shareable {" in sdl
    assert "@cost(weight: 100)" in sdl
    assert "@listSize(assumedSize: 5)" in sdl
    assert (
        '@listSize(slicingArguments: ["first"], sizedFields: ["edges", "nodes"], '
        "requireOneSlicingArgument: false)"
    ) in sdl
    assert "first: Int = 20" in sdl
    for machinery in ("_Any", "_Entity", "_entities", "_Service", "_service", "node("):
        assert machinery not in sdl


def test_the_sdl_is_the_same_text_for_the_same_types(schema: SubgraphSchema) -> None:
    assert create_small_schema().as_str() == schema.as_str()
    assert str(schema) == schema.as_str()


def test_the_sdl_is_a_schema(schema: SubgraphSchema) -> None:
    definitions = """
        directive @link(url: String, import: [String]) on SCHEMA
        directive @key(fields: String) repeatable on OBJECT
        directive @shareable on OBJECT
        directive @cost(weight: Int) on FIELD_DEFINITION
        directive @listSize(assumedSize: Int, slicingArguments: [String], sizedFields: [String],
          requireOneSlicingArgument: Boolean) on FIELD_DEFINITION
    """
    built = build_schema(definitions + schema.as_str())

    assert "type Subscription" in print_schema(built)


async def test_a_gateway_reads_the_same_sdl(schema: SubgraphSchema) -> None:
    result = await run(schema, "{ _service { sdl } }")

    assert result.data == {"_service": {"sdl": schema.as_str()}}
