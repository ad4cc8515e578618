"""The messages of a conversation, from OpenAI's form into ours."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from assistant.api.openai.errors import InvalidRequest, unsupported

_ROLES: Final[Mapping[str, str]] = {
    "system": "SYSTEM",
    "developer": "SYSTEM",
    "user": "USER",
    "assistant": "ASSISTANT",
    "tool": "TOOL",
}
# What a client sends back of an answer that it was given, and what only concerns OpenAI's cache.
_IGNORED: Final = frozenset({"annotations", "reasoning_content", "prompt_cache_breakpoint"})
_UNSUPPORTED: Final = frozenset({"name", "refusal", "audio", "tool_calls", "function_call"})
_TOOLS: Final = frozenset({"tool_calls", "function_call"})
# The parts of a content are texts of their own.
_BETWEEN_PARTS: Final = "\n"
_LONGEST_NAME: Final = 64


def read_messages(messages: object) -> list[dict[str, Any]]:
    """Them as inputs of a CompletionRequest, which checks them on. Raises InvalidRequest."""
    if not isinstance(messages, list):
        raise InvalidRequest("messages must be a list.", "messages", "invalid_type")
    return [_message(message, f"messages[{index}]") for index, message in enumerate(messages)]


def _message(message: object, path: str) -> dict[str, Any]:
    if not isinstance(message, dict):
        raise InvalidRequest(f"{path} must be an object.", path, "invalid_type")
    given = {name: value for name, value in message.items() if value is not None}
    role = given.pop("role", None)
    if not isinstance(role, str) or role not in _ROLES:
        known = ", ".join(_ROLES)
        raise InvalidRequest(
            f"{path}.role must be one of {known}.", f"{path}.role", "invalid_value"
        )
    content = _content(given.pop("content", None), f"{path}.content")
    read = {"role": _ROLES[role], "content": content}
    if role == "tool":
        read["toolCallId"] = _tool_call_id(given.pop("tool_call_id", None), path)
    for name, value in given.items():
        where = f"{path}.{name[:_LONGEST_NAME]}"
        if name in _TOOLS and value:
            raise unsupported(where, f"{where}: tools are not served here yet.")
        if name in _UNSUPPORTED and value:
            raise unsupported(where)
        if name not in _IGNORED | _UNSUPPORTED:
            raise InvalidRequest(f"Unknown parameter: '{where}'.", where, "unknown_parameter")
    return read


def _tool_call_id(id_: object, path: str) -> str:
    if not isinstance(id_, str):
        where = f"{path}.tool_call_id"
        raise InvalidRequest(
            f"{where} must say which call the message answers.",
            where,
            "missing_required_parameter" if id_ is None else "invalid_type",
        )
    return id_


def _content(content: object, path: str) -> str:
    match content:
        case None:
            return ""  # refused where there must be some
        case str():
            return content
        case list():
            parts = [_part(part, f"{path}[{index}]") for index, part in enumerate(content)]
            return _BETWEEN_PARTS.join(parts)
        case _:
            raise InvalidRequest(
                f"{path} must be a string or a list of parts.", path, "invalid_type"
            )


def _part(part: object, path: str) -> str:
    if not isinstance(part, dict):
        raise InvalidRequest(f"{path} must be an object with a type.", path, "invalid_type")
    type_ = part.get("type")
    if type_ != "text":
        said = type_[:_LONGEST_NAME] if isinstance(type_, str) else "no known type"
        raise InvalidRequest(
            f"{path} is of type '{said}'; only parts of type 'text' are taken here.",
            path,
            "unsupported_value",
        )
    text = part.get("text")
    if not isinstance(text, str):
        raise InvalidRequest(f"{path}.text must be a string.", f"{path}.text", "invalid_type")
    unknown = part.keys() - {"type", "text"} - _IGNORED
    if unknown:
        where = f"{path}.{min(unknown)[:_LONGEST_NAME]}"
        raise InvalidRequest(f"Unknown parameter: '{where}'.", where, "unknown_parameter")
    return text
