"""Renders Mustache templates: no HTML, no files, no Python.

Values are JSON and are read as JSON: a name is never a Python attribute, and what a value says is
text, also where it looks like a tag.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import NoReturn

from assistant.domain.values import JsonObject, JsonValue
from assistant.errors import BadUserInput
from assistant.services.mustache_nodes import Body, Section

MAX_RENDERED_CHARACTERS = 1_000_000
MAX_RENDERED_NODES = 100_000
"""Pieces of text, values and sections that one rendering may visit: at worst some 100 ms of work."""

_ABSENT: list[JsonValue] = []  # no value of a caller is this very object
_NO_FIELDS: JsonObject = {}
_JSON = json.JSONEncoder(ensure_ascii=False)


def render_template(body: Body, values: JsonObject) -> str:
    """The text of ``body`` with ``values`` filled in; a value's own braces are text.

    Absent and null values are empty. Numbers, booleans, lists and objects print as JSON.
    A section is skipped for false, null, 0, empty text, an empty list or object.

    Raises: BadUserInput where lists make the text longer than 1,000,000 characters or
    more work than 100,000 pieces, and for a number too long to print.
    """
    rendering = _Rendering()
    rendering.write(body, (values,))
    return rendering.text()


class _Rendering:
    """One rendering: what was written, whose fields names mean, and how much is still allowed."""

    def __init__(self) -> None:
        self._pieces: list[str] = []
        self._scopes: list[JsonValue] = []
        self._nodes_left = MAX_RENDERED_NODES
        self._json_characters_left = MAX_RENDERED_CHARACTERS

    def text(self) -> str:
        # Pieces are texts that are there anyway: only joining them takes memory.
        if sum(map(len, self._pieces)) > MAX_RENDERED_CHARACTERS:
            _refuse_length()
        return "".join(self._pieces)

    def write(self, body: Body, items: Sequence[JsonValue]) -> None:
        """Write ``body`` once for each of ``items``, whose fields its names mean first."""
        pieces, scopes = self._pieces, self._scopes
        scopes.append(None)
        for item in items:
            scopes[-1] = item
            # Nested sections over one list multiply: the bound is on work, not only on text.
            self._nodes_left -= len(body) + 1
            if self._nodes_left < 0:
                _refuse_work()
            fields = item if isinstance(item, dict) else _NO_FIELDS
            for node in body:
                if isinstance(node, str):
                    pieces.append(node)
                    continue
                if not node.first:
                    value = item
                else:
                    value = fields.get(node.first, _ABSENT)
                    if value is _ABSENT:
                        value = self._find(node.first)
                    if node.rest:
                        value = _field(value, node.rest)
                if isinstance(node, Section):
                    self._write_section(node, value)
                elif isinstance(value, str):
                    pieces.append(value)
                elif value is not None:
                    pieces.append(self._json(value))
        scopes.pop()

    def _write_section(self, section: Section, value: JsonValue) -> None:
        if section.is_inverted:
            if not value:
                self.write(section.body, self._scopes[-1:])
        elif value:
            self.write(section.body, value if isinstance(value, list | tuple) else (value,))

    def _find(self, name: str) -> JsonValue:
        for scope in reversed(self._scopes):
            if isinstance(scope, dict) and name in scope:
                value: JsonValue = scope[name]
                return value
        return None

    def _json(self, value: JsonValue) -> str:
        try:
            text = _JSON.encode(value)
        except ValueError:  # Python prints no number of more than some thousand digits
            _refuse("A number in variables has too many digits to be printed; give it as text.")
        self._json_characters_left -= len(text)
        if self._json_characters_left < 0:
            _refuse_length()
        return text


def _field(value: JsonValue, path: Sequence[str]) -> JsonValue:
    """What is in ``value`` at ``path``: keys of objects and indexes of lists."""
    for part in path:
        if isinstance(value, dict):
            value = value.get(part)
        elif isinstance(value, list | tuple) and part.isascii() and part.isdigit():
            # A longer number is beyond every list, and int() would refuse a huge one.
            index = int(part[:9])
            value = value[index] if index < len(value) else None
        else:
            return None
    return value


def _refuse_work() -> NoReturn:
    _refuse(
        f"With these variables the prompt is rendered in more than {MAX_RENDERED_NODES:,} pieces; "
        "give less."
    )


def _refuse_length() -> NoReturn:
    _refuse(
        f"With these variables the prompt is rendered to more than {MAX_RENDERED_CHARACTERS:,} "
        "characters; give less."
    )


def _refuse(problem: str) -> NoReturn:
    raise BadUserInput(problem, path=("variables",))
