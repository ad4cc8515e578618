"""One Ollama server: what is asked of it, and what it answers or says instead.

Source: https://github.com/ollama/ollama/blob/main/docs/api.md
"""

from __future__ import annotations

from typing import Literal

from assistant.adapters.providers.http import HttpClient, HttpResponse, Peer, parse_json
from assistant.adapters.providers.ollama_refusal import Refusal, read_refusal
from assistant.domain.ports import TimeLimits
from assistant.domain.values import JsonObject, JsonValue
from assistant.errors import InvalidResponse


class OllamaServer:
    """Sends requests, and tells refusals from answers."""

    def __init__(self, base_url: str, http: HttpClient) -> None:
        self._http = http
        self._peer = Peer(
            "Ollama", base_url, "Start it with `ollama serve`, or correct the provider's URL."
        )

    async def send(
        self,
        method: Literal["GET", "POST", "DELETE"],
        path: str,
        body: JsonObject | None,
        limits: TimeLimits,
    ) -> tuple[HttpResponse, Refusal | None]:
        """The response, and what it says instead of an answer; None where an answer is to come.

        The caller closes the response. Raises: ProviderUnavailable, ProviderTimeout,
        InvalidResponse.
        """
        response = await self._http.request(self._peer, method, path, body=body, limits=limits)
        if response.status == 200 and "html" not in response.content_type:
            return response, None
        try:
            text = await response.body()
            return response, read_refusal(response.status, text, response.retry_after_s)
        finally:
            response.close()

    async def ask(
        self,
        method: Literal["GET", "POST"],
        path: str,
        body: JsonObject | None = None,
        *,
        limits: TimeLimits,
    ) -> JsonObject | Refusal:
        """The whole answer, or what is said instead. Raises as ``send`` does."""
        response, refusal = await self.send(method, path, body, limits)
        try:
            return refusal or parse_answer(await response.body())
        finally:
            response.close()


def parse_answer(line: bytes) -> JsonObject:
    """The object on a line, or of a whole body. Raises InvalidResponse."""
    try:
        value = parse_json(line)
    except ValueError as error:
        raise InvalidResponse("Ollama's answer is not JSON in UTF-8.") from error
    if not isinstance(value, dict):
        raise InvalidResponse("Ollama's answer is JSON, but not an object.")
    return value


def count_of(value: JsonValue) -> int | None:
    """A number of tokens or bytes. Absent and 0 both mean that it is not known."""
    return value if type(value) is int and value > 0 else None
