"""A completion as OpenAI's clients read it: whole, or as the chunks of a stream.

Source: https://platform.openai.com/docs/api-reference/chat/object
and https://platform.openai.com/docs/api-reference/chat-streaming/streaming
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from datetime import datetime
from json.encoder import encode_basestring_ascii as encode_text
from typing import Final, assert_never
from uuid import UUID

from assistant.api.openai.errors import Failure, cancelled, encode, failure_of, failure_of_stream
from assistant.domain.completion import (
    Completion,
    CompletionContinued,
    CompletionFailed,
    CompletionFinished,
    CompletionRestarted,
    CompletionStarted,
    CompletionStatus,
    FinishReason,
    ReasoningDelta,
    StreamEvent,
    TextDelta,
    TokenUsage,
)
from assistant.domain.stream import NumberedEvent
from assistant.errors import StreamInterrupted

_FINISH_REASONS: Final[Mapping[FinishReason | None, str]] = {
    FinishReason.LENGTH: "length",
    FinishReason.TOOL_CALLS: "tool_calls",
    FinishReason.CONTENT_FILTER: "content_filter",
}
_DONE: Final = b"data: [DONE]\n\n"
_START: Final = {"role": "assistant", "content": "", "refusal": None}


def whole_answer(completion: Completion) -> Mapping[str, object]:
    """The answer that is not streamed."""
    message = {"role": "assistant", "content": completion.text, "refusal": None}
    return {
        **_about(completion.id, "chat.completion", completion.created_at, completion.model),
        "choices": [
            {
                "index": 0,
                "message": message,
                "logprobs": None,
                "finish_reason": _finish_reason(completion),
            }
        ],
        "usage": _usage(completion.usage),
        "assistant": _account(completion),
    }


async def chunks(
    events: AsyncGenerator[NumberedEvent, None], first: NumberedEvent, *, includes_usage: bool
) -> AsyncGenerator[bytes, None]:
    """The server-sent events of a stream whose ``first`` event is known; closes ``events``.

    A failure is the last one, in place of [DONE].
    """
    async with aclosing(events):
        try:
            told = _Chunks(first.completion_id, includes_usage)
            for chunk in told.of(first.event):
                yield chunk
            async for _id, _sequence, event in events:
                # Nearly all of them, and so as little as can be for each.
                if isinstance(event, TextDelta):
                    told.has_text = True
                    yield told.before_text + encode_text(event.text).encode() + told.after_text
                    continue
                for chunk in told.of(event):
                    yield chunk
                if told.has_ended:
                    return
        except Exception as error:  # noqa: BLE001 - the edge: nothing of an unknown error leaves
            yield error_event(failure_of(error))


def error_event(failure: Failure) -> bytes:
    """What ends a stream that has failed."""
    return _event(failure.body)


class _Chunks:
    """The chunks of one stream; what all of them have in common is written once."""

    def __init__(self, completion_id: UUID, includes_usage: bool) -> None:
        self.has_ended = False
        self.has_text = False
        self.before_text = b""
        """What comes before the JSON of a piece of text, in its chunk."""
        self.after_text = b""
        self._completion_id = completion_id
        self._created_at: datetime | None = None
        self._about: Mapping[str, object] = {}
        # Clients that want to know the usage find it in every chunk, and null in all but the last.
        self._no_usage: Mapping[str, object] = {"usage": None} if includes_usage else {}

    def of(self, event: StreamEvent) -> Sequence[bytes]:
        match event:
            case TextDelta(text):
                self.has_text = True
                return [self.before_text + encode_text(text).encode() + self.after_text]
            case ReasoningDelta(text):
                return [self._chunk({"reasoning_content": text})]
            case CompletionStarted():
                self._is_answered_by(event.model, event.created_at)
                ours = {"completionId": str(event.completion_id), "model": event.model}
                return [self._chunk(_START, assistant=ours)]
            case CompletionContinued():
                self._is_answered_by(event.model)
                return []
            case CompletionRestarted():
                return self._restarted(event)
            case CompletionFinished(completion):
                self.has_ended = True
                return self._finished(completion)
            case CompletionFailed():
                self.has_ended = True
                return [error_event(failure_of_stream(event))]
            case _:
                assert_never(event)

    def _is_answered_by(self, model: str, created_at: datetime | None = None) -> None:
        self._created_at = created_at or self._created_at
        self._about = _about(self._completion_id, "chat.completion.chunk", self._created_at, model)
        whole = self._chunk({"content": ""})
        self.before_text, _, self.after_text = whole.partition(b'""')

    def _chunk(
        self, delta: Mapping[str, object], finish_reason: str | None = None, **more: object
    ) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
        return _event({**self._about, "choices": [choice], **self._no_usage, **more})

    def _restarted(self, event: CompletionRestarted) -> Sequence[bytes]:
        if not self.has_text:
            self._is_answered_by(event.model)
            return []
        self.has_ended = True
        error = StreamInterrupted(
            "The answer starts over, which this stream cannot say. Ask again."
        )
        error.completion_id = self._completion_id
        return [error_event(failure_of(error))]

    def _finished(self, completion: Completion) -> Sequence[bytes]:
        if completion.status is CompletionStatus.CANCELLED:
            return [error_event(cancelled(completion.id))]
        self._is_answered_by(completion.model, completion.created_at)
        last = self._chunk({}, _finish_reason(completion), assistant=_account(completion))
        if not self._no_usage:
            return [last, _DONE]
        usage = {"choices": [], "usage": _usage(completion.usage)}
        return [last, _event({**self._about, **usage}), _DONE]


def _event(payload: Mapping[str, object]) -> bytes:
    return b"data: " + encode(payload) + b"\n\n"


def _about(
    completion_id: UUID, kind: str, created_at: datetime | None, model: str
) -> Mapping[str, object]:
    return {
        "id": f"chatcmpl-{completion_id}",
        "object": kind,
        "created": int(created_at.timestamp()) if created_at else 0,
        "model": model,
        "system_fingerprint": None,
    }


def _finish_reason(completion: Completion) -> str:
    return _FINISH_REASONS.get(completion.finish_reason, "stop")


def _usage(usage: TokenUsage) -> Mapping[str, object]:
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.total_tokens,
        "prompt_tokens_details": {"cached_tokens": usage.cached_tokens},
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
    }


def _account(completion: Completion) -> Mapping[str, object]:
    """What this service has to say of an answer beyond OpenAI's format."""
    return {
        "completionId": str(completion.id),
        "model": completion.model,
        "cache": completion.cache.value,
        "costUsd": f"{completion.usage.cost:f}",
    }
