"""The catalog that comes with the service: what every tenant finds on the first day."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from assistant.domain.model import Model, ModelGroup, ProviderConfig
from assistant.domain.prompt import PromptPartial
from assistant.domain.prompt_document import PromptDocument
from assistant.domain.values import JsonObject


@dataclass(frozen=True, slots=True)
class SeedRule:
    """A routing rule of the platform."""

    name: str
    priority: int
    conditions: JsonObject
    models: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Seed:
    """Everything that is seeded. A prompt becomes one of the platform's, published.

    Each of ``prompts`` comes after those that it includes; ``partials`` are what it includes, by
    its name, as the seed says it. Their version numbers do not matter: the catalog knows them.
    """

    providers: tuple[ProviderConfig, ...] = ()
    models: tuple[Model, ...] = ()
    groups: tuple[ModelGroup, ...] = ()
    prompts: tuple[PromptDocument, ...] = ()
    rules: tuple[SeedRule, ...] = ()
    partials: Mapping[str, tuple[PromptPartial, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SeedReport:
    """How many entries were added, updated, left as they were, or kept as an admin made them.

    ``kept`` counts entries whose seed has changed since but whose row an admin has changed too.
    """

    added: int = 0
    updated: int = 0
    unchanged: int = 0
    kept: int = 0
