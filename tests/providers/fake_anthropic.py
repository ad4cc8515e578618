"""A server that speaks Anthropic's Messages API over a real port, and misbehaves on request.

How to use it in a test is told in ``fake_server``. It refuses what Anthropic refuses: system
messages, fields that it does not know, a conversation that begins with the assistant. As a
process of its own::

    python -m tests.providers.fake_anthropic --port 11600 --tokens 64 --token-delay-ms 0

Source of the wire format: https://docs.anthropic.com/en/api/messages and
https://docs.anthropic.com/en/docs/build-with-claude/streaming
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import pairwise
from typing import Any
from urllib.parse import parse_qs

from tests.providers.fake_server import (
    HUGE_BYTES,
    FakeServer,
    Fault,
    ReceivedRequest,
    dump,
    json_response,
    run_as_process,
)
from tests.providers.fake_server import Reply as AnyReply

VERSION = "2023-06-01"
WINDOW = 200_000
MODELS = ("claude-sonnet-4-5", "claude-haiku-4-5", "claude-opus-4-1")

_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    500: "api_error",
    504: "timeout_error",
    529: "overloaded_error",
}
_FIELDS = frozenset(
    ("model", "messages", "max_tokens", "system", "temperature", "top_p", "top_k", "metadata")
) | {"stop_sequences", "stream", "tools", "tool_choice", "thinking", "service_tier"}


def event(name: str, data: bytes) -> bytes:
    """A server-sent event."""
    return b"event: %b\ndata: %b\n\n" % (name.encode(), data)


def told(kind: str, **fields: object) -> bytes:
    """An event of Anthropic's, whose data repeats its name."""
    return event(kind, dump({"type": kind} | fields))


PING = told("ping")

_GARBAGE = {
    Fault.NO_DONE: b"",
    Fault.MALFORMED: b'{"type":"content_block_delta","index":0,"delta":{"type":"text_delta"',
    Fault.NOT_AN_OBJECT: b'["message_stop"]',
    Fault.WRONG_TYPES: b'{"type":"content_block_delta","index":"0","delta":7,"content":7}',
    Fault.TOO_DEEP: b"[" * 100_000 + b"]" * 100_000,
    Fault.INVALID_UTF8: b'{"type":"content_block_delta","index":0,"delta":{"text":"\xff\xfe"}}',
    Fault.HUGE: b'{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"'
    + b"x" * HUGE_BYTES
    + b'"}}',
}
_THEN = {
    fault: event("content_block_delta", data) if data else b"" for fault, data in _GARBAGE.items()
}


@dataclass(frozen=True, slots=True)
class ToolUse:
    """A tool that the model uses; ``fragments`` of its input, JSON when joined, come one by one.

    No fragment stands for an empty input.
    """

    id: str
    name: str
    fragments: tuple[str, ...] = ()

    @property
    def block(self) -> dict[str, object]:
        given = json.loads("".join(self.fragments) or "{}")
        return {"type": "tool_use", "id": self.id, "name": self.name, "input": given}


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply(AnyReply):
    """How a message is answered. A tool that must be used gets ``tokens`` as its input.

    ``prompt_tokens`` are those that the cache had no part in.
    """

    tool_uses: tuple[ToolUse, ...] = ()
    stop_reason: str | None = "end_turn"
    cache_write_tokens: int | None = None
    type: str | None = None  # of the error; None is what goes with the status


# ------------------------------------------------------------------- the wire


def _usage(reply: Reply, completion_tokens: int | None) -> dict[str, object]:
    counts: dict[str, object] = {
        "input_tokens": reply.prompt_tokens,
        "cache_creation_input_tokens": reply.cache_write_tokens,
        "cache_read_input_tokens": reply.cached_tokens,
        "output_tokens": completion_tokens,
        "output_tokens_details": (
            None if reply.reasoning_tokens is None else {"thinking_tokens": reply.reasoning_tokens}
        ),
    }
    return {name: count for name, count in counts.items() if count is not None}


def _message(reply: Reply, model: str, content: list[dict[str, object]]) -> dict[str, object]:
    return {
        "id": "msg_01XFDUDYJgAACzvnptvVoYEL",
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": content,
        "stop_reason": None,
        "stop_sequence": None,
        "usage": _usage(reply, 1),
    }


def _blocks(reply: Reply) -> list[tuple[dict[str, object], list[dict[str, object]]]]:
    """Each block's start, and its deltas."""
    blocks: list[tuple[dict[str, object], list[dict[str, object]]]] = []
    if reply.thinking:
        deltas: list[dict[str, object]] = [
            {"type": "thinking_delta", "thinking": piece} for piece in reply.thinking
        ]
        deltas.append({"type": "signature_delta", "signature": "EqQBCgIYAhIM1gbcDa9GJwZA2b3h"})
        blocks.append(({"type": "thinking", "thinking": "", "signature": ""}, deltas))
    if reply.tokens:
        texts = [{"type": "text_delta", "text": token} for token in reply.tokens]
        blocks.append(({"type": "text", "text": ""}, [dict(text) for text in texts]))
    for use in reply.tool_uses:
        fragments = ("", *use.fragments)
        inputs = [{"type": "input_json_delta", "partial_json": piece} for piece in fragments]
        blocks.append((use.block | {"input": {}}, [dict(piece) for piece in inputs]))
    return blocks


@lru_cache(maxsize=256)
def stream_events(reply: Reply, model: str) -> tuple[bytes, ...]:
    """The events of a whole, healthy stream."""
    events = [told("message_start", message=_message(reply, model, []))]
    for index, (start, deltas) in enumerate(_blocks(reply)):
        events.append(told("content_block_start", index=index, content_block=start))
        if index == 0:
            events.append(PING)
        events += [
            event(
                "content_block_delta",
                dump(
                    {"type": "content_block_delta", "index": index, "delta": delta},
                    escaped=reply.escaped,
                ),
            )
            for delta in deltas
        ]
        events.append(told("content_block_stop", index=index))
    ended = {"stop_reason": reply.stop_reason, "stop_sequence": None}
    counts = _usage(replace(reply, prompt_tokens=None), reply.completion_tokens)
    events.append(told("message_delta", delta=ended, usage=counts))
    events.append(told("message_stop"))
    return tuple(events)


@lru_cache(maxsize=256)
def whole_body(reply: Reply, model: str) -> bytes:
    """The JSON of a whole answer that is not streamed."""
    content: list[dict[str, object]] = []
    if reply.thinking:
        content.append({"type": "thinking", "thinking": "".join(reply.thinking), "signature": "Eq"})
    if reply.tokens:
        content.append({"type": "text", "text": "".join(reply.tokens)})
    content += [use.block for use in reply.tool_uses]
    ended = {"stop_reason": reply.stop_reason, "usage": _usage(reply, reply.completion_tokens)}
    return dump(_message(reply, model, content) | ended, escaped=reply.escaped)


# ----------------------------------------------------------------- the server


class FakeAnthropic(FakeServer[Reply]):
    """The server; an asynchronous context manager. Attributes may be changed while it runs."""

    chat_path = "/v1/messages"
    stream_type = "text/event-stream; charset=utf-8"
    preface = 3  # message_start, content_block_start, ping
    garbage = _THEN
    alive = PING

    def __init__(
        self,
        *,
        port: int = 0,
        reply: Reply | None = None,
        models: tuple[str, ...] = MODELS,
        api_key: str | None = None,
        is_recording: bool = True,
    ) -> None:
        super().__init__(reply or Reply(), port=port, is_recording=is_recording)
        self.models = models
        self.api_key = api_key
        self.page_size = 1000
        self.details: dict[str, object] = {}  # of every entry of the list of models

    def pieces(self, reply: Reply, model: str) -> tuple[bytes, ...]:
        return stream_events(reply, model)

    def whole(self, reply: Reply, model: str) -> bytes:
        return whole_body(reply, model)

    def broken_whole(self, fault: Fault, body: bytes) -> bytes:
        ended = b'"stop_reason":"end_turn"'
        return _GARBAGE[fault] or body.replace(ended, b'"stop_reason":null')

    def error_body(self, reply: Reply) -> bytes:
        kind = reply.type or _TYPES.get(reply.status, "api_error")
        error = {"type": kind, "message": reply.error}
        return dump({"type": "error", "error": error, "request_id": "req_011CSHoEeqs5C35K2UUqR7Fy"})

    def error_piece(self, reply: Reply) -> bytes:
        return event("error", self.error_body(reply))

    def find_reply(self, request: ReceivedRequest) -> Reply | None:
        if self.api_key is not None and request.headers.get("x-api-key") != self.api_key:
            return Reply(status=401, error="invalid x-api-key")
        if request.headers.get("anthropic-version") != VERSION:
            return Reply(status=400, error="anthropic-version: header is required")
        return super().find_reply(request)

    def next_reply(self, request: ReceivedRequest) -> Reply:
        """As told, or refused as Anthropic would refuse it."""
        body = request.body
        fault = find_fault(body)
        if fault is not None:
            return Reply(status=400, error=fault)
        if request.model not in self.models:
            return Reply(status=404, error=f"model: {request.model}")
        prompt_tokens = len(dump(body["messages"])) // 4
        if prompt_tokens > WINDOW:
            error = f"prompt is too long: {prompt_tokens} tokens > {WINDOW} maximum"
            return Reply(status=400, error=error)
        reply = super().next_reply(request)
        choice = body.get("tool_choice") or {}
        if choice.get("type") != "tool" or reply.tool_uses or reply.stop_reason != "end_turn":
            return reply
        use = ToolUse("toolu_01T1x1fJ34qAmk2tNTrN7Up6", choice["name"], reply.tokens)
        return replace(reply, tokens=(), tool_uses=(use,), stop_reason="tool_use")

    def answer(self, request: ReceivedRequest) -> bytes:
        if request.path == "/v1/models" and request.method == "GET":
            return self._answer_models(parse_qs(request.query))
        return json_response(404, json.loads(self.error_body(Reply(status=404, error="Not found"))))

    def _answer_models(self, query: dict[str, list[str]]) -> bytes:
        size = min(self.page_size, int(query.get("limit", ["20"])[0]))
        after = query.get("after_id", [""])[0]
        start = self.models.index(after) + 1 if after else 0
        page = self.models[start : start + size]
        entries = [
            {"type": "model", "id": name, "display_name": name.title()}
            | {"created_at": "2025-09-29T00:00:00Z"}
            | self.details
            for name in page
        ]
        has_more = start + size < len(self.models)
        ids = {"first_id": page[0], "last_id": page[-1]} if page else {}
        return json_response(200, {"data": entries, "has_more": has_more} | ids)


def find_fault(body: dict[str, Any]) -> str | None:
    """What Anthropic would refuse a request for; None for one that it takes."""
    unknown = sorted(body.keys() - _FIELDS)
    if unknown:
        return f"{unknown[0]}: Extra inputs are not permitted"
    if type(body.get("max_tokens")) is not int:
        return "max_tokens: Field required"
    if not 0 <= body.get("temperature", 0) <= 1:
        return "temperature: range: 0..1"
    if any(not text.strip() for text in body.get("stop_sequences", ())):
        return "stop_sequences: each stop sequence must contain non-whitespace"
    if not body.get("system", "x").strip():
        return "system: text content blocks must contain non-whitespace text"
    for index, tool in enumerate(body.get("tools", ())):
        schema = tool["input_schema"]
        if schema.get("type") != "object":
            return f"tools.{index}.custom.input_schema.type: Input should be 'object'"
        if not schema.keys().isdisjoint(("oneOf", "allOf", "anyOf")):
            return (
                f"tools.{index}.custom.input_schema: input_schema does not support oneOf, allOf, "
                "or anyOf at the top level"
            )
    return _fault_of_messages(body.get("messages") or [])


def _fault_of_messages(messages: list[dict[str, Any]]) -> str | None:
    if not messages:
        return "messages: at least one message is required"
    roles = [message["role"] for message in messages]
    strange = next((role for role in roles if role not in ("user", "assistant")), None)
    if strange is not None:
        return f'messages: Unexpected role "{strange}"'
    if roles[0] != "user":
        return 'messages: first message must use the "user" role'
    if any(first == second for first, second in pairwise(roles)):
        return 'messages: roles must alternate between "user" and "assistant"'
    for message in messages:
        for block in message["content"]:
            if block["type"] == "text" and not block["text"].strip():
                return "messages: text content blocks must contain non-whitespace text"
    last = messages[-1]["content"][-1].get("text", "")
    if roles[-1] == "assistant" and last != last.rstrip():
        return "messages: final assistant content cannot end with trailing whitespace"
    return None


def _serve(port: int, reply: Reply, extra: list[str]) -> FakeAnthropic:
    return FakeAnthropic(port=port, reply=reply, models=MODELS + tuple(extra), is_recording=False)


if __name__ == "__main__":
    run_as_process("Anthropic", 11600, Reply, _serve)
