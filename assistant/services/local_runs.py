"""The completions that this process makes."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from uuid import UUID

from assistant.domain.completion import Completion, CompletionRequest
from assistant.domain.ports import StreamLog
from assistant.errors import StorageUnavailable
from assistant.services.idempotency import Idempotency, is_keyed
from assistant.services.replay import retold
from assistant.services.run import Complete, Run, Stop
from assistant.services.stream_following import StreamFollowing

# A database that does not answer must not keep the process alive.
_CLOSE_TIMEOUT_S = 5.0


class LocalRuns:
    """Begins runs and knows them until nothing of them runs any more.

    ``grace_s`` is for how long one that may be joined or resumed goes on that nobody reads.
    """

    def __init__(
        self,
        *,
        complete: Complete,
        following: StreamFollowing,
        log: StreamLog,
        idempotency: Idempotency,
        grace_s: float,
    ) -> None:
        self._complete = complete
        self._following = following
        self._log = log
        self._idempotency = idempotency
        self._grace_s = grace_s
        self._running: dict[UUID, Run] = {}

    @property
    def by_state(self) -> Mapping[tuple[str, ...], int]:
        """How many somebody reads, and how many nobody here does."""
        read = sum(run.is_read for run in self._running.values())
        return {("read",): read, ("unread",): len(self._running) - read}

    def find(self, completion_id: UUID) -> Run | None:
        """The run of the completion, whosever it is."""
        return self._running.get(completion_id)

    def begin(
        self,
        request: CompletionRequest,
        id_: UUID,
        *,
        emits: bool = False,
        is_kept: bool = False,
    ) -> Run:
        """Make the completion ``id_`` of ``request``.

        ``emits``: as it comes. ``is_kept``: with a grace, and in the replay log, so that whoever
        has left can come back.
        """

        async def find_settled() -> Completion | None:
            return await self._following.find_completion(request.caller, id_)

        async def on_end(run: Run) -> None:
            if is_kept and not emits and run.completion is not None:
                run.tell(retold(run.completion))
            if is_keyed(request):
                with suppress(StorageUnavailable):
                    await self._idempotency.settle(request, run)

        run = Run(
            id_,
            request,
            self._complete,
            emits=emits,
            grace_s=self._grace_s if is_kept else 0.0,
            find_settled=find_settled,
            on_end=on_end,
        )
        self._running[id_] = run
        run.on_done(lambda: self._forget(id_))
        if is_kept:
            self._log.keep(run)
        return run

    def _forget(self, completion_id: UUID) -> None:
        del self._running[completion_id]

    def cancel(self, tenant_id: str, completion_id: UUID) -> None:
        """Stop the completion if it is made here: another replica was asked to."""
        run = self._running.get(completion_id)
        if run is not None and run.caller.tenant_id == tenant_id:
            run.cancel()

    async def close(self) -> None:
        """Stop whatever still runs, and tell its readers; as much as a few seconds allow."""
        stopping = [
            asyncio.ensure_future(run.stop(Stop.SHUTDOWN)) for run in self._running.values()
        ]
        if stopping:
            await asyncio.wait(stopping, timeout=_CLOSE_TIMEOUT_S)
