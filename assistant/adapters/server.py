"""uvicorn, taught to let running answers finish before it closes anything."""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from types import FrameType

import uvicorn
from starlette.types import ASGIApp


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
    ) -> None:
        super().__init__(
            uvicorn.Config(
                app,
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
