"""A load generator: connections that each send a request, read the answer, and send the next.

Raw asyncio with a C parser, so that one core can drive what another serves.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
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
    not ``refused``. ``marker`` stands once for every token of a streamed answer.
    """

    url: str
    body: Callable[[int], bytes]
    expected: bytes
    refused: bytes = b'"errors"'
    accept: str = "application/json"
    marker: bytes | None = None


@dataclass(slots=True)
class LoadResult:
    """What came back. Times are in seconds; errors hold the beginnings of bad answers."""

    elapsed_s: float = 0.0
    latencies_s: list[float] = field(default_factory=list)
    first_tokens_s: list[float] = field(default_factory=list)
    tokens: int = 0
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


class _Connection(asyncio.Protocol):
    def __init__(self, load: _Load) -> None:
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
        self.body = b""
        self.first_token_at: float | None = None
        self.is_waiting = True
        self.sent_at = time.perf_counter() if due_at is None else due_at
        self.transport.write(self.load.next_request())

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
        self.is_waiting = False
        self.load.received(self)
        if time.perf_counter() < self.load.stop_at:
            if not self.parser.should_keep_alive():
                self.load.result.errors.append("the server does not keep connections")
                self.transport.close()
            else:
                # A new parser: the old one is still inside this call.
                self.parser = httptools.HttpResponseParser(self)
                self.load.send_next(self)
        else:
            self.transport.close()


class _Load:
    def __init__(self, target: Target, stop_at: float, per_s: float | None = None) -> None:
        self.target = target
        self._interval_s = None if per_s is None else 1 / per_s
        self._due_at = time.perf_counter()
        self.stop_at = stop_at
        self.is_over = False
        self.result = LoadResult()
        self._sent = 0
        parts = urlsplit(target.url)
        self._head = (
            f"POST {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\nAccept: {target.accept}\r\n"
            "Content-Type: application/json\r\nContent-Length: "
        ).encode()

    def next_request(self) -> bytes:
        self._sent += 1
        body = self.target.body(self._sent)
        return b"%b%d\r\n\r\n%b" % (self._head, len(body), body)

    def send_next(self, connection: _Connection) -> None:
        """At once, or when the next request is due."""
        if self._interval_s is None:
            connection.send()
            return
        self._due_at = due_at = self._due_at + self._interval_s
        wait_s = due_at - time.perf_counter()
        asyncio.get_running_loop().call_later(max(0.0, wait_s), connection.send, due_at)

    def received(self, connection: _Connection) -> None:
        target, body, now = self.target, connection.body, time.perf_counter()
        status = connection.parser.get_status_code()
        if status != 200 or target.expected not in body or target.refused in body:
            self.result.errors.append(f"{status} {body[:300]!r}")
            return
        self.result.latencies_s.append(now - connection.sent_at)
        if target.marker is not None:
            self.result.tokens += body.count(target.marker)
            if connection.first_token_at is not None:
                self.result.first_tokens_s.append(connection.first_token_at - connection.sent_at)


async def drive(
    target: Target,
    connections: int,
    seconds: float,
    *,
    ramp_s: float = 0.0,
    per_s: float | None = None,
) -> LoadResult:
    """Keep so many connections busy for so long; they begin evenly spread over ``ramp_s``.

    ``per_s``: no more than so many requests a second in all. Each is due at its time, whether a
    connection is free then or not, and its latency counts from there.
    """
    loop = asyncio.get_running_loop()
    parts = urlsplit(target.url)
    load = _Load(target, time.perf_counter() + ramp_s + seconds, per_s)
    opened = []
    started = time.perf_counter()
    for index in range(connections):
        _, connection = await loop.create_connection(
            lambda: _Connection(load), parts.hostname or "127.0.0.1", parts.port or 80
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
