"""What may be passed on of a provider's own words."""

from __future__ import annotations

from collections.abc import Iterable

_MAX_QUOTED_CHARACTERS = 200
# Pieces of a prompt of this length are looked for in an error text before it is passed on.
_ECHO_CHARACTERS = 16


def quotable(text: str, contents: Iterable[str]) -> str:
    """``text`` on one line and cut; nothing at all where it repeats a piece of the prompt.

    ``contents`` are the prompt's texts, and whatever else must not be told.
    """
    line = " ".join(text.split())[:_MAX_QUOTED_CHARACTERS]
    pieces = {
        line[start : start + _ECHO_CHARACTERS]
        for start in range(0, max(1, len(line) - _ECHO_CHARACTERS + 1), _ECHO_CHARACTERS // 2)
    }
    for content in contents:
        content = " ".join(content.split())
        if (len(content) <= _ECHO_CHARACTERS and content in line) or any(
            piece in content for piece in pieces
        ):
            return ""
    return line
