"""The embedded server: the first process that needs it starts it, the last that leaves stops it."""

from __future__ import annotations

import asyncio
import fcntl
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO
from urllib.parse import quote

import structlog

from assistant.adapters.postgres.address import SERVICE_ROLE
from assistant.adapters.postgres.cluster import DATABASE, OWNER_ROLE, Cluster, Server
from assistant.adapters.postgres.errors import DatabaseStartError

log = structlog.get_logger(__name__)

_TURN_TIMEOUT_S = 200.0
_STOPPING_TIMEOUT_S = 60.0
_WATCH_INTERVAL_S = 1.0
# A killed server's workers notice within moments and hold its shared memory until then.
_PAUSES_AFTER_A_CRASH_S = (0.2, 0.5, 1.0, 2.0, 4.0)


class EmbeddedPostgres:
    """A PostgreSQL server in ``folder`` for the processes of this machine, without a TCP port.

    Two locks beside the folder keep its users apart: ``.lock`` is held by who starts or stops
    the server, ``.in-use`` is shared by all who use it. The kernel gives both back when a
    process dies, however it dies, so there is no list of users that could be wrong.

    A server that dies while it is used is started again within about a second.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._cluster: Cluster | None = None
        self._server: Server | None = None
        self._in_use: IO[bytes] | None = None
        self._watching: asyncio.Task[None] | None = None

    async def start(self) -> str:
        """Join the server or start it; its owner's URL, for migrations.

        Raises: DatabaseStartError, with one line that says what to do.
        """
        joining = asyncio.ensure_future(asyncio.to_thread(self._join))
        try:
            await asyncio.shield(joining)
        except asyncio.CancelledError:
            # A thread cannot be stopped, and the server that it starts must not stay behind.
            with suppress(DatabaseStartError):
                await joining
            await asyncio.to_thread(self._leave)
            raise
        self._watching = asyncio.create_task(self._watch(), name="embedded-postgres")
        return self._url(OWNER_ROLE)

    @property
    def service_url(self) -> str:
        """The URL that the service itself connects with."""
        return self._url(SERVICE_ROLE)

    async def stop(self) -> None:
        """Leave the server; who leaves last stops it."""
        if self._watching is not None and not self._watching.done():
            self._watching.cancel()
            await asyncio.wait({self._watching})
        try:
            await asyncio.to_thread(self._leave)
        except (DatabaseStartError, OSError) as error:
            # Somebody removed the folder, say: whoever leaves can do nothing about it.
            log.error("embedded_database_not_left", reason=str(error))

    def _url(self, role: str) -> str:
        assert self._server is not None
        # quote, not quote_plus: libpq takes a plus sign for a plus sign.
        host = quote(str(self._server.socket_folder), safe="")
        return f"postgresql://{role}@/{DATABASE}?host={host}"

    def _join(self) -> None:
        try:
            folder = self._folder.resolve()
            folder.parent.mkdir(parents=True, exist_ok=True)
            self._folder = folder
            self._cluster = Cluster(folder)
            with self._turn():
                self._cluster.prepare()
                self._server = self._ensure_server()
                in_use = self._open_lock("in-use")
                fcntl.flock(in_use, fcntl.LOCK_SH)
                self._in_use = in_use
        except OSError as error:
            is_in_the_way = isinstance(error, FileExistsError | NotADirectoryError)
            reason = "a file is in its place" if is_in_the_way else error.strerror or str(error)
            raise DatabaseStartError(
                f"the data folder {self._folder.parent} cannot be used: {reason.lower()}; "
                "set ASSISTANT_DATA_DIR to a folder that this user may write"
            ) from error

    def _leave(self) -> None:
        if self._in_use is None or self._cluster is None:
            return
        with self._turn(), self._in_use as in_use:
            self._in_use = None
            fcntl.flock(in_use, fcntl.LOCK_UN)
            try:
                fcntl.flock(in_use, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                self._cluster.disown()
                return
            server = self._cluster.find_server()
            if server is not None:
                self._cluster.stop_server(server)

    def _ensure_server(self) -> Server:
        assert self._cluster is not None
        deadline = time.monotonic() + _STOPPING_TIMEOUT_S
        while (server := self._cluster.find_server()) is not None:
            if server.is_ready:
                return server
            # Somebody was killed while starting or stopping it; it will get there by itself.
            if time.monotonic() > deadline:
                raise DatabaseStartError(
                    f"the embedded database in {self._folder} neither starts nor stops; "
                    f"end the process {server.pid} and try again"
                )
            time.sleep(0.05)
        for pause_s in _PAUSES_AFTER_A_CRASH_S if self._cluster.clear_left_over() else ():
            try:
                return self._cluster.start_server()
            except DatabaseStartError:
                time.sleep(pause_s)
        return self._cluster.start_server()

    async def _watch(self) -> None:
        assert self._cluster is not None
        assert self._server is not None
        while True:
            await asyncio.sleep(_WATCH_INTERVAL_S)
            if self._cluster.is_alive(self._server):
                continue
            log.warning("embedded_database_died", folder=str(self._folder))
            try:
                self._server = await asyncio.to_thread(self._restart)
            except (DatabaseStartError, OSError) as error:
                log.error("embedded_database_not_restarted", reason=str(error))

    def _restart(self) -> Server:
        with self._turn():
            return self._ensure_server()

    @contextmanager
    def _turn(self) -> Iterator[None]:
        """Hold the lock of who starts or stops the server. Raises DatabaseStartError."""
        deadline = time.monotonic() + _TURN_TIMEOUT_S
        with self._open_lock("lock") as lock:
            while True:
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() > deadline:
                        raise DatabaseStartError(
                            f"another process keeps {self._folder} locked; end it and try again"
                        ) from None
                    time.sleep(0.05)
            yield

    def _open_lock(self, name: str) -> IO[bytes]:
        return self._folder.with_name(f"{self._folder.name}.{name}").open("ab")
