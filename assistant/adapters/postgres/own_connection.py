"""A connection that a part of the service has to itself, for what may be lost in a crash."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, LiteralString

import psycopg
from psycopg.rows import namedtuple_row

from assistant.adapters.postgres.connection import Database
from assistant.adapters.postgres.errors import storage_errors
from assistant.errors import InternalError, StorageUnavailable

# What is kept may be lost: a commit need not wait for the disk.
_SETTINGS: LiteralString = """
    SELECT set_config('synchronous_commit', 'off', false),
           set_config('statement_timeout', %s, false)
"""
# This much longer than the server allows itself: it bounds one that no longer answers at all.
_GRACE_S = 1.0


class _NoAnswer(StorageUnavailable):
    """Neither an answer nor a refusal has come."""


class OwnConnection:
    """Runs one statement after the other; connects when there is one to run, also anew."""

    def __init__(self, database: Database, *, timeout_s: float, whose: str = "The cache") -> None:
        """``timeout_s`` bounds each statement; ``whose`` begins the sentence that refuses one."""
        self._database = database
        self._whose = whose
        self._timeout_s = timeout_s
        self._connection: psycopg.AsyncConnection | None = None
        self._lock = asyncio.Lock()

    async def close(self) -> None:
        """Disconnect. Idempotent."""
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()

    async def fetch(self, statement: LiteralString, parameters: Sequence[object]) -> list[Any]:
        """The rows of a statement that may be run twice, with the columns as attributes.

        Raises: StorageUnavailable; InternalError where the server refuses the statement.
        """
        async with self._lock:
            was_connected = self._connection is not None
            try:
                return await self._bounded(statement, parameters)
            except _NoAnswer:
                raise
            except StorageUnavailable:
                if not was_connected or self._connection is not None:
                    raise
                # The connection had died while it waited: the next one may do.
                return await self._bounded(statement, parameters)

    async def _bounded(self, statement: LiteralString, parameters: Sequence[object]) -> list[Any]:
        running = asyncio.create_task(self._run(statement, parameters))
        try:
            done, _ = await asyncio.wait({running}, timeout=self._timeout_s + _GRACE_S)
        except asyncio.CancelledError:
            self._let_go(running)
            raise
        if not done:
            self._let_go(running)
            raise _NoAnswer("The database does not answer. Try again.", retry_after_s=5.0)
        return running.result()

    def _let_go(self, running: asyncio.Task[list[Any]]) -> None:
        """Go on without it. Not awaited: cancelling may take the server's consent for seconds."""
        self._connection = None
        running.cancel()
        running.add_done_callback(_look_at)

    async def _run(self, statement: LiteralString, parameters: Sequence[object]) -> list[Any]:
        connection = self._connection
        try:
            with storage_errors():
                if connection is None:
                    connection = await self._database.connect()
                    await connection.execute(_SETTINGS, (f"{self._timeout_s * 1000:.0f}ms",))
                    self._connection = connection
                async with connection.cursor(row_factory=namedtuple_row) as cursor:
                    await cursor.execute(statement, parameters, prepare=True)
                    return await cursor.fetchall()
        except asyncio.CancelledError:
            if connection is not None:
                await connection.close()
            raise
        except psycopg.Error as error:
            # PostgreSQL's own message may quote a value, and with it what a model said.
            where = error.diag.constraint_name or error.diag.column_name or "no constraint"
            raise InternalError(
                f"{self._whose} refused a statement (SQLSTATE {error.sqlstate}, {where})."
            ) from None
        finally:
            if connection is not None and connection.closed and self._connection is connection:
                self._connection = None


def _look_at(ended: asyncio.Task[list[Any]]) -> None:
    if not ended.cancelled():
        ended.exception()  # or asyncio would complain that nobody did
