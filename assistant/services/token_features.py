"""What of a prompt decides how many tokens it has, as numbers, for models of any vocabulary."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from assistant.domain.completion import Message, MessageRole
from assistant.domain.ports import Tokenizer
from assistant.domain.tokens import TOKENS_PER_MESSAGE, TOKENS_PER_REQUEST

Vector = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Basis:
    """Features whose weighted sum is a number of tokens.

    ``weights`` are what to assume of a model that nothing is known of, ``spreads`` how far a
    model's weights may well be from them. ``name`` changes whenever the features do.
    """

    name: str
    weights: Vector
    spreads: Vector


# A message's framing is one to ten tokens; a template may add a paragraph of its own at the top.
_FRAMING_SPREADS = (5.0, 20.0, 20.0)


def own_basis(tokenizer: Tokenizer) -> Basis:
    """For a model whose vocabulary is at hand: its count of the texts, and their framing.

    The count has all but no spread: where it needs another weight, the vocabulary is not the
    model's, and that must show.
    """
    framing = (tokenizer.tokens_per_message, 0.0, tokenizer.tokens_per_request)
    return Basis(
        f"{tokenizer.name}-1", np.array([1.0, *framing]), np.array([1e-6, *_FRAMING_SPREADS])
    )


# UTF-8's first bytes tell scripts apart, and with them languages whose tokens are alike.
_KINDS = b"aA0 \n.egchrivjzkm"
_PAIRS = (b"  ", b"..")  # begin runs, which often are one token


def _kind(byte: int) -> str:
    character = chr(byte)
    if byte < 0x80:
        if character.isalpha():
            return "A" if character.isupper() else "a"
        if character.isdigit():
            return "0"
        if character == "\n":
            return "\n"
        return " " if character.isspace() else "."
    if byte in (0xC2, 0xE2):
        return "."  # quotes, dashes, arrows, signs
    for first_beyond, kind in (
        (0xCA, "e"),  # é and the like
        (0xCE, "m"),
        (0xD0, "g"),  # Greek
        (0xD6, "c"),  # Cyrillic
        (0xD8, "h"),  # Hebrew
        (0xE0, "r"),  # Arabic
        (0xE1, "i"),  # Indic, Thai
        (0xE2, "v"),  # Vietnamese
        (0xE4, "j"),  # Japanese syllables
        (0xEA, "z"),  # Chinese characters
        (0xEE, "k"),  # Korean
    ):
        if byte < first_beyond:
            return kind
    return "m"  # emoji


_TABLE = "".join(_kind(byte) for byte in range(256)).encode()
_CONTINUATION_BYTES = bytes(range(0x80, 0xC0))

_COUNTED = (*(bytes((kind,)) for kind in _KINDS), *_PAIRS)
_SURFACE_SPREADS = (0.3,) * len(_KINDS) + (0.5,) * len(_PAIRS)

# Vocabularies that nothing is known of lie between the two references more often than not.
GENERAL = Basis(
    "general-1",
    np.array([0.5, 0.5, *[0.0] * len(_SURFACE_SPREADS), TOKENS_PER_MESSAGE, 0, TOKENS_PER_REQUEST]),
    np.array([0.5, 0.5, *_SURFACE_SPREADS, *_FRAMING_SPREADS]),
)
"""For every model: two references' counts, kinds of characters, and framing."""


def _surface(texts: Iterable[str]) -> list[int]:
    # Every character becomes one byte that stands for its kind; counting is then done in C.
    kinds = b"\0".join(
        text.encode(errors="replace").translate(_TABLE, _CONTINUATION_BYTES) for text in texts
    )
    return [kinds.count(kind) for kind in _COUNTED]


@dataclass(slots=True)
class CountedPrompt:
    """A prompt's numbers, without its texts. Filled as they are needed."""

    characters: int
    framing: tuple[int, int, int]
    tokens: dict[str, int] = field(default_factory=dict)
    surface: list[int] | None = None

    @classmethod
    def of(cls, messages: Sequence[Message]) -> CountedPrompt:
        has_system = any(message.role is MessageRole.SYSTEM for message in messages)
        return cls(sum(len(m.content) for m in messages), (len(messages), int(has_system), 1))

    def lacks(self, tokenizers: Iterable[Tokenizer], *, wants_surface: bool) -> bool:
        """Whether ``fill`` would have anything to do."""
        return (wants_surface and self.surface is None) or any(
            tokenizer.name not in self.tokens for tokenizer in tokenizers
        )

    def fill(
        self, messages: Sequence[Message], tokenizers: Iterable[Tokenizer], *, wants_surface: bool
    ) -> None:
        """Count the messages' texts by each of the tokenizers that has not done so yet."""
        for tokenizer in tokenizers:
            if tokenizer.name not in self.tokens:
                self.tokens[tokenizer.name] = sum(
                    tokenizer.count(message.content) for message in messages
                )
        if wants_surface and self.surface is None:
            self.surface = _surface(message.content for message in messages)

    def own(self, tokenizer: Tokenizer) -> Vector:
        """In the order of ``own_basis``."""
        return np.array([self.tokens[tokenizer.name], *self.framing], dtype=float)

    def general(self, references: Sequence[Tokenizer]) -> Vector:
        """In the order of GENERAL."""
        assert self.surface is not None
        counted = [self.tokens[reference.name] for reference in references]
        return np.array([*counted, *self.surface, *self.framing], dtype=float)
