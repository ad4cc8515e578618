"""A TCP proxy before the service that cuts connections where it is told to.

It counts streams and their events by what they look like on the wire, so that a test can say
"cut the first stream after 7 events, and the next one before its first"::

    async with cutting_proxy(service.url, SSE) as proxy:
        proxy.plan.extend([7, 0, None])     # the third stream is left alone
        ...                                 # a client of proxy.url
        assert proxy.cuts == 2
        proxy.usual = 1                     # from now on each stream is cut after one event
        proxy.cut()                         # everything that is open, now, by a reset
        proxy.is_down = True                # new connections are closed at once

A stream that is cut after n events has passed n of them whole, and perhaps a part of the next.
"""

from __future__ import annotations

import asyncio
import re
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from urllib.parse import urlsplit

_READ_BYTES = 65_536
# Of longer chunks, the last so many bytes may be the beginning of a mark.
_LONGEST_MARK_BYTES = 64
# Compressed messages could not be counted.
_EXTENSIONS = re.compile(rb"\r\nsec-websocket-extensions:[^\r]*", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Marks:
    """What streams look like: bytes that each begins with, bytes that each of its events has."""

    opening: bytes
    event: bytes


SSE = Marks(b"retry: ", b"\nevent: ")
"""POST /api/stream."""
GRAPHQL_SSE = Marks(b"text/event-stream", b"event: next")
"""A subscription at /graphql."""
ANSWERS = Marks(b"HTTP/1.1 ", b"\r\n")
"""Whatever comes over HTTP/1.1: the lines of its head, and two for each chunk of its body."""
WEBSOCKET = Marks(b'"connection_ack"', b'"next"')
"""Subscriptions at /graphql, one in each connection."""


@dataclass(eq=False)
class CuttingProxy:
    """``plan`` is after how many events each coming stream is cut, then ``usual``; None: never.

    ``streams`` and ``cuts`` count what has been; ``is_down`` closes new connections at once.
    """

    target: str
    marks: Marks
    url: str = ""
    plan: deque[int | None] = field(default_factory=deque)
    usual: int | None = None
    is_down: bool = False
    streams: int = 0
    cuts: int = 0
    _open: set[asyncio.StreamWriter] = field(default_factory=set)

    def cut(self) -> int:
        """Reset every open connection; how many there were."""
        count = len(self._open) // 2
        for writer in tuple(self._open):
            writer.transport.abort()
        return count

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.is_down:
            writer.transport.abort()
            return
        host, port = urlsplit(self.target).hostname, urlsplit(self.target).port
        try:
            service_reader, service_writer = await asyncio.open_connection(host, port)
        except OSError:
            writer.transport.abort()
            return
        ends = {writer, service_writer}
        self._open |= ends
        tasks = [
            asyncio.create_task(_forward(reader, service_writer, None)),
            asyncio.create_task(_forward(service_reader, writer, _Scissors(self))),
        ]
        try:
            # The end of either direction ends both: nobody here half-closes.
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self._open -= ends
            for end in ends:
                end.close()


class _Scissors:
    """What may still pass of one connection's answers."""

    def __init__(self, proxy: CuttingProxy) -> None:
        self._proxy = proxy
        self._left: int | None = None
        self._tail = b""

    def passed(self, chunk: bytes) -> tuple[bytes, bool]:
        """What of ``chunk`` may pass, and whether the connection is cut after it."""
        marks = self._proxy.marks
        seen = self._tail + chunk
        position = 0
        while True:
            opening = seen.find(marks.opening, position)
            event = seen.find(marks.event, position)
            if opening >= 0 and (event < 0 or opening < event):
                self._proxy.streams += 1
                plan = self._proxy.plan
                self._left = plan.popleft() if plan else self._proxy.usual
                position = opening + len(marks.opening)
            elif event >= 0:
                if self._left == 0:
                    self._proxy.cuts += 1
                    return chunk[: max(0, event - len(self._tail))], True
                if self._left is not None:
                    self._left -= 1
                position = event + len(marks.event)
            else:
                # A mark that has been counted is not kept to be counted again.
                self._tail = seen[max(position, len(seen) - _LONGEST_MARK_BYTES) :]
                return chunk, False


async def _forward(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, scissors: _Scissors | None
) -> None:
    with suppress(ConnectionError):
        while chunk := await reader.read(_READ_BYTES):
            is_cut = False
            if scissors is None:
                chunk = _EXTENSIONS.sub(b"", chunk)
            else:
                chunk, is_cut = scissors.passed(chunk)
            writer.write(chunk)
            await writer.drain()
            if is_cut:
                return


@asynccontextmanager
async def cutting_proxy(target: str, marks: Marks = SSE) -> AsyncIterator[CuttingProxy]:
    """A proxy before the service at ``target`` that listens while the block runs."""
    proxy = CuttingProxy(target, marks)
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    proxy.url = f"http://127.0.0.1:{port}"
    try:
        yield proxy
    finally:
        server.close()
        proxy.cut()
        # Their last words, before the loop is closed under them.
        await asyncio.sleep(0)
        await server.wait_closed()
