"""A completion's events over plain HTTP, as server-sent events.

What can be said of the request alone is said by a status, before the stream; all that a completion
comes to is an event under 200. The format, and how to resume: docs/streaming.md.
Source: https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from starlette.requests import Request
from starlette.responses import Response

from assistant.api.body_limit import Disconnected
from assistant.api.context import Context
from assistant.api.cross_site import may_come_from_any_page
from assistant.api.errors import describe
from assistant.api.event_stream import EventStream
from assistant.api.http_request import Refused, headers_of
from assistant.api.media_type import EVENT_STREAM, JSON, accepts
from assistant.api.stream_events import NAMED_EVENTS, EventEncoder
from assistant.api.stream_request import StreamRequests
from assistant.domain.completion import CompletionRequest
from assistant.errors import (
    AssistantError,
    BadUserInput,
    Forbidden,
    NotFound,
    ResumeExpired,
    Unauthenticated,
)

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

    from assistant.api.endpoint import Authenticate
    from assistant.api.federation import SubgraphSchema
    from assistant.domain.stream import EventId, NumberedEvent
    from assistant.services import Services

_METHODS: Final = "GET, HEAD, POST, OPTIONS"


class StreamEndpoint:
    """The ASGI application at ``/api/stream``.

    ``authenticate`` gets headers by lower-cased name and raises Unauthenticated. ``allowed_origins``
    are other sites' pages that may use the service. ``max_stream_s`` ends a connection however busy
    it is; ``keep_alive_s`` is how often a comment says that it is alive.
    """

    def __init__(
        self,
        schema: SubgraphSchema,
        *,
        services: Services,
        authenticate: Authenticate,
        allowed_origins: Sequence[str] = (),
        max_body_bytes: int = 1_000_000,
        body_timeout_s: float = 30.0,
        max_stream_s: float = 3600.0,
        keep_alive_s: float = 15.0,
    ) -> None:
        self._requests = StreamRequests(
            schema, max_body_bytes=max_body_bytes, body_timeout_s=body_timeout_s
        )
        self._services = services
        self._authenticate = authenticate
        self._allowed_origins = allowed_origins
        self._max_stream_s = max_stream_s
        self._framing = replace(NAMED_EVENTS, heartbeat_s=keep_alive_s)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        try:
            response = await self._respond(request)
        except Disconnected:
            return
        await response(scope, receive, send)

    async def _respond(self, request: Request) -> ASGIApp:
        if request.method == "OPTIONS":
            return Response(status_code=204, headers={"allow": _METHODS})
        try:
            return await self._stream(request, headers_of(request))
        except Refused as refused:
            return _refusal(refused.error, refused.status, refused.headers)
        except AssistantError as error:
            return _refusal(error, _status(error), _headers(error))
        except Disconnected:
            raise
        except Exception as error:  # noqa: BLE001 - the edge: nothing of an unknown error leaves
            return _refusal(error, 500, {})

    async def _stream(self, request: Request, headers: dict[str, str]) -> ASGIApp:
        self._check(request.method, headers)
        context = Context(self._services, await self._authenticate(headers), headers)
        asked = await self._requests.read(request, context)
        runs = self._services.runs
        if request.method == "HEAD":
            return self._response(_nothing())
        if isinstance(asked, CompletionRequest):
            return self._response(runs.stream(asked))
        position = (context.caller, asked.completion_id, asked.after)
        if request.method == "GET" and await runs.is_over(*position):
            # So an EventSource is told to stop: after any other end it would connect again.
            return Response(status_code=204)
        return self._response(runs.resume(*position), asked.after)

    def _check(self, method: str, headers: Mapping[str, str]) -> None:
        """Raises Refused for what is wrong with any request that is sent so."""
        if method not in ("GET", "HEAD", "POST"):
            raise Refused(405, "A stream is asked for with POST or GET.", allow=_METHODS)
        if method != "POST" and may_come_from_any_page(headers, self._allowed_origins):
            raise Refused(
                403,
                "A browser's GET needs the header apollo-require-preflight: true, "
                "so that no other site's page can send it. Or use POST.",
            )
        if not accepts(headers.get("accept", ""), EVENT_STREAM):
            raise Refused(406, "The answer is a stream: send accept: text/event-stream.")

    def _response(
        self, events: AsyncGenerator[NumberedEvent, None], after: EventId | None = None
    ) -> EventStream:
        encoder = EventEncoder(after)
        return EventStream(
            encoder.frames(events), self._max_stream_s, bytes, self._framing, encoder.interrupted
        )


async def _nothing() -> AsyncGenerator[NumberedEvent, None]:
    events: Sequence[NumberedEvent] = ()
    for event in events:
        yield event


# --- what is refused


def _status(error: AssistantError) -> int:
    match error:
        case BadUserInput():
            return 400
        case Unauthenticated():
            return 401
        case Forbidden():
            return 403
        case NotFound():
            return 404
        case ResumeExpired():
            return 410
        case _:
            return 503 if error.is_retryable else 500


def _headers(error: AssistantError) -> dict[str, str]:
    headers = {"www-authenticate": "Bearer"} if isinstance(error, Unauthenticated) else {}
    if error.retry_after_ms is not None:
        # In whole seconds, rounded up. Source: https://www.rfc-editor.org/rfc/rfc9110#section-10.2.3
        headers["retry-after"] = str(-(-error.retry_after_ms // 1000))
    return headers


def _refusal(error: Exception, status: int, headers: Mapping[str, str]) -> Response:
    """``{"error": {code, message, ...}}``; ``problems`` are all that was found in the input."""
    described = describe(error)
    fields = {"message": described["message"], **described["extensions"]}
    if isinstance(error, BadUserInput) and (error.path or error.also):
        fields["problems"] = [
            {"message": each.message, "path": list(each.path)} for each in error.every
        ]
    return Response(
        json.dumps({"error": fields}),
        status,
        {"cache-control": "no-store", **headers},
        media_type=JSON,
    )
