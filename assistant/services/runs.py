"""Every completion that a client asks for: begun, joined, taken up again, stopped."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import aclosing, suppress
from itertools import count
from uuid import UUID

from assistant.domain.caller import Caller, Scope
from assistant.domain.completion import (
    Completion,
    CompletionFailed,
    CompletionFinished,
    CompletionRequest,
    CompletionStatus,
    StreamEvent,
)
from assistant.domain.ports import Clock, CompletionStore, StreamLog, Telemetry
from assistant.domain.stream import EventId, NumberedEvent, Resumption
from assistant.errors import (
    AssistantError,
    BadUserInput,
    ReaderTooSlow,
    ResumeExpired,
    StorageUnavailable,
    StreamInterrupted,
    StreamUnreadable,
    error_of,
)
from assistant.services.idempotency import Idempotency
from assistant.services.replay import retold
from assistant.services.run import Complete, Run, Stop, failed
from assistant.services.stream_following import NotLogged, StreamFollowing, not_found

# How long another replica may take to stop a completion, how often it is looked, and after how many
# looks it is told again.
_STOP_TIMEOUT_S = 5.0
_STOP_LOOK_S = 0.05
_STOP_LOOKS = 20
# A database that does not answer must not keep the process alive.
_CLOSE_TIMEOUT_S = 5.0


class _CameToNothing(Exception):
    """The completion that has the key has no result: somebody else may have the key."""


class Runs:
    """Completions that clients have asked for, whichever replica makes them.

    ``grace_s`` is for how long a stream goes on that nobody reads.
    """

    def __init__(
        self,
        *,
        complete: Complete,
        store: CompletionStore,
        log: StreamLog,
        idempotency: Idempotency,
        clock: Clock,
        telemetry: Telemetry,
        grace_s: float,
    ) -> None:
        self._complete = complete
        self._store = store
        self._log = log
        self._idempotency = idempotency
        self._clock = clock
        self._telemetry = telemetry
        self._grace_s = grace_s
        self._following = StreamFollowing(log, store, clock)
        self._running: dict[UUID, Run] = {}

    @property
    def by_state(self) -> Mapping[tuple[str, ...], int]:
        """How many are made here that somebody reads, and that nobody here does."""
        read = sum(run.is_read for run in self._running.values())
        return {("read",): read, ("unread",): len(self._running) - read}

    # ------------------------------------------------------------------------------- asking

    async def complete(self, request: CompletionRequest) -> Completion:
        """The settled answer to ``request``, or to the first with its key.

        Without a key, who stops waiting stops the completion. With one it goes on for the grace.

        Raises: every AssistantError.
        """
        if not _is_keyed(request):
            return await self._begin(request, self._clock.new_id()).result()
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

    async def stream(
        self, request: CompletionRequest, *, survives: bool = True
    ) -> AsyncGenerator[NumberedEvent, None]:
        """The events of a completion of ``request``, or of the first with its key, from the first.

        The last one is CompletionFinished or CompletionFailed: expected failures are data. It goes
        on for the grace when this is closed; where it does not survive, it is settled by then.

        Raises: ReaderTooSlow; StreamUnreadable where it has joined one that cannot be read on.
        """
        sequence, id_ = 0, self._clock.new_id()
        if _is_keyed(request):
            source = self._keyed_events(request, id_)
        else:
            grace_s = self._grace_s if survives else 0.0
            run = self._begin(request, id_, emits=True, is_kept=survives, grace_s=grace_s)
            source = run.read(-1)
        try:
            async with aclosing(source) as events:
                async for event in events:
                    sequence, id_ = event.sequence + 1, event.completion_id
                    yield event
        except ReaderTooSlow:
            self._telemetry.reader_dropped()
            raise
        except AssistantError as error:
            if sequence and isinstance(error, StorageUnavailable):
                # It goes on, and has something else under the number that this would have.
                raise StreamUnreadable(str(EventId(id_, sequence - 1))) from error
            error.completion_id = error.completion_id or id_
            yield NumberedEvent(error.completion_id, sequence, failed(error))

    async def _keyed_events(
        self, request: CompletionRequest, id_: UUID
    ) -> AsyncGenerator[NumberedEvent, None]:
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
            return self._begin(request, id_, emits=emits, is_kept=True)

        claiming = asyncio.create_task(claim())
        try:
            return await asyncio.shield(claiming)
        except asyncio.CancelledError:
            claiming.add_done_callback(_let_go)
            raise

    def _begin(
        self,
        request: CompletionRequest,
        id_: UUID,
        *,
        emits: bool = False,
        is_kept: bool = False,
        grace_s: float | None = None,
    ) -> Run:
        if grace_s is None:
            grace_s = self._grace_s if is_kept else 0.0

        async def find_settled() -> Completion | None:
            return await self._following.find_completion(request.caller, id_)

        async def on_end(run: Run) -> None:
            if is_kept and not emits and run.completion is not None:
                run.tell(retold(run.completion))
            if _is_keyed(request):
                with suppress(StorageUnavailable):
                    await self._idempotency.settle(request, run)

        run = Run(
            id_,
            request,
            self._complete,
            emits=emits,
            grace_s=grace_s,
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

    # ------------------------------------------------------------------------------ joining

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
        if holder not in self._running:
            await asyncio.sleep(0)  # who has claimed the key a moment ago begins now
        return self._running.get(holder)

    # -------------------------------------------------------------------- taking up, stopping

    async def resume(
        self, caller: Caller, completion_id: UUID, after: EventId | None
    ) -> AsyncGenerator[NumberedEvent, None]:
        """The events of the caller's completion after ``after``, or from the first, to the end.

        Never begins a completion. Expected failures are data.

        Raises: ReaderTooSlow; StreamUnreadable where the log or the ledger cannot be asked.
        """
        position = -1 if after is None else after.sequence
        sequence = position + 1
        try:
            caller.require(Scope.COMPLETE)
            if after is not None and after.completion_id != completion_id:
                raise BadUserInput(
                    "lastEventId is of another completion.", path=("resume", "lastEventId")
                )
            async with aclosing(self._events(caller, completion_id, position)) as events:
                async for event in events:
                    sequence = event.sequence + 1
                    yield event
        except ReaderTooSlow:
            self._telemetry.reader_dropped()
            raise
        except StorageUnavailable as error:
            # Nobody knows what comes next, so nothing may be told as an event, and as the last one.
            self._telemetry.stream_resumed(Resumption.REFUSED)
            had = None if sequence == 0 else str(EventId(completion_id, sequence - 1))
            raise StreamUnreadable(had) from error
        except AssistantError as error:
            self._telemetry.stream_resumed(Resumption.REFUSED)
            error.completion_id = completion_id
            yield NumberedEvent(completion_id, sequence, failed(error))

    async def is_over(self, caller: Caller, completion_id: UUID, after: EventId | None) -> bool:
        """Whether the caller's stream has ended, and has nothing after ``after``. Never raises."""
        run = self._running.get(completion_id)
        if after is None or (run is not None and not run.is_ended):
            return False
        with suppress(AssistantError):
            return await self._following.is_over(caller, completion_id, after.sequence)
        return False

    async def _events(
        self, caller: Caller, completion_id: UUID, after: int
    ) -> AsyncGenerator[NumberedEvent, None]:
        resumption: Resumption | None
        run = self._running.get(completion_id)
        if run is not None and not (run.caller.tenant_id == caller.tenant_id and run.is_of(caller)):
            raise not_found()
        if run is not None and run.has(after + 1):
            resumption, events = Resumption.HERE, run.read(after)
        else:
            resumption = Resumption.ELSEWHERE
            events = self._following.follow(caller, completion_id, after)
        try:
            async with aclosing(events):
                async for event in events:
                    if resumption is not None:
                        self._telemetry.stream_resumed(resumption)
                        resumption = None
                    yield event
        except NotLogged as unknown:
            if unknown.completion is None:
                raise not_found() from None
            raise ResumeExpired(
                "The events of this completion are no longer kept. What it came to is: ask for it "
                "by its id."
            ) from None

    async def cancel(self, caller: Caller, completion_id: UUID) -> Completion | None:
        """Stop the completion, wherever it is made, and return it as it ended.

        It is the caller's own, or of their tenant for administrators. One that has ended is left
        as it is. None where it was stopped before a model was asked.

        Raises: Forbidden, NotFound, StorageUnavailable where nobody stops it.
        """
        caller.require(Scope.COMPLETE)
        run = self._running.get(completion_id)
        if run is not None and run.caller.tenant_id == caller.tenant_id:
            if not (caller.may(Scope.ADMIN) or run.is_of(caller)):
                raise not_found()
            await run.stop(Stop.ASKED)
            return _shown(await self._find(caller, completion_id))
        completion = await self._find(caller, completion_id)
        if completion is not None and completion.status is not CompletionStatus.RUNNING:
            return _shown(completion)
        if completion is None and not await self._following.is_made_elsewhere(
            caller, completion_id
        ):
            raise not_found()
        with suppress(TimeoutError):
            async with asyncio.timeout(_STOP_TIMEOUT_S):
                for look in count():
                    if look % _STOP_LOOKS == 0:
                        # Again and again: a replica that has lost its listener hears nothing.
                        await self._log.cancel(caller.tenant_id, completion_id)
                    await asyncio.sleep(_STOP_LOOK_S)
                    completion = await self._find(caller, completion_id)
                    if completion and completion.status is not CompletionStatus.RUNNING:
                        return _shown(completion)
        raise StorageUnavailable(
            "The replica that makes it does not answer. It is settled for it within two minutes.",
            retry_after_s=60.0,
        )

    def cancel_here(self, tenant_id: str, completion_id: UUID) -> None:
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

    async def _find(self, caller: Caller, completion_id: UUID) -> Completion | None:
        """The caller's completion, also one that was refused before a model was chosen."""
        found = await self._store.find_completions(caller.tenant_id, [completion_id])
        completion = found.get(completion_id)
        if completion is None:
            return None
        owner = completion.caller
        is_theirs = caller.may(Scope.ADMIN) or caller.owns(owner.user_id, owner.service_id)
        return completion if is_theirs else None


def _shown(completion: Completion | None) -> Completion | None:
    """None where no model was asked: there is usage of it, but nothing to show."""
    return completion if completion is not None and completion.model else None


def _is_keyed(request: CompletionRequest) -> bool:
    """Whether its key counts: who may not ask, or asks nonsense, is told so by the flow."""
    if request.idempotency_key is None or not request.caller.may(Scope.COMPLETE):
        return False
    try:
        request.check()  # of what cannot be carried there is no fingerprint either
    except BadUserInput:
        return False
    return True


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
