"""The ledger: an entry opens before anything can refuse it and settles on every way out."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from typing import Protocol, TypeVar
from uuid import UUID

import structlog

from assistant.domain.completion import Completion, CompletionRequest
from assistant.domain.ports import Clock, LedgerStore, Telemetry
from assistant.errors import (
    AssistantError,
    CompletionCancelled,
    EntryReaped,
    InternalError,
    StorageUnavailable,
)
from assistant.services.ledger_entry import LedgerEntry

log = structlog.get_logger(__name__)


class Entry(Protocol):
    """What is known of one piece of paid work while it runs."""

    id: UUID

    @property
    def counted_prompt(self) -> str | None:
        """The prompt's name in metrics; None where no prompt of the catalog was met."""
        ...

    def close(self, error: AssistantError | None) -> Completion:
        """The final record: how the work ended and what it used."""
        ...


E = TypeVar("E", bound=Entry)


class Ledger:
    """Opens and settles entries."""

    def __init__(self, store: LedgerStore, clock: Clock, telemetry: Telemetry) -> None:
        self._store = store
        self._clock = clock
        self._telemetry = telemetry
        self._running = 0
        self._idle = asyncio.Event()
        self._idle.set()

    @property
    def running(self) -> int:
        """How many completions run in this process now."""
        return self._running

    async def drain(self, timeout_s: float) -> None:
        """Wait until no completion runs, at most so long."""
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._idle.wait()

    def entry(
        self, request: CompletionRequest, completion_id: UUID | None = None
    ) -> AbstractAsyncContextManager[LedgerEntry]:
        """An entry for ``request``, as ``settling`` has it; a new id where none is given."""
        id_ = completion_id or self._clock.new_id()
        return self.settling(LedgerEntry(request, id_, self._store, self._clock))

    @asynccontextmanager
    async def settling(self, entry: E) -> AsyncIterator[E]:
        """The entry; settled when the block is left, however it is left.

        Cancellation and defects settle too: the block's exception goes on as it was for a
        cancellation, as an AssistantError that carries the entry's id for all else.

        Raises: StorageUnavailable, EntryReaped, or InternalError for a defect, where the usage of a
        successful block cannot be recorded, because an answer whose usage is not durable is not
        final.
        """
        self._running += 1
        self._idle.clear()
        try:
            yield entry
        except asyncio.CancelledError:
            await self._settle(entry, CompletionCancelled("The completion was cancelled."))
            raise
        except AssistantError as error:
            error.completion_id = entry.id
            await self._settle(entry, error)
            raise
        except Exception as error:
            # Whatever a defect raises, the caller gets a typed error and the ledger its row.
            log.exception("completion_defect", completion_id=str(entry.id))
            defect = _defect(entry)
            await self._settle(entry, defect)
            raise defect from error
        else:
            await self._settle(entry, None)
        finally:
            self._running -= 1
            if not self._running:
                self._idle.set()

    async def _settle(self, entry: Entry, error: AssistantError | None) -> None:
        """Make the end durable, whoever cancels meanwhile."""
        completion = entry.close(error)
        settling = asyncio.ensure_future(self._store.settle(completion))
        cancellation: asyncio.CancelledError | None = None
        while not settling.done():
            try:
                await asyncio.shield(settling)
            except asyncio.CancelledError as cancelled:
                cancellation = cancelled
            except Exception:  # noqa: BLE001 - looked at below, where the future is done
                break
        failure = settling.exception()
        if failure is not None:
            _log_unrecorded(entry, failure)
        self._telemetry.completion_settled(completion, entry.counted_prompt)
        if cancellation is not None:
            raise cancellation
        if failure is not None and error is None:
            if not isinstance(failure, AssistantError):
                raise _defect(entry) from failure
            failure.completion_id = entry.id
            raise failure


def _log_unrecorded(entry: Entry, failure: BaseException) -> None:
    line = log.bind(completion_id=str(entry.id))
    if isinstance(failure, StorageUnavailable | EntryReaped):
        line.error("usage_not_recorded", reason=failure.message)
    else:
        line.error("usage_not_recorded", exc_info=failure)


def _defect(entry: Entry) -> InternalError:
    defect = InternalError("Something broke inside the service. It has been logged.")
    defect.completion_id = entry.id
    return defect
