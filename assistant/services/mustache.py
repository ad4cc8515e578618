"""Mustache templates, read once and rendered many times: no HTML, no files, no Python.

chevron's tokenizer reads the grammar, one step at a time, because only the steps let us say
where a mistake stands. Rendering is ours: chevron's walks Python attributes (``{{x.upper}}``
prints a method), escapes HTML, reads partials from the disk, prints ``True`` and ``{'a': 1}``,
drops the body of a section for a list's 0 and "", and sets no bound to what nested sections do.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NoReturn, TypeAlias

from chevron.tokenizer import ChevronError, grab_literal, l_sa_check, parse_tag, r_sa_check

from assistant.domain.values import JsonObject, JsonValue, check_text
from assistant.errors import BadUserInput

MAX_TEMPLATE_CHARACTERS = 100_000
MAX_TAGS = 1_000
MAX_SECTION_DEPTH = 32
MAX_RENDERED_CHARACTERS = 1_000_000
MAX_RENDERED_NODES = 100_000
"""Pieces of text, values and sections that one rendering may visit: some 50 ms of work."""

_NAME = re.compile(r"\.|[\w-]+(?:\.[\w-]+)*")

# "a.b" is ("a", "b"); "." is ().
_Path: TypeAlias = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Value:
    name: _Path


@dataclass(frozen=True, slots=True)
class _Section:
    name: _Path
    is_inverted: bool
    body: _Body


_Node: TypeAlias = str | _Value | _Section
_Body: TypeAlias = tuple[_Node, ...]


@dataclass(frozen=True, slots=True)
class Template:
    """A template that is known to be well-formed.

    ``variables`` are the names it takes from the caller: those used outside every section, as
    a value, as a section's or an inverted section's name; of a dotted name its first part.
    A name used only INSIDE a section may be a field of the section's item or the caller's
    variable, which only the values can tell: it is optional, and not listed.
    An inverted section has no item, so names inside it count as outside.

    ``scalars`` are the variables printed as they are (``{{x}}``, not ``{{x.y}}``): each must be
    a string, a number or a boolean.
    """

    variables: frozenset[str]
    scalars: frozenset[str]
    body: _Body = field(repr=False)

    @staticmethod
    def parse(source: str, path: tuple[str, ...] = ("template",)) -> Template:
        """Read ``source``, at most 100,000 characters, 1,000 tags and 32 sections deep.

        ``path`` is the input field it came in. Raises BadUserInput with line and column.
        """
        body = _Reader(source, path).read()
        variables: set[str] = set()
        scalars: set[str] = set()
        _collect_names(body, variables, scalars)
        return Template(frozenset(variables), frozenset(scalars), body)

    def render(self, values: JsonObject) -> str:
        """The text with ``values`` filled in; a value's own braces are text, never rendered.

        Absent and null values are empty. Numbers, booleans, lists and objects print as JSON.
        A section is skipped for false, null, 0, empty text, an empty list or object.

        Raises: BadUserInput where lists make the text longer than 1,000,000 characters or
        more work than 100,000 pieces.
        """
        rendering = _Rendering(values)
        rendering.write(self.body)
        return "".join(rendering.pieces)


@lru_cache(maxsize=256)
def parse_template(source: str, path: tuple[str, ...] = ("template",)) -> Template:
    """``Template.parse``, remembering the 256 templates used last."""
    return Template.parse(source, path)


def _collect_names(body: _Body, variables: set[str], scalars: set[str]) -> None:
    for node in body:
        match node:
            case _Value(name):
                variables.add(name[0])
                if len(name) == 1:
                    scalars.add(name[0])
            case _Section(name, is_inverted, inner):
                variables.add(name[0])
                if is_inverted:
                    _collect_names(inner, variables, scalars)


# ----------------------------------------------------------------------- reading


@dataclass(slots=True)
class _OpenSection:
    name: str
    is_inverted: bool
    offset: int
    outer: list[_Node]


class _Reader:
    """Reads one template.

    Source: the Mustache specification 1.4, core modules without partials,
    https://github.com/mustache/spec
    """

    def __init__(self, source: str, path: tuple[str, ...]) -> None:
        self._source = source
        self._path = path
        self._offset = 0  # of the tag being read, in characters
        self._opening, self._closing = "{{", "}}"
        self._open: list[_OpenSection] = []
        self._body: list[_Node] = []

    def read(self) -> _Body:
        if len(self._source) > MAX_TEMPLATE_CHARACTERS:
            raise BadUserInput(
                f"{'.'.join(self._path)} has {len(self._source):,} characters; "
                f"at most {MAX_TEMPLATE_CHARACTERS:,} are allowed.",
                path=self._path,
            )
        check_text(self._source, self._path)
        rest = self._source
        is_alone = True
        tags = 0
        while rest:
            literal: str
            literal, after = grab_literal(rest, self._opening)
            if len(literal) == len(rest):
                self._body.append(literal)
                break
            self._offset = len(self._source) - len(rest) + len(literal)
            tags += 1
            if tags > MAX_TAGS:
                self._refuse(f"More than {MAX_TAGS:,} tags; split the prompt.")
            kind, name, rest = self._read_tag(after)
            # A tag other than a value that has its line to itself takes the line with it.
            is_alone = bool(l_sa_check(after, literal, is_alone)) and r_sa_check(rest, kind, True)
            if is_alone:
                rest = rest.partition("\n")[2]
                literal = literal.rstrip(" \t")
            if literal:
                self._body.append(literal)
            self._take(kind, name)
        if self._open:
            section = self._open[-1]
            self._offset = section.offset
            self._refuse(f"The section {section.name} is never closed; {self._closer(section)}.")
        return tuple(self._body)

    def _read_tag(self, after: str) -> tuple[str, str, str]:
        if self._closing not in after:
            self._refuse(f"A tag is never closed; add {self._closing}.")
        if after.startswith(self._closing):
            self._refuse("A tag without a name; name a variable or remove the tag.")
        try:
            (kind, name), rest = parse_tag(after, self._opening, self._closing)
        except ChevronError:
            # The only mistake left to it: {{= without a second =.
            self._refuse("Other delimiters are set by {{=<% %>=}}.")
        return kind, name, rest

    def _take(self, kind: str, name: str) -> None:
        match kind:
            case "comment":
                pass
            case "variable" | "no escape":
                self._body.append(_Value(self._check_name(name)))
            case "section" | "inverted section":
                self._check_name(name)
                if len(self._open) == MAX_SECTION_DEPTH:
                    self._refuse(f"Sections are nested deeper than {MAX_SECTION_DEPTH}.")
                is_inverted = kind == "inverted section"
                self._open.append(_OpenSection(name, is_inverted, self._offset, self._body))
                self._body = []
            case "end":
                self._close(name)
            case "set delimiter":
                delimiters = name.split()
                if len(delimiters) != 2 or "=" in name:
                    self._refuse("Other delimiters are two, as in {{=<% %>=}}, without =.")
                self._opening, self._closing = delimiters
            case "partial":
                self._refuse("Partials ({{> name}}) are not supported; write the text out.")
            case _:
                self._refuse("A value in three braces is closed by three: {{{name}}}.")

    def _close(self, name: str) -> None:
        if not self._open:
            self._refuse(f"The section {_quote(name)} is closed but was never opened.")
        section = self._open.pop()
        if section.name != name:
            self._refuse(
                f"{_quote(name)} is closed while {section.name} is open; "
                f"{self._closer(section)} first."
            )
        inner = tuple(self._body)
        self._body = section.outer
        # The name's dot was checked where the section was opened, in the same surroundings.
        self._body.append(_Section(_split(name), section.is_inverted, inner))

    def _closer(self, section: _OpenSection) -> str:
        return f"add {self._opening}/{section.name}{self._closing}"

    def _check_name(self, name: str) -> _Path:
        if not _NAME.fullmatch(name):
            self._refuse(
                f"{_quote(name)} is not a variable's name: letters, digits, _ and -, "
                "joined by dots. For braces as text, as in JSON, set other delimiters: {{=<% %>=}}."
            )
        if name == "." and all(section.is_inverted for section in self._open):
            self._refuse("{{.}} is the current item of a section; here it is in none.")
        return _split(name)

    def _refuse(self, problem: str) -> NoReturn:
        line = self._source.count("\n", 0, self._offset) + 1
        column = self._offset - self._source.rfind("\n", 0, self._offset)
        raise BadUserInput(
            f"{'.'.join(self._path)}, line {line}, column {column}: {problem}", path=self._path
        )


def _split(name: str) -> _Path:
    return () if name == "." else tuple(name.split("."))


def _quote(name: str) -> str:
    return json.dumps(name if len(name) <= 64 else name[:64] + "…", ensure_ascii=False)


# --------------------------------------------------------------------- rendering


class _Rendering:
    """One rendering: what was written, whose fields names mean, and how much is still allowed."""

    def __init__(self, values: JsonObject) -> None:
        self.pieces: list[str] = []
        self._scopes: list[JsonValue] = [values]
        self._nodes_left = MAX_RENDERED_NODES
        self._characters_left = MAX_RENDERED_CHARACTERS

    def write(self, body: _Body) -> None:
        # Nested sections over one list multiply: the bound is on work, not only on text.
        self._nodes_left -= len(body) + 1
        if self._nodes_left < 0:
            _refuse_size(f"in more than {MAX_RENDERED_NODES:,} pieces")
        for node in body:
            if isinstance(node, str):
                self._print(node)
            elif isinstance(node, _Value):
                self._print(_text(self._find(node.name)))
            else:
                self._write_section(node)

    def _write_section(self, section: _Section) -> None:
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

    def _find(self, name: _Path) -> JsonValue:
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
