"""Clients that take their time, or never come to the point, do not keep a connection."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.types import Receive, Scope, Send
from websockets.asyncio.client import connect

from assistant.adapters.server import DrainingServer, bind
from tests.api.running_endpoint import running_endpoint

BLOCK = b"x" * 10_000
HEAD = b"POST / HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\n"


async def echo(request: Request) -> Response:
    await asyncio.sleep(float(request.query_params.get("wait", "0")))
    return PlainTextResponse(f"{len(await request.body())} bytes")


class Flood:
    """Answers without end, until its client is gone."""

    def __init__(self) -> None:
        self.ended = asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            if scope["type"] == "http":
                await send({"type": "http.response.start", "status": 200, "headers": []})
                left = asyncio.create_task(self._left(receive))
                while not left.done():
                    await send({"type": "http.response.body", "body": BLOCK, "more_body": True})
                    await asyncio.sleep(0)
            else:
                await receive()
                await send({"type": "websocket.accept"})
                while True:
                    await send({"type": "websocket.send", "bytes": BLOCK})
                    await asyncio.sleep(0)
        except OSError:
            pass
        finally:
            self.ended.set()

    @staticmethod
    async def _left(receive: Receive) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass


async def no_drain(_grace_s: float) -> None:
    pass


@asynccontextmanager
async def serving(
    head_timeout_s: float = 10.0, stall_timeout_s: float = 60.0, flood: Flood | None = None
) -> AsyncIterator[int]:
    """The port of a server that is gone when the block is left."""
    flood = flood or Flood()
    listener = bind("127.0.0.1", 0)
    server = DrainingServer(
        Starlette(
            routes=[
                Route("/", echo, methods=["GET", "POST"]),
                Route("/flood", flood),
                WebSocketRoute("/flood", flood),
            ]
        ),
        drain=no_drain,
        grace_s=0,
        max_message_bytes=1_000,
        head_timeout_s=head_timeout_s,
        stall_timeout_s=stall_timeout_s,
    )
    task = asyncio.create_task(server.serve(sockets=[listener]))
    while not server.started:
        await asyncio.sleep(0.01)
    try:
        yield listener.getsockname()[1]
    finally:
        server.should_exit = True
        await task


@pytest.mark.parametrize("sent", [b"", b"P", HEAD], ids=["nothing", "a byte", "half a head"])
async def test_who_does_not_finish_a_head_is_disconnected(sent: bytes) -> None:
    async with serving(head_timeout_s=0.3) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(sent)

        assert await asyncio.wait_for(reader.read(), 5) == b""
        writer.close()


async def test_a_second_head_must_be_finished_as_well() -> None:
    async with serving(head_timeout_s=0.3) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
        assert (await reader.readuntil(b"0 bytes")).startswith(b"HTTP/1.1 200")
        writer.write(HEAD)

        assert await asyncio.wait_for(reader.read(), 5) == b""
        writer.close()


async def test_a_head_without_end_is_cut_off() -> None:
    async with serving(head_timeout_s=30) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(HEAD + b"x-endless: ")
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            async with asyncio.timeout(10):
                for _ in range(100):
                    writer.write(b"x" * 100_000)
                    await writer.drain()
                await reader.readexactly(1)
        writer.close()


async def test_a_long_answer_to_a_finished_head_is_waited_for() -> None:
    async with serving(head_timeout_s=0.2) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /?wait=0.6 HTTP/1.1\r\nhost: a\r\n\r\n")

        assert (await reader.readuntil(b"0 bytes")).startswith(b"HTTP/1.1 200")
        writer.close()


async def test_a_body_that_does_not_come_is_a_408_and_the_end_of_the_connection() -> None:
    with running_endpoint(body_timeout_s=0.3) as endpoint:
        reader, writer = await asyncio.open_connection("127.0.0.1", endpoint.port)
        writer.write(HEAD + b"content-length: 100\r\n\r\n{")

        answer = await asyncio.wait_for(reader.read(), 5)
        writer.close()

    assert answer.startswith(b"HTTP/1.1 408")
    assert b"BAD_USER_INPUT" in answer
    assert b"within 0.3 s" in answer


async def test_who_does_not_read_an_answer_is_cut_off() -> None:
    flood = Flood()
    async with serving(stall_timeout_s=0.3, flood=flood) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /flood HTTP/1.1\r\nhost: a\r\n\r\n")

        await asyncio.wait_for(flood.ended.wait(), 10)
        # What the network had of it, and no end.
        answer = await asyncio.wait_for(reader.read(), 5)
        writer.close()
    assert answer.startswith(b"HTTP/1.1 200")
    assert not answer.endswith(b"\r\n0\r\n\r\n")


async def test_who_does_not_read_a_websocket_is_cut_off() -> None:
    flood = Flood()
    async with (
        serving(stall_timeout_s=0.3, flood=flood) as port,
        connect(f"ws://127.0.0.1:{port}/flood", max_queue=1, compression=None, close_timeout=0.1),
    ):
        await asyncio.wait_for(flood.ended.wait(), 10)


async def test_who_reads_slowly_but_steadily_is_not_cut_off() -> None:
    flood = Flood()
    async with serving(stall_timeout_s=0.4, flood=flood) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /flood HTTP/1.1\r\nhost: a\r\n\r\n")
        for _ in range(20):
            for _ in range(4):
                await reader.readexactly(500_000)
            await asyncio.sleep(0.05)

        assert not flood.ended.is_set()
        writer.close()
        await asyncio.wait_for(flood.ended.wait(), 5)
