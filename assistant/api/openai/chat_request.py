"""A chat completion as OpenAI's clients ask for it, read into a request of ours.

Source: https://platform.openai.com/docs/api-reference/chat/create
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from assistant.api.context import Context
from assistant.api.openai.chat_messages import read_messages
from assistant.api.openai.errors import InvalidRequest, unsupported
from assistant.api.openai.extensions import read_extensions
from assistant.api.request_json import RequestReader
from assistant.domain.completion import CompletionRequest, InterruptionPolicy
from assistant.domain.values import JsonObject

ANY_MODEL: Final = "auto"
"""The model that stands for whichever the routing rules choose."""

_READ: Final = frozenset(
    {
        *("messages", "model", "stream", "stream_options", "response_format", "assistant"),
        *("temperature", "top_p", "max_tokens", "max_completion_tokens", "stop", "seed"),
        *("metadata", "user", "safety_identifier"),
    }
)
# What only concerns how OpenAI runs its own service, or tools, which no request can have.
_IGNORED: Final = frozenset(
    {
        *("store", "service_tier", "parallel_tool_calls"),
        *("prompt_cache_key", "prompt_cache_retention", "prompt_cache_options"),
    }
)
# What would change the answer, and the values with which it does not.
_WITHOUT_EFFECT: Final[Mapping[str, Collection[object]]] = {
    "n": (1,),
    "logprobs": (False,),
    "top_logprobs": (0,),
    "logit_bias": ({},),
    "presence_penalty": (0,),
    "frequency_penalty": (0,),
    "modalities": (["text"],),
    "audio": (),
    "prediction": (),
    "web_search_options": (),
    "moderation": (),
    "reasoning_effort": (),
    "verbosity": ("medium",),
    "tools": ([],),
    "functions": ([],),
    "tool_choice": ("none", "auto"),
    "function_call": ("none", "auto"),
}
_TOOLS: Final = frozenset({"tools", "functions", "tool_choice", "function_call"})
_PARAMETERS: Final[Mapping[str, str]] = {
    "temperature": "temperature",
    "top_p": "topP",
    "max_tokens": "maxTokens",
    "max_completion_tokens": "maxTokens",
    "stop": "stop",
}
_LONGEST_NAME: Final = 64
_SEEDS: Final = range(-(2**63), 2**63)


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """What is asked, and how the answer is to be told."""

    request: CompletionRequest
    is_streamed: bool
    includes_usage: bool


def read_chat(
    body: Mapping[str, Any],
    headers: Mapping[str, str],
    reader: RequestReader,
    context: Context,
) -> ChatRequest:
    """Read a request's body and headers; null is the same as nothing. Raises BadUserInput."""
    given = {name: value for name, value in body.items() if value is not None}
    _check_names(given)
    document = read_extensions(given.get("assistant", {}), headers, reader.fields)
    optional = {
        "messages": _messages(given, has_prompt="promptName" in document),
        "model": None if given.get("model") == ANY_MODEL else given.get("model"),
        "parameters": _parameters(given, document.pop("parameters", {})),
        "responseSchema": _response_schema(given.get("response_format")),
        "metadata": _metadata(given, document.pop("metadata", None)),
    }
    for name, value in optional.items():
        if value is not None and document.setdefault(name, value) is not value:
            raise InvalidRequest(
                f"assistant.{name} and its field outside of assistant contradict each other.",
                f"assistant.{name}",
            )
    request = reader.read(document).to_domain(context)
    is_streamed = _flag(given, "stream")
    if is_streamed and request.on_interruption is InterruptionPolicy.RESTART:
        raise unsupported(
            "assistant.onInterruption",
            "OpenAI's format cannot say that an answer starts over. Choose CONTINUE or ERROR for "
            "assistant.onInterruption, or do not stream.",
        )
    return ChatRequest(
        _with_seed(request, given.get("seed")),
        is_streamed,
        _includes_usage(given.get("stream_options"), is_streamed),
    )


def _check_names(given: Mapping[str, Any]) -> None:
    for name, value in given.items():
        if name in _READ or name in _IGNORED:
            continue
        if name not in _WITHOUT_EFFECT:
            cut = name[:_LONGEST_NAME]
            raise InvalidRequest(f"Unknown parameter: '{cut}'.", cut, "unknown_parameter")
        if value not in _WITHOUT_EFFECT[name]:
            raise unsupported(
                name, f"{name}: tools are not served here yet." if name in _TOOLS else None
            )


def _messages(given: Mapping[str, Any], *, has_prompt: bool) -> list[dict[str, Any]] | None:
    if has_prompt:
        if given.get("messages"):
            raise InvalidRequest(
                "assistant.promptName says what is sent to the model. Send messages: [] with it, "
                "and what is variable in assistant.variables.",
                "messages",
            )
        return None
    if "messages" not in given:
        raise InvalidRequest(
            "Missing required parameter: 'messages'.", "messages", "missing_required_parameter"
        )
    return read_messages(given["messages"])


def _parameters(given: Mapping[str, Any], ours: object) -> dict[str, Any] | None:
    if not isinstance(ours, dict):
        raise InvalidRequest(
            "assistant.parameters must be an object.", "assistant.parameters", "invalid_type"
        )
    parameters = dict(ours)
    for name, field in _PARAMETERS.items():
        value = given.get(name)
        if value is not None and parameters.setdefault(field, value) != value:
            raise InvalidRequest(f"{name} is given twice, with other values.", name)
    return parameters or None


def _with_seed(request: CompletionRequest, seed: object) -> CompletionRequest:
    """The request with OpenAI's seed, which has more digits than GraphQL's Int."""
    if seed is None:
        return request
    if not isinstance(seed, int) or isinstance(seed, bool) or seed not in _SEEDS:
        raise InvalidRequest("seed must be an integer of 64 bits.", "seed", "invalid_type")
    return replace(request, parameters=replace(request.parameters, seed=seed))


def _response_schema(format_: object) -> JsonObject | None:
    """The schema that an answer of this ``response_format`` satisfies; None for any text."""
    if format_ is None:
        return None
    match format_:
        case {"type": "text"}:
            return None
        case {"type": "json_object"}:
            return {"type": "object"}
        case {"type": "json_schema", "json_schema": {"schema": dict(schema), **more}}:
            about = more.get("description")
            return {"description": about, **schema} if isinstance(about, str) else schema
        case {"type": "json_schema"}:
            where = "response_format.json_schema.schema"
            raise InvalidRequest(f"{where} must be a JSON Schema.", where)
        case _:
            where = "response_format.type"
            raise InvalidRequest(
                f"{where} must be one of text, json_object, json_schema.", where, "invalid_value"
            )


def _metadata(given: Mapping[str, Any], ours: object) -> object:
    """What the caller wants to have beside its request, its users' names among it."""
    said = given.get("metadata", {})
    if not isinstance(said, dict) or not isinstance(ours, dict | None):
        raise InvalidRequest("metadata must be an object.", "metadata", "invalid_type")
    users = {name: given[name] for name in ("user", "safety_identifier") if name in given}
    for name, value in users.items():
        if not isinstance(value, str):
            raise InvalidRequest(f"{name} must be a string.", name, "invalid_type")
    return {**users, **said, **(ours or {})} or None


def _flag(given: Mapping[str, Any], name: str, where: str = "") -> bool:
    value = given.get(name)
    if not isinstance(value, bool | None):
        raise InvalidRequest(
            f"{where}{name} must be true or false.", f"{where}{name}", "invalid_type"
        )
    return bool(value)


def _includes_usage(options: object, is_streamed: bool) -> bool:
    if options is None:
        return False
    if not isinstance(options, dict) or not is_streamed:
        raise InvalidRequest(
            "stream_options must be an object, and goes with stream: true only.", "stream_options"
        )
    for name in options:
        if name not in ("include_usage", "include_obfuscation"):
            where = f"stream_options.{name[:_LONGEST_NAME]}"
            raise InvalidRequest(f"Unknown parameter: '{where}'.", where, "unknown_parameter")
    if _flag(options, "include_obfuscation", "stream_options."):
        raise unsupported("stream_options.include_obfuscation")
    return _flag(options, "include_usage", "stream_options.")
