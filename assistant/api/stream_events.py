"""A completion's events as server-sent events: the names and fields that GraphQL has for them.

Written by hand, because a stream is hundreds of them and GraphQL's execution of one costs more than
all else that is done with it. Lines end in LF, and all is ASCII with JSON's escapes: clients that
decode packets one by one would break a character that a packet ends in.
Source: https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation
"""

from __future__ import annotations

import json
from contextlib import aclosing
from json.encoder import encode_basestring_ascii
from typing import TYPE_CHECKING, Any, Final, assert_never

from assistant.api.errors import describe
from assistant.api.event_stream import Framing
from assistant.api.scalars import datetime_text
from assistant.domain.completion import (
    Completion,
    CompletionContinued,
    CompletionFailed,
    CompletionFinished,
    CompletionRestarted,
    CompletionStarted,
    ReasoningDelta,
    StreamEvent,
    TextDelta,
    TokenUsage,
)

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from uuid import UUID

    from assistant.domain.stream import EventId, NumberedEvent

NAMED_EVENTS: Final = Framing(
    content_type="text/event-stream; charset=utf-8",
    # How long a browser's EventSource waits before it connects again, in milliseconds.
    opening=b"retry: 1000\n\n",
    before=b"",
    after=b"",
    heartbeat=b": keep-alive\n\n",
    heartbeat_s=15,
    closing=b"",
)

_encode = json.JSONEncoder(allow_nan=False, separators=(",", ":")).encode
# GraphQL's Int ends there: 24.8 days, which is longer than anybody waits.
_MOST_MS: Final = 2**31 - 1


class EventEncoder:
    """Writes the events of one stream. ``after`` is the last that its client had before."""

    __slots__ = ("_completion_id", "_id", "_last")

    def __init__(self, after: EventId | None = None) -> None:
        self._completion_id: UUID | None = None
        self._id = ""
        self._last: EventId | NumberedEvent | None = after

    async def frames(
        self, events: AsyncGenerator[NumberedEvent, None]
    ) -> AsyncGenerator[bytes, None]:
        """``events``, closed with this; where they fail, that is the last."""
        try:
            async with aclosing(events):
                async for event in events:
                    yield self.encode(event)
                    # Not before it was taken: what a client lacks it must not be told it had.
                    self._last = event
        except Exception as error:  # noqa: BLE001 - the edge: nothing of an unknown error leaves
            yield self.interrupted(error)

    def encode(self, numbered: NumberedEvent) -> bytes:
        """One event, whole. Raises ValueError where the answer's JSON is none."""
        completion_id, sequence, event = numbered
        if completion_id is not self._completion_id:
            self._completion_id, self._id = completion_id, str(completion_id)
        id_ = self._id
        if type(event) is TextDelta:
            name, rest = "TokenDelta", f'"text":{encode_basestring_ascii(event.text)}}}'
        else:
            name, fields = _named(event)
            rest = _encode(fields)[1:]
        return (
            f"id: {id_}:{sequence}\nevent: {name}\n"
            f'data: {{"eventId":"{id_}:{sequence}","completionId":"{id_}","sequence":{sequence},{rest}'
            "\n\n"
        ).encode()

    def interrupted(self, error: Exception) -> bytes:
        """What ends the connection, not the completion: without an id, so that nobody resumes after
        it. A defect of ours is logged and masked.
        """
        described = describe(error)
        extensions = described["extensions"]
        fields = {
            "code": extensions["code"],
            "message": described["message"],
            "isRetryable": extensions["isRetryable"],
            "lastEventId": extensions.get("lastEventId", self._last_id),
        }
        return f"event: error\ndata: {_encode(fields)}\n\n".encode()

    @property
    def _last_id(self) -> str | None:
        return None if self._last is None else f"{self._last.completion_id}:{self._last.sequence}"


def _named(event: StreamEvent) -> tuple[str, dict[str, Any]]:
    """The event's name, and the fields that are its own."""
    match event:
        case TextDelta(text):
            return "TokenDelta", {"text": text}
        case ReasoningDelta(text):
            return "ReasoningDelta", {"text": text}
        case CompletionStarted():
            return "CompletionStarted", {
                "model": {"id": event.model},
                "promptVersion": _reference(event.prompt_version_id),
                "createdAt": datetime_text(event.created_at),
            }
        case CompletionRestarted(model, reason):
            return "CompletionRestarted", {"model": {"id": model}, "reason": reason}
        case CompletionContinued(model, reason):
            return "CompletionContinued", {"model": {"id": model}, "reason": reason}
        case CompletionFinished(completion):
            return "CompletionFinished", {"response": _response(completion)}
        case CompletionFailed():
            wait_ms = event.retry_after_ms
            return "CompletionFailed", {
                "code": event.code,
                "message": event.message,
                "isRetryable": event.is_retryable,
                "retryAfterMs": None if wait_ms is None else min(wait_ms, _MOST_MS),
            }
        case _:
            assert_never(event)


def _response(completion: Completion) -> dict[str, Any]:
    return {
        "id": str(completion.id),
        "text": completion.text,
        "json": completion.json,
        "status": completion.status,
        "finishReason": completion.finish_reason,
        "model": {"id": completion.model},
        "promptVersion": _reference(completion.prompt_version_id),
        "usage": _usage(completion.usage),
        "cache": completion.cache,
        "latencyMs": completion.latency_ms,
        "createdAt": datetime_text(completion.created_at),
    }


def _usage(usage: TokenUsage) -> dict[str, Any]:
    return {
        "promptTokens": usage.prompt_tokens,
        "completionTokens": usage.completion_tokens,
        "totalTokens": usage.total_tokens,
        "cachedTokens": usage.cached_tokens,
        "reasoningTokens": usage.reasoning_tokens,
        "isEstimated": usage.is_estimated,
        "isPriced": usage.is_priced,
        "cost": {"amount": format(usage.cost, "f"), "currency": "USD"},
    }


def _reference(id_: UUID | None) -> dict[str, str] | None:
    return None if id_ is None else {"id": str(id_)}
