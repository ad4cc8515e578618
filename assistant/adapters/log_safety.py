"""What may stand in a log: no secret, no text of a caller, no value of unknown size."""

from __future__ import annotations

import re
import traceback
from collections.abc import Mapping, Sequence, Set
from datetime import date
from decimal import Decimal
from enum import Enum
from functools import lru_cache
from math import isfinite
from pathlib import PurePath
from typing import Any
from uuid import UUID

_OUR_PACKAGE = __name__.partition(".")[0]

REDACTED = "[redacted]"

_MAX_TEXT = 1_000
_MAX_ITEMS = 50
_MAX_DEPTH = 4
_MAX_FRAMES = 40
_MAX_LINKED = 10

_SECRET_FIELD = re.compile(
    r"secret|passw|authori[sz]ation|cookie|credential|api_?key|private_?key"
    r"|(^|_)(token|jwt|dsn)$|database_url|^proxy_auth",
    re.IGNORECASE,
)
# What callers and models wrote. A prompt of the catalog is logged as prompt_name.
_TEXT_FIELDS = frozenset(
    {"answer", "arguments", "body", "content", "headers", "input", "messages", "output"}
    | {"prompt", "query", "query_string", "response", "system", "template", "text", "variables"}
)
# Credentials inside other text: user information of a URL, bearer tokens, keys of the form
# that OpenAI and Anthropic use. Searched only where a mark of one is there, which
# is ten times faster.
_CREDENTIAL = re.compile(
    r"(?<=://)[^\s/@]{1,256}(?=@)|(?<=\bbearer )[^\s\"',]{8,}|\bsk-[\w-]{16,}", re.IGNORECASE
)


def safe_fields(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The same fields as bounded JSON values, the secret ones and callers' texts redacted."""
    return {
        name: REDACTED if _is_hidden(name) and _may_hide(value) else _safe(value, 0)
        for name, value in fields.items()
    }


def describe_exception(error: BaseException) -> str:
    """Type, and the message only where it cannot quote a caller.

    The messages of this package are written to be shown, the operating system's name files and
    addresses. Any other may quote its input: psycopg the row, GraphQL the document.
    """
    kind = type(error)
    name = (
        kind.__qualname__
        if kind.__module__ == "builtins"
        else f"{kind.__module__}.{kind.__qualname__}"
    )
    if kind.__module__.partition(".")[0] == _OUR_PACKAGE:
        return f"{name}: {_safe_text(str(error))}"
    if isinstance(error, OSError) and error.strerror:
        return f"{name}: {_safe_text(str(error.strerror))}"
    return name


def format_exception(error: BaseException) -> str:
    """Python's traceback without messages (see describe_exception) and without local variables."""
    return "\n".join(_traceback_lines(error, seen=set()))


def _traceback_lines(error: BaseException, seen: set[int]) -> list[str]:
    seen.add(id(error))
    lines: list[str] = []
    cause, context = error.__cause__, error.__context__
    earlier = context if cause is None and not error.__suppress_context__ else cause
    if earlier is not None and id(earlier) not in seen and len(seen) < _MAX_LINKED:
        lines += _traceback_lines(earlier, seen)
        lines.append("... which caused:" if cause is not None else "... and while handling it:")
    lines.append("Traceback (most recent call last):")
    lines += "".join(traceback.format_tb(error.__traceback__, limit=-_MAX_FRAMES)).splitlines()
    lines.append(describe_exception(error))
    if isinstance(error, BaseExceptionGroup):
        for number, member in enumerate(error.exceptions[:_MAX_LINKED], start=1):
            lines.append(f"  member {number} of {len(error.exceptions)}:")
            lines += ["    " + line for line in _traceback_lines(member, seen)]
    return lines


@lru_cache(maxsize=1_024)
def _is_hidden(name: str) -> bool:
    return name in _TEXT_FIELDS or _SECRET_FIELD.search(name) is not None


def _may_hide(value: object) -> bool:
    # Counts and flags tell nothing: has_api_key=True, content=None.
    return value is not None and not isinstance(value, (bool, int, float))


def _safe(value: object, depth: int) -> Any:
    match value:
        case str():
            return _safe_text(value)
        case None | bool() | int():
            return value
        case float():
            return value if isfinite(value) else str(value)
        case Enum():
            return _safe(value.value, depth)
        case UUID() | Decimal() | date() | PurePath():
            return _safe_text(str(value))
        case BaseException():
            return describe_exception(value)
        case Mapping() if depth < _MAX_DEPTH:
            return {
                _safe_text(str(name)): REDACTED
                if _is_hidden(str(name)) and _may_hide(item)
                else _safe(item, depth + 1)
                for name, item in list(value.items())[:_MAX_ITEMS]
            }
        case bytes() | bytearray() | memoryview():
            return f"<{len(value)} bytes>"
        case Sequence() | Set() if depth < _MAX_DEPTH:
            return [_safe(item, depth + 1) for item in list(value)[:_MAX_ITEMS]]
        case _:
            # Its representation may show anything; a Completion's shows its text.
            return f"<{type(value).__qualname__}>"


def _safe_text(text: str) -> str:
    if len(text) > _MAX_TEXT:
        text = f"{text[:_MAX_TEXT]}... ({len(text)} characters)"
    if not text.isprintable():
        # Line breaks forge lines, escape sequences command terminals.
        text = "".join(
            character if character.isprintable() else character.encode("unicode_escape").decode()
            for character in text
        )
    if "://" in text or "earer " in text or "sk-" in text:
        text = _CREDENTIAL.sub(REDACTED, text)
    return text
