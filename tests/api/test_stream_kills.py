"""Streams while the replica that makes them is killed, or the database is."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from websockets.exceptions import ConnectionClosed

from tests.api.stream_readers import DOORS, Interrupted, Reader
from tests.api.stream_replicas import ANN, MODEL, running_replicas
from tests.providers.fake_ollama import Reply
from tests.providers.fake_server import words

pytestmark = pytest.mark.asyncio(loop_scope="session")

ANSWER = words(100)
# Within 5 s of asking; the rest is for a machine that does much else.
TOLD_WITHIN_S = 8.0
CONNECTION_LOST = (aiohttp.ClientError, ConnectionError, ConnectionClosed)


def readers_of(name: str, count: int, **wanted: Any) -> list[Reader]:
    """So many readers, of a completion each, through every door; every one has a key."""
    doors = list(DOORS)
    return [
        Reader(
            DOORS[doors[number % len(doors)]],
            {
                "text": f"{name}, {number}",
                "model": MODEL,
                "idempotencyKey": f"{name}-number-{number}",
            }
            | wanted,
            ANN,
        )
        for number in range(count)
    ]


async def until_cut(reading: Awaitable[None]) -> None:
    """Read until the replica dies."""
    with pytest.raises(CONNECTION_LOST):
        await reading


async def follow_to_the_end(reader: Reader, url: str) -> None:
    """Raises TimeoutError unless the reader is told in time that the stream broke off."""
    async with asyncio.timeout(TOLD_WITHIN_S):
        await reader.read(url)
    assert reader.last["__typename"] == "CompletionFailed"
    assert (reader.last["code"], reader.last["isRetryable"]) == ("STREAM_INTERRUPTED", True)
    assert "".join(ANSWER).startswith(reader.text)


async def test_readers_of_a_killed_replica_are_told_so_by_another_and_a_retry_is_whole(
    tmp_path: Path,
) -> None:
    async with running_replicas(tmp_path) as replicas:
        await replicas.set_a_price()
        killed, survivor = replicas.urls
        replicas.ollama.reply = Reply(tokens=ANSWER, token_delay_s=0.1, completion_tokens=100)
        own = readers_of("own", 12)
        # They read at the survivor what the other makes, at the moment that it dies.
        followers = readers_of("followed", 9)
        await asyncio.gather(*(reader.read(killed, leave_after=3) for reader in followers))
        following = [
            asyncio.create_task(follow_to_the_end(reader, survivor)) for reader in followers
        ]
        reading = [asyncio.create_task(until_cut(reader.read(killed))) for reader in own]
        # Who asks for a whole answer waits for it.
        await asyncio.sleep(2)

        replicas.born[0].kill()
        await asyncio.gather(*reading)
        assert all(len(reader.events) > 5 for reader in own)
        await asyncio.gather(*(follow_to_the_end(reader, survivor) for reader in own), *following)

        # What broke off is not repeated: a retry begins anew, and is whole.
        replicas.ollama.reply = Reply(tokens=ANSWER, completion_tokens=100)
        again = readers_of("own", 12) + readers_of("followed", 9)
        await asyncio.gather(*(reader.read(survivor) for reader in again))
        for reader in again:
            reader.require("".join(ANSWER))

        # Whatever the dead one had open, as the job would that runs every minute.
        while await replicas.execute("SELECT * FROM assistant_reap(interval '1 s', 100)"):
            pass
        await replicas.require_settled()
        statuses = await replicas.execute(
            "SELECT status, count(*) FROM completions GROUP BY status ORDER BY status"
        )
        assert statuses == [("FAILED", 21), ("SUCCEEDED", 21)]
        for reader in again:
            assert await replicas.charges(reader.completion_id) == [("SUCCEEDED", 100)]
        for reader in (*own, *followers):
            assert len(await replicas.charges(reader.completion_id)) == 1


async def test_a_retry_under_the_key_does_not_wait_for_the_ledger_of_the_dead(
    tmp_path: Path,
) -> None:
    """Nobody has taken up the stream, nobody has reaped: the retry alone finds out."""
    async with running_replicas(tmp_path) as replicas:
        killed, survivor = replicas.urls
        replicas.ollama.reply = Reply(tokens=ANSWER, token_delay_s=0.1, completion_tokens=100)
        readers = readers_of("retried", 6)
        reading = [asyncio.create_task(until_cut(reader.read(killed))) for reader in readers]
        await asyncio.sleep(1)
        replicas.born[0].kill()
        await asyncio.gather(*reading)

        replicas.ollama.reply = Reply(tokens=ANSWER, completion_tokens=100)

        async def retry(number: int) -> None:
            while True:
                reader = readers_of("retried", 6)[number]
                await reader.read(survivor)
                if reader.last["__typename"] == "CompletionFinished":
                    break
                # Joined before its maker was known to be dead.
                assert (reader.last["code"], reader.last["isRetryable"]) == (
                    "STREAM_INTERRUPTED",
                    True,
                )
            reader.require("".join(ANSWER))

        async with asyncio.timeout(TOLD_WITHIN_S):
            await asyncio.gather(*map(retry, range(6)))
        assert len(replicas.ollama.chats) == 12


# ------------------------------------------------------------------------------- the database


async def come_again(reader: Reader, url: str) -> None:
    """Read to the end, as a client does who is told to resume in a second."""
    async with asyncio.timeout(30):
        while not reader.is_over:
            try:
                await reader.read(url)
            except Interrupted as cut:
                await asyncio.sleep(cut.error.get("retryAfterMs", 1_000) / 1000)


async def test_streams_go_on_while_the_database_is_killed_and_are_resumed_after_it(
    tmp_path: Path,
) -> None:
    async with running_replicas(tmp_path) as replicas:
        maker, other = replicas.urls
        replicas.ollama.reply = Reply(tokens=ANSWER, token_delay_s=0.1, completion_tokens=100)
        stayed = readers_of("stayed", 6, idempotencyKey=None)
        left = readers_of("left", 6, idempotencyKey=None)
        staying = [asyncio.create_task(reader.read(maker)) for reader in stayed]
        await asyncio.gather(*(reader.read(maker, leave_after=10) for reader in left))

        await replicas.kill_database()
        had = [len(reader.events) for reader in stayed]
        await asyncio.sleep(2)
        # Without a database what a model says is passed on.
        assert all(len(r.events) > n + 5 for r, n in zip(stayed, had, strict=True))
        # Elsewhere it cannot be read now: the connection ends, not the completion.
        for reader in left[:3]:
            had_events = len(reader.events)
            with pytest.raises(Interrupted) as cut:
                await reader.read(other)
            assert cut.value.error["isRetryable"]
            assert cut.value.error["lastEventId"] == reader.last["eventId"]
            assert len(reader.events) == had_events
        await replicas.server.embedded.start()
        await replicas.all_ready()

        # The log was lost with the server's crash, and is written anew.
        await asyncio.gather(*staying, *(come_again(reader, other) for reader in left))

        for reader in (*stayed, *left):
            reader.require("".join(ANSWER))
        await replicas.require_paid_once([*stayed, *left])
