"""A completion as a stream of events: the flow in a task, its emit turned into an iterator."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import TypeAlias

from assistant.domain.completion import (
    Completion,
    CompletionFailed,
    CompletionFinished,
    CompletionRequest,
    StreamEvent,
    TextDelta,
)
from assistant.errors import AssistantError
from assistant.services.work import Emit

Complete: TypeAlias = Callable[[CompletionRequest, Emit], Awaitable[Completion]]

# Enough to ride out a slow moment of the client; beyond it the provider is read no faster.
_BUFFERED_EVENTS = 64
# The characters up to which deltas that wait are joined: an answer that is all there comes in pieces.
_LONGEST_DELTA = 1_000


async def stream(
    complete: Complete, request: CompletionRequest
) -> AsyncGenerator[StreamEvent, None]:
    """Run ``complete`` and yield its events; the last is CompletionFinished or CompletionFailed.

    Expected failures are data, never exceptions; a defect of the flow is raised. Closing the
    iterator cancels the completion and returns when it has been settled. Deltas that arrive
    while nobody asks for the next event are joined: a busy client or a busy service gets fewer
    and longer ones, never late ones.
    """
    events: asyncio.Queue[StreamEvent | Exception] = asyncio.Queue(_BUFFERED_EVENTS)

    async def run() -> None:
        try:
            end: CompletionFinished | CompletionFailed | Exception = CompletionFinished(
                await complete(request, events.put)
            )
        except AssistantError as error:
            end = failed(error)
        except Exception as error:  # noqa: BLE001 - raised below: whoever waits must hear of it
            end = error
        await events.put(end)

    task = asyncio.create_task(run())
    following: StreamEvent | Exception | None = None
    try:
        while True:
            event, following = _with_more(following or await events.get(), events)
            if isinstance(event, Exception):
                raise event
            yield event
            if isinstance(event, CompletionFinished | CompletionFailed):
                return
    finally:
        task.cancel()
        await asyncio.wait([task])


def _with_more(
    event: StreamEvent | Exception, events: asyncio.Queue[StreamEvent | Exception]
) -> tuple[StreamEvent | Exception, StreamEvent | Exception | None]:
    """``event`` with the text that waits behind it, and the event after that, if it was met."""
    if not isinstance(event, TextDelta) or events.empty():
        return event, None
    texts, length = [event.text], len(event.text)
    while not events.empty():
        following = events.get_nowait()
        if not isinstance(following, TextDelta) or length + len(following.text) > _LONGEST_DELTA:
            return TextDelta("".join(texts)), following
        texts.append(following.text)
        length += len(following.text)
    return TextDelta("".join(texts)), None


def failed(error: AssistantError) -> CompletionFailed:
    """``error`` as the event that ends a stream."""
    return CompletionFailed(
        completion_id=error.completion_id,
        code=error.code,
        message=error.message,
        is_retryable=error.is_retryable,
        retry_after_ms=error.retry_after_ms,
    )
