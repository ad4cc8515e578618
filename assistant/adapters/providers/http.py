"""The provider adapters' HTTP: pooled connections, time limits, and one table of errors.

Nothing of the client underneath (aiohttp) passes the border of this module: adapters see
``HttpClient``, ``HttpResponse`` and the errors of ``assistant.errors``. Why aiohttp:
docs/decisions/0004-http-client.md.
"""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Literal, Self

import aiohttp
from yarl import URL

from assistant import __version__
from assistant.domain.ports import TimeLimits
from assistant.domain.values import JsonObject, JsonValue
from assistant.errors import InvalidResponse, ProviderTimeout, ProviderUnavailable, UpstreamError

MAX_LINE_BYTES = 1_000_000
MAX_BODY_BYTES = 16_000_000
MAX_STREAM_BYTES = 64_000_000

# Shorter than what servers and load balancers keep, so that it is we who close an idle
# connection and no request meets one that is being closed.
_KEEP_ALIVE_S = 15.0
# How long the end of a body may take after its last line, before its connection is given up.
_END_OF_BODY_S = 0.1


@dataclass(frozen=True, slots=True)
class Peer:
    """Who is called. ``name`` and ``advice`` (a sentence: what to do when it is away) are told
    to callers in error messages, ``url`` without the user and password that it may hold."""

    name: str
    url: str
    advice: str

    @property
    def address(self) -> str:
        """The URL as it may be shown; nothing of it where it is none."""
        try:
            return str(URL(self.url).with_user(None).with_query(None).with_fragment(None))
        except ValueError:
            return "a URL that is none"


class HttpClient:
    """Connections to providers, kept and used again; an asynchronous context manager.

    How many calls run at once is decided above: the pool itself has no upper bound. Redirects
    are not followed, cookies not kept, and proxies of the environment not used.
    """

    def __init__(self) -> None:
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=_KEEP_ALIVE_S),
            cookie_jar=aiohttp.DummyCookieJar(),
            # A compressed stream is held back until a block is full.
            headers={"User-Agent": f"assistant/{__version__}", "Accept-Encoding": "identity"},
        )
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._session is not None
        await self._session.close()

    async def request(
        self,
        peer: Peer,
        method: Literal["GET", "POST"],
        path: str,
        *,
        limits: TimeLimits,
        body: JsonObject | None = None,
        headers: dict[str, str] | None = None,
    ) -> HttpResponse:
        """Send a request; returns when the response's headers are there, whatever its status.

        The caller closes the response. Cancelling closes the connection at once.
        Raises: ProviderUnavailable, ProviderTimeout, InvalidResponse.
        """
        assert self._session is not None, "the client is used inside `async with` only"
        clock = _Clock(peer, limits)
        headers = dict(headers or {})
        data = None
        if body is not None:
            # Escaped to ASCII: a lone surrogate in a text cannot break the encoding.
            data = json.dumps(body, separators=(",", ":")).encode("ascii")
            headers["Content-Type"] = "application/json"
        try:
            async with asyncio.timeout_at(clock.deadline()):
                response = await self._session.request(
                    method,
                    peer.url.rstrip("/") + path,
                    data=data,
                    headers=headers,
                    allow_redirects=False,
                    timeout=aiohttp.ClientTimeout(total=None, connect=limits.connect_s),
                )
        except aiohttp.ConnectionTimeoutError as error:
            raise ProviderTimeout(
                f"{peer.name} did not accept a connection at {peer.address} within "
                f"{limits.connect_s:g} s (limit: connect). {peer.advice}"
            ) from error
        except TimeoutError as error:
            raise clock.exceeded() from error
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise _translate(error, peer) from error
        return HttpResponse(peer, response, clock)


class HttpResponse:
    """A response whose headers are there; its body is read once, as lines or as a whole."""

    def __init__(self, peer: Peer, response: aiohttp.ClientResponse, clock: _Clock) -> None:
        self._peer = peer
        self._response = response
        self._clock = clock
        self._alarm = _Alarm(lambda: response.content.set_exception(TimeoutError()))
        self._pending = bytearray()
        self._received_bytes = 0
        self.status = response.status
        self.content_type = response.content_type

    @property
    def retry_after_s(self) -> float | None:
        """What the Retry-After header says in seconds; None without one, or with a date."""
        value = self._response.headers.get("Retry-After", "")
        return float(value) if value.isdecimal() else None

    async def next_lines(self, *, max_line_bytes: int = MAX_LINE_BYTES) -> list[bytes]:
        """The lines that have come in, at least one; none at the end of the body.

        Split at LF alone and not decoded: a character may be cut between two packets. A body
        that does not end in LF has its rest as the last line.
        Raises: ProviderTimeout, ProviderUnavailable where it broke off, InvalidResponse.
        """
        deadline = self._clock.deadline()
        while True:
            data = await self._read(deadline)
            if not data:
                rest = bytes(self._pending)
                self._pending.clear()
                return [rest] if rest else []
            head, newline, tail = data.rpartition(b"\n")
            if newline:
                lines = (bytes(self._pending) + head).split(b"\n")
                self._pending = bytearray(tail)
            else:
                lines = []
                self._pending += tail
            self._received_bytes += len(data)
            longest = max(len(self._pending), *map(len, lines), 0)
            if longest > max_line_bytes or self._received_bytes > MAX_STREAM_BYTES:
                raise InvalidResponse(
                    f"{self._peer.name} answered more than is read: a line of over "
                    f"{max_line_bytes:,} bytes, or {MAX_STREAM_BYTES:,} bytes in all."
                )
            if lines:
                self._clock.has_begun = True
                return lines

    async def body(self, *, max_bytes: int = MAX_BODY_BYTES) -> bytes:
        """The whole body. Raises as ``next_lines`` does."""
        deadline = self._clock.deadline()
        while data := await self._read(deadline):
            self._pending += data
            if len(self._pending) > max_bytes:
                raise InvalidResponse(
                    f"{self._peer.name} answered more than the {max_bytes:,} bytes that are read."
                )
        return bytes(self._pending)

    async def finish(self) -> None:
        """Wait a moment for the body's end, so that the connection can be used again."""
        content = self._response.content
        if content.at_eof():
            return
        try:
            async with asyncio.timeout(_END_OF_BODY_S):
                while not content.at_eof():
                    await content.readany()
        except (aiohttp.ClientError, OSError):
            # TimeoutError is an OSError. What was asked for is here: a bad end costs only
            # the connection, which ``close`` then gives up.
            return

    def close(self) -> None:
        """Give the connection back where the body was read to its end; else close it, at once."""
        self._alarm.clear()
        self._response.close()

    async def _read(self, deadline: float) -> bytes:
        """The next bytes; none at the end of the body."""
        content = self._response.content
        try:
            if content.is_eof():  # it has all come in: nothing is waited for
                return await content.readany()
            self._alarm.set(deadline)
            return await content.readany()
        except TimeoutError as error:
            raise self._clock.exceeded() from error
        except (aiohttp.ClientError, OSError) as error:
            raise _translate(error, self._peer) from error
        finally:
            self._alarm.deadline = math.inf


class _Alarm:
    """Rings when a wait has passed its deadline.

    One timer serves all waits of an answer, as it looks again where the deadline has moved on. A
    timer for each, as asyncio.timeout has, was measured to take 8 % of a stream's CPU time.
    """

    def __init__(self, ring: Callable[[], None]) -> None:
        self._ring = ring
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self.deadline = math.inf

    def set(self, deadline: float) -> None:
        """Ring at ``deadline``, on the event loop's clock, unless it is moved or cleared."""
        self.deadline = deadline
        if self._timer is not None and self._timer.when() > deadline:
            self._timer.cancel()
            self._timer = None
        if self._timer is None:
            self._timer = self._loop.call_at(deadline, self._look)

    def clear(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _look(self) -> None:
        self._timer = None
        if self.deadline <= self._loop.time():
            self._ring()
        elif self.deadline < math.inf:
            self.set(self.deadline)


class _Clock:
    """The time limits of one call, each on its own.

    A limit covers the wait for one event, however many packets that takes; what the consumer
    does between two events counts towards the total only.
    """

    def __init__(self, peer: Peer, limits: TimeLimits) -> None:
        self._peer = peer
        self._limits = limits
        self._now = asyncio.get_running_loop().time
        self._started_at = self._now()
        self.has_begun = False

    def deadline(self) -> float:
        """Until when the next event must be here, on the event loop's clock."""
        limits, start = self._limits, self._started_at
        event = (
            self._now() + limits.between_events_s
            if self.has_begun
            else start + limits.first_event_s
        )
        return min(event, start + limits.total_s)

    def exceeded(self) -> ProviderTimeout:
        """The error that says which limit was passed."""
        limits, who = self._limits, f"{self._peer.name} at {self._peer.address}"
        if self._now() >= self._started_at + limits.total_s:
            return ProviderTimeout(
                f"{who} did not finish within {limits.total_s:g} s (limit: total). "
                "Ask for fewer tokens, or allow more time."
            )
        if self.has_begun:
            return ProviderTimeout(
                f"{who} fell silent for {limits.between_events_s:g} s in the middle of its answer "
                "(limit: between events)."
            )
        return ProviderTimeout(
            f"{who} did not begin to answer within {limits.first_event_s:g} s (limit: first "
            "event). It may be loading a model, or have others to answer first."
        )


_AWAY = "cannot be reached at"
_BROKE = "broke off the connection at"
_GARBLED = "does not speak HTTP as it should at"

# The first row that fits decides.
_TRANSLATIONS: tuple[tuple[type[Exception], type[UpstreamError], str], ...] = (
    (aiohttp.InvalidURL, ProviderUnavailable, _AWAY),
    (aiohttp.NonHttpUrlClientError, ProviderUnavailable, _AWAY),
    (aiohttp.ClientConnectorCertificateError, ProviderUnavailable, "has no valid certificate at"),
    (aiohttp.ClientConnectorSSLError, ProviderUnavailable, "does not speak TLS at"),
    (aiohttp.ClientConnectorDNSError, ProviderUnavailable, "has a name that cannot be found:"),
    (aiohttp.ClientConnectorError, ProviderUnavailable, _AWAY),
    (aiohttp.ClientResponseError, InvalidResponse, _GARBLED),
    (aiohttp.ClientPayloadError, ProviderUnavailable, _BROKE),
    (aiohttp.ClientConnectionError, ProviderUnavailable, _BROKE),
    (OSError, ProviderUnavailable, _BROKE),
)


def _translate(error: Exception, peer: Peer) -> UpstreamError:
    """Our error for one of the client's; the client's own text is left to the cause."""
    rows = ((ours, what) for kind, ours, what in _TRANSLATIONS if isinstance(error, kind))
    ours, what = next(rows, (InvalidResponse, _GARBLED))
    advice = peer.advice if ours is ProviderUnavailable and what is not _BROKE else ""
    return ours(f"{peer.name} {what} {peer.address}. {advice}".rstrip())


def parse_json(data: bytes) -> JsonValue:
    """What a provider sent as JSON in UTF-8. Raises ValueError where it is neither."""
    try:
        value: JsonValue = json.loads(data.decode())
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    return value
