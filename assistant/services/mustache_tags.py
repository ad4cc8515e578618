"""Finds the tags of a Mustache template, in time that grows with its length alone.

chevron reads each tag, from a piece of the text that holds nothing else: its own loop copies the
rest of the template at every tag, and cannot say where in it a mistake stands.

Source: the Mustache specification 1.4, core modules, https://github.com/mustache/spec
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

from chevron.tokenizer import ChevronError, parse_tag


class TagKind(StrEnum):
    """What a tag does, by the sign that it begins with."""

    VALUE = ""
    COMMENT = "!"
    SECTION = "#"
    INVERTED = "^"
    END = "/"
    PARTIAL = ">"
    DELIMITERS = "="


@dataclass(frozen=True, slots=True)
class Tag:
    """A tag, as the offsets in the source that matter around it.

    ``begin`` is where the tag begins, ``before`` where the text before it ends, ``after`` where
    the text after it goes on. A tag other than a value that has its line to itself takes the line
    with it; ``indentation`` is what stood before it on that line, "" for every other tag.
    """

    kind: TagKind
    name: str
    begin: int
    before: int
    after: int
    indentation: str = ""


class Mistake(Exception):
    """The template is wrong at ``offset``; ``problem`` says what to do about it."""

    def __init__(self, offset: int, problem: str) -> None:
        super().__init__(problem)
        self.offset = offset
        # It may quote names and delimiters, which are as long as their author likes.
        self.problem = problem if len(problem) <= 300 else problem[:299] + "…"


_REST_OF_LINE = re.compile(r"[ \t]*(?:\r?\n|\r?\Z)")
# As chevron calls them. {{{x}}} and {{&x}} would not be escaped in HTML; here nothing ever is.
_KINDS = {
    "variable": TagKind.VALUE,
    "no escape": TagKind.VALUE,
    "comment": TagKind.COMMENT,
    "section": TagKind.SECTION,
    "inverted section": TagKind.INVERTED,
    "end": TagKind.END,
    "partial": TagKind.PARTIAL,
    "set delimiter": TagKind.DELIMITERS,
}


class TagScanner:
    """Goes from tag to tag; knows the delimiters, which tags can change."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._position = 0
        self.opening, self.closing = "{{", "}}"

    def next_tag(self) -> Tag | None:
        """The next tag, None after the last one. Raises Mistake."""
        begin = self._source.find(self.opening, self._position)
        if begin < 0:
            return None
        kind, name, end = self._read(begin)
        if kind is TagKind.DELIMITERS:
            self._set_delimiters(name, begin)
        tag = Tag(kind, name, begin, begin, end)
        if kind is not TagKind.VALUE:
            tag = self._with_its_line(tag)
        self._position = tag.after
        return tag

    def _read(self, begin: int) -> tuple[TagKind, str, int]:
        inside = begin + len(self.opening)
        close = self._source.find(self.closing, inside)
        if close < 0:
            raise Mistake(begin, f"A tag is never closed; add {self.closing}.")
        if close == inside:
            raise Mistake(begin, "A tag without a name; name a variable or remove the tag.")
        # Only the tag and one character more, which may be the third brace: given all the rest,
        # chevron would copy it at every tag.
        tag = self._source[inside : close + len(self.closing) + 1]
        try:
            (kind, name), rest = parse_tag(tag, self.opening, self.closing)
        except ChevronError:
            # The only mistake left to it: {{= without a second =.
            raise Mistake(begin, "Other delimiters are set by {{=<% %>=}}.") from None
        if kind == "no escape?":
            # Three braces, of which chevron knows those of the usual delimiters only.
            if self._source[close - 1] != "}":
                raise Mistake(begin, "A value in three braces is closed by three: {{{name}}}.")
            kind, name = "no escape", name[:-1].strip()
        return _KINDS[kind], name, inside + len(tag) - len(rest)

    def _set_delimiters(self, name: str, begin: int) -> None:
        delimiters = name.split()
        if len(delimiters) != 2 or "=" in name:
            raise Mistake(begin, "Other delimiters are two, as in {{=<% %>=}}, without =.")
        self.opening, self.closing = delimiters

    def _with_its_line(self, tag: Tag) -> Tag:
        newline = self._source.rfind("\n", self._position, tag.begin)
        line = newline + 1 if newline >= 0 else self._position
        if line and self._source[line - 1] != "\n":
            return tag  # another tag stands before it on the line
        indentation = self._source[line : tag.begin]
        rest = _REST_OF_LINE.match(self._source, tag.after)
        if rest is None or indentation.strip(" \t"):
            return tag
        return Tag(tag.kind, tag.name, tag.begin, line, rest.end(), indentation)
