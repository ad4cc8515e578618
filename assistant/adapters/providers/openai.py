"""Models of OpenAI, and of every host that speaks its chat completions: vLLM, LM Studio,
llama.cpp, OpenRouter, Groq, gateways.

What happens on the wire, and what becomes of it, is a table in docs/provider-openai.md.
Source: https://platform.openai.com/docs/api-reference/chat
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence

from assistant.adapters.providers.http import HttpClient, HttpResponse
from assistant.adapters.providers.openai_answer import Answer, count_of
from assistant.adapters.providers.openai_embedding import embed
from assistant.adapters.providers.openai_host import OpenAiHost
from assistant.adapters.providers.openai_refusal import Refusal
from assistant.adapters.providers.openai_request import Dialect, chat
from assistant.adapters.providers.sse import EventStream, ServerSentEvent
from assistant.domain.completion import ProviderEvent
from assistant.domain.model import DiscoveredModel
from assistant.domain.ports import Embeddings, ProviderCall, TimeLimits
from assistant.domain.values import JsonObject, JsonValue, carriable
from assistant.errors import (
    AssistantError,
    ContextLengthExceeded,
    InvalidResponse,
    ProviderRejected,
    ProviderTimeout,
    ProviderUnavailable,
    RateLimited,
    StreamInterrupted,
)

_LISTING_LIMITS = TimeLimits(connect_s=2.0, first_event_s=5.0, between_events_s=5.0, total_s=5.0)
# How long is waited for the counts of an answer that has ended.
_COUNTS_S = 2.0
_NO_SUCH_PATH = (404, 405, 501)
# What a host says in the middle of an answer.
_TOLD = (ProviderUnavailable, RateLimited, ProviderRejected, ContextLengthExceeded)


OPENAI_URL = "https://api.openai.com/v1"
"""Where the vendor itself is reached."""


class OpenAiProvider:
    """The Provider port over one host. ``base_url`` ends in ``/v1``, as OpenAI's own clients
    take it; without ``api_key`` none is sent."""

    def __init__(
        self, base_url: str, api_key: str | None, http: HttpClient, name: str = "OpenAI"
    ) -> None:
        self._host = OpenAiHost(name, base_url, api_key, http)
        self._dialects: dict[str, Dialect] = {}

    async def generate(self, call: ProviderCall) -> AsyncGenerator[ProviderEvent, None]:
        """Answer ``call``. It has succeeded when a finish reason was seen, and only then.

        Raises: UpstreamError, ContextLengthExceeded.
        """
        has_begun = False
        response = await self._send(call)
        answer = Answer(self._host.name, lambda refusal: self._explain(refusal, call))
        try:
            if call.streamed and response.content_type != "application/json":
                stream = EventStream(response)
                while pieces := await _next_pieces(stream, answer):
                    for piece in pieces:
                        for event in answer.read(piece.data):
                            if not has_begun:
                                has_begun = True
                                stream.begin()
                            yield event
                finished = answer.finished()
            else:
                # A whole answer is one event: half of one is none.
                events = answer.read(await response.body())
                finished = answer.finished()
                for event in events:
                    yield event
            await response.finish()
            yield finished
        except _TOLD as error:
            if has_begun:
                raise StreamInterrupted(f"The answer broke off. {error.message}") from error
            raise
        finally:
            response.close()

    async def list_models(self) -> Sequence[DiscoveredModel] | None:
        """The models that the key may use; None where the host keeps no list.

        What they can do is not told by the protocol. Raises UpstreamError.
        """
        found = await self._host.ask("GET", "/models", limits=_LISTING_LIMITS)
        if isinstance(found, Refusal):
            if found.status in _NO_SUCH_PATH:
                return None
            raise self._host.explain(found, "", ())
        entries = found.get("data") if isinstance(found, dict) else found
        if not isinstance(entries, list):
            raise InvalidResponse(f"{self._host.name} did not answer with a list of models.")
        return [
            DiscoveredModel(carriable(name), context_window=_context_window(entry))
            for entry in entries
            if isinstance(entry, dict) and isinstance(name := entry.get("id"), str) and name
        ]

    async def embed(self, model: str, texts: Sequence[str], limits: TimeLimits) -> Embeddings:
        """One vector per text, in order. Raises: UpstreamError, ContextLengthExceeded."""
        return await embed(self._host, model, texts, limits)

    async def _send(self, call: ProviderCall) -> HttpResponse:
        """The response that holds the answer.

        Where the model refuses a parameter that has another name, or can be done without, the
        call is sent once more, and the model is not asked with it again.
        """
        dialect = self._dialects.get(call.model, Dialect())
        while True:
            response, refusal = await self._host.send(
                "POST", "/chat/completions", chat(call, dialect), call.time_limits
            )
            if refusal is None:
                return response
            other = dialect.without(refusal)
            if other is None:
                raise self._explain(refusal, call)
            dialect = other
            known = self._dialects.get(call.model, Dialect())
            self._dialects[call.model] = known.having_learnt(refusal)

    def _explain(self, refusal: Refusal, call: ProviderCall) -> AssistantError:
        contents = (message.content for message in call.messages)
        return self._host.explain(refusal, call.model, contents)


async def _next_pieces(stream: EventStream, answer: Answer) -> Sequence[ServerSentEvent]:
    """What has come in of a stream; nothing where nothing that matters can come any more."""
    if answer.is_complete:
        return ()
    try:
        return await stream.next_events(_COUNTS_S if answer.has_finished else None)
    except (ProviderTimeout, ProviderUnavailable):
        if answer.has_finished:  # the answer is here, though not what it took
            return ()
        raise


_WINDOWS = ("context_length", "max_model_len", "context_window", "max_context_length")


def _context_window(entry: JsonObject) -> int | None:
    """What OpenRouter, vLLM, Groq and LM Studio say; OpenAI does not."""
    values: list[JsonValue] = [entry.get(name) for name in _WINDOWS]
    return next((count for value in values if (count := count_of(value))), None)
