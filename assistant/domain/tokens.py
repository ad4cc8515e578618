"""An estimate of tokens from the surface of a text."""

from __future__ import annotations

from collections.abc import Iterable

from assistant.domain.completion import Message


def estimate_tokens(content: str | Iterable[Message]) -> int:
    """Roughly how many tokens a text has, or the messages of a request with their framing."""
    if isinstance(content, str):
        return len(content) // 4
    return sum(4 + len(message.content) // 4 for message in content)
