"""What tests assert of answers: whether it can be asked, and whether it holds."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Final, TypeAlias, assert_never

from assistant.domain.completion import Completion
from assistant.domain.prompt_test import (
    MAX_ASSERTION_TEXT,
    MAX_ASSERTIONS,
    Assertion,
    AssertionResult,
    Contains,
    JsonPath,
    Matches,
    MaxLatency,
    MaxTokens,
    NotContains,
    PromptTestDraft,
    SatisfiesSchema,
    assertion_json,
    assertion_of,
)
from assistant.domain.values import JsonValue, check_json, check_text
from assistant.errors import BadUserInput, SchemaViolated
from assistant.services.json_paths import TooManySteps, check_path, find, is_same
from assistant.services.json_schema_reading import Pattern, SchemaRefused
from assistant.services.prompt_checks import check_all
from assistant.services.response_schema import ResponseSchema

MAX_NAME_CHARACTERS = 128
MAX_VARIABLES_CHARACTERS = 100_000
MAX_DETAIL_CHARACTERS = 200

Plain: TypeAlias = (
    Contains | NotContains | Matches | JsonPath | SatisfiesSchema | MaxTokens | MaxLatency
)
"""What can be told of an answer without asking anybody else."""

# What ``Pattern.cost_of`` may be: a third of a second.
_MAX_SEARCH_COST = 20_000
_SHOWN_AROUND = 60
_SHOWN_VALUES = 5
_ANY_JSON: Final = ResponseSchema.parse({})


# ---------------------------------------------------------------------- what can be asked


def check_draft(draft: PromptTestDraft, path: tuple[str, ...] = ()) -> None:
    """Let a test case pass that can be run. Raises BadUserInput with all that is wrong."""
    check_all(
        lambda: _check_name(draft.name, (*path, "name")),
        lambda: _check_variables(draft, (*path, "variables")),
        lambda: check_assertions(draft.assertions, (*path, "assertions")),
    )


def check_assertions(
    assertions: Sequence[Assertion], path: tuple[str, ...] = ("assertions",)
) -> None:
    """Let 1 to 32 assertions pass whose patterns, paths and schemas can be read.

    Raises: BadUserInput with all that is wrong, at ``(*path, "0", "matches")``.
    """
    if not 1 <= len(assertions) <= MAX_ASSERTIONS:
        raise BadUserInput(
            f"{'.'.join(path)} must hold 1 to {MAX_ASSERTIONS} assertions; found "
            f"{len(assertions)}.",
            path=path,
        )
    check_all(
        *(_checking(assertion, (*path, str(place))) for place, assertion in enumerate(assertions))
    )


def _checking(assertion: Assertion, path: tuple[str, ...]) -> Callable[[], None]:
    def check() -> None:
        assertion_of(assertion_json(assertion), path)
        match assertion:
            case Matches(pattern):
                _check_pattern(pattern, (*path, "matches"))
            case JsonPath(source, expected):
                check_path(source, (*path, "json_path", "path"))
                _check_size(expected, MAX_ASSERTION_TEXT, (*path, "json_path", "equals"))
            case SatisfiesSchema(schema):
                ResponseSchema.parse(schema, (*path, "satisfies_schema"))
            case _:
                pass

    return check


def _check_name(name: str, path: tuple[str, ...]) -> None:
    if not 1 <= len(name) <= MAX_NAME_CHARACTERS or not name.strip():
        raise BadUserInput(
            f"The name of a test must have 1 to {MAX_NAME_CHARACTERS} characters.", path=path
        )
    check_text(name, path)


def _check_variables(draft: PromptTestDraft, path: tuple[str, ...]) -> None:
    check_json(draft.variables, path)
    _check_size(draft.variables, MAX_VARIABLES_CHARACTERS, path)


def _check_size(value: JsonValue, most: int, path: tuple[str, ...]) -> None:
    length = len(json.dumps(value, ensure_ascii=False))
    if length > most:
        raise BadUserInput(
            f"{'.'.join(path)} has {length:,} characters of JSON; at most {most:,} are allowed.",
            path=path,
        )


def _check_pattern(source: str, path: tuple[str, ...]) -> None:
    try:
        Pattern(source)
    except SchemaRefused as refused:
        raise BadUserInput(f"{'.'.join(path)}: {refused}.", path=path) from refused


# -------------------------------------------------------------------------- what holds


def check_answer(assertion: Plain, answer: Completion) -> AssertionResult:
    """Whether the assertion, which has passed ``check_assertions``, holds. Takes a second at most."""
    failure = _failure(assertion, answer)
    return AssertionResult(assertion, failure is None, failure and clipped(failure))


def clipped(text: str) -> str:
    """``text`` on one line, as long as a detail may be."""
    return _cut(" ".join(text.split()), MAX_DETAIL_CHARACTERS)


def _failure(assertion: Plain, answer: Completion) -> str | None:
    """What was found instead; None where the assertion holds."""
    match assertion:
        case Contains(text):
            return None if text in answer.text else _whole(answer.text)
        case NotContains(text):
            return _found_at(text, answer.text)
        case Matches(pattern):
            return _unmatched(Pattern(pattern), answer.text)
        case JsonPath():
            return _not_at_path(assertion, answer.text)
        case SatisfiesSchema(schema):
            return _not_satisfied(ResponseSchema.parse(schema), answer.text)
        case MaxTokens(tokens):
            used = answer.usage.completion_tokens
            about = "about " if answer.usage.is_estimated else ""
            return None if used <= tokens else f"The answer has {about}{used:,} tokens."
        case MaxLatency(latency_ms):
            took_ms = answer.latency_ms
            return None if took_ms <= latency_ms else f"The answer took {took_ms:,} ms."
        case _:
            assert_never(assertion)


def _whole(text: str) -> str:
    return f"The answer is: {text}" if text.strip() else "The answer is empty."


def _found_at(text: str, answer: str) -> str | None:
    place = answer.find(text)
    if place < 0:
        return None
    start, end = max(0, place - _SHOWN_AROUND), place + len(text) + _SHOWN_AROUND
    before, after = "…" if start else "", "…" if end < len(answer) else ""
    return f"The answer has: {before}{answer[start:end]}{after}"


def _unmatched(pattern: Pattern, answer: str) -> str | None:
    if pattern.cost_of(answer) > _MAX_SEARCH_COST:
        return "The pattern is too large for so long an answer; write smaller repetitions."
    return None if pattern.is_in(answer) else _whole(answer)


def _not_at_path(assertion: JsonPath, answer: str) -> str | None:
    try:
        found = find(assertion.path, _ANY_JSON.check(answer))
    except SchemaViolated as violation:
        return _violation(violation)
    except TooManySteps:
        return "The path asks for too much of this answer; write a narrower one."
    if not found:
        return "The path leads to nothing in the answer."
    if not assertion.has_expected or any(is_same(one, assertion.expected) for one in found):
        return None
    shown = ", ".join(_shown(value) for value in found[:_SHOWN_VALUES])
    return f"The path leads to {shown}{', …' if len(found) > _SHOWN_VALUES else ''}."


def _not_satisfied(schema: ResponseSchema, answer: str) -> str | None:
    try:
        schema.check(answer)
    except SchemaViolated as violation:
        return _violation(violation)
    return None


def _violation(violation: SchemaViolated) -> str:
    # Its sentence speaks of a response schema, which this is not.
    _, _, problem = violation.message.partition(": ")
    is_place = problem.startswith("$")
    return f"In the answer {problem}" if is_place else f"The answer {problem.removeprefix('it ')}"


def _shown(value: JsonValue) -> str:
    return _cut(json.dumps(value, ensure_ascii=False), MAX_DETAIL_CHARACTERS)


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else text[: longest - 1] + "…"
