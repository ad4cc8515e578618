"""A router over models, groups and rules that a test lays out."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from uuid_utils.compat import uuid7

from assistant.domain.completion import (
    CompletionRequest,
    GenerationParameters,
    Message,
    MessageRole,
)
from assistant.domain.model import (
    Model,
    ModelGroup,
    ModelKey,
    ProviderConfig,
    RoutingStrategy,
    TaskType,
)
from assistant.domain.prompt import Prompt, PromptVersion, PromptVersionStatus, RenderedPrompt
from assistant.domain.route import Route, RouteExplanation
from assistant.domain.rule import RoutingRule
from assistant.domain.tokens import TokenCount, TokenMethod
from assistant.errors import (
    AssistantError,
)
from assistant.services.circuits import Circuits
from assistant.services.latencies import Latencies
from assistant.services.ranking import Ranking
from assistant.services.routing import Router
from assistant.services.selection import Selector
from tests.unit.fakes import (
    ALICE,
    FakeCircuitStore,
    FakeClock,
    FakeLanguages,
    FakeTokens,
    catalog,
    model,
)

BUILTIN = model(
    "builtin/extractive", tasks=frozenset({TaskType.SUMMARIZATION}), context_window=10**6
)
LOCAL_FIRST, LOCAL_ONLY, CLOUD_FIRST, CLOUD_ONLY, FASTEST, CHEAPEST = RoutingStrategy
SCHEMA = {"type": "object"}
WEEKS = datetime(2026, 3, 14, tzinfo=UTC)


def cloud(id_: str, price: int = 0, **fields: Any) -> Model:
    prices = {"input_price": Decimal(price), "output_price": Decimal(price)}
    return model(id_, **({"is_local": False} | prices | fields))


def rule(conditions: Any, *models: str, **fields: Any) -> RoutingRule:
    given: dict[str, Any] = {"tenant_id": "acme", "name": "a-rule", "priority": 1}
    return RoutingRule(
        id=uuid7(), conditions=conditions, models=models, created_at=WEEKS, **(given | fields)
    )


def rendered(tokens: int = 10, text: str = "hello", **version: Any) -> RenderedPrompt:
    """A prompt of the catalog where a version is described, else the request's own text."""
    messages = (Message(MessageRole.USER, text),)
    task = version.get("task", TaskType.GENERAL)
    if version.keys() <= {"task"}:
        return RenderedPrompt(None, messages, task, {}, tokens)
    given: dict[str, Any] = {
        "status": PromptVersionStatus.PUBLISHED,
        "template": "t",
        "parameters": GenerationParameters(),
        "created_at": WEEKS,
    }
    empty = dict.fromkeys(PromptVersion.__dataclass_fields__)
    about = Prompt(
        uuid7(), "acme", "review", None, "code", ("go",), None, False, None, WEEKS, WEEKS
    )
    return RenderedPrompt(
        PromptVersion(**(empty | given | {"task": task} | version)),  # type: ignore[arg-type]
        messages,
        task,
        {},
        tokens,
        about,
    )


@dataclass
class CountsByModel(FakeTokens):
    """Vocabularies differ: the same prompt is longer for some models."""

    tokens: Mapping[str, int] = field(default_factory=dict)

    async def count(
        self,
        prompt: RenderedPrompt,
        models: Sequence[Model],
        providers: Mapping[str, ProviderConfig],
    ) -> Mapping[str, TokenCount]:
        return {
            m.id: TokenCount(self.tokens.get(m.id, prompt.estimated_tokens), TokenMethod.EXACT, 0)
            for m in models
        }


class Desk:
    """A router over models, groups and rules."""

    def __init__(
        self,
        *models: Model,
        groups: Sequence[ModelGroup] = (),
        rules: Sequence[RoutingRule] = (),
        tokens: FakeTokens | None = None,
    ) -> None:
        self.catalog = catalog(*models, groups=groups, rules=rules)
        self.clock = FakeClock()
        self.circuits = Circuits(FakeCircuitStore(), self.clock)
        self.latencies = Latencies(random.Random(1))
        self.languages = FakeLanguages()
        self.unhealthy: dict[str, str] = {}
        self.router = Router(
            selector=Selector(Ranking(self.latencies), self.languages, self.clock),
            tokens=tokens or FakeTokens(),
            circuits=self.circuits,
            why_unhealthy=lambda config: self.unhealthy.get(config.name),
        )

    async def route(
        self, name: str | None = None, prompt: RenderedPrompt | None = None, **fields: Any
    ) -> Route:
        return await self.router.route(_request(name, fields), prompt or rendered(), self.catalog)

    async def ids(self, *args: Any, **fields: Any) -> tuple[str, ...]:
        return (await self.route(*args, **fields)).ids

    async def explain(
        self, name: str | None = None, prompt: RenderedPrompt | None = None, **fields: Any
    ) -> RouteExplanation:
        return await self.router.explain(_request(name, fields), prompt or rendered(), self.catalog)

    async def reasons(self, *args: Any, **fields: Any) -> dict[str, tuple[bool, str]]:
        considered = (await self.explain(*args, **fields)).considered
        return {weighed.model.id: (weighed.is_eligible, weighed.reason) for weighed in considered}

    async def refusal(self, *args: Any, **fields: Any) -> AssistantError:
        with pytest.raises(AssistantError) as caught:
            await self.route(*args, **fields)
        return caught.value

    def answered(self, id_: str, first_event_s: float) -> None:
        self.latencies.begin(key_of(id_))
        self.latencies.end(key_of(id_), first_event_s)


def _request(name: str | None, fields: dict[str, Any]) -> CompletionRequest:
    return CompletionRequest(**({"caller": ALICE, "text": "hello", "model": name} | fields))


def key_of(id_: str) -> ModelKey:
    provider, _, name = id_.partition("/")
    return ModelKey("platform", provider, name)
