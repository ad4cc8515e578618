"""Figures of prompts: exact to the row, whatever a window cuts, for whoever asks."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
import pytest_asyncio

from assistant.adapters.postgres.connection import Database
from assistant.adapters.postgres.ledger import PostgresLedger
from assistant.adapters.postgres.prompt_performance import (
    PostgresPromptPerformance,
    whole_hours,
)
from assistant.domain.completion import Completion, CompletionStatus, TokenUsage
from assistant.domain.performance import (
    LatencyPercentiles,
    Performance,
    PromptLatencies,
    PromptPerformance,
)
from assistant.domain.prompt import Prompt, PromptVersion
from assistant.domain.prompt_test import TEST_FEATURE
from assistant.domain.usage import UsagePeriod, UsageWindow, window_of
from tests.postgres.catalog import add, ids_of
from tests.postgres.completions import running, succeeded
from tests.postgres.server import DatabaseUrls, connect

HOUR = timedelta(hours=1)
NOON = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
EVER = UsageWindow(NOON - timedelta(days=20), NOON + timedelta(days=20))
SUCCEEDED, FAILED, CANCELLED = (
    CompletionStatus.SUCCEEDED,
    CompletionStatus.FAILED,
    CompletionStatus.CANCELLED,
)


@pytest.fixture
def store(database: Database) -> PostgresPromptPerformance:
    return PostgresPromptPerformance(database)


def ended(tenant: str, at: datetime, version: UUID | None, **changes: Any) -> Completion:
    return succeeded(running(tenant, at=at, prompt_version_id=version), **changes)


@dataclass(frozen=True)
class World:
    """Three prompts with three versions each, and many requests of them by three tenants."""

    prompts: dict[Prompt, list[PromptVersion]]
    completions: list[Completion]


def some_completions(dice: random.Random, versions: Sequence[UUID], count: int) -> list[Completion]:
    return [
        ended(
            dice.choice(["acme", "acme", "globex", "platform"]),
            # Some at the very beginning or end of an hour.
            NOON
            + dice.choice(range(-50, 3)) * HOUR
            + timedelta(milliseconds=dice.choice([0, 1, 3_599_999, dice.randrange(3_600_000)])),
            dice.choice([None, *versions]),
            status=dice.choice([SUCCEEDED, SUCCEEDED, SUCCEEDED, FAILED, CANCELLED]),
            feature=dice.choice([None, "invoices", "invoices", TEST_FEATURE]),
            operation=dice.choice(["chat", "chat", "chat", "chat", "embeddings"]),
            usage=TokenUsage(
                dice.randrange(1_000),
                dice.randrange(500),
                0,
                False,
                Decimal(dice.randrange(10**9)).scaleb(-9),
            ),
            latency_ms=dice.randrange(2_000),
        )
        for _ in range(count)
    ]


@pytest_asyncio.fixture
async def world(database: Database, ledger: PostgresLedger) -> World:
    """Settled by two replicas at once, in opposite order, and half of it once more."""
    prompts = dict(
        [
            await add(database, tenant, name, versions=3)
            for tenant, name in (("acme", "own"), ("platform", "shared"), ("globex", "theirs"))
        ]
    )
    ids = [version.id for versions in prompts.values() for version in versions]
    completions = some_completions(random.Random(7), ids, 600)
    replica = PostgresLedger(database)
    await replica.start()
    await asyncio.gather(
        *map(ledger.settle, completions[:300]), *map(replica.settle, completions[:299:-1])
    )
    await asyncio.gather(*map(replica.settle, completions[::2]))
    await replica.close()
    return World(prompts, completions)


def windows() -> list[UsageWindow]:
    """As users ask for them, and wherever a mistake could hide."""
    now = NOON + timedelta(minutes=17, seconds=3, microseconds=141592)
    ms = timedelta(milliseconds=1)
    cuts = [
        (NOON - 30 * HOUR, NOON),
        (NOON - 30 * HOUR + ms, NOON - ms),
        (NOON - 30 * HOUR - ms, NOON + ms),
        (NOON - HOUR, NOON - HOUR),
        (NOON - HOUR / 2, NOON - HOUR / 2),
        (NOON - HOUR + ms, NOON - ms),
        (NOON - HOUR, NOON - ms),
        (NOON - HOUR + ms, NOON),
        (NOON - HOUR / 2, NOON + HOUR / 2),
        (NOON - HOUR * 1.5, NOON + HOUR / 2),
        (NOON + 100 * HOUR, NOON + 200 * HOUR),
        (EVER.start, EVER.end),
    ]
    dice = random.Random(5)
    for _ in range(12):
        ends = sorted(NOON + timedelta(seconds=dice.uniform(-200_000, 20_000)) for _ in "ab")
        cuts.append((ends[0], ends[1]))
    return [*(window_of(period, now) for period in UsagePeriod), *(UsageWindow(*c) for c in cuts)]


def counted(
    world: World, tenant: str, versions: Sequence[UUID], window: UsageWindow
) -> list[Completion]:
    """Every completion that figures are made of, found one by one."""
    return [
        completion
        for completion in world.completions
        if completion.caller.tenant_id == tenant
        and completion.prompt_version_id in versions
        and window.start <= completion.created_at < window.end
        and completion.feature != TEST_FEATURE
        and completion.operation == "chat"
    ]


def performance_of(completions: Sequence[Completion]) -> Performance:
    return Performance(
        requests=len(completions),
        succeeded=sum(c.status is SUCCEEDED for c in completions),
        failed=sum(c.status is FAILED for c in completions),
        total_tokens=sum(c.usage.prompt_tokens + c.usage.completion_tokens for c in completions),
        cost=sum((c.usage.cost for c in completions), Decimal(0)),
        latency_ms=sum(c.latency_ms for c in completions if c.status is SUCCEEDED),
    )


def percentiles_of(completions: Sequence[Completion]) -> LatencyPercentiles:
    """By definition: the smallest latency that the share of requests does not exceed."""
    latencies = sorted(c.latency_ms for c in completions if c.status is SUCCEEDED)

    def smallest(share: int) -> int | None:
        return next(
            (
                latency
                for latency in latencies
                if 100 * sum(other <= latency for other in latencies) >= share * len(latencies)
            ),
            None,
        )

    return LatencyPercentiles(smallest(50), smallest(95))


# ------------------------------------------------------------------ sums


async def test_figures_are_exact_for_every_window_and_tenant(
    store: PostgresPromptPerformance, world: World, statements: list[str]
) -> None:
    ids = [prompt.id for prompt in world.prompts]
    for tenant in ("acme", "globex", "nobody"):
        for window in windows():
            statements.clear()
            found = await store.performance(tenant, ids, window)
            assert len(statements) == 1
            for prompt, versions in world.prompts.items():
                is_visible = prompt.tenant_id in (tenant, "platform")
                expected = {
                    version.id: performance_of(mine)
                    for version in versions
                    if is_visible and (mine := counted(world, tenant, [version.id], window))
                }
                assert found[prompt.id] == PromptPerformance(window, expected), (tenant, window)


async def test_the_total_is_that_of_all_versions(
    store: PostgresPromptPerformance, world: World
) -> None:
    prompt, versions = next(iter(world.prompts.items()))

    found = await store.performance("acme", [prompt.id], EVER)

    mine = counted(world, "acme", ids_of(versions), EVER)
    assert len(mine) > 50
    assert found[prompt.id].total == performance_of(mine)


async def test_sums_by_the_hour_are_those_of_the_rows_and_a_view_adds_them_up(
    world: World, urls: DatabaseUrls
) -> None:
    counts = (
        "attempt = 0 AND prompt_version_id IS NOT NULL AND operation = 'chat' "
        "AND feature IS DISTINCT FROM %s"
    )
    async with await connect(urls.superuser) as connection:
        kept = await connection.execute(
            "SELECT tenant_id, prompt_version_id, hour, sum(requests), sum(succeeded), "
            "sum(failed), sum(total_tokens), sum(cost), sum(ended_cost), sum(latency_ms) "
            "FROM prompt_version_hours GROUP BY 1, 2, 3 ORDER BY 1, 2, 3"
        )
        counted = await connection.execute(
            "SELECT tenant_id, prompt_version_id, date_trunc('hour', created_at, 'UTC'), "
            "count(*), count(*) FILTER (WHERE status = 'SUCCEEDED'), "
            "count(*) FILTER (WHERE status = 'FAILED'), "
            "sum(prompt_tokens + completion_tokens), sum(cost), "
            "coalesce(sum(cost + saved_cost) FILTER (WHERE status <> 'CANCELLED'), 0), "
            "coalesce(sum(latency_ms) FILTER (WHERE status = 'SUCCEEDED'), 0) "
            f"FROM usage_logs WHERE {counts} GROUP BY 1, 2, 3 ORDER BY 1, 2, 3",
            (TEST_FEATURE,),
        )
        rows = await kept.fetchall()
        assert rows == await counted.fetchall()
        view = await connection.execute(
            "SELECT sum((performance_metrics->>'requests')::bigint), "
            "sum((performance_metrics->>'cost')::numeric) FROM prompt_version_metrics"
        )
        assert await view.fetchone() == (sum(r[3] for r in rows), sum(r[7] for r in rows))


async def test_nothing_asked_for_is_nothing_found(store: PostgresPromptPerformance) -> None:
    assert await store.performance("acme", [], EVER) == {}
    assert await store.latencies("acme", [], EVER) == {}


async def test_a_prompt_that_nobody_used_has_empty_figures(
    store: PostgresPromptPerformance, database: Database
) -> None:
    prompt, _ = await add(database)

    assert await store.performance("acme", [prompt.id], EVER) == {
        prompt.id: PromptPerformance(EVER)
    }
    assert await store.latencies("acme", [prompt.id], EVER) == {prompt.id: PromptLatencies()}


async def test_replicas_that_settle_the_same_prompts_in_opposite_order_do_not_lock_up(
    store: PostgresPromptPerformance, database: Database
) -> None:
    prompt, versions = await add(database, versions=8)
    replicas = [PostgresLedger(database) for _ in range(4)]
    for replica in replicas:
        await replica.start()

    async def settle(replica: PostgresLedger, step: int) -> None:
        for _ in range(15):
            await asyncio.gather(
                *(replica.settle(ended("acme", NOON, v.id)) for v in versions[::step])
            )

    await asyncio.gather(
        *(settle(replica, -1 if number % 2 else 1) for number, replica in enumerate(replicas))
    )
    for replica in replicas:
        await replica.close()

    found = await store.performance("acme", [prompt.id], EVER)
    assert [found[prompt.id].by_version[version.id].requests for version in versions] == [60] * 8


async def test_whatever_was_repeated_counts_once(
    store: PostgresPromptPerformance, database: Database, ledger: PostgresLedger
) -> None:
    prompt, (version,) = await add(database)
    completion = ended("acme", NOON, version.id)
    for _ in range(3):
        await ledger.settle(completion)
        await ledger.settle(replace(completion, status=FAILED))

    found = await store.performance("acme", [prompt.id], EVER)

    assert found[prompt.id].total == performance_of([completion])


async def test_tokens_beyond_what_an_integer_holds_do_not_lose_the_usage(
    store: PostgresPromptPerformance, database: Database, ledger: PostgresLedger
) -> None:
    prompt, (version,) = await add(database)
    most = 2**31 - 1
    usage = TokenUsage(most, most, 0, False, Decimal(1))
    for _ in range(2):
        await ledger.settle(ended("acme", NOON, version.id, usage=usage, latency_ms=most))

    for window in (EVER, UsageWindow(NOON - HOUR / 2, NOON + HOUR / 2)):
        found = await store.performance("acme", [prompt.id], window)
        assert found[prompt.id].total.total_tokens == 4 * most
        assert found[prompt.id].total.latency_ms == 2 * most


# ------------------------------------------------------------------ percentiles


async def test_percentiles_are_exact_for_every_window_and_tenant(
    store: PostgresPromptPerformance, world: World, statements: list[str]
) -> None:
    ids = [prompt.id for prompt in world.prompts]
    for tenant in ("acme", "globex"):
        for window in windows():
            statements.clear()
            found = await store.latencies(tenant, ids, window)
            assert len(statements) == 1
            for prompt, versions in world.prompts.items():
                visible = versions if prompt.tenant_id in (tenant, "platform") else []
                by_version = {
                    version.id: percentiles_of(counted(world, tenant, [version.id], window))
                    for version in visible
                }
                assert found[prompt.id] == PromptLatencies(
                    percentiles_of(counted(world, tenant, ids_of(visible), window)),
                    {id_: of for id_, of in by_version.items() if of != LatencyPercentiles()},
                ), (tenant, window)


# ------------------------------------------------------------------ how they are found


async def explain(database: Database, statement: str, **parameters: object) -> str:
    """How the statement would be run for acme if tables were large."""
    who = {"tenant_id": "acme", "platform": "platform"}
    async with database.tenant("acme") as connection:
        await connection.exec_driver_sql("SET LOCAL enable_seqscan = off")
        rows = await connection.exec_driver_sql(f"EXPLAIN {statement}", who | parameters)
    return "\n".join(row[0] for row in rows)


CUT = UsageWindow(NOON - 30.5 * HOUR, NOON - 0.5 * HOUR)


async def test_percentiles_read_an_index_and_not_the_rows(
    store: PostgresPromptPerformance, database: Database, world: World, statements: list[str]
) -> None:
    ids = [prompt.id for prompt in world.prompts]
    statements.clear()
    await store.latencies("acme", ids, CUT)

    plan = await explain(database, statements[0], prompt_ids=ids, start=CUT.start, end=CUT.end)

    assert "Index Only Scan using usage_logs_" in plan
    assert "Seq Scan on usage_logs" not in plan


async def test_sums_read_the_index_of_hours_and_that_of_rows_where_an_hour_is_cut(
    store: PostgresPromptPerformance, database: Database, world: World, statements: list[str]
) -> None:
    ids = [prompt.id for prompt in world.prompts]
    statements.clear()
    await store.performance("acme", ids, CUT)
    first_hour, last_hour = whole_hours(CUT)

    plan = await explain(
        database,
        statements[0],
        prompt_ids=ids,
        start=CUT.start,
        end=CUT.end,
        first_hour=first_hour,
        last_hour=last_hour,
    )

    assert (first_hour, last_hour) == (NOON - 30 * HOUR, NOON - HOUR)
    assert "prompt_version_id_created_at" in plan
    assert "Seq Scan on usage_logs" not in plan
    assert "Seq Scan on prompt_version_hours" not in plan
