"""Whether a model can serve a request, and what to say where none can."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum

from assistant.domain.model import Model, ModelCapability, RoutingStrategy
from assistant.domain.prompt import RenderedPrompt
from assistant.domain.tokens import TokenCount
from assistant.errors import (
    AssistantError,
    BadUserInput,
    ContextLengthExceeded,
    Forbidden,
    ProviderUnavailable,
)


class Obstacle(StrEnum):
    """Why a model cannot serve a request; the first that is met is told."""

    NOT_ALLOWED = "not allowed"
    NOT_CHAT = "does not generate text"
    NO_SCHEMA = "cannot be held to a response schema"
    OTHER_TASK = "serves only prompts of other tasks"
    NOT_LOCAL = "not local, and the strategy is LOCAL_ONLY"
    NOT_CLOUD = "local, and the strategy is CLOUD_ONLY"
    NOT_AVAILABLE = "not available now"
    TOO_LONG = "context window too small"


_LACKS = (Obstacle.NOT_CHAT, Obstacle.OTHER_TASK, Obstacle.NO_SCHEMA)
_ELSEWHERE = (Obstacle.NOT_LOCAL, Obstacle.NOT_CLOUD)


def find_obstacle(
    model: Model,
    prompt: RenderedPrompt,
    strategy: RoutingStrategy | None,
    *,
    has_schema: bool,
) -> Obstacle | None:
    """What keeps ``model`` from serving, as far as it can be told without counting tokens."""
    if not model.is_allowed:
        return Obstacle.NOT_ALLOWED
    if ModelCapability.CHAT not in model.capabilities:
        return Obstacle.NOT_CHAT
    if has_schema and ModelCapability.STRUCTURED_OUTPUT not in model.capabilities:
        return Obstacle.NO_SCHEMA
    if model.tasks is not None and prompt.task not in model.tasks:
        return Obstacle.OTHER_TASK
    if strategy is RoutingStrategy.LOCAL_ONLY and not model.is_local:
        return Obstacle.NOT_LOCAL
    if strategy is RoutingStrategy.CLOUD_ONLY and model.is_local:
        return Obstacle.NOT_CLOUD
    if not model.is_available:
        return Obstacle.NOT_AVAILABLE
    return None


def refusal(
    name: str | None,
    prompt: RenderedPrompt,
    considered: Sequence[Model],
    obstacles: Mapping[str, Obstacle | None],
    counts: Mapping[str, TokenCount],
    reasons: Mapping[str, str | None],
) -> AssistantError:
    """The one error that says best what to do about having no candidate.

    ``reasons`` say by model id what keeps its provider from serving.
    """
    found = {obstacles[model.id] for model in considered}
    if Obstacle.TOO_LONG in found:
        too_small = [m for m in considered if obstacles[m.id] is Obstacle.TOO_LONG]
        largest = max(too_small, key=lambda model: model.context_window)
        return ContextLengthExceeded(
            f"The prompt has about {counts[largest.id].tokens:,} tokens; the largest context "
            f"window among the models that may serve it is {largest.context_window:,} "
            f"({largest.id}). Shorten the prompt."
        )
    if name is not None and found == {Obstacle.NOT_ALLOWED}:
        return Forbidden(f"Model '{name}' is not allowed here. An administrator can allow it.")
    if name is not None and found and found <= {*_LACKS, *_ELSEWHERE}:
        return BadUserInput(
            f"Model '{name}' cannot serve this request (task {prompt.task.value}): "
            f"{', '.join(sorted(obstacle.value for obstacle in found if obstacle))}. "
            "Name another model, or change what rules this one out.",
            path=("model",),
        )
    if found and found <= {*_ELSEWHERE, Obstacle.NOT_ALLOWED, *_LACKS} and found & {*_ELSEWHERE}:
        return BadUserInput(
            "The strategy rules out every model that could serve this request. Choose another "
            "strategy, or none.",
            path=("strategy",),
        )
    away = [model for model in considered if obstacles[model.id] is Obstacle.NOT_AVAILABLE]
    if name is not None and len(away) == 1:
        why = reasons[away[0].id]
        if why is not None:
            return ProviderUnavailable(f"Model '{name}' is not available now. {why}")
    subject = (
        f"Model '{name}' is not available" if name else "No model that can serve this is available"
    )
    return ProviderUnavailable(f"{subject} now. {_ways_to_get_one(away)}")


def _ways_to_get_one(away: Sequence[Model]) -> str:
    """What to do about models that could serve if they were there."""
    pull = next((m.name for m in away if m.provider == "ollama"), "llama3.2:3b")
    local = (
        f"start Ollama on this machine and run `ollama pull {pull}`, or set ASSISTANT_OLLAMA_URL "
        "to a host that runs it"
    )
    paid = "set ASSISTANT_OPENAI_API_KEY or ASSISTANT_ANTHROPIC_API_KEY"
    if any(model.is_local for model in away) or not away:
        return f"Two ways to get one: {local}. For a paid one, {paid}."
    return f"To get one, {paid}, or have its provider mended."
