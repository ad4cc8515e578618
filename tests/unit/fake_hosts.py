"""A stand-in for a provider whose models come and go."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field

from assistant.domain.model import DiscoveredModel, PullProgress
from tests.unit.fakes import FakeProvider


@dataclass
class FakeHost(FakeProvider):
    """Downloads as far as it is told to: what is put into ``steps`` is yielded, or raised.

    A model is there once its last event has been yielded.
    """

    steps: asyncio.Queue[PullProgress | Exception] = field(default_factory=asyncio.Queue)
    pulled: list[str] = field(default_factory=list)
    deleted: list[str] = field(default_factory=list)
    stopped: int = 0
    delete_error: Exception | None = None

    def say(self, *steps: PullProgress | Exception | str) -> None:
        for step in steps:
            self.steps.put_nowait(PullProgress(step) if isinstance(step, str) else step)

    def finish(self) -> None:
        self.say(PullProgress("success", total_bytes=5, completed_bytes=5, is_done=True))

    async def pull(self, model: str) -> AsyncGenerator[PullProgress, None]:
        self.pulled.append(model)
        try:
            while True:
                step = await self.steps.get()
                if isinstance(step, Exception):
                    raise step
                if step.is_done:
                    self.models = [*self.models, DiscoveredModel(model)]
                yield step
        finally:
            self.stopped += 1

    async def delete(self, model: str) -> None:
        if self.delete_error:
            raise self.delete_error
        self.deleted.append(model)
        self.models = [found for found in self.models if found.name != model]
