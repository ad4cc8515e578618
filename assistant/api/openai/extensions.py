"""What this service has beyond OpenAI's format: the ``assistant`` object of a body, and headers."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Final

from assistant.api.openai.errors import InvalidRequest
from assistant.domain.cache import CachePolicy

CACHE_HEADER: Final = "x-assistant-cache"
COMPLETION_HEADER: Final = "x-assistant-completion-id"
_PROMPT_HEADER: Final = "x-assistant-prompt"
_FEATURE_HEADER: Final = "x-assistant-feature"
_IDEMPOTENCY_HEADER: Final = "idempotency-key"

# OpenAI has fields of its own for these.
_ELSEWHERE: Final = frozenset({"messages", "text", "model"})
_CACHE_WORDS: Final = {policy.lower().replace("_", "-"): policy.value for policy in CachePolicy}
_LONGEST_NAME: Final = 64


def read_extensions(
    ours: object, headers: Mapping[str, str], fields: Collection[str]
) -> dict[str, Any]:
    """The fields of a CompletionRequest that ``ours`` and ``headers`` give.

    ``fields`` are all there are. Raises InvalidRequest, also where the two contradict.
    """
    if not isinstance(ours, dict):
        raise InvalidRequest("assistant must be an object.", "assistant", "invalid_type")
    for name in ours:
        if name not in fields or name in _ELSEWHERE:
            known = ", ".join(sorted(set(fields) - _ELSEWHERE))
            where = f"assistant.{name[:_LONGEST_NAME]}"
            raise InvalidRequest(
                f"Unknown parameter: '{where}'. assistant takes {known}.",
                where,
                "unknown_parameter",
            )
    document = {name: value for name, value in ours.items() if value is not None}
    for header, name, value in _given(headers):
        if document.setdefault(name, value) != value:
            raise InvalidRequest(
                f"The header {header} and assistant.{name} contradict each other. Send one of them.",
                f"assistant.{name}",
            )
    return document


def _given(headers: Mapping[str, str]) -> list[tuple[str, str, object]]:
    """Header, field and value of what the headers ask for."""
    found: list[tuple[str, str, object]] = []
    if key := headers.get(_IDEMPOTENCY_HEADER):
        found.append((_IDEMPOTENCY_HEADER, "idempotencyKey", key))
    if feature := headers.get(_FEATURE_HEADER):
        found.append((_FEATURE_HEADER, "feature", feature))
    if word := headers.get(CACHE_HEADER):
        policy = _CACHE_WORDS.get(word.strip().lower())
        if policy is None:
            known = ", ".join(_CACHE_WORDS)
            raise InvalidRequest(f"{CACHE_HEADER} must be one of {known}.", CACHE_HEADER)
        found.append((CACHE_HEADER, "cache", policy))
    if prompt := headers.get(_PROMPT_HEADER):
        name, at, version = prompt.strip().partition("@")
        found.append((_PROMPT_HEADER, "promptName", name))
        if at:
            if not version.isdecimal() or len(version) > 9:
                raise InvalidRequest(
                    f"{_PROMPT_HEADER} must be a prompt's name, or a name and a version as in "
                    "summarize-text@2.",
                    _PROMPT_HEADER,
                )
            found.append((_PROMPT_HEADER, "promptVersion", int(version)))
    return found
