"""YAML as prompt files have it: strict to read, pleasant to diff.

Read as YAML 1.2 means it (core schema, https://yaml.org/spec/1.2.2/#103-core-schema, decimal numbers
only): ``no`` and ``2024-01-01`` are texts. Written so that readers of YAML 1.1 see the same.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from assistant.domain.values import JsonObject, JsonValue

_LONGEST_LINE = 120
_LARGEST_EXACT_FLOAT = 2**53

_CORE_SCHEMA: tuple[tuple[str, str, str], ...] = (
    ("null", r"~|null|Null|NULL|", "~nN\0"),
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("int", r"[-+]?(?:0|[1-9][0-9]*)", "-+0123456789"),
    (
        "float",
        r"[-+]?(?:[0-9]+\.[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?|[-+]?[0-9]+[eE][-+]?[0-9]+",
        "-+.0123456789",
    ),
)
# What a literal block keeps as it is: YAML breaks lines, or refuses to read, at all others.
_LITERAL = re.compile(
    "[\\t\\n\\x20-\\x7e\\xa0-\\u2027\\u202a-\\ud7ff\\ue000-\\ufefe\\uff00-\\ufffd\\U00010000-\\U0010ffff]+"
)

_ESCAPED = frozenset('"\\')
_BREAKS = frozenset("\n\r\x85\u2028\u2029")


class _Reader(yaml.SafeLoader):
    """Knows JSON's values and nothing else; a key that is there twice is a mistake."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 - PyYAML's own name and kind

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise yaml.constructor.ConstructorError(
                    None,
                    None,
                    "a key must be a text; put texts with braces in quotes",
                    key.start_mark,
                )
            if key.value in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key.value} is there twice", key.start_mark
                )
            seen.add(key.value)
        return super().construct_mapping(node, deep)


class _Writer(yaml.SafeDumper):
    """Indents lists, repeats instead of referring, and writes long texts as they are."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: ARG002
        super().increase_indent(flow, False)

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002
        return True

    def analyze_scalar(self, scalar: str) -> Any:
        analysis = super().analyze_scalar(scalar)
        # PyYAML writes no block with spaces at a line's end, though every reader keeps them.
        analysis.allow_block = _LITERAL.fullmatch(scalar) is not None
        # Elsewhere a line break is written as what it is, for quotes would fold it; and double
        # quotes are the usual ones where they need no escapes.
        is_flat = _BREAKS.isdisjoint(scalar)
        analysis.allow_single_quoted &= is_flat and not _ESCAPED.isdisjoint(scalar)
        analysis.allow_flow_plain &= is_flat
        analysis.allow_block_plain &= is_flat
        return analysis


class LiteralText(str):
    """A text that is written as a block even where it has one line: it is meant to grow."""

    __slots__ = ()


class Compact(dict[str, Any]):
    """A mapping that is written on one line where it is short and flat."""

    __slots__ = ()


def _text(writer: yaml.SafeDumper, text: str) -> yaml.Node:
    is_block = isinstance(text, LiteralText) or "\n" in text or len(text) > _LONGEST_LINE
    return writer.represent_scalar("tag:yaml.org,2002:str", text, "|" if is_block else None)


def _list(writer: yaml.SafeDumper, items: list[Any]) -> yaml.Node:
    is_one_line = _is_short(items)
    return writer.represent_sequence("tag:yaml.org,2002:seq", items, flow_style=is_one_line)


def _compact(writer: yaml.SafeDumper, items: Compact) -> yaml.Node:
    flat = [
        part for item in items.values() for part in (item if isinstance(item, list) else [item])
    ]
    is_one_line = _is_short([*items, *flat])
    return writer.represent_mapping("tag:yaml.org,2002:map", items, flow_style=is_one_line)


def _is_short(items: list[Any]) -> bool:
    if any((isinstance(item, list | dict) and item) or "\n" in str(item) for item in items):
        return False
    return sum(len(str(item)) + 2 for item in items) <= _LONGEST_LINE


for _name, _pattern, _first in _CORE_SCHEMA:
    for _class in (_Reader, _Writer):
        _class.add_implicit_resolver(
            f"tag:yaml.org,2002:{_name}", re.compile(f"(?:{_pattern})\\Z"), [*_first]
        )
_Writer.add_representer(str, _text)
_Writer.add_representer(LiteralText, _text)
_Writer.add_representer(list, _list)
_Writer.add_representer(Compact, _compact)


class YamlError(Exception):
    """A text is no YAML that can be read; the message says in one line where and why."""


def read_yaml(text: str) -> object:
    """What ``text`` says, in JSON's kinds of values. Raises YamlError."""
    try:
        return yaml.load(text, _Reader)  # noqa: S506 - a SafeLoader that knows even less
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        raise YamlError(f"{where}{error.problem}") from error
    except (yaml.YAMLError, ValueError, KeyError) as error:
        raise YamlError(" ".join(str(error).split())) from error
    except RecursionError as error:
        raise YamlError("nested too deep") from error


def write_yaml(content: JsonObject) -> str:
    """YAML of one document, keys in the order in which they are."""
    written: str = yaml.dump(
        plain(content),
        Dumper=_Writer,
        sort_keys=False,
        allow_unicode=True,
        default_flow_style=False,
        width=2**31,
    )
    return written


def plain(value: JsonValue) -> Any:
    """The value in dicts and lists; a whole number is an int, as JSON makes no difference."""
    if isinstance(value, float) and value.is_integer() and abs(value) < _LARGEST_EXACT_FLOAT:
        return int(value)
    if isinstance(value, Mapping):
        kind = Compact if isinstance(value, Compact) else dict
        return kind({name: plain(item) for name, item in value.items()})
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [plain(item) for item in value]
    return value
