"""uvicorn, taught to let running answers finish, and to give up on clients that do not move."""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from functools import partial
from types import FrameType
from typing import Any, cast

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

# Above what one read brings, of which the end of another request's body may be a part.
_MAX_HEAD_BYTES = 512 * 1024


class StallLimit(asyncio.Protocol):
    """Cuts a connection whose client has read next to nothing for ``stall_timeout_s``.

    A transport says when its buffer is full, and when it is nearly empty again: in between,
    whoever answers this client is blocked. Where a client reads, however slowly, nothing is
    measured, and an answer costs nothing.
    """

    def __init__(self, *args: Any, stall_timeout_s: float, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._stall_timeout_s = stall_timeout_s
        self._stall: asyncio.TimerHandle | None = None
        self._connection: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._connection = cast("asyncio.Transport", transport)
        super().connection_made(transport)

    def pause_writing(self) -> None:
        super().pause_writing()
        if self._stall is None and self._connection is not None:
            # Closing would wait until the buffer is empty.
            self._stall = asyncio.get_running_loop().call_later(
                self._stall_timeout_s, self._connection.abort
            )

    def resume_writing(self) -> None:
        self._forget_stall()
        super().resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        self._forget_stall()
        super().connection_lost(exc)

    def _forget_stall(self) -> None:
        if self._stall is not None:
            self._stall.cancel()
            self._stall = None


class ImpatientWebSocket(StallLimit, WebSocketsSansIOProtocol):
    """A WebSocket on one connection, cut where its client does not read."""


class ImpatientProtocol(StallLimit, HttpToolsProtocol):
    """HTTP on one connection, closed where a request's head takes too long or grows too large.

    Stock uvicorn waits for ever for whoever connects and sends nothing, or a byte at a time.
    """

    def __init__(self, *args: Any, head_timeout_s: float, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._head_timeout_s = head_timeout_s
        self._patience: asyncio.TimerHandle | None = None
        self._head_bytes = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._await_head()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._patience is not None:
            self._head_bytes += len(data)
            if self._head_bytes > _MAX_HEAD_BYTES:
                self.transport.close()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        if self._patience is None:
            self._await_head()

    def on_headers_complete(self) -> None:
        self._stop_waiting()
        super().on_headers_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        super().connection_lost(exc)

    def _await_head(self) -> None:
        self._head_bytes = 0
        self._patience = self.loop.call_later(self._head_timeout_s, self.transport.close)

    def _stop_waiting(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None


class DrainingServer(uvicorn.Server):
    """Serves one application on one bound socket.

    On SIGTERM, SIGINT or SIGHUP it stops accepting, lets ``drain(grace_s)`` return, and only then closes
    connections: stock uvicorn closes WebSockets at once. A second SIGINT ends the wait.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        drain: Callable[[float], Coroutine[None, None, None]],
        grace_s: float,
        max_message_bytes: int,
        head_timeout_s: float = 10.0,
        stall_timeout_s: float = 60.0,
    ) -> None:
        stall_limit = {"stall_timeout_s": stall_timeout_s}
        super().__init__(
            uvicorn.Config(
                app,
                http=cast(
                    "Any",
                    partial(ImpatientProtocol, head_timeout_s=head_timeout_s, **stall_limit),
                ),
                ws=cast("Any", partial(ImpatientWebSocket, **stall_limit)),
                log_config=None,
                access_log=False,
                server_header=False,
                # Nothing here depends on the address of the client.
                proxy_headers=False,
                # Whoever made the application has started it, and stops it when this has ended.
                lifespan="off",
                ws_max_size=max_message_bytes,
                # What still runs after the grace is cancelled at once; it settles as cancelled.
                timeout_graceful_shutdown=1,
            )
        )
        self._drain = drain
        self._grace_s = grace_s
        self._draining: asyncio.Task[None] | None = None

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Let signals end the server, not the process: stock uvicorn raises them again."""
        loop = asyncio.get_running_loop()
        numbers = (signal.SIGINT, *stopping_signals())
        for number in numbers:
            loop.add_signal_handler(number, self.handle_exit, number, None)
        try:
            yield
        finally:
            for number in numbers:
                loop.remove_signal_handler(number)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        super().handle_exit(sig, frame)
        if self.force_exit and self._draining:
            self._draining.cancel()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for server in self.servers:
            server.close()
        self._draining = asyncio.create_task(self._drain(self._grace_s))
        await asyncio.wait([self._draining])
        await super().shutdown(sockets)


def stopping_signals() -> tuple[signal.Signals, ...]:
    """What asks a process to end, besides Ctrl-C: SIGTERM, and SIGHUP as its terminal closes.

    SIGHUP only where nobody, such as ``nohup``, has said that it must be ignored.
    """
    if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
        return (signal.SIGTERM,)
    return (signal.SIGTERM, signal.SIGHUP)


def bind(host: str, port: int) -> socket.socket:
    """A listening socket on ``host``:``port``. Raises OSError where it cannot be had."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((host, port))
    except OSError:
        sock.close()
        raise
    sock.set_inheritable(True)
    return sock
