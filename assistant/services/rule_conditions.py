"""The conditions of the rule language: what each looks at, and what it may be compared with."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from assistant.domain.model import TaskType
from assistant.domain.rule import RuleFacts
from assistant.domain.values import JsonValue
from assistant.errors import BadUserInput
from assistant.services.rule_operators import (
    EQUALITY,
    ORDER,
    SEARCH,
    Check,
    Operand,
    Operator,
    Path,
    check_number,
    check_text_value,
    is_number,
)

METADATA = "metadata."
MAX_METADATA_PATH = 128

_LANGUAGE = re.compile("[a-z]{2}")


@dataclass(frozen=True, slots=True)
class Condition:
    """One thing that a rule can look at.

    ``is_shown``: what the request has may be named where a route is explained; the rest is what
    callers put there themselves.
    """

    name: str
    operand: Operand
    read: Callable[[RuleFacts], Sequence[JsonValue]]
    is_shown: bool = True


def require_condition(name: str) -> Condition:
    """The condition of that name. Raises BadUserInput, naming those that there are."""
    if name.startswith(METADATA):
        return _metadata(name)
    found = CONDITIONS.get(name)
    if found is None:
        raise BadUserInput(
            f"There is no condition '{name[:80]}'. Known: {', '.join(CONDITIONS)}, metadata.<key>.",
            path=("conditions", name[:MAX_METADATA_PATH]),
        )
    return found


def _boolean(value: JsonValue, path: Path) -> None:
    if not isinstance(value, bool):
        raise BadUserInput(f"{'.'.join(path)} must be true or false.", path=path)


def _hour(value: JsonValue, path: Path) -> None:
    if not is_number(value) or value not in range(24):
        raise BadUserInput(
            f"{'.'.join(path)} must be a whole number from 0 to 23, in UTC.", path=path
        )


def _task(value: JsonValue, path: Path) -> None:
    if not isinstance(value, str) or value not in TaskType.__members__:
        raise BadUserInput(
            f"{'.'.join(path)} must be one of {', '.join(TaskType.__members__)}.", path=path
        )


def _language(value: JsonValue, path: Path) -> None:
    if not isinstance(value, str) or not _LANGUAGE.fullmatch(value):
        raise BadUserInput(
            f"{'.'.join(path)} must be two small letters of ISO 639-1, as in 'de'.", path=path
        )


def _scalar(value: JsonValue, path: Path) -> None:
    if is_number(value):
        check_number(value, path)
    elif not isinstance(value, bool):
        if not isinstance(value, str):
            raise BadUserInput(
                f"{'.'.join(path)} must be a text, a number, true, false or null.", path=path
            )
        check_text_value(value, path)


def _or_null(check: Check) -> Check:
    """The check of what a request may be without: there, null stands for its absence."""

    def checked(value: JsonValue, path: Path) -> None:
        if value is not None:
            check(value, path)

    return checked


_NUMBER = Operand((*ORDER, Operator.NOT), check_number)
_TEXT = Operand(SEARCH, _or_null(check_text_value))
_ANYTHING = Operand(tuple(Operator), _or_null(_scalar))

CONDITIONS: Mapping[str, Condition] = {
    known.name: known
    for known in (
        Condition("promptCategory", _TEXT, lambda facts: (facts.prompt_category,)),
        Condition("promptName", _TEXT, lambda facts: (facts.prompt_name,)),
        Condition("task", Operand(EQUALITY, _task), lambda facts: (facts.task.value,)),
        Condition("tags", Operand(SEARCH, check_text_value), lambda facts: facts.tags),
        Condition(
            "maxTokens",
            Operand(_NUMBER.operators, _or_null(check_number)),
            lambda facts: (facts.max_tokens,),
        ),
        Condition("estimatedPromptTokens", _NUMBER, lambda facts: (facts.estimated_prompt_tokens,)),
        Condition(
            "requiresAccuracy",
            Operand(EQUALITY, _boolean),
            lambda facts: (facts.requires_accuracy,),
        ),
        Condition("serviceId", _TEXT, lambda facts: (facts.service_id,), is_shown=False),
        Condition("userId", _TEXT, lambda facts: (facts.user_id,), is_shown=False),
        Condition("feature", _TEXT, lambda facts: (facts.feature,), is_shown=False),
        Condition(
            "language", Operand(EQUALITY, _or_null(_language)), lambda facts: (facts.language,)
        ),
        Condition(
            "hasResponseSchema",
            Operand(EQUALITY, _boolean),
            lambda facts: (facts.has_response_schema,),
        ),
        Condition("hour", Operand(_NUMBER.operators, _hour), lambda facts: (facts.hour,)),
    )
}
"""Every condition but those of metadata, in the order in which they are tried."""


def _metadata(name: str) -> Condition:
    keys = name.removeprefix(METADATA).split(".")
    if not all(keys) or len(name) > MAX_METADATA_PATH:
        raise BadUserInput(
            f"A condition on metadata is written metadata.<key>, dots between the keys of objects "
            f"within objects, of at most {MAX_METADATA_PATH} characters.",
            path=("conditions", name[:MAX_METADATA_PATH]),
        )

    def read(facts: RuleFacts) -> tuple[JsonValue]:
        value: JsonValue = facts.metadata
        for key in keys:
            value = value.get(key) if isinstance(value, Mapping) else None
        return (value,)

    return Condition(name, _ANYTHING, read, is_shown=False)
