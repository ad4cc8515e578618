"""Reports of a large tenant: `.venv/bin/python -m tests.bench.reports --rows 10000000`.

Usage of 30 days by 2,000 users through 20 services, unevenly: a user calls through three of them, a
service asks for three of 10 features, and a feature is mostly one model's of 8. One request in five
is answered from the cache, some fall over to another model. Three connections write it, as three
replicas would, and the sums are added up by the trigger that does so in the service.

Each report is asked for one at a time, as the store answers it; milliseconds.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import statistics
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import psycopg
import uvloop

from assistant.adapters.postgres.connection import Database
from assistant.adapters.postgres.usage import PostgresUsage
from assistant.domain.ports import UsageSubject
from assistant.domain.usage import (
    UsageGranularity,
    UsageMeasure,
    UsagePeriod,
    UsageWindow,
    steps_of,
    window_of,
)
from tests.postgres.server import connect, running_server

TENANT = "default"
DAYS, USERS, SERVICES, REPLICAS = 30, 2_000, 20, 3
ROWS_PER_REQUEST = 1.83
GROUP, GROUPS = 64, 300

# A period of days before now, in days, and how many requests lie in it.
_FILL = """
INSERT INTO usage_logs (
    tenant_id, id, created_at, attempt, status, user_id, service_id, feature, model, provider,
    prompt_tokens, completion_tokens, cached_tokens, reasoning_tokens, is_estimated, cost,
    saved_cost, saved_tokens, cache, latency_ms)
WITH asked AS MATERIALIZED (
    SELECT uuidv7(-({day} + {days} * random()) * interval '1 day') AS id,
           floor({users} * random() ^ 2)::int AS person, floor(3 * random() ^ 2)::int AS liking,
           floor(3 * random() ^ 2)::int AS part, random() AS choice, random() AS luck,
           (50 + 2000 * random() ^ 3)::int AS prompt, (20 + 500 * random() ^ 2)::int AS answer
    FROM generate_series(1, {requests})
), called AS MATERIALIZED (
    SELECT a.*, (person * 7 + liking) % {services} AS service,
           ((person * 7 + liking) % {services} * 3 + part) % 10 AS feature,
           luck BETWEEN 0.5 AND 0.7 AS is_hit
    FROM asked AS a
), chosen AS MATERIALIZED (
    SELECT c.*, CASE WHEN choice < 0.95 THEN feature * 3 % 8
                     ELSE floor((choice - 0.95) * 160)::int END AS model
    FROM called AS c
)
SELECT '{tenant}', c.id, uuid_extract_timestamp(c.id), t.attempt,
       CASE WHEN c.luck > 0.98 OR t.attempt = 1 AND c.luck < 0.03 THEN 'FAILED'
            ELSE 'SUCCEEDED' END,
       'user-' || c.person, 'service-' || c.service, 'feature-' || c.feature,
       'cloud/model-' || CASE WHEN t.attempt = 1 AND c.luck < 0.03 THEN (c.model + 1) % 8
                              ELSE c.model END,
       'cloud', CASE WHEN c.is_hit THEN 0 ELSE c.prompt END,
       CASE WHEN c.is_hit THEN 0 ELSE c.answer END, 0, 0, false,
       CASE WHEN c.is_hit THEN 0 ELSE c.prompt * 0.00000015 + c.answer * 0.0000006 END,
       CASE WHEN c.is_hit AND t.attempt = 0 THEN c.prompt * 0.00000015 ELSE 0 END, 0,
       CASE WHEN c.is_hit THEN 'EXACT' ELSE 'MISS' END, 700
FROM chosen AS c CROSS JOIN LATERAL (
    SELECT 0 AS attempt UNION ALL SELECT 1 WHERE NOT c.is_hit
    UNION ALL SELECT 2 WHERE c.luck < 0.03
) AS t
"""
_TABLES = ("usage_logs", "usage_hours", "usage_service_hours", "usage_user_days")


def some_usage(day: float, days: float, requests: int) -> bytes:
    """A statement that writes the usage of about so many requests."""
    return _FILL.format(
        tenant=TENANT, users=USERS, services=SERVICES, day=day, days=days, requests=requests
    ).encode()


async def fill(connections: Sequence[psycopg.AsyncConnection], rows: int) -> None:
    requests = round(rows / ROWS_PER_REQUEST / DAYS / len(connections))
    started = time.perf_counter()
    # By the day, as the past came about, so that rows lie in the order of time.
    for day in reversed(range(DAYS)):
        for connection in connections:
            await connection.execute(some_usage(day, 1, requests))
    took_s = time.perf_counter() - started
    for table in _TABLES:
        await connections[0].execute(f"VACUUM ANALYZE {table}".encode())
        cursor = await connections[0].execute(f"SELECT count(*) FROM {table}".encode())
        row = await cursor.fetchone()
        assert row is not None
        print(f"{table:22} {row[0]:12,} rows")
    print(f"written in {took_s:,.0f} s")


async def measure_writing(connection: psycopg.AsyncConnection) -> None:
    """Usage rows per second, in commits of the usage of 64 requests, with and without sums."""
    print(f"\nusage rows of {GROUP} requests in one statement, one after the other")
    for name, change in (("not added up", "DISABLE"), ("added up", "ENABLE")):
        await connection.execute(f"ALTER TABLE usage_logs {change} TRIGGER count_usage".encode())
        written = 0
        started = time.perf_counter()
        for _ in range(GROUPS):
            # All within the minute: they add to sums that are there, as a busy service's do.
            cursor = await connection.execute(some_usage(0, 1 / 1440, GROUP))
            written += cursor.rowcount
        rate = written / (time.perf_counter() - started)
        print(f"{name:32} {rate:9,.0f} rows/s")


async def measure(name: str, asked: int, ask: Callable[[], Awaitable[object]]) -> None:
    taken_ms = []
    for number in range(asked + 3):
        started = time.perf_counter()
        await ask()
        if number >= 3:
            taken_ms.append(1_000 * (time.perf_counter() - started))
    p95 = statistics.quantiles(taken_ms, n=20)[-1]
    print(f"{name:32} p50 {statistics.median(taken_ms):7.1f} ms   p95 {p95:7.1f} ms", flush=True)


async def measure_reports(store: PostgresUsage) -> None:
    dice = random.Random(1)

    def month() -> UsageWindow:
        return window_of(UsagePeriod.LAST_30_DAYS, datetime.now(UTC))

    def user() -> str:
        return f"user-{dice.randrange(USERS)}"

    async def trend(granularity: UsageGranularity, zone: str, whose: UsageSubject) -> None:
        window = month()
        await store.trend(TENANT, window, steps_of(window, granularity, ZoneInfo(zone)), whose)

    print("\n30 days")
    await measure("a user", 200, lambda: store.summarize_users(TENANT, [user()], month()))
    await measure(
        "the user who asked most", 40, lambda: store.summarize_users(TENANT, ["user-0"], month())
    )
    await measure(
        "20 users at once",
        40,
        lambda: store.summarize_users(TENANT, [user() for _ in range(20)], month()),
    )
    await measure(
        "a service",
        40,
        lambda: store.summarize_services(TENANT, [f"service-{dice.randrange(SERVICES)}"], month()),
    )
    await measure(
        "10 top users", 40, lambda: store.top_users(TENANT, month(), 10, UsageMeasure.TOKENS)
    )
    for granularity in (UsageGranularity.DAY, UsageGranularity.HOUR):
        unit = granularity.value.lower()
        for zone in ("UTC", "Europe/Berlin", "Asia/Kolkata"):
            await measure(
                f"the tenant by {unit}, {zone}",
                20,
                lambda g=granularity, z=zone: trend(g, z, UsageSubject()),  # type: ignore[misc]
            )
        await measure(
            f"a user by {unit}",
            20,
            lambda g=granularity: trend(g, "UTC", UsageSubject(user_id=user())),  # type: ignore[misc]
        )


async def main(rows: int) -> None:
    async with running_server() as server, server.database() as urls:
        connections = [await connect(urls.superuser) for _ in range(REPLICAS)]
        # Usage of a month reaches into months that have no partition on a fresh database.
        await connections[0].execute(
            "SELECT assistant_maintain_partitions(2, 24, now() - interval '1 month')"
        )
        await fill(connections, rows)
        database = Database(urls.service)
        await database.start()
        await measure_reports(PostgresUsage(database))
        await database.close()
        await measure_writing(connections[0])
        for connection in connections:
            await connection.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000, help="usage rows, about")
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main(parser.parse_args().rows))
