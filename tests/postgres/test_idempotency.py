"""Idempotency keys: one holder each, whoever asks at once, until 24 hours have passed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID, uuid4

import pytest
import pytest_asyncio

from assistant.adapters.postgres.connection import Database
from assistant.adapters.postgres.idempotency import PostgresIdempotency, clean_keys
from assistant.domain.idempotency import IdempotencyKey
from assistant.errors import ErrorCode, RateLimited, StorageUnavailable, error_of
from tests.postgres.server import DatabaseUrls, connect

FINGERPRINT = b"f" * 32


def a_key(
    key: str = "key-0001", *, tenant: str = "acme", owner: str = "user:ann"
) -> IdempotencyKey:
    return IdempotencyKey(tenant, owner, key)


@pytest.fixture
def here(database: Database) -> PostgresIdempotency:
    return PostgresIdempotency(database)


@pytest_asyncio.fixture
async def there(urls: DatabaseUrls) -> AsyncIterator[PostgresIdempotency]:
    database = Database(urls.service, pool_size=5)
    yield PostgresIdempotency(database)
    await database.close()


async def execute(urls: DatabaseUrls, statement: str) -> list[tuple[Any, ...]]:
    async with await connect(urls.superuser) as connection:
        cursor = await connection.execute(statement.encode())
        return await cursor.fetchall() if cursor.description else []


async def age(urls: DatabaseUrls, by: str) -> None:
    await execute(urls, f"UPDATE idempotency_keys SET created_at = now() - interval '{by}'")


async def claims(store: PostgresIdempotency, key: IdempotencyKey, **given: Any) -> UUID:
    """Who has it after a claim by somebody new, or by who is given."""
    completion_id = given.pop("completion_id", None) or uuid4()
    return (await store.claim(key, completion_id, FINGERPRINT, **given)).completion_id


async def test_a_free_key_is_had_by_who_claims_it_and_by_nobody_else(
    here: PostgresIdempotency, there: PostgresIdempotency
) -> None:
    first = uuid4()

    holder = await here.claim(a_key(), first, FINGERPRINT)
    again = await there.claim(a_key(), uuid4(), b"g" * 32)
    same = await there.claim(a_key(), first, FINGERPRINT)

    assert (holder.completion_id, holder.fingerprint, holder.error) == (first, FINGERPRINT, None)
    for each in (again, same):
        assert (each.completion_id, each.fingerprint) == (first, FINGERPRINT)


async def test_of_fifty_who_claim_it_at_once_on_two_replicas_one_has_it(
    here: PostgresIdempotency, there: PostgresIdempotency
) -> None:
    for turn in range(10):
        ids = [uuid4() for _ in range(50)]
        holders = await asyncio.gather(
            *(
                store.claim(a_key(f"key-{turn:04}"), each, FINGERPRINT)
                for each, store in zip(ids, [here, there] * 25, strict=True)
            )
        )

        (holder,) = {each.completion_id for each in holders}
        assert holder in ids


async def test_many_keys_are_claimed_crosswise_and_nobody_waits_for_ever(
    here: PostgresIdempotency, there: PostgresIdempotency
) -> None:
    keys = [
        a_key(f"key-{number:04}", tenant=f"tenant-{number % 3}", owner=f"user:{number % 5}")
        for number in range(200)
    ]
    one, other = await asyncio.wait_for(
        asyncio.gather(
            asyncio.gather(*(claims(here, key) for key in keys)),
            asyncio.gather(*(claims(there, key) for key in reversed(keys))),
        ),
        20,
    )

    assert one == list(reversed(other))


async def test_tenants_and_owners_never_meet(here: PostgresIdempotency) -> None:
    holders = [
        await claims(here, a_key(tenant=tenant, owner=owner))
        for tenant in ("acme", "globex")
        for owner in ("user:ann", "user:bob", "service:ann", "service:")
    ]

    assert len(set(holders)) == 8


async def test_a_key_outlives_the_process(urls: DatabaseUrls) -> None:
    holders = []
    for _ in range(2):
        database = Database(urls.service)
        holders.append(await claims(PostgresIdempotency(database), a_key()))
        await database.close()

    assert holders[0] == holders[1]


async def test_it_is_durable_when_it_is_claimed(urls: DatabaseUrls, database: Database) -> None:
    """Neither unlogged, nor committed before the disk has it."""
    assert await execute(
        urls, "SELECT relpersistence::text FROM pg_class WHERE relname = 'idempotency_keys'"
    ) == [("p",)]
    async with database.transaction() as connection:
        shown = await connection.exec_driver_sql("SHOW synchronous_commit")
        assert shown.scalar_one() == "on"


async def test_after_a_day_it_is_free_again(here: PostgresIdempotency, urls: DatabaseUrls) -> None:
    first = await claims(here, a_key())
    await here.keep_error(a_key(), first, RateLimited("Wait.").to_json())
    await age(urls, "23 h 59 min")
    assert await claims(here, a_key()) == first
    await age(urls, "24 h 1 s")
    second = uuid4()

    await here.claim(a_key(), second, b"g" * 32)

    assert await claims(here, a_key()) == second


async def test_of_two_who_take_it_over_one_has_it(
    here: PostgresIdempotency, there: PostgresIdempotency
) -> None:
    for turn in range(10):
        key = a_key(f"key-{turn:04}")
        dead = await claims(here, key)
        takers = [uuid4() for _ in range(6)]
        found = await asyncio.gather(
            *(
                claims(store, key, completion_id=taker, instead_of=dead)
                for taker, store in zip(takers, [here, there] * 3, strict=True)
            )
        )

        assert len(set(found)) == 1
        assert found[0] in takers
        assert await claims(here, key, instead_of=dead) == found[0]


async def test_taking_over_is_of_who_was_found_and_of_nobody_else(
    here: PostgresIdempotency,
) -> None:
    first, second = await claims(here, a_key()), uuid4()
    await here.keep_error(a_key(), first, RateLimited("Wait.").to_json())
    assert await claims(here, a_key(), instead_of=uuid4()) == first

    holder = await here.claim(a_key(), second, b"g" * 32, instead_of=first)

    assert (holder.completion_id, holder.fingerprint, holder.error) == (second, b"g" * 32, None)
    # Whose turn is over changes nothing.
    await here.keep_error(a_key(), first, RateLimited("Wait.").to_json())
    await here.release(a_key(), first)
    assert (await here.claim(a_key(), uuid4(), FINGERPRINT)).error is None
    assert await claims(here, a_key()) == second


async def test_an_error_is_a_result_and_comes_back_as_it_was(here: PostgresIdempotency) -> None:
    first = await claims(here, a_key())
    error = RateLimited("Wait \x00 a moment.", retry_after_s=2.5)

    await here.keep_error(a_key(), first, error.to_json())

    found = (await here.claim(a_key(), uuid4(), FINGERPRINT)).error
    assert found == error.to_json()
    raised = error_of(found)
    assert (raised.code, raised.message) == (ErrorCode.RATE_LIMITED, error.message)


async def test_what_came_to_nothing_is_free_again(here: PostgresIdempotency) -> None:
    first = await claims(here, a_key())

    await here.release(a_key(owner="user:bob"), first)
    assert await claims(here, a_key()) == first
    await here.release(a_key(), first)

    assert await claims(here, a_key(), instead_of=first) != first


async def test_without_a_database_nobody_has_it() -> None:
    database = Database("postgresql://nobody@127.0.0.1:1/nowhere")

    with pytest.raises(StorageUnavailable):
        await PostgresIdempotency(database).claim(a_key(), uuid4(), FINGERPRINT)

    await database.close()


async def test_keys_of_yesterday_are_forgotten_and_others_are_not(
    here: PostgresIdempotency, database: Database, urls: DatabaseUrls
) -> None:
    await execute(
        urls,
        "INSERT INTO idempotency_keys "
        "SELECT 'acme', 'user:ann', 'old-' || n, sha256('x'), gen_random_uuid(), "
        "now() - interval '25 h' FROM generate_series(1, 12000) AS n",
    )
    await claims(here, a_key())

    said = await asyncio.gather(clean_keys(database), clean_keys(database))

    assert sum(int(line.split()[2]) for line in said) == 12_000
    assert await execute(urls, "SELECT key FROM idempotency_keys") == [("key-0001",)]
