"""Sets right what is one slip of the pen from a known word, and only from that one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

_LONGEST = 24

# How long a known word must be to be recognised with that slip. The shorter a word is, the more
# other words look like it: on a list of 115,000 English words, these lengths leave few.
_SWAPPED = 6
_DOUBLED = 7
_LOST_OR_ADDED = 8
_VOWEL = 9
_VOWELS = "aeiou"


class Spelling:
    """Knows words, and what they look like with two letters swapped, or one lost, added or wrong.

    The first and the last letter are as they should be: beginnings and endings tell words apart.
    Only vowels are taken for each other.
    """

    __slots__ = ("_known", "_shortened")

    def __init__(self, known: Iterable[str]) -> None:
        self._known = frozenset(known)
        shortened: dict[str, str | None] = {}
        for word in self._known:
            for short in {word[:at] + word[at + 1 :] for at in _losable(word)}:
                shortened[short] = None if short in shortened else word
        self._shortened: Mapping[str, str | None] = shortened

    def correct(self, word: str) -> str:
        """The one known word that ``word`` was meant to be; else ``word``."""
        if not _SWAPPED <= len(word) + 1 <= _LONGEST or not word.isalpha():
            return word
        meant = {other for other in _variants(word) if other in self._known}
        if word in self._shortened:
            lost = self._shortened[word]
            if lost is None:
                return word
            meant.add(lost)
        return meant.pop() if len(meant) == 1 else word


def _losable(word: str) -> Iterator[int]:
    """Places of letters without which the word is still recognised; doubled ones sooner."""
    for at in range(1, len(word)):
        is_doubled = word[at] == word[at - 1]
        if len(word) >= (_DOUBLED if is_doubled else _LOST_OR_ADDED) and (
            is_doubled or at < len(word) - 1
        ):
            yield at


def _variants(word: str) -> Iterator[str]:
    if len(word) >= _SWAPPED:
        for at in range(1, len(word) - 1):
            yield word[:at] + word[at + 1] + word[at] + word[at + 2 :]
    for at in range(1, len(word) - 1):
        if len(word) > (_DOUBLED if word[at] == word[at - 1] else _LOST_OR_ADDED):
            yield word[:at] + word[at + 1 :]
        if len(word) >= _VOWEL and word[at] in _VOWELS:
            for vowel in _VOWELS:
                yield word[:at] + vowel + word[at + 1 :]
