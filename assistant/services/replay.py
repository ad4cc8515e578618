"""Answers that are there already, told as the events of one that is being made."""

from __future__ import annotations

from collections.abc import Sequence

from assistant.domain.completion import (
    CompletionRestarted,
    CompletionStarted,
    ProgressEvent,
    ReasoningDelta,
    TextDelta,
)
from assistant.errors import ErrorCode
from assistant.services.flights import Flight, pieces
from assistant.services.ledger_entry import LedgerEntry
from assistant.services.work import Emit


async def tell(entry: LedgerEntry, emit: Emit) -> None:
    """The answer in ``entry`` at once, in pieces of about a thousand characters."""
    for event in _events(entry):
        await emit(event)


async def tell_all(flight: Flight) -> None:
    """The answer in the flight's draft to all aboard, but for what they have been told of it.

    What they were told of another one is void.
    """
    draft = flight.draft
    if not flight.events:
        await tell(draft, flight.emit)
        return
    text = "".join(draft.text)
    if _told(flight.events) != text:
        assert draft.model is not None
        await flight.emit(CompletionRestarted(draft.model.id, ErrorCode.STREAM_INTERRUPTED))
        for piece in pieces(text):
            await flight.emit(TextDelta(piece))


def going_on(flight: Flight) -> Emit:
    """The flight's emit, for an answer that may begin after another one of which some was told."""
    if not flight.events:
        return flight.emit

    async def emit(event: ProgressEvent) -> None:
        if isinstance(event, CompletionStarted):
            event = CompletionRestarted(event.model, ErrorCode.STREAM_INTERRUPTED)
        await flight.emit(event)

    return emit


def _events(entry: LedgerEntry) -> Sequence[ProgressEvent]:
    assert entry.model is not None
    version = entry.prompt.version if entry.prompt else None
    version_id = version.id if version else None
    return [
        CompletionStarted(entry.id, entry.model.id, version_id, entry.created_at),
        *map(ReasoningDelta, entry.reasoning),
        *map(TextDelta, pieces("".join(entry.text))),
    ]


def _told(events: Sequence[ProgressEvent]) -> str:
    """The text that stands after ``events``."""
    texts: list[str] = []
    for event in events:
        if isinstance(event, CompletionRestarted):
            texts.clear()
        elif isinstance(event, TextDelta):
            texts.append(event.text)
    return "".join(texts)
