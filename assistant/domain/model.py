"""Models (what runs) and providers (who runs it)."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum


class ProviderKind(StrEnum):
    """The wire protocol that a provider speaks."""

    OLLAMA = "OLLAMA"
    OPENAI = "OPENAI"
    ANTHROPIC = "ANTHROPIC"
    BUILTIN = "BUILTIN"


class ModelCapability(StrEnum):
    """What a model can do."""

    CHAT = "CHAT"
    TOOLS = "TOOLS"
    VISION = "VISION"
    EMBEDDING = "EMBEDDING"
    STRUCTURED_OUTPUT = "STRUCTURED_OUTPUT"
    REASONING = "REASONING"


class TaskType(StrEnum):
    """What kind of work a prompt is; decides which models can serve it."""

    GENERAL = "GENERAL"
    SUMMARIZATION = "SUMMARIZATION"
    TITLE_GENERATION = "TITLE_GENERATION"
    KEYWORD_EXTRACTION = "KEYWORD_EXTRACTION"
    CLASSIFICATION = "CLASSIFICATION"
    QUESTION_ANSWERING = "QUESTION_ANSWERING"
    CODE_GENERATION = "CODE_GENERATION"
    CODE_REVIEW = "CODE_REVIEW"
    REASONING = "REASONING"
    ERROR_DIAGNOSIS = "ERROR_DIAGNOSIS"
    DATA_INTERPRETATION = "DATA_INTERPRETATION"
    WORKFLOW_GENERATION = "WORKFLOW_GENERATION"
    EXTRACTION = "EXTRACTION"
    REWRITING = "REWRITING"


@dataclass(frozen=True, slots=True)
class ProviderConfig:
    """A row of ``providers``: where a provider is and how to talk to it.

    ``base_url`` is None where the environment says it (``ASSISTANT_OLLAMA_URL``) or where
    there is none (builtin). ``api_key_variable`` names an environment variable, never a key.
    """

    name: str
    kind: ProviderKind
    base_url: str | None = None
    api_key_variable: str | None = None
    is_local: bool = True
    is_enabled: bool = True


@dataclass(frozen=True, slots=True)
class DiscoveredModel:
    """A model that a provider says it has now. None where the provider does not say."""

    name: str
    capabilities: frozenset[ModelCapability] | None = None
    context_window: int | None = None
    size_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Model:
    """A model as routing and clients see it: our row joined with what its provider reports.

    ``tasks`` is None for a model that generates freely; else the only tasks it serves.
    Windows are in tokens; prices in USD per million tokens.
    """

    provider: str
    name: str
    capabilities: frozenset[ModelCapability]
    context_window: int
    tasks: frozenset[TaskType] | None = None
    max_output_tokens: int | None = None
    input_price: Decimal = Decimal(0)
    output_price: Decimal = Decimal(0)
    size_bytes: int | None = None
    is_local: bool = True
    is_allowed: bool = True
    is_available: bool = False
    preference: int = 100

    @property
    def id(self) -> str:
        """``provider/name``, as in ``ollama/llama3.2:3b``."""
        return f"{self.provider}/{self.name}"


@dataclass(frozen=True, slots=True)
class ModelGroup:
    """Models that stand in for one another, tried in order; then the fallback group's."""

    name: str
    models: tuple[str, ...]
    fallback_group: str | None = None
