"""One host that speaks OpenAI's protocol: what is asked of it, and what it answers or says instead.

Source: https://platform.openai.com/docs/api-reference
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from assistant.adapters.providers.http import HttpClient, HttpResponse, Peer, parse_json
from assistant.adapters.providers.openai_refusal import Refusal, find_error, read_refusal
from assistant.domain.ports import TimeLimits
from assistant.domain.values import JsonObject, JsonValue
from assistant.errors import AssistantError, InvalidResponse, ProviderRejected


class OpenAiHost:
    """Sends requests with the key, where there is one, and tells refusals from answers."""

    def __init__(self, name: str, base_url: str, api_key: str | None, http: HttpClient) -> None:
        self.name = name
        self._http = http
        self._key = (api_key or "").strip()
        self._peer = Peer(name, base_url, "Correct the provider's URL, or see whether it is up.")

    async def send(
        self,
        method: Literal["GET", "POST"],
        path: str,
        body: JsonObject | None,
        limits: TimeLimits,
    ) -> tuple[HttpResponse, Refusal | None]:
        """The response, and what it says instead of an answer; None where an answer is to come.

        The caller closes the response. Raises: ProviderUnavailable, ProviderTimeout,
        InvalidResponse, ProviderRejected for a key that cannot be sent.
        """
        response = await self._http.request(
            self._peer, method, path, body=body, headers=self._headers(), limits=limits
        )
        if response.status == 200 and "html" not in response.content_type:
            return response, None
        try:
            refusal = read_refusal(
                self.name,
                response.status,
                await response.body(),
                retry_after_s=response.retry_after_s,
                should_retry=response.should_retry,
            )
            return response, refusal
        finally:
            response.close()

    async def ask(
        self,
        method: Literal["GET", "POST"],
        path: str,
        body: JsonObject | None = None,
        *,
        limits: TimeLimits,
    ) -> JsonValue | Refusal:
        """The JSON of a whole answer, or what is said instead. Raises as ``send`` does."""
        response, refusal = await self.send(method, path, body, limits)
        try:
            if refusal is not None:
                return refusal
            data = await response.body()
            value = parse_json(data)
        except ValueError as error:
            raise InvalidResponse(f"{self.name}'s answer is not JSON in UTF-8.") from error
        finally:
            response.close()
        return read_refusal(self.name, None, data) if find_error(value) is not None else value

    def explain(self, refusal: Refusal, model: str, contents: Iterable[str]) -> AssistantError:
        """The error for a call of ``model``; repeats neither ``contents`` nor the key."""
        return refusal.error(model, (*contents, self._key) if self._key else contents)

    def _headers(self) -> dict[str, str]:
        if not self._key:  # vLLM, LM Studio and llama.cpp need none
            return {}
        if not (self._key.isascii() and self._key.isprintable()):
            raise ProviderRejected(
                f"{self.name} was not called: its key holds characters that no key has. "
                "Check the variable that holds the provider's key."
            )
        return {"Authorization": f"Bearer {self._key}"}
