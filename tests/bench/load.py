"""A load generator: connections that each send a request, read the answer, and send the next.

Raw asyncio with a C parser, so that one core can drive what another serves.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import cast
from urllib.parse import urlsplit

import httptools

DRAIN_S = 15.0
"""How long answers may still take when no more requests are sent."""


@dataclass(frozen=True, slots=True)
class Target:
    """What is sent where, and what makes an answer a good one.

    ``body`` makes the n-th request's body. A good answer has status 200, holds ``expected`` and
    not ``refused``. ``marker`` stands once in every event of a streamed answer that has text.
    ``connect`` makes the connections; None: over HTTP.
    """

    url: str
    body: Callable[[int], bytes]
    expected: bytes
    refused: bytes = b'"errors"'
    accept: str = "application/json"
    marker: bytes | None = None
    connect: Callable[[Load], Connection] | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class LoadResult:
    """What came back. Times are in seconds; errors hold the beginnings of bad answers."""

    elapsed_s: float = 0.0
    latencies_s: list[float] = field(default_factory=list)
    first_tokens_s: list[float] = field(default_factory=list)
    events: int = 0
    errors: list[str] = field(default_factory=list)

    @property
    def per_s(self) -> float:
        return len(self.latencies_s) / self.elapsed_s if self.elapsed_s else 0.0

    def latency_ms(self, percent: float) -> float | None:
        """The latency that ``percent`` of the good answers did not exceed; None without any."""
        return percentile_ms(self.latencies_s, percent)


def percentile_ms(values_s: list[float], percent: float) -> float | None:
    if not values_s:
        return None
    ordered = sorted(values_s)
    return 1000 * ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]


class Connection(asyncio.Protocol):
    """One request after the other, each when the one before has been answered."""

    def __init__(self, load: Load) -> None:
        self.load = load
        self.is_waiting = False
        self.ended = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.parser = httptools.HttpResponseParser(self)

    def connection_lost(self, error: Exception | None) -> None:
        if self.is_waiting and not self.load.is_over:
            self.load.result.errors.append(f"the connection was closed: {error}")
        if not self.ended.done():
            self.ended.set_result(None)

    def send(self, due_at: float | None = None) -> None:
        """``due_at``: a request that is sent late for want of a free connection has waited."""
        self.begin(due_at)
        self.transport.write(self.load.next_request())

    def begin(self, due_at: float | None) -> None:
        """Expect an answer from now on."""
        self.body = b""
        self.first_token_at: float | None = None
        self.is_waiting = True
        self.sent_at = time.perf_counter() if due_at is None else due_at

    def data_received(self, data: bytes) -> None:
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserError as error:
            self.load.result.errors.append(f"not HTTP: {error}")
            self.transport.abort()

    def on_body(self, data: bytes) -> None:
        self.body += data
        marker = self.load.target.marker
        if marker is not None and self.first_token_at is None and marker in self.body:
            self.first_token_at = time.perf_counter()

    def on_message_complete(self) -> None:
        # A new parser: the old one is still inside this call.
        parser, self.parser = self.parser, httptools.HttpResponseParser(self)
        self.go_on_after(parser.get_status_code(), is_kept=parser.should_keep_alive())

    def go_on_after(self, status: int, *, is_kept: bool = True) -> None:
        """An answer is whole. ``is_kept``: the connection can take another request."""
        self.is_waiting = False
        self.load.received(self, status)
        if time.perf_counter() >= self.load.stop_at:
            self.transport.close()
        elif is_kept:
            self.load.send_next(self)
        else:
            self.load.result.errors.append("the server does not keep connections")
            self.transport.close()


class Load:
    """What the connections of one measurement share."""

    def __init__(
        self,
        target: Target,
        stop_at: float,
        per_s: float | None = None,
        *,
        pause_s: float = 0.0,
        first: int = 0,
    ) -> None:
        self.target = target
        self._pause_s = pause_s
        self._chance = random.Random(1)
        self._interval_s = None if per_s is None else 1 / per_s
        self._due_at = time.perf_counter()
        self.stop_at = stop_at
        self.is_over = False
        self.result = LoadResult()
        self._sent = first
        parts = urlsplit(target.url)
        more = "".join(f"{name}: {value}\r\n" for name, value in target.headers.items())
        self._head = (
            f"POST {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\nAccept: {target.accept}\r\n"
            f"{more}Content-Type: application/json\r\nContent-Length: "
        ).encode()

    def next_body(self) -> bytes:
        self._sent += 1
        return self.target.body(self._sent)

    def next_request(self) -> bytes:
        body = self.next_body()
        return b"%b%d\r\n\r\n%b" % (self._head, len(body), body)

    def send_next(self, connection: Connection) -> None:
        """At once, after a pause, or when the next request is due."""
        loop = asyncio.get_running_loop()
        if self._pause_s:
            loop.call_later(self._chance.uniform(0.0, self._pause_s), connection.send)
            return
        if self._interval_s is None:
            connection.send()
            return
        self._due_at = due_at = self._due_at + self._interval_s
        wait_s = due_at - time.perf_counter()
        loop.call_later(max(0.0, wait_s), connection.send, due_at)

    def received(self, connection: Connection, status: int) -> None:
        target, body, now = self.target, connection.body, time.perf_counter()
        if status != 200 or target.expected not in body or target.refused in body:
            self.result.errors.append(f"{status} {body[:300]!r}")
            return
        self.result.latencies_s.append(now - connection.sent_at)
        if target.marker is not None:
            self.result.events += body.count(target.marker)
            if connection.first_token_at is not None:
                self.result.first_tokens_s.append(connection.first_token_at - connection.sent_at)


async def drive(
    target: Target,
    connections: int,
    seconds: float,
    *,
    ramp_s: float = 0.0,
    pause_s: float = 0.0,
    per_s: float | None = None,
) -> LoadResult:
    """Keep so many connections busy for so long; they begin evenly spread over ``ramp_s``.

    ``pause_s``: before its next request a connection pauses for up to so long, by chance; without,
    requests that have met, and take equally long, would go on together for ever.
    ``per_s``: no more than so many requests a second in all. Each is due at its time, whether a
    connection is free then or not, and its latency counts from there.
    """
    loop = asyncio.get_running_loop()
    parts = urlsplit(target.url)
    load = Load(target, time.perf_counter() + ramp_s + seconds, per_s, pause_s=pause_s)
    opened = []
    started = time.perf_counter()
    connect = target.connect or Connection
    for index in range(connections):
        _, connection = await loop.create_connection(
            lambda: connect(load), parts.hostname or "127.0.0.1", parts.port or 80
        )
        opened.append(connection)
        if per_s is None:
            loop.call_later(ramp_s * index / connections, connection.send)
        else:
            load.send_next(connection)
    await asyncio.wait(
        [connection.ended for connection in opened], timeout=ramp_s + seconds + DRAIN_S
    )
    load.is_over = True
    load.result.elapsed_s = time.perf_counter() - started
    for connection in opened:
        if not connection.ended.done():
            load.result.errors.append("no answer in time")
            connection.transport.abort()
    await asyncio.sleep(0)
    return load.result
