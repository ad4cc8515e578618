"""Response schemas: JSON Schemas that answers must satisfy."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from math import isfinite
from typing import Any, NoReturn

from jsonschema.exceptions import ValidationError, best_match

from assistant.domain.completion import Message, MessageRole
from assistant.domain.values import (
    MAX_JSON_DEPTH,
    JsonObject,
    JsonValue,
    carriable,
    check_json,
)
from assistant.errors import BadUserInput, SchemaViolated
from assistant.services.json_schema import StepsExceeded, violations
from assistant.services.json_schema_reading import (
    MAX_SCHEMA_CHARACTERS,
    CompiledSchema,
    SchemaRefused,
    compile_schema,
)

MAX_ANSWER_CHARACTERS = 1_000_000
_MAX_MESSAGE_CHARACTERS = 300
_VIOLATIONS_NAMED = 3
_VIOLATIONS_READ = 20


@dataclass(frozen=True, slots=True)
class ResponseSchema:
    """A schema that has been found fit for checking answers. ``document`` is as it was given.

    It is read as draft 2020-12 with these limits: patterns are RE2's (no look-around, no back
    references), ``$ref`` leads to a schema of the same document, ``$dynamicRef`` and inner
    ``$id`` are refused, and ``format`` is an annotation that nothing is checked against.
    """

    document: JsonObject
    _compiled: CompiledSchema

    @classmethod
    def parse(
        cls, schema: JsonValue, path: tuple[str, ...] = ("responseSchema",)
    ) -> ResponseSchema:
        """Read a schema of at most 65,536 characters of JSON and 32 levels.

        ``path`` is the input field it came in. Reading the same one again is cheap.
        Raises: BadUserInput.
        """
        if not isinstance(schema, dict):
            raise BadUserInput(f"{'.'.join(path)} must be a JSON object.", path=path)
        try:
            canonical = json.dumps(schema, sort_keys=True, separators=(",", ":"))
        except (ValueError, TypeError, RecursionError) as error:
            raise BadUserInput(
                f"{'.'.join(path)} is not JSON, or nested too deep.", path=path
            ) from error
        if len(canonical) > MAX_SCHEMA_CHARACTERS:
            raise BadUserInput(
                f"{'.'.join(path)} has {len(canonical):,} characters; at most "
                f"{MAX_SCHEMA_CHARACTERS:,} are allowed.",
                path=path,
            )
        try:
            return cls(schema, _compile(canonical))
        except SchemaRefused as refused:
            text = f"{'.'.join(path)}: {str(refused)[:500].rstrip('.')}."
            raise BadUserInput(carriable(text), path=path) from refused
        except RecursionError as error:
            raise BadUserInput(f"{'.'.join(path)} refers too deep.", path=path) from error

    def check(self, text: str) -> JsonValue:
        """The answer, parsed. It is JSON, or one fenced block of it, and nothing around it.

        Raises: SchemaViolated, whose message says where and what is wrong, in at most 300
        characters and without the answer's values.
        """
        if len(text) > MAX_ANSWER_CHARACTERS:
            _refuse(f"has more than {MAX_ANSWER_CHARACTERS:,} characters")
        value = _parse(_unfenced(text.strip()))
        try:
            found = list(islice(violations(self._compiled, value), _VIOLATIONS_READ))
        except StepsExceeded:
            _refuse("takes too long to check; the schema asks for too much")
        except RecursionError:
            _refuse("cannot be checked: the schema refers too deep")
        if found:
            _refuse("; ".join(_told(error) for error in _worst(found)))
        return value


@lru_cache(maxsize=128)
def _compile(canonical: str) -> CompiledSchema:
    schema: dict[str, Any] = json.loads(canonical)
    try:
        check_json(schema, ("schema",))
    except BadUserInput as error:
        raise SchemaRefused(error.message) from error
    return compile_schema(schema)


def repair_messages(
    messages: Sequence[Message], answer: str, violation: SchemaViolated
) -> tuple[Message, ...]:
    """The conversation that asks for a corrected answer, once."""
    return (
        *messages,
        Message(MessageRole.ASSISTANT, answer),
        Message(
            MessageRole.USER,
            f"{violation.message}\nAnswer again with the corrected JSON only: the whole of it, "
            "without a fence and without any words around it.",
        ),
    )


# ------------------------------------------------------------------------ reading answers


def _unfenced(text: str) -> str:
    """What stands in the fence where the whole text is one."""
    opening, _, rest = text.partition("\n")
    body, newline, closing = rest.rpartition("\n")
    is_fenced = opening.rstrip().lower() in ("```", "```json") and newline and closing == "```"
    return body if is_fenced else text


def _parse(text: str) -> JsonValue:
    try:
        value: JsonValue = json.loads(
            text, parse_constant=_no_constant, object_pairs_hook=_object_of
        )
    except _Malformed as error:
        _refuse(str(error))
    except json.JSONDecodeError as error:
        _refuse(f"is not JSON (line {error.lineno}, column {error.colno}: {error.msg})")
    except ValueError:
        # Python's own limit of the digits of an integer.
        _refuse("holds an integer of more than 4,300 digits")
    except RecursionError:
        _refuse(f"is nested deeper than {MAX_JSON_DEPTH} levels")
    return _carriable(value, 0)


class _Malformed(Exception):
    """JSON that Python reads and others do not."""


def _no_constant(name: str) -> NoReturn:
    raise _Malformed(f"is not JSON: {name} is not a number of it")


def _object_of(pairs: list[tuple[str, JsonValue]]) -> dict[str, JsonValue]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _Malformed("names a property of an object twice")
    return found


def _carriable(value: JsonValue, depth: int) -> JsonValue:
    """``value`` as every part of the service can hold it."""
    if depth > MAX_JSON_DEPTH:
        _refuse(f"is nested deeper than {MAX_JSON_DEPTH} levels")
    match value:
        case str():
            return carriable(value)
        case float():
            if not isfinite(value):
                _refuse("holds a number that is too large")
            return value
        case dict():
            return {carriable(k): _carriable(v, depth + 1) for k, v in value.items()}
        case list():
            return [_carriable(item, depth + 1) for item in value]
        case _:
            return value


# ------------------------------------------------------------------ what is said about them


def _worst(found: list[ValidationError]) -> list[ValidationError]:
    """Those that are worth telling: of alternatives, the one that came closest."""
    told: dict[str, ValidationError] = {}
    for error in found:
        closest = best_match([error]) or error
        told.setdefault(_told(closest), closest)
    return list(told.values())[:_VIOLATIONS_NAMED]


def _told(error: ValidationError) -> str:
    return f"{_cut(error.json_path, 100)} {error.message}"


def _refuse(problem: str) -> NoReturn:
    message = f"The answer does not satisfy the response schema: it {problem}."
    if problem.startswith("$"):
        message = f"The answer does not satisfy the response schema: {problem}."
    raise SchemaViolated(_cut(message, _MAX_MESSAGE_CHARACTERS))


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else text[: longest - 1] + "…"
