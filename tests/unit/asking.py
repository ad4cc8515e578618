"""Asking the whole flow for an answer, and all that came of it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field

from assistant.domain.completion import (
    AttemptOutcome,
    Completion,
    CompletionStatus,
    ProgressEvent,
    ProviderEvent,
    TextDelta,
)
from assistant.domain.model import ModelKey
from assistant.domain.ports import ProviderCall
from assistant.errors import AssistantError, ErrorCode
from tests.unit.fakes import FakeProvider
from tests.unit.world import World, request_of


@dataclass
class Turns(FakeProvider):
    """Plays another script each time it is called, and the last one from then on."""

    turns: Sequence[Sequence[ProviderEvent | Exception | float]] = ()

    async def generate(self, call: ProviderCall) -> AsyncGenerator[ProviderEvent, None]:
        self.script = self.turns[min(len(self.calls), len(self.turns) - 1)]
        async with aclosing(super().generate(call)) as events:
            async for event in events:
                yield event


@dataclass
class Outcome:
    """What a request came to: what its client saw, what it was told, and what was recorded."""

    record: Completion
    events: list[ProgressEvent] = field(default_factory=list)
    error: AssistantError | None = None

    @property
    def attempts(self) -> list[tuple[str, AttemptOutcome, ErrorCode | None]]:
        return [(a.model, a.outcome, a.error_code) for a in self.record.decision.attempts]

    @property
    def shown(self) -> str:
        """The text that the client has received, void or not."""
        return "".join(event.text for event in self.events if isinstance(event, TextDelta))

    @property
    def outcomes(self) -> list[tuple[str, AttemptOutcome]]:
        return [(a.model, a.outcome) for a in self.record.decision.attempts]


async def ask(world: World, *, streamed: bool = True, **fields: object) -> Outcome:
    """Make a request, whatever comes of it."""
    events: list[ProgressEvent] = []

    async def emit(event: ProgressEvent) -> None:
        events.append(event)

    error: AssistantError | None = None
    try:
        await world.flow.complete(request_of(**fields), *([emit] if streamed else []))
    except AssistantError as raised:
        error = raised
    record = world.store.settled[-1]
    assert (error is None) is (record.status is CompletionStatus.SUCCEEDED)
    assert error is None or (error.completion_id, error.code) == (record.id, record.error_code)
    return Outcome(record, events, error)


def failing(*script: ProviderEvent | Exception | float) -> FakeProvider:
    return FakeProvider(script)


def key_of(id_: str) -> ModelKey:
    provider, _, name = id_.partition("/")
    return ModelKey("platform", provider, name)


def observe(world: World, id_: str, *seconds: float) -> None:
    """Let the model have begun to answer after so long."""
    for first_event_s in seconds:
        world.latencies.begin(key_of(id_))
        world.latencies.end(key_of(id_), first_event_s)
