"""Answers that are there already, told as the events of one that is being made."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from assistant.domain.completion import (
    Completion,
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
    if text_after(flight.events) != text:
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


def retold(completion: Completion) -> Sequence[ProgressEvent]:
    """The events of a completion of which only what it came to is known."""
    return [
        CompletionStarted(
            completion.id, completion.model, completion.prompt_version_id, completion.created_at
        ),
        *text_deltas(completion.text),
    ]


def text_deltas(text: str) -> Sequence[TextDelta]:
    """``text`` as deltas of about a thousand characters."""
    return [TextDelta(piece) for piece in pieces(text)]


def _events(entry: LedgerEntry) -> Sequence[ProgressEvent]:
    assert entry.model is not None
    version = entry.prompt.version if entry.prompt else None
    version_id = version.id if version else None
    return [
        CompletionStarted(entry.id, entry.model.id, version_id, entry.created_at),
        *map(ReasoningDelta, entry.reasoning),
        *map(TextDelta, pieces("".join(entry.text))),
    ]


def text_after(events: Iterable[object]) -> str:
    """The text that stands after ``events``."""
    texts: list[str] = []
    for event in events:
        if isinstance(event, CompletionRestarted):
            texts.clear()
        elif isinstance(event, TextDelta):
            texts.append(event.text)
    return "".join(texts)
