"""What Anthropic says instead of an answer, and the error that a caller gets for it.

Source: https://docs.anthropic.com/en/api/errors; the words of an overflow and of an account
that is used up are in no reference, they were taken from reports of users.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from assistant.adapters.providers.http import parse_json
from assistant.adapters.providers.meanings import (
    BY_STATUS,
    FAILED,
    LIMITED,
    REFUSED,
    SPENT,
    STRANGE,
    Meaning,
)
from assistant.adapters.providers.quoting import quotable
from assistant.domain.ports import ProviderCall
from assistant.errors import (
    AssistantError,
    ContextLengthExceeded,
    ModelMissing,
    ProviderRejected,
    ProviderUnavailable,
    RateLimited,
    UpstreamError,
)

_ACCESS = (ProviderRejected, "refuses access. Check the provider's URL and API key")
_MISSING = (ModelMissing, "does not have the model {model}. Check its name")
_TOO_LARGE = (ProviderRejected, "takes no request of that size. Shorten it")
_BUSY = (ProviderUnavailable, "is overloaded")

# Statuses that mean what they mean whoever sends them: Anthropic or a proxy in front of it.
_BY_STATUS: Mapping[int, Meaning] = BY_STATUS | {
    401: _ACCESS,
    403: _ACCESS,
    413: _TOO_LARGE,
    503: _BUSY,
    529: _BUSY,
}

# For errors that come under status 200.
_BY_TYPE: Mapping[str, Meaning] = {
    "invalid_request_error": REFUSED,
    "authentication_error": _ACCESS,
    "permission_error": _ACCESS,
    "billing_error": SPENT,
    "not_found_error": _MISSING,
    "request_too_large": _TOO_LARGE,
    "rate_limit_error": LIMITED,
    "overloaded_error": _BUSY,
}

_SPENT_WORDS = ("credit balance is too low", "API usage limits")
_OVERFLOW = re.compile(r"prompt is too long(?:: (\d+) tokens > (\d+) maximum)?")
_OVERFLOW_WITH_ANSWER = re.compile(r"exceed context limit: (\d+) \+ (\d+) > (\d+)")


@dataclass(frozen=True, slots=True)
class Refusal:
    """An error answer. ``text`` is None where the body is not ``{"error": {"message": ...}}``.

    ``status`` is 200 for an error in the place of an answer or in the middle of one. ``kind`` is
    the error's type, ``should_retry`` what the server says of sending the same again.
    """

    provider: str
    status: int
    kind: str
    text: str | None
    retry_after_s: float | None = None
    should_retry: bool | None = None

    def error(self, model: str, untold: Iterable[str] = ()) -> UpstreamError:
        """The error for a call of ``model``. It never repeats a piece of what is ``untold``."""
        kind, what = meaning = self._meaning()
        if self.should_retry is False and kind in (ProviderUnavailable, RateLimited):
            kind, what = ProviderRejected, f"{what}, and asks not to be called again for this"
        # What is said of a wrong key may repeat some of it.
        quoted = "" if meaning is _ACCESS else quotable(self.text or "", untold)
        status = "" if self.status == 200 else f" (HTTP {self.status})"
        message = f"{self.provider}{status} {what.format(model=model)}."
        return kind(
            f"{message} It says: {quoted}" if quoted else message,
            retry_after_s=self.retry_after_s if kind.is_retryable else None,
        )

    def error_of(self, call: ProviderCall, untold: Iterable[str]) -> AssistantError:
        """As ``error``, and ContextLengthExceeded for a prompt that does not fit."""
        text = (self.text or "") if self.status in (200, 400) else ""
        if found := _OVERFLOW_WITH_ANSWER.search(text):
            prompt, answer, window = map(int, found.groups())
            return ContextLengthExceeded(
                f"The prompt does not fit {call.model}: it has {prompt:,} tokens, the answer may "
                f"have {answer:,}, and the context window holds {window:,}. Shorten it, ask for "
                "fewer tokens, or use a model with a larger window."
            )
        if found := _OVERFLOW.search(text):
            length, window = f"is estimated at {call.estimated_tokens:,}", call.context_window
            if found.group(1):
                length, window = f"has {int(found.group(1)):,}", int(found.group(2))
            return ContextLengthExceeded(
                f"The prompt does not fit {call.model}: it {length} tokens, and the context "
                f"window holds {window:,}. Shorten it, or use a model with a larger window."
            )
        return self.error(call.model, untold)

    def _meaning(self) -> Meaning:
        if self.status in _BY_STATUS:
            return _BY_STATUS[self.status]
        if self.status >= 500:
            return FAILED
        if self.text is None:
            return STRANGE
        if self.status in (200, 400) and any(words in self.text for words in _SPENT_WORDS):
            return SPENT
        if self.status == 200:
            return _BY_TYPE.get(self.kind, FAILED)
        return _MISSING if self.status == 404 and self.kind == "not_found_error" else REFUSED


def read_refusal(
    provider: str,
    status: int,
    body: bytes,
    *,
    retry_after_s: float | None = None,
    should_retry: bool | None = None,
) -> Refusal:
    """What ``body`` says under ``status``."""
    try:
        value = parse_json(body)
    except ValueError:
        value = None
    detail = value.get("error") if isinstance(value, dict) else None
    if not isinstance(detail, dict):
        detail = {}
    text = detail.get("message")
    return Refusal(
        provider,
        status,
        str(detail.get("type")),
        text if isinstance(text, str) else None,
        retry_after_s,
        should_retry,
    )
