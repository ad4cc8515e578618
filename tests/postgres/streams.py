"""Streams to be written down, without anybody who makes them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from uuid import UUID

from uuid_utils.compat import uuid7

from assistant.domain.caller import Caller
from assistant.domain.completion import (
    CompletionContinued,
    CompletionFailed,
    CompletionRestarted,
    CompletionStarted,
    ReasoningDelta,
    TextDelta,
)
from assistant.domain.stream import LoggedEvent, Settled
from assistant.errors import ErrorCode

EVERY_KIND: tuple[LoggedEvent, ...] = (
    CompletionStarted(uuid7(), "ollama/m", uuid7(), datetime.now(UTC)),
    CompletionStarted(uuid7(), "ollama/m", None, datetime.now(UTC)),
    ReasoningDelta("hm \x00 {}"),
    TextDelta("Grüße \ud83d"),
    TextDelta("\\u0000"),
    TextDelta("\x00"),
    CompletionRestarted("openai/gpt", ErrorCode.PROVIDER_TIMEOUT),
    CompletionContinued("openai/gpt", ErrorCode.STREAM_INTERRUPTED),
    TextDelta(""),
)


def interrupted(completion_id: UUID | None = None) -> CompletionFailed:
    return CompletionFailed(completion_id, ErrorCode.STREAM_INTERRUPTED, "Gone.", True, 250)


class AStream:
    """A stream whose events the test appends; it remembers what the log told it."""

    def __init__(self, *events: LoggedEvent, tenant: str = "acme", ends: bool = False) -> None:
        self.id = uuid7()
        self.caller = Caller(tenant, "ann", "billing", frozenset())
        self.events = list(events)
        self.is_ended = False
        self.first = 0
        """The number of the first event that is still in memory."""
        self.logged: list[int] = []
        self.followed = 0
        self.abandoned = 0
        self.cancelled = 0
        if ends:
            self.end()

    def say(self, *texts: str) -> None:
        self.events += map(TextDelta, texts)

    def end(self, event: LoggedEvent | None = None) -> None:
        self.events.append(Settled() if event is None else event)
        self.is_ended = True

    @property
    def is_written(self) -> bool:
        """Whether the log has all that there is."""
        return bool(self.logged) and self.logged[-1] == self.first + len(self.events)

    def unlogged(self, start: int) -> tuple[int, Sequence[LoggedEvent]]:
        start = max(start, self.first)
        return start, self.events[start - self.first :]

    def was_logged(self, count: int) -> None:
        self.logged.append(count)

    def was_followed(self) -> None:
        self.followed += 1

    def was_abandoned(self) -> None:
        self.abandoned += 1

    def cancel(self) -> None:
        self.cancelled += 1
