"""Tests of prompts over one memory: scripted answers, a store of cases and runs, made-up vectors."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from uuid import UUID, uuid4

from uuid_utils.compat import uuid7

from assistant.domain.caller import PLATFORM_TENANT, Caller, Scope
from assistant.domain.completion import (
    Completion,
    CompletionRequest,
    CompletionStatus,
    TokenUsage,
)
from assistant.domain.ports import Vector
from assistant.domain.prompt import Prompt
from assistant.domain.prompt_test import (
    Assertion,
    Contains,
    PromptTestCase,
    PromptTestDraft,
    PromptTestResult,
    PromptTestRun,
)
from assistant.errors import AssistantError, StorageUnavailable
from assistant.services.prompt_tests import PromptTests
from assistant.services.prompt_trials import JUDGE
from tests.unit.fakes import FakeClock
from tests.unit.prompt_desk import PromptDesk, wording

TESTER = Caller("acme", "ann", "console", frozenset({Scope.PROMPTS_WRITE, Scope.COMPLETE}))
PARIS = Contains("Paris")


def answer_of(text: str, caller: Caller = TESTER, **fields: object) -> Completion:
    """A completion that took 120 ms, 3 tokens and 2 cents to say ``text``."""
    given: dict[str, object] = {
        "usage": TokenUsage(7, 3, cost=Decimal("0.02")),
        "latency_ms": 120,
    }
    return Completion(
        id=uuid4(),
        caller=caller,
        status=CompletionStatus.SUCCEEDED,
        created_at=FakeClock().now(),
        model="ollama/llama3.2:3b",
        text=text,
        **(given | fields),  # type: ignore[arg-type]
    )


@dataclass
class FakeAsks:
    """Answers each request with its variable ``text``, or as ``answers`` have it for that text.

    ``verdicts`` are what judges say, one after the other. While ``is_held`` nobody is answered.
    """

    answers: dict[str, Completion | Exception] = field(default_factory=dict)
    verdicts: list[str | Exception] = field(default_factory=list)
    asked: list[CompletionRequest] = field(default_factory=list)
    slow_s: dict[str, float] = field(default_factory=dict)
    running: int = 0
    most: int = 0
    cancelled: int = 0
    hold: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.hold.set()

    async def complete(self, request: CompletionRequest) -> Completion:
        self.asked.append(request)
        self.running += 1
        self.most = max(self.most, self.running)
        text = str((request.variables or {}).get("text"))
        try:
            await asyncio.sleep(self.slow_s.get(text, 0))
            await self.hold.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        finally:
            self.running -= 1
        if request.prompt_name == JUDGE:
            return _given(self.verdicts.pop(0))
        return _given(self.answers.get(text, text))


def _given(answer: Completion | str | Exception) -> Completion:
    if isinstance(answer, AssistantError):
        answer.completion_id = uuid4()
    if isinstance(answer, Exception):
        raise answer
    return answer_of(answer) if isinstance(answer, str) else answer


@dataclass
class FakeTestStore:
    """A PromptTestStore; ``recorded`` is every state of a run that was written, in order."""

    owners: Mapping[UUID, Prompt]
    cases: dict[UUID, PromptTestCase] = field(default_factory=dict)
    runs: dict[UUID, tuple[str, PromptTestRun]] = field(default_factory=dict)
    recorded: list[PromptTestRun] = field(default_factory=list)
    is_full: bool = False
    is_away: bool = False
    delay_s: float = 0.0

    async def list_cases(
        self, tenant_id: str, prompt_ids: Sequence[UUID]
    ) -> Mapping[UUID, Sequence[PromptTestCase]]:
        mine = [
            case
            for case in sorted(self.cases.values(), key=lambda case: case.name)
            if self.owners[case.prompt_id].tenant_id in (tenant_id, PLATFORM_TENANT)
        ]
        return {id_: [case for case in mine if case.prompt_id == id_] for id_ in prompt_ids}

    async def put_case(
        self, tenant_id: str, case: PromptTestCase, most: int
    ) -> PromptTestCase | None:
        assert self.owners[case.prompt_id].tenant_id == tenant_id
        for found in self.cases.values():
            if (found.prompt_id, found.name) == (case.prompt_id, case.name):
                case = replace(case, id=found.id)
        if self.is_full and case.id not in self.cases:
            return None
        self.cases[case.id] = case
        return case

    async def delete_case(self, tenant_id: str, id_: UUID) -> bool:
        case = self.cases.get(id_)
        if case is None or self.owners[case.prompt_id].tenant_id != tenant_id:
            return False
        del self.cases[id_]
        return True

    async def put_run(self, tenant_id: str, run: PromptTestRun, most: int) -> None:
        await asyncio.sleep(self.delay_s)
        if self.is_away:
            raise StorageUnavailable("The database cannot be reached.")
        self.runs[run.id] = (tenant_id, run)
        self.recorded.append(run)

    async def list_runs(
        self, tenant_id: str, version_ids: Sequence[UUID], first: int
    ) -> Mapping[UUID, Sequence[PromptTestRun]]:
        newest = [run for owner, run in reversed(self.runs.values()) if owner == tenant_id]
        return {
            id_: [run for run in newest if run.version_id == id_][:first] for id_ in version_ids
        }


@dataclass
class FakeEmbedder:
    """Knows the vectors of some texts; all others point the same way."""

    vectors: dict[str, Vector] = field(default_factory=dict)
    error: Exception | None = None
    dimensions: int = 2
    id: str = "two directions"

    def covers(self, text: str) -> bool:
        return True

    async def embed(self, texts: Sequence[str]) -> Sequence[Vector]:
        if self.error is not None:
            raise self.error
        return [self.vectors.get(text, (1.0, 0.0)) for text in texts]


class TrialDesk:
    """PromptTests over one memory, and a prompt ``capital`` of the tenant acme to test."""

    def __init__(self) -> None:
        self.desk = PromptDesk()
        self.clock = self.desk.clock
        self.asks = FakeAsks()
        self.store = FakeTestStore(self.desk.rows.prompts)
        self.embedder = FakeEmbedder()
        self.tests = PromptTests(
            store=self.store,
            prompts=self.desk.prompts,
            completions=self.asks,
            models=self.desk.models,
            embedder=self.embedder,
            clock=self.clock,
        )
        self.heard: list[PromptTestRun] = []

    async def create(self, name: str = "capital", caller: Caller = TESTER) -> Prompt:
        """A prompt that says its variable ``text`` after "Say: "; version 1, a draft."""
        return await self.desk.create(name, "hello", caller, publish=False)

    async def word(self, prompt: Prompt, template: str = "Say: {{text}}") -> int:
        """The number of a version of the prompt that takes the variable ``text``."""
        draft = wording(template, "text")
        return (await self.desk.authoring.add_version(TESTER, prompt.id, draft)).version

    async def set(
        self, name: str, *assertions: Assertion, caller: Caller = TESTER, text: str | None = None
    ) -> PromptTestCase:
        """A case of ``capital`` whose variable ``text`` is its name, or ``text``."""
        self.clock.advance(1)
        draft = PromptTestDraft(name, {"text": text or name}, assertions or (PARIS,))
        return await self.tests.set_case(caller, "capital", draft)

    async def hear(self, run: PromptTestRun) -> None:
        self.heard.append(run)

    async def run(self, number: int = 1, model: str | None = None) -> PromptTestRun:
        self.clock.advance(1)
        return await self.tests.run(TESTER, "capital", number, model, self.hear)

    async def only(self, text: str, *assertions: Assertion) -> PromptTestResult:
        """What becomes of one case that is answered with ``text``."""
        prompt = await self.create()
        number = await self.word(prompt)
        await self.set("the case", *assertions, text=text)
        [result] = (await self.run(number)).results
        return result


def new_id() -> UUID:
    return uuid7()
