"""What replicas learn about token counts, added up in the database."""

from __future__ import annotations

import asyncio

import pytest
from sqlalchemy import text

from assistant.adapters.postgres.connection import Database
from assistant.adapters.postgres.token_sums import PostgresTokenSums
from assistant.domain.model import ModelKey
from assistant.domain.tokens import TokenSums, TokenSumsChange
from assistant.errors import StorageUnavailable
from tests.postgres.server import DatabaseUrls, connect


def change(
    *added: float,
    kept: float = 1.0,
    samples: int = 1,
    tenant: str = "acme",
    model: str = "m",
    basis: str = "general-1",
) -> TokenSumsChange:
    sums = TokenSums(ModelKey(tenant, "p", model), basis, samples, added)
    return TokenSumsChange(sums, (kept,) * len(added))


async def test_sums_of_replicas_add_up_and_older_ones_fade(database: Database) -> None:
    store = PostgresTokenSums(database)

    assert await store.exchange("acme", []) == []
    (first,) = await store.exchange("acme", [change(1.0, 2.0, samples=3)])
    (second,) = await store.exchange("acme", [change(10.0, 20.0, kept=0.5, samples=4)])

    assert first == TokenSums(ModelKey("acme", "p", "m"), "general-1", 3, (1.0, 2.0))
    assert second == TokenSums(ModelKey("acme", "p", "m"), "general-1", 7, (10.5, 21.0))
    assert await store.exchange("acme", []) == [second]


async def test_replicas_that_write_at_once_lose_nothing(database: Database) -> None:
    store = PostgresTokenSums(database)
    models = [f"m{index}" for index in range(5)]

    async def replica(number: int) -> None:
        for _ in range(4):
            ordered = models if number % 2 else models[::-1]
            await store.exchange("acme", [change(1.0, float(number), model=m) for m in ordered])

    await asyncio.gather(*(replica(number) for number in range(4)))

    rows = await store.exchange("acme", [])
    assert {row.key.model: (row.samples, row.sums) for row in rows} == dict.fromkeys(
        models, (16, (16.0, 24.0))
    )


async def test_a_model_has_a_row_for_each_basis(database: Database) -> None:
    store = PostgresTokenSums(database)

    rows = await store.exchange("acme", [change(1.0), change(1.0, 2.0, basis="llama3-1")])

    assert {row.basis: row.sums for row in rows} == {"general-1": (1.0,), "llama3-1": (1.0, 2.0)}


async def test_numbers_come_back_as_they_were(database: Database) -> None:
    numbers = (0.1, 1e-300, -1e300, 1 / 3, 0.0, 123456789.123456789)

    (row,) = await PostgresTokenSums(database).exchange("acme", [change(*numbers)])

    assert row.sums == numbers


async def test_another_tenants_sums_do_not_exist(database: Database) -> None:
    store = PostgresTokenSums(database)
    await store.exchange("acme", [change(1.0)])
    await store.exchange("platform", [change(2.0, tenant="platform")])

    assert await store.exchange("globex", []) == []
    assert [row.sums for row in await store.exchange("acme", [])] == [(1.0,)]
    async with database.tenant("globex") as connection:
        changed = await connection.execute(text("UPDATE token_calibrations SET samples = 99"))
        assert changed.rowcount == 0


async def test_the_row_holds_numbers_and_names_only(database: Database, urls: DatabaseUrls) -> None:
    await PostgresTokenSums(database).exchange("acme", [change(1.0)])

    async with await connect(urls.superuser) as connection:
        cursor = await connection.execute(
            "SELECT column_name, data_type FROM information_schema.columns "
            "WHERE table_name = 'token_calibrations' ORDER BY ordinal_position"
        )
        assert [name for name, kind in await cursor.fetchall() if kind in ("text", "jsonb")] == [
            "tenant_id",
            "provider",
            "model",
            "basis",
        ]


async def test_a_database_that_is_gone_says_so(urls: DatabaseUrls) -> None:
    database = Database("postgresql://nobody@127.0.0.1:1/nothing")
    with pytest.raises(StorageUnavailable):
        await PostgresTokenSums(database).exchange("acme", [change(1.0)])
    await database.close()
