"""The provider adapters' HTTP: pooled connections, time limits, and one table of errors.

Nothing of the client underneath (aiohttp) passes the border of this module: adapters see
``HttpClient``, ``HttpResponse`` and the errors of ``assistant.errors``. Why aiohttp:
docs/decisions/0004-http-client.md.
"""

from __future__ import annotations

import asyncio
import json
import math
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from time import time
from types import TracebackType
from typing import Literal, Self

import aiohttp
from yarl import URL

from assistant import __version__
from assistant.adapters.providers.deadlines import Alarm, Clock
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
_LONGEST_RETRY_AFTER_S = 120.0


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
        method: Literal["GET", "POST", "DELETE"],
        path: str,
        *,
        limits: TimeLimits,
        body: JsonObject | bytes | None = None,
        headers: dict[str, str] | None = None,
    ) -> HttpResponse:
        """Send a request; returns when the response's headers are there, whatever its status.

        ``body`` is sent as JSON; as it is where it is in bytes, for who has signed them.

        The caller closes the response. Cancelling closes the connection at once.
        Raises: ProviderUnavailable, ProviderTimeout, InvalidResponse.
        """
        assert self._session is not None, "the client is used inside `async with` only"
        clock = Clock(lambda: f"{peer.name} at {peer.address}", limits)
        headers = dict(headers or {})
        data = body if isinstance(body, bytes) else None
        if body is not None:
            headers["Content-Type"] = "application/json"
            if data is None:
                # Escaped to ASCII: a lone surrogate in a text cannot break the encoding.
                data = json.dumps(body, separators=(",", ":")).encode("ascii")
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

    def __init__(self, peer: Peer, response: aiohttp.ClientResponse, clock: Clock) -> None:
        self._peer = peer
        self._response = response
        self._clock = clock
        self._alarm = Alarm(lambda: response.content.set_exception(TimeoutError()))
        self._pending = bytearray()
        self._received_bytes = 0
        self.max_stream_bytes = MAX_STREAM_BYTES
        self.status = response.status
        self.content_type = response.content_type

    @property
    def retry_after_s(self) -> float | None:
        """How long the server asks us to wait; None where it does not say, or nothing sensible.

        ``Retry-After-Ms`` goes before ``Retry-After``, which is seconds or a date. More than
        two minutes is not waited for, so it is as good as not said.
        """
        headers = self._response.headers
        wait_s = _seconds(headers.get("Retry-After-Ms"), 1000)
        if wait_s is None:
            wait_s = _seconds(headers.get("Retry-After"))
        if wait_s is None:
            wait_s = _seconds_until(headers.get("Retry-After"))
        return wait_s if wait_s is not None and 0 <= wait_s <= _LONGEST_RETRY_AFTER_S else None

    @property
    def should_retry(self) -> bool | None:
        """What the server says (``X-Should-Retry``) of sending the same again; None if nothing."""
        return {"true": True, "false": False}.get(self._response.headers.get("X-Should-Retry", ""))

    def begin(self) -> None:
        """The first event is here: from now on the limit between events holds."""
        self._clock.has_begun = True

    def next_deadline(self, within_s: float | None = None) -> float:
        """Until when the next event must be here, or earlier: ``within_s`` from now."""
        deadline = self._clock.deadline()
        if within_s is None:
            return deadline
        return min(deadline, asyncio.get_running_loop().time() + within_s)

    async def next_lines(self, *, max_line_bytes: int = MAX_LINE_BYTES) -> list[bytes]:
        """The lines that have come in, at least one; none at the end of the body.

        Each counts as an event. Split at LF alone and not decoded: a character may be cut
        between two packets. A body that does not end in LF has its rest as the last line.
        Raises: ProviderTimeout, ProviderUnavailable where it broke off, InvalidResponse.
        """
        lines = await self.lines_before(self.next_deadline(), max_line_bytes=max_line_bytes)
        if lines:
            self.begin()
        return lines

    async def lines_before(self, deadline: float, *, max_line_bytes: int) -> list[bytes]:
        """As ``next_lines``, for a protocol in which a line is not an event: who calls says
        when the answer has begun, and until when to wait."""
        while True:
            data = await self._read(deadline)
            if not data:
                rest = bytes(self._pending)
                self._pending.clear()
                return [rest] if rest else []
            self._received_bytes += len(data)
            # A line is no longer than what holds it, which is all that has to be looked at of most.
            is_long = len(self._pending) + len(data) > max_line_bytes
            head, newline, tail = data.rpartition(b"\n")
            lines = []
            if newline:
                lines = (bytes(self._pending) + head).split(b"\n")
                self._pending.clear()
            self._pending += tail
            if self._received_bytes > self.max_stream_bytes or (
                is_long and max(map(len, (self._pending, *lines))) > max_line_bytes
            ):
                raise self.too_long("a line", max_line_bytes)
            if lines:
                return lines

    def too_long(self, what: str, max_bytes: int) -> InvalidResponse:
        """The error for a stream that is not read any further."""
        return InvalidResponse(
            f"{self._peer.name} answered more than is read: {what} of over {max_bytes:,} bytes, "
            f"or {self.max_stream_bytes:,} bytes in all."
        )

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


def _seconds(value: str | None, units_per_second: int = 1) -> float | None:
    """A header's number as seconds; None where it is none."""
    try:
        number = float(value or "")
    except ValueError:
        return None
    return number / units_per_second


def _seconds_until(date: str | None) -> float | None:
    """How long until an HTTP date (RFC 9110, 5.6.7); None where it is none, 0 if it has passed."""
    try:
        then = parsedate_to_datetime(date or "")
        return max(0.0, then.timestamp() - time())
    except (ValueError, OverflowError, OSError):
        return None


# What json.loads does for a text, without looking for what it may be instead.
_decode = json.JSONDecoder().decode


def parse_json(data: bytes) -> JsonValue:
    """What a provider sent as JSON in UTF-8. Raises ValueError where it is neither."""
    try:
        value: JsonValue = _decode(data.decode())
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    return value
