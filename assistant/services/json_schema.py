"""The keywords of JSON Schema, applied to what a model wrote.

The library ``jsonschema`` walks value and schema; what the keywords assert is said here, because
the library's own would search with backtracking, quote the value in every message, and compare
long lists pair by pair. ``format`` is an annotation, as draft 2020-12 has it by default: it is
not asserted.

Source: JSON Schema draft 2020-12, https://json-schema.org/draft/2020-12
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from jsonschema import Draft202012Validator, FormatChecker, ValidationError
from jsonschema.validators import extend

from assistant.domain.values import JsonValue
from assistant.services.json_schema_assertions import ASSERTIONS, Keyword
from assistant.services.json_schema_reading import CompiledSchema, Pattern

MAX_STEPS = 500_000
"""Keywords applied, entries compared: about a second's work, and far beyond real answers."""


class StepsExceeded(Exception):
    """Checking the value takes more than ``MAX_STEPS``."""


class _Steps(FormatChecker):
    """The count of one check. The library hands its format checker on to every subschema."""

    def __init__(self) -> None:
        super().__init__(formats=())
        self._left = MAX_STEPS

    def take(self, steps: int) -> None:
        self._left -= steps
        if self._left < 0:
            raise StepsExceeded


def violations(schema: CompiledSchema, value: JsonValue) -> Iterator[ValidationError]:
    """What of ``schema`` ``value`` does not satisfy, in the schema's order.

    Messages are a predicate, as in "must be of type string", and hold nothing of the value.
    Raises: StepsExceeded, RecursionError.
    """
    return _Validator(schema, format_checker=_Steps()).iter_errors(value)  # type: ignore[no-any-return]


# -------------------------------------------------------------------- on what is in it


def _pattern_properties(
    validator: Any,
    expected: list[tuple[Pattern, CompiledSchema]],
    value: Any,
    _schema: CompiledSchema,
) -> Iterator[ValidationError]:
    if validator.is_type(value, "object"):
        for pattern, subschema in expected:
            for name, item in value.items():
                if _matches(validator, pattern, name):
                    yield from validator.descend(item, subschema, path=name)


def _matches(validator: Any, pattern: Pattern, name: str) -> bool:
    validator.format_checker.take(1 + pattern.cost_of(name))
    return pattern.is_in(name)


def _additional_properties(
    validator: Any, expected: CompiledSchema, value: Any, schema: CompiledSchema
) -> Iterator[ValidationError]:
    if validator.is_type(value, "object"):
        named = schema.get("properties", {})
        patterns = schema.get("patternProperties", ())
        for name, item in value.items():
            if name not in named and not any(_matches(validator, p, name) for p, _ in patterns):
                yield from validator.descend(item, expected, path=name)


def _items(
    validator: Any, expected: CompiledSchema, value: Any, schema: CompiledSchema
) -> Iterator[ValidationError]:
    if validator.is_type(value, "array"):
        for index in range(len(schema.get("prefixItems", ())), len(value)):
            yield from validator.descend(value[index], expected, path=index)


def _contains(
    validator: Any, expected: CompiledSchema, value: Any, schema: CompiledSchema
) -> Iterator[ValidationError]:
    if validator.is_type(value, "array"):
        found = sum(_is_valid(validator, expected, item) for item in value)
        lowest, highest = schema.get("minContains", 1), schema.get("maxContains", len(value))
        if found < lowest:
            yield ValidationError(f"must hold at least {lowest} items as `contains` has them")
        elif found > highest:
            yield ValidationError(f"must hold at most {highest} items as `contains` has them")


def _unevaluated_properties(
    validator: Any, expected: CompiledSchema, value: Any, schema: CompiledSchema
) -> Iterator[ValidationError]:
    if validator.is_type(value, "object"):
        others = {k: v for k, v in schema.items() if k != "unevaluatedProperties"}
        seen = _evaluated_properties(validator, others, value)
        for name in value:
            if name not in seen:
                yield from validator.descend(value[name], expected, path=name)


def _evaluated_properties(validator: Any, schema: CompiledSchema, value: Any) -> set[str]:
    """The names that ``schema`` says something of, by itself or by a subschema that holds."""
    validator.format_checker.take(1 + len(value))
    if "additionalProperties" in schema or "unevaluatedProperties" in schema:
        return set(value)
    seen = {name for name in schema.get("properties", ()) if name in value}
    for pattern, _ in schema.get("patternProperties", ()):
        seen |= {name for name in value if _matches(validator, pattern, name)}
    for part in _applied_in_place(validator, schema, value):
        seen |= _evaluated_properties(validator, part, value)
    return seen


def _unevaluated_items(
    validator: Any, expected: CompiledSchema, value: Any, schema: CompiledSchema
) -> Iterator[ValidationError]:
    if validator.is_type(value, "array"):
        others = {k: v for k, v in schema.items() if k != "unevaluatedItems"}
        seen = _evaluated_items(validator, others, value)
        for index, item in enumerate(value):
            if index not in seen:
                yield from validator.descend(item, expected, path=index)


def _evaluated_items(validator: Any, schema: CompiledSchema, value: Any) -> set[int]:
    """The indexes that ``schema`` says something of, by itself or by a subschema that holds."""
    validator.format_checker.take(1 + len(value))
    if "items" in schema or "unevaluatedItems" in schema:
        return set(range(len(value)))
    seen = set(range(min(len(value), len(schema.get("prefixItems", ())))))
    if "contains" in schema:
        seen |= {i for i, v in enumerate(value) if _is_valid(validator, schema["contains"], v)}
    for part in _applied_in_place(validator, schema, value):
        seen |= _evaluated_items(validator, part, value)
    return seen


# ------------------------------------------------------------- of other schemas, in place


def _applied_in_place(
    validator: Any, schema: CompiledSchema, value: Any
) -> Iterator[CompiledSchema]:
    """The subschemas of ``schema`` that hold for ``value`` itself."""
    parts = [schema["$ref"]] if "$ref" in schema else []
    for keyword in ("allOf", "anyOf", "oneOf"):
        parts += schema.get(keyword, ())
    if "if" in schema:
        is_met = _is_valid(validator, schema["if"], value)
        if is_met:
            yield schema["if"]
        parts += [schema[branch] for branch in ("then" if is_met else "else",) if branch in schema]
    parts += [part for name, part in schema.get("dependentSchemas", {}).items() if name in value]
    for part in parts:
        if _is_valid(validator, part, value):
            yield part


def _is_valid(validator: Any, schema: CompiledSchema, value: Any) -> bool:
    validator.format_checker.take(1)
    return next(validator.descend(value, schema), None) is None


def _ref(
    validator: Any, expected: CompiledSchema, value: Any, _schema: CompiledSchema
) -> Iterator[ValidationError]:
    yield from validator.descend(value, expected)


def _first_errors(
    validator: Any, schemas: list[CompiledSchema], value: Any
) -> Iterator[ValidationError | None]:
    for schema in schemas:
        yield next(validator.descend(value, schema), None)


def _any_of(
    validator: Any, expected: list[CompiledSchema], value: Any, _schema: CompiledSchema
) -> Iterator[ValidationError]:
    errors = []
    for error in _first_errors(validator, expected, value):
        if error is None:
            return
        errors.append(error)
    yield _no_alternative(errors)


def _no_alternative(errors: list[ValidationError]) -> ValidationError:
    """One error for all of them; the nearest miss is looked for in its context."""
    messages = list(dict.fromkeys(error.message for error in errors))
    if len(messages) <= 4 and not any(error.path for error in errors):
        return ValidationError(" or ".join(messages), context=errors)
    return ValidationError("fits none of the schemas that it may be of", context=errors)


def _one_of(
    validator: Any, expected: list[CompiledSchema], value: Any, _schema: CompiledSchema
) -> Iterator[ValidationError]:
    results = list(_first_errors(validator, expected, value))
    fitting = results.count(None)
    if fitting == 0:
        yield _no_alternative([error for error in results if error is not None])
    elif fitting > 1:
        yield ValidationError(f"fits {fitting} of the schemas in `oneOf`, not exactly one")


def _not(
    validator: Any, expected: CompiledSchema, value: Any, _schema: CompiledSchema
) -> Iterator[ValidationError]:
    if not expected:
        yield ValidationError("is not allowed")
    elif _is_valid(validator, expected, value):
        yield ValidationError("must not be as the schema in `not` has it")


def _if(
    validator: Any, expected: CompiledSchema, value: Any, schema: CompiledSchema
) -> Iterator[ValidationError]:
    branch = schema.get("then" if _is_valid(validator, expected, value) else "else")
    if branch:
        yield from validator.descend(value, branch)


# ------------------------------------------------------------------------- the whole


def _counted(keyword: Keyword) -> Keyword:
    """``keyword``, where applying it counts for what it may have to look at."""

    def counted(
        validator: Any, expected: Any, value: Any, schema: CompiledSchema
    ) -> Iterator[ValidationError]:
        steps = 1
        if isinstance(expected, dict | list):
            steps += len(expected)
        if isinstance(value, dict | list):
            steps += len(value)
        validator.format_checker.take(steps)
        return keyword(validator, expected, value, schema)

    return counted


_LIBRARY = ("allOf", "dependentSchemas", "prefixItems", "properties", "propertyNames")
_KEYWORDS: dict[str, Keyword] = {
    **ASSERTIONS,
    "$ref": _ref,
    "additionalProperties": _additional_properties,
    "anyOf": _any_of,
    "contains": _contains,
    "if": _if,
    "items": _items,
    "not": _not,
    "oneOf": _one_of,
    "patternProperties": _pattern_properties,
    "unevaluatedItems": _unevaluated_items,
    "unevaluatedProperties": _unevaluated_properties,
    **{name: Draft202012Validator.VALIDATORS[name] for name in _LIBRARY},
}
_Validator: Any = extend(  # type: ignore[no-untyped-call]
    Draft202012Validator,
    {name: _counted(keyword) for name, keyword in _KEYWORDS.items()},
)
