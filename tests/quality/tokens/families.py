"""The models that counting is measured with."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from assistant.domain.completion import MessageRole
from assistant.domain.prompt import RenderedPrompt
from tests.quality.tokens.prompts import load_prompts

COUNTS = Path(__file__).parent / "counts.json"


@dataclass(frozen=True)
class Family:
    """A vocabulary and what its chat template adds: per message, for a system message, once.

    ``model`` is a name by which the vocabulary is found.
    """

    name: str
    model: str
    framing: tuple[int, int, int]

    def framing_of(self, prompt: RenderedPrompt) -> int:
        per_message, for_system, once = self.framing
        has_system = any(message.role is MessageRole.SYSTEM for message in prompt.messages)
        return per_message * len(prompt.messages) + for_system * has_system + once


# Framing as in the models' own chat templates; Llama 3.1's says until when it knows things, too.
FAMILIES = (
    Family("Llama 3", "llama3.2:3b", (5, 0, 15)),
    Family("Mistral 7B", "mistral:7b", (2, 2, 1)),
    Family("Mistral Nemo (Tekken)", "mistral-nemo:12b", (2, 1, 1)),
    Family("Gemma 3", "gemma3:4b", (5, -3, 4)),
    Family("Qwen 3", "qwen3:8b", (5, 0, 3)),
    Family("GPT-4 (cl100k)", "gpt-4", (4, 0, 3)),
    Family("GPT-4o (o200k)", "gpt-4o", (4, 0, 3)),
)


@dataclass(frozen=True)
class Reported:
    """What a provider would report for the prompts of a traffic."""

    learnt: list[int]
    measured: list[int]


@cache
def _counts() -> dict[str, dict[str, dict[str, list[int]]]]:
    stored = json.loads(COUNTS.read_text())
    for traffic, digest in stored["digests"].items():
        if load_prompts(traffic).digest != digest:
            raise SystemExit(
                "The texts have changed since they were counted; count them again with "
                "python -m tests.quality.tokens.references"
            )
    counts: dict[str, dict[str, dict[str, list[int]]]] = stored["counts"]
    return counts


def load_reported(family: Family, traffic: str) -> Reported:
    """Tokens of the texts by the family's own program, and its framing."""
    prompts, texts = load_prompts(traffic), _counts()[family.name][traffic]
    return Reported(
        *(
            [tokens + family.framing_of(p) for tokens, p in zip(texts[half], part, strict=True)]
            for half, part in (("learnt", prompts.learnt), ("measured", prompts.measured))
        )
    )
