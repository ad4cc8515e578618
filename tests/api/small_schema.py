"""A schema with one field for every way in which an operation can go."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator
from enum import Enum
from typing import Self

import strawberry
import strawberry.federation as fed
from strawberry.dataloader import DataLoader
from strawberry.scalars import JSON

from assistant.api.connection import AFTER, FIRST, PageInfo, encode_cursor, page
from assistant.api.context import Info
from assistant.api.federation import SubgraphSchema, assumed_size, cost, list_size
from assistant.api.limits import Limits
from assistant.errors import BadUserInput, NotFound, ProviderUnavailable, ReaderTooSlow

SECRET = "the-secret-prompt"
DEFAULT_ID = strawberry.ID("1")


class Probe:
    """Stands where the services stand; remembers what resolvers did, for another thread to read."""

    def __init__(self) -> None:
        self._happened: dict[str, float] = {}
        self._changed = threading.Condition()
        self.batches: list[list[str]] = []

    def note(self, what: str) -> None:
        with self._changed:
            self._happened[what] = time.monotonic()
            self._changed.notify_all()

    def wait(self, what: str, timeout_s: float = 5.0) -> float:
        """When it happened; fails if it does not within the time."""
        with self._changed:
            assert self._changed.wait_for(lambda: what in self._happened, timeout_s), what
            return self._happened.pop(what)

    def happened(self, what: str) -> bool:
        with self._changed:
            return what in self._happened


def probe(info: Info) -> Probe:
    services: object = info.context.services
    assert isinstance(services, Probe)
    return services


def books(info: Info) -> DataLoader[str, Book | None]:
    async def load(ids: list[str]) -> list[Book | None]:
        probe(info).batches.append(ids)
        return [
            None if id_ == "missing" else Book(id=strawberry.ID(id_), title=f"Book {id_}")
            for id_ in ids
        ]

    loaders = info.context.loaders
    if "books" not in loaders:
        loaders["books"] = DataLoader(load)
    loader: DataLoader[str, Book | None] = loaders["books"]
    return loader


@fed.type(keys=["id", "title"])
class Book:
    id: strawberry.ID
    title: str

    @classmethod
    async def resolve_reference(
        cls,
        info: Info,
        id: str | None = None,  # noqa: A002 - the key's name
        title: str | None = None,
    ) -> Self | None:
        if id == "forbidden":
            raise NotFound("There is no such book.")
        if id == "broken":
            raise RuntimeError(SECRET)
        return await books(info).load(id or f"titled {title}")  # type: ignore[return-value]


@fed.type(keys=["serial"])
class Stamp:
    serial: int

    @classmethod
    def resolve_reference(cls, serial: int) -> Self:
        return cls(serial=serial)


@strawberry.enum
class Colour(Enum):
    RED = "red"
    GREEN = "green"


@strawberry.input
class Greeting:
    name: str
    times: int = 1
    colour: Colour | None = None
    tags: list[str] | None = None
    other: Greeting | None = None
    data: JSON | None = None


@strawberry.type
class Tree:
    depth: int

    @strawberry.field
    def tree(self) -> Tree:
        return Tree(depth=self.depth + 1)

    @strawberry.field
    def trees(self, first: FIRST = 2) -> list[Tree]:
        return [Tree(depth=self.depth + 1)] * first


@strawberry.type
class BookConnection:
    nodes: list[Book]
    page_info: PageInfo


@strawberry.type
class Query:
    @strawberry.field
    def hello(self) -> str:
        return "world"

    @strawberry.field
    def echo(self, text: str) -> str:
        return text

    @strawberry.field
    def anything(self, value: JSON) -> JSON:
        return value

    @strawberry.field
    def greet(self, input: Greeting) -> str:  # noqa: A002 - as in the schema
        return f"Hello {input.name}"

    @strawberry.field
    def identified(self, id: strawberry.ID = DEFAULT_ID) -> str:  # noqa: A002 - as in the schema
        return id

    @strawberry.field
    def whoami(self, info: Info) -> str:
        return info.context.caller.tenant_id

    @strawberry.field
    def tree(self) -> Tree:
        return Tree(depth=1)

    @strawberry.field(directives=[list_size()])
    def books(self, first: FIRST = 20, after: AFTER = None) -> BookConnection:
        rows = [Book(id=strawberry.ID(str(n)), title=f"Book {n:03}") for n in range(first + 1)]
        found, page_info = page(
            rows, first, after, lambda book: encode_cursor(book.title, str(book.id))
        )
        return BookConnection(nodes=list(found), page_info=page_info)

    @strawberry.field(directives=[assumed_size(5)])
    async def shelf(self, info: Info) -> list[Book]:
        found = await asyncio.gather(*(books(info).load(str(n)) for n in range(3)))
        return [book for book in found if book]

    @strawberry.field
    def stamp(self) -> Stamp:
        return Stamp(serial=1)

    @strawberry.field
    def not_a_number(self) -> JSON:
        return {"value": float("nan")}

    @strawberry.field
    def refuses(self) -> str | None:
        raise ProviderUnavailable("No provider can serve this now.", retry_after_s=1.2345)

    @strawberry.field
    def refuses_input(self) -> str | None:
        raise BadUserInput("text is too long.", path=("input", "text"))

    @strawberry.field
    def breaks(self) -> str | None:
        raise RuntimeError(SECRET)

    @strawberry.field
    def breaks_non_null(self) -> str:
        return None  # type: ignore[return-value]

    @strawberry.field
    def overflows(self) -> int | None:
        return 123_456_789_012

    @strawberry.field
    async def waits(self, info: Info) -> str:
        return await wait_forever(info)


async def wait_forever(info: Info) -> str:
    probe(info).note("started")
    try:
        await asyncio.sleep(60)
        return "done"
    finally:
        await settle(info)


async def settle(info: Info) -> None:
    """What a resolver still has to do when its client is gone, and awaits."""
    probe(info).note("finished")
    await asyncio.sleep(0.05)
    probe(info).note("settled")


@strawberry.type
class Mutation:
    @strawberry.mutation(directives=[cost(100)])
    def generate_completion(self, text: str = "") -> str:
        return text

    @strawberry.mutation
    async def waits(self, info: Info) -> str:
        return await wait_forever(info)


@strawberry.type
class Subscription:
    @strawberry.subscription
    async def completion_stream(self, text: str = "a b c") -> AsyncIterator[str]:
        for word in text.split():
            yield word

    @strawberry.subscription
    async def hangs(self, info: Info) -> AsyncIterator[int]:
        probe(info).note("started")
        try:
            yield 1
            await asyncio.sleep(60)
        finally:
            await settle(info)

    @strawberry.subscription
    async def floods(self, info: Info) -> AsyncIterator[str]:
        probe(info).note("started")
        try:
            while True:
                yield "x" * 10_000
                await asyncio.sleep(0)
        finally:
            await settle(info)

    @strawberry.subscription
    async def counts(self) -> AsyncIterator[int]:
        number = 0
        while True:
            yield number
            number += 1
            await asyncio.sleep(0.01)

    @strawberry.subscription
    async def refuses(self) -> AsyncIterator[int]:
        raise NotFound("There is no such stream.")
        yield 1

    @strawberry.subscription
    async def refuses_later(self) -> AsyncIterator[int]:
        yield 1
        raise ProviderUnavailable("Gone.", retry_after_s=2)

    @strawberry.subscription
    async def lags(self) -> AsyncIterator[int]:
        yield 1
        raise ReaderTooSlow("an-id:1")

    @strawberry.subscription
    async def breaks(self) -> AsyncIterator[int]:
        yield 1
        raise RuntimeError(SECRET)

    @strawberry.subscription
    async def shelf(self, info: Info) -> AsyncIterator[str]:
        book = await books(info).load("1")
        assert book is not None
        yield book.title

    @strawberry.subscription
    async def whoami(self, info: Info) -> AsyncIterator[str]:
        yield info.context.caller.tenant_id


def create_small_schema(limits: Limits | None = None) -> SubgraphSchema:
    return SubgraphSchema(
        query=Query,
        mutation=Mutation,
        subscription=Subscription,
        types=[Book, Stamp],
        limits=limits,
    )
