"""Calls of an OpenAI provider, as the tests make them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from assistant.domain.ports import ProviderCall
from tests.providers import ollama_calls
from tests.providers.ollama_calls import PROMPT, collect, text_of

__all__ = ["CALL", "PROMPT", "call", "collect", "text_of"]

CALL = replace(ollama_calls.CALL, model="gpt-4o-mini")


def call(**changes: Any) -> ProviderCall:
    """``CALL`` with some of its fields changed."""
    return replace(CALL, **changes)
