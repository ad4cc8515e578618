"""An issuer that publishes its keys over a real port, and misbehaves on request.

In a test::

    async with FakeJwks() as fake:              # fake.url == "http://127.0.0.1:<port>/jwks.json"
        fake.keys = [jwk(private_key, kid="a")]
        fake.status = 503                       # from now on
        assert fake.requests == 1
"""

from __future__ import annotations

import asyncio
import json
from types import TracebackType
from typing import Any, Self


class FakeJwks:
    """``body`` is sent instead of ``keys`` where it is not None; ``is_open`` lets answers out."""

    def __init__(self) -> None:
        self.keys: list[Any] = []
        self.body: bytes | None = None
        self.status = 200
        self.location = ""
        self.requests = 0
        self.is_open = asyncio.Event()
        self.is_open.set()
        self.url = ""
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        port = self._server.sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{port}/jwks.json"
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._server is not None
        self.is_open.set()
        self._server.close()
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        self.requests += 1
        await self.is_open.wait()
        body = json.dumps({"keys": self.keys}).encode() if self.body is None else self.body
        head = f"HTTP/1.1 {self.status} Status\r\ncontent-length: {len(body)}\r\n"
        if self.location:
            head += f"location: {self.location}\r\n"
        writer.write(f"{head}connection: close\r\n\r\n".encode() + body)
        try:
            await writer.drain()
            writer.close()
            await writer.wait_closed()
        except OSError:
            # The client had read enough.
            writer.close()
