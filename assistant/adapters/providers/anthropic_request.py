"""A call as Anthropic's Messages API takes it.

Source: https://docs.anthropic.com/en/api/messages
"""

from __future__ import annotations

from collections.abc import Iterable

from assistant.adapters.providers.anthropic_schema import ANSWER, AnswerTool
from assistant.domain.completion import Message, MessageRole
from assistant.domain.ports import ProviderCall
from assistant.domain.values import JsonObject, JsonValue
from assistant.errors import ProviderRejected

# The protocol requires a bound on the answer.
_DEFAULT_MAX_TOKENS = 4096
_MAX_TEMPERATURE = 1.0
# A conversation must begin with the user.
_OPENING = "(The conversation begins.)"


def message_request(call: ProviderCall, tool: AnswerTool | None) -> JsonObject:
    """The body of /v1/messages. There is no seed; temperatures above 1 are sent as 1.

    ``tool`` is the form that the call's response schema has, None where it has none.
    Raises: ProviderRejected for a stop sequence that Anthropic is known to refuse.
    """
    parameters = call.parameters
    if any(not text.strip() for text in parameters.stop or ()):
        raise ProviderRejected(
            "Anthropic takes no stop sequence that is white space alone. Remove it from "
            "parameters.stop, or use a model of another provider."
        )
    temperature = parameters.temperature
    system, messages = _conversation(call.messages)
    body: dict[str, JsonValue] = {
        "model": call.model,
        "max_tokens": parameters.max_tokens or _DEFAULT_MAX_TOKENS,
        "messages": messages,
        "stream": call.streamed,
    }
    optional: dict[str, JsonValue] = {
        "system": system or None,
        "temperature": None if temperature is None else min(temperature, _MAX_TEMPERATURE),
        "top_p": parameters.top_p,
        "stop_sequences": parameters.stop,
    }
    body |= {name: value for name, value in optional.items() if value is not None}
    if tool is not None:
        body["tools"] = [tool.definition]
        body["tool_choice"] = {"type": "tool", "name": ANSWER, "disable_parallel_tool_use": True}
    return body


def _conversation(messages: Iterable[Message]) -> tuple[str, list[JsonValue]]:
    """The system text, and turns of user and assistant by turns; the first is the user's.

    System texts alone are what the user says: without a turn there is nothing to answer.
    """
    system: list[str] = []
    turns: list[tuple[str, list[JsonValue]]] = []
    for message in messages:
        if message.role is MessageRole.SYSTEM:
            system.append(message.content)
            continue
        role = "assistant" if message.role is MessageRole.ASSISTANT else "user"
        if not turns or turns[-1][0] != role:
            turns.append((role, []))
        turns[-1][1].append(_block(message))
    if not turns:
        turns.append(("user", [_text("\n\n".join(system))]))
        system = []
    if turns[0][0] != "user":
        turns.insert(0, ("user", [_text(_OPENING)]))
    _strip_end(turns[-1])
    return "\n\n".join(system), [{"role": role, "content": blocks} for role, blocks in turns]


def _block(message: Message) -> JsonValue:
    if message.role is MessageRole.TOOL and message.tool_call_id is not None:
        return {
            "type": "tool_result",
            "tool_use_id": message.tool_call_id,
            "content": message.content,
        }
    return _text(message.content)


def _text(text: str) -> JsonObject:
    return {"type": "text", "text": text}


def _strip_end(turn: tuple[str, list[JsonValue]]) -> None:
    """An answer that the model is to go on with may not end in white space: it is refused."""
    role, blocks = turn
    last = blocks[-1]
    if role == "assistant" and isinstance(last, dict):
        blocks[-1] = _text(str(last["text"]).rstrip())
