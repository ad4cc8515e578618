"""Models that run on Ollama, over its native API.

What happens on the wire, and what becomes of it, is a table in docs/provider-ollama.md.
Source: https://github.com/ollama/ollama/blob/main/docs/api.md
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence

from assistant.adapters.providers.http import (
    MAX_BODY_BYTES,
    MAX_LINE_BYTES,
    HttpClient,
    HttpResponse,
)
from assistant.adapters.providers.ollama_answer import (
    finished_of,
    is_done,
    message_of,
    text_of,
    tool_calls_of,
)
from assistant.adapters.providers.ollama_embedding import embed
from assistant.adapters.providers.ollama_models import OllamaModels
from assistant.adapters.providers.ollama_pull import pull
from assistant.adapters.providers.ollama_refusal import Refusal, read_refusal
from assistant.adapters.providers.ollama_server import OllamaServer, parse_answer
from assistant.adapters.providers.ollama_window import (
    check_prompt_was_read,
    num_ctx_for,
    overflow_error,
    wider_num_ctx,
)
from assistant.domain.completion import Message, ProviderEvent, ReasoningDelta, TextDelta
from assistant.domain.model import DiscoveredModel, PullProgress
from assistant.domain.ports import Embeddings, ProviderCall, TimeLimits
from assistant.domain.values import JsonObject, JsonValue
from assistant.errors import AssistantError, ProviderUnavailable, StreamInterrupted


class OllamaProvider:
    """The ports Provider and ModelHost over one Ollama server."""

    def __init__(self, base_url: str, http: HttpClient) -> None:
        self._server = OllamaServer(base_url, http)
        self._models = OllamaModels(self._server)

    async def generate(self, call: ProviderCall) -> AsyncGenerator[ProviderEvent, None]:
        """Answer ``call``. It has succeeded when ``done: true`` was seen, and only then.

        Raises: UpstreamError, ContextLengthExceeded.
        """
        longest = MAX_LINE_BYTES if call.streamed else MAX_BODY_BYTES
        has_begun = False
        tool_calls = 0
        response, num_ctx = await self._send(call)
        try:
            while lines := await response.next_lines(max_line_bytes=longest):
                for line in filter(bytes.strip, lines):
                    answer = parse_answer(line)
                    if answer.get("error") is not None:
                        raise _failure(read_refusal(None, line), call, num_ctx)
                    is_last = is_done(answer)
                    if not is_last and not call.streamed:
                        # A whole answer is one event: half of one is none.
                        continue
                    message = message_of(answer)
                    called = tool_calls_of(message, tool_calls)
                    tool_calls += len(called)
                    finished = None
                    if is_last:
                        finished = finished_of(answer, has_tool_calls=tool_calls > 0)
                        check_prompt_was_read(call, num_ctx, finished.prompt_tokens)
                    if thinking := text_of(message, "thinking"):
                        has_begun = True
                        yield ReasoningDelta(thinking)
                    if content := text_of(message, "content"):
                        has_begun = True
                        yield TextDelta(content)
                    for tool_call in called:
                        has_begun = True
                        yield tool_call
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

    async def list_models(self) -> Sequence[DiscoveredModel] | None:
        """The models that were pulled, with full names (``name:tag``). Raises UpstreamError."""
        return await self._models.list_models()

    async def embed(self, model: str, texts: Sequence[str], limits: TimeLimits) -> Embeddings:
        """The texts' vectors. Raises: UpstreamError, ContextLengthExceeded."""
        return await embed(self._server, model, texts, limits)

    def pull(self, model: str) -> AsyncGenerator[PullProgress, None]:
        """Fetch a model; the last event has ``is_done``. Raises: UpstreamError, NotFound."""
        return pull(self._server, model)

    async def delete(self, model: str) -> None:
        """Remove a model; one that is not there is as good as removed. Raises UpstreamError."""
        await self._models.delete(model)

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
        return await self._server.send("POST", "/api/chat", _chat(call, num_ctx), call.time_limits)


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
    body: dict[str, JsonValue] = {
        "model": call.model,
        "messages": [_message(message) for message in call.messages],
        "stream": call.streamed,
        # By default the beginning of a long prompt is dropped in silence, when it is read
        # (truncate) and again when the answer fills the window (shift).
        "truncate": False,
        "shift": False,
        "options": {name: value for name, value in options.items() if value is not None},
    }
    if call.response_schema is not None:
        body["format"] = call.response_schema
    return body


def _message(message: Message) -> JsonObject:
    sent = {"role": message.role.value.lower(), "content": message.content}
    if message.tool_call_id is not None:
        sent["tool_call_id"] = message.tool_call_id
    return sent


# ------------------------------------------------------------- what comes back


def _failure(refusal: Refusal, call: ProviderCall, num_ctx: int | None) -> AssistantError:
    if refusal.is_overflow:
        return overflow_error(refusal, call, num_ctx)
    return refusal.error(call.model, (message.content for message in call.messages))
