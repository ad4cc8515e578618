"""Streams that are not made in this process, or no longer: read from the replay log."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from datetime import timedelta
from uuid import UUID

from assistant.domain.caller import Caller, Scope
from assistant.domain.completion import (
    Completion,
    CompletionFailed,
    CompletionFinished,
    CompletionStatus,
    StreamEvent,
)
from assistant.domain.identifier import find_time
from assistant.domain.ports import Clock, CompletionStore, StreamLog
from assistant.domain.stream import LoggedEvent, LogPage, NumberedEvent, Settled
from assistant.errors import (
    BadUserInput,
    InternalError,
    NotFound,
    ResumeExpired,
    StreamInterrupted,
)
from assistant.services.replay import retold, text_after, text_deltas
from assistant.services.run import failed

# So many looks in a row at a silent maker, and it is taken for dead.
_SILENT_LOOKS = 3
# For so long after a completion was asked for the log may not have heard of it yet. Looks in vain
# are a second apart as well.
_FIRST_WRITE = timedelta(seconds=3)
_LOOKS_IN_VAIN = 3
# After this event there is nothing but the stream's state.
_PAST_THE_END = 2**31 - 2
_RESULTS = (CompletionStatus.SUCCEEDED, CompletionStatus.CANCELLED)


class NotLogged(Exception):
    """The log knows nothing of the stream; ``completion`` is what the ledger knows, if anything."""

    def __init__(self, completion: Completion | None) -> None:
        super().__init__()
        self.completion = completion


class StreamFollowing:
    """Follows what other replicas make, and ends what those left behind that have died."""

    def __init__(self, log: StreamLog, store: CompletionStore, clock: Clock) -> None:
        self._log = log
        self._store = store
        self._clock = clock

    async def follow(
        self, caller: Caller, completion_id: UUID, after: int
    ) -> AsyncGenerator[NumberedEvent, None]:
        """The events after number ``after``, as they come, to the end.

        Raises: NotFound where it is not the caller's, ResumeExpired where these events are no
        longer kept, NotLogged where there are none, StorageUnavailable.
        """
        position = after + 1
        async with aclosing(self._pages(caller, completion_id, after)) as pages:
            async for page in pages:
                if page.is_torn:
                    # It broke off before what this reader had heard from its maker itself.
                    yield NumberedEvent(completion_id, position, interrupted(completion_id))
                    return
                if page.is_ended and not page.is_abandoned and page.count < position:
                    raise BadUserInput(
                        f"The stream has ended with its event {page.count - 1}.",
                        path=("resume", "lastEventId"),
                    )
                if page.events and page.first > position:
                    raise ResumeExpired(
                        "The stream is no longer kept from that event on. Its result is, where it "
                        "has one: ask for the completion by its id."
                    )
                for event in page.events:
                    told = await self._as_told(caller, completion_id, event)
                    yield NumberedEvent(completion_id, position, told)
                    position += 1
                if page.is_ended:
                    return

    async def came_to_nothing(self, caller: Caller, completion_id: UUID) -> bool:
        """Whether it has ended without a result, also where its maker has died just now.

        It is one that a key has been given to: it has begun, or is about to.

        Raises: as ``follow``.
        """
        is_abandoned = False
        pages = self._pages(caller, completion_id, _PAST_THE_END, has_key=True)
        async with aclosing(pages):
            async for page in pages:
                if page.is_ended:
                    is_abandoned = page.is_abandoned
                    break
                if not page.is_silent:
                    return False
        completion = await self.find_completion(caller, completion_id)
        if completion is None or completion.status not in _RESULTS:
            return True
        if is_abandoned:
            # It was settled after all, by one that had been taken for dead.
            events = await self._all_events(caller, completion_id)
            if not (events and isinstance(events[-1], Settled)):
                raise NotLogged(completion)
        return False

    async def was_abandoned(self, caller: Caller, completion_id: UUID) -> bool:
        """Whether its maker died before its end."""
        pages = self._log.follow(caller.tenant_id, completion_id, _PAST_THE_END)
        async with aclosing(pages):
            async for page in pages:
                return page is not None and page.is_abandoned
        return False

    async def is_over(self, caller: Caller, completion_id: UUID, after: int) -> bool:
        """Whether it has ended, and has nothing after event number ``after``.

        Raises: as ``follow``.
        """
        async with aclosing(self._pages(caller, completion_id, _PAST_THE_END)) as pages:
            async for page in pages:
                return page.is_ended and page.count <= after + 1
        return False

    async def is_made_elsewhere(self, caller: Caller, completion_id: UUID) -> bool:
        """Whether the log has a stream of the caller's that has not ended, or of their tenant for
        administrators.
        """
        pages = self._log.follow(caller.tenant_id, completion_id, _PAST_THE_END)
        async with aclosing(pages):
            async for page in pages:
                return (
                    page is not None
                    and not page.is_ended
                    and (caller.may(Scope.ADMIN) or caller.owns(page.user_id, page.service_id))
                )
        return False

    async def _pages(
        self, caller: Caller, completion_id: UUID, after: int, *, has_key: bool = False
    ) -> AsyncGenerator[LogPage, None]:
        """What the log has of the caller's stream, which is ended on the way if its maker has died.

        Raises: NotFound, NotLogged, StorageUnavailable.
        """
        silent_looks = looks_in_vain = 0
        async with aclosing(self._log.follow(caller.tenant_id, completion_id, after)) as pages:
            async for page in pages:
                if page is None:
                    looks_in_vain += 1
                    await self._require_patience(
                        caller, completion_id, looks_in_vain, has_key=has_key
                    )
                    continue
                if not caller.owns(page.user_id, page.service_id):
                    raise not_found()
                yield page
                silent_looks = silent_looks + 1 if page.is_silent else 0
                if silent_looks >= _SILENT_LOOKS:
                    await self._abandon(caller, completion_id, page)

    async def find_completion(self, caller: Caller, completion_id: UUID) -> Completion | None:
        """What the ledger has of the caller's own completion."""
        found = await self._store.find_completions(caller.tenant_id, [completion_id])
        completion = found.get(completion_id)
        if completion is None or not completion.model:
            return None
        owner = completion.caller
        return completion if caller.owns(owner.user_id, owner.service_id) else None

    async def _require_patience(
        self, caller: Caller, completion_id: UUID, looks: int, *, has_key: bool = False
    ) -> None:
        """Raises NotLogged unless the log may hear of it yet, after so many looks in vain."""
        completion = await self.find_completion(caller, completion_id)
        if completion is None:
            # How old the id is says nothing of when it was given the key, let alone by whose clock.
            asked_at = find_time(completion_id)
            may_come = has_key or (
                asked_at is not None and self._clock.now() - asked_at < _FIRST_WRITE
            )
        else:
            # Whoever makes it writes it down anew where the database has lost it, and may not have
            # written what it came to a moment ago.
            ended_at = completion.created_at + timedelta(milliseconds=completion.latency_ms)
            may_come = (
                completion.status is CompletionStatus.RUNNING
                or self._clock.now() - ended_at < _FIRST_WRITE
            )
        if not may_come or looks > _LOOKS_IN_VAIN:
            raise NotLogged(completion)

    async def _as_told(
        self, caller: Caller, completion_id: UUID, event: LoggedEvent
    ) -> StreamEvent:
        if not isinstance(event, Settled):
            return event
        completion = await self.find_completion(caller, completion_id)
        if completion is None:
            raise InternalError("The completion is settled, and its record is not there.")
        return CompletionFinished(completion)

    async def _abandon(self, caller: Caller, completion_id: UUID, page: LogPage) -> None:
        """Write the end that the dead maker did not write: that it is gone, unless it was done."""
        completion = await self.find_completion(caller, completion_id)
        events: Sequence[LoggedEvent] = [interrupted(completion_id)]
        if completion is not None and completion.status is CompletionStatus.SUCCEEDED:
            said = await self._all_events(caller, completion_id)
            if said == []:
                events = [*retold(completion), Settled()]
            elif said and completion.text.startswith(told := text_after(said)):
                events = [*text_deltas(completion.text.removeprefix(told)), Settled()]
        await self._log.abandon(caller.tenant_id, completion_id, page.count, events)

    async def _all_events(self, caller: Caller, completion_id: UUID) -> list[LoggedEvent] | None:
        """All that the log has; None where it has lost the beginning."""
        events: list[LoggedEvent] = []
        pages = self._log.follow(caller.tenant_id, completion_id, -1)
        async with aclosing(pages):
            async for page in pages:
                if page is None or (page.events and page.first > len(events)):
                    return None
                events += page.events
                if not page.events or len(events) >= page.count:
                    break
        return events


def interrupted(completion_id: UUID) -> CompletionFailed:
    """The end of a stream whose maker has died."""
    error = StreamInterrupted(
        "The replica that made this completion is gone. Ask again; with the same idempotencyKey "
        "nothing that was answered is paid twice."
    )
    error.completion_id = completion_id
    return failed(error)


def not_found() -> NotFound:
    return NotFound("There is no such completion, or it is not yours.")
