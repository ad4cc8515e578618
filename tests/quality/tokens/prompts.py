"""Prompts of our own texts: those to learn from, and others, of other files, to measure with.

The same ones on every machine. A prompt has one to five messages and 60 to 8,000 characters, cut
out of one or several files; short ones are as frequent as long ones.
"""

from __future__ import annotations

import hashlib
import itertools
import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from assistant.domain.completion import Message, MessageRole
from assistant.domain.model import TaskType
from assistant.domain.prompt import RenderedPrompt
from assistant.domain.tokens import estimate_tokens

TEXTS = Path(__file__).parent / "texts"
LEARNT, MEASURED = 1_000, 600

# What a file holds, by the first part of its name; every other kind is a language.
TECHNICAL = ("chat", "code", "en", "json", "log", "markdown", "table")
TRAFFICS = ("all", "english")
"""``all``: 22 other languages too, two fifths of the files. ``english``: English, code and data."""


@dataclass(frozen=True)
class Prompts:
    """One traffic: ``learnt`` and ``measured`` share no file."""

    learnt: Sequence[RenderedPrompt]
    measured: Sequence[RenderedPrompt]

    @property
    def digest(self) -> str:
        """Changes with any character of any prompt."""
        digest = hashlib.sha256()
        for prompt in (*self.learnt, *self.measured):
            digest.update(repr([(m.role.value, m.content) for m in prompt.messages]).encode())
        return digest.hexdigest()[:16]


@cache
def load_prompts(traffic: str) -> Prompts:
    """The prompts of ``traffic``, one of TRAFFICS."""
    learnt, measured = _halves(traffic)
    return Prompts(_prompts(learnt, LEARNT, seed=1), _prompts(measured, MEASURED, seed=2))


def _halves(traffic: str) -> tuple[list[str], list[str]]:
    by_kind: dict[str, list[str]] = {}
    for path in sorted(TEXTS.glob("*.txt")):
        kind = path.stem.partition("-")[0]
        if traffic == "all" or kind in TECHNICAL:
            by_kind.setdefault(kind, []).append(path.read_text(encoding="utf-8"))
    halves: tuple[list[str], list[str]] = ([], [])
    for texts in by_kind.values():
        for index, text in enumerate(texts):
            halves[index % 2].append(text)
    return halves


def _prompts(texts: Sequence[str], count: int, seed: int) -> list[RenderedPrompt]:
    chance = random.Random(seed)
    return [_prompt(texts, chance) for _ in range(count)]


def _prompt(texts: Sequence[str], chance: random.Random) -> RenderedPrompt:
    size = math.exp(chance.uniform(math.log(60), math.log(8_000)))
    number = chance.choices((1, 2, 3, 5), (5, 3, 1, 1))[0]
    cuts = [0.0, *sorted(chance.random() for _ in range(number - 1)), 1.0]
    contents = [
        _piece(texts, max(20, int(size * (end - begin))), chance)
        for begin, end in itertools.pairwise(cuts)
    ]
    turns = (MessageRole.USER, MessageRole.ASSISTANT)
    roles = [turns[(index + number - 1) % 2] for index in range(number)]
    if number == 2:
        roles[0] = MessageRole.SYSTEM
    messages = tuple(Message(role, content) for role, content in zip(roles, contents, strict=True))
    return RenderedPrompt(None, messages, TaskType.GENERAL, {}, estimate_tokens(messages))


def _piece(texts: Sequence[str], size: int, chance: random.Random) -> str:
    piece = ""
    while len(piece) < size:
        text, room = chance.choice(texts), size - len(piece)
        begin = chance.randrange(max(1, len(text) - room + 1))
        piece += ("\n\n" if piece else "") + text[begin : begin + room]
    return piece
