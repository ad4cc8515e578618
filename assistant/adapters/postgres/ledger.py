"""The ledger's writes: what is held when a completion opens, and what it used when it settles."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, TypeAlias
from uuid import UUID, uuid4

import psycopg
import structlog
from psycopg.rows import dict_row

from assistant.adapters.postgres.admissions import admission_of, stake_row, used_row
from assistant.adapters.postgres.budget_windows import BudgetWindows
from assistant.adapters.postgres.completion_rows import completion_row
from assistant.adapters.postgres.connection import Database
from assistant.adapters.postgres.errors import storage_errors
from assistant.adapters.postgres.group_commit import GroupCommit
from assistant.domain.budget import Admission, Stake
from assistant.domain.completion import Completion, CompletionStatus
from assistant.errors import EntryReaped, InternalError, StorageUnavailable

log = structlog.get_logger(__name__)

_RECORD = "SELECT * FROM assistant_record(%s, %s, %s, %s, %s, %s)"
_LEAVE = "SELECT assistant_leave(%s)"
_REAPED = "REAPED"
_WINDOWS = "WINDOWS"

# Above the statement timeout: this bounds a server that no longer answers at all.
_ANSWER_TIMEOUT_S = 20.0
# How often it says that it lives. Who is silent for several times that long is taken for dead.
_BEAT_INTERVAL_S = 5.0
# Windows begin one after the other: of day, week and month, of tenant, service and user.
_MOST_BEGINNINGS = 10
# What could not be settled, at most, in rows: some hundred MB of answers.
_MOST_OWED = 20_000


@dataclass(slots=True, eq=False)
class _Opening:
    """A row that is to be opened, and what was answered."""

    completion: Completion
    stake: Stake
    is_more: bool
    answer: Mapping[str, Any] | None = None


@dataclass(slots=True, eq=False)
class _Settling:
    """A row that is to be settled; ``is_reaped`` where somebody else has done so."""

    completion: Completion
    is_reaped: bool = False


_Parameters: TypeAlias = tuple[str, str, str, str, list[str], UUID]
_Item: TypeAlias = _Opening | _Settling | None
"""What a group is made of; None says no more than that this process lives."""


class PostgresLedger:
    """The LedgerStore port: grouped, durable and idempotent, on one connection of its own.

    ``refuses_unpriced``: under a budget, models without a price are not called.
    """

    def __init__(
        self,
        database: Database,
        *,
        refuses_unpriced: bool = True,
        max_group: int = 512,
        beat_interval_s: float = _BEAT_INTERVAL_S,
    ) -> None:
        self._database = database
        self._refuses_unpriced = refuses_unpriced
        self._beat_interval_s = beat_interval_s
        self._instance = uuid4()
        self._connection: psycopg.AsyncConnection | None = None
        self._group = GroupCommit(self._write, max_group=max_group)
        self._windows = BudgetWindows(database)
        self._owed: dict[UUID, Completion] = {}
        self._beating: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Connect. Raises StorageUnavailable."""
        self._connection = await self._database.connect()
        self._beating = asyncio.create_task(self._beat(), name="ledger-beat")

    async def close(self) -> None:
        """Write what waits and what is owed, then leave and disconnect."""
        if self._beating is not None:
            self._beating.cancel()
        await self._group.flush()
        await self._settle_owed()
        if self._owed:
            log.error("usage_not_recorded", completions=len(self._owed))
        elif self._connection is not None:
            # Whoever leaves owing something is not in order, and better taken for dead.
            with suppress(StorageUnavailable, psycopg.Error), storage_errors():
                await self._connection.execute(_LEAVE, (self._instance,))
        if self._connection is not None:
            await self._connection.close()

    async def open(
        self, completion: Completion, stake: Stake, *, is_more: bool = False
    ) -> Admission:
        tenant_id = completion.caller.tenant_id
        for _ in range(_MOST_BEGINNINGS):
            opening = _Opening(completion, stake, is_more)
            await self._group.submit(opening)
            answer = opening.answer
            if answer is None:
                raise StorageUnavailable("The completion has ended.")
            if answer["verdict"] != _WINDOWS:
                return admission_of(answer, completion.model, stake)
            await self._windows.begin(tenant_id, answer["details"])
        raise StorageUnavailable("The budgets change faster than they can be read. Try again.")

    async def settle(self, completion: Completion) -> None:
        assert completion.status is not CompletionStatus.RUNNING
        settling = _Settling(completion)
        try:
            await self._group.submit(settling)
        except StorageUnavailable:
            self._owe(completion)
            raise
        except InternalError:
            # Whatever is wrong with what was said, what it has cost is known.
            self._owe(replace(completion, text="", json=None))
            raise
        if settling.is_reaped:
            raise EntryReaped(
                "The completion took so long to be recorded that it was given up. Try again."
            )

    def _owe(self, completion: Completion) -> None:
        if len(self._owed) < _MOST_OWED:
            self._owed[completion.id] = completion

    # ------------------------------------------------------------------ in the background

    async def _beat(self) -> None:
        """Say again and again that this process lives, and settle what could not be settled."""
        while True:
            await asyncio.sleep(self._beat_interval_s)
            try:
                await self._group.submit(None)
                await self._settle_owed()
            except (StorageUnavailable, InternalError):
                pass  # whoever waits for a row of theirs is told
            except Exception as error:
                # Whoever falls silent is taken for dead, and with it all that runs here.
                log.error("usage_not_recorded", exc_info=error)

    async def _settle_owed(self) -> None:
        for id_, completion in list(self._owed.items()):
            settling = _Settling(completion)
            try:
                await self._group.submit(settling)
            except StorageUnavailable:
                return
            except InternalError as error:
                log.error("usage_not_recorded", completion_id=str(id_), reason=error.message)
            del self._owed[id_]

    # ----------------------------------------------------------------------------- groups

    async def _write(self, items: Sequence[_Item]) -> None:
        # By id: one statement cannot settle the same row twice, and need not. What has ended is
        # not opened any more: nobody would give back what it held.
        settled = {i.completion.id: i for i in items if isinstance(i, _Settling)}
        opened = {
            i.completion.id: i
            for i in items
            if isinstance(i, _Opening) and i.completion.id not in settled
        }
        written: list[_Opening | _Settling] = [*opened.values(), *settled.values()]
        parameters = (
            json.dumps([self._asked(opening) for opening in opened.values()]),
            json.dumps([completion_row(opening.completion) for opening in opened.values()]),
            json.dumps([used_row(settling.completion) for settling in settled.values()]),
            json.dumps([completion_row(settling.completion) for settling in settled.values()]),
            sorted({item.completion.caller.tenant_id for item in written}),
            self._instance,
        )
        try:
            answers = await self._execute(parameters)
        except StorageUnavailable:
            if self._connection is not None:
                raise
            # The connection broke. The statement may be repeated, so it does not matter whether
            # the first try had got through.
            answers = await self._execute(parameters)
        for answer in answers:
            if answer["verdict"] == _REAPED and answer["id"] in settled:
                settled[answer["id"]].is_reaped = True
            else:
                opened[answer["id"]].answer = answer

    def _asked(self, opening: _Opening) -> dict[str, Any]:
        return stake_row(
            opening.completion,
            opening.stake,
            is_more=opening.is_more,
            may_be_unpriced=not self._refuses_unpriced,
        )

    async def _execute(self, parameters: _Parameters) -> Collection[Mapping[str, Any]]:
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
            return execution.result()
        finally:
            if connection.closed:
                self._connection = None


async def _execute(
    connection: psycopg.AsyncConnection, parameters: _Parameters
) -> list[dict[str, Any]]:
    try:
        with storage_errors():
            async with connection.cursor(row_factory=dict_row) as cursor:
                await cursor.execute(_RECORD, parameters, prepare=True)
                return await cursor.fetchall()
    except psycopg.Error as error:
        # PostgreSQL's own message may quote a value, and with it what a model said.
        where = error.diag.constraint_name or error.diag.column_name or "no constraint"
        raise InternalError(
            f"The ledger refused a row (SQLSTATE {error.sqlstate}, {where})."
        ) from None
