"""A server that speaks Ollama's wire format over a real port, and misbehaves on request.

How to use it in a test is told in ``fake_server``. As a process of its own (no records are
kept, answers are made of precomputed bytes)::

    python -m tests.providers.fake_ollama --port 11434 --tokens 64 --token-delay-ms 0

Source of the wire format: https://github.com/ollama/ollama/blob/main/docs/api.md and
``server/routes.go`` of the same repository.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from tests.providers.fake_server import (
    HUGE_BYTES,
    FakeServer,
    Fault,
    ReceivedRequest,
    dump,
    head,
    json_response,
    run_as_process,
    text_response,
)
from tests.providers.fake_server import Reply as AnyReply
from tests.providers.fake_server import closed_url as closed_url
from tests.providers.fake_server import unaccepting_url as unaccepting_url
from tests.providers.fake_server import words as words

SERVER_BUSY = "server busy, please try again.  maximum pending requests exceeded"
CREATED_AT = "2026-03-01T12:00:00.123456789Z"
DEFAULT_WINDOW = 4096

_THEN = {
    Fault.NO_DONE: b"",
    Fault.MALFORMED: b'{"model":"llama3.2:3b","message":{"content":"x"\n',
    Fault.NOT_AN_OBJECT: b'["done",true]\n',
    Fault.WRONG_TYPES: b'{"message":{"role":"assistant","content":7},"done":"yes"}\n',
    Fault.TOO_DEEP: b"[" * 100_000 + b"]" * 100_000 + b"\n",
    Fault.INVALID_UTF8: b'{"message":{"role":"assistant","content":"\xff\xfe"},"done":false}\n',
    Fault.HUGE: b'{"message":{"role":"assistant","content":"' + b"x" * HUGE_BYTES + b'"}}\n',
}


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call of a tool. ``arguments`` is JSON; the id of older servers is None."""

    name: str
    arguments: str = "{}"
    id: str | None = None

    @property
    def wire(self) -> dict[str, object]:
        call: dict[str, object] = {} if self.id is None else {"id": self.id}
        return call | {"function": {"name": self.name, "arguments": json.loads(self.arguments)}}


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply(AnyReply):
    """How a chat is answered; a pull is answered with ``lines`` in place of the tokens."""

    tool_calls: tuple[ToolCall, ...] = ()
    done_reason: str | None = "stop"
    lines: tuple[bytes, ...] | None = None


@dataclass(frozen=True, slots=True)
class FakeModel:
    """A model that the server has."""

    name: str = "llama3.2:3b"
    capabilities: tuple[str, ...] = ("completion", "tools")
    context_length: int = 131_072
    size_bytes: int = 2_019_393_189
    architecture: str = "llama"
    digest: str = ""

    @property
    def sha256(self) -> str:
        return self.digest or self.name.encode().hex().ljust(64, "0")[:64]


DEFAULT_MODELS = (
    FakeModel(),
    FakeModel("llama3.2:1b", size_bytes=1_321_098_329),
    FakeModel("qwen3:8b", ("completion", "tools", "thinking"), 40_960, 5_225_388_164, "qwen3"),
    FakeModel("nomic-embed-text:latest", ("embedding",), 2_048, 274_302_450, "nomic-bert"),
)


# ------------------------------------------------------------------- the wire


def _message(content: str, thinking: str | None = None) -> dict[str, object]:
    message: dict[str, object] = {"role": "assistant", "content": content}
    if thinking is not None:
        message["thinking"] = thinking
    return message


def _final(reply: Reply, model: str, message: dict[str, object]) -> dict[str, object]:
    final: dict[str, object] = {"model": model, "created_at": CREATED_AT, "message": message}
    if reply.done_reason is not None:
        final["done_reason"] = reply.done_reason
    final |= {"done": True, "total_duration": 4_883_583_458, "load_duration": 1_334_875}
    if reply.prompt_tokens is not None:
        final |= {"prompt_eval_count": reply.prompt_tokens, "prompt_eval_duration": 342_546_000}
    if reply.cached_tokens is not None:
        final["prompt_eval_cached_count"] = reply.cached_tokens
    if reply.completion_tokens is not None:
        final |= {"eval_count": reply.completion_tokens, "eval_duration": 4_535_599_000}
    return final


@lru_cache(maxsize=256)
def stream_lines(reply: Reply, model: str) -> tuple[bytes, ...]:
    """The NDJSON lines of a whole, healthy stream."""
    if reply.lines is not None:
        return reply.lines
    messages = [_message("", thinking=piece) for piece in reply.thinking]
    messages += [_message(token) for token in reply.tokens]
    if reply.tool_calls:
        messages.append(_message("") | {"tool_calls": [call.wire for call in reply.tool_calls]})
    lines = [
        {"model": model, "created_at": CREATED_AT, "message": message, "done": False}
        for message in messages
    ]
    lines.append(_final(reply, model, _message("")))
    return tuple(dump(line, escaped=reply.escaped) + b"\n" for line in lines)


@lru_cache(maxsize=256)
def whole_body(reply: Reply, model: str) -> bytes:
    """The JSON of a whole answer that is not streamed."""
    message = _message("".join(reply.tokens), "".join(reply.thinking) or None)
    if reply.tool_calls:
        message["tool_calls"] = [call.wire for call in reply.tool_calls]
    return dump(_final(reply, model, message), escaped=reply.escaped)


def context_overflow(prompt_tokens: int, window: int) -> str:
    """The error text of a server from 0.34 on for a prompt that does not fit."""
    return json.dumps(
        {
            "error": {
                "code": 400,
                "message": f"request ({prompt_tokens} tokens) exceeds the available context size"
                f" ({window} tokens), try increasing it",
                "type": "exceed_context_size_error",
                "n_prompt_tokens": prompt_tokens,
                "n_ctx": window,
            }
        },
        separators=(",", ":"),
    )


def pull_lines(layers: dict[str, int], steps: int = 2) -> tuple[bytes, ...]:
    """What a pull of layers of these sizes says, each in so many steps, by turns."""
    told: list[dict[str, object]] = [{"status": "pulling manifest"}]
    for step in range(steps + 1):
        for digest, size in layers.items():
            line: dict[str, object] = {"status": f"pulling {digest[7:19]}", "digest": digest}
            # Zero is left out, as Go's omitempty does.
            told.append(
                line | {"total": size} | ({"completed": size * step // steps} if step else {})
            )
    told += [{"status": "verifying sha256 digest"}, {"status": "writing manifest"}]
    return tuple(dump(line) + b"\n" for line in (*told, {"status": "success"}))


LAYERS = {"sha256:" + "a" * 64: 2_000_000, "sha256:" + "b" * 64: 10_000}


# ----------------------------------------------------------------- the server


class FakeOllama(FakeServer[Reply]):
    """The server; an asynchronous context manager. Attributes may be changed while it runs."""

    chat_path = "/api/chat"
    stream_type = "application/x-ndjson"
    garbage = _THEN

    def __init__(
        self,
        *,
        port: int = 0,
        reply: Reply | None = None,
        models: tuple[FakeModel, ...] = DEFAULT_MODELS,
        tags_have_capabilities: bool = True,
        is_recording: bool = True,
    ) -> None:
        super().__init__(reply or Reply(), port=port, is_recording=is_recording)
        self.models = models
        self.tags_have_capabilities = tags_have_capabilities
        self.unshowable: frozenset[str] = frozenset()  # names for which /api/show fails
        self.library = (FakeModel("gemma3:1b"), FakeModel("mistral:latest"))  # can be pulled
        self._pulls: list[tuple[ReceivedRequest, FakeModel]] = []

    def pieces(self, reply: Reply, model: str) -> tuple[bytes, ...]:
        return stream_lines(reply, model)

    def whole(self, reply: Reply, model: str) -> bytes:
        return whole_body(reply, model)

    def broken_whole(self, fault: Fault, body: bytes) -> bytes:
        return _THEN[fault].rstrip(b"\n") or body.replace(b'"done":true', b'"done":false')

    def error_body(self, reply: Reply) -> bytes:
        return dump({"error": reply.error})

    def error_piece(self, reply: Reply) -> bytes:
        return self.error_body(reply) + b"\n"

    def is_streamed(self, request: ReceivedRequest) -> bool:
        return isinstance(request.body, dict) and request.body.get("stream", True) is not False

    def next_reply(self, request: ReceivedRequest) -> Reply:
        """As told, or refused as a real server would refuse it."""
        known, body = self.find_model(request.model), request.body
        if known is None:
            return Reply(status=404, error=f"model '{request.model}' not found")
        reply = super().next_reply(request)
        prompt_tokens = sum(len(message["content"]) for message in body["messages"]) // 4
        if prompt_tokens > DEFAULT_WINDOW // 2:
            options = body.get("options") or {}
            window = min(options.get("num_ctx", DEFAULT_WINDOW), known.context_length)
            if prompt_tokens > window and body.get("truncate") is False:
                return Reply(status=400, error=context_overflow(prompt_tokens, window))
            if prompt_tokens > window:
                return replace(reply, prompt_tokens=window // 2)
        return reply

    def find_reply(self, request: ReceivedRequest) -> Reply | None:
        reply = super().find_reply(request)
        if request.path != "/api/pull":
            return reply
        model = _find(self.library, request.model)
        if model is None and reply is None:
            lines = pull_lines({})[:1]
            error = "pull model manifest: file does not exist"
            return Reply(lines=lines, fault=Fault.ERROR_LINE, fault_after=1, error=error)
        reply = reply or Reply(lines=pull_lines(LAYERS))
        if model is not None and reply.fault is None and reply.status == 200:
            self._pulls.append((request, model))
        return reply

    def find_model(self, name: str) -> FakeModel | None:
        for request, model in tuple(self._pulls):
            if request.finished_at is not None:
                self._pulls.remove((request, model))
                self.models += (model,)
        return _find(self.models, name)

    def answer(self, request: ReceivedRequest) -> bytes:
        path, body = request.path, request.body
        if path == "/":
            return text_response(200, "Ollama is running")
        if path == "/api/version":
            return json_response(200, {"version": "0.40.2"})
        if path == "/api/tags":
            self.find_model("")  # what was pulled meanwhile
            return json_response(200, {"models": [self._tag(model) for model in self.models]})
        if path == "/api/show":
            return self._answer_show(body)
        if path == "/api/embed":
            return self._answer_embed(body)
        if path == "/api/delete" and request.method == "DELETE":
            return self._answer_delete(request.model)
        return text_response(404, "404 page not found")

    def _answer_show(self, body: Any) -> bytes:
        named = isinstance(body, dict) and (body.get("model") or body.get("name"))
        model = self.find_model(str(named))
        if model is None:
            return json_response(404, {"error": f"model '{named}' not found"})
        if model.name in self.unshowable:
            return json_response(500, {"error": "unexpected EOF"})
        return json_response(200, self._show(model))

    def _answer_embed(self, body: Any) -> bytes:
        """Vectors that are not normalised: a text's length, and what its words begin with."""
        model = self.find_model(body["model"])
        if model is None:
            return json_response(404, {"error": f"model '{body['model']}' not found"})
        if "embedding" not in model.capabilities:
            return json_response(501, {"error": "This server does not support embeddings."})
        texts = [body["input"]] if isinstance(body["input"], str) else body["input"]
        counts = [max(1, len(text) // 4) for text in texts]
        if body.get("truncate") is False and max(counts, default=0) > model.context_length:
            return json_response(400, {"error": "the input length exceeds the context length"})
        vectors = [[len(text), *(text.count(letter) for letter in "aeiou")] for text in texts]
        return json_response(
            200,
            {"model": model.name, "embeddings": vectors, "total_duration": 14_143_917}
            | {"load_duration": 1_019_500, "prompt_eval_count": sum(counts)},
        )

    def _answer_delete(self, name: str) -> bytes:
        model = self.find_model(name)
        if model is None:
            return json_response(404, {"error": f"model '{name}' not found"})
        self.models = tuple(other for other in self.models if other is not model)
        return head(200, "text/plain", 0)

    def _tag(self, model: FakeModel) -> dict[str, object]:
        tag: dict[str, object] = {
            "name": model.name,
            "model": model.name,
            "modified_at": CREATED_AT,
            "size": model.size_bytes,
            "digest": model.sha256,
            "details": {"family": model.architecture, "quantization_level": "Q4_K_M"},
        }
        if self.tags_have_capabilities:
            tag["capabilities"] = list(model.capabilities)
        return tag

    def _show(self, model: FakeModel) -> dict[str, object]:
        return {
            "details": {"family": model.architecture, "quantization_level": "Q4_K_M"},
            "model_info": {
                "general.architecture": model.architecture,
                f"{model.architecture}.context_length": model.context_length,
            },
            "capabilities": list(model.capabilities),
        }


def _find(models: tuple[FakeModel, ...], name: str) -> FakeModel | None:
    full = name if ":" in name else f"{name}:latest"
    return next((model for model in models if model.name == full), None)


def _serve(port: int, reply: Reply, extra: list[str]) -> FakeOllama:
    names = {model.name for model in DEFAULT_MODELS}
    models = DEFAULT_MODELS + tuple(FakeModel(name) for name in extra if name not in names)
    return FakeOllama(port=port, reply=reply, models=models, is_recording=False)


if __name__ == "__main__":
    run_as_process("Ollama", 11434, Reply, _serve)
