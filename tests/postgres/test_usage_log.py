"""Usage carried out of a real database: every row of the window, of the tenant, in order, exact."""

from __future__ import annotations

import csv
import io
import json
import random
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from pyarrow import parquet

from assistant.adapters.postgres.connection import Database
from assistant.adapters.postgres.ledger import PostgresLedger
from assistant.adapters.postgres.tenant_settings import PostgresTenantSettings
from assistant.adapters.postgres.usage_log import PostgresUsageLog
from assistant.adapters.usage_export.columns import COLUMNS, in_digits, values_of
from assistant.adapters.usage_export.parquet import ParquetWriter
from assistant.adapters.usage_export.text_formats import CsvWriter, JsonLinesWriter
from assistant.domain.budget import Stake
from assistant.domain.identifier import time_of
from assistant.domain.provider_usage import Measure, RecordedDay
from assistant.domain.usage import UsageWindow
from assistant.domain.usage_log import UsageRow
from assistant.services.usage_export import UsageExport
from tests.postgres.completions import id_at, running, succeeded
from tests.postgres.server import DatabaseUrls
from tests.postgres.usage_rows import usage_row, write_usage

# In both months that a new database has partitions of.
BORDER = datetime.now(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
EVER = UsageWindow(BORDER - timedelta(days=20), BORDER + timedelta(days=20))
MS = timedelta(milliseconds=1)


def some_rows(count: int, seed: int = 6) -> list[UsageRow]:
    """Requests with up to three attempts each, some of them in the same millisecond."""
    chance = random.Random(seed)
    rows: list[UsageRow] = []
    while len(rows) < count:
        at = BORDER + chance.randrange(-5000, 5000) * timedelta(minutes=1)
        id_ = id_at(at)
        for attempt in range(chance.choice((1, 2, 2, 4))):
            rows.append(
                usage_row(
                    at,
                    id=id_,
                    attempt=attempt,
                    user_id=chance.choice((None, "ann", "ben")),
                    feature=chance.choice((None, "=1+1", "a, b", 'two\nlines "of it"', "世界 🎉")),
                    prompt_version_id=chance.choice((None, id_)),
                    model=chance.choice(("openai/gpt-4o", "openai/gpt-4o-mini")),
                    cost=chance.choice(
                        (None, Decimal(0), Decimal(chance.randrange(10**12)) / 10**15)
                    ),
                    prompt_tokens=chance.randrange(2**31),
                    error_code=chance.choice((None, "PROVIDER_TIMEOUT")),
                    is_estimated=chance.random() < 0.5,
                    saved_tokens=chance.randrange(2**40),
                    first_token_ms=chance.choice((None, 7)),
                )
            )
    return sorted(rows, key=lambda row: (row.id, row.attempt))


async def exported(
    database: Database, window: UsageWindow = EVER, tenant: str = "acme", **options: Any
) -> list[UsageRow]:
    found: list[UsageRow] = []
    log = PostgresUsageLog(database, rows_per_page=options.pop("rows_per_page", 7))
    async for page in log.pages(tenant, window, **options):
        assert page
        found += page
    return found


async def test_an_export_has_every_row_in_the_order_of_time_however_long_its_pages(
    database: Database, urls: DatabaseUrls
) -> None:
    rows = some_rows(100)
    await write_usage(urls, random.Random(1).sample(rows, len(rows)))

    for rows_per_page in (1, 7, len(rows) - 1, len(rows), 10_000):
        assert await exported(database, rows_per_page=rows_per_page) == rows


async def test_only_attempts_or_only_requests(database: Database, urls: DatabaseUrls) -> None:
    rows = some_rows(60)
    await write_usage(urls, rows)
    attempts = await exported(database, of_attempts=True)
    requests = await exported(database, of_attempts=False)
    assert attempts == [row for row in rows if row.attempt > 0]
    assert requests == [row for row in rows if row.attempt == 0]


async def test_a_window_begins_with_its_start_and_ends_before_its_end(
    database: Database, urls: DatabaseUrls
) -> None:
    rows = [usage_row(BORDER + offset * MS) for offset in range(-3, 4)]
    await write_usage(urls, rows)
    parts_of_ms = [timedelta(microseconds=part) for part in (0, 1, 500, 999)]
    for start in [BORDER - MS + part for part in parts_of_ms]:
        for end in [BORDER + 2 * MS + part for part in parts_of_ms]:
            expected = [row for row in rows if start <= row.created_at < end]
            assert await exported(database, UsageWindow(start, end), rows_per_page=2) == expected
    assert await exported(database, UsageWindow(BORDER + 9 * MS, EVER.end)) == []


async def test_nobody_sees_the_usage_of_another_tenant(
    database: Database, urls: DatabaseUrls
) -> None:
    await write_usage(urls, [usage_row(BORDER), usage_row(BORDER, tenant_id="globex")])
    assert [row.tenant_id for row in await exported(database)] == ["acme"]
    assert [row.tenant_id for row in await exported(database, tenant="globex")] == ["globex"]
    assert await exported(database, tenant="nobody") == []


async def test_rows_that_come_while_it_is_exported_do_no_harm(
    database: Database, urls: DatabaseUrls
) -> None:
    rows = [usage_row(BORDER + number * MS) for number in range(9)]
    await write_usage(urls, rows[::2])
    found: list[UsageRow] = []
    async for page in PostgresUsageLog(database, rows_per_page=2).pages("acme", EVER):
        if not found:
            await write_usage(urls, rows[1::2])
        found += page
    assert found == [row for row in rows if row is not rows[1]]


async def test_what_the_ledger_settled_is_what_is_exported(
    ledger: PostgresLedger, database: Database
) -> None:
    opened = running()
    await ledger.open(opened, Stake())
    ended = succeeded(opened)
    await ledger.settle(ended)
    at = time_of(opened.id)

    request, attempt = await exported(database, UsageWindow(at, at + MS))

    assert (request.id, request.attempt, request.model) == (opened.id, 0, ended.model)
    assert (attempt.id, attempt.attempt, attempt.provider) == (opened.id, 2, "ollama")
    assert request.created_at == attempt.created_at == at
    assert (request.cost, attempt.cost) == (ended.usage.cost, ended.usage.cost)
    assert (request.prompt_tokens, attempt.completion_tokens) == (12, 5)


# ---------------------------------------------------------------------------- as files


def read_csv(data: bytes) -> list[list[Any]]:
    lines = csv.reader(io.StringIO(data.decode(), newline=""))
    assert next(lines) == [column.name for column in COLUMNS]
    return list(lines)


def read_json(data: bytes) -> list[list[Any]]:
    return [list(json.loads(line).values()) for line in data.decode().splitlines()]


def read_parquet(data: bytes) -> list[list[Any]]:
    table = parquet.read_table(io.BytesIO(data))
    return [list(row.values()) for row in table.to_pylist()]


def csv_cells(row: UsageRow) -> list[str]:
    values = [str(value).lower() if isinstance(value, bool) else value for value in texts(row)]
    return ["" if value is None else f"{value}".replace("=1+1", "'=1+1") for value in values]


def texts(row: UsageRow) -> list[Any]:
    return [in_digits(v, column.kind) for v, column in zip(values_of(row), COLUMNS, strict=True)]


def values(row: UsageRow) -> list[Any]:
    return [str(v) if column.name.endswith("id") and v is not None else v
            for v, column in zip(values_of(row), COLUMNS, strict=True)]  # fmt: skip


@pytest.mark.parametrize(
    ("writer", "read", "expected"),
    [
        (CsvWriter, read_csv, csv_cells),
        (JsonLinesWriter, read_json, texts),
        (ParquetWriter, read_parquet, values),
    ],
)
async def test_a_file_reads_back_as_the_rows(
    database: Database, urls: DatabaseUrls, writer: Any, read: Any, expected: Any
) -> None:
    rows = some_rows(300)
    await write_usage(urls, rows)
    export = UsageExport(
        PostgresUsageLog(database, rows_per_page=50), PostgresTenantSettings(database)
    )
    file = io.BytesIO()

    assert await export.export("acme", EVER, writer(file)) == len(rows)
    assert read(file.getvalue()) == [expected(row) for row in rows]

    empty = io.BytesIO()
    assert await export.export("nobody", EVER, writer(empty)) == 0
    assert read(empty.getvalue()) == []


async def test_dates_are_days_of_the_tenants_time_zone(
    database: Database, urls: DatabaseUrls
) -> None:
    settings = PostgresTenantSettings(database)
    await settings.set_time_zone("acme", "Asia/Kathmandu")
    day = BORDER + timedelta(days=1)
    midnight = day - timedelta(hours=5, minutes=45)
    rows = [usage_row(midnight + offset) for offset in (-MS, 0 * MS, timedelta(days=1))]
    await write_usage(urls, rows)
    export = UsageExport(PostgresUsageLog(database), settings)

    dates = (f"{day + timedelta(days=offset):%Y-%m-%d}" for offset in (0, 1))
    window = await export.window("acme", *dates)

    assert await exported(database, window) == [rows[1]]


# ------------------------------------------------------------------- beside a provider's


def used(model: str, day: date, rows: Sequence[UsageRow]) -> RecordedDay:
    sums = (
        len(rows),
        sum(row.prompt_tokens for row in rows),
        sum(row.cached_tokens for row in rows),
        sum(row.completion_tokens for row in rows),
        sum((row.cost or Decimal(0) for row in rows), Decimal(0)),
    )
    return RecordedDay(
        model,
        day,
        dict(zip(Measure, map(Decimal, sums), strict=True)),
        estimated=sum(row.is_estimated for row in rows),
        unpriced=sum(row.cost is None for row in rows),
    )


async def test_what_a_day_of_a_provider_used_is_the_sum_of_its_attempts(
    database: Database, urls: DatabaseUrls
) -> None:
    day = BORDER + timedelta(days=1)
    rows = [
        usage_row(day, is_estimated=True),
        usage_row(day + timedelta(days=1) - MS, cost=None, prompt_tokens=2**31 - 1),
        usage_row(day, model="openai/gpt-4o-mini", operation="embeddings"),
    ]
    others = [
        usage_row(day, attempt=0),
        usage_row(day - MS),
        usage_row(day + timedelta(days=1)),
        usage_row(day, provider="azure", model="azure/gpt-4o"),
        usage_row(day, tenant_id="globex"),
    ]
    await write_usage(urls, [*rows, *others])
    log = PostgresUsageLog(database)

    chat = used("gpt-4o", day.date(), rows[:2])
    embeddings = used("gpt-4o-mini", day.date(), rows[2:])
    assert await log.used_of_provider("acme", "openai", day.date(), None) == [chat, embeddings]
    assert await log.used_of_provider("acme", "openai", day.date(), "chat") == [chat]
    assert await log.used_of_provider("acme", "openai", day.date(), "embeddings") == [embeddings]
    assert await log.used_of_provider("nobody", "openai", day.date(), None) == []
