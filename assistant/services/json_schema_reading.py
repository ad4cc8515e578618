"""Reads JSON Schemas: what of one can be checked is compiled, what cannot is refused in words.

A schema comes from a caller and is checked against what a model wrote, so neither may make us
fetch anything, search in more than linear time, or recurse without end.

Source: JSON Schema draft 2020-12, https://json-schema.org/draft/2020-12
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, TypeAlias
from urllib.parse import unquote

import re2

from assistant.domain.values import JsonObject, JsonValue
from assistant.services.json_schema_grammar import DEMANDS

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"

MAX_SCHEMA_CHARACTERS = 65_536
MAX_PATTERNS = 100
"""Different ones: each may come to hold a megabyte while it searches."""
MAX_PATTERN_INSTRUCTIONS = 10_000
MAX_IN_PLACE_SCHEMAS = 10_000
"""How many subschemas, references followed, may have to be tried on one and the same value."""

CompiledSchema: TypeAlias = dict[str, Any]
"""A schema's assertions by keyword, ready to be applied.

Patterns are compiled, a ``$ref`` is the very schema that it means (so there may be cycles), True
and False are ``{}`` and ``{"not": {}}``. Annotations, ``format`` among them, are left out.
"""


class SchemaRefused(Exception):
    """A schema that cannot be used; the message says where and why."""


class Pattern:
    """A regular expression of RE2's syntax, which is searched in time linear in the text."""

    __slots__ = ("_expression", "_instructions", "source")

    def __init__(self, source: str) -> None:
        options = re2.Options()
        options.log_errors = False
        options.never_capture = True
        options.max_mem = 1 << 20
        try:
            self._expression = re2.compile(source, options)
        except re2.error as error:
            raise SchemaRefused(_pattern_problem(error)) from error
        self.source = source
        self._instructions: int = self._expression.programsize
        if self._instructions > MAX_PATTERN_INSTRUCTIONS:
            raise SchemaRefused("the pattern is too large; write smaller repetitions")

    def is_in(self, text: str) -> bool:
        """Whether some part of ``text`` matches: patterns are anchored only by ^ and $."""
        return self._expression.search(text) is not None

    def cost_of(self, text: str) -> int:
        """Steps that searching ``text`` counts for."""
        return len(text) * self._instructions // MAX_PATTERN_INSTRUCTIONS


def _pattern_problem(error: Exception) -> str:
    reason = error.args[0] if error.args else ""
    words = reason.decode(errors="replace") if isinstance(reason, bytes) else str(reason)
    return (
        f"the pattern is not of RE2's syntax ({words[:80]}). Look-around, back references and "
        r"\u escapes are not supported: https://github.com/google/re2/wiki/Syntax"
    )


def compile_schema(document: JsonObject) -> CompiledSchema:
    """The compiled schema. Raises SchemaRefused."""
    reader = _Reader()
    root = reader.read(document, "#")
    reader.link()
    _check_expansion(reader.schemas.values())
    return root


_VALUES = frozenset(
    (
        "type",
        *("minLength", "maxLength"),
        *("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"),
        *("minItems", "maxItems", "uniqueItems", "minContains", "maxContains"),
        *("minProperties", "maxProperties", "required", "dependentRequired"),
    )
)
_SUBSCHEMA = frozenset(
    (
        *("items", "contains", "unevaluatedItems"),
        *("additionalProperties", "propertyNames", "unevaluatedProperties"),
        *("not", "if", "then", "else"),
    )
)
_SUBSCHEMAS = frozenset(("allOf", "anyOf", "oneOf", "prefixItems"))
_NAMED_SUBSCHEMAS = frozenset(("properties", "dependentSchemas"))
_DEFINITIONS = frozenset(("$defs", "definitions"))
_REFUSED = frozenset(("$dynamicRef", "$dynamicAnchor", "$recursiveRef", "$recursiveAnchor"))

# What has a say on the same value as the schema it stands in.
_IN_PLACE = ("not", "if", "then", "else")
_IN_PLACE_LISTS = ("allOf", "anyOf", "oneOf")


class _Reader:
    """Compiles one document; first every schema in it, then what they refer to."""

    def __init__(self) -> None:
        self.schemas: dict[str, CompiledSchema] = {}
        self._references: list[tuple[str, CompiledSchema, str]] = []
        self._patterns: dict[str, Pattern] = {}

    def read(self, schema: Any, place: str) -> CompiledSchema:
        """``place`` is the schema's own reference, as in ``#/properties/name``."""
        compiled: CompiledSchema = {}
        self.schemas[place] = compiled
        if isinstance(schema, bool):
            if not schema:
                compiled["not"] = {}
            return compiled
        if not isinstance(schema, dict):
            raise SchemaRefused(f"{place} must be a schema: an object, true or false")
        for keyword, value in schema.items():
            self._read_keyword(compiled, keyword, value, place)
        if "contains" not in compiled:
            compiled.pop("minContains", None)
            compiled.pop("maxContains", None)
        return compiled

    def _read_keyword(self, compiled: CompiledSchema, keyword: str, value: Any, place: str) -> None:
        below = f"{place}/{_escaped(keyword)}"
        demand = DEMANDS.get(keyword)
        if demand is not None and not demand.holds(value):
            raise SchemaRefused(f"{below} must be {demand.words}")
        if keyword in _VALUES:
            compiled[keyword] = value
        elif keyword in _SUBSCHEMA:
            compiled[keyword] = self.read(value, below)
        elif keyword in _SUBSCHEMAS:
            compiled[keyword] = [
                self.read(item, f"{below}/{index}") for index, item in enumerate(value)
            ]
        elif keyword in _NAMED_SUBSCHEMAS:
            compiled[keyword] = self._named(value, below)
        elif keyword in _DEFINITIONS:
            self._named(value, below)
        elif keyword == "contentSchema":
            self.read(value, below)
        elif keyword == "pattern":
            compiled[keyword] = self._pattern(value, below)
        elif keyword == "patternProperties":
            compiled[keyword] = [
                (self._pattern(source, below), self.read(item, f"{below}/{_escaped(source)}"))
                for source, item in value.items()
            ]
        elif keyword == "enum":
            compiled[keyword] = ({identity(item) for item in value}, value)
        elif keyword == "const":
            compiled[keyword] = ({identity(value)}, [value])
        elif keyword == "$ref":
            self._references.append((below, compiled, value))
        elif keyword == "$anchor":
            self.schemas[f"#{value}"] = compiled
        elif keyword == "$schema" and value not in (DIALECT, f"{DIALECT}#"):
            raise SchemaRefused(
                f'{below} is not "{DIALECT}", the only dialect that is read. Remove it, or write '
                "the schema in that dialect"
            )
        elif keyword == "$id" and place != "#":
            raise SchemaRefused(f"{below} is not supported: refer by a pointer, as in #/$defs/x")
        elif keyword in _REFUSED:
            raise SchemaRefused(f"{below} is not supported: use $ref")

    def _named(self, schemas: Mapping[str, JsonValue], place: str) -> dict[str, CompiledSchema]:
        return {
            name: self.read(schema, f"{place}/{_escaped(name)}") for name, schema in schemas.items()
        }

    def _pattern(self, source: str, place: str) -> Pattern:
        if source not in self._patterns:
            if len(self._patterns) == MAX_PATTERNS:
                raise SchemaRefused(f"there are more than {MAX_PATTERNS} patterns")
            try:
                self._patterns[source] = Pattern(source)
            except SchemaRefused as refused:
                raise SchemaRefused(f"{place}: {refused}") from refused
        return self._patterns[source]

    def link(self) -> None:
        """Put in place of every reference the schema that it means."""
        for place, compiled, reference in self._references:
            pointer = unquote(reference)
            target = self.schemas.get("#" if pointer in ("", "#") else pointer)
            if target is None:
                raise SchemaRefused(
                    f"{place} does not name a schema of this document; nothing is fetched from "
                    "anywhere else. Refer by a pointer, as in #/$defs/x"
                )
            compiled["$ref"] = target


def _escaped(name: str) -> str:
    """As a JSON pointer has it. Source: RFC 6901, https://www.rfc-editor.org/rfc/rfc6901"""
    return name.replace("~", "~0").replace("/", "~1")


def identity(value: JsonValue) -> object:
    """A hashable stand-in that is equal where JSON values are: 1 is 1.0, and not true."""
    match value:
        case bool():
            return ("b", value)
        case str() | int() | float() | None:
            return value
        case Mapping():
            return frozenset((name, identity(item)) for name, item in value.items())
        case _:
            return tuple(identity(item) for item in value)


def _check_expansion(schemas: Iterable[CompiledSchema]) -> None:
    """Refuse schemas that ask themselves about the same value, and those that ask far too many.

    Lists of lists of references grow exponentially: twenty definitions that name the next one
    twice are a million schemas.
    """
    sizes: dict[int, int] = {}
    open_: set[int] = set()

    def size_of(schema: CompiledSchema) -> int:
        key = id(schema)
        if key in open_:
            raise SchemaRefused("a $ref leads back to itself without a value in between")
        if key not in sizes:
            open_.add(key)
            sizes[key] = 1 + sum(size_of(part) for part in in_place(schema))
            open_.discard(key)
            if sizes[key] > MAX_IN_PLACE_SCHEMAS:
                raise SchemaRefused(
                    f"one value would be tried on more than {MAX_IN_PLACE_SCHEMAS:,} schemas"
                )
        return sizes[key]

    for schema in schemas:
        size_of(schema)


def in_place(schema: CompiledSchema) -> Iterator[CompiledSchema]:
    """Those subschemas that are applied to the very value that ``schema`` is applied to."""
    if "$ref" in schema:
        yield schema["$ref"]
    for keyword in _IN_PLACE:
        if keyword in schema:
            yield schema[keyword]
    for keyword in _IN_PLACE_LISTS:
        yield from schema.get(keyword, ())
    yield from schema.get("dependentSchemas", {}).values()
