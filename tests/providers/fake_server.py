"""A provider's stand-in without its protocol: connections, records, timing, and misbehaviour.

A protocol is a subclass of ``FakeServer`` (``fake_ollama``, ``fake_openai``, ...). In a test::

    async with FakeOllama() as fake:                      # fake.url == "http://127.0.0.1:<port>"
        fake.reply = Reply(tokens=("Hel", "lo"), token_delay_s=0.02)     # every call from now on
        fake.enqueue(Reply(status=503, error="busy"), Reply())           # first a 503, then well
        fake.replies_by_model["qwen3:8b"] = Reply(fault=Fault.RESET, fault_after=3)
        fake.replies_by_path["/api/tags"] = Reply(status=500)            # not only chats
        ...
        assert fake.chats[0].body["model"] == "llama3.2:3b"
        await fake.chats[0].wait_closed(timeout_s=1)      # the client closed it before its end

    closed_url()                                          # a URL that refuses connections
    with unaccepting_url() as url: ...                    # a URL whose connections never open

``GET /fake/state`` says, as JSON, how many chats were received, are running, were completed,
and were cut by their client: for tests that look at it from another process.
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
from abc import ABC, abstractmethod
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from types import TracebackType
from typing import Any, ClassVar, Generic, Self, TypeVar, cast

import httptools
import uvloop

HUGE_BYTES = 20_000_000
_KEPT_ANSWERS = 256


class Fault(StrEnum):
    """What goes wrong. Where it says "then", ``Reply.fault_after`` tokens were sent before.

    A whole answer has no tokens on the wire: it breaks in the middle of its JSON. "A piece" is
    a line of NDJSON or a server-sent event.
    """

    SILENT = "silent"  # the request is read and never answered
    NO_ANSWER = "no-answer"  # the connection is closed without a byte
    NOT_HTTP = "not-http"
    HEADERS_ONLY = "headers-only"  # status line and headers, then silence
    STALL = "stall"  # then silence, the connection stays open
    TRUNCATE = "truncate"  # then FIN in the middle of the body
    RESET = "reset"  # then RST
    NO_DONE = "no-done"  # then a well-formed end of body, without what ends an answer
    ERROR_LINE = "error-line"  # then Reply.error as a piece, under status 200
    MALFORMED = "malformed"  # then a piece that is not JSON
    NOT_AN_OBJECT = "not-an-object"  # then a piece that is JSON, but a list
    WRONG_TYPES = "wrong-types"  # then an object whose fields have other types
    TOO_DEEP = "too-deep"  # then a piece of 100,000 brackets
    INVALID_UTF8 = "invalid-utf8"  # then a piece that is not UTF-8
    HUGE = "huge"  # then one piece of 20 MB
    BAD_FRAMING = "bad-framing"  # then a chunk whose size is not a number
    ALIVE_ONLY = "alive-only"  # then FakeServer.alive, every 10 ms, for ever
    HTML = "html"  # a proxy's page, under Reply.status
    REDIRECT = "redirect"  # 307 to the same place


_PAGE = b"<html><head><title>502 Bad Gateway</title></head><body>nginx</body></html>"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """How a call is answered. Counts that are None are left out of the answer."""

    tokens: tuple[str, ...] = ("Hello", ", ", "world", "!")
    thinking: tuple[str, ...] = ()
    token_delay_s: float = 0.0
    first_token_delay_s: float = 0.0
    prompt_tokens: int | None = 12
    completion_tokens: int | None = 4
    cached_tokens: int | None = None
    reasoning_tokens: int | None = None  # of the answer, where the protocol has them
    status: int = 200
    error: str = "something went wrong"
    retry_after: str | None = None
    headers: tuple[str, ...] = ()  # of an error answer, as in ("X-Should-Retry: false",)
    fault: Fault | None = None
    fault_after: int = 0
    split_bytes: int | None = None  # cut the body into pieces of so many bytes
    split_delay_s: float = 0.0
    end_delay_s: float = 0.0  # between the last piece and the end of the body
    escaped: bool = False  # write what is not ASCII as JSON escapes
    verbatim: bytes | None = None  # the body, streamed or not, whatever else is said here

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


ReplyT = TypeVar("ReplyT", bound=Reply)


@dataclass(slots=True, eq=False)
class ReceivedRequest:
    """A request as it arrived. Times are of ``time.monotonic()``; None is "not (yet)"."""

    method: str
    path: str
    headers: dict[str, str]
    body: Any
    received_at: float
    query: str = ""
    tokens_sent: int = 0
    finished_at: float | None = None
    client_closed_at: float | None = None
    _closed: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def model(self) -> str:
        return str(self.body.get("model", "")) if isinstance(self.body, dict) else ""

    def note_closed(self) -> None:
        self.client_closed_at = time.monotonic()
        self._closed.set()

    async def wait_closed(self, timeout_s: float = 1.0) -> float:
        """When the client closed the connection before the answer's end. Raises TimeoutError."""
        await asyncio.wait_for(self._closed.wait(), timeout_s)
        assert self.client_closed_at is not None
        return self.client_closed_at


def words(count: int) -> tuple[str, ...]:
    """So many tokens of plausible length, all different."""
    return tuple(f" word{index}" for index in range(count))


# ------------------------------------------------------------------- the wire


def dump(value: object, *, escaped: bool = False) -> bytes:
    """Compact JSON in UTF-8."""
    return json.dumps(value, ensure_ascii=escaped, separators=(",", ":")).encode()


def head(status: int, content_type: str, length: int | None, *extra: str) -> bytes:
    """Status line and headers; a body of unknown length comes in chunks."""
    size = "Transfer-Encoding: chunked" if length is None else f"Content-Length: {length}"
    lines = (f"HTTP/1.1 {status} Whatever", f"Content-Type: {content_type}", size, *extra, "", "")
    return "\r\n".join(lines).encode()


def json_response(status: int, value: object, *extra: str) -> bytes:
    body = dump(value)
    return head(status, "application/json; charset=utf-8", len(body), *extra) + body


def text_response(status: int, text: str) -> bytes:
    body = text.encode()
    return head(status, "text/plain; charset=utf-8", len(body)) + body


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


_LAST_CHUNK = b"0\r\n\r\n"


# ----------------------------------------------------------------- the server


class FakeServer(ABC, Generic[ReplyT]):
    """The server; an asynchronous context manager. Attributes may be changed while it runs."""

    chat_path: ClassVar[str]
    stream_type: ClassVar[str]
    """The content type of a stream."""
    preface: ClassVar[int] = 0
    """How many pieces of a healthy stream come before its first token."""
    garbage: ClassVar[Mapping[Fault, bytes]]
    """The piece that a fault sends; b"" for those whose body just ends."""
    alive: ClassVar[bytes] = b"\n"
    """What says that the server is alive, and nothing else."""

    def __init__(
        self, reply: ReplyT, *, port: int = 0, is_recording: bool = True, base_path: str = ""
    ) -> None:
        self.port = port
        self.base_path = base_path
        self.reply = reply
        self.replies_by_model: dict[str, ReplyT] = {}
        self.replies_by_path: dict[str, ReplyT] = {}  # of everything but chats
        self.failing: tuple[str, int] | None = None  # (model, 3): every third chat of it gets a 503
        self.chats_by_model: Counter[str] = Counter()
        self.is_recording = is_recording
        self.requests: list[ReceivedRequest] = []
        self.connections: set[Connection] = set()
        self.accepted = 0  # connections, closed ones included
        self.received = self.completed = self.cut = 0
        self._queue: deque[ReplyT] = deque()
        self._answers: dict[tuple[ReplyT, str, bool], bytes] = {}
        self._server: asyncio.Server | None = None

    # -- what a protocol says

    @abstractmethod
    def pieces(self, reply: ReplyT, model: str) -> tuple[bytes, ...]:
        """A whole, healthy stream, event by event."""

    @abstractmethod
    def whole(self, reply: ReplyT, model: str) -> bytes:
        """The JSON of a whole answer that is not streamed."""

    @abstractmethod
    def broken_whole(self, fault: Fault, body: bytes) -> bytes:
        """A whole answer with a fault among ``garbage``."""

    @abstractmethod
    def error_body(self, reply: ReplyT) -> bytes:
        """The JSON of an error."""

    @abstractmethod
    def error_piece(self, reply: ReplyT) -> bytes:
        """The error as it comes in the middle of a stream."""

    @abstractmethod
    def answer(self, request: ReceivedRequest) -> bytes:
        """The response to everything but a chat."""

    def next_reply(self, request: ReceivedRequest) -> ReplyT:
        """How to answer this chat. A protocol may refuse it as a real server would."""
        if self._queue:
            return self._queue.popleft()
        return self.replies_by_model.get(request.model) or self.reply

    def find_reply(self, request: ReceivedRequest) -> ReplyT | None:
        """How to answer this request; None where ``answer`` says it."""
        if request.path == self.chat_path and isinstance(request.body, dict):
            self.chats_by_model[request.model] += 1
            if self._fails_now(request.model):
                return replace(self.reply, status=503, error="busy")
            return self.next_reply(request)
        return self.replies_by_path.get(request.path)

    def _fails_now(self, model: str) -> bool:
        if self.failing is None or self.failing[0] != model:
            return False
        return self.chats_by_model[model] % self.failing[1] == 0

    def is_streamed(self, request: ReceivedRequest) -> bool:
        """Whether the answer is asked for as a stream."""
        return isinstance(request.body, dict) and request.body.get("stream") is True

    # -- for tests

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}{self.base_path}"

    @property
    def chats(self) -> list[ReceivedRequest]:
        """The requests for a chat."""
        return [request for request in self.requests if request.path == self.chat_path]

    def enqueue(self, *replies: ReplyT) -> None:
        """Use these for the next chats, one each, before ``reply`` counts again."""
        self._queue.extend(replies)

    def drop_connections(self) -> None:
        """Close every open connection, idle ones included, as a restart does."""
        for connection in tuple(self.connections):
            connection.transport.close()

    # -- for connections

    def immediate(self, reply: ReplyT, model: str, is_streamed: bool) -> bytes:
        """The whole response at once, made only once."""
        key = (reply, model, is_streamed)
        data = self._answers.get(key)
        if data is None:
            if len(self._answers) >= _KEPT_ANSWERS:
                self._answers.clear()
            data = self._answers[key] = self._make(reply, model, is_streamed)
        return data

    def _make(self, reply: ReplyT, model: str, is_streamed: bool) -> bytes:
        if reply.status != 200:
            extra = () if reply.retry_after is None else (f"Retry-After: {reply.retry_after}",)
            body = self.error_body(reply) if reply.verbatim is None else reply.verbatim
            kind = "application/json; charset=utf-8"
            return head(reply.status, kind, len(body), *extra, *reply.headers) + body
        if is_streamed:
            pieces = self.stream_of(reply, model)
            return head(200, self.stream_type, None) + b"".join(map(chunk, pieces)) + _LAST_CHUNK
        body = self.body_of(reply, model)
        return head(200, "application/json; charset=utf-8", len(body)) + body

    def stream_of(self, reply: ReplyT, model: str) -> tuple[bytes, ...]:
        return self.pieces(reply, model) if reply.verbatim is None else (reply.verbatim,)

    def body_of(self, reply: ReplyT, model: str) -> bytes:
        return self.whole(reply, model) if reply.verbatim is None else reply.verbatim

    def respond(self, request: ReceivedRequest) -> bytes:
        """The response where no reply is there for it."""
        if request.path == "/fake/state":
            running = self.received - self.completed - self.cut
            counts = {"received": self.received, "completed": self.completed, "cut": self.cut}
            return json_response(200, counts | {"running": running})
        return self.answer(request)

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: Connection(self), "127.0.0.1", self.port, backlog=1024
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


class Connection(asyncio.Protocol):
    """One connection: requests one after another, none pipelined."""

    def __init__(self, fake: FakeServer[Any]) -> None:
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
            self.fake.cut += self.request.path == self.fake.chat_path
            self.request.note_closed()
        if self.answering is not None:
            self.answering.cancel()

    def data_received(self, data: bytes) -> None:
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserError:
            text = b"400 Bad Request"
            self.transport.write(head(400, "text/plain", len(text), "Connection: close") + text)
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
        try:
            body = json.loads(self.body) if self.body else None
        except ValueError as error:
            self.transport.write(json_response(400, {"error": str(error)}))
            return
        request = self.request = ReceivedRequest(
            method=self.parser.get_method().decode(),
            path=self.url.decode().partition("?")[0],
            headers=self.headers,
            body=body,
            received_at=time.monotonic(),
            query=self.url.decode().partition("?")[2],
        )
        if fake.is_recording:
            fake.requests.append(request)
        fake.received += request.path == fake.chat_path
        reply = fake.find_reply(request)
        if reply is None:
            self._write(fake.respond(request))
            return
        is_streamed = fake.is_streamed(request)
        if reply.is_immediate:
            self._write(fake.immediate(reply, request.model, is_streamed))
        else:
            misbehaving = self._misbehave(reply, request, is_streamed)
            self.answering = asyncio.create_task(misbehaving)

    def _write(self, data: bytes) -> None:
        self.transport.write(data)
        self._finish()

    def _finish(self) -> None:
        if self.request is not None:
            self.fake.completed += self.request.path == self.fake.chat_path
            self.request.finished_at = time.monotonic()
            self.request = None

    async def _misbehave(self, reply: Reply, request: ReceivedRequest, is_streamed: bool) -> None:
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
                return self._write(head(reply.status, "text/html", len(_PAGE)) + _PAGE)
            case Fault.REDIRECT:
                where = f"Location: {self.fake.url}/elsewhere"
                return self._write(head(307, "text/plain", 0, where))
            case None if reply.status != 200:
                return self._write(self.fake.immediate(reply, request.model, is_streamed))
            case _ if is_streamed:
                await self._stream(reply, request)
            case _:
                await self._whole(reply, request.model)
        return None

    async def _stream(self, reply: Reply, request: ReceivedRequest) -> None:
        self.transport.write(head(200, self.fake.stream_type, None))
        if reply.fault is Fault.HEADERS_ONLY:
            return
        preface = self.fake.preface
        pieces = self.fake.stream_of(reply, request.model)
        good = pieces if reply.fault is None else pieces[: preface + reply.fault_after]
        for index, piece in enumerate(good):
            if index > preface:
                await asyncio.sleep(reply.token_delay_s)
            await self._send(piece, reply)
            request.tokens_sent = max(0, index + 1 - preface)
        await self._break(reply, chunked=True)

    async def _whole(self, reply: Reply, model: str) -> None:
        fake = self.fake
        body = fake.body_of(reply, model)
        if reply.fault is not None and reply.fault in fake.garbage:
            body = fake.broken_whole(reply.fault, body)
        elif reply.fault is Fault.ERROR_LINE:
            body = fake.error_body(reply)
        if reply.fault in (Fault.BAD_FRAMING, Fault.ALIVE_ONLY):
            self.transport.write(head(200, "application/json; charset=utf-8", None))
            return await self._break(reply, chunked=True)
        self.transport.write(head(200, "application/json; charset=utf-8", len(body)))
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

    async def _send(self, piece: bytes, reply: Reply) -> None:
        size = reply.split_bytes or len(piece)
        for start in range(0, len(piece), size):
            self.transport.write(chunk(piece[start : start + size]))
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
            case Fault.ALIVE_ONLY:
                while True:  # until the client closes: the task is cancelled then
                    self.transport.write(chunk(self.fake.alive))
                    await asyncio.sleep(0.01)
            case Fault.ERROR_LINE:
                self.transport.write(chunk(self.fake.error_piece(reply)))
            case fault if fault is not None and self.fake.garbage[fault]:
                self.transport.write(chunk(self.fake.garbage[fault]))
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


def run_as_process(
    protocol: str,
    default_port: int,
    reply: type[ReplyT],
    serve: Callable[[int, ReplyT, list[str]], FakeServer[ReplyT]],
) -> None:
    """Read the command line, and serve until a signal comes. ``serve`` gets port, reply, and
    the names of models to have besides its own; it keeps no records."""
    parser = argparse.ArgumentParser(
        description=f"A stand-in for {protocol}, for tests and benchmarks."
    )
    parser.add_argument("--port", type=int, default=default_port, help="0 lets the system choose")
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--token-delay-ms", type=float, default=0)
    parser.add_argument("--first-token-delay-ms", type=float, default=0)
    parser.add_argument("--status", type=int, default=200)
    parser.add_argument("--fault", type=Fault, choices=list(Fault), default=None)
    parser.add_argument("--fault-after", type=int, default=0)
    parser.add_argument("--model", action="append", default=[], help="one more model to have")
    parser.add_argument(
        "--failing", nargs=2, metavar=("MODEL", "N"), help="every Nth chat of MODEL gets a 503"
    )
    arguments = parser.parse_args()
    healthy = reply(
        tokens=words(arguments.tokens),
        token_delay_s=arguments.token_delay_ms / 1000,
        first_token_delay_s=arguments.first_token_delay_ms / 1000,
        completion_tokens=arguments.tokens,
        status=arguments.status,
        fault=arguments.fault,
        fault_after=arguments.fault_after,
    )

    async def run() -> None:
        stopped = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, stopped.set)
        async with serve(arguments.port, healthy, arguments.model) as fake:
            if arguments.failing is not None:
                fake.failing = (arguments.failing[0], int(arguments.failing[1]))
            print(f"listening on {fake.url}", flush=True)
            await stopped.wait()

    uvloop.run(run())
