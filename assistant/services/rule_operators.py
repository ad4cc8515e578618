"""The operators of a rule's conditions: what each compares, and what it is written with.

A fact is the values that it has: a prompt's tags are as many as there are, any other fact is one,
None where the request has no such thing. An operator holds where it holds for any of them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from math import isfinite
from operator import ge, gt, le, lt
from typing import Any, Protocol, TypeAlias

import re2

from assistant.domain.values import JsonValue
from assistant.errors import BadUserInput

MAX_LISTED = 100
MAX_TEXT = 256
MAX_NESTING = 4
MAX_SEARCHED = 1_000

# Beyond it, JSON's numbers are not the same for everyone who reads them.
_MAX_NUMBER = 2**53
# A pattern that needs more is refused when it is written, and none takes more while it searches.
_PATTERN_MEMORY = 1 << 20

Path: TypeAlias = tuple[str, ...]
Check: TypeAlias = Callable[[JsonValue, Path], None]


class Operator(StrEnum):
    """Every operator, in the order in which those of one condition are tried."""

    EQ = "eq"
    IN = "in"
    LT = "lt"
    LTE = "lte"
    GT = "gt"
    GTE = "gte"
    MATCHES = "matches"
    NOT = "not"


EQUALITY = (Operator.EQ, Operator.IN, Operator.NOT)
SEARCH = (Operator.EQ, Operator.IN, Operator.MATCHES, Operator.NOT)
ORDER = (Operator.EQ, Operator.IN, Operator.LT, Operator.LTE, Operator.GT, Operator.GTE)
_COMPARISONS: Mapping[Operator, Callable[[Any, Any], bool]] = {
    Operator.LT: lt,
    Operator.LTE: le,
    Operator.GT: gt,
    Operator.GTE: ge,
}


class Test(Protocol):
    """Part of a condition. ``words`` say it as it was written."""

    @property
    def words(self) -> str: ...

    def holds(self, values: Sequence[JsonValue]) -> bool:
        """Whether it holds for a fact that has ``values``. Never raises."""
        ...


@dataclass(frozen=True, slots=True)
class Comparison:
    """Holds where ``holds_for`` does for any of the values."""

    words: str
    holds_for: Callable[[JsonValue], bool]

    def holds(self, values: Sequence[JsonValue]) -> bool:
        return any(self.holds_for(value) for value in values)


@dataclass(frozen=True, slots=True)
class Negation:
    """Holds exactly where not all of ``tests`` hold, and so for what a request does not have."""

    tests: tuple[Test, ...]

    @property
    def words(self) -> str:
        inner = ", ".join(test.words for test in self.tests)
        return f"not {inner}" if len(self.tests) == 1 else f"not ({inner})"

    def holds(self, values: Sequence[JsonValue]) -> bool:
        return not all(test.holds(values) for test in self.tests)


@dataclass(frozen=True, slots=True)
class Operand:
    """What may be compared with a fact: the operators it knows, and what is checked of a value."""

    operators: tuple[Operator, ...]
    check: Check


def read_tests(written: JsonValue, operand: Operand, path: Path) -> tuple[Test, ...]:
    """The tests that ``written`` stands for; all of them must hold.

    A scalar is short for ``eq``, a list for ``in``.

    Raises: BadUserInput, with the path of what is wrong.
    """
    return _read(written, operand, path, depth=0)


def _read(written: JsonValue, operand: Operand, path: Path, depth: int) -> tuple[Test, ...]:
    if isinstance(written, Mapping):
        return _read_operators(written, operand, path, depth)
    if isinstance(written, Sequence) and not isinstance(written, str):
        return (_in(written, operand, path),)
    return (_eq(written, operand, path),)


def _read_operators(
    written: Mapping[str, JsonValue], operand: Operand, path: Path, depth: int
) -> tuple[Test, ...]:
    unknown = next((name for name in written if name not in operand.operators), None)
    if unknown is not None or not written:
        missing = "needs an operator" if unknown is None else f"has no operator {_clip(unknown)}"
        raise BadUserInput(
            f"{'.'.join(path)} {missing}; it takes {', '.join(operand.operators)}.",
            path=path if unknown is None else (*path, unknown[:MAX_TEXT]),
        )
    if depth > MAX_NESTING:
        raise BadUserInput(f"not is nested deeper than {MAX_NESTING} levels.", path=path)
    return tuple(
        _test(operator, written[operator], operand, (*path, operator), depth)
        for operator in operand.operators
        if operator in written
    )


def _test(
    operator: Operator, expected: JsonValue, operand: Operand, path: Path, depth: int
) -> Test:
    match operator:
        case Operator.EQ:
            return _eq(expected, operand, path)
        case Operator.IN:
            return _in(expected, operand, path)
        case Operator.MATCHES:
            return _matches(expected, path)
        case Operator.NOT:
            return Negation(_read(expected, operand, path, depth + 1))
        case _:
            return _comparison(operator, expected, operand, path)


def _eq(expected: JsonValue, operand: Operand, path: Path) -> Test:
    operand.check(expected, path)
    wanted = _identity(expected)
    return Comparison(f"eq {words_of(expected)}", lambda value: _identity(value) == wanted)


def _in(expected: JsonValue, operand: Operand, path: Path) -> Test:
    if isinstance(expected, str | Mapping) or not isinstance(expected, Sequence):
        raise BadUserInput(f"{'.'.join(path)} must be a list.", path=path)
    if not 1 <= len(expected) <= MAX_LISTED:
        raise BadUserInput(
            f"{'.'.join(path)} must list 1 to {MAX_LISTED} values; this lists {len(expected)}.",
            path=path,
        )
    for index, value in enumerate(expected):
        operand.check(value, (*path, str(index)))
    wanted = frozenset(_identity(value) for value in expected)
    return Comparison(f"in {words_of(expected)}", lambda value: _identity(value) in wanted)


def _comparison(operator: Operator, expected: JsonValue, operand: Operand, path: Path) -> Test:
    check_number(expected, path)
    operand.check(expected, path)
    compare = _COMPARISONS[operator]
    return Comparison(
        f"{operator} {words_of(expected)}",
        lambda value: is_number(value) and compare(value, expected),
    )


def _matches(expected: JsonValue, path: Path) -> Test:
    check_text_value(expected, path)
    options = re2.Options()
    options.log_errors = False
    options.never_capture = True
    options.max_mem = _PATTERN_MEMORY
    try:
        pattern = re2.compile(str(expected).encode(), options)
    except re2.error as error:
        reason = error.args[0].decode(errors="replace")
        raise BadUserInput(
            f"{'.'.join(path)} is not a pattern of RE2 (https://github.com/google/re2/wiki/Syntax): "
            f"{reason}.",
            path=path,
        ) from error

    def found(value: JsonValue) -> bool:
        if not isinstance(value, str):
            return False
        return pattern.search(value[:MAX_SEARCHED].encode("utf-8", "replace")) is not None

    return Comparison(f"matches {words_of(expected)}", found)


def is_number(value: JsonValue) -> bool:
    """Whether it is a number; true and false are not."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def check_number(value: JsonValue, path: Path) -> None:
    """Refuse what is not a number up to 2^53. Raises BadUserInput."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise BadUserInput(f"{'.'.join(path)} must be a number.", path=path)
    if not isfinite(value) or abs(value) > _MAX_NUMBER:
        raise BadUserInput(f"{'.'.join(path)} must be between -2^53 and 2^53.", path=path)


def check_text_value(value: JsonValue, path: Path) -> None:
    """Refuse what is not a text of at most 256 characters. Raises BadUserInput."""
    if not isinstance(value, str):
        raise BadUserInput(f"{'.'.join(path)} must be a text.", path=path)
    if len(value) > MAX_TEXT:
        raise BadUserInput(
            f"{'.'.join(path)} is longer than {MAX_TEXT} characters.",
            path=path,
        )


def words_of(value: JsonValue) -> str:
    """A value as a reader of a route sees it, cut where it is long."""
    if isinstance(value, str):
        return _clip(value)
    if isinstance(value, Sequence):
        shown = ", ".join(words_of(item) for item in value[:10])
        return f"[{shown}{', ...' if len(value) > 10 else ''}]"
    return json.dumps(value)


def _clip(text: str) -> str:
    return f"'{text[:80]}...'" if len(text) > 80 else f"'{text}'"


def _identity(value: JsonValue) -> tuple[str, object]:
    """Equal for what the language calls equal: 1 is 1.0 and is not true. Lists equal nothing."""
    if value is None:
        return ("null", None)
    if isinstance(value, bool):
        return ("boolean", value)
    if isinstance(value, int | float):
        return ("number", value)
    if isinstance(value, str):
        return ("text", value)
    return ("neither", None)
