"""Renders Mustache templates: no HTML, no files, no Python.

chevron's rendering walks Python attributes (``{{x.upper}}`` prints a method), escapes HTML,
reads partials from the disk, prints ``True`` and ``{'a': 1}``, drops the body of a section for a
list's 0 and "", and sets no bound to what nested sections do.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import NoReturn

from assistant.domain.values import JsonObject, JsonValue
from assistant.errors import BadUserInput
from assistant.services.mustache_reading import Body, Path, Section, Value

MAX_RENDERED_CHARACTERS = 1_000_000
MAX_RENDERED_NODES = 100_000
"""Pieces of text, values and sections that one rendering may visit: some 50 ms of work."""


def render_template(body: Body, values: JsonObject) -> str:
    """The text of ``body`` with ``values`` filled in; a value's own braces are text.

    Absent and null values are empty. Numbers, booleans, lists and objects print as JSON.
    A section is skipped for false, null, 0, empty text, an empty list or object.

    Raises: BadUserInput where lists make the text longer than 1,000,000 characters or
    more work than 100,000 pieces.
    """
    rendering = _Rendering(values)
    rendering.write(body)
    return "".join(rendering.pieces)


class _Rendering:
    """One rendering: what was written, whose fields names mean, and how much is still allowed."""

    def __init__(self, values: JsonObject) -> None:
        self.pieces: list[str] = []
        self._scopes: list[JsonValue] = [values]
        self._nodes_left = MAX_RENDERED_NODES
        self._characters_left = MAX_RENDERED_CHARACTERS

    def write(self, body: Body) -> None:
        # Nested sections over one list multiply: the bound is on work, not only on text.
        self._nodes_left -= len(body) + 1
        if self._nodes_left < 0:
            _refuse_size(f"in more than {MAX_RENDERED_NODES:,} pieces")
        for node in body:
            if isinstance(node, str):
                self._print(node)
            elif isinstance(node, Value):
                self._print(_text(self._find(node.name)))
            else:
                self._write_section(node)

    def _write_section(self, section: Section) -> None:
        value = self._find(section.name)
        if section.is_inverted:
            if not value:
                self.write(section.body)
        elif value:
            items: Sequence[JsonValue] = value if isinstance(value, list | tuple) else (value,)
            for item in items:
                self._scopes.append(item)
                self.write(section.body)
                self._scopes.pop()

    def _find(self, name: Path) -> JsonValue:
        if not name:
            return self._scopes[-1]
        for scope in reversed(self._scopes):
            if isinstance(scope, dict) and name[0] in scope:
                value: JsonValue = scope[name[0]]
                break
        else:
            return None
        for part in name[1:]:
            if isinstance(value, dict):
                value = value.get(part)
            elif isinstance(value, list | tuple) and part.isascii() and part.isdigit():
                # A longer number is beyond every list, and int() would refuse a huge one.
                index = int(part[:9])
                value = value[index] if index < len(value) else None
            else:
                return None
        return value

    def _print(self, text: str) -> None:
        self._characters_left -= len(text)
        if self._characters_left < 0:
            _refuse_size(f"to more than {MAX_RENDERED_CHARACTERS:,} characters")
        self.pieces.append(text)


def _text(value: JsonValue) -> str:
    if isinstance(value, str):
        return value
    return "" if value is None else json.dumps(value, ensure_ascii=False)


def _refuse_size(problem: str) -> NoReturn:
    raise BadUserInput(
        f"With these variables the prompt is rendered {problem}; give less.", path=("variables",)
    )
