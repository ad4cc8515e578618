"""One answer for everybody who asks the same at the same time: one pays, the others ride along."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from assistant.domain.cache import CachedAnswer, CacheOutcome, CacheVerdict
from assistant.domain.completion import CompletionStarted, ProgressEvent, TextDelta
from assistant.domain.model import Model
from assistant.errors import AdmissionRefused, AssistantError, CompletionCancelled, InternalError
from assistant.services.ledger_entry import LedgerEntry
from assistant.services.work import Emit

# How far the quickest of those aboard may be behind before the provider is read no faster.
_MAX_LAG = 64
# The characters of one event where an answer is whole already, and streamed all the same.
_PIECE = 1_000

_FAILED_WITH_IT = CacheVerdict(
    CacheOutcome.MISS, "The same request was being answered, and its failure is this one's."
)
_LEFT = CacheVerdict(CacheOutcome.MISS, "It was given up before there was an answer.")


@dataclass(frozen=True, slots=True)
class Found:
    """What became of a question: an answer, and what those aboard are told of where it is from.

    ``payer_verdict``: a model was asked, and this is what the one is told who pays for it.
    """

    answer: CachedAnswer
    model: Model
    verdict: CacheVerdict
    payer_verdict: CacheVerdict | None = None


FindOut: TypeAlias = Callable[["Flight"], Awaitable[Found]]


@dataclass(slots=True, eq=False)
class _Rider:
    """Somebody aboard. ``position`` is of the next event to be told; None: only the end counts.

    ``refusal`` is set where they were to pay and may not: they get off with it.
    """

    entry: LedgerEntry
    position: int | None
    refusal: asyncio.Future[AssistantError]


class Flight:
    """A question on its way. Whoever asks it boards; the first one pays for what it takes.

    It goes on for as long as anybody is aboard: a payer who leaves hands over to the next and is
    charged nothing; the last one who leaves stops it, and is charged for what was received.
    ``draft`` is the entry that is filled on the way.
    """

    def __init__(self, payer: LedgerEntry, find_out: FindOut) -> None:
        self.draft = payer.draft()
        self.events: list[ProgressEvent] = []
        self._payer: LedgerEntry = payer
        self._riders: list[_Rider] = []
        self._news = asyncio.Event()
        self._room = asyncio.Event()
        self._is_stopped = False
        self._task = asyncio.ensure_future(find_out(self))
        self._task.add_done_callback(lambda _task: self._wake())

    @property
    def is_over(self) -> bool:
        """Whether it is too late to board."""
        return self._is_stopped or self._task.done()

    def on_end(self, do: Callable[[], None]) -> None:
        """Have ``do`` called when it is over, whoever waits for it then."""
        self._task.add_done_callback(lambda _task: do())

    async def emit(self, event: ProgressEvent) -> None:
        """Tell everybody aboard, also who boards later. Waits while all of them are far behind."""
        self.events.append(event)
        self._wake()
        while len(self.events) - self._furthest > _MAX_LAG:
            self._room.clear()
            await self._room.wait()

    async def ride(self, entry: LedgerEntry, emit: Emit | None) -> None:
        """Emit the flight's events from the first one on, and fill ``entry`` with its answer.

        Raises: the AssistantError that the flight ended with.
        """
        refusal: asyncio.Future[AssistantError] = asyncio.get_running_loop().create_future()
        rider = _Rider(entry, None if emit is None else 0, refusal)
        self._riders.append(rider)
        self._room.set()
        try:
            if emit is None:
                ends: list[asyncio.Future[Any]] = [self._task, refusal]
                await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            else:
                await self._tell(rider, emit)
        except BaseException:
            await self._leave(rider)
            raise
        if refusal.done():
            raise refusal.result()
        self._settle(entry)

    async def _tell(self, rider: _Rider, emit: Emit) -> None:
        position = 0
        while True:
            while position < len(self.events):
                event = self.events[position]
                rider.position = position = position + 1
                for each in self._personal(event, rider.entry):
                    await emit(each)
                self._room.set()
            if self._task.done() or rider.refusal.done():
                return
            await self._news.wait()

    def _personal(self, event: ProgressEvent, entry: LedgerEntry) -> Iterator[ProgressEvent]:
        match event:
            case CompletionStarted():
                yield replace(event, completion_id=entry.id, created_at=entry.created_at)
            case TextDelta(text) if len(text) > _PIECE:
                yield from map(TextDelta, pieces(text))
            case _:
                yield event

    def _wake(self) -> None:
        news, self._news = self._news, asyncio.Event()
        news.set()

    @property
    def _furthest(self) -> int:
        """How many events somebody has been told; all, where somebody waits for the end only."""
        everything = len(self.events)
        told = (everything if r.position is None else r.position for r in self._riders)
        return max(told, default=everything)

    # ------------------------------------------------------------------------ getting off

    def _settle(self, entry: LedgerEntry) -> None:
        """Fill ``entry`` with how it ended."""
        is_payer = entry is self._payer
        if is_payer:
            entry.adopt(self.draft)
        else:
            entry.adopt_intervals(self.draft)
        if self._task.cancelled():
            raise CompletionCancelled("The completion was cancelled.")
        error = self._task.exception()
        if error is None:
            found = self._task.result()
            if is_payer and found.payer_verdict is not None:
                entry.verdict = found.payer_verdict
            else:
                entry.take(found.answer, found.model, found.verdict)
        elif is_payer:
            entry.verdict = entry.verdict or _FAILED_WITH_IT
            raise error
        else:
            entry.verdict = _FAILED_WITH_IT
            # Everybody has an error of their own: it will carry the id of their completion.
            if isinstance(error, AssistantError):
                raise copy.copy(error) from error
            raise InternalError("Something broke inside the service. It has been logged.")

    async def _leave(self, rider: _Rider) -> None:
        """Get off before the end. Never hands over what has ended already."""
        if rider.refusal.done():
            return
        self._riders.remove(rider)
        self._room.set()
        rider.entry.verdict = _LEFT
        if not self._task.done() and self._riders:
            rider.entry.witness(self.draft)
            if rider.entry is self._payer:
                # Until somebody else holds what it may cost, it is this one's.
                await _whatever_happens(asyncio.ensure_future(self._hand_over(rider.entry)))
            if rider.entry is not self._payer:
                return
        if not self._task.done():
            self._is_stopped = True
            self._task.cancel()
            await _whatever_happens(self._task)
        if rider.entry is self._payer:
            rider.entry.adopt(self.draft)
            rider.entry.verdict = rider.entry.verdict or _LEFT
            if not self._task.cancelled():
                self._task.exception()  # looked at, so that nobody complains

    async def _hand_over(self, leaver: LedgerEntry) -> None:
        """From now on the first one aboard pays who may; what was received so far is theirs as well.

        Who may not gets off. Where nobody may, the one who leaves goes on to pay.
        """
        async with self.draft.reservation.changing:
            # It may be over by now, or have been refused to the one who leaves.
            while self._payer is leaver and self._riders and not self._task.done():
                heir = self._riders[0]
                try:
                    await heir.entry.take_over(self.draft)
                except AssistantError as refusal:
                    self._dismiss(heir, refusal)
                    continue
                # Who has left meanwhile gives back by themselves what they hold. Where it has ended
                # meanwhile, the others have had it for nothing already.
                if heir in self._riders and not self._task.done():
                    self._payer = heir.entry
                    self.draft.pass_to(heir.entry)

    def dismiss_payer(self, refusal: AdmissionRefused) -> bool:
        """Whether somebody else is aboard to be asked, now that it was refused to the one who pays."""
        payer = next((rider for rider in self._riders if rider.entry is self._payer), None)
        others = [rider for rider in self._riders if rider is not payer]
        if not others:
            return False
        if payer is not None:
            payer.entry.adopt(self.draft)
            self._dismiss(payer, refusal)
        self._payer = others[0].entry
        self.draft.pass_to(self._payer)
        self.draft.begin_anew()
        return True

    def _dismiss(self, rider: _Rider, refusal: AssistantError) -> None:
        if rider in self._riders:
            self._riders.remove(rider)
            rider.refusal.set_result(refusal)
            self._wake()


async def _whatever_happens(future: asyncio.Future[None] | asyncio.Future[Found]) -> None:
    """Wait for its end, whoever cancels meanwhile: what is cancelled is ending already."""
    while not future.done():
        with suppress(asyncio.CancelledError):
            await asyncio.wait([future])


def pieces(text: str) -> Iterator[str]:
    """``text`` in about a thousand characters each, cut at spaces where there are any."""
    start = 0
    while len(text) - start > _PIECE:
        space = text.rfind(" ", start + _PIECE // 2, start + _PIECE)
        end = start + _PIECE if space < 0 else space + 1
        yield text[start:end]
        start = end
    if text:
        yield text[start:]
