"""The ledger: durable, idempotent, and nobody pays for a neighbour's broken row."""

from __future__ import annotations

import asyncio
import os
import signal
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from assistant.adapters.postgres import migrate
from assistant.adapters.postgres.completions import PostgresCompletions
from assistant.adapters.postgres.connection import Database
from assistant.adapters.postgres.embedded import EmbeddedPostgres
from assistant.adapters.postgres.ledger import PostgresLedger
from assistant.domain.budget import Stake
from assistant.domain.completion import (
    Completion,
    CompletionStatus,
    Decision,
    FinishReason,
    TokenUsage,
)
from assistant.errors import EntryReaped, ErrorCode, InternalError, StorageUnavailable
from tests.postgres.completions import ATTEMPTS, running, succeeded
from tests.postgres.server import DatabaseUrls, connect


async def stored(urls: DatabaseUrls, table: str = "completions") -> list[dict[str, Any]]:
    async with await connect(urls.superuser) as connection:
        cursor = await connection.execute(f"SELECT * FROM {table} ORDER BY id")
        names = [column.name for column in cursor.description or ()]
        return [dict(zip(names, row, strict=True)) for row in await cursor.fetchall()]


async def requests(urls: DatabaseUrls) -> list[dict[str, Any]]:
    """The usage rows that are about requests as a whole."""
    return [row for row in await stored(urls, "usage_logs") if row["attempt"] == 0]


async def test_what_was_settled_reads_back_exactly(
    ledger: PostgresLedger, database: Database
) -> None:
    opened = running()
    await ledger.open(opened, Stake())
    ended = succeeded(opened)
    await ledger.settle(ended)

    found = await PostgresCompletions(database).find_completions("acme", [opened.id])

    assert found == {opened.id: ended}


async def test_an_open_completion_is_found_running_and_has_no_usage_yet(
    ledger: PostgresLedger, database: Database, urls: DatabaseUrls
) -> None:
    opened = running()
    await ledger.open(opened, Stake())

    found = await PostgresCompletions(database).find_completions("acme", [opened.id])

    assert found == {opened.id: opened}
    assert await stored(urls, "usage_logs") == []


async def test_settling_twice_changes_nothing(ledger: PostgresLedger, urls: DatabaseUrls) -> None:
    opened = running()
    await ledger.open(opened, Stake())
    await ledger.settle(succeeded(opened))
    before = await stored(urls), await stored(urls, "usage_logs")

    await ledger.settle(succeeded(opened))
    await ledger.settle(
        succeeded(
            opened,
            status=CompletionStatus.CANCELLED,
            finish_reason=FinishReason.CANCELLED,
            usage=TokenUsage(999, 999, 0, True, Decimal(9)),
        )
    )

    assert (await stored(urls), await stored(urls, "usage_logs")) == before
    assert [row["attempt"] for row in sorted(before[1], key=lambda row: row["attempt"])] == [0, 2]


async def test_opening_after_settling_does_not_reopen(
    ledger: PostgresLedger, urls: DatabaseUrls
) -> None:
    opened = running()
    await ledger.settle(succeeded(opened))

    with pytest.raises(EntryReaped):
        await ledger.open(opened, Stake())

    assert [row["status"] for row in await stored(urls)] == ["SUCCEEDED"]
    assert await stored(urls, "reservations") == []


async def test_the_same_completion_settled_twice_at_once_is_one_row(
    ledger: PostgresLedger, urls: DatabaseUrls
) -> None:
    opened = running()

    await asyncio.gather(*(ledger.settle(succeeded(opened)) for _ in range(20)))

    assert len(await requests(urls)) == 1


async def test_a_refusal_that_never_opened_is_counted(
    ledger: PostgresLedger, urls: DatabaseUrls
) -> None:
    refused = running(
        status=CompletionStatus.FAILED,
        model="",
        finish_reason=FinishReason.ERROR,
        error_code=ErrorCode.RATE_LIMITED,
    )

    await ledger.settle(refused)

    (usage,) = await stored(urls, "usage_logs")
    assert (usage["status"], usage["error_code"], usage["cost"]) == ("FAILED", "RATE_LIMITED", 0)
    assert (usage["model"], usage["provider"]) == ("", "")


async def test_two_hundred_at_once_of_many_tenants_are_all_written(
    ledger: PostgresLedger, database: Database, urls: DatabaseUrls
) -> None:
    completions = [running(f"tenant-{number % 7}") for number in range(200)]

    async def complete(opened: Completion) -> None:
        await ledger.open(opened, Stake())
        await ledger.settle(succeeded(opened))

    await asyncio.gather(*map(complete, completions))

    usage = await stored(urls, "usage_logs")
    assert {(row["tenant_id"], row["id"]) for row in usage} == {
        (completion.caller.tenant_id, completion.id) for completion in completions
    }
    mine = [c.id for c in completions if c.caller.tenant_id == "tenant-3"]
    found = await PostgresCompletions(database).find_completions(
        "tenant-3", [completion.id for completion in completions]
    )
    assert set(found) == set(mine)


async def test_a_group_is_one_transaction(ledger: PostgresLedger, urls: DatabaseUrls) -> None:
    await asyncio.gather(*(ledger.open(running(), Stake()) for _ in range(100)))

    async with await connect(urls.superuser) as connection:
        cursor = await connection.execute("SELECT count(DISTINCT xmin::text) FROM completions")
        row = await cursor.fetchone()
    assert row is not None
    assert row[0] <= 2


async def test_a_broken_row_fails_alone_and_says_nothing_of_its_text(
    ledger: PostgresLedger, urls: DatabaseUrls
) -> None:
    good = [running() for _ in range(30)]
    broken = succeeded(running(), usage=TokenUsage(prompt_tokens=-1), text="my secret answer")

    results = await asyncio.gather(
        *(ledger.open(completion, Stake()) for completion in good[:15]),
        ledger.settle(broken),
        *(ledger.open(completion, Stake()) for completion in good[15:]),
        return_exceptions=True,
    )

    failures = [result for result in results if isinstance(result, Exception)]
    assert len(failures) == 1
    assert isinstance(failures[0], InternalError)
    assert "23514" in str(failures[0])
    assert "secret" not in str(failures[0])
    assert failures[0].__cause__ is None
    assert {row["id"] for row in await stored(urls)} == {completion.id for completion in good}


async def test_a_caller_that_gives_up_does_not_take_its_group_along(
    ledger: PostgresLedger, urls: DatabaseUrls
) -> None:
    completions = [running() for _ in range(10)]
    tasks = [asyncio.create_task(ledger.open(completion, Stake())) for completion in completions]
    await asyncio.sleep(0)
    tasks[4].cancel()

    results = await asyncio.gather(*tasks, return_exceptions=True)

    refused = [type(result) for result in results if isinstance(result, BaseException)]
    assert refused == [asyncio.CancelledError]
    assert len(await stored(urls)) == 10


async def test_characters_that_the_database_cannot_hold_do_not_lose_the_usage(
    ledger: PostgresLedger, database: Database
) -> None:
    opened = running()
    await ledger.settle(succeeded(opened, text="a\x00b\ud800c"))

    found = await PostgresCompletions(database).find_completions("acme", [opened.id])

    assert found[opened.id].text == "a\ufffdb\ufffdc"


async def test_closing_writes_what_still_waits(database: Database, urls: DatabaseUrls) -> None:
    ledger = PostgresLedger(database)
    await ledger.start()
    tasks = [asyncio.create_task(ledger.open(running(), Stake())) for _ in range(50)]
    await asyncio.sleep(0)

    await ledger.close()

    await asyncio.gather(*tasks)
    assert len(await stored(urls)) == 50


async def test_a_connection_that_was_cut_is_replaced_unnoticed(
    ledger: PostgresLedger, urls: DatabaseUrls
) -> None:
    await ledger.open(running(), Stake())
    await cut_connections(urls)

    await ledger.open(running(), Stake())

    assert len(await stored(urls)) == 2


async def test_a_full_group_is_split_and_still_complete(
    ledger: PostgresLedger, urls: DatabaseUrls
) -> None:
    await asyncio.gather(*(ledger.open(running(), Stake()) for _ in range(1_500)))

    assert len(await stored(urls)) == 1_500


async def test_what_was_acknowledged_survives_kill_9_of_the_server(short_folder: Any) -> None:
    embedded = EmbeddedPostgres(short_folder / "postgres")
    owner_url = await embedded.start()
    await migrate.upgrade(owner_url)
    database = Database(embedded.service_url)
    await database.start()
    ledger = PostgresLedger(database)
    await ledger.start()
    acknowledged: set[Any] = set()
    refused = 0

    async def write() -> None:
        nonlocal refused
        while not is_over.is_set():
            opened = running()
            try:
                await ledger.open(opened, Stake())
                await ledger.settle(succeeded(opened))
                acknowledged.add(opened.id)
            except StorageUnavailable:
                refused += 1
                await asyncio.sleep(0.05)

    is_over = asyncio.Event()
    try:
        writers = [asyncio.create_task(write()) for _ in range(20)]
        await asyncio.sleep(0.3)
        kill_server(short_folder / "postgres")
        count_at_death = len(acknowledged)
        for _ in range(200):
            await asyncio.sleep(0.1)
            if len(acknowledged) > count_at_death + 100:
                break
        is_over.set()
        await asyncio.gather(*writers)

        assert count_at_death > 0
        assert refused > 0
        assert len(acknowledged) > count_at_death + 100, "writes did not resume"
        async with await connect(owner_url.replace("assistant_owner", "postgres")) as connection:
            for table in ("completions", "usage_logs"):
                cursor = await connection.execute(
                    f"SELECT id FROM {table} WHERE status = 'SUCCEEDED'"
                    + (" AND attempt = 0" if table == "usage_logs" else "")
                )
                rows = [row[0] for row in await cursor.fetchall()]
                assert acknowledged <= set(rows)
                assert len(rows) == len(set(rows))
    finally:
        is_over.set()
        await ledger.close()
        await database.close()
        await embedded.stop()


def kill_server(folder: Any) -> None:
    pid = int((folder / "postmaster.pid").read_text().splitlines()[0])
    os.kill(pid, signal.SIGKILL)


async def cut_connections(urls: DatabaseUrls) -> None:
    async with await connect(urls.superuser) as connection:
        await connection.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )


@pytest.mark.parametrize("field", ["tenant_id", "user_id", "service_id"])
async def test_who_called_is_in_the_usage_row(
    ledger: PostgresLedger, urls: DatabaseUrls, field: str
) -> None:
    opened = running()
    await ledger.settle(succeeded(opened))

    usage = await stored(urls, "usage_logs")

    assert [row[field] for row in usage] == [getattr(opened.caller, field)] * 2
    (request,) = await requests(urls)
    assert request["created_at"] == opened.created_at
    assert request["provider"] == "ollama"
    assert request["cost"] == Decimal("0.0000125")
    assert request["saved_cost"] == Decimal("0.5")
    assert "text" not in request


async def test_each_attempt_that_used_anything_has_a_row_of_its_own(
    ledger: PostgresLedger, urls: DatabaseUrls
) -> None:
    first = replace(
        ATTEMPTS[0], usage=TokenUsage(7, 0, 0, True, reasoning_tokens=0, is_priced=False)
    )
    decision = Decision(attempts=(first, ATTEMPTS[0], ATTEMPTS[1]), saved_cost=Decimal("0.5"))
    opened = running()
    await ledger.settle(succeeded(opened, decision=decision))

    rows = await stored(urls, "usage_logs")

    names = ("attempt", "model", "status", "prompt_tokens", "cost", "saved_cost", "error_code")
    assert sorted(tuple(row[name] for name in names) for row in rows if row["attempt"]) == [
        (1, "openai/gpt", "FAILED", 7, None, 0, "PROVIDER_UNAVAILABLE"),
        (3, "ollama/llama3.2:3b", "SUCCEEDED", 12, Decimal("0.0000125"), 0, None),
    ]


async def test_the_time_in_the_id_decides_where_a_completion_lies(
    ledger: PostgresLedger, database: Database
) -> None:
    opened = running()
    told = replace(opened, created_at=opened.created_at.replace(year=1999))
    await ledger.open(told, Stake())

    found = await PostgresCompletions(database).find_completions("acme", [opened.id])

    assert found[opened.id].created_at == opened.created_at
