"""The cache as a whole: what expires, what gives way, what it did, what is asked again in time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import pytest
import pytest_asyncio

from assistant.adapters.postgres.cache import PostgresCache
from assistant.adapters.postgres.cache_upkeep import PostgresCacheUpkeep
from assistant.adapters.postgres.connection import Database
from assistant.adapters.postgres.ledger import PostgresLedger
from assistant.domain.cache import (
    CacheEntry,
    CacheFigures,
    CacheOutcome,
    CacheUpkeep,
    Lead,
    WarmingTask,
)
from assistant.domain.caller import Caller, Scope
from assistant.domain.completion import CompletionRequest, Decision, Operation, TokenUsage
from assistant.domain.usage import UsageWindow
from assistant.errors import StorageUnavailable
from tests.postgres.cache_entries import ANSWER, a_flight, a_key, an_entry, vectors
from tests.postgres.completions import running, succeeded
from tests.postgres.server import DatabaseUrls, connect

PLENTY = 1_000_000_000


@pytest_asyncio.fixture
async def cache(database: Database) -> AsyncIterator[PostgresCache]:
    opened = PostgresCache(database)
    yield opened
    await opened.close()


@pytest.fixture
def upkeep(database: Database) -> PostgresCacheUpkeep:
    return PostgresCacheUpkeep(database)


async def execute(urls: DatabaseUrls, sql: str) -> list[tuple[Any, ...]]:
    async with await connect(urls.superuser) as connection:
        cursor = await connection.execute(sql.encode())
        return await cursor.fetchall() if cursor.description else []


async def left(urls: DatabaseUrls) -> set[UUID]:
    return {id_ for (id_,) in await execute(urls, "SELECT id FROM cache_entries")}


def expired(question: str, tenant: str = "acme") -> CacheEntry:
    key = a_key(question, tenant)
    return an_entry(key, age_s=60, expires_at=datetime.now(UTC) - timedelta(seconds=1))


# ------------------------------------------------------------------------------ cleaning


async def test_what_has_expired_goes_and_what_has_not_stays(
    cache: PostgresCache, upkeep: PostgresCacheUpkeep, urls: DatabaseUrls
) -> None:
    old = [expired(f"{number}?", f"tenant-{number % 3}") for number in range(9)]
    fresh = [an_entry(a_key(f"new {number}?", f"tenant-{number % 3}")) for number in range(4)]
    await asyncio.gather(*map(cache.keep, (*old, *fresh)))
    await cache.count_hits({(entry.key.tenant_id, entry.id): 1 for entry in (*old, *fresh)})

    report = await upkeep.clean(PLENTY)

    assert (report.expired, report.evicted, report.entries) == (9, 0, 4)
    assert await left(urls) == {entry.id for entry in fresh}
    uses = {id_ for (id_,) in await execute(urls, "SELECT id FROM cache_entry_uses")}
    assert uses == {entry.id for entry in fresh}
    assert await upkeep.clean(PLENTY) == replace(report, expired=0)


async def test_several_workers_clean_at_once_and_each_row_goes_once(
    cache: PostgresCache, upkeep: PostgresCacheUpkeep, urls: DatabaseUrls
) -> None:
    await asyncio.gather(*(cache.keep(expired(f"{number}?")) for number in range(300)))
    kept = [an_entry(a_key(f"new {number}?")) for number in range(50)]
    await asyncio.gather(*map(cache.keep, kept))

    reports = await asyncio.gather(*(upkeep.clean(20_000) for _ in range(5)))

    assert sum(report.expired for report in reports) == 300
    rows = await left(urls)
    assert sum(report.evicted for report in reports) == 50 - len(rows) > 0


async def test_cleaning_waits_for_nobody(
    cache: PostgresCache, upkeep: PostgresCacheUpkeep, urls: DatabaseUrls
) -> None:
    await cache.keep(expired("1?"))
    await cache.keep(expired("2?"))
    async with await connect(urls.superuser) as superuser, superuser.transaction():
        await superuser.execute("SELECT id FROM cache_entries WHERE wording = '1?' FOR UPDATE")
        assert (await upkeep.clean(PLENTY)).expired == 1

    assert (await upkeep.clean(PLENTY)).expired == 1


async def test_writers_and_cleaners_do_not_stop_each_other(
    cache: PostgresCache, upkeep: PostgresCacheUpkeep
) -> None:
    entries = [an_entry(a_key(f"{number % 20}?")) for number in range(400)]

    async def clean() -> None:
        for _ in range(15):
            await upkeep.clean(20_000)

    async def count() -> None:
        for entry in entries:
            await cache.count_hits({("acme", entry.id): 1, ("acme", entries[0].id): 1})

    await asyncio.gather(clean(), clean(), count(), *map(cache.keep, entries))


async def test_what_is_worth_least_gives_way(
    cache: PostgresCache, upkeep: PostgresCacheUpkeep, urls: DatabaseUrls
) -> None:
    def made(name: str, tokens: int = 100, text: str = "short", age_s: float = 0.0) -> CacheEntry:
        answer = replace(ANSWER, text=text, prompt_tokens=tokens, completion_tokens=0)
        return an_entry(a_key(name), answer=answer, age_s=age_s)

    plain, used, dear = made("plain"), made("used"), made("dear", tokens=1000)
    large, old = made("large", text="long " * 2000), made("old", age_s=36 * 3600)
    revived = made("revived", age_s=36 * 3600)
    # From what is worth least on.
    order = [large, old, plain, revived, used, dear]
    await asyncio.gather(*map(cache.keep, order))
    await cache.count_hits({("acme", used.id): 3, ("acme", revived.id): 2})
    sizes = dict(await execute(urls, "SELECT id, size_bytes FROM cache_entries"))

    remaining = list(order)
    while remaining:
        assert await left(urls) == {entry.id for entry in remaining}
        total = sum(sizes[entry.id] for entry in remaining)
        assert (await upkeep.clean(total)).evicted == 0, "it fits"
        if len(remaining) == 1:
            break
        assert (await upkeep.clean(total - 1)).evicted == 1
        remaining.pop(0)


async def test_each_tenant_has_its_own_room(
    cache: PostgresCache, upkeep: PostgresCacheUpkeep, urls: DatabaseUrls
) -> None:
    large = [an_entry(a_key(f"{number:02}?", "large")) for number in range(50)]
    small = [an_entry(a_key(f"{number:02}?", "small")) for number in range(5)]
    await asyncio.gather(*map(cache.keep, (*large, *small)))
    ((size,),) = await execute(urls, "SELECT DISTINCT size_bytes FROM cache_entries")

    report = await upkeep.clean(10 * size)

    assert report == CacheUpkeep(evicted=40, entries=15, size_bytes=15 * size)
    assert {entry.id for entry in small} <= await left(urls)


async def test_questions_that_nobody_asks_any_more_are_forgotten(
    cache: PostgresCache, upkeep: PostgresCacheUpkeep, urls: DatabaseUrls
) -> None:
    old, new = a_flight(a_key("old?")), a_flight(a_key("new?"))
    assert await cache.find_or_lead(a_key("old?"), old) is Lead.OURS
    await execute(urls, "UPDATE cache_flights SET heard_at = now() - interval '61 s'")
    assert await cache.find_or_lead(a_key("new?"), new) is Lead.OURS

    await upkeep.clean(PLENTY)

    assert await execute(urls, "SELECT id FROM cache_flights") == [(new.id,)]


async def test_what_it_holds_is_measured_over_all_tenants(
    cache: PostgresCache, upkeep: PostgresCacheUpkeep, urls: DatabaseUrls
) -> None:
    assert await upkeep.measure() == CacheUpkeep()
    entries = [an_entry(a_key(tenant=f"tenant-{number}")) for number in range(3)]
    await asyncio.gather(*map(cache.keep, entries))

    ((size,),) = await execute(urls, "SELECT sum(size_bytes) FROM cache_entries")
    assert await upkeep.measure() == CacheUpkeep(entries=3, size_bytes=size)


async def test_the_size_of_an_entry_is_what_it_takes(
    cache: PostgresCache, upkeep: PostgresCacheUpkeep, fresh: DatabaseUrls
) -> None:
    """To a third, so that a cap in bytes is one; large texts are compressed, and may be less."""
    database = Database(fresh.service, pool_size=2)
    opened = PostgresCache(database)
    for number, vector in enumerate(vectors(600)):
        text = str(vector[:50])
        await opened.keep(
            an_entry(
                a_key(f"{number}?"),
                answer=replace(ANSWER, text=text),
                vector=[float(x) for x in vector],
            )
        )
    taken, said = (
        await execute(
            fresh,
            "SELECT (SELECT sum(pg_total_relation_size(relid)) FROM pg_partition_tree("
            "'cache_entries') WHERE isleaf), (SELECT sum(size_bytes) FROM cache_entries)",
        )
    )[0]
    await opened.close()
    await database.close()

    assert 0.67 < said / int(taken) < 1.5


# ------------------------------------------------------------------------------- figures


async def test_figures_are_those_of_the_tenants_usage_rows_in_the_window(
    ledger: PostgresLedger, cache: PostgresCache, upkeep: PostgresCacheUpkeep
) -> None:
    now = datetime.now(UTC)
    window = UsageWindow(now - timedelta(hours=1), now + timedelta(hours=1))
    saved = Decision(saved_tokens=10, saved_cost=Decimal("0.25"))

    async def settle(outcome: CacheOutcome, **changes: Any) -> None:
        tenant = changes.pop("tenant", "acme")
        opened = running(tenant, at=changes.pop("at", None))
        decision = saved if outcome.is_hit else Decision()
        await ledger.settle(succeeded(opened, cache=outcome, decision=decision, **changes))

    for outcome, times in (
        (CacheOutcome.EXACT, 3),
        (CacheOutcome.SEMANTIC, 2),
        (CacheOutcome.COALESCED, 1),
        (CacheOutcome.MISS, 4),
        (CacheOutcome.BYPASSED, 5),
    ):
        for _ in range(times):
            await settle(outcome)
    await settle(CacheOutcome.EXACT, tenant="globex")
    await settle(CacheOutcome.EXACT, at=now - timedelta(hours=2))
    await settle(CacheOutcome.EXACT, operation=Operation.EMBEDDINGS)
    await asyncio.gather(*map(cache.keep, (an_entry(), an_entry(a_key("2?")), expired("3?"))))
    await cache.keep(an_entry(a_key(tenant="globex")))

    figures = await upkeep.figures("acme", window)

    assert figures == CacheFigures(
        entries=2,
        exact_hits=3,
        semantic_hits=2,
        coalesced=1,
        misses=4,
        saved_tokens=60,
        saved_cost=Decimal("1.5"),
    )
    assert await upkeep.figures("nobody", window) == CacheFigures()


async def test_answers_from_the_cache_make_a_version_no_cheaper(
    ledger: PostgresLedger, urls: DatabaseUrls
) -> None:
    version = uuid4()
    for outcome, cost, saved_cost in (
        (CacheOutcome.MISS, "0.5", "0"),
        (CacheOutcome.EXACT, "0", "0.5"),
        (CacheOutcome.SEMANTIC, "0.125", "0.5"),
    ):
        await ledger.settle(
            succeeded(
                running(prompt_version_id=version),
                cache=outcome,
                usage=TokenUsage(cost=Decimal(cost)),
                decision=Decision(saved_cost=Decimal(saved_cost)),
            )
        )

    kept = "SELECT sum(cost), sum(ended_cost) FROM prompt_version_hours"
    assert await execute(urls, kept) == [(Decimal("0.625"), Decimal("1.625"))]


# ------------------------------------------------------------------------------- warming


SOON = timedelta(minutes=10)


def warm(name: str, version: UUID, number: int, tenant: str = "acme", **changes: Any) -> CacheEntry:
    caller = Caller(tenant, "ann", None, frozenset({Scope.COMPLETE}))
    request = CompletionRequest(caller, prompt_name=name, variables={"number": number})
    return an_entry(
        a_key(f"{name} {number}", tenant),
        **{
            "age_s": 3600,
            "expires_at": datetime.now(UTC) + timedelta(minutes=5),
            "prompt_name": name,
            "prompt_version_id": version,
            "request": request,
        }
        | changes,
    )


async def test_what_is_used_most_is_asked_again_before_it_expires(
    ledger: PostgresLedger, cache: PostgresCache, upkeep: PostgresCacheUpkeep
) -> None:
    versions = {name: uuid4() for name in ("much", "more", "little")}
    for name, times in (("much", 5), ("more", 3), ("little", 1)):
        for _ in range(times):
            await ledger.settle(succeeded(running(prompt_version_id=versions[name])))
    entries = {
        (name, number): warm(name, version, number)
        for name, version in versions.items()
        for number in range(3)
    }
    foreign = warm("theirs", uuid4(), 0, "globex")
    await asyncio.gather(*map(cache.keep, (*entries.values(), foreign)))
    await cache.count_hits(
        {("acme", entry.id): 1 + number for (_, number), entry in entries.items()}
    )
    await cache.count_hits({("globex", foreign.id): 1})

    tasks = await upkeep.list_warming(datetime.now(UTC) + SOON, 2, 2)

    expected = [entries["much", 2], entries["much", 1], entries["more", 2], entries["more", 1]]
    assert tasks == [
        WarmingTask(entry.id, entry.request) for entry in (*expected, foreign) if entry.request
    ]


async def test_what_need_not_or_cannot_be_asked_again_is_not(
    cache: PostgresCache, upkeep: PostgresCacheUpkeep
) -> None:
    version = uuid4()
    unused = warm("p", version, 1)
    entries = [
        warm("p", version, 2, expires_at=datetime.now(UTC) + timedelta(hours=1)),
        warm("p", version, 3, expires_at=datetime.now(UTC) - timedelta(seconds=1)),
        warm("p", version, 4, request=None),
        warm("p", version, 5, prompt_name=None),
        warm("p", version, 6, age_s=3000),
    ]
    await asyncio.gather(*map(cache.keep, (unused, *entries)))
    await cache.count_hits({("acme", entry.id): 1 for entry in entries})

    assert await upkeep.list_warming(datetime.now(UTC) + SOON, 10, 10) == []

    await cache.count_hits({("acme", unused.id): 1})
    tasks = await upkeep.list_warming(datetime.now(UTC) + SOON, 10, 10)
    assert [task.entry_id for task in tasks] == [unused.id]


async def test_without_a_database_it_says_so() -> None:
    database = Database("postgresql://nobody@127.0.0.1:1/nowhere")
    upkeep = PostgresCacheUpkeep(database)

    with pytest.raises(StorageUnavailable):
        await upkeep.clean(PLENTY)
    await database.close()
