"""What JSON Schema asserts of a value itself: its type, its size, what it must equal or have.

Messages are a predicate, as in "must be of type string", and hold nothing of the value.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from fractions import Fraction
from typing import Any, Final, TypeAlias

from jsonschema import ValidationError

from assistant.domain.values import JsonValue
from assistant.services.json_schema_reading import CompiledSchema, Pattern, identity

Keyword: TypeAlias = Callable[[Any, Any, Any, CompiledSchema], Iterator[ValidationError]]
"""Takes validator, the keyword's compiled value, the value and the schema, as the library calls it.

``validator.format_checker`` counts the steps.
"""


def _leaf(kind: str, message: str, holds: Callable[[Any, Any], bool]) -> Keyword:
    """A keyword that asserts something of values of type ``kind``."""

    def keyword(
        validator: Any, expected: Any, value: Any, _schema: CompiledSchema
    ) -> Iterator[ValidationError]:
        if validator.is_type(value, kind) and not holds(expected, value):
            yield ValidationError(message.format(_words(expected)))

    return keyword


def _words(expected: object) -> str:
    if isinstance(expected, Pattern):
        return _words(expected.source)
    text = json.dumps(expected, ensure_ascii=False, default=str)
    return text if len(text) <= 120 else text[:119] + "…"


def _type(
    validator: Any, expected: str | list[str], value: Any, _schema: CompiledSchema
) -> Iterator[ValidationError]:
    types = [expected] if isinstance(expected, str) else expected
    if not any(validator.is_type(value, name) for name in types):
        yield ValidationError(f"must be of type {' or '.join(types)}")


def _enum(
    validator: Any, expected: tuple[set[Any], list[JsonValue]], value: Any, _schema: CompiledSchema
) -> Iterator[ValidationError]:
    allowed, listed = expected
    validator.format_checker.take(_size(value))
    if identity(value) not in allowed:
        if len(listed) == 1:
            yield ValidationError(f"must be {_words(listed[0])}")
        else:
            yield ValidationError(f"must be one of {_words(listed)}")


def _unique(
    validator: Any, expected: bool, value: Any, _schema: CompiledSchema
) -> Iterator[ValidationError]:
    if expected and validator.is_type(value, "array"):
        validator.format_checker.take(_size(value))
        if len({identity(item) for item in value}) != len(value):
            yield ValidationError("must not hold the same item twice")


def _size(value: JsonValue) -> int:
    match value:
        case Mapping():
            return 1 + sum(_size(item) for item in value.values())
        case list():
            return 1 + sum(_size(item) for item in value)
        case _:
            return 1


def _is_multiple(divisor: float, value: float) -> bool:
    """In decimal, as it is written: 0.3 is a multiple of 0.1."""
    return (Fraction(repr(value)) / Fraction(repr(divisor))).denominator == 1


def _pattern(
    validator: Any, expected: Pattern, value: Any, _schema: CompiledSchema
) -> Iterator[ValidationError]:
    if validator.is_type(value, "string"):
        validator.format_checker.take(expected.cost_of(value))
        if not expected.is_in(value):
            yield ValidationError(f"must match the pattern {_words(expected)}")


def _required(
    validator: Any, expected: list[str], value: Any, _schema: CompiledSchema
) -> Iterator[ValidationError]:
    if validator.is_type(value, "object"):
        for name in expected:
            if name not in value:
                yield ValidationError(f"lacks the property {_words(name)}")


def _dependent_required(
    validator: Any, expected: dict[str, list[str]], value: Any, _schema: CompiledSchema
) -> Iterator[ValidationError]:
    if validator.is_type(value, "object"):
        for name, needed in expected.items():
            if name in value:
                validator.format_checker.take(len(needed))
                for other in needed:
                    if other not in value:
                        yield ValidationError(
                            f"lacks the property {_words(other)}, which {_words(name)} needs"
                        )


ASSERTIONS: Final[dict[str, Keyword]] = {
    "const": _enum,
    "dependentRequired": _dependent_required,
    "enum": _enum,
    "exclusiveMaximum": _leaf("number", "must be less than {}", lambda x, v: v < x),
    "exclusiveMinimum": _leaf("number", "must be greater than {}", lambda x, v: v > x),
    "maxItems": _leaf("array", "must have at most {} items", lambda x, v: len(v) <= x),
    "maxLength": _leaf("string", "must have at most {} characters", lambda x, v: len(v) <= x),
    "maxProperties": _leaf("object", "must have at most {} properties", lambda x, v: len(v) <= x),
    "maximum": _leaf("number", "must be at most {}", lambda x, v: v <= x),
    "minItems": _leaf("array", "must have at least {} items", lambda x, v: len(v) >= x),
    "minLength": _leaf("string", "must have at least {} characters", lambda x, v: len(v) >= x),
    "minProperties": _leaf("object", "must have at least {} properties", lambda x, v: len(v) >= x),
    "minimum": _leaf("number", "must be at least {}", lambda x, v: v >= x),
    "multipleOf": _leaf("number", "must be a multiple of {}", _is_multiple),
    "pattern": _pattern,
    "required": _required,
    "type": _type,
    "uniqueItems": _unique,
}
