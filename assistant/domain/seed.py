"""The catalog that comes with the service: what every tenant finds on the first day."""

from __future__ import annotations

from dataclasses import dataclass, field

from assistant.domain.completion import GenerationParameters, InterruptionPolicy
from assistant.domain.model import Model, ModelGroup, ProviderConfig, TaskType
from assistant.domain.prompt import PromptVariable
from assistant.domain.values import JsonObject


@dataclass(frozen=True, slots=True)
class SeedPrompt:
    """A prompt and its wording; becomes a prompt of the platform with a published version."""

    name: str
    category: str
    template: str
    description: str | None = None
    tags: tuple[str, ...] = ()
    system_template: str | None = None
    variables: tuple[PromptVariable, ...] = ()
    task: TaskType = TaskType.GENERAL
    parameters: GenerationParameters = field(default_factory=GenerationParameters)
    response_schema: JsonObject | None = None
    on_interruption: InterruptionPolicy = InterruptionPolicy.ERROR


@dataclass(frozen=True, slots=True)
class SeedRule:
    """A routing rule of the platform."""

    name: str
    priority: int
    conditions: JsonObject
    models: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Seed:
    """Everything that is seeded."""

    providers: tuple[ProviderConfig, ...] = ()
    models: tuple[Model, ...] = ()
    groups: tuple[ModelGroup, ...] = ()
    prompts: tuple[SeedPrompt, ...] = ()
    rules: tuple[SeedRule, ...] = ()


@dataclass(frozen=True, slots=True)
class SeedReport:
    """How many entries were added, updated, left as they were, or kept as an admin made them.

    ``kept`` counts entries whose seed has changed since but whose row an admin has changed too.
    """

    added: int = 0
    updated: int = 0
    unchanged: int = 0
    kept: int = 0
