"""Replicas that share a log, a ledger and its keys, for tests of streams that outlive connections."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field

from assistant.domain.completion import (
    CompletionFailed,
    CompletionFinished,
    CompletionRequest,
    ReasoningDelta,
    StreamEvent,
    TextDelta,
)
from assistant.domain.stream import NumberedEvent
from assistant.services.idempotency import Idempotency
from assistant.services.run import Complete
from assistant.services.runs import Runs
from tests.unit.fake_streams import FakeIdempotencyStore, FakeStreamLog, RecordedCompletions
from tests.unit.fakes import FakeProvider
from tests.unit.world import World


@dataclass
class Replicas:
    """``here`` and ``there`` are two of a service whose flow, and so whose provider, is one."""

    providers: Mapping[str, FakeProvider]
    grace_s: float = 30.0
    log: FakeStreamLog = field(default_factory=FakeStreamLog)
    keys: FakeIdempotencyStore = field(default_factory=FakeIdempotencyStore)
    complete: Complete | None = None
    """Instead of the whole flow."""

    def __post_init__(self) -> None:
        self.world = World(self.providers)
        self.store = RecordedCompletions(self.world.store.settled)
        self.here, self.there = self._replica(), self._replica()

    def _replica(self) -> Runs:
        return Runs(
            complete=self.complete or self.world.flow.complete,
            store=self.store,
            log=self.log,
            idempotency=Idempotency(self.keys, self.world.telemetry),
            clock=self.world.clock,
            telemetry=self.world.telemetry,
            grace_s=self.grace_s,
        )

    @property
    def calls(self) -> int:
        """How often a provider was asked."""
        return sum(len(provider.calls) for provider in self.providers.values())


async def take(events: AsyncGenerator[NumberedEvent, None], count: int) -> list[NumberedEvent]:
    """The first ``count`` of ``events``, which are closed then, as by a connection that is cut."""
    taken: list[NumberedEvent] = []
    async with aclosing(events):
        async for event in events:
            taken.append(event)
            if len(taken) == count:
                break
    return taken


async def streamed(world: World, request: CompletionRequest) -> AsyncGenerator[StreamEvent, None]:
    """The events of a completion that ends with its reader."""
    replicas = Replicas({}, complete=world.flow.complete)
    async with aclosing(replicas.here.stream(request, survives=False)) as events:
        async for event in events:
            yield event.event


async def all_of(events: AsyncGenerator[NumberedEvent, None]) -> list[NumberedEvent]:
    return [event async for event in events]


def text_of(events: list[NumberedEvent]) -> str:
    return "".join(e.event.text for e in events if isinstance(e.event, TextDelta | ReasoningDelta))


def end_of(events: list[NumberedEvent]) -> StreamEvent:
    last = events[-1].event
    assert isinstance(last, CompletionFinished | CompletionFailed)
    assert [event.sequence for event in events] == list(
        range(events[0].sequence, events[0].sequence + len(events))
    )
    return last
