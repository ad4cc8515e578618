"""What a task makes out of a text: pieces of it, and which of them matter most."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass


def count_tokens(text: str) -> int:
    """One token per four bytes of UTF-8, rounded up: the usual rule of thumb for English.

    Source: https://help.openai.com/en/articles/4936856-what-are-tokens-and-how-to-count-them
    """
    return -(-len(text.encode(errors="replace")) // 4)


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of an answer that is given whole or not at all.

    ``joint`` stands between it and the next piece. ``rank`` 0 matters most.
    """

    text: str
    joint: str = " "
    rank: int = 0


@dataclass(frozen=True, slots=True)
class Extract:
    """An answer: at least one piece, in reading order."""

    pieces: tuple[Piece, ...]

    @property
    def text(self) -> str:
        return "".join(self.deltas())

    def deltas(self) -> Iterator[str]:
        """The answer piece by piece; joined they are ``text``."""
        joint = ""
        for piece in self.pieces:
            yield joint + piece.text
            joint = piece.joint

    def within(self, max_tokens: int) -> Extract:
        """The pieces that matter most and fit together; the first of them even if it does not."""
        kept: set[int] = set()
        for index in sorted(range(len(self.pieces)), key=lambda index: self.pieces[index].rank):
            if kept and self._only(kept | {index}).tokens > max_tokens:
                break
            kept.add(index)
        return self._only(kept)

    @property
    def tokens(self) -> int:
        return count_tokens(self.text)

    def _only(self, kept: set[int]) -> Extract:
        return Extract(tuple(piece for index, piece in enumerate(self.pieces) if index in kept))


def in_turn(texts: Sequence[str], joint: str) -> Extract:
    """An extract in which every piece matters more than those behind it."""
    return Extract(tuple(Piece(text, joint, rank) for rank, text in enumerate(texts)))
