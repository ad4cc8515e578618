"""A disconnect is accounted: a thousand streams, each left at a token of its own."""

from __future__ import annotations

import asyncio
import json
import os
import random
from pathlib import Path

import aiohttp
import pytest

from assistant.domain.tokens import estimate_tokens
from tests.api.storm import STREAM
from tests.api.stream_readers import acknowledged
from tests.postgres.server import connect, running_server
from tests.providers.fake_openai import FakeOpenAi, Reply
from tests.providers.fake_server import words
from tests.running_service import RunningService, running_service

pytestmark = pytest.mark.asyncio(loop_scope="session")

STREAMS = int(os.environ.get("STORM_STREAMS", "1000"))
AT_ONCE = 40
TOKENS = words(200)


async def leave(service: RunningService, number: int, after: int) -> tuple[str, float]:
    """Stream, and go away after so many tokens: the completion's id, and when that was."""
    body = {"query": STREAM, "variables": {"input": {"text": f"number {number}: go on"}}}
    headers = {"accept": "text/event-stream", "x-tenant-id": "acme", "x-user-id": "ann"}
    deltas = 0
    # A connection of its own: it is closed when the response is left.
    async with (
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(force_close=True)) as session,
        session.post(f"{service.url}/graphql", json=body, headers=headers) as response,
    ):
        async for raw in response.content:
            if not raw.startswith(b"data:") or len(raw) < 8:
                continue
            event = json.loads(raw.removeprefix(b"data:"))["data"]["completionStream"]
            deltas += event["__typename"] == "TokenDelta"
            if deltas >= after:
                response.close()
                return event["completionId"], asyncio.get_running_loop().time()
    raise AssertionError("the stream ended by itself")


async def test_a_disconnect_is_accounted_a_thousand_times(tmp_path: Path) -> None:
    chance = random.Random(8)
    async with (
        running_server() as server,
        server.database() as urls,
        FakeOpenAi() as openai,
        running_service(
            tmp_path,
            database_url=urls.owner,
            openai_api_key="sk-x",
            openai_base_url=openai.url,
        ) as service,
    ):
        openai.reply = Reply(tokens=TOKENS, token_delay_s=0.02)
        gate = asyncio.Semaphore(AT_ONCE)
        left: dict[int, tuple[str, float]] = {}

        async def one(number: int) -> None:
            async with gate:
                left[number] = await leave(service, number, chance.randint(1, 60))

        await asyncio.gather(*map(one, range(STREAMS)))
        calls = {
            int(chat.body["messages"][0]["content"].split()[1][:-1]): chat for chat in openai.chats
        }
        assert len(calls) == len(openai.chats) == STREAMS
        closed_after_ms = sorted(
            [
                1000 * (await chat.wait_closed(timeout_s=5) - left[number][1])
                for number, chat in calls.items()
            ]
        )
        async with asyncio.timeout(10), await connect(urls.superuser) as connection:
            while True:
                cursor = await connection.execute(
                    "SELECT u.id, u.status, u.completion_tokens, c.text FROM usage_logs AS u "
                    "JOIN completions AS c ON c.id = u.id WHERE u.attempt = 1"
                )
                rows = {str(row[0]): row[1:] for row in await cursor.fetchall()}
                if len(rows) == STREAMS:
                    break
                await asyncio.sleep(0.1)

        beside = []
        for number, chat in calls.items():
            status, charged, text = rows[left[number][0]]
            assert status == "CANCELLED"
            assert charged == estimate_tokens(text), "what was received is charged"
            received = text.count(" ")
            assert TOKENS[:received] == tuple(f" {word}" for word in text.split())
            beside.append(chat.tokens_sent - received)
        within_one = sum(chunks <= 1 for chunks in beside) / STREAMS
        print(
            f"closed after p50 {closed_after_ms[STREAMS // 2]:.0f} ms, p99 "
            f"{closed_after_ms[int(0.99 * STREAMS)]:.0f} ms; charged within one chunk of what was "
            f"emitted: {within_one:.1%}"
        )
        # What is on its way when a client goes is seen by nobody, and a machine that is busy has more
        # of it there: how much is told above, here is only that it is the exception.
        assert min(beside) >= 0 and within_one > 0.5


async def test_after_a_disconnect_a_stream_goes_on_for_its_grace_and_is_charged_to_its_end(
    tmp_path: Path,
) -> None:
    grace_s, streams = 1.0, 40
    async with (
        running_server() as server,
        server.database() as urls,
        FakeOpenAi() as openai,
        running_service(
            tmp_path,
            database_url=urls.owner,
            openai_api_key="sk-x",
            openai_base_url=openai.url,
            stream_grace_s=str(grace_s),
        ) as service,
    ):
        openai.reply = Reply(tokens=words(400), token_delay_s=0.02)

        left = await asyncio.gather(*(leave(service, number, 5) for number in range(streams)))

        calls = {
            int(chat.body["messages"][0]["content"].split()[1][:-1]): chat for chat in openai.chats
        }
        after_grace_ms = sorted(
            [
                1000 * (await calls[number].wait_closed(timeout_s=grace_s + 5) - at - grace_s)
                for number, (_, at) in enumerate(left)
            ]
        )
        print(
            f"closed after the grace: p50 {after_grace_ms[streams // 2]:.0f} ms, "
            f"most {after_grace_ms[-1]:.0f} ms"
        )
        assert after_grace_ms[0] > -100, "it goes on for whoever comes back"
        # The promise is 100 ms; the rest is for a machine that does much else.
        assert after_grace_ms[streams // 2] < 1_000
        async with asyncio.timeout(10), await connect(urls.superuser) as connection:
            rows: list[tuple[str, int, str]] = []
            while len(rows) < streams:
                await asyncio.sleep(0.1)
                cursor = await connection.execute(
                    "SELECT u.status, u.completion_tokens, c.text FROM usage_logs AS u "
                    "JOIN completions AS c ON c.id = u.id WHERE u.attempt = 1"
                )
                rows = await cursor.fetchall()
        for status, charged, text in rows:
            assert (status, charged) == ("CANCELLED", estimate_tokens(text))
            assert text.count(" ") > 5, "what was said to nobody is charged as well"


async def test_without_a_grace_complete_over_a_websocket_stops_the_model(tmp_path: Path) -> None:
    async with (
        FakeOpenAi() as openai,
        running_service(tmp_path, openai_api_key="sk-x", openai_base_url=openai.url) as service,
        acknowledged(service.url, {}) as socket,
    ):
        openai.reply = Reply(tokens=TOKENS, token_delay_s=0.05)
        payload = {"query": STREAM, "variables": {"input": {"text": "go on"}}}
        await socket.send(json.dumps({"id": "1", "type": "subscribe", "payload": payload}))
        for _ in range(5):
            assert json.loads(await socket.recv())["type"] == "next"

        await socket.send(json.dumps({"id": "1", "type": "complete"}))

        await openai.chats[0].wait_closed(timeout_s=2)
        await socket.send(json.dumps({"type": "ping"}))
        while json.loads(await socket.recv())["type"] != "pong":
            pass
