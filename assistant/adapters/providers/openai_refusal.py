"""What OpenAI and compatible hosts say instead of an answer, and the error that a caller gets.

Source: https://platform.openai.com/docs/guides/error-codes. Compatible hosts differ in where
the words are: ``{"error": {...}}`` (OpenAI), ``{"error": "..."}`` (LM Studio), the object alone
(vLLM before 0.10, Mistral), a list of one (Gemini), ``{"detail": ...}`` (FastAPI behind many).
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
from assistant.domain.values import JsonObject, JsonValue, carriable
from assistant.errors import (
    AssistantError,
    ContextLengthExceeded,
    ModelMissing,
    ProviderRejected,
    ProviderUnavailable,
    RateLimited,
)

_ACCESS = (ProviderRejected, "refuses access. Check the variable that holds the provider's key")
_MISSING = (ModelMissing, "does not have the model {model}, or not for this account")

# Statuses that mean what they mean whoever sends them: the host or a proxy in front of it.
_BY_STATUS: Mapping[int, Meaning] = BY_STATUS | {
    401: _ACCESS,
    403: _ACCESS,
    413: REFUSED,
}

# What the `code` or `type` of an error says, whatever the status.
_BY_CODE: Mapping[str, Meaning] = {
    "insufficient_quota": SPENT,
    "billing_hard_limit_reached": SPENT,
    "billing_not_active": SPENT,
    "model_not_found": _MISSING,
}
# What they say where there is no status to go by: in the middle of an answer.
_BY_CODE_ALONE: Mapping[str, Meaning] = {
    "rate_limit_exceeded": LIMITED,
    "rate_limit_error": LIMITED,
    "invalid_api_key": _ACCESS,
    "authentication_error": _ACCESS,
    "permission_error": _ACCESS,
    "invalid_request_error": REFUSED,
    "content_filter": REFUSED,
    "BadRequestError": REFUSED,  # vLLM
}

_OVERFLOW_CODES = ("context_length_exceeded", "exceed_context_size_error")
_OVERFLOW = re.compile(
    r"maximum context length|exceeds? the (?:available )?context|context_length_exceeded"
    r"|input tokens? (?:count )?.{0,20}exceeds?|greater than the context length",
    re.IGNORECASE,
)
_NUMBER = r"(\d[\d,]{0,11})"
_WINDOW = re.compile(
    rf"maximum context length (?:is|of) {_NUMBER}|limit of {_NUMBER}|context size \({_NUMBER}"
    rf"|tokens allowed \({_NUMBER}",
    re.IGNORECASE,
)
_PROMPT = re.compile(
    rf"resulted in {_NUMBER}|requested (?:about )?{_NUMBER}|request \({_NUMBER} tokens"
    rf"|your request has {_NUMBER}|token count \({_NUMBER}",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Refusal:
    """An error answer of ``host``. ``text`` is None where the body holds no error that is known.

    ``status`` is None for an error that came inside an answer, under status 200. ``codes`` are
    the error's code and type, ``parameter`` the one that it is about. ``prompt_tokens`` and
    ``window`` are the host's numbers for a prompt that does not fit; None where it gives none.
    """

    host: str
    status: int | None
    text: str | None
    codes: frozenset[str] = frozenset()
    parameter: str | None = None
    retry_after_s: float | None = None
    should_retry: bool | None = None
    prompt_tokens: int | None = None
    window: int | None = None

    @property
    def is_of_call(self) -> bool:
        """Whether it is something in the call that is refused."""
        return self.status in (400, 422) and self.text is not None and not self.is_overflow

    @property
    def is_overflow(self) -> bool:
        """Whether the prompt, with its answer, does not fit the context window."""
        if self.status not in (None, 400, 413, 422, 500) or self.text is None:
            return False
        return not self.codes.isdisjoint(_OVERFLOW_CODES) or bool(_OVERFLOW.search(self.text))

    def names(self, parameter: str) -> bool:
        """Whether it is about this parameter of the call, by its field or in its words."""
        named = (self.parameter or "").partition(".")[0]
        return named == parameter or parameter in (self.text or "")

    def error(self, model: str, contents: Iterable[str]) -> AssistantError:
        """The error for a call of ``model``; ``contents`` are texts that must not be repeated."""
        if self.is_overflow:
            return self._overflow(model)
        kind, what = self._meaning()
        # What is said of a wrong key repeats some of it.
        quoted = "" if what is _ACCESS[1] else quotable(self.text or "", contents)
        status = "" if self.status is None else f" (HTTP {self.status})"
        message = f"{self.host}{status} {what.format(model=model)}."
        if quoted:
            message = f"{message} It says: {quoted}"
        return kind(message, retry_after_s=self.retry_after_s if kind.is_retryable else None)

    def _meaning(self) -> Meaning:
        meaning = self._meaning_of_words() or self._meaning_of_status()
        kind, what = meaning
        # A host that knows better says so. What must not be sent again is a rejection, and what
        # may be sent again is none.
        if self.should_retry is False and kind in (ProviderUnavailable, RateLimited):
            return ProviderRejected, f"{what}, and asks not to be called again for this"
        if self.should_retry is True and kind is ProviderRejected:
            return ProviderUnavailable, what
        return meaning

    def _meaning_of_words(self) -> Meaning | None:
        tables = (_BY_CODE,) if self._status is not None else (_BY_CODE, _BY_CODE_ALONE)
        found = (table[code] for table in tables for code in table if code in self.codes)
        return next(found, None)

    def _meaning_of_status(self) -> Meaning:
        status = 500 if self._status is None else self._status
        if status >= 500:
            return _BY_STATUS.get(status, FAILED)
        if status in _BY_STATUS:
            return _BY_STATUS[status]
        if self.text is None:
            return STRANGE
        if status == 404 and "model" in self.text.lower():
            return _MISSING
        return REFUSED

    @property
    def _status(self) -> int | None:
        """The status, or the one that some hosts put into an error's code inside an answer."""
        codes = (int(code) for code in self.codes if re.fullmatch(r"[45]\d\d", code, re.ASCII))
        return next(codes, None) if self.status is None else self.status

    def _overflow(self, model: str) -> ContextLengthExceeded:
        length = "" if self.prompt_tokens is None else f": {self.prompt_tokens:,} tokens were asked"
        window = "" if self.window is None else f"; its context window holds {self.window:,}"
        return ContextLengthExceeded(
            f"The prompt does not fit {model}{length}{window}. "
            "Shorten it, ask for a shorter answer, or use a model with a larger window."
        )


def read_refusal(
    host: str,
    status: int | None,
    body: bytes,
    *,
    retry_after_s: float | None = None,
    should_retry: bool | None = None,
) -> Refusal:
    """What ``body`` says under ``status``."""
    try:
        error = find_error(parse_json(body))
    except ValueError:
        error = None
    return refusal_of(host, status, error, retry_after_s, should_retry)


def refusal_of(
    host: str,
    status: int | None,
    error: JsonObject | None,
    retry_after_s: float | None = None,
    should_retry: bool | None = None,
) -> Refusal:
    """What an ``error`` of ``find_error`` says; None is a body that holds none."""
    if error is None:
        return Refusal(host, status, None, frozenset(), None, retry_after_s, should_retry)
    text = error.get("message")
    text = carriable(text) if isinstance(text, str) else ""
    parameter = error.get("param")
    return Refusal(
        host,
        status,
        text,
        codes=frozenset(
            str(code)
            for code in (error.get("code"), error.get("type"))
            if isinstance(code, str | int)
        ),
        parameter=parameter if isinstance(parameter, str) else None,
        retry_after_s=retry_after_s,
        should_retry=should_retry,
        prompt_tokens=_count(error.get("n_prompt_tokens")) or _number(_PROMPT, text),
        window=_count(error.get("n_ctx")) or _number(_WINDOW, text),
    )


def find_error(body: JsonValue) -> JsonObject | None:
    """The error that a body or an event holds instead of an answer; None where it holds none."""
    if isinstance(body, list) and len(body) == 1:
        body = body[0]
    if not isinstance(body, dict):
        return None
    error = body.get("error")
    if isinstance(error, dict):
        return error
    if isinstance(error, str):
        return {"message": error, "code": body.get("code"), "type": body.get("type")}
    if "choices" in body or "data" in body:
        return None
    if isinstance(body.get("message"), str):
        return body
    if "detail" in body:
        return {"message": str(body["detail"])}
    return None


def _count(value: JsonValue) -> int | None:
    return value if type(value) is int and value > 0 else None


def _number(pattern: re.Pattern[str], text: str) -> int | None:
    """The number that ``pattern`` finds; None where it finds none."""
    found = pattern.search(text)
    digits = next(filter(None, found.groups()), "") if found else ""
    return int(digits.replace(",", "")) if digits else None
