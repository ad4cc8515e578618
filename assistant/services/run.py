"""One completion that is being made in this process: its events, numbered, and who reads them."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import suppress
from enum import Enum, auto
from typing import Protocol
from uuid import UUID

import structlog

from assistant.domain.caller import Caller
from assistant.domain.completion import (
    Completion,
    CompletionFailed,
    CompletionFinished,
    CompletionRequest,
    CompletionStatus,
    ProgressEvent,
    ReasoningDelta,
    StreamEvent,
    TextDelta,
)
from assistant.domain.stream import EventId, LoggedEvent, NumberedEvent, Settled
from assistant.errors import (
    AssistantError,
    CompletionCancelled,
    InternalError,
    ReaderTooSlow,
    StreamInterrupted,
)
from assistant.services.completion import discard
from assistant.services.work import Emit

log = structlog.get_logger(__name__)

# The characters up to which deltas that nobody has read are joined.
_LONGEST_DELTA = 1_000
# After so many events without a reader's turn, readers and connections get one.
_UNREAD_EVENTS = 64
# What is kept in memory of what the replay log has, at least: who is further behind reads it there.
_KEPT_EVENTS = 512
_KEPT_CHARACTERS = 65_536


class Complete(Protocol):
    """Runs the completion ``completion_id`` to its settled end."""

    def __call__(
        self, request: CompletionRequest, emit: Emit, completion_id: UUID
    ) -> Awaitable[Completion]: ...


class Stop(Enum):
    """Why a completion is stopped before its end."""

    ASKED = auto()
    LEFT = auto()
    ABANDONED = auto()
    SHUTDOWN = auto()


class Run:
    """A completion that does not depend on any connection.

    It goes on while anybody reads or waits, and for ``grace_s`` after the last one has left; then
    it is stopped and settled. Deltas that arrive before anybody has read the last one are joined to
    it: a busy client or a busy service gets fewer and longer ones, never late ones. A slow reader
    slows nobody else, because nothing waits for it: who falls too far behind is dropped.

    ``find_settled`` finds what became of a completion that was stopped; ``on_end`` is awaited
    before anybody is told of the end. Implements the LoggedStream port.
    """

    def __init__(
        self,
        completion_id: UUID,
        request: CompletionRequest,
        complete: Complete,
        *,
        emits: bool,
        grace_s: float,
        find_settled: Callable[[], Awaitable[Completion | None]],
        on_end: Callable[[Run], Awaitable[None]],
    ) -> None:
        self.id = completion_id
        self.caller: Caller = request.caller
        self.completion: Completion | None = None
        """What has come of it, once it has ended without an error."""
        self.error: AssistantError | None = None
        """What it has ended with instead."""
        self._grace_s = grace_s
        self._find_settled = find_settled
        self._on_end = on_end
        self._events: list[StreamEvent] = []
        self._first = 0  # the number of the first of them
        self._characters = 0  # in them
        self._fixed = 0  # of how many no more can change: somebody has read them
        self._has_ended = False
        self._unread = 0
        self._waiting: list[asyncio.Future[None]] = []
        self._readers = 0
        self._last_read_at = 0.0
        self._patience: asyncio.TimerHandle | None = None
        self._stop: Stop | None = None
        self._loop = asyncio.get_running_loop()
        self._is_settled = False
        self._task = self._loop.create_task(self._run(request, complete, emits=emits))
        self._task.add_done_callback(lambda _task: self._end_now())

    # ------------------------------------------------------------------------- the producer

    async def _run(self, request: CompletionRequest, complete: Complete, *, emits: bool) -> None:
        try:
            emit = self._emit if emits else discard
            self.completion = await complete(request, emit, self.id)
        except asyncio.CancelledError:
            # Only ``stop`` cancels. It has settled by now.
            await self._find_out_what_was_stopped()
        except AssistantError as error:
            self.error = error
        except Exception:
            log.exception("completion_defect", completion_id=str(self.id))
            self.error = InternalError("Something broke inside the service. It has been logged.")
        self._is_settled = True
        try:
            await self._on_end(self)
        except Exception:  # its readers must hear of the end, whatever happens
            log.exception("completion_defect", completion_id=str(self.id))
        self._end_now()

    def on_done(self, do: Callable[[], None]) -> None:
        """Have ``do`` called when nothing of it runs any more."""
        self._task.add_done_callback(lambda _task: do())

    async def _find_out_what_was_stopped(self) -> None:
        settled: Completion | None = None
        with suppress(AssistantError):
            settled = await self._find_settled()
        status = settled.status if settled else None
        # Who stops it while it is settled comes too late: the answer is there, and is paid for.
        if status is CompletionStatus.SUCCEEDED or (
            status is CompletionStatus.CANCELLED and self._stop is Stop.ASKED
        ):
            self.completion = settled
            return
        match self._stop:
            case Stop.ABANDONED:
                self.error = StreamInterrupted(
                    "This replica was not heard of for so long that another one took its place."
                )
            case Stop.SHUTDOWN:
                self.error = StreamInterrupted(
                    "The replica that made this completion was stopped. Ask again."
                )
            case _:
                self.error = CompletionCancelled("The completion was cancelled.")
        self.error.completion_id = self.id

    def _end_now(self) -> None:
        """Tell of the end; once, also where it was cancelled before it had begun."""
        if self._has_ended:
            return
        self._has_ended = True
        if self.completion is not None:
            self._append(CompletionFinished(self.completion))
        else:
            self.error = self.error or CompletionCancelled("The completion was cancelled.")
            self._append(failed(self.error))

    async def _emit(self, event: ProgressEvent) -> None:
        self._append(event)
        self._unread += 1
        if self._unread % _UNREAD_EVENTS == 0:
            await asyncio.sleep(0)

    def tell(self, events: Sequence[StreamEvent]) -> None:
        """Show readers what was not emitted."""
        for event in events:
            self._append(event)

    def _append(self, event: StreamEvent) -> None:
        if isinstance(event, TextDelta) and self._fixed < self.count:
            last = self._events[-1]
            if isinstance(last, TextDelta) and len(last.text) + len(event.text) <= _LONGEST_DELTA:
                self._events[-1] = TextDelta(last.text + event.text)
                self._characters += len(event.text)
                return
        self._events.append(event)
        self._characters += _length(event)
        waiting, self._waiting = self._waiting, []
        for future in waiting:
            if not future.done():
                future.set_result(None)

    # -------------------------------------------------------------------------- its readers

    @property
    def count(self) -> int:
        """How many events it has had."""
        return self._first + len(self._events)

    @property
    def is_read(self) -> bool:
        """Whether anybody here reads it, or waits for what it comes to."""
        return self._readers > 0

    def is_of(self, caller: Caller) -> bool:
        """Whether it is ``caller``'s own, who is of the same tenant."""
        return caller.owns(self.caller.user_id, self.caller.service_id)

    def has(self, sequence: int) -> bool:
        """Whether what comes from event ``sequence`` on is in memory, or will be."""
        return sequence >= self._first

    async def read(self, after: int) -> AsyncGenerator[NumberedEvent, None]:
        """The events after number ``after``, as they come, to the end.

        Raises: ReaderTooSlow.
        """
        position = after + 1
        self._attend()
        try:
            while True:
                while position < self.count:
                    if position < self._first:
                        raise ReaderTooSlow(str(EventId(self.id, position - 1)))
                    event = self._events[position - self._first]
                    position += 1
                    self._fixed = max(self._fixed, position)
                    self._unread = 0
                    yield NumberedEvent(self.id, position - 1, event)
                if self._has_ended:
                    return
                await self._news()
        finally:
            await self._leave()

    async def result(self) -> Completion:
        """The settled completion. Raises: the AssistantError that it has ended with."""
        self._attend()
        try:
            while not self._has_ended:
                await self._news()
        finally:
            await self._leave()
        if self.completion is not None:
            return self.completion
        assert self.error is not None
        # Everybody who waits has one of their own: raising writes into it.
        raise copy.copy(self.error) from self.error

    async def _news(self) -> None:
        """Wait for the next event."""
        news = self._loop.create_future()
        self._waiting.append(news)
        await news

    def _attend(self) -> None:
        self._readers += 1
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None

    async def _leave(self) -> None:
        self._readers -= 1
        self.let_go()
        if not (self._readers or self._grace_s):
            await self.stop(Stop.LEFT)

    def let_go(self) -> None:
        """Where nobody reads it, wait for somebody who does; where nobody comes, stop."""
        if self._readers or self._has_ended:
            return
        if self._grace_s:
            self._last_read_at = self._loop.time()
            self._be_patient()
        else:
            self._begin_to_stop(Stop.LEFT)

    def _be_patient(self) -> None:
        self._patience = self._loop.call_at(self._last_read_at + self._grace_s, self._lose_patience)

    def _lose_patience(self) -> None:
        if self._loop.time() < self._last_read_at + self._grace_s:
            self._be_patient()
        else:
            self._begin_to_stop(Stop.LEFT)

    # ----------------------------------------------------------------------------- its end

    async def stop(self, why: Stop) -> None:
        """Stop it, and return when it has been settled. Nothing happens to what has ended."""
        self._begin_to_stop(why)
        # Waited for whoever cancels meanwhile: what is cancelled is ending already.
        cancellation: asyncio.CancelledError | None = None
        while not self._task.done():
            try:
                await asyncio.wait([self._task])
            except asyncio.CancelledError as cancelled:
                cancellation = cancelled
        if cancellation is not None:
            raise cancellation

    def _begin_to_stop(self, why: Stop) -> None:
        if self._stop is None and not self._is_settled:
            self._stop = why
            self._task.cancel()

    # ------------------------------------------------------------------- the LoggedStream port

    @property
    def is_ended(self) -> bool:
        return self._has_ended

    def unlogged(self, start: int) -> tuple[int, Sequence[LoggedEvent]]:
        first = max(start, self._first)
        self._fixed = self.count
        return first, [_as_logged(event) for event in self._events[first - self._first :]]

    def was_logged(self, count: int) -> None:
        # Half of it at once: what is in front moves up.
        if len(self._events) > 2 * _KEPT_EVENTS:
            self._forget(min(count, self.count - _KEPT_EVENTS))
        if self._characters > 2 * _KEPT_CHARACTERS:
            kept, start = 0, self.count
            while start > self._first and kept < _KEPT_CHARACTERS:
                start -= 1
                kept += _length(self._events[start - self._first])
            self._forget(min(count, start))

    def _forget(self, first: int) -> None:
        """Keep the events from number ``first`` on."""
        if first > self._first:
            forgotten = self._events[: first - self._first]
            del self._events[: len(forgotten)]
            self._characters -= sum(map(_length, forgotten))
            self._first = first

    def was_followed(self) -> None:
        self._last_read_at = self._loop.time()

    def was_abandoned(self) -> None:
        self._begin_to_stop(Stop.ABANDONED)

    def cancel(self) -> None:
        self._begin_to_stop(Stop.ASKED)


def _length(event: StreamEvent) -> int:
    """The characters of its text."""
    return len(event.text) if isinstance(event, TextDelta | ReasoningDelta) else 0


def _as_logged(event: StreamEvent) -> LoggedEvent:
    return Settled() if isinstance(event, CompletionFinished) else event


def failed(error: AssistantError) -> CompletionFailed:
    """``error`` as the event that ends a stream."""
    return CompletionFailed(
        completion_id=error.completion_id,
        code=error.code,
        message=error.message,
        is_retryable=error.is_retryable,
        retry_after_ms=error.retry_after_ms,
    )
