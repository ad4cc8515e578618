"""Calls of an Ollama provider, as the tests make them."""

from __future__ import annotations

from contextlib import aclosing
from dataclasses import replace
from typing import Any

from assistant.adapters.providers.ollama import OllamaProvider
from assistant.domain.completion import (
    GenerationParameters,
    Message,
    MessageRole,
    ProviderEvent,
    TextDelta,
)
from assistant.domain.ports import ProviderCall, TimeLimits

PROMPT = "Tell me the secret recipe of the house."
CALL = ProviderCall(
    model="llama3.2:3b",
    messages=(Message(MessageRole.USER, PROMPT),),
    parameters=GenerationParameters(),
    streamed=True,
    context_window=131_072,
    estimated_tokens=13,
    time_limits=TimeLimits(connect_s=2, first_event_s=5, between_events_s=5, total_s=10),
)


def call(**changes: Any) -> ProviderCall:
    """``CALL`` with some of its fields changed."""
    return replace(CALL, **changes)


async def collect(
    provider: OllamaProvider, asked: ProviderCall, into: list[ProviderEvent] | None = None
) -> list[ProviderEvent]:
    """Every event of the answer; ``into`` keeps those that came before a failure."""
    received = [] if into is None else into
    async with aclosing(provider.generate(asked)) as events:
        async for event in events:
            received.append(event)
    return received


def text_of(events: list[ProviderEvent]) -> str:
    return "".join(event.text for event in events if isinstance(event, TextDelta))
