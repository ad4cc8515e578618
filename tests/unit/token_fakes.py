"""Vocabularies and a store of what was learnt, for tests of token counting."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from assistant.domain.completion import Message, MessageRole
from assistant.domain.model import Model, ModelKey, TaskType
from assistant.domain.ports import Tokenizer
from assistant.domain.prompt import RenderedPrompt
from assistant.domain.tokens import TokenSums, TokenSumsChange
from assistant.errors import StorageUnavailable


class FakeTokenizer:
    """Counts as it is told to; ``calls`` are the texts that it was given."""

    def __init__(self, name: str, count: Callable[[str], int], *, is_quick: bool = True) -> None:
        self.name = name
        self.tokens_per_message, self.tokens_per_request = 5.0, 4.0
        self.is_quick = is_quick
        self.calls: list[str] = []
        self._count = count

    def count(self, text: str) -> int:
        self.calls.append(text)
        return self._count(text)


def words(text: str) -> int:
    """Tokens of a vocabulary of whole words."""
    return len(re.findall(r"\w+|[^\w\s]", text))


def syllables(text: str) -> int:
    """Tokens of one with pieces of up to four letters."""
    return len(re.findall(r"\w{1,4}|[^\w\s]", text))


class FakeTokenizers:
    """Words and syllables as references; models' own by name."""

    def __init__(self, own: Mapping[str, Tokenizer] | None = None) -> None:
        self.references = (FakeTokenizer("words", words), FakeTokenizer("syllables", syllables))
        self.own = dict(own or {})
        self.asked: list[ModelKey] = []

    def find(self, key: ModelKey) -> Tokenizer | None:
        self.asked.append(key)
        return self.own.get(key.model)


class FakeTokenSums:
    """The database, shared by every replica that is given it."""

    def __init__(self) -> None:
        self.rows: dict[tuple[ModelKey, str], TokenSums] = {}
        self.is_down = False
        self.exchanges: list[str] = []

    async def exchange(
        self, tenant_id: str, changes: Sequence[TokenSumsChange]
    ) -> Sequence[TokenSums]:
        if self.is_down:
            raise StorageUnavailable("The database is down. Try again.")
        self.exchanges.append(tenant_id)
        for change in changes:
            added = change.added
            assert added.key.tenant_id == tenant_id
            before = self.rows.get((added.key, added.basis))
            sums = np.array(added.sums)
            if before is not None:
                sums += np.array(before.sums) * np.array(change.kept)
            samples = added.samples + (before.samples if before else 0)
            self.rows[added.key, added.basis] = TokenSums(
                added.key, added.basis, samples, tuple(sums.tolist())
            )
        return [row for row in self.rows.values() if row.key.tenant_id == tenant_id]


def prompt(*contents: str, roles: Sequence[MessageRole] = ()) -> RenderedPrompt:
    messages = tuple(
        Message(roles[index] if index < len(roles) else MessageRole.USER, content)
        for index, content in enumerate(contents)
    )
    return RenderedPrompt(None, messages, TaskType.GENERAL, {}, 0)


def model(name: str = "m", provider: str = "p", window: int = 100_000) -> Model:
    return Model(provider, name, frozenset(), context_window=window)


def random_prompt(chance: random.Random) -> RenderedPrompt:
    """Words of all lengths; one to three messages, 20 to 2,000 characters."""
    contents = []
    for _ in range(chance.randint(1, 3)):
        size = chance.choice((4, 20, 80, 300))
        contents.append(" ".join("abcdefghijkl"[: chance.randint(1, 12)] for _ in range(size)))
    return prompt(*contents)
