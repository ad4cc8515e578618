"""What comes back from Anthropic's Messages API, streamed and whole.

Source: https://docs.anthropic.com/en/docs/build-with-claude/streaming and
https://docs.anthropic.com/en/api/messages
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from assistant.adapters.providers.anthropic_schema import ANSWER, AnswerTool
from assistant.adapters.providers.http import parse_json
from assistant.domain.completion import (
    FinishReason,
    GenerationFinished,
    ProviderEvent,
    ReasoningDelta,
    TextDelta,
    ToolCallDelta,
)
from assistant.domain.values import JsonObject, JsonValue, carriable
from assistant.errors import InvalidResponse, ProviderUnavailable

_FINISH_REASONS: Mapping[str, FinishReason] = {
    "max_tokens": FinishReason.LENGTH,
    "model_context_window_exceeded": FinishReason.LENGTH,
    "tool_use": FinishReason.TOOL_CALLS,
    "refusal": FinishReason.CONTENT_FILTER,
}
"""All others end an answer as it should end: end_turn, stop_sequence, pause_turn, unknown ones."""

_COUNTS = (
    "input_tokens",
    "cache_read_input_tokens",
    "cache_creation_input_tokens",
    "output_tokens",
    "thinking_tokens",
)
_THOUGHTS = _COUNTS[-1]
"""Stands among ``output_tokens_details``, and is a count of tokens that ``output_tokens`` has too."""


@dataclass(slots=True)
class _ToolUse:
    """A tool use that is being received. ``index`` is None for the one that is the answer.

    ``given`` is the input that it began with, which counts where no fragment follows.
    """

    index: int | None
    given: JsonValue
    has_fragments: bool = False
    kept: list[str] = field(default_factory=list)


class AnswerReader:
    """Makes our events of an answer's events; one reader for one answer.

    Where the response schema is wrapped, the answer can be unwrapped at its end only: it comes
    as one TextDelta then.
    """

    def __init__(self, tool: AnswerTool | None) -> None:
        self._tool = tool
        self._uses: dict[int, _ToolUse] = {}
        self._calls = 0
        self._counts: dict[str, int] = {}
        self._stop_reason: str | None = None
        self._unreadable: ValueError | None = None
        self.has_begun = False
        """Whether anything of the answer has come, though it may not have been told yet."""
        self.is_done = False

    def read(self, event: JsonObject) -> Iterator[ProviderEvent]:
        """What an event of a stream brings; nothing of unknown ones. Raises InvalidResponse."""
        match event.get("type"):
            case "message_start":
                self._note_counts(_object(event, "message"))
            case "content_block_start":
                yield from self._start(_index(event), _object(event, "content_block"))
            case "content_block_delta":
                yield from self._go_on(_index(event), _object(event, "delta"))
            case "content_block_stop":
                yield from self._stop(_index(event))
            case "message_delta":
                self._note_stop_reason(_object(event, "delta"))
                self._note_counts(event)
            case "message_stop":
                self._check_answer()
                self.is_done = True

    def read_whole(self, message: JsonObject) -> list[ProviderEvent]:
        """What a whole answer holds: thoughts, one text, tool calls. Raises InvalidResponse."""
        content = message.get("content")
        if not isinstance(content, list):
            raise InvalidResponse("Anthropic's answer has no content.")
        self._note_stop_reason(message)
        self._note_counts(message)
        events: list[ProviderEvent] = []
        for index, block in enumerate(content):
            if not isinstance(block, dict):
                raise InvalidResponse("Anthropic's answer has content that is not an object.")
            events += self._start(index, block)
            events += self._stop(index)
        self._check_answer()
        # Without a reason the answer is not done, whatever it holds.
        self.is_done = self._stop_reason is not None
        thoughts = "".join(event.text for event in events if isinstance(event, ReasoningDelta))
        text = "".join(event.text for event in events if isinstance(event, TextDelta))
        return [
            *([ReasoningDelta(thoughts)] if thoughts else []),
            *([TextDelta(text)] if text else []),
            *_whole_calls(events),
        ]

    def finished(self) -> GenerationFinished:
        """How the answer ended. Tokens that were read from the cache or written to it are prompt
        tokens, which Anthropic counts apart from the others; thoughts are among those of the answer.

        Raises: ProviderUnavailable where it broke off.
        """
        if not self.is_done:
            raise ProviderUnavailable("Anthropic ended its answer without saying that it was done.")
        counts = self._counts
        prompt_tokens = sum(counts.get(name, 0) for name in _COUNTS[:3])
        reason = _FINISH_REASONS.get(self._stop_reason or "", FinishReason.STOP)
        if reason is FinishReason.TOOL_CALLS and self._tool is not None and not self._calls:
            reason = FinishReason.STOP  # the tool that was used is the answer
        return GenerationFinished(
            finish_reason=reason,
            prompt_tokens=prompt_tokens or None,
            completion_tokens=counts.get("output_tokens"),
            cached_tokens=counts.get("cache_read_input_tokens"),
            reasoning_tokens=self._reasoning_tokens(),
        )

    # ---------------------------------------------------------------- content

    def _start(self, index: int, block: JsonObject) -> Iterator[ProviderEvent]:
        match block.get("type"):
            case "text":
                yield from self._text(block, "text")
            case "thinking":
                yield from self._thought(block)
            case "tool_use":
                self.has_begun = True
                name, given = _text(block, "name"), block.get("input")
                if not name:
                    raise InvalidResponse("Anthropic's answer uses a tool without a name.")
                if self._tool is not None and name == ANSWER:
                    self._uses[index] = _ToolUse(None, given)
                    return
                self._uses[index] = _ToolUse(self._calls, given)
                yield ToolCallDelta(self._calls, _text(block, "id") or None, name, "")
                self._calls += 1

    def _go_on(self, index: int, delta: JsonObject) -> Iterator[ProviderEvent]:
        match delta.get("type"):
            case "text_delta":
                yield from self._text(delta, "text")
            case "thinking_delta":
                yield from self._thought(delta)
            case "input_json_delta":
                use, fragment = self._uses.get(index), _text(delta, "partial_json")
                if use is None or not fragment:
                    return  # of a tool that runs at Anthropic's, or the empty first fragment
                use.has_fragments = True
                if use.index is not None:
                    yield ToolCallDelta(use.index, None, None, fragment)
                elif self._tool is not None and self._tool.is_wrapped:
                    use.kept.append(fragment)
                else:
                    yield TextDelta(fragment)

    def _stop(self, index: int) -> Iterator[ProviderEvent]:
        use = self._uses.pop(index, None)
        if use is None:
            return
        if use.index is not None:
            if not use.has_fragments:
                yield ToolCallDelta(use.index, None, None, _dump(use.given or {}))
        elif self._tool is not None and (self._tool.is_wrapped or not use.has_fragments):
            try:
                given = parse_json("".join(use.kept).encode()) if use.kept else use.given
                yield TextDelta(_dump(self._tool.answer_in(given)))
            except ValueError as error:
                self._unreadable = error  # no failure where the tokens were used up

    def _text(self, block: JsonObject, name: str) -> Iterator[ProviderEvent]:
        if text := _text(block, name):
            self.has_begun = True
            yield TextDelta(text)

    def _thought(self, block: JsonObject) -> Iterator[ProviderEvent]:
        if thought := _text(block, "thinking"):
            self.has_begun = True
            yield ReasoningDelta(thought)

    def _check_answer(self) -> None:
        """Raises InvalidResponse for an answer that should be whole and is not."""
        reason = _FINISH_REASONS.get(self._stop_reason or "")
        if self._unreadable is not None and reason is not FinishReason.LENGTH:
            raise InvalidResponse(
                "Anthropic's answer is not what its tool takes."
            ) from self._unreadable

    # -------------------------------------------------------- reason and counts

    def _note_stop_reason(self, holder: JsonObject) -> None:
        reason = holder.get("stop_reason")
        if isinstance(reason, str):
            self._stop_reason = reason

    def _note_counts(self, holder: JsonObject) -> None:
        """Later counts replace earlier ones: they are sums."""
        usage = holder.get("usage")
        if isinstance(usage, dict):
            details = usage.get("output_tokens_details")
            for name in _COUNTS:
                count = usage.get(name)
                if name == _THOUGHTS:
                    count = details.get(name) if isinstance(details, dict) else None
                if type(count) is int and count >= 0:
                    self._counts[name] = count

    def _reasoning_tokens(self) -> int | None:
        thoughts, answered = self._counts.get(_THOUGHTS), self._counts.get("output_tokens")
        return None if not thoughts or answered is None else min(thoughts, answered)


def parse_answer(data: bytes) -> JsonObject:
    """The object of an event, or of a whole body. Raises InvalidResponse."""
    try:
        value = parse_json(data)
    except ValueError as error:
        raise InvalidResponse("Anthropic's answer is not JSON in UTF-8.") from error
    if not isinstance(value, dict):
        raise InvalidResponse("Anthropic's answer is JSON, but not an object.")
    return value


def _whole_calls(events: list[ProviderEvent]) -> Iterator[ToolCallDelta]:
    """The tool calls, each in one piece: its start is followed by its arguments."""
    calls = [event for event in events if isinstance(event, ToolCallDelta)]
    for start, rest in zip(calls[::2], calls[1::2], strict=True):
        yield ToolCallDelta(start.index, start.id, start.name, rest.arguments)


def _dump(value: JsonValue) -> str:
    return carriable(json.dumps(value, ensure_ascii=False, separators=(",", ":")))


def _index(event: JsonObject) -> int:
    index = event.get("index")
    if type(index) is not int:
        raise InvalidResponse("Anthropic's answer has a piece of content without an index.")
    return index


def _object(event: JsonObject, name: str) -> JsonObject:
    value = event.get(name)
    if not isinstance(value, dict):
        raise InvalidResponse(f"Anthropic's answer has an event whose {name} is not an object.")
    return value


def _text(block: JsonObject, name: str) -> str:
    """A text; "" where there is none. Raises InvalidResponse."""
    text = block.get(name)
    if text is None:
        return ""
    if not isinstance(text, str):
        raise InvalidResponse(f"Anthropic's answer has a {name} that is not a text.")
    return carriable(text)
