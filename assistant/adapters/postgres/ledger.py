"""The ledger's writes: every completion twice, when it opens and when it settles."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Sequence

import psycopg

from assistant.adapters.postgres.completion_rows import completion_row
from assistant.adapters.postgres.connection import Database
from assistant.adapters.postgres.errors import storage_errors
from assistant.adapters.postgres.group_commit import GroupCommit
from assistant.domain.completion import Completion, CompletionStatus
from assistant.errors import InternalError, StorageUnavailable

_WRITE = "SELECT assistant_open(%s), assistant_settle(%s)"

# Above the statement timeout: this bounds a server that no longer answers at all.
_ANSWER_TIMEOUT_S = 20.0


class PostgresLedger:
    """The LedgerStore port: grouped, durable and idempotent, on one connection of its own."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._connection: psycopg.AsyncConnection | None = None
        self._group = GroupCommit(self._write)

    async def start(self) -> None:
        """Connect. Raises StorageUnavailable."""
        self._connection = await self._database.connect()

    async def close(self) -> None:
        """Write what waits, then disconnect."""
        await self._group.flush()
        if self._connection is not None:
            await self._connection.close()

    async def open(self, completion: Completion) -> None:
        await self._group.submit(completion)

    async def settle(self, completion: Completion) -> None:
        assert completion.status is not CompletionStatus.RUNNING
        await self._group.submit(completion)

    async def _write(self, completions: Sequence[Completion]) -> None:
        # By id: one statement cannot settle the same row twice, and need not.
        opened = {c.id: c for c in completions if c.status is CompletionStatus.RUNNING}
        settled = {c.id: c for c in completions if c.status is not CompletionStatus.RUNNING}
        parameters = (_json(opened.values()), _json(settled.values()))
        try:
            await self._execute(parameters)
        except StorageUnavailable:
            if self._connection is not None:
                raise
            # The connection broke. Both functions may be repeated, so it does not matter
            # whether the first try had got through.
            await self._execute(parameters)

    async def _execute(self, parameters: tuple[str, str]) -> None:
        if self._connection is None:
            self._connection = await self._database.connect()
        connection = self._connection
        execution = asyncio.create_task(_execute(connection, parameters))
        done, _ = await asyncio.wait({execution}, timeout=_ANSWER_TIMEOUT_S)
        if not done:
            # Cancelling waits for the server's consent, which may never come: not awaited.
            execution.cancel()
            self._connection = None
            raise StorageUnavailable("The database does not answer. Try again.", retry_after_s=5.0)
        try:
            execution.result()
        finally:
            if connection.closed:
                self._connection = None


async def _execute(connection: psycopg.AsyncConnection, parameters: tuple[str, str]) -> None:
    try:
        with storage_errors():
            await connection.execute(_WRITE, parameters, prepare=True)
    except psycopg.Error as error:
        # PostgreSQL's own message may quote a value, and with it what a model said.
        where = error.diag.constraint_name or error.diag.column_name or "no constraint"
        raise InternalError(
            f"The ledger refused a row (SQLSTATE {error.sqlstate}, {where})."
        ) from None


def _json(completions: Iterable[Completion]) -> str:
    return json.dumps([completion_row(completion) for completion in completions])
