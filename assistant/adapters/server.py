"""uvicorn, taught to let running answers finish before it closes anything."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable

import uvicorn
from starlette.types import ASGIApp

_POLL_INTERVAL_S = 0.05


class DrainingServer(uvicorn.Server):
    """Serves one application on one bound socket.

    On SIGTERM or SIGINT it stops accepting, waits until ``running()`` is 0 or ``grace_s`` has
    passed, and only then closes connections: stock uvicorn closes WebSockets at once. A second
    SIGINT ends the wait.
    """

    def __init__(
        self, app: ASGIApp, *, running: Callable[[], int], grace_s: float, max_message_bytes: int
    ) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                log_config=None,
                access_log=False,
                server_header=False,
                lifespan="on",
                ws_max_size=max_message_bytes,
                # What still runs after the grace is cancelled at once; it settles as cancelled.
                timeout_graceful_shutdown=1,
            )
        )
        self._running = running
        self._grace_s = grace_s

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for server in self.servers:
            server.close()
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._grace_s
        while self._running() and loop.time() < deadline and not self.force_exit:
            await asyncio.sleep(_POLL_INTERVAL_S)
        await super().shutdown(sockets)


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
