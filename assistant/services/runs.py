"""Every completion that a client asks for: begun, joined, taken up again, stopped."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from itertools import count
from uuid import UUID

from assistant.domain.caller import Caller, Scope
from assistant.domain.completion import Completion, CompletionRequest, CompletionStatus
from assistant.domain.ports import Clock, CompletionStore, StreamLog, Telemetry
from assistant.domain.stream import EventId, NumberedEvent, Resumption
from assistant.errors import (
    AssistantError,
    BadUserInput,
    ReaderTooSlow,
    ResumeExpired,
    StorageUnavailable,
    StreamUnreadable,
)
from assistant.services.idempotency import Idempotency, is_keyed
from assistant.services.keyed_runs import KeyedRuns
from assistant.services.local_runs import LocalRuns
from assistant.services.run import Complete, Run, Stop, failed
from assistant.services.stream_following import NotLogged, StreamFollowing, not_found

# How long another replica may take to stop a completion, how often it is looked, and after how many
# looks it is told again.
_STOP_TIMEOUT_S = 5.0
_STOP_LOOK_S = 0.05
_STOP_LOOKS = 20


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
        self._store = store
        self._log = log
        self._clock = clock
        self._telemetry = telemetry
        self._following = StreamFollowing(log, store, clock)
        self.local = LocalRuns(
            complete=complete,
            following=self._following,
            log=log,
            idempotency=idempotency,
            grace_s=grace_s,
        )
        """Those that are made here."""
        self._keyed = KeyedRuns(
            local=self.local, following=self._following, idempotency=idempotency, clock=clock
        )

    # ------------------------------------------------------------------------------- asking

    async def complete(self, request: CompletionRequest) -> Completion:
        """The settled answer to ``request``, or to the first with its key.

        Without a key, who stops waiting stops the completion. With one it goes on for the grace.

        Raises: every AssistantError.
        """
        if is_keyed(request):
            return await self._keyed.complete(request)
        return await self.local.begin(request, self._clock.new_id()).result()

    async def stream(
        self, request: CompletionRequest, *, survives: bool = True
    ) -> AsyncGenerator[NumberedEvent, None]:
        """The events of a completion of ``request``, or of the first with its key, from the first.

        The last one is CompletionFinished or CompletionFailed: expected failures are data. It goes
        on for the grace when this is closed; where it does not survive, it is settled by then.

        Raises: ReaderTooSlow; StreamUnreadable where it has joined one that cannot be read on.
        """
        sequence, id_ = 0, self._clock.new_id()
        if is_keyed(request):
            source = self._keyed.events(request, id_)
        else:
            source = self.local.begin(request, id_, emits=True, is_kept=survives).read(-1)
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
        """Whether the caller's stream has ended, and has nothing after ``after``.

        Raises: NotFound, ResumeExpired, StorageUnavailable.
        """
        if self._find_local(caller, completion_id) is not None:
            return False
        position = -1 if after is None else after.sequence
        try:
            return await self._following.is_over(caller, completion_id, position)
        except NotLogged as unknown:
            raise _not_kept(unknown) from None

    def _find_local(self, caller: Caller, completion_id: UUID) -> Run | None:
        """The caller's completion where it is made here. Raises NotFound where it is another's."""
        run = self.local.find(completion_id)
        if run is not None and not (run.caller.tenant_id == caller.tenant_id and run.is_of(caller)):
            raise not_found()
        return run

    async def _events(
        self, caller: Caller, completion_id: UUID, after: int
    ) -> AsyncGenerator[NumberedEvent, None]:
        resumption: Resumption | None
        run = self._find_local(caller, completion_id)
        if run is not None and after >= run.count:
            raise BadUserInput(
                f"The stream has come to its event {run.count - 1}.",
                path=("resume", "lastEventId"),
            )
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
            raise _not_kept(unknown) from None

    async def cancel(self, caller: Caller, completion_id: UUID) -> Completion | None:
        """Stop the completion, wherever it is made, and return it as it ended.

        It is the caller's own, or of their tenant for administrators. One that has ended is left
        as it is. None where it was stopped before a model was asked.

        Raises: Forbidden, NotFound, StorageUnavailable where nobody stops it.
        """
        caller.require(Scope.COMPLETE)
        run = self.local.find(completion_id)
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

    async def _find(self, caller: Caller, completion_id: UUID) -> Completion | None:
        """The caller's completion, also one that was refused before a model was chosen."""
        found = await self._store.find_completions(caller.tenant_id, [completion_id])
        completion = found.get(completion_id)
        if completion is None:
            return None
        owner = completion.caller
        is_theirs = caller.may(Scope.ADMIN) or caller.owns(owner.user_id, owner.service_id)
        return completion if is_theirs else None


def _not_kept(unknown: NotLogged) -> AssistantError:
    if unknown.completion is None:
        return not_found()
    return ResumeExpired(
        "The events of this completion are not kept, or no longer. Its result is: ask for the "
        "completion by its id."
    )


def _shown(completion: Completion | None) -> Completion | None:
    """None where no model was asked: there is usage of it, but nothing to show."""
    return completion if completion is not None and completion.model else None
