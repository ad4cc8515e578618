"""A completion's events, numbered, so that who has lost the connection can go on after any of them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple, TypeAlias
from uuid import UUID

from assistant.domain.completion import CompletionFailed, ProgressEvent, StreamEvent
from assistant.errors import BadUserInput

_EVENT_ID = re.compile(r"([0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}):(\d{1,9})")


class EventId(NamedTuple):
    """Which event of which completion; written ``<completion id>:<sequence>``."""

    completion_id: UUID
    sequence: int

    def __str__(self) -> str:
        return f"{self.completion_id}:{self.sequence}"

    @staticmethod
    def parse(text: str, *, path: tuple[str, ...] = ()) -> EventId:
        """Raises BadUserInput, about the field ``path``."""
        match = _EVENT_ID.fullmatch(text)
        if match is None:
            raise BadUserInput(
                "An event's id looks like <completion id>:<number>; give back what came with the "
                "last event.",
                path=path,
            )
        return EventId(UUID(match[1]), int(match[2]))


class NumberedEvent(NamedTuple):
    """One event as it is delivered. ``sequence`` is 0-based and gap-free."""

    completion_id: UUID
    sequence: int
    event: StreamEvent

    @property
    def id(self) -> EventId:
        return EventId(self.completion_id, self.sequence)


class Resumption(StrEnum):
    """What became of a reader who wanted to pick a stream up."""

    HERE = "here"
    ELSEWHERE = "elsewhere"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Settled:
    """How a stream that did not fail ends in the log: the completion itself is in the ledger."""


LoggedEvent: TypeAlias = ProgressEvent | CompletionFailed | Settled


@dataclass(frozen=True, slots=True)
class LogPage:
    """What the log has of one stream after some event, at most so much as one may hold at once.

    ``first`` is the sequence of the first of ``events``; more than the one that was asked for
    where the log does not go back so far. ``count`` is how many events of it the log has had in
    all, which is the number of the next one. ``user_id`` and ``service_id`` are who asked for the
    completion. ``is_silent``: whoever makes it has not been heard of for so long that it is gone.
    ``is_abandoned``: it was ended by others, for that reason; ``is_torn``: with events under numbers
    of which the reader has had one before, which may have been another event, from its maker.
    """

    user_id: str | None
    service_id: str | None
    first: int
    events: Sequence[LoggedEvent]
    count: int = 0
    is_ended: bool = False
    is_abandoned: bool = False
    is_torn: bool = False
    is_silent: bool = False
