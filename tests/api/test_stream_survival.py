"""A stream survives its connection: nothing is lost, nothing told twice, nothing paid twice."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from tests.api.stream_readers import DOORS, SUBSCRIPTION, Reader, acknowledged
from tests.api.stream_replicas import ANN, MODEL, Replicas, running_replicas
from tests.providers.fake_ollama import Reply
from tests.providers.fake_server import words

pytestmark = pytest.mark.asyncio(loop_scope="session")

# Deltas are joined while nobody has read the last one, up to 1,000 characters: of these, never two.
LONG = tuple(f"{word} \u00e9\U0001f30a ".ljust(502, ".") for word in words(200))
SHORT = words(200)
AT_ONCE = 100


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def replicas(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Replicas]:
    async with running_replicas(tmp_path_factory.mktemp("replicas")) as running:
        yield running


@pytest.mark.parametrize("door", DOORS)
async def test_a_stream_survives_its_connection(replicas: Replicas, door: str) -> None:
    """Cut at every event of 200, and taken up again at the other replica."""
    replicas.ollama.reply = Reply(tokens=LONG, token_delay_s=0.01, completion_tokens=200)
    gate = asyncio.Semaphore(AT_ONCE)

    async def cut_after(number: int) -> Reader:
        reader = Reader(DOORS[door], {"text": f"{door}, {number}", "model": MODEL}, ANN)
        here, there = replicas.urls if number % 2 else reversed(replicas.urls)
        async with gate:
            await reader.read(here, leave_after=number)
            assert len(reader.events) == number + 1
            await reader.read(there)
        reader.require("".join(LONG))
        return reader

    readers = await asyncio.gather(*map(cut_after, range(len(LONG) + 1)))

    await replicas.require_paid_once(readers)


async def test_a_stream_survives_any_number_of_cuts_at_random_places(replicas: Replicas) -> None:
    """Tokens that come faster than they are read are joined; each cut is at some door's own."""
    replicas.ollama.reply = Reply(tokens=SHORT, token_delay_s=0.003, completion_tokens=200)
    chance = random.Random(16)

    async def one(number: int) -> Reader:
        wanted = {"text": f"random, {number}", "model": MODEL}
        reader = Reader(chance.choice(list(DOORS.values())), wanted, ANN)
        for place in sorted(chance.sample(range(120), chance.randint(2, 3))):
            if not reader.is_over:
                await reader.read(chance.choice(replicas.urls), leave_after=place)
            reader.door = chance.choice(list(DOORS.values()))
        if not reader.is_over:
            await reader.read(chance.choice(replicas.urls))
        reader.require("".join(SHORT))
        return reader

    readers = await asyncio.gather(*map(one, range(60)))

    await replicas.require_paid_once(readers)


@pytest.mark.parametrize("door", DOORS)
async def test_who_is_cut_off_before_the_first_event_joins_by_the_key(
    replicas: Replicas, door: str
) -> None:
    replicas.ollama.reply = Reply(tokens=SHORT, token_delay_s=0.002, completion_tokens=200)

    async def one(number: int) -> Reader:
        wanted = {
            "text": f"before, {door}, {number}",
            "model": MODEL,
            "idempotencyKey": f"before-{door}-{number}",
        }
        cut = asyncio.create_task(Reader(DOORS[door], wanted, ANN).read(replicas.urls[0]))
        # Anywhere from before the request was sent to after the first events.
        await asyncio.sleep(0.005 * number)
        cut.cancel()
        await asyncio.wait([cut])
        reader = Reader(DOORS[door], wanted, ANN)
        await reader.read(replicas.urls[1])
        reader.require("".join(SHORT))
        return reader

    readers = await asyncio.gather(*map(one, range(20)))

    await replicas.require_paid_once(readers)


async def test_one_stream_is_read_on_both_replicas_at_once(replicas: Replicas) -> None:
    replicas.ollama.reply = Reply(tokens=SHORT, token_delay_s=0.005, completion_tokens=200)
    first = Reader(DOORS["api-stream"], {"text": "both", "model": MODEL}, ANN)
    await first.read(replicas.urls[0], leave_after=20)
    others = [
        Reader(door, first.wanted, ANN, first.events[: place + 1])
        for place, door in enumerate([*DOORS.values()] * 4)
    ]

    await asyncio.gather(
        *(reader.read(replicas.urls[number % 2]) for number, reader in enumerate([first, *others]))
    )

    for reader in (first, *others):
        reader.require("".join(SHORT))
        assert reader.told == first.told
    await replicas.require_paid_once([first])


@pytest.mark.parametrize("door", DOORS)
async def test_a_stream_that_is_over_is_told_again_on_either_replica(
    replicas: Replicas, door: str
) -> None:
    replicas.ollama.reply = Reply(tokens=SHORT, completion_tokens=200)
    reader = Reader(DOORS[door], {"text": f"over, {door}", "model": MODEL}, ANN)
    await reader.read(replicas.urls[0])
    reader.require("".join(SHORT))

    for url in replicas.urls:
        for had in (1, len(reader.events) // 2, len(reader.events) - 1):
            again = Reader(DOORS[door], reader.wanted, ANN, reader.events[:had])
            await again.read(url)
            assert again.told == reader.told
        position = {"completionId": reader.completion_id, "lastEventId": reader.last["eventId"]}
        assert [event async for event in DOORS[door](url, {"resume": position}, ANN)] == []

    await replicas.require_paid_once([reader])


@pytest.mark.parametrize("door", DOORS)
async def test_nobody_else_can_take_a_stream_up(replicas: Replicas, door: str) -> None:
    replicas.ollama.reply = Reply(tokens=SHORT, token_delay_s=0.003, completion_tokens=200)
    reader = Reader(DOORS[door], {"text": f"mine, {door}", "model": MODEL}, ANN)
    await reader.read(replicas.urls[0], leave_after=5)
    position = {"completionId": reader.completion_id, "lastEventId": reader.last["eventId"]}

    others = (ANN | {"x-user-id": "bob"}, ANN | {"x-tenant-id": "reef"})
    for url in replicas.urls:
        for other in others:
            (refused,) = [e async for e in DOORS[door](url, {"resume": position}, other)]
            assert (refused["__typename"], refused["code"]) == ("CompletionFailed", "NOT_FOUND")

    await reader.read(replicas.urls[1])
    reader.require("".join(SHORT))


async def test_complete_over_a_websocket_ends_the_reading_and_not_the_stream(
    replicas: Replicas,
) -> None:
    """On the same connection it can be taken up again, under another id."""
    replicas.ollama.reply = Reply(tokens=SHORT, token_delay_s=0.01, completion_tokens=200)
    reader = Reader(DOORS["websocket"], {"text": "complete", "model": MODEL}, ANN)
    async with acknowledged(replicas.urls[0], ANN) as socket:

        async def subscribe(id_: str, **variables: Any) -> None:
            payload = {"query": SUBSCRIPTION, "variables": variables}
            message = {"id": id_, "type": "subscribe", "payload": payload}
            await socket.send(json.dumps(message))

        async def take(id_: str) -> None:
            message = json.loads(await socket.recv())
            # What was under way when the reading ended still comes, and was not asked for.
            if message["id"] == id_ and message["type"] == "next":
                reader.take(message["payload"]["data"]["completionStream"])

        await subscribe("1", input=reader.wanted)
        while len(reader.events) < 10:
            await take("1")
        await socket.send(json.dumps({"id": "1", "type": "complete"}))
        await asyncio.sleep(0.3)
        (call,) = replicas.calls("complete")
        assert call.client_closed_at is None, "it has its grace"

        position = {"completionId": reader.completion_id, "lastEventId": reader.last["eventId"]}
        await subscribe("2", resume=position)
        while not reader.is_over:
            await take("2")
    reader.require("".join(SHORT))
    await replicas.require_paid_once([reader])
