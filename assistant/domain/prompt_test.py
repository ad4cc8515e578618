"""Tests of prompts: cases, what is asserted of answers, and what became of a run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Final, TypeAlias
from uuid import UUID

from assistant.domain.values import JsonObject, JsonValue, check_json, check_text
from assistant.errors import BadUserInput, ErrorCode

TEST_FEATURE: Final = "prompt-tests"
"""The feature that completions of test runs are accounted under; prompts' figures leave it out."""

MAX_ASSERTION_TEXT = 10_000
MAX_ASSERTIONS = 32


@dataclass(frozen=True, slots=True)
class Contains:
    """The answer holds ``text``, letter for letter."""

    text: str


@dataclass(frozen=True, slots=True)
class NotContains:
    """The answer does not hold ``text``."""

    text: str


@dataclass(frozen=True, slots=True)
class Matches:
    """Some part of the answer matches ``pattern``, an RE2 regular expression."""

    pattern: str


@dataclass(frozen=True, slots=True)
class JsonPath:
    """The answer is JSON in which ``path`` (RFC 9535) finds something.

    Where ``has_expected``, one of what it finds equals ``expected``.
    """

    path: str
    expected: JsonValue = None
    has_expected: bool = False


@dataclass(frozen=True, slots=True)
class SatisfiesSchema:
    """The answer is JSON that satisfies ``schema``."""

    schema: JsonObject


@dataclass(frozen=True, slots=True)
class MaxTokens:
    """The answer has at most so many tokens, as the provider counts them."""

    tokens: int


@dataclass(frozen=True, slots=True)
class MaxLatency:
    """The whole answer took at most so many milliseconds."""

    latency_ms: int


@dataclass(frozen=True, slots=True)
class SimilarTo:
    """The answer means about what ``text`` means: cosine of their MiniLM vectors, -1 to 1."""

    text: str
    threshold: float


@dataclass(frozen=True, slots=True)
class JudgedBy:
    """``model``, a model id or group, finds that the answer satisfies ``rubric``.

    ``model`` is None for whichever model the routing chooses.
    """

    rubric: str
    model: str | None = None


Assertion: TypeAlias = (
    Contains
    | NotContains
    | Matches
    | JsonPath
    | SatisfiesSchema
    | MaxTokens
    | MaxLatency
    | SimilarTo
    | JudgedBy
)


@dataclass(frozen=True, slots=True)
class PromptTestDraft:
    """What a test case is to say; its name is unique within the prompt."""

    name: str
    variables: JsonObject
    assertions: tuple[Assertion, ...]


@dataclass(frozen=True, slots=True)
class PromptTestCase:
    """A question that a prompt is asked in tests, and what must hold of every answer."""

    id: UUID
    prompt_id: UUID
    name: str
    variables: JsonObject
    assertions: tuple[Assertion, ...]
    updated_at: datetime


class PromptTestStatus(StrEnum):
    """How a run stands. CANCELLED: somebody stopped it, or left while it ran."""

    RUNNING = "RUNNING"
    PASSED = "PASSED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"


class PromptTestOutcome(StrEnum):
    """What became of a case. ERROR: there was no answer to judge, or no judge."""

    PASSED = "PASSED"
    FAILED = "FAILED"
    ERROR = "ERROR"


@dataclass(frozen=True, slots=True)
class AssertionResult:
    """Whether an assertion holds; ``detail`` says for a person what was found instead.

    Of similarities and verdicts it tells also where they hold. At most 200 characters.
    """

    assertion: Assertion
    passed: bool
    detail: str | None = None


@dataclass(frozen=True, slots=True)
class PromptTestResult:
    """What became of one case. ``case_updated_at`` tells which wording of it was run.

    ``completion_id`` is None where no answer was even begun; ``error_code`` and ``message`` are
    set for ERROR only. ``cost`` is in USD, judges included.
    """

    case_id: UUID
    case_name: str
    case_updated_at: datetime
    outcome: PromptTestOutcome
    assertions: tuple[AssertionResult, ...] = ()
    completion_id: UUID | None = None
    latency_ms: int | None = None
    cost: Decimal = Decimal(0)
    error_code: ErrorCode | None = None
    message: str | None = None


@dataclass(frozen=True, slots=True)
class PromptTestRun:
    """One run of a prompt's cases against one version. ``model`` is None where routing chose.

    ``results`` are in the order of the cases, those that have ended so far; ``cases`` is how many
    there will be.
    """

    id: UUID
    prompt_id: UUID
    version_id: UUID
    model: str | None
    status: PromptTestStatus
    cases: int
    started_at: datetime
    results: tuple[PromptTestResult, ...] = field(default=())
    ended_at: datetime | None = None
    started_by: str | None = None

    @property
    def passed(self) -> int:
        return sum(result.outcome is PromptTestOutcome.PASSED for result in self.results)

    @property
    def cost(self) -> Decimal:
        return sum((result.cost for result in self.results), Decimal(0))


# --------------------------------------------------------- as JSON, YAML and the database have it


def assertion_of(given: JsonValue, path: tuple[str, ...]) -> Assertion:
    """Read an assertion: an object of one key, as in ``{"contains": "Paris"}``.

    ``json_path``, ``similar_to`` and ``judged_by`` hold an object. Whether a pattern, a path or a
    schema can be read is for who evaluates it to say. Raises BadUserInput.
    """
    if not isinstance(given, Mapping) or len(given) != 1:
        raise BadUserInput(
            f"An assertion has exactly one of {', '.join(_READERS)}; found "
            f"{', '.join(map(str, given)) if isinstance(given, Mapping) and given else 'none'}.",
            path=path,
        )
    [(kind, value)] = given.items()
    if kind not in _READERS:
        raise BadUserInput(
            f"There is no assertion {str(kind)[:64]}; there are {', '.join(_READERS)}.", path=path
        )
    return _READERS[kind](value, (*path, kind))


def assertion_json(assertion: Assertion) -> JsonObject:
    """The object that ``assertion_of`` reads."""
    match assertion:
        case Contains(text):
            return {"contains": text}
        case NotContains(text):
            return {"not_contains": text}
        case Matches(pattern):
            return {"matches": pattern}
        case JsonPath(path, expected, has_expected):
            return {"json_path": {"path": path} | ({"equals": expected} if has_expected else {})}
        case SatisfiesSchema(schema):
            return {"satisfies_schema": schema}
        case MaxTokens(tokens):
            return {"max_tokens": tokens}
        case MaxLatency(latency_ms):
            return {"max_latency_ms": latency_ms}
        case SimilarTo(text, threshold):
            return {"similar_to": {"text": text, "threshold": threshold}}
        case JudgedBy(rubric, model):
            return {"judged_by": {"rubric": rubric} | ({"model": model} if model else {})}


def _text(value: JsonValue, path: tuple[str, ...]) -> str:
    if not isinstance(value, str) or not 1 <= len(value) <= MAX_ASSERTION_TEXT:
        raise BadUserInput(
            f"{path[-1]} must be a text of 1 to {MAX_ASSERTION_TEXT:,} characters.", path=path
        )
    check_text(value, path)
    return value


def _whole(value: JsonValue, path: tuple[str, ...]) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value < 2**31:
        raise BadUserInput(f"{path[-1]} must be a whole number above 0.", path=path)
    return value


def _fields(value: JsonValue, path: tuple[str, ...], known: frozenset[str]) -> JsonObject:
    if not isinstance(value, Mapping) or not value.keys() <= known:
        raise BadUserInput(f"{path[-1]} takes {', '.join(sorted(known))}.", path=path)
    return value


def _json_path(value: JsonValue, path: tuple[str, ...]) -> Assertion:
    found = _fields(value, path, frozenset({"path", "equals"}))
    check_json(found.get("equals"), (*path, "equals"))
    return JsonPath(
        _text(found.get("path"), (*path, "path")), found.get("equals"), "equals" in found
    )


def _schema(value: JsonValue, path: tuple[str, ...]) -> Assertion:
    if not isinstance(value, Mapping):
        raise BadUserInput(f"{path[-1]} must be a JSON Schema, an object.", path=path)
    check_json(value, path)
    return SatisfiesSchema(value)


def _similar_to(value: JsonValue, path: tuple[str, ...]) -> Assertion:
    found = _fields(value, path, frozenset({"text", "threshold"}))
    threshold = found.get("threshold", 0.8)
    if isinstance(threshold, bool) or not isinstance(threshold, int | float):
        raise BadUserInput("threshold must be a number.", path=(*path, "threshold"))
    if not -1 <= threshold <= 1:
        raise BadUserInput("threshold must be between -1 and 1.", path=(*path, "threshold"))
    return SimilarTo(_text(found.get("text"), (*path, "text")), float(threshold))


def _judged_by(value: JsonValue, path: tuple[str, ...]) -> Assertion:
    found = _fields(value, path, frozenset({"rubric", "model"}))
    model = found.get("model")
    return JudgedBy(
        _text(found.get("rubric"), (*path, "rubric")),
        None if model is None else _text(model, (*path, "model")),
    )


_READERS: Final[Mapping[str, Callable[[JsonValue, tuple[str, ...]], Assertion]]] = {
    "contains": lambda value, path: Contains(_text(value, path)),
    "not_contains": lambda value, path: NotContains(_text(value, path)),
    "matches": lambda value, path: Matches(_text(value, path)),
    "json_path": _json_path,
    "satisfies_schema": _schema,
    "max_tokens": lambda value, path: MaxTokens(_whole(value, path)),
    "max_latency_ms": lambda value, path: MaxLatency(_whole(value, path)),
    "similar_to": _similar_to,
    "judged_by": _judged_by,
}
