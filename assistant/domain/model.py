"""Models (what runs) and providers (who runs it)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import TypedDict

from assistant.domain.caller import PLATFORM_TENANT


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


class RoutingStrategy(StrEnum):
    """Which of the models that may serve a request are tried first, or at all."""

    LOCAL_FIRST = "LOCAL_FIRST"
    LOCAL_ONLY = "LOCAL_ONLY"
    CLOUD_FIRST = "CLOUD_FIRST"
    CLOUD_ONLY = "CLOUD_ONLY"
    FASTEST = "FASTEST"
    CHEAPEST = "CHEAPEST"


class CircuitState(StrEnum):
    """Whether a model of a provider is called."""

    CLOSED = "CLOSED"
    OPEN = "OPEN"
    HALF_OPEN = "HALF_OPEN"


@dataclass(frozen=True, slots=True)
class ProviderConfig:
    """A row of ``providers``: where a provider is and how to talk to it.

    ``base_url`` is None where the environment says it (``ASSISTANT_OLLAMA_URL``) or where
    there is none (builtin). ``api_key_variable`` names an environment variable, never a key.
    ``tenant_id`` owns the row. ``max_concurrency`` is how many calls it takes at once; None for
    the default of its kind.
    """

    name: str
    kind: ProviderKind
    base_url: str | None = None
    api_key_variable: str | None = None
    is_local: bool = True
    is_enabled: bool = True
    max_concurrency: int | None = None
    tenant_id: str = PLATFORM_TENANT


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
    Windows are in tokens; prices in USD per million tokens, None where nobody knows them.
    ``cached_input_price`` is None where prompt tokens from the provider's cache cost as much as
    others.
    """

    provider: str
    name: str
    capabilities: frozenset[ModelCapability]
    context_window: int
    tasks: frozenset[TaskType] | None = None
    max_output_tokens: int | None = None
    input_price: Decimal | None = Decimal(0)
    output_price: Decimal | None = Decimal(0)
    cached_input_price: Decimal | None = None
    size_bytes: int | None = None
    is_local: bool = True
    is_allowed: bool = True
    is_available: bool = False
    preference: int = 100

    @property
    def id(self) -> str:
        """``provider/name``, as in ``ollama/llama3.2:3b``."""
        return f"{self.provider}/{self.name}"

    @property
    def is_price_known(self) -> bool:
        """Whether it is known what a call costs. Who only embeds has no answers to pay for."""
        only_embeds = self.capabilities == {ModelCapability.EMBEDDING}
        return self.input_price is not None and (self.output_price is not None or only_embeds)

    def is_twin_of(self, other: Model) -> bool:
        """Whether both are one model on two hosts, for the same money, which is known."""
        return (
            self.name == other.name
            and self.is_price_known
            and self.is_local == other.is_local
            and self.input_price == other.input_price
            and self.output_price == other.output_price
        )


class ModelChanges(TypedDict, total=False):
    """Fields of a Model that an administrator changes; those that are absent stay as they are."""

    capabilities: frozenset[ModelCapability]
    tasks: frozenset[TaskType] | None
    context_window: int
    max_output_tokens: int | None
    input_price: Decimal
    output_price: Decimal
    cached_input_price: Decimal | None
    is_allowed: bool


@dataclass(frozen=True, slots=True)
class PriceChange:
    """Prices of a model from ``valid_from`` on, as a Model has them."""

    valid_from: datetime
    input_price: Decimal | None
    output_price: Decimal | None
    cached_input_price: Decimal | None


@dataclass(frozen=True, slots=True)
class ModelKey:
    """A model where it runs: whose provider, which one, and its own name for the model."""

    tenant_id: str
    provider: str
    model: str


@dataclass(frozen=True, slots=True)
class ModelGroup:
    """Models that stand in for one another, tried in order; then the fallback group's.

    ``models`` are ids, or names without a provider: every provider's model of that name.
    ``is_hedged``: a first token that is late makes a second model be asked as well.
    """

    name: str
    models: tuple[str, ...]
    fallback_group: str | None = None
    strategy: RoutingStrategy | None = None
    is_hedged: bool = False


@dataclass(frozen=True, slots=True)
class PullProgress:
    """How far a model's download is: bytes of all its layers that are known of so far.

    ``status`` is the host's own word, as in "pulling manifest"; ``digest`` the layer at work.
    """

    status: str
    digest: str | None = None
    completed_bytes: int | None = None
    total_bytes: int | None = None
    is_done: bool = False


def full_name(name: str) -> str:
    """A host's full name of a model: without a tag it is the one tagged ``latest``."""
    return name if ":" in name.rpartition("/")[2] else f"{name}:latest"


def unsaid_price(*, is_local: bool) -> Decimal | None:
    """What tokens cost that nobody has priced: nothing on our own machines, else nobody knows."""
    return Decimal(0) if is_local else None
