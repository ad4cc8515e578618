"""Limits of tokens: what is expected is taken before, and what was used is put right after."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from uuid_utils.compat import uuid7

from assistant.adapters.postgres.connection import Database
from assistant.adapters.postgres.ledger import PostgresLedger
from assistant.adapters.postgres.rate_limits import PostgresRateLimits
from assistant.domain.budget import LimitScope, Stake
from assistant.domain.caller import Caller
from assistant.domain.rate_limit import LimitMeasure, RateLimit
from assistant.errors import LimitReached
from tests.postgres.completions import running
from tests.postgres.limits import MOST, by, ended, failure, now, reap, sums
from tests.postgres.server import DatabaseUrls, connect

GLOBAL, SERVICE, USER, API_KEY = LimitScope
UNITS = 60_000_000


class Valve:
    """A tenant's limits of tokens, to be set and read in a few words."""

    def __init__(self, database: Database, urls: DatabaseUrls) -> None:
        self.store = PostgresRateLimits(database)
        self._urls = urls

    async def set(
        self,
        capacity: int,
        scope: LimitScope = GLOBAL,
        subject: str | None = None,
        per_minute: int = 1,
    ) -> UUID:
        limit = RateLimit(
            uuid7(), "acme", scope, subject, LimitMeasure.TOKENS, capacity, per_minute
        )
        id_ = await self.store.put_limit(limit, now(), MOST)
        assert id_ is not None
        return id_

    async def available(self, id_: UUID) -> int:
        found = await self.store.find_limit("acme", id_)
        assert found is not None
        return found.available

    async def pour(self, id_: UUID, level: int, seconds_ago: float = 0) -> None:
        """Set what every bucket of a limit holds, in its units, and since when."""
        async with await connect(self._urls.superuser) as connection:
            await connection.execute(
                "UPDATE rate_buckets SET level = %s, "
                "refilled_at = clock_timestamp() - make_interval(secs => %s) WHERE limit_id = %s",
                (level, seconds_ago, id_),
            )

    async def bucket(self, id_: UUID) -> Any:
        """Level and time of a limit's one bucket."""
        async with await connect(self._urls.superuser) as connection:
            cursor = await connection.execute(
                "SELECT level, refilled_at FROM rate_buckets WHERE limit_id = %s", (id_,)
            )
            (row,) = await cursor.fetchall()
        return row


@pytest.fixture
def valve(database: Database, urls: DatabaseUrls) -> Valve:
    return Valve(database, urls)


def expected(tokens: int) -> Stake:
    return Stake(output_tokens=tokens, expected_tokens=tokens)


async def test_what_is_expected_is_taken_and_put_right_after(
    ledger: PostgresLedger, valve: Valve
) -> None:
    limit = await valve.set(100)
    less, more = by(), by()

    await ledger.open(less, expected(30))
    await ledger.open(more, expected(40))
    assert await valve.available(limit) == 30
    await ledger.settle(ended(less, 0, tokens=10))
    assert await valve.available(limit) == 50
    await ledger.settle(ended(more, 0, tokens=140))
    assert await valve.available(limit) == 0
    level, _ = await valve.bucket(limit)
    assert -50 * UNITS <= level < -49 * UNITS


async def test_what_is_more_than_a_bucket_can_hold_takes_all_of_it(
    ledger: PostgresLedger, valve: Valve
) -> None:
    limit = await valve.set(100)
    opened = by()

    await ledger.open(opened, expected(5_000))
    assert await valve.available(limit) == 0
    await ledger.settle(ended(opened, 0, tokens=90))
    assert await valve.available(limit) == 10


async def test_a_refusal_says_to_the_millisecond_when_there_is_enough(
    ledger: PostgresLedger, valve: Valve
) -> None:
    limit = await valve.set(1_000, per_minute=7_000, scope=USER, subject="ann")
    await ledger.open(by(), expected(1_000))
    await valve.pour(limit, 0)

    before = now()
    error = await failure(ledger.open(by(), expected(333)), LimitReached)
    after = now()

    level, refilled_at = await valve.bucket(limit)
    due_at = refilled_at + timedelta(microseconds=-(-(333 * UNITS - level) // 7_000))
    wait = timedelta(milliseconds=error.retry_after_ms)
    assert due_at - after <= wait < due_at - before + timedelta(milliseconds=1)
    assert error.details == {"scope": "USER", "subject": "ann", "measure": "TOKENS"}


@pytest.mark.parametrize(
    ("short", "answer"), [(0, "ADMITTED"), (1, 1), (7_000_000, 1), (7_000_001, 2)]
)
async def test_one_unit_too_few_is_too_few(
    ledger: PostgresLedger, valve: Valve, urls: DatabaseUrls, short: int, answer: object
) -> None:
    """At 7,000 a minute 7,000,000 units come in a millisecond."""
    limit = await valve.set(1_000, per_minute=7_000)
    await ledger.open(by(), expected(1))
    # What refills meanwhile does not count: the bucket was last filled in the future.
    await valve.pour(limit, 500 * UNITS - short, seconds_ago=-60)

    if answer == "ADMITTED":
        await ledger.open(by(), expected(500))
    else:
        error = await failure(ledger.open(by(), expected(500)), LimitReached)
        assert error.retry_after_ms == answer


async def test_the_limit_that_makes_one_wait_longest_is_the_one_that_is_named(
    ledger: PostgresLedger, valve: Valve
) -> None:
    slow = await valve.set(100, USER, per_minute=1)
    await valve.set(100, SERVICE, per_minute=1_000)
    await ledger.open(by(), expected(100))

    error = await failure(ledger.open(by(), expected(50)), LimitReached)

    assert error.details["scope"] == "USER"
    assert 49 * 60 < error.retry_after_s <= 50 * 60
    assert await valve.available(slow) == 0


async def test_all_scopes_give_or_none_does(ledger: PostgresLedger, valve: Valve) -> None:
    everybody = await valve.set(100)
    ann = await valve.set(10, USER, "ann")

    await ledger.open(by(), expected(10))
    await failure(ledger.open(by(), expected(5)), LimitReached)
    assert await valve.available(everybody) == 90
    assert await valve.available(ann) == 0
    await ledger.open(by("bob"), expected(90))


async def test_each_member_has_a_bucket_and_one_by_name_stands_in_for_it(
    ledger: PostgresLedger, valve: Valve
) -> None:
    await valve.set(10, USER)
    await valve.set(25, USER, "ann")
    await valve.set(7, API_KEY)

    await ledger.open(by("ann"), expected(25))
    for user in ("bob", "cid"):
        await ledger.open(by(user), expected(10))
        await failure(ledger.open(by(user), expected(1)), LimitReached)
    keyed = running(caller=Caller("acme", None, None, frozenset(), api_key_id="key-1"))
    await ledger.open(keyed, expected(7))
    again = running(caller=keyed.caller)
    error = await failure(ledger.open(again, expected(7)), LimitReached)
    assert error.details["subject"] == "key-1"


async def test_buckets_refill_up_to_their_capacity(ledger: PostgresLedger, valve: Valve) -> None:
    limit = await valve.set(100, per_minute=60)
    await ledger.open(by(), expected(100))

    await valve.pour(limit, 0, seconds_ago=30.5)
    assert await valve.available(limit) == 30
    await valve.pour(limit, 0, seconds_ago=3_000)
    assert await valve.available(limit) == 100


async def test_a_limit_that_is_changed_keeps_what_was_taken(
    ledger: PostgresLedger, valve: Valve
) -> None:
    limit = await valve.set(100)
    await ledger.open(by(), expected(70))

    assert await valve.set(40) == limit
    assert await valve.available(limit) == 30
    assert await valve.set(20) == limit
    assert await valve.available(limit) == 20


async def test_a_limit_that_goes_or_comes_while_something_runs_does_no_harm(
    ledger: PostgresLedger, valve: Valve, urls: DatabaseUrls
) -> None:
    opened, other = by(), by()
    limit = await valve.set(100)
    await ledger.open(opened, expected(70))
    assert await valve.store.delete_limit("acme", limit)
    assert not await valve.store.delete_limit("acme", limit)
    await ledger.open(other, expected(700))
    limit = await valve.set(50)

    await ledger.settle(ended(opened, 0, tokens=7))
    await ledger.settle(ended(other, 0, tokens=7))

    assert await valve.available(limit) == 50
    await sums(urls, "SELECT count(assistant_tidy_budgets()::text)")
    assert await valve.available(limit) == 50


async def test_what_died_was_expected_right(
    ledger: PostgresLedger, valve: Valve, urls: DatabaseUrls
) -> None:
    limit = await valve.set(100)
    await ledger.open(by(), Stake(prompt_tokens=20, output_tokens=30, expected_tokens=25))

    await reap(urls)

    assert await valve.available(limit) == 50


async def test_of_a_hundred_at_once_as_many_pass_as_there_are_tokens_for(
    ledger: PostgresLedger, database: Database, valve: Valve
) -> None:
    limit = await valve.set(30)
    other = PostgresLedger(database)
    await other.start()

    results = await asyncio.gather(
        *((ledger, other)[number % 2].open(by(), expected(1)) for number in range(100)),
        return_exceptions=True,
    )

    refused = [result for result in results if isinstance(result, BaseException)]
    assert {type(error) for error in refused} == {LimitReached}
    assert len(refused) == 70
    assert await valve.available(limit) == 0
    await other.close()


async def test_who_is_no_administrator_sees_their_own_bucket(
    ledger: PostgresLedger, valve: Valve
) -> None:
    await valve.set(1_000)
    everybodys = await valve.set(100, USER)
    bobs = await valve.set(200, USER, "bob")
    await ledger.open(by("ann"), expected(30))
    await ledger.open(by("cid"), expected(90))

    async def seen(user: str) -> list[tuple[UUID, int]]:
        found = await valve.store.list_limits("acme", {USER: user})
        return [(level.limit.id, level.available) for level in found]

    assert await seen("ann") == [(everybodys, 70)]
    assert await seen("bob") == [(bobs, 200)]
    assert await seen("dan") == [(everybodys, 100)]
    assert await valve.available(everybodys) == 10
