"""Streams results over HTTP, as server-sent events or as multipart."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing, suppress
from dataclasses import dataclass
from typing import Any, Final

from graphql import GraphQLError
from starlette.types import Receive, Scope, Send
from strawberry.types import ExecutionResult

from assistant.api.errors import extensions_of
from assistant.api.media_type import EVENT_STREAM, MULTIPART
from assistant.errors import StreamInterrupted


@dataclass(frozen=True, slots=True)
class Framing:
    """How results become bytes. ``before`` and ``after`` surround the JSON of one result."""

    content_type: str
    opening: bytes
    before: bytes
    after: bytes
    heartbeat: bytes
    heartbeat_s: float
    closing: bytes


# Lines end in LF alone: Hive Gateway splits events at LF LF and would drop every other.
# Source: https://github.com/enisdenjo/graphql-sse/blob/master/PROTOCOL.md#distinct-connections-mode
SERVER_SENT_EVENTS: Final = Framing(
    content_type=EVENT_STREAM,
    opening=b":\n\n",
    before=b"event: next\ndata: ",
    after=b"\n\n",
    heartbeat=b":\n\n",
    heartbeat_s=15,
    closing=b"event: complete\ndata: \n\n",
)
# The boundary follows each part at once, or a part would wait for the next one to be complete.
# Source: https://www.apollographql.com/docs/graphos/routing/operations/subscriptions/multipart-protocol
MULTIPART_SUBSCRIPTION: Final = Framing(
    content_type=f'{MULTIPART};boundary="graphql";subscriptionSpec=1.0',
    opening=b"--graphql",
    before=b'\r\ncontent-type: application/json\r\n\r\n{"payload":',
    after=b"}\r\n--graphql",
    heartbeat=b"\r\ncontent-type: application/json\r\n\r\n{}\r\n--graphql",
    heartbeat_s=5,
    closing=b"--\r\n",
)
FRAMINGS: Final = {EVENT_STREAM: SERVER_SENT_EVENTS, MULTIPART: MULTIPART_SUBSCRIPTION}


async def deliver(
    results: AsyncGenerator[Any, None],
    take: Callable[[Any], Awaitable[None]],
    max_s: float,
    say: Callable[[StreamInterrupted], Any] | None = None,
) -> None:
    """Hand each of ``results`` to ``take``; after ``max_s`` seconds an error is the last one.

    ``say`` makes a result of that error, GraphQL's by default. The one time limit is around the
    whole loop: one for each result took 4 % of a stream's CPU time. It may be, because this is no
    generator, in which it would cancel whoever runs then. How long a client may leave one result
    unread is the server's to say, which hears of it: adapters/server.py.
    """
    async with aclosing(results):
        try:
            async with asyncio.timeout(max_s) as limit:
                async for result in results:
                    await take(result)
        except TimeoutError:
            if not limit.expired():
                raise
            error = StreamInterrupted(f"A stream may last {max_s:g} s. Subscribe again.")
            await take((say or _as_result)(error))


class EventStream:
    """The response of a subscription; ends ``results`` when its client goes away.

    ``encode`` makes the bytes of one result, ``say`` a result of what ends the stream early.
    """

    def __init__(
        self,
        results: AsyncGenerator[Any, None],
        max_s: float,
        encode: Callable[[Any], bytes],
        framing: Framing,
        say: Callable[[StreamInterrupted], Any] | None = None,
    ) -> None:
        self._results = results
        self._max_s = max_s
        self._encode = encode
        self._framing = framing
        self._say = say

    async def __call__(self, _scope: Scope, receive: Receive, send: Send) -> None:
        await send(
            {
                "type": "http.response.start",
                "status": 200,
                "headers": [
                    (b"content-type", self._framing.content_type.encode()),
                    (b"cache-control", b"no-store, no-transform"),
                    # nginx would hold events back to fill its buffer.
                    (b"x-accel-buffering", b"no"),
                ],
            }
        )
        try:
            async with asyncio.timeout(None) as presence:
                watcher = asyncio.create_task(_watch(receive, presence))
                try:
                    await self._write(send)
                finally:
                    watcher.cancel()
        except TimeoutError:
            if not presence.expired():
                raise

    async def _write(self, send: Send) -> None:
        framing = self._framing

        async def take(result: Any) -> None:
            await _send(send, framing.before + self._encode(result) + framing.after)

        heartbeat = _Heartbeat(send, framing)
        try:
            await _send(send, framing.opening)
            await deliver(self._results, take, self._max_s, self._say)
        finally:
            heartbeat.stop()
        await _send(send, framing.closing, more=False)


class _Heartbeat:
    """Sends a sign of life every so often, so that nobody takes a quiet stream for dead."""

    def __init__(self, send: Send, framing: Framing) -> None:
        self._send = send
        self._framing = framing
        self._loop = asyncio.get_running_loop()
        self._sending: asyncio.Task[None] | None = None
        self._timer = self._loop.call_later(framing.heartbeat_s, self._beat)

    def stop(self) -> None:
        self._timer.cancel()
        if self._sending is not None:
            self._sending.cancel()

    def _beat(self) -> None:
        # One that still waits for its client to read is enough.
        if self._sending is None or self._sending.done():
            self._sending = self._loop.create_task(self._send_sign())
        self._timer = self._loop.call_later(self._framing.heartbeat_s, self._beat)

    async def _send_sign(self) -> None:
        with suppress(OSError):  # some servers' word for a client that has left
            await _send(self._send, self._framing.heartbeat)


async def _watch(receive: Receive, presence: asyncio.Timeout) -> None:
    """Let the time of ``presence`` be up when the client leaves."""
    while (await receive())["type"] != "http.disconnect":
        pass
    # Once: what resolvers still do in their ``finally`` may take its time.
    presence.reschedule(asyncio.get_running_loop().time())


async def _send(send: Send, body: bytes, *, more: bool = True) -> None:
    await send({"type": "http.response.body", "body": body, "more_body": more})


def _as_result(error: StreamInterrupted) -> ExecutionResult:
    return ExecutionResult(
        data=None, errors=[GraphQLError(error.message, extensions=extensions_of(error))]
    )
