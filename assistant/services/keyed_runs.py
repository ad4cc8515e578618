"""Requests with an idempotency key: the first of them is done, and the others join it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from uuid import UUID

from assistant.domain.completion import (
    Completion,
    CompletionFailed,
    CompletionFinished,
    CompletionRequest,
    CompletionStatus,
    StreamEvent,
)
from assistant.domain.ports import Clock
from assistant.domain.stream import NumberedEvent
from assistant.errors import AssistantError, StreamInterrupted, error_of
from assistant.services.idempotency import Idempotency
from assistant.services.local_runs import LocalRuns
from assistant.services.replay import retold
from assistant.services.run import Run
from assistant.services.stream_following import NotLogged, StreamFollowing


class _CameToNothing(Exception):
    """The completion that has the key has no result: somebody else may have the key."""


class KeyedRuns:
    """Answers each request by the completion that has its key, wherever it is made, or was."""

    def __init__(
        self,
        *,
        local: LocalRuns,
        following: StreamFollowing,
        idempotency: Idempotency,
        clock: Clock,
    ) -> None:
        self._local = local
        self._following = following
        self._idempotency = idempotency
        self._clock = clock

    async def complete(self, request: CompletionRequest) -> Completion:
        """What the completion that has the key came or comes to. Raises: every AssistantError."""
        instead_of: UUID | None = None
        while True:
            id_ = self._clock.new_id()
            holder = await self._claim(request, id_, instead_of)
            if isinstance(holder, Run):
                return await holder.result()
            try:
                return await self._result(request, holder)
            except _CameToNothing:
                instead_of = holder

    async def events(
        self, request: CompletionRequest, id_: UUID
    ) -> AsyncGenerator[NumberedEvent, None]:
        """Its events, from the first; it is ``id_`` where nobody has the key.

        Raises: every AssistantError.
        """
        instead_of: UUID | None = None
        while True:
            holder = await self._claim(request, id_, instead_of, emits=True)
            if isinstance(holder, Run):
                events, holder = holder.read(-1), id_
            else:
                events = self._join(request, holder)
            try:
                async with aclosing(events):
                    async for event in events:
                        yield event
                return
            except _CameToNothing:
                instead_of = holder

    async def _claim(
        self, request: CompletionRequest, id_: UUID, instead_of: UUID | None, *, emits: bool = False
    ) -> Run | UUID:
        """A run of its own where ``request`` has its key now; else the completion that has it.

        Who leaves meanwhile may have the key already. It is begun all the same, and has its grace:
        whoever asks again finds it, and does not wait for one that never began.
        """

        async def claim() -> Run | UUID:
            holder = await self._idempotency.claim(request, id_, instead_of)
            if holder != id_:
                return holder
            return self._local.begin(request, id_, emits=emits, is_kept=True)

        claiming = asyncio.create_task(claim())
        try:
            return await asyncio.shield(claiming)
        except asyncio.CancelledError:
            claiming.add_done_callback(_let_go)
            raise

    async def _result(self, request: CompletionRequest, holder: UUID) -> Completion:
        """What the completion ``holder`` came or comes to. Raises: as ``_join``, and its error."""
        run = await self._find_here(holder)
        if run is not None:
            return await run.result()
        last: StreamEvent | None = None
        async with aclosing(self._join(request, holder)) as events:
            async for numbered in events:
                last = numbered.event
        match last:
            case CompletionFinished(completion):
                return completion
            case CompletionFailed():
                if await self._following.was_abandoned(request.caller, holder):
                    raise _CameToNothing
                raise _error_of(last)
            case _:
                raise _CameToNothing

    async def _join(
        self, request: CompletionRequest, holder: UUID
    ) -> AsyncGenerator[NumberedEvent, None]:
        """The events of the completion ``holder``, from the first.

        Raises: _CameToNothing where it had ended without a result when it was looked for.
        """
        run = await self._find_here(holder)
        if run is not None and run.has(0):
            async with aclosing(run.read(-1)) as events:
                async for event in events:
                    yield event
            return
        try:
            if await self._following.came_to_nothing(request.caller, holder):
                raise _CameToNothing
            async with aclosing(self._following.follow(request.caller, holder, -1)) as events:
                async for event in events:
                    yield event
        except NotLogged as unknown:
            for event in _as_known(holder, unknown.completion):
                yield event

    async def _find_here(self, holder: UUID) -> Run | None:
        """The completion that has a key, where it is made in this process."""
        if self._local.find(holder) is None:
            await asyncio.sleep(0)  # who has claimed the key a moment ago begins now
        return self._local.find(holder)


def _let_go(claiming: asyncio.Task[Run | UUID]) -> None:
    if claiming.cancelled() or claiming.exception() is not None:
        return  # who would be told has left
    holder = claiming.result()
    if isinstance(holder, Run):
        holder.let_go()


def _as_known(holder: UUID, completion: Completion | None) -> Iterator[NumberedEvent]:
    """The events of a completion of which only the ledger knows. Raises _CameToNothing."""
    if completion is None or completion.status is CompletionStatus.FAILED:
        raise _CameToNothing
    if completion.status is CompletionStatus.RUNNING:
        raise StreamInterrupted(
            "The first request with this key was interrupted, and is being cleared up. Ask again.",
            retry_after_s=10.0,
        )
    for sequence, event in enumerate([*retold(completion), CompletionFinished(completion)]):
        yield NumberedEvent(holder, sequence, event)


def _error_of(event: CompletionFailed) -> AssistantError:
    retry_after_s = None if event.retry_after_ms is None else event.retry_after_ms / 1000
    error = error_of({"code": event.code, "message": event.message, "retry_after_s": retry_after_s})
    error.completion_id = event.completion_id
    return error
