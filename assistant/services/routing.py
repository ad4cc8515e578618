"""Which models may serve a request, and in which order."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from assistant.domain.completion import CompletionRequest
from assistant.domain.model import Model, ModelCapability, ProviderConfig
from assistant.domain.ports import ModelCatalog
from assistant.domain.prompt import RenderedPrompt
from assistant.errors import (
    AssistantError,
    BadUserInput,
    ContextLengthExceeded,
    Forbidden,
    NotFound,
    ProviderUnavailable,
)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A model that may serve a request, and who runs it."""

    model: Model
    provider: ProviderConfig


@dataclass(frozen=True, slots=True)
class Route:
    """The candidates for a request, best first; never empty."""

    candidates: tuple[Candidate, ...]

    @property
    def ids(self) -> tuple[str, ...]:
        return tuple(candidate.model.id for candidate in self.candidates)


class Obstacle(StrEnum):
    """Why a model cannot serve a request."""

    NOT_ALLOWED = "not allowed"
    NOT_CHAT = "does not generate text"
    OTHER_TASK = "serves only prompts of other tasks"
    NOT_AVAILABLE = "not available now"
    TOO_LONG = "context window too small"


def route(request: CompletionRequest, prompt: RenderedPrompt, catalog: ModelCatalog) -> Route:
    """Choose the candidates: the model or group that was named, else every model by default order.

    A name is honoured or refused, never silently replaced.

    Raises: NotFound, Forbidden, BadUserInput, ContextLengthExceeded, ProviderUnavailable.
    """
    name = request.model or (prompt.version.model if prompt.version else None)
    considered = _named(name, catalog) if name else sorted(catalog.models.values(), key=_default)
    obstacles = {model.id: _obstacle(model, prompt) for model in considered}
    candidates = tuple(
        Candidate(model, catalog.providers[model.provider])
        for model in considered
        if obstacles[model.id] is None
    )
    if not candidates:
        raise _refusal(name, prompt, considered, obstacles)
    return Route(candidates)


def _default(model: Model) -> tuple[bool, bool, Decimal, int, str]:
    """Models that generate before those that serve only some tasks; local first, then cheapest."""
    price = model.input_price + model.output_price
    return (model.tasks is not None, not model.is_local, price, model.preference, model.id)


def _named(name: str, catalog: ModelCatalog) -> list[Model]:
    if name in catalog.models:
        return [catalog.models[name]]
    if name not in catalog.groups:
        known = ", ".join(sorted([*catalog.models, *catalog.groups]))
        raise NotFound(f"There is no model or model group named '{name[:80]}'. Known: {known}.")
    members: dict[str, Model] = {}
    visited: set[str] = set()
    group_name: str | None = name
    while group_name is not None and group_name not in visited:
        visited.add(group_name)
        group = catalog.groups.get(group_name)
        if group is None:
            break
        members |= {id_: catalog.models[id_] for id_ in group.models if id_ in catalog.models}
        group_name = group.fallback_group
    return list(members.values())


def _obstacle(model: Model, prompt: RenderedPrompt) -> Obstacle | None:
    if not model.is_allowed:
        return Obstacle.NOT_ALLOWED
    if ModelCapability.CHAT not in model.capabilities:
        return Obstacle.NOT_CHAT
    if model.tasks is not None and prompt.task not in model.tasks:
        return Obstacle.OTHER_TASK
    if not model.is_available:
        return Obstacle.NOT_AVAILABLE
    if prompt.estimated_tokens > model.context_window:
        return Obstacle.TOO_LONG
    return None


def _refusal(
    name: str | None,
    prompt: RenderedPrompt,
    considered: Iterable[Model],
    obstacles: dict[str, Obstacle | None],
) -> AssistantError:
    """The one error that says best what to do about having no candidate."""
    found = set(obstacles.values())
    if Obstacle.TOO_LONG in found:
        window = max(
            model.context_window for model in considered if obstacles[model.id] is Obstacle.TOO_LONG
        )
        return ContextLengthExceeded(
            f"The prompt has about {prompt.estimated_tokens:,} tokens; the largest context window "
            f"among the models that may serve it is {window:,}. Shorten the prompt."
        )
    if name is not None and found == {Obstacle.NOT_ALLOWED}:
        return Forbidden(f"Model '{name}' is not allowed here. An administrator can allow it.")
    if name is not None and found <= {Obstacle.OTHER_TASK, Obstacle.NOT_CHAT}:
        return BadUserInput(
            f"Model '{name}' cannot serve this request (task {prompt.task.value}): "
            f"{', '.join(sorted(obstacle.value for obstacle in found if obstacle))}. "
            "Name another model, or a prompt whose task it serves.",
            path=("model",),
        )
    subject = (
        f"Model '{name}' is not available" if name else "No model that can serve this is available"
    )
    pull = next((m.name for m in considered if m.provider == "ollama"), "llama3.2:3b")
    return ProviderUnavailable(
        f"{subject} now. Two ways to get one: start Ollama on this machine and run "
        f"`ollama pull {pull}`, or set ASSISTANT_OLLAMA_URL to a host that runs it."
    )
