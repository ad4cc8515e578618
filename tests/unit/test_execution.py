"""Operations are executed as graphql-core would, and streams leave nothing behind."""

from __future__ import annotations

import asyncio
import tracemalloc
from collections.abc import AsyncIterator
from contextlib import aclosing
from enum import StrEnum
from types import SimpleNamespace
from typing import Any, cast

import pytest
import strawberry
from strawberry.schema.schema import StrawberryGraphQLCoreExecutionContext

from assistant.adapters.clock import SystemClock
from assistant.api.context import Context
from assistant.api.execution import Execution
from assistant.api.schema import create_schema
from assistant.domain.caller import Caller
from assistant.domain.completion import CompletionStarted, TextDelta
from tests.unit.replicas import Replicas

Colour = strawberry.enum(StrEnum("Colour", ["RED"]))  # type: ignore[misc]


@strawberry.interface
class Thing:
    name: str


@strawberry.type
class Plain(Thing):
    count: int | None = None
    colour: Colour | None = None  # type: ignore[valid-type]
    id: strawberry.ID = strawberry.ID("1")


@strawberry.type
class Mixed(Thing):
    parts: list[Plain]

    @strawberry.field
    async def later(self, times: int = 1) -> str:
        return self.name * times


def things() -> list[Thing]:
    return [
        Plain(name="a", count=1, colour=Colour.RED),
        Mixed(name="b", parts=[Plain(name="c"), Plain(name="d", count=2)]),
    ]


def broken(what: str) -> Plain:
    plain = Plain(name="e")
    setattr(plain, what, {"name": None, "count": "many", "colour": "BLUE"}[what])
    return plain


@strawberry.type
class Query:
    @strawberry.field
    def things(self) -> list[Thing]:
        return things()

    @strawberry.field
    def numbers(self) -> list[list[float]]:
        return [[0.5, -1e-9], [], [1, 0.5], (0.25,)]  # type: ignore[list-item]

    @strawberry.field
    def no_numbers(self, last: str) -> list[float] | None:
        return [0.5, float(last) if last != "null" else None]  # type: ignore[list-item]

    @strawberry.field
    def parts(self, last: str) -> list[Plain | None]:
        ends: dict[str, Any] = {"null": None, "other": Mixed(name="f", parts=[])}
        return [Plain(name="c"), ends[last] if last in ends else broken(last)]

    @strawberry.field
    def broken(self, what: str) -> Plain | None:
        return broken(what)


@strawberry.type
class Subscription:
    @strawberry.subscription
    async def things(self) -> AsyncIterator[Thing]:
        for thing in [*things(), broken("count"), *things(), broken("name")]:
            yield thing


OURS, STOCK = (
    strawberry.Schema(
        Query,
        subscription=Subscription,
        types=[Plain, Mixed],
        execution_context_class=execution_class,
    )
    for execution_class in (Execution, StrawberryGraphQLCoreExecutionContext)
)

SELECTIONS = """{
  __typename again: name name
  ... on Plain { count colour id kind: __typename }
  ... on Mixed { later(times: 2) parts { ...part } }
}"""
PART = "fragment part on Plain { name @skip(if: $short) count @include(if: $short) }"


async def results(schema: strawberry.Schema, query: str, short: bool) -> list[object]:
    stream: Any = await schema.stream(query, variable_values={"short": short})
    return [
        (result.data, [error.formatted for error in result.errors or ()]) async for result in stream
    ]


@pytest.mark.parametrize("short", [False, True])
@pytest.mark.parametrize(
    "operation",
    [
        f"query ($short: Boolean!) {{ things {SELECTIONS} }}",
        f"subscription ($short: Boolean!) {{ mine: things {SELECTIONS} }}",
        *(
            f'query ($short: Boolean!) {{ broken(what: "{what}") {{ ...part {what} }} }}'
            for what in ("name", "count", "colour")
        ),
    ],
)
async def test_answers_and_errors_are_those_of_graphql_core(operation: str, short: bool) -> None:
    document = operation + PART

    ours, stock = [await results(schema, document, short) for schema in (OURS, STOCK)]

    assert ours == stock
    assert any(cast(Any, result)[0] for result in ours)


@pytest.mark.parametrize(
    "query",
    ["{ numbers }", *(f'{{ noNumbers(last: "{last}") }}' for last in ("1", "nan", "inf", "null"))],
)
async def test_lists_of_numbers_are_those_of_graphql_core(query: str) -> None:
    ours, stock = [await results(schema, query, False) for schema in (OURS, STOCK)]

    assert ours == stock


STREAM = 'subscription { completionStream(input: { text: "x" }) { __typename sequence } }'


async def completion_stream(complete: Any, schema: Any = None, **asked: Any) -> Any:
    services = cast(Any, SimpleNamespace(runs=Replicas({}, complete=complete, grace_s=0.0).here))
    context = Context(services, Caller("acme", "ada", None, frozenset()))
    given = {"query": STREAM, "context_value": context} | asked
    return await (schema or create_schema()).stream(**given)


@pytest.mark.parametrize("last", ["null", "other", "name", "count", "colour"])
@pytest.mark.parametrize("fields", ["name", "again: name count __typename", "id colour"])
async def test_lists_of_objects_are_those_of_graphql_core(last: str, fields: str) -> None:
    query = f'{{ parts(last: "{last}") {{ {fields} }} }}'

    found = await OURS.execute(query)

    expected = await STOCK.execute(query)
    assert found.data == expected.data
    assert found.errors == expected.errors


async def test_an_event_that_was_delivered_takes_no_memory() -> None:
    async def complete(_request: object, emit: Any, _id: object) -> None:
        while True:
            await emit(TextDelta("word"))
            await asyncio.sleep(0)

    tracemalloc.start()
    try:
        async with aclosing(await completion_stream(complete)) as events:
            for _ in range(100):
                await anext(events)
            before, _ = tracemalloc.get_traced_memory()
            for _ in range(500):
                await anext(events)
            after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert after - before < 100_000


async def test_streams_of_one_document_learn_of_each_other_only_where_they_select_the_same() -> (
    None
):
    schema, query = create_schema(), STREAM.replace("sequence", "sequence @skip(if: $short)")
    query = query.replace("subscription", "subscription ($short: Boolean!)")

    async def complete(_request: object, emit: Any, _id: object) -> None:
        for _ in range(2):
            await emit(TextDelta("word"))
            await asyncio.sleep(0.01)
        await asyncio.Event().wait()

    selected = []
    for short in (False, True, False):
        asked: Any = {"query": query, "variable_values": {"short": short}}
        async with aclosing(await completion_stream(complete, schema, **asked)) as events:
            selected.append([set((await anext(events)).data["completionStream"]) for _ in range(2)])

    long, short_one = [{"__typename", "sequence"}] * 2, [{"__typename"}] * 2
    assert selected == [long, short_one, long]


async def test_a_stream_that_is_closed_between_two_events_has_settled_when_it_is_closed() -> None:
    settled = False
    clock = SystemClock()

    async def complete(_request: object, emit: Any, _id: object) -> None:
        nonlocal settled
        try:
            await emit(CompletionStarted(clock.new_id(), "m", None, clock.now()))
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0.01)
            settled = True

    stream = await completion_stream(complete)
    event = await anext(stream)
    await stream.aclose()

    assert event.data["completionStream"] == {"__typename": "CompletionStarted", "sequence": 0}
    assert settled


async def test_a_stream_whose_flow_breaks_ends_with_a_failure() -> None:
    async def complete(_request: object, emit: Any, _id: object) -> None:
        await emit(TextDelta("word"))
        raise LookupError("a defect")

    stream = await completion_stream(complete)
    first, last = [result async for result in stream]

    assert first.data["completionStream"] == {"__typename": "TokenDelta", "sequence": 0}
    assert last.data["completionStream"] == {"__typename": "CompletionFailed", "sequence": 1}
