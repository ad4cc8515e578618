"""What a line of an answer from Ollama's /api/chat says; a whole answer is one line.

Source: https://github.com/ollama/ollama/blob/main/docs/api.md#generate-a-chat-completion
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from assistant.adapters.providers.ollama_server import count_of
from assistant.domain.completion import FinishReason, GenerationFinished, ToolCallDelta
from assistant.domain.values import JsonObject, JsonValue, carriable
from assistant.errors import InvalidResponse, ProviderUnavailable


def is_done(answer: JsonObject) -> bool:
    """Whether it is the last line. Raises InvalidResponse."""
    done = answer.get("done", False)
    if not isinstance(done, bool):
        raise InvalidResponse("Ollama's answer has a `done` that is neither true nor false.")
    return done


def message_of(answer: JsonObject) -> JsonObject:
    """The piece of the message; empty where there is none. Raises InvalidResponse."""
    message = answer.get("message")
    if message is None:
        return {}
    if not isinstance(message, dict):
        raise InvalidResponse("Ollama's answer has a message that is not an object.")
    return message


def text_of(message: JsonObject, name: str) -> str:
    """A text of the message; "" where it has none. Raises InvalidResponse."""
    text = message.get(name)
    if text is None:
        return ""
    if not isinstance(text, str):
        raise InvalidResponse(f"Ollama's answer has a message.{name} that is not a text.")
    return carriable(text)


def tool_calls_of(message: JsonObject, first_index: int) -> Sequence[ToolCallDelta]:
    """The tool calls of the message, each whole, numbered from ``first_index``.

    Raises InvalidResponse.
    """
    calls = message.get("tool_calls") or ()
    if not isinstance(calls, list | tuple):
        raise InvalidResponse("Ollama's answer has message.tool_calls that are not a list.")
    return [_tool_call(call, first_index + offset) for offset, call in enumerate(calls)]


def _tool_call(call: JsonValue, index: int) -> ToolCallDelta:
    function = call.get("function") if isinstance(call, dict) else None
    if isinstance(call, dict) and isinstance(function, dict):
        id_, name, arguments = call.get("id"), function.get("name"), function.get("arguments")
        if isinstance(name, str) and name and isinstance(arguments, dict | None):
            text = json.dumps(arguments or {}, ensure_ascii=False, separators=(",", ":"))
            known_id = carriable(id_) if isinstance(id_, str) and id_ else None
            return ToolCallDelta(index, known_id, carriable(name), carriable(text))
    raise InvalidResponse("Ollama's answer has a tool call without a name or with odd arguments.")


def finished_of(answer: JsonObject, *, has_tool_calls: bool) -> GenerationFinished:
    """How the answer ended. Ollama says "stop" of one that ends in tool calls as well.

    Raises: ProviderUnavailable where nothing was generated.
    """
    reason = answer.get("done_reason")
    if reason in ("load", "unload"):
        raise ProviderUnavailable(f"Ollama answered nothing: it has {reason}ed the model.")
    stopped = FinishReason.TOOL_CALLS if has_tool_calls else FinishReason.STOP
    return GenerationFinished(
        finish_reason=FinishReason.LENGTH if reason == "length" else stopped,
        prompt_tokens=count_of(answer.get("prompt_eval_count")),
        completion_tokens=count_of(answer.get("eval_count")),
        cached_tokens=count_of(answer.get("prompt_eval_cached_count")),
    )
