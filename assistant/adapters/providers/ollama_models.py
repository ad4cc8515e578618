"""Which models an Ollama has, what they can do, and how one of them goes.

Source: https://github.com/ollama/ollama/blob/main/docs/api.md#list-local-models
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from assistant.adapters.providers.ollama_refusal import Refusal
from assistant.adapters.providers.ollama_server import OllamaServer, count_of
from assistant.domain.model import DiscoveredModel, ModelCapability, full_name
from assistant.domain.ports import TimeLimits
from assistant.domain.values import JsonObject
from assistant.errors import InvalidResponse, UpstreamError

_LISTING_LIMITS = TimeLimits(connect_s=2.0, first_event_s=4.0, between_events_s=4.0, total_s=4.0)
# Files of many gigabytes take a slow disk a while to remove.
_DELETING_LIMITS = TimeLimits(first_event_s=60.0, between_events_s=60.0, total_s=60.0)
_CONCURRENT_LOOKUPS = 4

_CAPABILITIES: Mapping[str, tuple[ModelCapability, ...]] = {
    "completion": (ModelCapability.CHAT, ModelCapability.STRUCTURED_OUTPUT),
    "tools": (ModelCapability.TOOLS,),
    "vision": (ModelCapability.VISION,),
    "embedding": (ModelCapability.EMBEDDING,),
    "thinking": (ModelCapability.REASONING,),
}


@dataclass(frozen=True, slots=True)
class _ModelDetails:
    """What /api/show says of a model; None where it does not say."""

    capabilities: frozenset[ModelCapability] | None
    context_window: int | None


class OllamaModels:
    """The models of one server. What /api/show says is kept, by digest."""

    def __init__(self, server: OllamaServer) -> None:
        self._server = server
        self._details: dict[str, _ModelDetails] = {}

    async def list_models(self) -> Sequence[DiscoveredModel]:
        """The models that were pulled, with full names (``name:tag``).

        Their details are asked for once per digest. Raises UpstreamError.
        """
        found = (await self._ask("GET", "/api/tags")).get("models")
        tags = [tag for tag in found if isinstance(tag, dict)] if isinstance(found, list) else None
        if tags is None:
            raise InvalidResponse("Ollama did not answer with a list of models.")
        limit = asyncio.Semaphore(_CONCURRENT_LOOKUPS)
        async with asyncio.TaskGroup() as group:
            lookups = [group.create_task(self._look_up(tag, limit)) for tag in tags]
        models = [task.result() for task in lookups]
        digests = {str(tag.get("digest")) for tag in tags}
        for digest in self._details.keys() - digests:
            del self._details[digest]
        return [model for model in models if model is not None]

    async def delete(self, model: str) -> None:
        """Remove a model; one that is not there is as good as removed. Raises UpstreamError."""
        name = full_name(model)
        response, refusal = await self._server.send(
            "DELETE", "/api/delete", {"model": name}, _DELETING_LIMITS
        )
        response.close()
        if refusal is not None and not refusal.is_of_missing_model:
            raise refusal.error(name)

    async def _ask(
        self, method: Literal["GET", "POST"], path: str, body: JsonObject | None = None
    ) -> JsonObject:
        answer = await self._server.ask(method, path, body, limits=_LISTING_LIMITS)
        if isinstance(answer, Refusal):
            raise answer.error(str((body or {}).get("model")))
        return answer

    async def _look_up(self, tag: JsonObject, limit: asyncio.Semaphore) -> DiscoveredModel | None:
        """The model of an entry of /api/tags; None for an entry without a name."""
        name, digest = tag.get("name"), tag.get("digest")
        if not isinstance(name, str):
            return None
        details = self._details.get(str(digest))
        if details is None:
            try:
                async with limit:
                    shown = await self._ask("POST", "/api/show", {"model": name})
                details = _ModelDetails(_capabilities(shown), _context_window(shown))
                if digest:
                    self._details[str(digest)] = details
            except UpstreamError:
                # Removed meanwhile, or damaged: the others are still worth knowing.
                details = _ModelDetails(None, None)
        return DiscoveredModel(
            name=full_name(name),
            capabilities=_capabilities(tag) or details.capabilities,
            context_window=details.context_window,
            size_bytes=count_of(tag.get("size")),
        )


def _capabilities(entry: JsonObject) -> frozenset[ModelCapability] | None:
    """What an entry of /api/tags or /api/show can do; None where an older server does not say."""
    names = entry.get("capabilities")
    if not isinstance(names, list):
        return None
    return frozenset(
        capability for name in names for capability in _CAPABILITIES.get(str(name), ())
    )


def _context_window(shown: JsonObject) -> int | None:
    """The length that the model was trained on: ``<architecture>.context_length``."""
    info = shown.get("model_info")
    if not isinstance(info, Mapping):
        return None
    lengths = (value for key, value in info.items() if key.endswith(".context_length"))
    return next((length for value in lengths if (length := count_of(value))), None)
