"""The services that change and serve prompts, over stores in memory."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

from assistant.domain.caller import Caller, Scope
from assistant.domain.model import ModelGroup
from assistant.domain.prompt import Prompt, PromptDraft, PromptVariable, VersionDraft
from assistant.domain.rollout import PromptRelease, ReleaseKind
from assistant.errors import BadUserInput
from assistant.services.models import Models
from assistant.services.prompt_authoring import PromptAuthoring
from assistant.services.prompt_releases import PromptReleases
from assistant.services.prompts import Prompts
from tests.unit.fakes import (
    FakeClock,
    FakeModelStore,
    FakeProvider,
    FakeTelemetry,
    catalog,
    model,
)
from tests.unit.prompt_stores import FakeGate, FakePromptChanges, FakePromptStore, FakeReleases

WRITER = frozenset({Scope.PROMPTS_WRITE})
ANN = Caller("acme", "ann", "console", WRITER)
BOB = Caller("globex", "bob", None, WRITER)
DEVELOPER = Caller("dev", "me", None, WRITER, is_developer=True)
OPERATOR = Caller("platform", "ops", None, WRITER | {Scope.ADMIN})
READER = Caller("acme", "eve", None, frozenset({Scope.COMPLETE}))


class PromptDesk:
    """The services that change prompts, over one memory. Time moves on with every change."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.telemetry = FakeTelemetry()
        self.rows = FakePromptStore()
        self.changes = FakePromptChanges(self.rows)
        self.release_store = FakeReleases(self.rows)
        self.gate = FakeGate()
        self.prompts = Prompts(self.rows)
        known = catalog(model("ollama/llama3.2:3b"), groups=[ModelGroup("fast", ("ollama/x",))])
        self.models = Models(FakeModelStore(known), lambda _config: FakeProvider(), 30.0)
        self.authoring = PromptAuthoring(
            store=self.changes, prompts=self.prompts, models=self.models, clock=self.clock
        )
        self.releases = PromptReleases(
            store=self.release_store, prompts=self.prompts, tests=self.gate, clock=self.clock
        )

    async def create(
        self, name: str, template: str = "hello", caller: Caller = ANN, **fields: Any
    ) -> Prompt:
        """A prompt whose first version is published, unless ``publish`` is False."""
        publish = fields.pop("publish", True)
        self.clock.advance(1)
        draft = PromptDraft(name, "general", wording(template), **fields)
        return await self.authoring.create(caller, draft, publish=publish)

    async def add(self, prompt: Prompt, template: str = "hello", caller: Caller = ANN) -> int:
        """The number of a new draft."""
        self.clock.advance(1)
        return (await self.authoring.add_version(caller, prompt.id, wording(template))).version

    async def publish(self, name: str, number: int, caller: Caller = ANN, **given: Any) -> Prompt:
        self.clock.advance(1)
        options = {"expected": None, "reason": None} | given
        prompt, _ = await self.releases.publish(caller, name, number, **options)
        return prompt

    async def roll_out(
        self, name: str, *shares: tuple[int, int], caller: Caller = ANN, **given: Any
    ) -> Prompt:
        self.clock.advance(1)
        options = {"guard": None, "reason": None} | given
        return await self.releases.set_rollout(caller, name, shares, **options)

    async def three(self, name: str = "greet", **fields: Any) -> Prompt:
        """A prompt of three versions, the first one published."""
        prompt = await self.create(name, "one", **fields)
        for template in ("two", "three"):
            await self.add(prompt, template)
        return prompt

    def now(self, prompt: Prompt) -> Prompt:
        return self.rows.prompts[prompt.id]

    def statuses(self, prompt: Prompt) -> str:
        """As in "APD": the first version is archived, the second published, the third a draft."""
        return "".join(version.status.name[0] for version in self.rows.of(prompt.id).values())

    def last_release(self, prompt: Prompt) -> PromptRelease:
        return [r for _, r in self.rows.releases if r.prompt_id == prompt.id][-1]


def wording(template: str, *variables: str, **fields: Any) -> VersionDraft:
    """A draft that declares ``variables``, each required."""
    declared = tuple(PromptVariable(name) for name in variables)
    return VersionDraft(template, **({"variables": declared} | fields))


async def refused(change: Any) -> BadUserInput:
    with pytest.raises(BadUserInput) as error:
        await change
    return error.value


def paths(problem: BadUserInput) -> list[str]:
    """Everything that was found wrong, by the field it is in."""
    return [".".join(each.path) for each in problem.every]


def kinds(releases: Iterable[PromptRelease]) -> list[ReleaseKind]:
    return [release.kind for release in releases]
