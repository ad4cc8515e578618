"""Reads the prompt's variables that the extractive model works on."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from assistant.domain.values import JsonObject, JsonValue
from assistant.errors import BadUserInput

MAX_LABELS = 50
MAX_LABEL_CHARS = 500


def read_text(variables: JsonObject, name: str) -> str:
    """The text of a required variable. Raises BadUserInput where it is absent or empty."""
    value = variables.get(name)
    if value is None:
        raise _refusal(
            name, f"builtin/extractive works on the variable {name}, which is missing; give it."
        )
    if not isinstance(value, str):
        raise _refusal(name, f"variables.{name} must be a text for builtin/extractive.")
    if not value.strip():
        raise _refusal(name, f"variables.{name} is empty; give some text to work on.")
    return value


def read_count(variables: JsonObject, name: str, *, at_most: int) -> int | None:
    """A whole number from 1, given as a number or in digits; None where it is absent or empty.

    Raises BadUserInput where it is anything else.
    """
    value = variables.get(name)
    if isinstance(value, str):
        value = value.strip()
    if value is None or value == "":
        return None
    try:
        # bool is an int in Python, and 2.5 sentences are none.
        count = None if isinstance(value, bool) else int(str(value).removesuffix(".0")[:20])
    except ValueError:
        count = None
    if count is None or not 1 <= count <= at_most:
        raise _refusal(name, f"variables.{name} must be a whole number from 1 to {at_most:,}.")
    return count


def read_labels(variables: JsonObject, name: str) -> Mapping[str, str]:
    """Labels and their descriptions, in order; empty where the variable is absent or empty.

    Takes a list, an object of label and description, either of them as JSON in a text, or
    labels separated by commas. A label without a description describes itself.

    Raises BadUserInput unless there are 2 to 50 different labels of at most 500 characters.
    """
    value = variables.get(name)
    if isinstance(value, str):
        value = _parse(value)
    if value is None or value == "":
        return {}
    if isinstance(value, Mapping):
        pairs = list(value.items())
    elif isinstance(value, Sequence) and not isinstance(value, str):
        pairs = [(label, None) for label in value]  # type: ignore[misc]
    else:
        pairs = []
    labels: dict[str, str] = {}
    for label, description in pairs:
        if not isinstance(label, str) or not isinstance(description, str | None):
            raise _refusal(name, _LABELS_RULE)
        label = " ".join(label.split())
        if label:
            labels[label] = " ".join((description or "").split()) or label
    if not 2 <= len(labels) <= MAX_LABELS or any(
        len(text) > MAX_LABEL_CHARS for pair in labels.items() for text in pair
    ):
        raise _refusal(name, _LABELS_RULE)
    return labels


_LABELS_RULE = (
    f"variables.labels must be 2 to {MAX_LABELS} different labels of at most {MAX_LABEL_CHARS} "
    'characters: separated by commas, a JSON list, or a JSON object {"label": "description"}.'
)


def _parse(text: str) -> JsonValue:
    text = text.strip()
    if not text:
        return None
    if text[0] in "[{":
        try:
            parsed: JsonValue = json.loads(text)
        except (ValueError, RecursionError):
            return [text]  # one label is too few: refused with the rule
        return parsed
    return text.split(",")


def _refusal(name: str, message: str) -> BadUserInput:
    return BadUserInput(message, path=("variables", name))
