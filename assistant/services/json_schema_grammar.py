"""What each keyword of JSON Schema takes.

The same as the meta-schemas of draft 2020-12 say, which took half a second to ask about a large
schema: https://json-schema.org/draft/2020-12/schema
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final, NamedTuple

TYPES: Final = ("array", "boolean", "integer", "null", "number", "object", "string")

_ANCHOR = re.compile(r"[A-Za-z_][-A-Za-z0-9._]*")


class Demand(NamedTuple):
    """What a value must be, in words, and whether it is that."""

    words: str
    holds: Callable[[Any], bool]


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_count(value: Any) -> bool:
    return _is_number(value) and value >= 0 and value == int(value)


def _are_names(value: Any) -> bool:
    return (
        isinstance(value, list)
        and all(isinstance(name, str) for name in value)
        and len(set(value)) == len(value)
    )


def _are_types(value: Any) -> bool:
    if isinstance(value, list):
        return bool(value) and _are_names(value) and set(value) <= set(TYPES)
    return isinstance(value, str) and value in TYPES


_TEXT = Demand("a text", lambda value: isinstance(value, str))
_NUMBER = Demand("a number", _is_number)
_COUNT = Demand("a whole number from 0", _is_count)
_BOOLEAN = Demand("true or false", lambda value: isinstance(value, bool))
_LIST = Demand("a list", lambda value: isinstance(value, list))
_OBJECT = Demand("an object", lambda value: isinstance(value, dict))
_SCHEMA = Demand("a schema: an object, true or false", lambda value: isinstance(value, dict | bool))
_SCHEMAS = Demand(
    "a list of one or more schemas", lambda value: isinstance(value, list) and bool(value)
)
_NAMES = Demand("a list of different texts", _are_names)

DEMANDS: Final[dict[str, Demand]] = {
    "type": Demand(f"one or more of {', '.join(TYPES)}", _are_types),
    "enum": _LIST,
    **dict.fromkeys(("maximum", "exclusiveMaximum", "minimum", "exclusiveMinimum"), _NUMBER),
    "multipleOf": Demand("a number above 0", lambda value: _is_number(value) and value > 0),
    **dict.fromkeys(("maxLength", "minLength", "maxItems", "minItems"), _COUNT),
    **dict.fromkeys(("maxContains", "minContains", "maxProperties", "minProperties"), _COUNT),
    "uniqueItems": _BOOLEAN,
    "pattern": _TEXT,
    "required": _NAMES,
    "dependentRequired": Demand(
        "an object of lists of different texts",
        lambda value: isinstance(value, dict) and all(map(_are_names, value.values())),
    ),
    **dict.fromkeys(("items", "contains", "unevaluatedItems", "additionalProperties"), _SCHEMA),
    **dict.fromkeys(("propertyNames", "unevaluatedProperties", "contentSchema"), _SCHEMA),
    **dict.fromkeys(("not", "if", "then", "else"), _SCHEMA),
    **dict.fromkeys(("allOf", "anyOf", "oneOf", "prefixItems"), _SCHEMAS),
    **dict.fromkeys(("properties", "patternProperties", "dependentSchemas"), _OBJECT),
    **dict.fromkeys(("$defs", "definitions"), _OBJECT),
    "$ref": _TEXT,
    "$anchor": Demand(
        "a name: a letter or _, then letters, digits or . _ -",
        lambda value: isinstance(value, str) and bool(_ANCHOR.fullmatch(value)),
    ),
    "$id": Demand(
        "an address without a fragment",
        lambda value: isinstance(value, str) and "#" not in value[:-1],
    ),
    "$vocabulary": Demand(
        "an object of true and false",
        lambda value: (
            isinstance(value, dict) and all(isinstance(item, bool) for item in value.values())
        ),
    ),
    **dict.fromkeys(("$comment", "title", "description", "format"), _TEXT),
    **dict.fromkeys(("contentEncoding", "contentMediaType"), _TEXT),
    **dict.fromkeys(("deprecated", "readOnly", "writeOnly"), _BOOLEAN),
    "examples": _LIST,
}
