"""What Ollama says instead of an answer, and the error that a caller gets for it.

Source: ``server/routes.go`` and ``llm/`` of https://github.com/ollama/ollama; the words of an
overflow were seen on 0.12.6 ("the input length exceeds the context length") and, since 0.34,
as the JSON of llama-server's error inside the string.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from assistant.adapters.providers.http import parse_json
from assistant.adapters.providers.meanings import BY_STATUS, FAILED, REFUSED, STRANGE, Meaning
from assistant.adapters.providers.quoting import quotable
from assistant.errors import (
    ModelMissing,
    ProviderRejected,
    ProviderUnavailable,
    UpstreamError,
)

_BUSY = (ProviderUnavailable, "has too many requests waiting")
_ACCESS = (ProviderRejected, "refuses access. Check the provider's URL and credentials")
_MISSING = (ModelMissing, "does not have the model {model}. Fetch it: `ollama pull {model}`")

# Statuses that mean what they mean whoever sends them: Ollama or a proxy in front of it.
_BY_STATUS: Mapping[int, Meaning] = BY_STATUS | {
    401: _ACCESS,
    403: _ACCESS,
    503: _BUSY,
}


@dataclass(frozen=True, slots=True)
class Refusal:
    """An error answer. ``text`` is None where the body is not Ollama's ``{"error": ...}``.

    ``status`` is None for an error that came as a line of an answer, under status 200.
    ``prompt_tokens`` and ``window`` are the server's numbers for a prompt that does not fit;
    None where it gives none.
    """

    status: int | None
    text: str | None
    retry_after_s: float | None = None
    is_overflow: bool = False
    prompt_tokens: int | None = None
    window: int | None = None

    def error(self, model: str, contents: Iterable[str] = ()) -> UpstreamError:
        """The error for a call of ``model`` with messages of these ``contents``."""
        kind, what = self._meaning()
        status = "" if self.status is None else f" (HTTP {self.status})"
        message = f"Ollama{status} {what.format(model=model)}. {self.quoted(contents)}"
        return kind(message.rstrip(), retry_after_s=self.retry_after_s)

    def quoted(self, contents: Iterable[str] = ()) -> str:
        """A sentence with what the server says; "" where it says nothing, or repeats a prompt."""
        quoted = "" if self.text is None else quotable(self.text, contents)
        return f"It says: {quoted}" if quoted else ""

    @property
    def is_of_missing_model(self) -> bool:
        """Whether an Ollama is there, but not the model."""
        return self.status == 404 and self.text is not None

    def _meaning(self) -> Meaning:
        if self.status is None or self.status >= 500:
            return _BY_STATUS.get(self.status or 500, FAILED)
        if self.status in _BY_STATUS:
            return _BY_STATUS[self.status]
        if self.text is None:
            return STRANGE
        return _MISSING if self.status == 404 else REFUSED


def read_refusal(status: int | None, body: bytes, retry_after_s: float | None = None) -> Refusal:
    """What ``body`` says under ``status``, or a line of an answer under None."""
    text = _error_text(body)
    if text is None or status not in (400, 500, None):
        return Refusal(status, text, retry_after_s)
    detail = _nested_error(text)
    message = detail.get("message")
    text = message if isinstance(message, str) else text
    return Refusal(
        status,
        text,
        retry_after_s,
        is_overflow=detail.get("type") == "exceed_context_size_error" or _tells_overflow(text),
        prompt_tokens=_positive(detail.get("n_prompt_tokens")),
        window=_positive(detail.get("n_ctx")),
    )


def _error_text(body: bytes) -> str | None:
    try:
        value = parse_json(body)
    except ValueError:
        return None
    text = value.get("error") if isinstance(value, dict) else None
    return text if isinstance(text, str) else None


def _nested_error(text: str) -> Mapping[str, object]:
    """llama-server's error, where ``text`` is its JSON; else nothing."""
    if not text.startswith("{"):
        return {}
    try:
        value = parse_json(text.encode())
    except ValueError:
        return {}
    detail = value.get("error") if isinstance(value, dict) else None
    return detail if isinstance(detail, dict) else {}


def _tells_overflow(text: str) -> bool:
    words = text.lower()
    # The last is what llama-server says of a text to embed that is longer than its batch.
    return ("context" in words and "exceed" in words) or "too large to process" in words


def _positive(value: object) -> int | None:
    return value if type(value) is int and value > 0 else None
