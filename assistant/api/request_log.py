"""Gives every request its identity in the log, and writes one line when it has ended."""

from __future__ import annotations

import re
import secrets
from time import perf_counter
from typing import TYPE_CHECKING

import structlog
from structlog.contextvars import bind_contextvars, clear_contextvars
from uuid_utils import uuid7

if TYPE_CHECKING:
    from collections.abc import Iterable

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

_log = structlog.get_logger(__name__)

_REQUEST_ID = re.compile(rb"[A-Za-z0-9._:@|/+=-]{1,128}")
# Version ff and identifiers of zeros are forbidden; only versions after 00 may go on after the
# flags. Source: https://www.w3.org/TR/trace-context/#traceparent-header
_TRACEPARENT = re.compile(
    rb"(?!ff)([0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(-.*)?"
)
# Asked for every few seconds by machines: worth a line only to somebody who debugs them.
_PROBES = frozenset({"/health", "/health/ready", "/metrics"})


class RequestLog:
    """ASGI middleware, to be the outermost: identifies, passes everything on, logs.

    The request id is the caller's ``x-request-id`` where it is 1 to 128 safe characters, else a
    new UUIDv7; it is returned as a header. The trace id is that of a valid W3C ``traceparent``,
    else 32 new hexadecimal digits. Both are on every line that is logged for the request.

    They are bound and never unbound: the server runs each request in a task of its own, so
    they end with it, and what the server logs about an exception that escaped has them too.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._run_lifespan(scope, receive, send)
        else:
            await self._run_request(scope, receive, send)

    async def _run_request(self, scope: Scope, receive: Receive, send: Send) -> None:
        started_at = perf_counter()
        request_id, trace_id = _identify(scope["headers"])
        clear_contextvars()
        bind_contextvars(request_id=request_id, trace_id=trace_id)
        outcome: dict[str, int | None] = {"status": None}

        async def send_identified(message: Message) -> None:
            match message["type"]:
                case "http.response.start" | "websocket.http.response.start":
                    outcome["status"] = message["status"]
                    message = _with_request_id(message, request_id)
                case "websocket.accept":
                    outcome["status"] = 101
                    message = _with_request_id(message, request_id)
                case "websocket.close":
                    # Closing before accepting is how a handshake is refused.
                    outcome["status"] = outcome["status"] or 403
                    outcome["close_code"] = message.get("code", 1000)
            await send(message)

        try:
            await self._app(scope, receive, send_identified)
        except Exception:
            outcome["status"] = outcome["status"] or 500
            raise
        finally:
            # No status: the caller was gone before there was an answer.
            log = _log.debug if scope["path"] in _PROBES else _log.info
            log(
                "request",
                method=scope.get("method", "WEBSOCKET"),
                path=scope["path"],
                **outcome,
                duration_ms=round((perf_counter() - started_at) * 1_000, 2),
            )

    async def _run_lifespan(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self._app(scope, receive, send)
        except Exception:
            # The server is told of a failed start in words only; the exception is seen here.
            _log.exception("start_or_shutdown_failed")
            raise


def _identify(headers: Iterable[tuple[bytes, bytes]]) -> tuple[str, str]:
    request_id = trace_id = None
    for name, value in headers:
        if name == b"x-request-id" and _REQUEST_ID.fullmatch(value):
            request_id = value.decode("ascii")
        elif name == b"traceparent":
            found = _TRACEPARENT.fullmatch(value)
            if found and (found[3] is None or found[1] != b"00"):
                trace_id = found[2].decode("ascii")
    return request_id or str(uuid7()), trace_id or secrets.token_hex(16)


def _with_request_id(message: Message, request_id: str) -> Message:
    headers = [*message.get("headers", ()), (b"x-request-id", request_id.encode("ascii"))]
    return {**message, "headers": headers}
