"""Reads Mustache templates; what is wrong with one is said with line and column.

chevron's tokenizer reads the grammar, one step at a time, because only the steps let us say
where a mistake stands.

Source: the Mustache specification 1.4, core modules without partials,
https://github.com/mustache/spec
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import NoReturn, TypeAlias

from chevron.tokenizer import ChevronError, grab_literal, l_sa_check, parse_tag, r_sa_check

from assistant.domain.values import check_text
from assistant.errors import BadUserInput

MAX_TEMPLATE_CHARACTERS = 100_000
MAX_TAGS = 1_000
MAX_SECTION_DEPTH = 32

_NAME = re.compile(r"\.|[\w-]+(?:\.[\w-]+)*")

# "a.b" is ("a", "b"); "." is ().
Path: TypeAlias = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Value:
    name: Path


@dataclass(frozen=True, slots=True)
class Section:
    name: Path
    is_inverted: bool
    body: Body


Node: TypeAlias = str | Value | Section
Body: TypeAlias = tuple[Node, ...]


def read_template(source: str, path: tuple[str, ...]) -> Body:
    """What ``source`` says, at most 100,000 characters, 1,000 tags and 32 sections deep.

    ``path`` is the input field it came in. Raises BadUserInput with line and column.
    """
    return _Reader(source, path).read()


@dataclass(slots=True)
class _OpenSection:
    name: str
    is_inverted: bool
    offset: int
    outer: list[Node]


class _Reader:
    """Reads one template, tag by tag."""

    def __init__(self, source: str, path: tuple[str, ...]) -> None:
        self._source = source
        self._path = path
        self._offset = 0  # of the tag being read, in characters
        self._opening, self._closing = "{{", "}}"
        self._open: list[_OpenSection] = []
        self._body: list[Node] = []

    def read(self) -> Body:
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
                self._body.append(Value(self._check_name(name)))
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
        self._body.append(Section(_split(name), section.is_inverted, inner))

    def _closer(self, section: _OpenSection) -> str:
        return f"add {self._opening}/{section.name}{self._closing}"

    def _check_name(self, name: str) -> Path:
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


def _split(name: str) -> Path:
    return () if name == "." else tuple(name.split("."))


def _quote(name: str) -> str:
    return json.dumps(name if len(name) <= 64 else name[:64] + "…", ensure_ascii=False)
