"""Limits of requests on the real database: exact to the microsecond, and in order."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace

import pytest
import pytest_asyncio
from sqlalchemy import text

from assistant.adapters.postgres.connection import Database
from assistant.adapters.postgres.request_limits import PostgresRequestLimits
from assistant.domain.caller import Caller
from assistant.errors import ErrorCode, LimitReached, StorageUnavailable
from tests.postgres.rate_limits import REQUEST, buckets, fill, microseconds, set_limit
from tests.postgres.server import DatabaseUrls, connect

ALICE = Caller("acme", "alice", "web", frozenset())
BOB = replace(ALICE, user_id="bob")
KEY = replace(ALICE, api_key_id="0198f2c4-0000-7000-8000-000000000000")
SLOWLY = 1
"""A minute for each: nothing is refilled while a test runs."""


@pytest_asyncio.fixture
async def limits(database: Database) -> AsyncIterator[PostgresRequestLimits]:
    opened = PostgresRequestLimits(database)
    yield opened
    await opened.close()


async def ask(limits: PostgresRequestLimits, *callers: Caller) -> list[LimitReached | None]:
    """What becomes of requests that are made at once, in order; None for those that pass."""
    outcomes = await asyncio.gather(
        *(limits.take(caller) for caller in callers), return_exceptions=True
    )
    for outcome in outcomes:
        if outcome is not None and not isinstance(outcome, LimitReached):
            raise outcome
    return outcomes  # type: ignore[return-value] - others were raised


def passed(outcomes: Sequence[LimitReached | None]) -> list[bool]:
    return [outcome is None for outcome in outcomes]


async def test_whether_a_tenant_has_limits_of_requests_is_its_own(
    limits: PostgresRequestLimits, urls: DatabaseUrls
) -> None:
    await set_limit(urls, "GLOBAL", 1, 1, measure="TOKENS", tenant_id="globex")
    await set_limit(urls, "USER", 1, 1, subject="alice")

    assert await limits.is_limited("acme")
    assert not await limits.is_limited("globex")


async def test_a_bucket_gives_what_it_holds_in_the_order_in_which_it_was_asked(
    limits: PostgresRequestLimits, urls: DatabaseUrls
) -> None:
    limit = await set_limit(urls, "GLOBAL", 5, SLOWLY)

    # The first is alone; the others are one group, behind it.
    outcomes = await ask(limits, *(ALICE, BOB) * 4)

    assert passed(outcomes) == [True] * 5 + [False] * 3
    (bucket,) = (await buckets(urls, limit)).values()
    assert 0 <= bucket.level < REQUEST


@pytest.mark.parametrize(
    ("scope", "subject", "members"),
    [
        ("SERVICE", "web", [(ALICE, BOB), (replace(ALICE, service_id="batch"),)]),
        ("USER", "alice", [(ALICE, KEY), (BOB,)]),
        ("API_KEY", KEY.api_key_id, [(KEY,), (replace(KEY, api_key_id="another"),)]),
    ],
)
async def test_every_member_of_a_scope_has_a_bucket_and_who_is_named_one_of_another_size(
    limits: PostgresRequestLimits,
    urls: DatabaseUrls,
    scope: str,
    subject: str,
    members: list[tuple[Caller, ...]],
) -> None:
    await set_limit(urls, scope, 2, SLOWLY)

    for member in members:
        assert passed(await ask(limits, *(member * 3)[:3])) == [True, True, False]

    await set_limit(urls, scope, 4, SLOWLY, subject=subject)
    named, other = members
    assert sum(passed(await ask(limits, *named * 6))) == 4
    assert not any(passed(await ask(limits, *other * 6)))


async def test_who_has_no_part_in_a_scope_is_not_held_up_by_it(
    limits: PostgresRequestLimits, urls: DatabaseUrls
) -> None:
    for scope in ("SERVICE", "USER", "API_KEY"):
        await set_limit(urls, scope, 1, SLOWLY)
    await set_limit(urls, "GLOBAL", 1, SLOWLY, tenant_id="globex")
    user, service = replace(ALICE, service_id=None), replace(ALICE, user_id=None)

    assert passed(await ask(limits, user, service, user, service)) == [True, True, False, False]


async def test_all_scopes_must_pass_or_nothing_is_taken_of_any(
    limits: PostgresRequestLimits, urls: DatabaseUrls
) -> None:
    everybody = await set_limit(urls, "GLOBAL", 4, SLOWLY)
    each_user = await set_limit(urls, "USER", 1, SLOWLY)

    outcomes = await ask(limits, ALICE, ALICE, ALICE, ALICE, BOB)

    assert passed(outcomes) == [True, False, False, False, True]
    (bucket,) = (await buckets(urls, everybody)).values()
    assert 2 * REQUEST <= bucket.level < 3 * REQUEST
    assert set(await buckets(urls, each_user)) == {"alice", "bob"}


async def test_a_refusal_names_the_limit_that_is_waited_for_longest(
    limits: PostgresRequestLimits, urls: DatabaseUrls
) -> None:
    await fill(urls, await set_limit(urls, "GLOBAL", 10, 600), 0)
    await fill(urls, await set_limit(urls, "USER", 10, 2), 0, subject="alice")
    await fill(urls, await set_limit(urls, "API_KEY", 10, 60), 0, subject=KEY.api_key_id or "")

    alice, bob = await ask(limits, KEY, BOB)

    assert alice is not None
    assert bob is not None
    assert alice.code is ErrorCode.RATE_LIMITED
    assert alice.details == {"scope": "USER", "subject": "alice", "measure": "REQUESTS"}
    assert "of the user alice of 10 requests at once and 2 per minute" in alice.message
    assert "Try again in " in alice.message
    assert alice.retry_after_s is not None
    assert 29 < alice.retry_after_s < 30
    assert bob.details == {"scope": "GLOBAL", "measure": "REQUESTS"}
    assert bob.retry_after_s is not None
    assert bob.retry_after_s <= 0.1


@pytest.mark.parametrize("per_minute", [1, 7, 60, 3_000, 1_000_000, 2_147_483_647])
async def test_refill_is_exact_to_the_microsecond(
    limits: PostgresRequestLimits, urls: DatabaseUrls, per_minute: int
) -> None:
    limit = await set_limit(urls, "GLOBAL", 2_147_483_647, per_minute)
    await fill(urls, limit, 5 * REQUEST + 1)
    (before,) = (await buckets(urls, limit)).values()

    assert passed(await ask(limits, ALICE, ALICE, BOB)) == [True] * 3

    (after,) = (await buckets(urls, limit)).values()
    expected = before.level_at(after.refilled_at, per_minute, 2_147_483_647) - 3 * REQUEST
    # The one alone came before the group of two: nothing is lost between them either.
    assert after.level == expected


async def test_no_more_than_its_capacity_is_refilled_however_long_it_takes(
    limits: PostgresRequestLimits, urls: DatabaseUrls
) -> None:
    limit = await set_limit(urls, "GLOBAL", 3, 2_147_483_647)
    await fill(urls, limit, -1_000_000 * REQUEST)
    async with await connect(urls.superuser) as connection:
        await connection.execute("UPDATE rate_buckets SET refilled_at = '1970-01-01'")

    assert passed(await ask(limits, ALICE)) == [True]

    (bucket,) = (await buckets(urls, limit)).values()
    assert bucket.level == 2 * REQUEST


async def test_a_bucket_whose_clock_is_ahead_gives_what_it_holds_and_is_not_set_back(
    limits: PostgresRequestLimits, urls: DatabaseUrls
) -> None:
    limit = await set_limit(urls, "GLOBAL", 3, 60)
    await fill(urls, limit, REQUEST)
    async with await connect(urls.superuser) as connection:
        await connection.execute("UPDATE rate_buckets SET refilled_at = '2100-01-01'")

    assert passed(await ask(limits, ALICE, ALICE)) == [True, False]

    (bucket,) = (await buckets(urls, limit)).values()
    assert (bucket.level, bucket.refilled_at.year) == (0, 2100)


async def test_a_limit_that_is_lowered_holds_at_once(
    limits: PostgresRequestLimits, urls: DatabaseUrls
) -> None:
    await set_limit(urls, "GLOBAL", 100, SLOWLY)
    assert passed(await ask(limits, ALICE)) == [True]
    async with await connect(urls.superuser) as connection:
        await connection.execute("UPDATE rate_limits SET capacity = 2")

    assert sum(passed(await ask(limits, *[ALICE] * 5))) == 2


async def test_who_was_refused_is_admitted_when_it_was_told_to_come_again_and_not_before(
    limits: PostgresRequestLimits, urls: DatabaseUrls
) -> None:
    """Of the same moment: there is a token at the end of the wait, and none a millisecond before."""
    per_minute = 127
    limit = await set_limit(urls, "GLOBAL", 1, per_minute)
    (first, refused) = await ask(limits, ALICE, ALICE)
    assert first is None
    assert refused is not None
    assert refused.retry_after_ms is not None
    (bucket,) = (await buckets(urls, limit)).values()
    full_after_us = -(-(REQUEST - bucket.level) // per_minute)
    # It was refused at some moment after the bucket was taken of, at most this much later.
    assert full_after_us - 1_000 * (refused.retry_after_ms - 1) > 0

    await asyncio.sleep(refused.retry_after_ms / 1_000)

    assert passed(await ask(limits, ALICE)) == [True]
    (again,) = (await buckets(urls, limit)).values()
    assert microseconds(bucket.refilled_at, again.refilled_at) >= full_after_us


async def test_a_wait_is_the_least_number_of_milliseconds_after_which_there_is_a_token(
    urls: DatabaseUrls,
) -> None:
    """Within one transaction, whose clock of buckets can be set: refused, and what it is short of."""
    limit = await set_limit(urls, "GLOBAL", 1, 127)
    async with await connect(urls.superuser) as connection:
        for lacking in (1, 126, 127, 128, 126_999, 127_000, 127_001, REQUEST):
            # Ahead of the clock: nothing is refilled while the statement runs.
            await connection.execute(
                "INSERT INTO rate_buckets VALUES ('acme', %s, '', %s, '2100-01-01') "
                "ON CONFLICT (tenant_id, limit_id, subject) DO UPDATE SET level = excluded.level",
                (limit, REQUEST - lacking),
            )
            cursor = await connection.execute(
                """SELECT retry_after_ms FROM assistant_take_requests(
                    '[{"tenant_id": "acme"}]', '{1}')"""
            )
            (row,) = await cursor.fetchall()
            assert 127 * 1_000 * (row[0] - 1) < lacking <= 127 * 1_000 * row[0]


async def test_three_processes_that_ask_too_often_get_exactly_what_the_bucket_allows(
    urls: DatabaseUrls,
) -> None:
    """Three connections, 100 requests/s each, for 2 s, of a limit of 50/s with 20 at once."""
    capacity, per_minute = 20, 3_000
    limit = await set_limit(urls, "SERVICE", capacity, per_minute)
    outcomes: list[LimitReached | None] = []

    async def replica(limits: PostgresRequestLimits) -> None:
        async def one() -> None:
            outcomes.extend(await ask(limits, ALICE))

        async with asyncio.TaskGroup() as group:
            for _ in range(200):
                group.create_task(one())
                await asyncio.sleep(0.01)

    async with AsyncExitStack() as stack:
        replicas = []
        for _ in range(3):
            database = Database(urls.service, pool_size=2)
            await database.start()
            stack.push_async_callback(database.close)
            replicas.append(PostgresRequestLimits(database))
            stack.push_async_callback(replicas[-1].close)
        # Half of it first: from here on it is never full, so that nothing is lost at the rim.
        assert all(passed(await ask(replicas[0], *[BOB] * 10)))
        (before,) = (await buckets(urls, limit)).values()
        await asyncio.gather(*map(replica, replicas))

    (after,) = (await buckets(urls, limit)).values()
    admitted = Counter(passed(outcomes))[True]
    refilled = per_minute * microseconds(before.refilled_at, after.refilled_at)
    assert len(outcomes) == 600
    assert admitted * REQUEST == before.level + refilled - after.level
    assert 0 <= after.level < REQUEST, "nobody was refused while there was one left"


async def test_of_many_tenants_in_one_group_each_has_its_own(
    limits: PostgresRequestLimits, urls: DatabaseUrls
) -> None:
    tenants = [f"tenant-{number}" for number in range(20)]
    for number, tenant_id in enumerate(tenants):
        await set_limit(urls, "USER", 1 + number % 3, SLOWLY, tenant_id=tenant_id)
    callers = [replace(ALICE, tenant_id=tenant_id) for _ in range(5) for tenant_id in tenants]

    outcomes = await ask(limits, *callers)

    admitted = Counter(
        caller.tenant_id for caller, outcome in zip(callers, outcomes, strict=True) if not outcome
    )
    assert [admitted[tenant_id] for tenant_id in tenants] == [1 + n % 3 for n in range(20)]


async def test_groups_that_meet_in_many_buckets_do_not_lock_each_other_out(
    urls: DatabaseUrls,
) -> None:
    for scope in ("GLOBAL", "SERVICE", "USER", "API_KEY"):
        await set_limit(urls, scope, 2_000_000, SLOWLY)
    callers = [
        Caller("acme", f"user-{n % 17}", f"service-{n % 13}", frozenset(), api_key_id=f"{n % 11}")
        for n in range(200)
    ]
    async with AsyncExitStack() as stack:
        asking = []
        for turn in range(3):
            database = Database(urls.service, pool_size=2)
            await database.start()
            stack.push_async_callback(database.close)
            limits = PostgresRequestLimits(database)
            stack.push_async_callback(limits.close)
            asking.append(ask(limits, *callers[turn * 50 :], *callers[: turn * 50]))
        outcomes = await asyncio.gather(*asking)

    assert all(all(passed(each)) for each in outcomes)


async def test_a_bucket_that_is_tidied_away_meanwhile_is_made_anew(
    limits: PostgresRequestLimits, urls: DatabaseUrls
) -> None:
    limit = await set_limit(urls, "GLOBAL", 2, SLOWLY)
    await fill(urls, limit, 2 * REQUEST)
    async with await connect(urls.superuser) as connection, connection.transaction():
        await connection.execute("SELECT FROM rate_buckets FOR UPDATE")
        asking = asyncio.create_task(ask(limits, *[ALICE] * 3))
        async with await connect(urls.superuser) as watching:
            waiting: tuple[object, ...] | None = None
            while waiting is None:
                cursor = await watching.execute(
                    "SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock' "
                    "AND query LIKE '%assistant_take_requests%'"
                )
                waiting = await cursor.fetchone()
        await connection.execute("DELETE FROM rate_buckets")

    assert passed(await asking) == [True, True, False]
    (bucket,) = (await buckets(urls, limit)).values()
    assert bucket.level < REQUEST


async def test_nobody_passes_without_a_database_and_all_do_once_it_is_back(
    limits: PostgresRequestLimits, urls: DatabaseUrls
) -> None:
    limit = await set_limit(urls, "GLOBAL", 100, SLOWLY)
    assert passed(await ask(limits, ALICE)) == [True]

    async with await connect(urls.superuser) as connection:
        await connection.execute("BEGIN; LOCK TABLE rate_buckets")
        started = time.monotonic()
        with pytest.raises(StorageUnavailable):
            await limits.take(ALICE)
        assert time.monotonic() - started < 8, "nobody waits for ever"
        await connection.execute("ROLLBACK")
        await connection.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )

    assert passed(await ask(limits, ALICE)) == [True]
    (bucket,) = (await buckets(urls, limit)).values()
    assert bucket.level // REQUEST == 98


@pytest.mark.parametrize("change", ["INSERT", "UPDATE", "DELETE"])
async def test_a_change_of_limits_is_announced(
    urls: DatabaseUrls, database: Database, change: str
) -> None:
    if change != "INSERT":
        await set_limit(urls, "GLOBAL", 1, 1)
    listener = await database.connect()
    await listener.execute("LISTEN assistant_catalog")
    statements = {
        "INSERT": "INSERT INTO rate_limits VALUES ('acme', gen_random_uuid(), 'GLOBAL', '', "
        "'REQUESTS', 1, 1, now(), now())",
        "UPDATE": "UPDATE rate_limits SET capacity = 2",
        "DELETE": "DELETE FROM rate_limits",
    }

    async with database.tenant("acme") as connection:
        await connection.execute(text(statements[change]))

    heard = [note.payload async for note in listener.notifies(timeout=1, stop_after=1)]
    await listener.close()
    assert heard == ["acme"]


async def test_the_function_is_the_services_only(urls: DatabaseUrls) -> None:
    async with await connect(urls.superuser) as connection:
        cursor = await connection.execute(
            "SELECT proowner::regrole::text, has_function_privilege('assistant_service', oid, "
            "'EXECUTE'), has_function_privilege('public', oid, 'EXECUTE') "
            "FROM pg_proc WHERE proname = 'assistant_take_requests'"
        )
        assert await cursor.fetchall() == [("assistant_ledger", True, False)]
