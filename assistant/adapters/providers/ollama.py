"""Models that run on Ollama, over its native API.

What happens on the wire, and what becomes of it, is a table in docs/providers.md.
Source: https://github.com/ollama/ollama/blob/main/docs/api.md
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from assistant.adapters.providers.http import (
    MAX_BODY_BYTES,
    MAX_LINE_BYTES,
    HttpClient,
    HttpResponse,
    Peer,
    parse_json,
)
from assistant.adapters.providers.ollama_refusal import Refusal, read_refusal
from assistant.adapters.providers.ollama_window import (
    check_prompt_was_read,
    num_ctx_for,
    overflow_error,
    wider_num_ctx,
)
from assistant.domain.completion import (
    FinishReason,
    GenerationFinished,
    Message,
    ProviderEvent,
    ReasoningDelta,
    TextDelta,
)
from assistant.domain.model import DiscoveredModel, ModelCapability
from assistant.domain.ports import ProviderCall, TimeLimits
from assistant.domain.values import JsonObject, JsonValue, carriable
from assistant.errors import (
    AssistantError,
    InvalidResponse,
    ProviderUnavailable,
    StreamInterrupted,
    UpstreamError,
)

_LISTING_LIMITS = TimeLimits(connect_s=2.0, first_event_s=4.0, between_events_s=4.0, total_s=4.0)
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


class OllamaProvider:
    """The Provider port over one Ollama server."""

    def __init__(self, base_url: str, http: HttpClient) -> None:
        self._http = http
        self._peer = Peer(
            "Ollama", base_url, "Start it with `ollama serve`, or correct the provider's URL."
        )
        self._details: dict[str, _ModelDetails] = {}

    async def generate(self, call: ProviderCall) -> AsyncGenerator[ProviderEvent, None]:
        """Answer ``call``. It has succeeded when ``done: true`` was seen, and only then.

        Raises: UpstreamError, ContextLengthExceeded.
        """
        longest = MAX_LINE_BYTES if call.streamed else MAX_BODY_BYTES
        has_begun = False
        response, num_ctx = await self._send(call)
        try:
            while lines := await response.next_lines(max_line_bytes=longest):
                for line in filter(bytes.strip, lines):
                    answer = _parse(line)
                    if answer.get("error") is not None:
                        raise _failure(read_refusal(None, line), call, num_ctx)
                    finished = _finished(answer) if _is_done(answer) else None
                    if finished is not None:
                        check_prompt_was_read(call, num_ctx, finished.prompt_tokens)
                    elif not call.streamed:
                        # A whole answer is one event: half of one is none.
                        continue
                    if thinking := _text(answer, "thinking"):
                        has_begun = True
                        yield ReasoningDelta(thinking)
                    if content := _text(answer, "content"):
                        has_begun = True
                        yield TextDelta(content)
                    if finished is not None:
                        await response.finish()
                        yield finished
                        return
            raise ProviderUnavailable("Ollama ended its answer without saying that it was done.")
        except ProviderUnavailable as error:
            if has_begun:
                raise StreamInterrupted(f"The answer broke off. {error.message}") from error
            raise
        finally:
            response.close()

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

    # ------------------------------------------------------------ on the wire

    async def _send(self, call: ProviderCall) -> tuple[HttpResponse, int | None]:
        """The response that holds the answer, and the window that was asked for.

        Where the server's own count shows that the estimate was too low for the window, and the
        model has a larger one, the call is sent once more; nothing has been answered yet.
        """
        num_ctx = num_ctx_for(call, call.estimated_tokens)
        response, refusal = await self._post(call, num_ctx)
        if refusal is not None and refusal.is_overflow:
            wider = wider_num_ctx(call, num_ctx, refusal)
            if wider is not None:
                num_ctx = wider
                response, refusal = await self._post(call, num_ctx)
        if refusal is not None:
            raise _failure(refusal, call, num_ctx)
        return response, num_ctx

    async def _post(
        self, call: ProviderCall, num_ctx: int | None
    ) -> tuple[HttpResponse, Refusal | None]:
        response = await self._http.request(
            self._peer, "POST", "/api/chat", body=_chat(call, num_ctx), limits=call.time_limits
        )
        return response, await _refusal(response)

    async def _ask(
        self, method: Literal["GET", "POST"], path: str, body: JsonObject | None = None
    ) -> JsonObject:
        response = await self._http.request(
            self._peer, method, path, body=body, limits=_LISTING_LIMITS
        )
        try:
            refusal = await _refusal(response)
            if refusal is not None:
                raise refusal.error(str((body or {}).get("model")))
            return _parse(await response.body())
        finally:
            response.close()

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
            name=with_tag(name),
            capabilities=_capabilities(tag) or details.capabilities,
            context_window=details.context_window,
            size_bytes=_count(tag.get("size")),
        )


# ----------------------------------------------------------------- what is sent


def _chat(call: ProviderCall, num_ctx: int | None) -> JsonObject:
    """The body of /api/chat. What the call leaves open is left to the model."""
    parameters = call.parameters
    options = {
        "num_predict": parameters.max_tokens,
        "temperature": parameters.temperature,
        "top_p": parameters.top_p,
        "seed": parameters.seed,
        "stop": parameters.stop,
        "num_ctx": num_ctx,
    }
    return {
        "model": call.model,
        "messages": [_message(message) for message in call.messages],
        "stream": call.streamed,
        # By default the beginning of a long prompt is dropped in silence, when it is read
        # (truncate) and again when the answer fills the window (shift).
        "truncate": False,
        "shift": False,
        "options": {name: value for name, value in options.items() if value is not None},
    }


def _message(message: Message) -> JsonObject:
    sent = {"role": message.role.value.lower(), "content": message.content}
    if message.tool_call_id is not None:
        sent["tool_call_id"] = message.tool_call_id
    return sent


# ------------------------------------------------------------- what comes back


async def _refusal(response: HttpResponse) -> Refusal | None:
    """What the response says instead of an answer; None where an answer is to come."""
    if response.status == 200 and "html" not in response.content_type:
        return None
    try:
        return read_refusal(response.status, await response.body(), response.retry_after_s)
    finally:
        response.close()


def _failure(refusal: Refusal, call: ProviderCall, num_ctx: int | None) -> AssistantError:
    if refusal.is_overflow:
        return overflow_error(refusal, call, num_ctx)
    return refusal.error(call.model, (message.content for message in call.messages))


def _parse(line: bytes) -> JsonObject:
    """The object on a line. Raises InvalidResponse."""
    try:
        value = parse_json(line)
    except ValueError as error:
        raise InvalidResponse("Ollama's answer is not JSON in UTF-8.") from error
    if not isinstance(value, dict):
        raise InvalidResponse("Ollama's answer is JSON, but not an object.")
    return value


def _is_done(answer: JsonObject) -> bool:
    done = answer.get("done", False)
    if not isinstance(done, bool):
        raise InvalidResponse("Ollama's answer has a `done` that is neither true nor false.")
    return done


def _text(answer: JsonObject, name: str) -> str:
    """A text of the answer's message; "" where it has none. Raises InvalidResponse."""
    message = answer.get("message")
    if message is None:
        return ""
    if not isinstance(message, dict):
        raise InvalidResponse("Ollama's answer has a message that is not an object.")
    text = message.get(name)
    if text is None:
        return ""
    if not isinstance(text, str):
        raise InvalidResponse(f"Ollama's answer has a message.{name} that is not a text.")
    return carriable(text)


def _finished(answer: JsonObject) -> GenerationFinished:
    reason = answer.get("done_reason")
    if reason in ("load", "unload"):
        raise ProviderUnavailable(f"Ollama answered nothing: it has {reason}ed the model.")
    return GenerationFinished(
        finish_reason=FinishReason.LENGTH if reason == "length" else FinishReason.STOP,
        prompt_tokens=_count(answer.get("prompt_eval_count")),
        completion_tokens=_count(answer.get("eval_count")),
        cached_tokens=_count(answer.get("prompt_eval_cached_count")),
    )


def _count(value: JsonValue) -> int | None:
    """A number of tokens or bytes. Absent and 0 both mean that it is not known."""
    return value if type(value) is int and value > 0 else None


def with_tag(name: str) -> str:
    """The full name of a model: without a tag it is the one tagged ``latest``."""
    return name if ":" in name.rpartition("/")[2] else f"{name}:latest"


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
    return next((length for value in lengths if (length := _count(value))), None)
