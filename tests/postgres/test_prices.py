"""Prices that nobody knows, and prices as they were: dated, only ever added to, the tenant's own."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from sqlalchemy import text

from assistant.adapters.postgres import migrate
from assistant.adapters.postgres.connection import Database
from assistant.adapters.postgres.models import PostgresModels
from assistant.adapters.postgres.price_changes import PostgresPriceChanges
from assistant.adapters.postgres.seeds import PostgresSeeds
from assistant.domain.model import Model, ModelCapability, PriceChange, ProviderConfig, ProviderKind
from assistant.domain.seed import Seed
from tests.postgres.server import DatabaseUrls, connect

HOST = ProviderConfig("gpu", ProviderKind.OPENAI, is_local=False, tenant_id="acme")
MODEL = Model(
    provider="gpu",
    name="meta/llama:70b",
    capabilities=frozenset({ModelCapability.CHAT}),
    context_window=8192,
    input_price=Decimal("0.5"),
    output_price=Decimal("1.5"),
    is_local=False,
)


@pytest.fixture
def models(database: Database) -> PostgresModels:
    return PostgresModels(database)


@pytest.fixture
def changes(database: Database) -> PostgresPriceChanges:
    return PostgresPriceChanges(database)


def prices_of(change: PriceChange) -> tuple[Decimal | None, Decimal | None, Decimal | None]:
    return change.input_price, change.output_price, change.cached_input_price


async def listed(
    changes: PostgresPriceChanges, tenant: str = "acme", first: int = 10
) -> list[tuple[Decimal | None, Decimal | None, Decimal | None]]:
    found = await changes.list_changes(tenant, [MODEL.id], first)
    return [prices_of(change) for change in found.get(MODEL.id, ())]


async def test_an_unknown_price_is_not_0_but_nothing_is_on_our_own_machines(
    models: PostgresModels,
) -> None:
    unknown = replace(MODEL, input_price=None, output_price=None)
    await models.put_provider(HOST, 1)
    await models.put_model("acme", unknown, 1)
    assert (await models.load("acme")).models[MODEL.id] == replace(unknown, is_local=False)

    await models.put_provider(replace(HOST, is_local=True), 1)
    found = (await models.load("acme")).models[MODEL.id]
    assert (found.input_price, found.output_price, found.is_local) == (0, 0, True)


async def test_every_change_of_a_price_is_dated_and_nothing_else_is_one(
    models: PostgresModels, changes: PostgresPriceChanges
) -> None:
    before = datetime.now(UTC)
    await models.put_model("acme", MODEL, 1)
    await models.put_model("acme", replace(MODEL, context_window=1), 1)
    await models.put_model("acme", replace(MODEL, input_price=Decimal("0.50")), 1)
    await models.put_model("acme", replace(MODEL, input_price=None), 1)
    await models.put_model("acme", replace(MODEL, cached_input_price=Decimal("0.1")), 1)

    found = (await changes.list_changes("acme", [MODEL.id], 10))[MODEL.id]

    assert [prices_of(change) for change in found] == [
        (Decimal("0.5"), Decimal("1.5"), Decimal("0.1")),
        (None, Decimal("1.5"), None),
        (Decimal("0.5"), Decimal("1.5"), None),
    ]
    times = [change.valid_from for change in found]
    assert times == sorted(times, reverse=True)
    assert before <= times[-1]
    assert await listed(changes, first=1) == [(Decimal("0.5"), Decimal("1.5"), Decimal("0.1"))]


async def test_changes_come_one_after_the_other_even_where_the_clock_was_set_back(
    models: PostgresModels, changes: PostgresPriceChanges, urls: DatabaseUrls
) -> None:
    await models.put_model("acme", MODEL, 1)
    async with await connect(urls.superuser) as connection:
        await connection.execute(
            "UPDATE model_price_changes SET valid_from = valid_from + interval '1 day'"
        )

    await models.put_model("acme", replace(MODEL, input_price=Decimal(2)), 1)

    assert [prices[0] for prices in await listed(changes)] == [Decimal(2), Decimal("0.5")]


async def test_two_changes_of_one_transaction_are_both_kept(
    models: PostgresModels, changes: PostgresPriceChanges, database: Database
) -> None:
    await models.put_model("acme", MODEL, 1)
    async with database.tenant("acme") as connection:
        for price in range(20):
            await connection.execute(
                text("UPDATE llm_models SET input_price = :price"), {"price": price}
            )

    assert len(await listed(changes, first=100)) == 21


async def test_a_tenant_sees_the_changes_of_the_row_that_holds_for_it(
    models: PostgresModels, changes: PostgresPriceChanges
) -> None:
    await models.put_model("platform", MODEL, 1)
    await models.put_model("globex", replace(MODEL, input_price=Decimal(9)), 1)
    assert [prices[0] for prices in await listed(changes)] == [Decimal("0.5")]

    await models.put_model("acme", replace(MODEL, input_price=Decimal(7)), 1)
    assert [prices[0] for prices in await listed(changes)] == [Decimal(7)]
    assert [prices[0] for prices in await listed(changes, "globex")] == [Decimal(9)]

    await models.delete_model("acme", MODEL.provider, MODEL.name)
    assert [prices[0] for prices in await listed(changes)] == [Decimal("0.5")]
    await models.put_model("acme", replace(MODEL, input_price=Decimal(7)), 1)
    assert [prices[0] for prices in await listed(changes)] == [Decimal(7)]


async def test_many_models_take_one_statement(
    models: PostgresModels, changes: PostgresPriceChanges, statements: list[str]
) -> None:
    rows = [replace(MODEL, name=f"m{number}") for number in range(5)]
    for row in rows:
        await models.put_model("acme", row, 10)
    statements.clear()

    found = await changes.list_changes("acme", [*(row.id for row in rows), "nobody/has", "x"], 10)

    assert sorted(found) == sorted(row.id for row in rows)
    assert len([statement for statement in statements if "price_changes" in statement]) == 1


async def test_seeded_prices_are_dated_too(
    changes: PostgresPriceChanges, database: Database
) -> None:
    now = datetime.now(UTC)
    await PostgresSeeds(database).apply(Seed(models=(MODEL,)), now)
    dearer = replace(MODEL, output_price=Decimal(2))
    await PostgresSeeds(database).apply(Seed(models=(dearer,)), now)

    assert [prices[1] for prices in await listed(changes)] == [Decimal(2), Decimal("1.5")]


async def test_what_said_nothing_of_prices_before_is_unknown_after_the_step_up(
    fresh: DatabaseUrls,
) -> None:
    await migrate.downgrade(fresh.owner, "0012")
    async with await connect(fresh.superuser) as connection:
        await connection.execute(
            """
            INSERT INTO providers (tenant_id, name, kind, is_local) VALUES
                ('platform', 'cloud', 'OPENAI', false), ('platform', 'home', 'OLLAMA', true),
                ('acme', 'home', 'OPENAI', false), ('acme', 'cloud', 'OPENAI', true)
            """
        )
        await connection.execute(
            """
            INSERT INTO llm_models (tenant_id, provider, name, capabilities, context_window,
                                    input_price, output_price)
            SELECT tenant_id, provider, name, '{CHAT}', 1, input_price, 0
            FROM (VALUES ('platform'), ('acme'), ('globex')) AS t (tenant_id),
                 (VALUES ('cloud'), ('home'), ('gone')) AS p (provider),
                 (VALUES ('unsaid', 0), ('said', 0.02)) AS m (name, input_price)
            """
        )

    await migrate.upgrade(fresh.owner)

    async with await connect(fresh.superuser) as connection:
        cursor = await connection.execute(
            "SELECT tenant_id, provider, name FROM llm_models WHERE input_price IS NULL "
            "AND output_price IS NULL ORDER BY 1, 2"
        )
        assert await cursor.fetchall() == [
            ("acme", "home", "unsaid"),
            ("globex", "cloud", "unsaid"),
            ("platform", "cloud", "unsaid"),
        ]
        cursor = await connection.execute(
            "SELECT count(*) FROM llm_models AS m JOIN model_price_changes AS c USING "
            "(tenant_id, provider, name) WHERE (m.input_price, m.output_price) "
            "IS NOT DISTINCT FROM (c.input_price, c.output_price)"
        )
        assert await cursor.fetchone() == (18,)
    await migrate.downgrade(fresh.owner, "0012")
    async with await connect(fresh.superuser) as connection:
        cursor = await connection.execute("SELECT count(*) FROM llm_models WHERE input_price = 0")
        assert await cursor.fetchone() == (9,)
