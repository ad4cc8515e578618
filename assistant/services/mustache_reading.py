"""Reads Mustache templates; what is wrong with one is said with line and column.

Source: the Mustache specification 1.4, core modules, https://github.com/mustache/spec
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import groupby
from typing import cast

from assistant.domain.prompt import PromptPartial
from assistant.domain.values import check_text
from assistant.errors import BadUserInput
from assistant.services.mustache_nodes import Body, Names, Node, Section, Value
from assistant.services.mustache_tags import Mistake, Tag, TagKind, TagScanner

MAX_TEMPLATE_CHARACTERS = 100_000
MAX_TAGS = 1_000
MAX_SECTION_DEPTH = 32
MAX_PARTIALS = 32
"""Different texts that one template may include itself."""
MAX_PARTIAL_DEPTH = 16

_NAME = re.compile(r"\.|[\w-]+(?:\.[\w-]+)*")
_PARTIAL_NAME = re.compile(r"[a-z0-9-]{1,64}(?:@[1-9][0-9]{0,8})?")


def read_template(
    source: str, path: tuple[str, ...], partials: Iterable[PromptPartial] = ()
) -> tuple[Body, Names]:
    """What ``source`` says, the ``partials`` that it includes written out in their places.

    With what it includes it has at most 100,000 characters and 1,000 tags and is 32 sections
    deep; texts include one another 16 deep. ``path`` is the input field it came in.

    Raises: BadUserInput with line and column, and which included text it is in.
    """
    reading = _Reading(path)
    reader = _Reader(source, partials, _Surroundings(".".join(path)), reading)
    return reader.read(), reading.names


def read_partial_names(source: str) -> Iterable[str]:
    """The texts that ``source`` includes, in order of first use, up to the first mistake in it."""
    names: dict[str, None] = {}
    scanner = TagScanner(source[:MAX_TEMPLATE_CHARACTERS])
    for _ in range(MAX_TAGS):
        try:
            tag = scanner.next_tag()
        except Mistake:
            break
        if tag is None or len(names) == MAX_PARTIALS:
            break
        if tag.kind is TagKind.PARTIAL and _PARTIAL_NAME.fullmatch(tag.name):
            names[tag.name] = None
    return names


@dataclass(frozen=True, slots=True)
class _Surroundings:
    """Where a text stands: by itself, or included in another.

    ``where`` names it in messages. It is included ``partial_depth`` deep, behind ``indentation``,
    with ``section_depth`` sections open around it; ``has_item`` says whether one has an item.
    """

    where: str
    indentation: str = ""
    partial_depth: int = 0
    section_depth: int = 0
    has_item: bool = False


@dataclass(slots=True)
class _Reading:
    """What adds up over a template and everything that it includes."""

    path: tuple[str, ...]
    tags: int = 0
    characters: int = 0
    names: Names = field(default_factory=Names)

    def admit(self, source: str, around: _Surroundings) -> str:
        """``source`` with its indentation before each line, as the specification has it.

        Raises: BadUserInput where that would be too long, before it takes the memory.
        """
        lines = source.count("\n", 0, -1) + 1 if source else 0
        characters = len(source) + lines * len(around.indentation)
        self.characters += characters
        if self.characters > MAX_TEMPLATE_CHARACTERS:
            found = f"{around.where} has {characters:,} characters"
            if around.partial_depth:
                found = f"{around.where}: with this there are {self.characters:,} characters"
            raise self.refusal(f"{found}; at most {MAX_TEMPLATE_CHARACTERS:,} are allowed.")
        check_text(source, self.path)
        if not around.indentation or not source:
            return source
        inner = source[:-1].replace("\n", "\n" + around.indentation)
        return f"{around.indentation}{inner}{source[-1]}"

    def refusal(self, problem: str) -> BadUserInput:
        return BadUserInput(problem, path=self.path)


@dataclass(slots=True)
class _OpenSection:
    name: str
    is_inverted: bool
    begin: int
    outer: list[Node]


class _Reader:
    """Reads one text, tag by tag: the template itself, or one that it includes."""

    def __init__(
        self,
        source: str,
        partials: Iterable[PromptPartial],
        around: _Surroundings,
        reading: _Reading,
    ) -> None:
        self._source = reading.admit(source, around)
        self._partials = {partial.used_as: partial for partial in partials}
        self._around = around
        self._reading = reading
        self._scanner = TagScanner(self._source)
        self._open: list[_OpenSection] = []
        self._body: list[Node] = []
        self._included: set[str] = set()

    def read(self) -> Body:
        position = 0
        try:
            while (tag := self._scanner.next_tag()) is not None:
                self._body.append(self._source[position : tag.before])
                self._take(tag)
                position = tag.after
            if self._open:
                section = self._open[-1]
                raise Mistake(
                    section.begin,
                    f"The section {section.name} is never closed; {self._closer(section)}.",
                )
        except Mistake as mistake:
            place = self._place(mistake.offset)
            raise self._reading.refusal(f"{place}: {mistake.problem}") from None
        self._body.append(self._source[position:])
        return _joined(self._body)

    def _take(self, tag: Tag) -> None:
        self._reading.tags += 1
        if self._reading.tags > MAX_TAGS:
            raise Mistake(
                tag.begin, f"More than {MAX_TAGS:,} tags, included ones counted; split the prompt."
            )
        match tag.kind:
            case TagKind.VALUE:
                self._use(tag, is_printed=True)
                self._body.append(Value(*_split(tag.name)))
            case TagKind.SECTION | TagKind.INVERTED:
                self._use(tag)
                if self._around.section_depth + len(self._open) == MAX_SECTION_DEPTH:
                    raise Mistake(
                        tag.begin, f"Sections are nested deeper than {MAX_SECTION_DEPTH}."
                    )
                is_inverted = tag.kind is TagKind.INVERTED
                self._open.append(_OpenSection(tag.name, is_inverted, tag.begin, self._body))
                self._body = []
            case TagKind.END:
                self._close(tag)
            case TagKind.PARTIAL:
                self._include(tag)
            case TagKind.COMMENT | TagKind.DELIMITERS:
                pass

    def _close(self, tag: Tag) -> None:
        if not self._open:
            raise Mistake(
                tag.begin, f"The section {_quote(tag.name)} is closed but was never opened."
            )
        section = self._open.pop()
        if section.name != tag.name:
            raise Mistake(
                tag.begin,
                f"{_quote(tag.name)} is closed while {section.name} is open; "
                f"{self._closer(section)} first.",
            )
        inner = _joined(self._body)
        self._body = section.outer
        self._body.append(Section(*_split(tag.name), section.is_inverted, inner))

    def _closer(self, section: _OpenSection) -> str:
        return f"add {self._scanner.opening}/{section.name}{self._scanner.closing}"

    def _include(self, tag: Tag) -> None:
        if not _PARTIAL_NAME.fullmatch(tag.name):
            raise Mistake(
                tag.begin,
                f"{_quote(tag.name)} is not a prompt that can be included: give its name, or a "
                "version of it as in {{> greeting@3}}.",
            )
        self._included.add(tag.name)
        if len(self._included) > MAX_PARTIALS:
            raise Mistake(tag.begin, f"More than {MAX_PARTIALS} different texts are included.")
        if self._around.partial_depth == MAX_PARTIAL_DEPTH:
            raise Mistake(
                tag.begin, f"Texts include one another more than {MAX_PARTIAL_DEPTH} deep."
            )
        partial = self._partials.get(tag.name)
        if partial is None:
            raise Mistake(
                tag.begin,
                f"There is no published prompt {tag.name} to include: name one that is, or a "
                "version, as in {{> greeting@3}}."
                if "@" not in tag.name
                else f"There is no prompt version {tag.name} to include: name one that is, as in "
                "{{> greeting@3}}.",
            )
        around = _Surroundings(
            where=f"{self._place(tag.begin)}, in the included {tag.name}",
            indentation=tag.indentation,
            partial_depth=self._around.partial_depth + 1,
            section_depth=self._around.section_depth + len(self._open),
            has_item=self._is_in_item(),
        )
        included = _Reader(partial.template, partial.partials, around, self._reading)
        self._body.extend(included.read())

    def _use(self, tag: Tag, *, is_printed: bool = False) -> None:
        """Note the name of a value or section as used. Raises Mistake."""
        if not _NAME.fullmatch(tag.name):
            raise Mistake(
                tag.begin,
                f"{_quote(tag.name)} is not a variable's name: letters, digits, _ and -, "
                "joined by dots. For braces as text, as in JSON, set other delimiters: {{=<% %>=}}.",
            )
        first, rest = _split(tag.name)
        names = self._reading.names
        if not first:
            if names.item is None and not self._is_in_item():
                names.item = self._place(tag.begin)
        elif self._is_in_item():
            names.inside.add(first)
        else:
            if first not in names.outside:
                names.outside[first] = self._place(tag.begin)
            if is_printed and not rest:
                names.printed.add(first)

    def _is_in_item(self) -> bool:
        # An inverted section has no item: what stands in it stands outside.
        return self._around.has_item or not all(section.is_inverted for section in self._open)

    def _place(self, offset: int) -> str:
        line = self._source.count("\n", 0, offset) + 1
        column = offset - self._source.rfind("\n", 0, offset) - len(self._around.indentation)
        return f"{self._around.where}, line {line}, column {column}"


def _joined(nodes: Iterable[Node]) -> Body:
    """``nodes`` with pieces of text that follow one another made one, and no empty ones."""
    body: list[Node] = []
    for is_text, group in groupby(nodes, lambda node: isinstance(node, str)):
        if not is_text:
            body.extend(group)
        elif text := "".join(cast(Iterable[str], group)):
            body.append(text)
    return tuple(body)


def _split(name: str) -> tuple[str, tuple[str, ...]]:
    if name == ".":
        return "", ()
    first, *rest = name.split(".")
    return first, tuple(rest)


def _quote(name: str) -> str:
    return json.dumps(name if len(name) <= 64 else name[:64] + "…", ensure_ascii=False)
