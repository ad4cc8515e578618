"""JSON values and text that every part of the service can hold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isfinite
from typing import TypeAlias

from assistant.errors import BadUserInput

JsonValue: TypeAlias = (
    bool | int | float | str | Sequence["JsonValue"] | Mapping[str, "JsonValue"] | None
)
JsonObject: TypeAlias = Mapping[str, JsonValue]

MAX_JSON_DEPTH = 32


def check_text(value: str, path: tuple[str, ...]) -> None:
    """Refuse what PostgreSQL and JSON cannot carry: NUL and lone surrogates. Raises BadUserInput."""
    if "\x00" in value:
        raise BadUserInput(
            f"{'.'.join(path)} holds a NUL character (U+0000). Remove it.", path=path
        )
    try:
        value.encode()
    except UnicodeEncodeError:
        raise BadUserInput(
            f"{'.'.join(path)} holds half of a surrogate pair and is not valid Unicode. "
            "Encode the text as UTF-8.",
            path=path,
        ) from None


def carriable(text: str) -> str:
    """``text`` with what ``check_text`` refuses replaced by U+FFFD; whole surrogate pairs joined.

    A model may answer anything, and what it answered is delivered and recorded all the same.
    """
    text = text.replace("\x00", "\ufffd")
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def check_json(value: JsonValue, path: tuple[str, ...], depth: int = 0) -> None:
    """Refuse what JSON cannot carry: texts as in ``check_text``, NaN, more than 32 levels.

    Raises BadUserInput.
    """
    # Nearly every value passes: the way to what is wrong is found only where something is.
    if not _is_carriable(value, depth):
        _refuse_json(value, path, depth)


def _is_carriable(value: JsonValue, depth: int) -> bool:
    if depth > MAX_JSON_DEPTH:
        return False
    if isinstance(value, str):
        return _is_carriable_text(value)
    if value is None or isinstance(value, int):
        return True
    if isinstance(value, float):
        return isfinite(value)
    # dict and list come first because what is abstract takes several times as long to ask for.
    if isinstance(value, (dict, Mapping)):
        for key, item in value.items():
            if not (_is_carriable_text(key) and _is_carriable(item, depth + 1)):
                return False
    elif isinstance(value, (list, Sequence)):
        for item in value:
            if not _is_carriable(item, depth + 1):
                return False
    return True


def _is_carriable_text(text: str) -> bool:
    if "\x00" in text:
        return False
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _refuse_json(value: JsonValue, path: tuple[str, ...], depth: int) -> None:
    if depth > MAX_JSON_DEPTH:
        raise BadUserInput(
            f"{'.'.join(path[:2])} is nested deeper than {MAX_JSON_DEPTH} levels.", path=path[:2]
        )
    if isinstance(value, str):
        check_text(value, path)
    elif isinstance(value, float):
        if not isfinite(value):
            raise BadUserInput(f"{'.'.join(path)} is not a finite number.", path=path)
    elif isinstance(value, Mapping):
        for key, item in value.items():
            check_text(key, path)
            _refuse_json(item, (*path, key), depth + 1)
    elif isinstance(value, Sequence):
        for index, item in enumerate(value):
            _refuse_json(item, (*path, str(index)), depth + 1)
