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
    Only vowels are taken for each other. ``longer`` is by how much words must be longer where a
    language has more forms that look alike.
    """

    __slots__ = ("_known", "_longer", "_shortened")

    def __init__(self, known: Iterable[str], *, longer: int = 0) -> None:
        self._known = frozenset(known)
        self._longer = longer
        shortened: dict[str, str | None] = {}
        for word in self._known:
            for short in {word[:at] + word[at + 1 :] for at in self._losable(word)}:
                shortened[short] = None if short in shortened else word
        self._shortened: Mapping[str, str | None] = shortened

    def correct(self, word: str) -> str:
        """The one known word that ``word`` was meant to be; else ``word``."""
        if not _SWAPPED <= len(word) + 1 <= _LONGEST or not word.isalpha():
            return word
        meant = {other for other in self._variants(word) if other in self._known}
        if word in self._shortened:
            lost = self._shortened[word]
            if lost is None:
                return word
            meant.add(lost)
        return meant.pop() if len(meant) == 1 else word

    def _losable(self, word: str) -> Iterator[int]:
        """Places of letters without which the word is still recognised; doubled ones sooner."""
        length = len(word) - self._longer
        for at in range(1, len(word)):
            if word[at] == word[at - 1]:
                if length >= _DOUBLED:
                    yield at
            elif length >= _LOST_OR_ADDED and at < len(word) - 2:
                yield at

    def _variants(self, word: str) -> Iterator[str]:
        length = len(word) - self._longer
        if length >= _SWAPPED:
            for at in range(1, len(word) - 1):
                yield word[:at] + word[at + 1] + word[at] + word[at + 2 :]
        for at in range(1, len(word) - 2):
            if length > (_DOUBLED if word[at] == word[at - 1] else _LOST_OR_ADDED):
                yield word[:at] + word[at + 1 :]
            if length >= _VOWEL and word[at] in _VOWELS:
                for vowel in _VOWELS:
                    yield word[:at] + vowel + word[at + 1 :]
