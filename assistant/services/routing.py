"""Which models may serve a request, in which order, and why."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from enum import StrEnum

from assistant.domain.completion import CompletionRequest, GenerationParameters
from assistant.domain.model import CircuitState, Model, ProviderConfig, RoutingStrategy
from assistant.domain.money import cost_of
from assistant.domain.ports import ModelCatalog, TokenCounter
from assistant.domain.prompt import RenderedPrompt
from assistant.domain.route import (
    Candidate,
    Route,
    RouteExplanation,
    WeighedModel,
    key_of,
)
from assistant.domain.tokens import TokenCount
from assistant.services.circuits import Circuits
from assistant.services.eligibility import Obstacle, find_obstacle, refusal
from assistant.services.ranking import rank_of
from assistant.services.selection import (
    Selection,
    Selector,
    parameters_of,
    response_schema_of,
)

# What an answer is taken to cost whose length nobody has bounded.
_TYPICAL_ANSWER_TOKENS = 512


class Standing(StrEnum):
    """Whether a model is the one to ask: for as long as the catalog stays as it is, or just now."""

    BEST = "BEST"
    BEST_NOW = "BEST_NOW"
    WORSE = "WORSE"


@dataclass(frozen=True, slots=True)
class _Weighing:
    """The selection, and what stands in each model's way."""

    selection: Selection
    obstacles: Mapping[str, Obstacle | None]
    counts: Mapping[str, TokenCount]


class Router:
    """Chooses candidates: those selected that nothing stands in the way of."""

    def __init__(
        self,
        *,
        selector: Selector,
        tokens: TokenCounter,
        circuits: Circuits,
        why_unhealthy: Callable[[ProviderConfig], str | None],
    ) -> None:
        """``why_unhealthy`` says what keeps a provider from serving; None while nothing does."""
        self._selector = selector
        self._tokens = tokens
        self._circuits = circuits
        self._why_unhealthy = why_unhealthy

    async def route(
        self, request: CompletionRequest, prompt: RenderedPrompt, catalog: ModelCatalog
    ) -> Route:
        """The candidates, best first.

        Those whose circuit is open are among them: they are passed over when their turn comes,
        and the answer's attempts say so.

        Raises: NotFound, Forbidden, BadUserInput, ContextLengthExceeded, ProviderUnavailable.
        """
        weighing = await self._weigh(request, prompt, catalog, usable=True)
        selection = weighing.selection
        candidates = tuple(
            Candidate(
                model,
                catalog.providers[model.provider],
                weighing.counts[model.id],
                selection.tiers.get(model.id, 0),
                model.id in selection.hedged,
            )
            for model in selection.models
            if weighing.obstacles[model.id] is None
        )
        if not candidates:
            weighing = await self._weigh(request, prompt, catalog, usable=False)
            raise self._refusal(weighing, prompt, catalog)
        return Route(candidates, selection.rule_name)

    async def standing(
        self,
        model_id: str,
        request: CompletionRequest,
        prompt: RenderedPrompt,
        catalog: ModelCatalog,
    ) -> Standing:
        """How an answer that the model gave before compares with what would be had now.

        A model that is away has given as good an answer as it would now.

        Raises: NotFound.
        """
        weighing = await self._weigh(request, prompt, catalog, usable=False)
        selection = weighing.selection
        given = catalog.models.get(model_id)
        standing = Standing.BEST
        for model in selection.models:
            obstacle = weighing.obstacles[model.id]
            if model.id == model_id:
                is_usable = obstacle in (None, Obstacle.NOT_AVAILABLE)
                return standing if is_usable else Standing.WORSE
            if obstacle is not None or model.id in selection.hedged:
                continue
            # Who is the fastest changes with every call, and answers no better.
            if given is not None and _are_equal(model, given, selection):
                continue
            if self._circuits.state(key_of(model, catalog.providers[model.provider])) is (
                CircuitState.OPEN
            ):
                standing = Standing.BEST_NOW
            else:
                return Standing.WORSE
        return Standing.WORSE

    async def explain(
        self, request: CompletionRequest, prompt: RenderedPrompt, catalog: ModelCatalog
    ) -> RouteExplanation:
        """What ``route`` decides, with all that it looked at. Raises: NotFound, BadUserInput."""
        weighing = await self._weigh(request, prompt, catalog, usable=False)
        selection = weighing.selection
        unknown = TokenCount(prompt.estimated_tokens)
        parameters = parameters_of(request, prompt)
        considered = []
        for model in selection.models:
            count = weighing.counts.get(model.id, unknown)
            obstacle = weighing.obstacles[model.id]
            is_eligible, reason = self._reason(model, catalog, selection, obstacle, count)
            cost = _estimated_cost(model, count, parameters)
            if cost is None:
                reason += "; nobody has said what it costs"
            considered.append(WeighedModel(model, is_eligible, reason, count, cost))
        return RouteExplanation(selection.rule_name, tuple(considered), selection.verdicts)

    async def _weigh(
        self,
        request: CompletionRequest,
        prompt: RenderedPrompt,
        catalog: ModelCatalog,
        *,
        usable: bool,
    ) -> _Weighing:
        selection = await self._selector.select(request, prompt, catalog, usable=usable)
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
            parameters = parameters_of(request, prompt)
            selection = _cheapest_first(selection, able, counts, parameters)
        return _Weighing(selection, obstacles, counts)

    def _refusal(
        self, weighing: _Weighing, prompt: RenderedPrompt, catalog: ModelCatalog
    ) -> Exception:
        selection = weighing.selection
        reasons = {
            model.id: self._why_unhealthy(catalog.providers[model.provider])
            for model in selection.models
        }
        return refusal(
            selection.name,
            prompt,
            selection.models,
            weighing.obstacles,
            weighing.counts,
            reasons,
        )

    def _reason(
        self,
        model: Model,
        catalog: ModelCatalog,
        selection: Selection,
        obstacle: Obstacle | None,
        count: TokenCount,
    ) -> tuple[bool, str]:
        """Whether the model would be called, and why or why not."""
        provider = catalog.providers[model.provider]
        if obstacle is Obstacle.TOO_LONG:
            return False, (
                f"{obstacle.value}: {count.tokens:,} tokens, and {model.context_window:,} fit"
            )
        if obstacle is Obstacle.NOT_AVAILABLE:
            why = self._why_unhealthy(provider)
            return False, f"{obstacle.value}: {why or 'its provider does not have it'}"
        if obstacle is not None:
            return False, obstacle.value
        if self._circuits.state(key_of(model, provider)) is CircuitState.OPEN:
            return False, "circuit open: it has been failing"
        if selection.name is not None:
            return True, "named" if selection.name == model.id else f"named by {selection.name}"
        if selection.rule_name is not None:
            after = "after the models of" if model.id in selection.tiers else "by"
            return True, f"{after} the rule {selection.rule_name}"
        return True, f"by {selection.strategy or RoutingStrategy.LOCAL_FIRST}"


def _are_equal(one: Model, other: Model, selection: Selection) -> bool:
    """Whether only how quick or busy they are decides which of the two is asked first."""
    tier = selection.tiers.get(one.id, 0)
    if tier != selection.tiers.get(other.id, 0):
        return False
    # What a group or a rule lists is asked as it is listed, where no strategy sorts it.
    is_listed = selection.name is not None or (selection.rule_name is not None and tier == 0)
    if one.is_twin_of(other):
        return True
    if selection.strategy is None and is_listed:
        return False
    strategy = selection.strategy or RoutingStrategy.LOCAL_FIRST
    return rank_of(one, strategy) == rank_of(other, strategy)


def _cheapest_first(
    selection: Selection,
    able: Sequence[Model],
    counts: Mapping[str, TokenCount],
    parameters: GenerationParameters,
) -> Selection:
    """Prices alone do not tell: what is cheaper depends on how long prompt and answer are."""

    def cost(model: Model) -> tuple[int, bool, bool, Decimal]:
        cost = _estimated_cost(model, counts[model.id], parameters)
        return (
            selection.tiers.get(model.id, 0),
            model.tasks is not None,
            cost is None,
            cost or Decimal(0),
        )

    unable = (model for model in selection.models if model.id not in counts)
    return replace(selection, models=(*sorted(able, key=cost), *unable))


def _estimated_cost(
    model: Model, count: TokenCount, parameters: GenerationParameters
) -> Decimal | None:
    """What the request will cost, in USD, if the answer is as long as it may be, or typical.

    None where nobody knows.
    """
    answer_tokens = parameters.max_tokens or _TYPICAL_ANSWER_TOKENS
    if model.max_output_tokens is not None:
        answer_tokens = min(answer_tokens, model.max_output_tokens)
    return cost_of(model, count.tokens, answer_tokens)
