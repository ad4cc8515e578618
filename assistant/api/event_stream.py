"""Streams a subscription's results over HTTP, as server-sent events or as multipart."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
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
    results: AsyncGenerator[Any, None], take: Callable[[Any], Awaitable[None]], max_s: float
) -> None:
    """Hand each of ``results`` to ``take``; after ``max_s`` seconds an error is the last one.

    The one time limit is around the whole loop: one for each result took 4 % of a stream's CPU
    time. It may be, because this is no generator, in which it would cancel whoever runs then.
    """
    async with aclosing(results):
        try:
            async with asyncio.timeout(max_s) as limit:
                async for result in results:
                    await take(result)
        except TimeoutError:
            if not limit.expired():
                raise
            await take(_lasted_too_long(max_s))


class EventStream:
    """The response of a subscription; ends ``results`` when its client goes away."""

    def __init__(
        self,
        results: AsyncGenerator[Any, None],
        max_s: float,
        encode: Callable[[Any], bytes],
        framing: Framing,
    ) -> None:
        self._results = results
        self._max_s = max_s
        self._encode = encode
        self._framing = framing

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
        async with asyncio.TaskGroup() as tasks:
            writer = tasks.create_task(self._write(send))
            others = (
                tasks.create_task(self._beat(send)),
                tasks.create_task(_cancel_on_disconnect(receive, writer)),
            )
            writer.add_done_callback(lambda _: [task.cancel() for task in others])

    async def _write(self, send: Send) -> None:
        framing = self._framing

        async def take(result: Any) -> None:
            await _send(send, framing.before + self._encode(result) + framing.after)

        await _send(send, framing.opening)
        await deliver(self._results, take, self._max_s)
        await _send(send, framing.closing, more=False)

    async def _beat(self, send: Send) -> None:
        while True:
            await asyncio.sleep(self._framing.heartbeat_s)
            await _send(send, self._framing.heartbeat)


async def _cancel_on_disconnect(receive: Receive, writer: asyncio.Task[None]) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    # Once: what resolvers still do in their ``finally`` may take its time.
    writer.cancel()


async def _send(send: Send, body: bytes, *, more: bool = True) -> None:
    await send({"type": "http.response.body", "body": body, "more_body": more})


def _lasted_too_long(max_s: float) -> ExecutionResult:
    error = StreamInterrupted(f"A stream may last {max_s:g} s. Subscribe again.")
    return ExecutionResult(
        data=None, errors=[GraphQLError(error.message, extensions=extensions_of(error))]
    )
