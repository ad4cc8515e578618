"""What every door does with an HTTP request before it knows, and while it does, what is asked."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping
from typing import TYPE_CHECKING, Final, TypeVar

from starlette.requests import HTTPConnection, Request

from assistant.api.body_limit import BodyTooLarge, BodyTooSlow, Disconnected, read_body
from assistant.api.media_type import JSON
from assistant.errors import BadUserInput

if TYPE_CHECKING:
    from starlette.types import Receive

_T = TypeVar("_T")

# How long an operation may run before somebody looks whether its client is still there.
_ATTENTION_S: Final = 0.025


class Refused(Exception):
    """The request is answered without running anything."""

    def __init__(self, status: int, message: str, **headers: str) -> None:
        super().__init__(message)
        self.status = status
        self.error = BadUserInput(message)
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}


def headers_of(connection: HTTPConnection) -> dict[str, str]:
    """By lower-cased name; what is sent twice is joined, so that no reader picks one of two."""
    headers: dict[str, str] = {}
    for raw_name, raw_value in connection.scope["headers"]:
        name, value = raw_name.decode("latin-1"), raw_value.decode("latin-1")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers


async def read_json(
    request: Request, headers: Mapping[str, str], max_bytes: int, timeout_s: float
) -> bytes:
    """The body of a request that says it is JSON in UTF-8, not yet parsed.

    Raises: Refused; Disconnected.
    """
    content_type, _, parameters = headers.get("content-type", "").partition(";")
    if content_type.strip().lower() != JSON:
        # Other types reach us from any web page without a preflight.
        raise Refused(415, "Send the request with content-type: application/json.")
    charset = parameters.lower().partition("charset=")[2].partition(";")[0].strip(" \"'")
    if charset not in ("", "utf-8", "utf8"):
        raise Refused(415, "Send the request in UTF-8.")
    try:
        return await read_body(request, max_bytes, timeout_s)
    except BodyTooSlow as error:
        raise Refused(408, f"{error} Send it faster.", connection="close") from None
    except BodyTooLarge as error:
        # The server drops the rest unread. Closing the connection under a client that still
        # sends would cost it this answer.
        raise Refused(413, f"{error} Send less.") from None


async def unless_disconnected(receive: Receive, operation: Awaitable[_T]) -> _T:
    """The operation's result. Raises Disconnected, having cancelled it, when its client leaves."""
    loop = asyncio.get_running_loop()
    watcher: asyncio.Task[None] | None = None

    async def watch() -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        patience.reschedule(loop.time())

    def start_watching() -> None:
        nonlocal watcher
        watcher = loop.create_task(watch())

    # Most operations are done before it would pay to watch.
    timer = loop.call_later(_ATTENTION_S, start_watching)
    try:
        async with asyncio.timeout(None) as patience:
            return await operation
    except TimeoutError:
        if patience.expired():
            raise Disconnected from None
        raise
    finally:
        timer.cancel()
        if watcher is not None:
            watcher.cancel()
