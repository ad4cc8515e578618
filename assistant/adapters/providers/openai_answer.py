"""What an answer of OpenAI or a compatible host says, piece by piece or whole.

Source: https://platform.openai.com/docs/api-reference/chat/streaming. A whole answer is read
as one piece: its ``message`` has the fields that the ``delta`` of a piece has.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from assistant.adapters.providers.http import parse_json
from assistant.adapters.providers.openai_refusal import Refusal, find_error, refusal_of
from assistant.domain.completion import (
    FinishReason,
    GenerationFinished,
    ProviderEvent,
    ReasoningDelta,
    TextDelta,
    ToolCallDelta,
)
from assistant.domain.values import JsonObject, JsonValue, carriable
from assistant.errors import AssistantError, InvalidResponse, ProviderUnavailable

_END = b"[DONE]"
_FINISH_REASONS: Mapping[str, FinishReason] = {
    "length": FinishReason.LENGTH,
    "tool_calls": FinishReason.TOOL_CALLS,
    "function_call": FinishReason.TOOL_CALLS,
    "content_filter": FinishReason.CONTENT_FILTER,
}
# Ends that are none: OpenRouter, vLLM, DeepSeek.
_FAILURES = ("error", "abort", "insufficient_system_resource")


class Answer:
    """Reads the pieces of one answer of ``host``, and keeps what its end will say.

    ``explain`` makes the error of what the host says instead of going on.
    """

    def __init__(self, host: str, explain: Callable[[Refusal], AssistantError]) -> None:
        self._host = host
        self._explain = explain
        self._reason: str | None = None
        self._usage: JsonObject | None = None
        self._counts_are_final = False
        self._has_ended = False
        self._was_refused = False
        self._next_call = 0
        self._told: set[tuple[int, str]] = set()

    @property
    def has_finished(self) -> bool:
        """The model has said why it ends; what it counted may still come."""
        return self._reason is not None

    @property
    def is_complete(self) -> bool:
        """Nothing that matters can come any more."""
        return self._has_ended or (self._reason is not None and self._counts_are_final)

    def read(self, data: bytes) -> Sequence[ProviderEvent]:
        """What a piece of a stream, or a whole answer, holds.

        Raises: InvalidResponse, and what the host says by its own error.
        """
        if not data or data == _END:
            self._has_ended = data == _END
            return ()
        piece = self._parse(data)
        events: list[ProviderEvent] = []
        choices = piece.get("choices")
        if choices is not None and not isinstance(choices, list):
            raise self._odd("choices that are not a list")
        for choice in choices or ():
            if not isinstance(choice, dict):
                raise self._odd("a choice that is not an object")
            # One answer is asked for; a host that sends more sends them side by side.
            if choice.get("index") in (0, None):
                self._read_choice(choice, events)
        if usage := piece.get("usage"):
            if not isinstance(usage, dict):
                raise self._odd("a usage that is not an object")
            self._usage = usage
            # Some hosts count from the first piece on: only the last count is the count.
            self._counts_are_final = self._reason is not None
        return events

    def finished(self) -> GenerationFinished:
        """How the answer ended. Raises ProviderUnavailable where it has not, or not well."""
        if self._reason is None:
            raise ProviderUnavailable(
                f"{self._host} ended its answer without saying that it was done."
            )
        if self._reason in _FAILURES:
            raise ProviderUnavailable(f"{self._host} gave up its answer ({self._reason}).")
        usage = self._usage or {}
        completion_tokens, reasoning_tokens = _answer_counts(usage)
        return GenerationFinished(
            finish_reason=self._finish_reason(self._reason),
            prompt_tokens=count_of(usage.get("prompt_tokens")),
            completion_tokens=completion_tokens,
            cached_tokens=_detail(usage, "prompt_tokens_details", "cached_tokens"),
            reasoning_tokens=reasoning_tokens,
        )

    def _finish_reason(self, reason: str) -> FinishReason:
        if self._was_refused:
            return FinishReason.CONTENT_FILTER
        # Not every host says of an answer that ends in tool calls that it does.
        stopped = FinishReason.TOOL_CALLS if self._next_call else FinishReason.STOP
        return _FINISH_REASONS.get(reason, stopped)

    def _parse(self, data: bytes) -> JsonObject:
        try:
            value = parse_json(data)
        except ValueError as error:
            raise InvalidResponse(f"{self._host}'s answer is not JSON in UTF-8.") from error
        if isinstance(value, dict) and value.get("error") is None and "choices" in value:
            return value
        if (refused := find_error(value)) is not None:
            raise self._explain(refusal_of(self._host, None, refused))
        if not isinstance(value, dict):
            raise InvalidResponse(f"{self._host}'s answer is JSON, but not an object.")
        return value

    def _read_choice(self, choice: JsonObject, events: list[ProviderEvent]) -> None:
        part = choice.get("delta") or choice.get("message")
        if part:
            if not isinstance(part, dict):
                raise self._odd("a message that is not an object")
            if thought := part.get("reasoning_content") or part.get("reasoning"):
                events.append(ReasoningDelta(self._checked(thought, "thought")))
            if text := part.get("content"):
                events.append(TextDelta(self._checked(text, "content")))
            # What the model says instead of the answer is text, and no success.
            if refused := part.get("refusal"):
                self._was_refused = True
                events.append(TextDelta(self._checked(refused, "refusal")))
            if calls := part.get("tool_calls"):
                self._read_tool_calls(calls, events)
        reason = choice.get("finish_reason")
        if reason is not None:
            if not isinstance(reason, str):
                raise self._odd("a finish_reason that is not a text")
            self._reason = reason or self._reason

    def _read_tool_calls(self, calls: JsonValue, events: list[ProviderEvent]) -> None:
        if not isinstance(calls, list):
            raise self._odd("tool_calls that are not a list")
        for call in calls:
            function = call.get("function") if isinstance(call, dict) else None
            if not isinstance(call, dict) or not isinstance(function, dict | None):
                raise self._odd("a tool call that is not an object")
            id_, name = self._text(call, "id"), self._text(function or {}, "name")
            index = call.get("index")
            if index is None:
                # Whole answers number no calls, nor do some hosts' streams: there an id or a
                # name begins the next one.
                index = self._next_call if id_ or name else max(0, self._next_call - 1)
            if type(index) is not int or index < 0:
                raise self._odd("a tool call whose index is no number")
            self._next_call = max(self._next_call, index + 1)
            events.append(
                ToolCallDelta(
                    index,
                    id=self._once(index, "id", id_),
                    name=self._once(index, "name", name),
                    arguments=self._text(function or {}, "arguments"),
                )
            )

    def _once(self, index: int, field: str, text: str) -> str | None:
        """``text`` the first time that there is one: some hosts repeat it in every fragment."""
        if not text or (index, field) in self._told:
            return None
        self._told.add((index, field))
        return text

    def _text(self, part: JsonObject, name: str) -> str:
        """A text; "" where there is none. Raises InvalidResponse."""
        text = part.get(name)
        return "" if text is None else self._checked(text, name)

    def _checked(self, text: JsonValue, name: str) -> str:
        if not isinstance(text, str):
            raise self._odd(f"a {name} that is not a text")
        return carriable(text)

    def _odd(self, what: str) -> InvalidResponse:
        return InvalidResponse(f"{self._host}'s answer has {what}.")


def _answer_counts(usage: JsonObject) -> tuple[int | None, int | None]:
    """Tokens of the answer, and those of them that were thoughts; never more than all.

    OpenAI counts thoughts among the tokens of the answer, xAI beside them: then the total says so.
    Source: https://docs.x.ai/docs/key-information/consumption-and-rate-limits
    """
    completion = count_of(usage.get("completion_tokens"))
    reasoning = _detail(usage, "completion_tokens_details", "reasoning_tokens")
    if reasoning is None:
        return completion, None
    beside = (count_of(usage.get("prompt_tokens")) or 0) + (completion or 0) + reasoning
    if usage.get("total_tokens") == beside:
        return (completion or 0) + reasoning, reasoning
    return completion, None if completion is None else min(reasoning, completion)


def _detail(usage: JsonObject, name: str, field: str) -> int | None:
    details = usage.get(name)
    return count_of(details.get(field)) if isinstance(details, dict) else None


def count_of(value: JsonValue) -> int | None:
    """A number of tokens; None where it is absent or none. 0 is unknown to some hosts."""
    return value if type(value) is int and value > 0 else None
