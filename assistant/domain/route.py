"""Routes: who is asked for an answer, in which order, and why."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from assistant.domain.cache import CacheVerdict
from assistant.domain.model import Model, ModelKey, ProviderConfig
from assistant.domain.tokens import TokenCount


def key_of(model: Model, provider: ProviderConfig) -> ModelKey:
    """Where ``model`` runs."""
    return ModelKey(provider.tenant_id, provider.name, model.name)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A model that may serve a request, who runs it, and how long the prompt is for it.

    ``tier`` is its place whatever the strategy: the models of a rule come before the rest (0 and
    1), those of a group before its fallback's. ``is_hedged``: it belongs to a group whose models
    are asked a second at a time where the first is late.
    """

    model: Model
    provider: ProviderConfig
    count: TokenCount
    tier: int = 0
    is_hedged: bool = False

    @property
    def key(self) -> ModelKey:
        return key_of(self.model, self.provider)


@dataclass(frozen=True, slots=True)
class Route:
    """The candidates for a request, best first; never empty.

    ``rule_name`` is the rule that decided; None where the request named a model, or no rule held.
    """

    candidates: tuple[Candidate, ...]
    rule_name: str | None = None

    @property
    def ids(self) -> tuple[str, ...]:
        return tuple(candidate.model.id for candidate in self.candidates)


@dataclass(frozen=True, slots=True)
class RuleVerdict:
    """Whether a rule held; ``failed_condition`` is the first that did not, in words."""

    rule_name: str
    failed_condition: str | None

    @property
    def matched(self) -> bool:
        return self.failed_condition is None


@dataclass(frozen=True, slots=True)
class WeighedModel:
    """A model that was considered. ``reason`` says why it may serve or why not.

    ``estimated_cost`` is in USD; None where nobody knows the model's price.
    """

    model: Model
    is_eligible: bool
    reason: str
    count: TokenCount
    estimated_cost: Decimal | None


@dataclass(frozen=True, slots=True)
class RouteExplanation:
    """What the router would do, and why: what it considered, in the order of trying.

    ``cache`` is what the cache would say before any of them is asked; None where it is not.
    """

    rule_name: str | None
    considered: tuple[WeighedModel, ...]
    rules_tried: tuple[RuleVerdict, ...]
    cache: CacheVerdict | None = None
