"""Reports of usage: the sums by the hour and the single rows say the same, whatever a window cuts."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any, TypeAlias
from zoneinfo import ZoneInfo

import pytest
import pytest_asyncio
from sqlalchemy import text

from assistant.adapters.postgres.connection import Database
from assistant.adapters.postgres.ledger import PostgresLedger
from assistant.adapters.postgres.tenant_settings import PostgresTenantSettings
from assistant.adapters.postgres.usage import PostgresUsage
from assistant.domain.cache import CacheOutcome
from assistant.domain.caller import Caller
from assistant.domain.completion import (
    Attempt,
    AttemptOutcome,
    Completion,
    CompletionStatus,
    Decision,
    TokenUsage,
)
from assistant.domain.ports import UsageSubject
from assistant.domain.usage import (
    UsageGranularity,
    UsageMeasure,
    UsagePeriod,
    UsagePoint,
    UsageShare,
    UsageSummary,
    UsageWindow,
    UserUsage,
    steps_of,
    window_of,
)
from tests.postgres.completions import running, succeeded
from tests.postgres.server import DatabaseUrls, connect

HOUR, MS = timedelta(hours=1), timedelta(milliseconds=1)
NOON = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
NOW = NOON + timedelta(minutes=17, seconds=3, microseconds=141592)
USERS = ("ann", "bob", "cleo", "nobody")
SERVICES = ("web", "billing", "nowhere")
MODELS = ("ollama/llama", "openai/gpt", "anthropic/claude")
# Days that begin at 00:00 of UTC, in the middle of an hour, and on another date.
ZONES = [ZoneInfo(name) for name in ("UTC", "Asia/Kathmandu", "America/New_York", "Pacific/Apia")]

RawRow: TypeAlias = dict[str, Any]


@pytest.fixture
def store(database: Database) -> PostgresUsage:
    return PostgresUsage(database)


def some_usage(dice: random.Random) -> TokenUsage:
    prompt, answer = dice.randrange(1_000), dice.randrange(500)
    is_priced = dice.random() < 0.9
    return TokenUsage(
        prompt,
        answer,
        dice.randrange(prompt + 1),
        dice.random() < 0.2,
        Decimal(dice.randrange(10**9)).scaleb(-9) if is_priced else Decimal(0),
        reasoning_tokens=dice.randrange(answer + 1),
        is_priced=is_priced,
    )


def some_completion(dice: random.Random) -> Completion:
    """Refused, cached, failed over, stopped: anything that becomes usage."""
    # Some at the very beginning or end of an hour.
    at = NOON + dice.choice(range(-75, 3)) * HOUR
    at += timedelta(milliseconds=dice.choice([0, 1, 3_599_999, dice.randrange(3_600_000)]))
    attempts = tuple(
        Attempt(
            provider=model.partition("/")[0],
            model=model,
            outcome=dice.choice(list(AttemptOutcome)),
            latency_ms=dice.randrange(900),
            usage=some_usage(dice),
        )
        for model in dice.choices(MODELS, k=dice.choice([0, 0, 1, 1, 1, 2, 3]))
    )
    ended = succeeded(
        running(dice.choice(["acme", "acme", "globex"]), at=at),
        caller=Caller("acme", "ann", "web", frozenset()),
        status=dice.choice(
            [CompletionStatus.SUCCEEDED, CompletionStatus.FAILED, CompletionStatus.CANCELLED]
        ),
        feature=dice.choice([None, "", "invoices", "search"]),
        model=attempts[-1].model if attempts else dice.choice(["", MODELS[0]]),
        usage=sum_of([attempt.usage for attempt in attempts]),
        cache=CacheOutcome.MISS if attempts else dice.choice(list(CacheOutcome)),
        decision=Decision(attempts=attempts, saved_cost=Decimal(dice.randrange(10**9)).scaleb(-9)),
    )
    caller = Caller(
        dice.choice(["acme", "acme", "globex"]),
        dice.choice([None, *USERS[:3]]),
        dice.choice([None, *SERVICES[:2]]),
        frozenset(),
    )
    return replace(ended, caller=caller)


def sum_of(usages: Collection[TokenUsage]) -> TokenUsage:
    return TokenUsage(
        sum(usage.prompt_tokens for usage in usages),
        sum(usage.completion_tokens for usage in usages),
        sum(usage.cached_tokens for usage in usages),
        False,
        sum((usage.cost for usage in usages), Decimal(0)),
        reasoning_tokens=sum(usage.reasoning_tokens for usage in usages),
        is_priced=all(usage.is_priced for usage in usages),
    )


@pytest_asyncio.fixture
async def rows(database: Database, ledger: PostgresLedger, urls: DatabaseUrls) -> list[RawRow]:
    """What two replicas have settled at once, in opposite order, and half of it once more."""
    dice = random.Random(11)
    completions = [some_completion(dice) for _ in range(900)]
    replica = PostgresLedger(database)
    await replica.start()
    await asyncio.gather(
        *map(ledger.settle, completions[:450]), *map(replica.settle, completions[:449:-1])
    )
    await asyncio.gather(*map(replica.settle, completions[::2]))
    await replica.close()
    async with await connect(urls.superuser) as connection:
        cursor = await connection.execute("SELECT * FROM usage_logs")
        names = [column.name for column in cursor.description or ()]
        return [dict(zip(names, row, strict=True)) for row in await cursor.fetchall()]


def windows() -> list[UsageWindow]:
    """As users ask for them, and wherever a mistake could hide."""
    cuts = [
        (NOON - 30 * HOUR, NOON),
        (NOON - 30 * HOUR + MS, NOON - MS),
        (NOON - 30 * HOUR - MS, NOON + MS),
        (NOON - HOUR, NOON - HOUR),
        (NOON - HOUR / 2, NOON - HOUR / 2),
        (NOON - HOUR + MS, NOON - MS),
        (NOON - HOUR + MS / 2, NOON - MS / 2),
        (NOON - HOUR, NOON - MS),
        (NOON - HOUR + MS, NOON),
        (NOON - HOUR / 2, NOON + HOUR / 2),
        (NOON + 100 * HOUR, NOON + 200 * HOUR),
        (NOON - timedelta(days=20), NOON + timedelta(days=20)),
    ]
    dice = random.Random(5)
    for _ in range(25):
        ends = sorted(NOON + timedelta(seconds=dice.uniform(-280_000, 20_000)) for _ in "ab")
        cuts.append((ends[0], ends[1]))
    periods = [window_of(period, NOW, zone) for period in UsagePeriod for zone in ZONES]
    return [*periods, *(UsageWindow(*cut) for cut in cuts)]


# ------------------------------------------------------------------ the same, added up row by row


def within(rows: Iterable[RawRow], window: UsageWindow) -> list[RawRow]:
    return [
        row
        for row in rows
        if row["tenant_id"] == "acme" and window.start <= row["created_at"] < window.end
    ]


def requests_of(rows: Iterable[RawRow]) -> list[RawRow]:
    return [row for row in rows if row["attempt"] == 0]


def used_in(rows: Iterable[RawRow]) -> list[RawRow]:
    return [row for row in rows if row["attempt"] > 0]


def tokens_of(rows: Iterable[RawRow]) -> int:
    return sum(row["prompt_tokens"] + row["completion_tokens"] for row in used_in(rows))


def cost_of(rows: Iterable[RawRow]) -> Decimal:
    return sum((row["cost"] or Decimal(0) for row in used_in(rows)), Decimal(0))


def shares(rows: Sequence[RawRow], key: Callable[[RawRow], str]) -> tuple[UsageShare, ...]:
    parts: dict[str, list[RawRow]] = {}
    for row in rows:
        parts.setdefault(key(row), []).append(row)
    found = [
        UsageShare(name, len(requests_of(part)), tokens_of(part), cost_of(part))
        for name, part in parts.items()
    ]
    return tuple(sorted(found, key=lambda s: (-s.cost, -s.total_tokens, s.key)))


def summary(rows: Sequence[RawRow], window: UsageWindow) -> UsageSummary:
    requests, used = requests_of(rows), used_in(rows)
    return UsageSummary(
        window=window,
        requests=len(requests),
        failed_requests=sum(row["status"] == "FAILED" for row in requests),
        cached_requests=sum(row["cache"] in ("EXACT", "SEMANTIC", "COALESCED") for row in requests),
        prompt_tokens=sum(row["prompt_tokens"] for row in used),
        completion_tokens=sum(row["completion_tokens"] for row in used),
        cached_tokens=sum(row["cached_tokens"] for row in used),
        reasoning_tokens=sum(row["reasoning_tokens"] for row in used),
        unpriced_attempts=sum(row["cost"] is None for row in used),
        cost=cost_of(rows),
        saved_cost=sum((row["saved_cost"] for row in requests), Decimal(0)),
        by_model=shares(rows, lambda row: row["model"]),
        by_feature=shares(rows, lambda row: row["feature"] or ""),
    )


def points(
    rows: Sequence[RawRow], window: UsageWindow, steps: Sequence[UsageWindow]
) -> list[UsagePoint]:
    found = []
    for step in steps:
        part = within(within(rows, window), step)
        found.append(UsagePoint(step.start, len(requests_of(part)), tokens_of(part), cost_of(part)))
    return found


# ------------------------------------------------------------------ reports


async def test_the_rows_hold_all_that_reports_tell_apart(rows: list[RawRow]) -> None:
    """Or the tests below would show less than they seem to."""
    mine = [row for row in rows if row["tenant_id"] == "acme"]

    assert {row["attempt"] for row in mine} >= {0, 1, 2, 3}
    assert {row["cost"] is None for row in used_in(mine)} == {True, False}
    for name in ("user_id", "service_id", "feature"):
        assert None in {row[name] for row in mine}, name
    switched = {row["id"] for row in mine if row["model"] == MODELS[0]}
    assert switched & {row["id"] for row in mine if row["model"] == MODELS[1]}


async def test_summaries_of_users_and_services_are_their_rows_added_up(
    store: PostgresUsage, rows: list[RawRow]
) -> None:
    for window in windows():
        users = await store.summarize_users("acme", USERS, window)
        services = await store.summarize_services("acme", SERVICES, window)

        found = within(rows, window)
        for user in USERS:
            mine = [row for row in found if row["user_id"] == user]
            assert users[user] == summary(mine, window), (user, window)
        for service in SERVICES:
            mine = [row for row in found if row["service_id"] == service]
            assert services[service] == summary(mine, window), (service, window)


@pytest.mark.parametrize("by", list(UsageMeasure))
async def test_the_users_who_used_most_come_first(
    store: PostgresUsage, rows: list[RawRow], by: UsageMeasure
) -> None:
    measure: dict[UsageMeasure, Callable[[UserUsage], Any]] = {
        UsageMeasure.TOKENS: lambda u: (-u.total_tokens, -u.cost, -u.requests, u.user_id),
        UsageMeasure.COST: lambda u: (-u.cost, -u.total_tokens, -u.requests, u.user_id),
        UsageMeasure.REQUESTS: lambda u: (-u.requests, -u.cost, -u.total_tokens, u.user_id),
    }
    for window in windows():
        users = []
        for user in USERS:
            mine = [row for row in within(rows, window) if row["user_id"] == user]
            if mine:
                users.append(
                    UserUsage(user, len(requests_of(mine)), tokens_of(mine), cost_of(mine))
                )
        expected = sorted(users, key=measure[by])

        assert await store.top_users("acme", window, 100, by) == expected, window
        assert await store.top_users("acme", window, 2, by) == expected[:2], window


@pytest.mark.parametrize("granularity", list(UsageGranularity))
async def test_trends_are_the_rows_of_each_step_added_up(
    store: PostgresUsage, rows: list[RawRow], granularity: UsageGranularity
) -> None:
    whose: list[tuple[UsageSubject, Callable[[RawRow], bool]]] = [
        (UsageSubject(), lambda row: True),
        (UsageSubject(user_id="ann"), lambda row: row["user_id"] == "ann"),
        (UsageSubject(service_id="web"), lambda row: row["service_id"] == "web"),
        (UsageSubject(user_id="nobody"), lambda row: False),
    ]
    # Long windows hold no other rows, and Python takes its time to add up the hours of months.
    short = [window for window in windows() if window.end - window.start < timedelta(days=8)]
    for window in short[::2]:
        for zone in ZONES:
            steps = steps_of(window, granularity, zone)
            for subject, is_theirs in whose:
                found = await store.trend("acme", window, steps, subject)
                mine = [row for row in rows if is_theirs(row)]
                assert found == points(mine, window, steps), (window, zone, subject)


async def test_nobody_sees_another_tenants_usage(
    store: PostgresUsage, database: Database, rows: list[RawRow]
) -> None:
    window = UsageWindow(NOON - timedelta(days=20), NOON + timedelta(days=20))
    steps = steps_of(window, UsageGranularity.DAY, UTC)

    assert (await store.summarize_users("initech", ["ann"], window))["ann"] == UsageSummary(window)
    assert await store.top_users("initech", window, 100, UsageMeasure.COST) == []
    assert not any(p.requests for p in await store.trend("initech", window, steps, UsageSubject()))
    async with database.tenant("acme") as connection:
        for table in ("usage_hours", "usage_service_hours", "usage_user_days"):
            seen = await connection.execute(text(f"SELECT DISTINCT tenant_id FROM {table}"))
            assert seen.all() == [("acme",)]


# ------------------------------------------------------------------ the tenant's time zone


async def test_a_tenant_has_the_time_zone_that_it_set_last(database: Database) -> None:
    settings = PostgresTenantSettings(database)

    assert await settings.find_time_zone("acme") is None
    for zone in ("Asia/Kathmandu", "Europe/Berlin"):
        await settings.set_time_zone("acme", zone)
        assert await settings.find_time_zone("acme") == zone
    assert await settings.find_time_zone("globex") is None


async def test_budgets_and_reports_agree_on_when_a_day_a_week_and_a_month_begin(
    database: Database,
) -> None:
    names = (
        "UTC",
        "Europe/Berlin",
        "America/New_York",
        "America/Havana",  # clocks go back from 01:00 to 00:00
        "America/Asuncion",  # no midnight when clocks go forward
        "Asia/Kathmandu",
        "Australia/Lord_Howe",
        "Pacific/Chatham",
        "Atlantic/Azores",
    )
    statement = text(
        "SELECT assistant_window_start(:period, at, :zone) "
        "FROM unnest(CAST(:moments AS timestamptz[])) WITH ORDINALITY AS m (at, place) "
        "ORDER BY place"
    )
    periods = {
        "day": UsagePeriod.TODAY,
        "week": UsagePeriod.THIS_WEEK,
        "month": UsagePeriod.THIS_MONTH,
    }
    for name in names:
        zone = ZoneInfo(name)
        moments = moments_in(zone)
        for period, asked in periods.items():
            async with database.tenant("acme") as connection:
                begun = await connection.execute(
                    statement, {"period": period, "zone": name, "moments": moments}
                )
            starts = [window_of(asked, moment, zone).start for moment in moments]
            assert [row[0] for row in begun] == starts, (name, period)


def moments_in(zone: ZoneInfo) -> list[datetime]:
    """Some of three years, and every quarter of an hour around each change of clocks in them."""
    dice = random.Random(3)
    since = datetime(2021, 1, 1, tzinfo=UTC)
    days = [since + timedelta(days=day) for day in range(3 * 365)]
    moments = [day + timedelta(seconds=dice.randrange(86_400)) for day in days[::7]]
    for day, next_day in pairwise(days):
        if day.astimezone(zone).utcoffset() != next_day.astimezone(zone).utcoffset():
            moments += [day + quarter * HOUR / 4 for quarter in range(-48, 200)]
    return moments
