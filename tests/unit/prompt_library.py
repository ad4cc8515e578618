"""The shipped prompts, each with a good and a bad answer to each of its tests."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple
from uuid import UUID

from assistant.domain.caller import Caller
from assistant.domain.completion import Completion, CompletionStatus, TokenUsage
from assistant.domain.prompt_document import PromptDocument
from assistant.domain.prompt_test import PromptTestDraft
from assistant.domain.values import JsonValue
from assistant.services.prompt_files import prompt_files_in, read_prompt
from assistant.services.prompt_yaml import read_yaml
from assistant.services.seeds import SEEDS

FILES = prompt_files_in(SEEDS / "prompts")
PROMPTS: Mapping[str, PromptDocument] = {
    document.prompt.name: document for document in map(read_prompt, FILES)
}
OF_THE_BUILTIN = frozenset(
    {
        "answer-from-context",
        "classify-sentiment",
        "extract-keywords",
        "generate-title",
        "summarize-text",
    }
)
"""Those that the builtin model serves. They are older than types of variables."""


class Answered(NamedTuple):
    """A test of a prompt with answers to it, as a model writes them."""

    prompt: str
    test: PromptTestDraft
    good: str
    bad: str


def _written(answer: JsonValue) -> str:
    return answer if isinstance(answer, str) else json.dumps(answer, ensure_ascii=False)


def _read_answers() -> tuple[Answered, ...]:
    read = read_yaml(Path(__file__).with_name("prompt_answers.yaml").read_text(encoding="utf-8"))
    assert isinstance(read, dict)
    return tuple(
        Answered(name, test, *(_written(read[name][test.name][kind]) for kind in ("good", "bad")))
        for name, document in PROMPTS.items()
        for test in document.tests
    )


ANSWERS = _read_answers()
IDS = [f"{answered.prompt}: {answered.test.name}" for answered in ANSWERS]


def completion_of(text: str) -> Completion:
    """The answer as a completion; its tokens are four bytes each, as the builtin counts them."""
    return Completion(
        id=UUID(int=0),
        caller=Caller("acme", None, None, frozenset()),
        status=CompletionStatus.SUCCEEDED,
        created_at=datetime(2026, 1, 1, tzinfo=UTC),
        model="ollama/llama3.2:3b",
        text=text,
        usage=TokenUsage(completion_tokens=-(-len(text.encode()) // 4)),
    )
