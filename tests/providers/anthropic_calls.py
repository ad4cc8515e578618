"""Calls of an Anthropic provider, as the tests make them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from assistant.domain.ports import ProviderCall
from tests.providers import ollama_calls
from tests.providers.ollama_calls import PROMPT, collect, text_of

__all__ = ["CALL", "KEY", "PROMPT", "call", "collect", "text_of"]

KEY = "sk-ant-api03-4711-secret"
CALL = replace(ollama_calls.CALL, model="claude-sonnet-4-5", context_window=200_000)


def call(**changes: Any) -> ProviderCall:
    """``CALL`` with some of its fields changed."""
    return replace(CALL, **changes)
