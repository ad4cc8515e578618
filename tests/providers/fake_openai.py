"""A server that speaks OpenAI's wire format over a real port, and misbehaves on request.

How to use it in a test is told in ``fake_server``. It is OpenAI, or with ``is_compatible`` one
of the many that are nearly so. As a process of its own::

    python -m tests.providers.fake_openai --port 11500 --tokens 64 --token-delay-ms 0

Source of the wire format: https://platform.openai.com/docs/api-reference/chat
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from tests.providers.fake_server import (
    HUGE_BYTES,
    FakeServer,
    Fault,
    ReceivedRequest,
    dump,
    json_response,
    run_as_process,
    text_response,
)
from tests.providers.fake_server import Reply as AnyReply

CREATED_AT = 1_772_366_400
MODELS = ("gpt-4o-mini", "gpt-5-mini", "text-embedding-3-small")


def event(data: bytes, end: bytes = b"\n") -> bytes:
    """A server-sent event."""
    return b"data: " + data + end + end


DONE = event(b"[DONE]")

_THEN = {
    Fault.NO_DONE: b"",
    Fault.MALFORMED: event(b'{"choices":[{"index":0,"delta":{"content":"x"}'),
    Fault.NOT_AN_OBJECT: event(b'["choices",[]]'),
    Fault.WRONG_TYPES: event(b'{"choices":[{"index":0,"delta":{"content":7}}]}'),
    Fault.TOO_DEEP: event(b"[" * 100_000 + b"]" * 100_000),
    Fault.INVALID_UTF8: event(b'{"choices":[{"index":0,"delta":{"content":"\xff\xfe"}}]}'),
    Fault.HUGE: event(
        b'{"choices":[{"index":0,"delta":{"content":"' + b"x" * HUGE_BYTES + b'"}}]}'
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCall:
    """A call as the model asks for it; ``fragments`` of its arguments come one by one."""

    id: str | None
    name: str
    fragments: tuple[str, ...] = ("{}",)
    is_numbered: bool = True  # with an index
    is_repeated: bool = False  # id and name in every fragment


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply(AnyReply):
    """How a chat is answered."""

    refusal: tuple[str, ...] = ()
    tool_calls: tuple[ToolCall, ...] = ()
    finish_reason: str | None = "stop"
    reasoning_field: str = "reasoning_content"
    reasoning_is_beside: bool = False  # not among completion_tokens, as xAI has it
    usage: str = "last"  # a chunk of its own; "with-finish", "every", or "never"
    has_done: bool = True  # the stream ends with [DONE]
    comments: bool = False  # between all events
    line_end: bytes = b"\n"
    code: str | int | None = None  # of the error
    type: str | None = "invalid_request_error"
    param: str | None = None


# ------------------------------------------------------------------- the wire


def _usage(reply: Reply) -> dict[str, object] | None:
    if reply.usage == "never" or reply.prompt_tokens is None:
        return None
    usage: dict[str, object] = {
        "prompt_tokens": reply.prompt_tokens,
        "completion_tokens": reply.completion_tokens,
        "total_tokens": reply.prompt_tokens + (reply.completion_tokens or 0),
    }
    if reply.cached_tokens is not None:
        usage["prompt_tokens_details"] = {"cached_tokens": reply.cached_tokens, "audio_tokens": 0}
    if reply.reasoning_tokens is not None:
        usage["completion_tokens_details"] = {"reasoning_tokens": reply.reasoning_tokens}
        if reply.reasoning_is_beside:
            usage["total_tokens"] = (
                reply.prompt_tokens + (reply.completion_tokens or 0) + reply.reasoning_tokens
            )
    return usage


def _chunk(
    model: str,
    choices: Sequence[dict[str, object]],
    usage: dict[str, object] | None = None,
) -> dict[str, object]:
    body: dict[str, object] = {
        "id": "chatcmpl-123",
        "object": "chat.completion.chunk",
        "created": CREATED_AT,
        "model": model,
        "system_fingerprint": "fp_44709d6fcb",
        "choices": choices,
    }
    return body if usage is None else body | {"usage": usage}


def _choice(delta: dict[str, object], finish_reason: str | None = None) -> dict[str, object]:
    return {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}


def _tool_deltas(calls: tuple[ToolCall, ...]) -> list[dict[str, object]]:
    deltas: list[dict[str, object]] = []
    for index, call in enumerate(calls):
        for number, fragment in enumerate(call.fragments):
            piece: dict[str, object] = {"index": index} if call.is_numbered else {}
            function: dict[str, object] = {"arguments": fragment}
            if number == 0 or call.is_repeated:
                if call.id is not None:
                    piece["id"] = call.id
                piece["type"] = "function"
                function["name"] = call.name
            deltas.append({"tool_calls": [piece | {"function": function}]})
    return deltas


@lru_cache(maxsize=256)
def stream_events(reply: Reply, model: str) -> tuple[bytes, ...]:
    """The events of a whole, healthy stream."""
    usage = _usage(reply)
    running = usage if reply.usage == "every" else None
    deltas: list[dict[str, object]] = [{"role": "assistant", "content": "", "refusal": None}]
    deltas += [{reply.reasoning_field: piece} for piece in reply.thinking]
    deltas += [{"content": token} for token in reply.tokens]
    deltas += [{"refusal": piece} for piece in reply.refusal]
    deltas += _tool_deltas(reply.tool_calls)
    chunks = [_chunk(model, [_choice(delta)], running) for delta in deltas]
    if reply.finish_reason is not None:
        with_finish = usage if reply.usage in ("with-finish", "every") else None
        chunks.append(_chunk(model, [_choice({}, reply.finish_reason)], with_finish))
    if reply.usage == "last" and usage is not None:
        chunks.append(_chunk(model, [], usage))
    events = [event(dump(chunk, escaped=reply.escaped), reply.line_end) for chunk in chunks]
    if reply.has_done:
        events.append(event(b"[DONE]", reply.line_end))
    if reply.comments:
        comment = b": OPENROUTER PROCESSING" + reply.line_end * 2
        events = [comment + sent for sent in events]
    return tuple(events)


@lru_cache(maxsize=256)
def whole_body(reply: Reply, model: str) -> bytes:
    """The JSON of a whole answer that is not streamed."""
    message: dict[str, object] = {
        "role": "assistant",
        "content": "".join(reply.tokens) or None,
        "refusal": "".join(reply.refusal) or None,
    }
    if reply.thinking:
        message[reply.reasoning_field] = "".join(reply.thinking)
    if reply.tool_calls:
        message["tool_calls"] = [
            ({} if call.id is None else {"id": call.id})
            | {
                "type": "function",
                "function": {"name": call.name, "arguments": "".join(call.fragments)},
            }
            for call in reply.tool_calls
        ]
    choice = {"index": 0, "message": message, "finish_reason": reply.finish_reason}
    body = _chunk(model, [choice], _usage(reply)) | {"object": "chat.completion"}
    return dump(body, escaped=reply.escaped)


# ----------------------------------------------------------------- the server


class FakeOpenAi(FakeServer[Reply]):
    """The server; an asynchronous context manager. Attributes may be changed while it runs."""

    chat_path = "/v1/chat/completions"
    stream_type = "text/event-stream; charset=utf-8"
    preface = 1  # the chunk that names the role
    garbage = _THEN
    alive = b": keep-alive\n\n"

    def __init__(
        self,
        *,
        port: int = 0,
        reply: Reply | None = None,
        models: tuple[str, ...] = MODELS,
        api_key: str | None = None,
        is_recording: bool = True,
    ) -> None:
        super().__init__(reply or Reply(), port=port, is_recording=is_recording, base_path="/v1")
        self.models = models
        self.api_key = api_key
        self.unknown_parameters: dict[str, Reply] = {}  # how a call that has one is refused
        self.entries: list[dict[str, object]] | None = None  # of /models, instead of ``models``
        self.dimensions = 8

    def pieces(self, reply: Reply, model: str) -> tuple[bytes, ...]:
        return stream_events(reply, model)

    def whole(self, reply: Reply, model: str) -> bytes:
        return whole_body(reply, model)

    def broken_whole(self, fault: Fault, body: bytes) -> bytes:
        garbage = _THEN[fault].removeprefix(b"data: ").rstrip(b"\n").replace(b"delta", b"message")
        return garbage or body.replace(b'"finish_reason":"stop"', b'"finish_reason":null')

    def error_body(self, reply: Reply) -> bytes:
        return dump(
            {
                "error": {
                    "message": reply.error,
                    "type": reply.type,
                    "param": reply.param,
                    "code": reply.code,
                }
            }
        )

    def error_piece(self, reply: Reply) -> bytes:
        return event(self.error_body(reply))

    def find_reply(self, request: ReceivedRequest) -> Reply | None:
        given = request.headers.get("authorization")
        if self.api_key is not None and given != f"Bearer {self.api_key}":
            return Reply(
                status=401,
                error=f"Incorrect API key provided: {given}. You can find your API key at ...",
                code="invalid_api_key",
            )
        return super().find_reply(request)

    def next_reply(self, request: ReceivedRequest) -> Reply:
        """As told, or refused as a real server would refuse it."""
        if request.model not in self.models:
            return model_not_found(request.model)
        for parameter, refused in self.unknown_parameters.items():
            if parameter in request.body:
                return refused
        reply = super().next_reply(request)
        asked = (request.body.get("stream_options") or {}).get("include_usage")
        if request.body.get("stream") and reply.usage == "last" and not asked:
            return replace(reply, usage="never")
        return reply

    def answer(self, request: ReceivedRequest) -> bytes:
        if request.path == "/v1/models":
            entries = self.entries or [
                {"id": name, "object": "model", "created": CREATED_AT, "owned_by": "system"}
                for name in self.models
            ]
            return json_response(200, {"object": "list", "data": entries})
        if request.path == "/v1/embeddings" and request.model in self.models:
            return self._answer_embeddings(request.body)
        if request.path == "/v1/embeddings":
            return json_response(404, json.loads(self.error_body(model_not_found(request.model))))
        return text_response(404, "404 page not found")

    def _answer_embeddings(self, body: dict[str, Any]) -> bytes:
        """A vector for each text, none of them normalised, and in no order."""
        data = [
            {
                "object": "embedding",
                "index": index,
                "embedding": [float(len(text) + number) for number in range(self.dimensions)],
            }
            for index, text in enumerate(body["input"])
        ]
        tokens = sum(len(text.split()) for text in body["input"])
        usage = {"prompt_tokens": tokens, "total_tokens": tokens}
        return json_response(200, {"object": "list", "data": data[::-1], "usage": usage})


def model_not_found(name: str) -> Reply:
    return Reply(
        status=404,
        error=f"The model `{name}` does not exist or you do not have access to it.",
        code="model_not_found",
    )


def unsupported(parameter: str, instead: str | None = None) -> Reply:
    """How OpenAI refuses a parameter that a model does not have."""
    advice = "" if instead is None else f" Use '{instead}' instead."
    return Reply(
        status=400,
        error=f"Unsupported parameter: '{parameter}' is not supported with this model.{advice}",
        code="unsupported_parameter",
        param=parameter,
    )


def _serve(port: int, reply: Reply, extra: list[str]) -> FakeOpenAi:
    return FakeOpenAi(port=port, reply=reply, models=(*MODELS, *extra), is_recording=False)


if __name__ == "__main__":
    run_as_process("OpenAI", 11500, Reply, _serve)
