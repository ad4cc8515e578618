"""Models over Anthropic's Messages API.

What happens on the wire, and what becomes of it, is a table in docs/provider-anthropic.md.
Source: https://docs.anthropic.com/en/api/messages
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from urllib.parse import quote

from assistant.adapters.providers.anthropic_answer import AnswerReader, parse_answer
from assistant.adapters.providers.anthropic_refusal import Refusal, read_refusal
from assistant.adapters.providers.anthropic_request import message_request
from assistant.adapters.providers.anthropic_schema import AnswerTool, answer_tool
from assistant.adapters.providers.http import HttpClient, HttpResponse, Peer
from assistant.adapters.providers.sse import EventStream
from assistant.domain.completion import ProviderEvent
from assistant.domain.model import DiscoveredModel, ModelCapability
from assistant.domain.ports import Embeddings, ProviderCall, TimeLimits
from assistant.domain.values import JsonObject, JsonValue
from assistant.errors import (
    AssistantError,
    ContextLengthExceeded,
    InvalidResponse,
    ProviderRejected,
    ProviderUnavailable,
    RateLimited,
    StreamInterrupted,
)

_VERSION = "2023-06-01"
_PINGS = frozenset({"ping"})
# What the server says in the middle of an answer.
_TOLD = (ProviderUnavailable, RateLimited, ProviderRejected, ContextLengthExceeded)
_LISTING_LIMITS = TimeLimits(connect_s=2.0, first_event_s=4.0, between_events_s=4.0, total_s=4.0)
_PAGE_SIZE = 1000
_MAX_PAGES = 5

# What every model can do: structured output is the input of a tool.
_CAPABILITIES = frozenset(
    {ModelCapability.CHAT, ModelCapability.TOOLS, ModelCapability.STRUCTURED_OUTPUT}
)


ANTHROPIC_URL = "https://api.anthropic.com"
"""Where the vendor itself is reached."""


class AnthropicProvider:
    """The Provider port over Anthropic's API, or a server that speaks it.

    ``base_url`` is without ``/v1``; ``name`` is what callers read in error messages.
    """

    def __init__(
        self, base_url: str, api_key: str | None, http: HttpClient, name: str = "Anthropic"
    ) -> None:
        self._http = http
        self._name = name
        self._key = (api_key or "").strip()
        self._peer = Peer(name, base_url, "Check the network, or correct the provider's URL.")

    async def generate(self, call: ProviderCall) -> AsyncGenerator[ProviderEvent, None]:
        """Answer ``call``. A stream has succeeded when ``message_stop`` was seen, and only then.

        Raises: UpstreamError, ContextLengthExceeded.
        """
        tool = None if call.response_schema is None else answer_tool(call.response_schema)
        reader = AnswerReader(tool)
        has_begun = False
        response = await self._send(call, tool)
        try:
            if call.streamed and response.content_type != "application/json":
                stream = EventStream(response, passed_over=_PINGS)
                while not reader.is_done and (events := await stream.next_events()):
                    for event in events:
                        for piece in reader.read(self._parse(event.data, call)):
                            has_begun = True
                            yield piece
                        if reader.has_begun:
                            stream.begin()
                finished = reader.finished()
            else:
                # A whole answer is one event: half of one is none.
                pieces = reader.read_whole(self._parse(await response.body(), call))
                finished = reader.finished()
                for piece in pieces:
                    yield piece
            await response.finish()
            yield finished
        except _TOLD as error:
            if has_begun:
                raise StreamInterrupted(f"The answer broke off. {error.message}") from error
            raise
        finally:
            response.close()

    async def list_models(self) -> Sequence[DiscoveredModel] | None:
        """The models that the key may use; None where the server keeps no list.

        Raises UpstreamError.
        """
        models: list[DiscoveredModel] = []
        after = ""
        for _ in range(_MAX_PAGES):
            page = await self._list_page(after)
            if page is None:
                return None
            entries = page.get("data")
            if not isinstance(entries, list):
                raise InvalidResponse(f"{self._name} did not answer with a list of models.")
            models += [model for entry in entries if (model := _model(entry)) is not None]
            last_id = page.get("last_id")
            if page.get("has_more") is not True or not isinstance(last_id, str):
                break
            after = f"&after_id={quote(last_id, safe='')}"
        return models

    async def embed(
        self,
        model: str,  # noqa: ARG002
        texts: Sequence[str],  # noqa: ARG002
        limits: TimeLimits,  # noqa: ARG002
    ) -> Embeddings:
        """Raises ProviderRejected: the protocol has no embeddings."""
        raise ProviderRejected(
            f"{self._name} has no embeddings. Use builtin/all-minilm-l6-v2, or an embedding model "
            "of an Ollama or OpenAI provider."
        )

    # ------------------------------------------------------------ on the wire

    async def _send(self, call: ProviderCall, tool: AnswerTool | None) -> HttpResponse:
        """The response that holds the answer. The caller closes it."""
        response = await self._http.request(
            self._peer,
            "POST",
            "/v1/messages",
            body=message_request(call, tool),
            headers=self._headers(),
            limits=call.time_limits,
        )
        if response.status == 200 and "html" not in response.content_type:
            return response
        raise self._failure(await self._refusal(response), call)

    def _parse(self, data: bytes, call: ProviderCall) -> JsonObject:
        """The object of an event, or of a whole body; raises what it says where it is an error."""
        told = parse_answer(data)
        if told.get("type") == "error":
            raise self._failure(read_refusal(self._name, 200, data), call)
        return told

    async def _refusal(self, response: HttpResponse) -> Refusal:
        try:
            body = await response.body()
        finally:
            response.close()
        return read_refusal(
            self._name,
            response.status,
            body,
            retry_after_s=response.retry_after_s,
            should_retry=response.should_retry,
        )

    async def _list_page(self, after: str) -> JsonObject | None:
        """A page of the list of models; None where there is no such list."""
        response = await self._http.request(
            self._peer,
            "GET",
            f"/v1/models?limit={_PAGE_SIZE}{after}",
            headers=self._headers(),
            limits=_LISTING_LIMITS,
        )
        try:
            if response.status in (404, 405):
                return None
            if response.status != 200 or "html" in response.content_type:
                raise (await self._refusal(response)).error("")
            return parse_answer(await response.body())
        finally:
            response.close()

    def _headers(self) -> dict[str, str]:
        if not self._key:  # a gateway may have the key itself
            return {"anthropic-version": _VERSION}
        if not (self._key.isascii() and self._key.isprintable()):
            raise ProviderRejected(
                f"{self._name} was not called: its key holds characters that no key has. "
                "Check the variable that holds the provider's key."
            )
        return {"anthropic-version": _VERSION, "x-api-key": self._key}

    def _failure(self, refusal: Refusal, call: ProviderCall) -> AssistantError:
        untold = [message.content for message in call.messages]
        return refusal.error_of(call, [*untold, self._key] if self._key else untold)


def _model(entry: JsonValue) -> DiscoveredModel | None:
    """The model of an entry of the list; None for an entry without an id."""
    name = entry.get("id") if isinstance(entry, dict) else None
    if not isinstance(entry, dict) or not isinstance(name, str) or not name:
        return None
    window = entry.get("max_input_tokens")
    return DiscoveredModel(
        name=name,
        capabilities=_capabilities(entry.get("capabilities")),
        context_window=window if type(window) is int and window > 0 else None,
    )


def _capabilities(told: JsonValue) -> frozenset[ModelCapability] | None:
    """None where an older server does not say."""
    if not isinstance(told, dict):
        return None

    def can(name: str) -> bool:
        support = told.get(name)
        return isinstance(support, dict) and support.get("supported") is True

    more = {
        ModelCapability.VISION: can("image_input"),
        ModelCapability.REASONING: can("thinking"),
    }
    return _CAPABILITIES | {capability for capability, has_it in more.items() if has_it}
