"""Which models may serve a request, in which order, and why."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import TypeAlias

import structlog

from assistant.domain.completion import CompletionRequest, GenerationParameters, MessageRole
from assistant.domain.model import CircuitState, Model, ModelKey, ProviderConfig, RoutingStrategy
from assistant.domain.money import token_cost
from assistant.domain.ports import Clock, LanguageDetector, ModelCatalog, TokenCounter
from assistant.domain.prompt import RenderedPrompt
from assistant.domain.rule import RoutingRule, RuleFacts
from assistant.domain.tokens import TokenCount
from assistant.domain.values import JsonObject
from assistant.errors import BadUserInput, NotFound
from assistant.services.bounded_cache import BoundedCache
from assistant.services.circuits import Circuits
from assistant.services.eligibility import Obstacle, find_obstacle, refusal
from assistant.services.latencies import Latencies
from assistant.services.rules import CompiledRule, compile_rule, ordered

log = structlog.get_logger(__name__)

# What an answer is taken to cost whose length nobody has bounded.
_TYPICAL_ANSWER_TOKENS = 512
_AFTER_RULE = 1


@dataclass(frozen=True, slots=True)
class Candidate:
    """A model that may serve a request, who runs it, and how long the prompt is for it."""

    model: Model
    provider: ProviderConfig
    count: TokenCount

    @property
    def key(self) -> ModelKey:
        return key_of(self.model, self.provider)


def key_of(model: Model, provider: ProviderConfig) -> ModelKey:
    """Where ``model`` runs."""
    return ModelKey(provider.tenant_id, provider.name, model.name)


@dataclass(frozen=True, slots=True)
class Route:
    """The candidates for a request, best first; never empty.

    ``rule_name`` is the rule that decided; None where the request named a model, or no rule held.
    """

    candidates: tuple[Candidate, ...]
    rule_name: str | None = None
    is_hedged: bool = False

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
    """A model that was considered. ``reason`` says why it may serve or why not."""

    model: Model
    is_eligible: bool
    reason: str
    count: TokenCount
    estimated_cost: Decimal


@dataclass(frozen=True, slots=True)
class RouteExplanation:
    """What the router would do, and why: what it considered, in the order of trying."""

    rule_name: str | None
    considered: tuple[WeighedModel, ...]
    rules_tried: tuple[RuleVerdict, ...]


@dataclass(frozen=True, slots=True)
class _Selection:
    """What is considered, in order.

    ``tiers`` say by id which models come before which others, whatever the strategy: those of a
    rule before the rest, those of a group before its fallback's. Who is in none is in the first.
    """

    models: tuple[Model, ...]
    tiers: Mapping[str, int] = field(default_factory=dict)
    name: str | None = None
    rule_name: str | None = None
    verdicts: tuple[RuleVerdict, ...] = ()
    strategy: RoutingStrategy | None = None
    is_hedged: bool = False


@dataclass(frozen=True, slots=True)
class _Weighing:
    """The selection, and what stands in each model's way."""

    selection: _Selection
    obstacles: Mapping[str, Obstacle | None]
    counts: Mapping[str, TokenCount]


_Order: TypeAlias = Callable[[Model], tuple[object, ...]]


class Router:
    """Chooses candidates: named ones, else those of the first rule that holds, else all there are.

    A name is honoured or refused, never silently replaced.
    """

    def __init__(
        self,
        *,
        tokens: TokenCounter,
        languages: LanguageDetector,
        circuits: Circuits,
        latencies: Latencies,
        clock: Clock,
        why_unhealthy: Callable[[ProviderConfig], str | None],
    ) -> None:
        """``why_unhealthy`` says what keeps a provider from serving; None while nothing does."""
        self._why_unhealthy = why_unhealthy
        self._tokens = tokens
        self._languages = languages
        self._circuits = circuits
        self._latencies = latencies
        self._clock = clock
        self._compiled: BoundedCache[str, tuple[Sequence[RoutingRule], list[CompiledRule]]] = (
            BoundedCache(1_000)
        )

    async def route(
        self, request: CompletionRequest, prompt: RenderedPrompt, catalog: ModelCatalog
    ) -> Route:
        """The candidates, best first.

        Those whose circuit is open are among them: they are passed over when their turn comes,
        and the answer's attempts say so.

        Raises: NotFound, Forbidden, BadUserInput, ContextLengthExceeded, ProviderUnavailable.
        """
        weighing = await self._weigh(request, prompt, catalog)
        selection = weighing.selection
        candidates = tuple(
            Candidate(model, catalog.providers[model.provider], weighing.counts[model.id])
            for model in selection.models
            if weighing.obstacles[model.id] is None
        )
        if not candidates:
            raise refusal(
                selection.name, prompt, selection.models, weighing.obstacles, weighing.counts
            )
        return Route(candidates, selection.rule_name, selection.is_hedged)

    async def explain(
        self, request: CompletionRequest, prompt: RenderedPrompt, catalog: ModelCatalog
    ) -> RouteExplanation:
        """What ``route`` decides, with all that it looked at. Raises: NotFound, BadUserInput."""
        weighing = await self._weigh(request, prompt, catalog)
        selection = weighing.selection
        unknown = TokenCount(prompt.estimated_tokens)
        parameters = _parameters(request, prompt)
        considered = []
        for model in selection.models:
            count = weighing.counts.get(model.id, unknown)
            reason = self._reason(model, catalog, selection, weighing.obstacles[model.id], count)
            considered.append(
                WeighedModel(
                    model=model,
                    is_eligible=reason[0],
                    reason=reason[1],
                    count=count,
                    estimated_cost=_estimated_cost(model, count, parameters),
                )
            )
        return RouteExplanation(selection.rule_name, tuple(considered), selection.verdicts)

    # ---------------------------------------------------------------- what is considered

    async def _weigh(
        self, request: CompletionRequest, prompt: RenderedPrompt, catalog: ModelCatalog
    ) -> _Weighing:
        selection = await self._select(request, prompt, catalog)
        has_schema = response_schema_of(request, prompt) is not None
        obstacles = {
            model.id: find_obstacle(model, prompt, selection.strategy, has_schema=has_schema)
            for model in selection.models
        }
        able = [model for model in selection.models if obstacles[model.id] is None]
        counts = await self._tokens.count(prompt, able, catalog.providers)
        for model in able:
            if counts[model.id].tokens > model.context_window:
                obstacles[model.id] = Obstacle.TOO_LONG
        if selection.strategy is RoutingStrategy.CHEAPEST:
            selection = _cheapest_first(selection, able, counts, _parameters(request, prompt))
        return _Weighing(selection, obstacles, counts)

    async def _select(
        self, request: CompletionRequest, prompt: RenderedPrompt, catalog: ModelCatalog
    ) -> _Selection:
        name = request.model or (prompt.version.model if prompt.version else None)
        if name is not None:
            return self._named(name, request, catalog)
        strategy = request.strategy
        every = sorted(
            catalog.models.values(),
            key=self._order(strategy or RoutingStrategy.LOCAL_FIRST, catalog),
        )
        rules = self._rules(request.caller.tenant_id, catalog)
        rule, verdicts = await self._decide(rules, request, prompt)
        if rule is None:
            return _Selection(tuple(every), verdicts=verdicts, strategy=strategy)
        found, is_hedged = _resolve(rule.models, catalog)
        chosen = [model for model, _ in found]
        if strategy is not None:
            chosen.sort(key=self._order(strategy, catalog))
        ids = {model.id for model in chosen}
        # After the rule's models the others: an answer is given whenever any model can.
        rest = [model for model in every if model.id not in ids]
        return _Selection(
            (*chosen, *rest),
            tiers={model.id: _AFTER_RULE for model in rest},
            rule_name=rule.name,
            verdicts=verdicts,
            strategy=strategy,
            is_hedged=is_hedged,
        )

    def _named(self, name: str, request: CompletionRequest, catalog: ModelCatalog) -> _Selection:
        found, is_hedged = _resolve((name,), catalog)
        if not found and name not in catalog.groups:
            known = ", ".join(sorted([*catalog.models, *catalog.groups]))
            raise NotFound(
                f"There is no model or model group named '{name[:80]}'. Known: {known[:2_000]}."
            )
        group = catalog.groups.get(name) if name not in catalog.models else None
        strategy = request.strategy or (group.strategy if group else None)
        tiers = {model.id: tier for model, tier in found}
        models = [model for model, _ in found]
        if strategy is not None:
            order = self._order(strategy, catalog)
            models.sort(key=lambda model: (tiers[model.id], *order(model)))
        return _Selection(
            tuple(models), tiers=tiers, name=name, strategy=strategy, is_hedged=is_hedged
        )

    # -------------------------------------------------------------------------- rules

    def _rules(self, tenant_id: str, catalog: ModelCatalog) -> list[CompiledRule]:
        """The catalog's rules, ready to be asked, in the order of trying."""
        kept = self._compiled.get(tenant_id)
        if kept is not None and kept[0] is catalog.rules:
            return kept[1]
        compiled = []
        for rule in ordered(rule for rule in catalog.rules if rule.is_enabled):
            try:
                compiled.append(compile_rule(rule))
            except BadUserInput as error:
                # Written by another version of the service: it decides nothing here.
                log.warning("routing_rule_unreadable", rule=rule.name, reason=error.message)
        self._compiled.put(tenant_id, (catalog.rules, compiled))
        return compiled

    async def _decide(
        self, rules: Sequence[CompiledRule], request: CompletionRequest, prompt: RenderedPrompt
    ) -> tuple[RoutingRule | None, tuple[RuleVerdict, ...]]:
        if not rules:
            return None, ()
        facts = await self._facts(rules, request, prompt)
        verdicts = []
        for compiled in rules:
            failed = compiled.failed_condition(facts)
            verdicts.append(RuleVerdict(compiled.rule.name, failed))
            if failed is None:
                return compiled.rule, tuple(verdicts)
        return None, tuple(verdicts)

    async def _facts(
        self, rules: Sequence[CompiledRule], request: CompletionRequest, prompt: RenderedPrompt
    ) -> RuleFacts:
        language = None
        if any(rule.needs_language for rule in rules):
            language = await self._languages.detect(_last_words(prompt))
        about = prompt.prompt
        return RuleFacts(
            prompt_category=about.category if about else None,
            prompt_name=about.name if about else None,
            task=prompt.task,
            tags=about.tags if about else (),
            max_tokens=_parameters(request, prompt).max_tokens,
            estimated_prompt_tokens=prompt.estimated_tokens,
            requires_accuracy=request.requires_accuracy,
            service_id=request.caller.service_id,
            user_id=request.caller.user_id,
            feature=request.feature,
            language=language,
            has_response_schema=response_schema_of(request, prompt) is not None,
            metadata=request.metadata if isinstance(request.metadata, Mapping) else {},
            hour=self._clock.now().hour,
        )

    # -------------------------------------------------------------------------- order

    def _order(self, strategy: RoutingStrategy, catalog: ModelCatalog) -> _Order:
        """What a strategy sorts by. Models that serve only some tasks always come last."""

        def latency_s(model: Model) -> float:
            mean_s = self._latencies.mean_s(key_of(model, catalog.providers[model.provider]))
            return float("inf") if mean_s is None else mean_s

        def by_price(model: Model) -> tuple[object, ...]:
            price = model.input_price + model.output_price
            return (price, model.preference, latency_s(model), model.id)

        match strategy:
            case RoutingStrategy.CLOUD_FIRST | RoutingStrategy.CLOUD_ONLY:
                return lambda model: (model.tasks is not None, model.is_local, *by_price(model))
            case RoutingStrategy.FASTEST:
                return lambda model: (model.tasks is not None, latency_s(model), *by_price(model))
            case RoutingStrategy.CHEAPEST:
                return lambda model: (model.tasks is not None, *by_price(model))
            case RoutingStrategy.LOCAL_FIRST | RoutingStrategy.LOCAL_ONLY:
                return lambda model: (model.tasks is not None, not model.is_local, *by_price(model))

    def _reason(
        self,
        model: Model,
        catalog: ModelCatalog,
        selection: _Selection,
        obstacle: Obstacle | None,
        count: TokenCount,
    ) -> tuple[bool, str]:
        if obstacle is Obstacle.TOO_LONG:
            return False, (
                f"{obstacle.value}: {count.tokens:,} tokens, and {model.context_window:,} fit"
            )
        if obstacle is Obstacle.NOT_AVAILABLE:
            why = self._why_unhealthy(catalog.providers[model.provider])
            return False, f"{obstacle.value}: {why or 'its provider does not have it'}"
        if obstacle is not None:
            return False, obstacle.value
        key = key_of(model, catalog.providers[model.provider])
        if self._circuits.state(key) is CircuitState.OPEN:
            return False, "circuit open: it has been failing"
        if selection.name is not None:
            return True, "named" if selection.name == model.id else f"named by {selection.name}"
        if selection.rule_name is not None:
            after = "after the models of" if model.id in selection.tiers else "by"
            return True, f"{after} the rule {selection.rule_name}"
        return True, f"by {selection.strategy or RoutingStrategy.LOCAL_FIRST}"


def response_schema_of(request: CompletionRequest, prompt: RenderedPrompt) -> JsonObject | None:
    """The schema that the answer must satisfy: the request's own, else the prompt's."""
    if request.response_schema is not None:
        return request.response_schema
    return prompt.version.response_schema if prompt.version else None


def _resolve(names: Iterable[str], catalog: ModelCatalog) -> tuple[list[tuple[Model, int]], bool]:
    """The models that ``names`` stand for, each once, and whether a hedged group is among them.

    A name is a model's id, a group (with its fallbacks), or a model's own name without provider.
    With each model comes how many fallbacks it took to get to it.
    """
    models: dict[str, tuple[Model, int]] = {}
    is_hedged = False
    visited: set[str] = set()
    waiting = [(name, 0) for name in names]
    while waiting:
        name, tier = waiting.pop(0)
        group = None if name in catalog.models else catalog.groups.get(name)
        if group is None:
            found = _by_name(name, catalog)
        elif name in visited:
            continue
        else:
            visited.add(name)
            is_hedged = is_hedged or group.is_hedged
            found = [model for member in group.models for model in _by_name(member, catalog)]
            if group.fallback_group is not None:
                waiting.insert(0, (group.fallback_group, tier + 1))
        for model in found:
            models.setdefault(model.id, (model, tier))
    return list(models.values()), is_hedged


def _by_name(name: str, catalog: ModelCatalog) -> list[Model]:
    if name in catalog.models:
        return [catalog.models[name]]
    return sorted((m for m in catalog.models.values() if m.name == name), key=lambda m: m.id)


def _cheapest_first(
    selection: _Selection,
    able: Sequence[Model],
    counts: Mapping[str, TokenCount],
    parameters: GenerationParameters,
) -> _Selection:
    """Prices alone do not tell: what is cheaper depends on how long prompt and answer are."""

    def cost(model: Model) -> tuple[int, bool, Decimal]:
        return (
            selection.tiers.get(model.id, 0),
            model.tasks is not None,
            _estimated_cost(model, counts[model.id], parameters),
        )

    unable = (model for model in selection.models if model.id not in counts)
    return replace(selection, models=(*sorted(able, key=cost), *unable))


def _parameters(request: CompletionRequest, prompt: RenderedPrompt) -> GenerationParameters:
    version = prompt.version
    return request.parameters.over(version.parameters) if version else request.parameters


def _estimated_cost(model: Model, count: TokenCount, parameters: GenerationParameters) -> Decimal:
    """What the request will cost, in USD, if the answer is as long as it may be, or typical."""
    answer_tokens = parameters.max_tokens or _TYPICAL_ANSWER_TOKENS
    if model.max_output_tokens is not None:
        answer_tokens = min(answer_tokens, model.max_output_tokens)
    return token_cost(count.tokens, answer_tokens, model.input_price, model.output_price)


def _last_words(prompt: RenderedPrompt) -> str:
    """What the user says: its language is the request's."""
    said = (m.content for m in reversed(prompt.messages) if m.role is MessageRole.USER)
    return next(said, "")
