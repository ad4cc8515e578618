"""A prompt as a file has it."""

from __future__ import annotations

from dataclasses import dataclass

from assistant.domain.prompt import PromptDraft
from assistant.domain.prompt_test import PromptTestDraft


@dataclass(frozen=True, slots=True)
class PromptDocument:
    """What describes a prompt, its wording, and its tests."""

    prompt: PromptDraft
    tests: tuple[PromptTestDraft, ...] = ()
