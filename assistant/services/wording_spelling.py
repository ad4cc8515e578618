"""Sets right what is one slip of the pen from a known word, and only from that one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

_SHORTEST = 5
_LONGEST = 20
_SHORTEST_VOWELS = 7
_VOWELS = "aeiou"


class Spelling:
    """Knows words, and what they look like with one letter lost, doubled, added or swapped.

    The first and the last letter are as they should be: beginnings and endings tell words apart.
    So do vowels in short words.
    """

    __slots__ = ("_known", "_shortened")

    def __init__(self, known: Iterable[str]) -> None:
        self._known = frozenset(known)
        shortened: dict[str, str | None] = {}
        for word in self._known:
            if len(word) > _SHORTEST:
                for short in {word[:at] + word[at + 1 :] for at in _inner(word)}:
                    shortened[short] = None if short in shortened else word
        self._shortened: Mapping[str, str | None] = shortened

    def correct(self, word: str) -> str:
        """The one known word that ``word`` was meant to be; else ``word``."""
        if not _SHORTEST <= len(word) <= _LONGEST or not word.isalpha():
            return word
        meant = {other for other in _variants(word) if other in self._known}
        if word in self._shortened:
            lost = self._shortened[word]
            if lost is None:
                return word
            meant.add(lost)
        return meant.pop() if len(meant) == 1 else word


def _inner(word: str) -> range:
    """Places of letters that may be missing: all but the first; the last only if it is doubled."""
    return range(1, len(word) if word[-1] == word[-2] else len(word) - 1)


def _variants(word: str) -> Iterator[str]:
    for at in range(len(word) - 1):
        yield word[:at] + word[at + 1] + word[at] + word[at + 2 :]
    if len(word) > _SHORTEST:
        for at in _inner(word):
            yield word[:at] + word[at + 1 :]
    if len(word) >= _SHORTEST_VOWELS:
        for at in range(1, len(word) - 1):
            if word[at] in _VOWELS:
                for vowel in _VOWELS:
                    yield word[:at] + vowel + word[at + 1 :]
