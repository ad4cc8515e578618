"""Reads a request's body, up to a limit and no further."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from starlette.requests import Request


class BodyTooLarge(Exception):
    """The body is longer than ``max_bytes``; the rest of it has not been read."""

    def __init__(self, max_bytes: int) -> None:
        super().__init__(f"The request body is longer than {max_bytes} bytes.")
        self.max_bytes = max_bytes


class Disconnected(Exception):
    """The client went away before it had sent the whole body."""


class BodyTooSlow(Exception):
    """The client has not sent the whole body within ``timeout_s``."""

    def __init__(self, timeout_s: float) -> None:
        super().__init__(f"The request body did not arrive within {timeout_s:g} s.")


async def read_body(request: Request, max_bytes: int, timeout_s: float) -> bytes:
    """The whole body. Raises BodyTooLarge, at once where Content-Length tells; BodyTooSlow;
    Disconnected.

    A chunked body has no Content-Length, and one that is there may lie: both are counted.
    """
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > max_bytes:
        raise BodyTooLarge(max_bytes)
    try:
        async with asyncio.timeout(timeout_s):
            return await _read(request, max_bytes)
    except TimeoutError:
        raise BodyTooSlow(timeout_s) from None


async def _read(request: Request, max_bytes: int) -> bytes:
    chunks: list[bytes] = []
    size = 0
    while True:
        message = await request.receive()
        if message["type"] == "http.disconnect":
            raise Disconnected
        chunk: bytes = message.get("body", b"")
        size += len(chunk)
        if size > max_bytes:
            raise BodyTooLarge(max_bytes)
        chunks.append(chunk)
        if not message.get("more_body", False):
            return b"".join(chunks) if len(chunks) > 1 else chunk
