"""A server that speaks Ollama's wire format over a real port, and misbehaves on request.

In a test::

    async with FakeOllama() as fake:                      # fake.url == "http://127.0.0.1:<port>"
        fake.reply = Reply(tokens=("Hel", "lo"), token_delay_s=0.02)     # every call from now on
        fake.enqueue(Reply(status=503, error=SERVER_BUSY), Reply())      # first a 503, then well
        fake.replies_by_model["qwen3:8b"] = Reply(fault=Fault.RESET, fault_after=3)
        ...
        assert fake.chats[0].body["model"] == "llama3.2:3b"
        await fake.chats[0].wait_closed(timeout_s=1)      # the client closed it before its end

    closed_url()                                          # a URL that refuses connections
    with unaccepting_url() as url: ...                    # a URL whose connections never open

As a process of its own (no records are kept, answers are made of precomputed bytes)::

    python -m tests.providers.fake_ollama --port 11434 --tokens 64 --token-delay-ms 0

``GET /fake/state`` says, as JSON, how many chats were received, are running, were completed,
and were cut by their client: for tests that look at it from another process.

Source of the wire format: https://github.com/ollama/ollama/blob/main/docs/api.md and
``server/routes.go`` of the same repository.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import signal
import socket
import struct
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import lru_cache
from types import TracebackType
from typing import Any, Self, cast

import httptools
import uvloop

SERVER_BUSY = "server busy, please try again.  maximum pending requests exceeded"
CREATED_AT = "2026-03-01T12:00:00.123456789Z"
DEFAULT_WINDOW = 4096
HUGE_BYTES = 20_000_000


class Fault(StrEnum):
    """What goes wrong. Where it says "then", ``Reply.fault_after`` tokens were sent before.

    A whole answer has no tokens on the wire: it breaks in the middle of its JSON.
    """

    SILENT = "silent"  # the request is read and never answered
    NO_ANSWER = "no-answer"  # the connection is closed without a byte
    NOT_HTTP = "not-http"
    HEADERS_ONLY = "headers-only"  # status line and headers, then silence
    STALL = "stall"  # then silence, the connection stays open
    TRUNCATE = "truncate"  # then FIN in the middle of the body
    RESET = "reset"  # then RST
    NO_DONE = "no-done"  # then a well-formed end of body, without done: true
    ERROR_LINE = "error-line"  # then {"error": Reply.error} under status 200
    MALFORMED = "malformed"  # then a line that is not JSON
    NOT_AN_OBJECT = "not-an-object"  # then a line that is JSON, but a list
    WRONG_TYPES = "wrong-types"  # then an object whose fields have other types
    TOO_DEEP = "too-deep"  # then a line of 100,000 brackets
    INVALID_UTF8 = "invalid-utf8"  # then a line that is not UTF-8
    HUGE = "huge"  # then one line of 20 MB
    BAD_FRAMING = "bad-framing"  # then a chunk whose size is not a number
    HTML = "html"  # a proxy's page, under Reply.status
    REDIRECT = "redirect"  # 307 to the same place


_THEN = {
    Fault.NO_DONE: b"",
    Fault.MALFORMED: b'{"model":"llama3.2:3b","message":{"content":"x"\n',
    Fault.NOT_AN_OBJECT: b'["done",true]\n',
    Fault.WRONG_TYPES: b'{"message":{"role":"assistant","content":7},"done":"yes"}\n',
    Fault.TOO_DEEP: b"[" * 100_000 + b"]" * 100_000 + b"\n",
    Fault.INVALID_UTF8: b'{"message":{"role":"assistant","content":"\xff\xfe"},"done":false}\n',
    Fault.HUGE: b'{"message":{"role":"assistant","content":"' + b"x" * HUGE_BYTES + b'"}}\n',
}
_PAGE = b"<html><head><title>502 Bad Gateway</title></head><body>nginx</body></html>"


@dataclass(frozen=True, slots=True)
class Reply:
    """How a chat is answered. Counts that are None are left out of the answer."""

    tokens: tuple[str, ...] = ("Hello", ", ", "world", "!")
    thinking: tuple[str, ...] = ()
    tool_calls: tuple[str, ...] = ()
    token_delay_s: float = 0.0
    first_token_delay_s: float = 0.0
    prompt_tokens: int | None = 12
    completion_tokens: int | None = 4
    cached_tokens: int | None = None
    done_reason: str | None = "stop"
    status: int = 200
    error: str = "something went wrong"
    retry_after: str | None = None
    fault: Fault | None = None
    fault_after: int = 0
    split_bytes: int | None = None  # cut the body into pieces of so many bytes
    split_delay_s: float = 0.0
    end_delay_s: float = 0.0  # between the last line and the end of the body
    escaped: bool = False  # write what is not ASCII as JSON escapes

    @property
    def is_immediate(self) -> bool:
        """Whether the bytes can be written at once."""
        return (
            self.fault is None
            and not self.token_delay_s
            and not self.first_token_delay_s
            and self.split_bytes is None
            and not self.end_delay_s
        )


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


@dataclass(slots=True, eq=False)
class ReceivedRequest:
    """A request as it arrived. Times are of ``time.monotonic()``; None is "not (yet)"."""

    method: str
    path: str
    headers: dict[str, str]
    body: Any
    received_at: float
    tokens_sent: int = 0
    finished_at: float | None = None
    client_closed_at: float | None = None
    _closed: asyncio.Event = field(default_factory=asyncio.Event)

    async def wait_closed(self, timeout_s: float = 1.0) -> float:
        """When the client closed the connection before the answer's end. Raises TimeoutError."""
        await asyncio.wait_for(self._closed.wait(), timeout_s)
        assert self.client_closed_at is not None
        return self.client_closed_at


def words(count: int) -> tuple[str, ...]:
    """So many tokens of plausible length, all different."""
    return tuple(f" word{index}" for index in range(count))


# ------------------------------------------------------------------- the wire


def _dump(value: object, *, escaped: bool = False) -> bytes:
    return json.dumps(value, ensure_ascii=escaped, separators=(",", ":")).encode()


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
    messages = [_message("", thinking=piece) for piece in reply.thinking]
    messages += [_message(token) for token in reply.tokens]
    if reply.tool_calls:
        calls = [{"function": {"name": name, "arguments": {}}} for name in reply.tool_calls]
        messages.append(_message("") | {"tool_calls": calls})
    lines = [
        {"model": model, "created_at": CREATED_AT, "message": message, "done": False}
        for message in messages
    ]
    lines.append(_final(reply, model, _message("")))
    return tuple(_dump(line, escaped=reply.escaped) + b"\n" for line in lines)


@lru_cache(maxsize=256)
def whole_body(reply: Reply, model: str) -> bytes:
    """The JSON of a whole answer that is not streamed."""
    message = _message("".join(reply.tokens), "".join(reply.thinking) or None)
    if reply.tool_calls:
        message["tool_calls"] = [
            {"function": {"name": name, "arguments": {}}} for name in reply.tool_calls
        ]
    return _dump(_final(reply, model, message), escaped=reply.escaped)


def _head(status: int, content_type: str, length: int | None, *extra: str) -> bytes:
    size = "Transfer-Encoding: chunked" if length is None else f"Content-Length: {length}"
    lines = (f"HTTP/1.1 {status} Whatever", f"Content-Type: {content_type}", size, *extra, "", "")
    return "\r\n".join(lines).encode()


def _json_response(status: int, value: object, *extra: str) -> bytes:
    body = _dump(value)
    return _head(status, "application/json; charset=utf-8", len(body), *extra) + body


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


_STREAM_HEAD = _head(200, "application/x-ndjson", None)
_LAST_CHUNK = b"0\r\n\r\n"


@lru_cache(maxsize=256)
def _immediate(reply: Reply, model: str, is_streamed: bool) -> bytes:
    if reply.status != 200:
        extra = () if reply.retry_after is None else (f"Retry-After: {reply.retry_after}",)
        return _json_response(reply.status, {"error": reply.error}, *extra)
    if is_streamed:
        lines = stream_lines(reply, model)
        return _STREAM_HEAD + b"".join(map(_chunk, lines)) + _LAST_CHUNK
    body = whole_body(reply, model)
    return _head(200, "application/json; charset=utf-8", len(body)) + body


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


# ----------------------------------------------------------------- the server


class _Connection(asyncio.Protocol):
    """One connection: requests one after another, none pipelined."""

    def __init__(self, fake: FakeOllama) -> None:
        self.fake = fake
        self.request: ReceivedRequest | None = None
        self.answering: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's do not inherit from it
        self.parser = httptools.HttpRequestParser(self)
        self.fake.connections.add(self)
        self.fake.accepted += 1

    def connection_lost(self, exc: Exception | None) -> None:
        self.fake.connections.discard(self)
        if self.request is not None:
            self.fake.cut += self.request.path == "/api/chat"
            self.request.client_closed_at = time.monotonic()
            self.request._closed.set()
        if self.answering is not None:
            self.answering.cancel()

    def data_received(self, data: bytes) -> None:
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserError:
            text = b"400 Bad Request"
            self.transport.write(_head(400, "text/plain", len(text), "Connection: close") + text)
            self.transport.close()

    # -- called by the parser

    def on_message_begin(self) -> None:
        self.url = b""
        self.body = b""
        self.headers: dict[str, str] = {}

    def on_url(self, url: bytes) -> None:
        self.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers[name.decode().lower()] = value.decode("latin-1")

    def on_body(self, body: bytes) -> None:
        self.body += body

    def on_message_complete(self) -> None:
        fake = self.fake
        path = self.url.decode().partition("?")[0]
        try:
            body = json.loads(self.body) if self.body else None
        except ValueError as error:
            self.transport.write(_json_response(400, {"error": str(error)}))
            return
        self.request = ReceivedRequest(
            method=self.parser.get_method().decode(),
            path=path,
            headers=self.headers,
            body=body,
            received_at=time.monotonic(),
        )
        if fake.is_recording:
            fake.requests.append(self.request)
        if path == "/api/chat" and isinstance(body, dict):
            fake.received += 1
            self._chat(body)
        else:
            self._write(fake.answer(path, body))

    def _chat(self, body: dict[str, Any]) -> None:
        model = str(body.get("model", ""))
        is_streamed = body.get("stream", True) is not False
        reply = self.fake.next_reply(model, body)
        if reply.is_immediate:
            self._write(_immediate(reply, model, is_streamed))
        else:
            self.answering = asyncio.create_task(self._misbehave(reply, model, is_streamed))

    def _write(self, data: bytes) -> None:
        self.transport.write(data)
        self._finish()

    def _finish(self) -> None:
        if self.request is not None:
            self.fake.completed += self.request.path == "/api/chat"
            self.request.finished_at = time.monotonic()
            self.request = None

    async def _misbehave(self, reply: Reply, model: str, is_streamed: bool) -> None:
        await asyncio.sleep(reply.first_token_delay_s)
        match reply.fault:
            case Fault.SILENT:
                return None
            case Fault.NO_ANSWER:
                return self._close()
            case Fault.NOT_HTTP:
                self.transport.write(b"220 smtp.example.com ESMTP\r\n")
                return self._close()
            case Fault.HTML:
                return self._write(_head(reply.status, "text/html", len(_PAGE)) + _PAGE)
            case Fault.REDIRECT:
                where = f"Location: {self.fake.url}/api/elsewhere"
                return self._write(_head(307, "text/plain", 0, where))
            case None if reply.status != 200:
                return self._write(_immediate(reply, model, is_streamed))
            case _ if is_streamed:
                await self._stream(reply, model)
            case _:
                await self._whole(reply, model)
        return None

    async def _stream(self, reply: Reply, model: str) -> None:
        self.transport.write(_STREAM_HEAD)
        if reply.fault is Fault.HEADERS_ONLY:
            return
        lines = stream_lines(reply, model)
        good = lines if reply.fault is None else lines[: reply.fault_after]
        for index, line in enumerate(good):
            if index:
                await asyncio.sleep(reply.token_delay_s)
            await self._send(line, reply)
            if self.request is not None:
                self.request.tokens_sent = index + 1
        await self._break(reply, chunked=True)

    async def _whole(self, reply: Reply, model: str) -> None:
        body = whole_body(reply, model)
        if reply.fault in _THEN:
            body = _THEN[reply.fault] or body.replace(b'"done":true', b'"done":false')
            body = body.rstrip(b"\n")
        elif reply.fault is Fault.ERROR_LINE:
            body = _dump({"error": reply.error})
        if reply.fault is Fault.BAD_FRAMING:
            self.transport.write(_head(200, "application/json; charset=utf-8", None))
            return await self._break(reply, chunked=True)
        self.transport.write(_head(200, "application/json; charset=utf-8", len(body)))
        if reply.fault is Fault.HEADERS_ONLY:
            return None
        if reply.fault in (Fault.STALL, Fault.TRUNCATE, Fault.RESET):
            self.transport.write(body[: len(body) // 2])
            return await self._break(reply, chunked=False)
        size = reply.split_bytes or len(body)
        for start in range(0, len(body), size):
            self.transport.write(body[start : start + size])
            await asyncio.sleep(reply.split_delay_s)
        return self._finish()

    async def _send(self, line: bytes, reply: Reply) -> None:
        size = reply.split_bytes or len(line)
        for start in range(0, len(line), size):
            self.transport.write(_chunk(line[start : start + size]))
            if reply.split_bytes:
                await asyncio.sleep(reply.split_delay_s)

    async def _break(self, reply: Reply, *, chunked: bool) -> None:
        match reply.fault:
            case Fault.STALL:
                return
            case Fault.TRUNCATE:
                self._close()
                return
            case Fault.RESET:
                # What was sent must be read before the reset throws it away.
                await asyncio.sleep(0.02)
                self._close(reset=True)
                return
            case Fault.BAD_FRAMING:
                self.transport.write(b"no number\r\n")
                return
            case Fault.ERROR_LINE:
                self.transport.write(_chunk(_dump({"error": reply.error}) + b"\n"))
            case fault if fault is not None and _THEN[fault]:
                self.transport.write(_chunk(_THEN[fault]))
        if chunked:
            await asyncio.sleep(reply.end_delay_s)
            self.transport.write(_LAST_CHUNK)
        self._finish()

    def _close(self, *, reset: bool = False) -> None:
        self._finish()
        if reset:
            linger = struct.pack("ii", 1, 0)
            connection = self.transport.get_extra_info("socket")
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            self.transport.abort()
        else:
            self.transport.close()


class FakeOllama:
    """The server; an asynchronous context manager. Attributes may be changed while it runs."""

    def __init__(
        self,
        *,
        port: int = 0,
        reply: Reply | None = None,
        models: tuple[FakeModel, ...] = DEFAULT_MODELS,
        tags_have_capabilities: bool = True,
        is_recording: bool = True,
    ) -> None:
        self.port = port
        self.reply = reply or Reply()
        self.replies_by_model: dict[str, Reply] = {}
        self.models = models
        self.tags_have_capabilities = tags_have_capabilities
        self.unshowable: frozenset[str] = frozenset()  # names for which /api/show fails
        self.is_recording = is_recording
        self.requests: list[ReceivedRequest] = []
        self.connections: set[_Connection] = set()
        self.accepted = 0  # connections, closed ones included
        self.received = self.completed = self.cut = 0
        self._queue: deque[Reply] = deque()
        self._server: asyncio.Server | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def chats(self) -> list[ReceivedRequest]:
        """The requests to /api/chat."""
        return [request for request in self.requests if request.path == "/api/chat"]

    def enqueue(self, *replies: Reply) -> None:
        """Use these for the next chats, one each, before ``reply`` counts again."""
        self._queue.extend(replies)

    def drop_connections(self) -> None:
        """Close every open connection, idle ones included, as a restart does."""
        for connection in tuple(self.connections):
            connection.transport.close()

    def next_reply(self, model: str, body: dict[str, Any]) -> Reply:
        """How to answer this chat: as told, or refused as a real server would refuse it."""
        known = self.find_model(model)
        if known is None:
            return Reply(status=404, error=f"model '{model}' not found")
        reply = self._queue.popleft() if self._queue else self.replies_by_model.get(model)
        reply = reply or self.reply
        prompt_tokens = sum(len(message["content"]) for message in body["messages"]) // 4
        if prompt_tokens > DEFAULT_WINDOW // 2:
            options = body.get("options") or {}
            window = min(options.get("num_ctx", DEFAULT_WINDOW), known.context_length)
            if prompt_tokens > window and body.get("truncate") is False:
                return Reply(status=400, error=context_overflow(prompt_tokens, window))
            if prompt_tokens > window:
                return replace(reply, prompt_tokens=window // 2)
        return reply

    def find_model(self, name: str) -> FakeModel | None:
        full = name if ":" in name else f"{name}:latest"
        return next((model for model in self.models if model.name == full), None)

    def answer(self, path: str, body: Any) -> bytes:
        """The response to everything but a chat."""
        if path == "/":
            text = b"Ollama is running"
            return _head(200, "text/plain; charset=utf-8", len(text)) + text
        if path == "/api/version":
            return _json_response(200, {"version": "0.40.2"})
        if path == "/api/tags":
            return _json_response(200, {"models": [self._tag(model) for model in self.models]})
        if path == "/api/show":
            named = isinstance(body, dict) and (body.get("model") or body.get("name"))
            model = self.find_model(str(named))
            if model is None:
                return _json_response(404, {"error": f"model '{named}' not found"})
            if model.name in self.unshowable:
                return _json_response(500, {"error": "unexpected EOF"})
            return _json_response(200, self._show(model))
        if path == "/fake/state":
            running = self.received - self.completed - self.cut
            counts = {"received": self.received, "completed": self.completed, "cut": self.cut}
            return _json_response(200, counts | {"running": running})
        text = b"404 page not found"
        return _head(404, "text/plain", len(text)) + text

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

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: _Connection(self), "127.0.0.1", self.port, backlog=1024
        )
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._server is not None
        self._server.close()
        answering = [connection.answering for connection in self.connections]
        for connection in tuple(self.connections):
            connection.transport.abort()
        for task in answering:
            if task is not None:
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task
        await asyncio.sleep(0)  # lets connection_lost run before the loop is closed
        await self._server.wait_closed()


def closed_url() -> str:
    """A loopback URL on which nobody listens: connections are refused."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{probe.getsockname()[1]}"


@contextlib.contextmanager
def unaccepting_url() -> Iterator[str]:
    """A loopback URL whose connections never open: the listener's queue is full (Linux)."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(4):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


# -------------------------------------------------------------- as a process


async def _serve(arguments: argparse.Namespace) -> None:
    names = {model.name for model in DEFAULT_MODELS}
    extra = tuple(FakeModel(name) for name in arguments.model if name not in names)
    reply = Reply(
        tokens=words(arguments.tokens),
        token_delay_s=arguments.token_delay_ms / 1000,
        first_token_delay_s=arguments.first_token_delay_ms / 1000,
        completion_tokens=arguments.tokens,
        status=arguments.status,
        fault=arguments.fault,
        fault_after=arguments.fault_after,
    )
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    async with FakeOllama(
        port=arguments.port, reply=reply, models=DEFAULT_MODELS + extra, is_recording=False
    ) as fake:
        print(f"listening on {fake.url}", flush=True)
        await stopped.wait()


def main() -> None:
    parser = argparse.ArgumentParser(description="A stand-in for Ollama, for tests and benchmarks.")
    parser.add_argument("--port", type=int, default=11434, help="0 lets the system choose")
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--token-delay-ms", type=float, default=0)
    parser.add_argument("--first-token-delay-ms", type=float, default=0)
    parser.add_argument("--status", type=int, default=200)
    parser.add_argument("--fault", type=Fault, choices=list(Fault), default=None)
    parser.add_argument("--fault-after", type=int, default=0)
    parser.add_argument("--model", action="append", default=[], help="one more model to have")
    arguments = parser.parse_args()
    uvloop.run(_serve(arguments))


if __name__ == "__main__":
    main()
