"""Completions that go as a test says, and an endpoint that streams them, on a real socket."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, cast
from uuid import UUID

from starlette.types import ASGIApp

from assistant.api.schema import create_schema
from assistant.api.stream_endpoint import StreamEndpoint
from assistant.domain.caller import Caller
from assistant.domain.completion import (
    Completion,
    CompletionFailed,
    CompletionFinished,
    CompletionRequest,
    CompletionStarted,
    CompletionStatus,
    StreamEvent,
    TextDelta,
)
from assistant.domain.stream import EventId, NumberedEvent
from assistant.errors import ErrorCode
from tests.api.running_endpoint import authenticate
from tests.api.serving import serving
from tests.unit.fakes import ALICE

ID = UUID("018f0000-0000-7000-8000-000000000001")
ASKED_AT = datetime(2026, 3, 14, 15, 9, 26, tzinfo=UTC)
STARTED = CompletionStarted(ID, "builtin/extractive", None, ASKED_AT)
FINISHED = CompletionFinished(
    Completion(ID, ALICE, CompletionStatus.SUCCEEDED, ASKED_AT, "builtin/extractive", "a b")
)
NOT_FOUND = CompletionFailed(ID, ErrorCode.NOT_FOUND, "There is none.", False, None)
SCHEMA = create_schema()


@dataclass
class FakeRuns:
    """Stands where Runs stands: tells ``events``, then ends, raises ``error``, hangs or floods."""

    events: Sequence[StreamEvent] = (STARTED, TextDelta("a "), TextDelta("b"), FINISHED)
    error: Exception | None = None
    hangs: bool = False
    floods: bool = False
    asked: list[CompletionRequest] = field(default_factory=list)
    resumed: list[tuple[Caller, UUID, EventId | None]] = field(default_factory=list)
    open: int = 0
    left_at: float = 0.0
    """When the last reader left, by the loop's clock."""
    told: int = 0

    def stream(
        self, request: CompletionRequest, *, survives: bool = True
    ) -> AsyncGenerator[NumberedEvent, None]:
        assert survives
        self.asked.append(request)
        return self._read(0)

    def resume(
        self, caller: Caller, completion_id: UUID, after: EventId | None
    ) -> AsyncGenerator[NumberedEvent, None]:
        self.resumed.append((caller, completion_id, after))
        return self._read(0 if after is None else after.sequence + 1)

    async def is_over(self, caller: Caller, completion_id: UUID, after: EventId | None) -> bool:
        goes_on = self.hangs or self.floods or self.error is not None
        return after is not None and after.sequence + 1 >= len(self.events) and not goes_on

    async def _read(self, start: int) -> AsyncGenerator[NumberedEvent, None]:
        self.open += 1
        try:
            for sequence, event in enumerate(self.events[start:], start):
                yield NumberedEvent(ID, sequence, event)
            if self.error is not None:
                raise self.error
            sequence = len(self.events)
            while self.floods:
                yield NumberedEvent(ID, sequence, TextDelta("x" * 10_000))
                sequence += 1
                self.told += 1
                await asyncio.sleep(0)
            if self.hangs:
                await asyncio.sleep(60)
        finally:
            self.open -= 1
            self.left_at = asyncio.get_running_loop().time()

    async def wait_until_left(self) -> None:
        async with asyncio.timeout(5):
            while self.open:
                await asyncio.sleep(0.001)


@dataclass
class FakeServices:
    """The only use cases that the endpoint has."""

    runs: FakeRuns


def stream_endpoint(runs: FakeRuns, **arguments: Any) -> ASGIApp:
    """The endpoint over ``runs``; ``arguments`` go to StreamEndpoint."""
    return StreamEndpoint(
        SCHEMA,
        **{
            "services": cast(Any, FakeServices(runs)),
            "authenticate": authenticate,
            "allowed_origins": ("https://friend.example",),
        }
        | arguments,
    )


@asynccontextmanager
async def streaming(runs: FakeRuns, **arguments: Any) -> AsyncIterator[str]:
    """The address of the endpoint over ``runs``."""
    async with serving(stream_endpoint(runs, **arguments)) as address:
        yield f"http://{address}/"


def frames_of(body: str) -> list[dict[str, Any]]:
    """Each event's ``id`` (None without), ``event`` and parsed ``data``; comments left out."""
    frames = []
    for block in body.split("\n\n"):
        lines = [line.partition(": ")[::2] for line in block.split("\n") if line]
        fields = {name: value for name, value in lines if name}
        if "data" in fields:
            frames.append({"id": None} | fields | {"data": json.loads(fields["data"])})
    return frames
