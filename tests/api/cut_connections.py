"""A TCP proxy that cuts connections while they are answered, as networks do."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from urllib.parse import urlsplit


class CuttingProxy:
    """Passes everything on to ``upstream`` and back, but for what is to be cut.

    ``cuts``: after so many bytes of an answer the next connection is reset; 0 is when the answer
    begins, of which nothing is let through then. ``cut`` counts those it has reset.
    """

    def __init__(self, upstream: str) -> None:
        parts = urlsplit(upstream)
        self._upstream = parts.hostname, parts.port
        self.cuts: deque[int] = deque()
        self.cut = 0
        self.url = ""
        self.connections: set[asyncio.Task[None]] = set()

    def connect(self, client: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        connection = asyncio.create_task(self._handle(client, back))
        self.connections.add(connection)

    async def _handle(self, client: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        server, onward = await asyncio.open_connection(*self._upstream)
        asking = asyncio.create_task(self._pass_on(client, onward))
        try:
            with suppress(OSError):
                await self._answer(server, back)
        finally:
            asking.cancel()
            for writer in (onward, back):
                writer.close()
                with suppress(OSError):
                    await writer.wait_closed()

    async def _answer(self, server: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        sent = 0
        while data := await server.read(65_536):
            if self.cuts and sent + len(data) > self.cuts[0]:
                back.write(data[: self.cuts.popleft() - sent])
                await back.drain()
                await asyncio.sleep(0.05)  # what was sent arrives before the reset
                self.cut += 1
                back.transport.abort()
                return
            sent += len(data)
            back.write(data)
            await back.drain()

    async def _pass_on(self, client: asyncio.StreamReader, onward: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await client.read(65_536):
                onward.write(data)
                await onward.drain()


@asynccontextmanager
async def cutting_proxy(upstream: str) -> AsyncIterator[CuttingProxy]:
    """A proxy before ``upstream``, an address of http."""
    proxy = CuttingProxy(upstream)
    server = await asyncio.start_server(proxy.connect, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    proxy.url = f"http://{host}:{port}"
    try:
        yield proxy
    finally:
        server.close()
        for connection in proxy.connections:
            connection.cancel()
        await asyncio.gather(*proxy.connections, return_exceptions=True)
