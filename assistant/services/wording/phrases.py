"""Rewrites groups of words that say the same into one of them, by rules that read like a table.

A rule is a line ``pattern => replacement``. In a pattern, ``a|b`` is either word, ``(a)`` may be
missing, ``*`` stands for one to six words, ``_`` for one and ``#`` for a number, ``^`` for the
start of a sentence and ``$`` for its end. A replacement takes over what ``*``, ``_``, ``#`` or the
pattern's second part, ``@2``, has taken. The first rule that fits wins.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from assistant.services.wording.text import BREAKS, ENDS

_LONGEST_GAP = 6
_MOST_OPENERS = 8  # "Hi, could you please tell me ..." are four


@dataclass(frozen=True, slots=True)
class Phrase:
    """A rule. Each part of the pattern is the words that fit it, and whether it may be missing.

    ``seconds`` are the words that may stand second, None where nearly any may.
    """

    parts: tuple[tuple[frozenset[str], bool], ...]
    replacement: tuple[str, ...]
    seconds: frozenset[str] | None

    def match(self, words: Sequence[str], at: int) -> _Match | None:
        """What the rule takes from ``at`` on; None where it does not fit."""
        return _match(self.parts, 0, words, at, ())

    def apply(self, taken: Sequence[Sequence[str]]) -> list[str]:
        """What to say instead of what each part has taken."""
        said: list[str] = []
        for word in self.replacement:
            if word in _GAPS:
                index = next(i for i, (choices, _) in enumerate(self.parts) if word in choices)
                said += taken[index]
            elif word[0] == "@":
                said += taken[int(word[1:]) - 1]
            else:
                said.append(word)
        return said


_GAPS = frozenset({"*", "#", "_"})
_Match = tuple[int, tuple[Sequence[str], ...]]
"""Where it ends, and what each part has taken."""


@dataclass(frozen=True, slots=True)
class Candidates:
    """The rules for one first word, in the order of the table: most are told by the second."""

    by_second: Mapping[str, tuple[Phrase, ...]]
    others: tuple[Phrase, ...]

    @classmethod
    def of(cls, phrases: Sequence[Phrase]) -> Candidates:
        """``phrases`` by the words that may stand second."""
        seconds = {word for phrase in phrases for word in phrase.seconds or ()}
        return cls(
            {
                second: tuple(
                    phrase
                    for phrase in phrases
                    if phrase.seconds is None or second in phrase.seconds
                )
                for second in seconds
            },
            tuple(phrase for phrase in phrases if phrase.seconds is None),
        )


Phrases = Mapping[str, Candidates]
"""Rules by the first word that they fit."""


def _candidates(phrases: Phrases, words: Sequence[str], at: int) -> tuple[Phrase, ...]:
    found = phrases.get(words[at])
    if found is None:
        return ()
    return found.by_second.get(words[at + 1] if at + 1 < len(words) else "", found.others)


def _match(
    parts: Sequence[tuple[frozenset[str], bool]],
    index: int,
    words: Sequence[str],
    at: int,
    taken: tuple[Sequence[str], ...],
) -> _Match | None:
    while index < len(parts):
        choices, is_optional = parts[index]
        index += 1
        word = words[at] if at < len(words) else "."
        if word in choices or ("#" in choices and word[0].isdigit()):
            if is_optional:
                found = _match(parts, index, words, at + 1, (*taken, (word,)))
                if found is not None:
                    return found
                taken = (*taken, ())
                continue
            taken = (*taken, (word,))
            at += 1
        elif "$" in choices and word in BREAKS:
            taken = (*taken, ())
        elif "_" in choices and word not in BREAKS:
            taken = (*taken, (word,))
            at += 1
        elif "*" in choices:
            for end in range(at + 1, min(at + _LONGEST_GAP, len(words)) + 1):
                if words[end - 1] in BREAKS:
                    return None
                found = _match(parts, index, words, end, (*taken, words[at:end]))
                if found is not None:
                    return found
            return None
        elif is_optional:
            taken = (*taken, ())
        else:
            return None
    return at, taken


def read_phrases(*tables: str) -> tuple[Phrases, Phrases]:
    """The rules of ``tables``: those for the start of a sentence, and those for anywhere."""
    starts: dict[str, list[Phrase]] = {}
    anywhere: dict[str, list[Phrase]] = {}
    for line in _lines(tables):
        pattern, _, replacement = line.partition("=>")
        where = anywhere
        words = pattern.split()
        if words[0] == "^":
            where, words = starts, words[1:]
        parts = tuple(map(_part, words))
        phrase = Phrase(parts, tuple(replacement.split()), _seconds(parts))
        for first in phrase.parts[0][0]:
            where.setdefault(first, []).append(phrase)
        # A rule that may begin with any of several words is found by each of them.
        for choices, is_optional in phrase.parts[1:]:
            if not phrase.parts[0][1]:
                break
            for first in choices - phrase.parts[0][0]:
                where.setdefault(first, []).append(phrase)
            if not is_optional:
                break
    return (
        {first: Candidates.of(rules) for first, rules in starts.items()},
        {first: Candidates.of(rules) for first, rules in anywhere.items()},
    )


def _seconds(parts: Sequence[tuple[frozenset[str], bool]]) -> frozenset[str] | None:
    if len(parts) < 2 or parts[0][1]:
        return None
    seconds: frozenset[str] = frozenset()
    for choices, is_optional in parts[1:]:
        seconds |= choices
        if not is_optional:
            return None if seconds & _OPEN else seconds
    return None


_OPEN = _GAPS | {"$"}


def _lines(tables: Iterable[str]) -> Iterable[str]:
    for table in tables:
        for line in table.splitlines():
            if line.strip():
                yield line


def _part(word: str) -> tuple[frozenset[str], bool]:
    is_optional = word.startswith("(")
    return frozenset(word.strip("()").split("|")), is_optional


def rewrite(
    words: Sequence[str], starts: Phrases, anywhere: Phrases, asking: frozenset[str]
) -> list[str]:
    """``words`` with the rules applied, sentence by sentence: openers, the others once, openers.

    After a comma, a word that asks begins a sentence, too: "in Python, how do I ...".
    """
    said: list[str] = []
    for sentence in sentences(words, asking):
        said += without_openers(_rewritten(without_openers(sentence, starts), anywhere), starts)
    return said if any(word not in BREAKS for word in said) else list(words)


def sentences(words: Sequence[str], asking: frozenset[str]) -> Iterable[list[str]]:
    """``words`` cut after what ends a sentence, and before what begins to ask."""
    start = 0
    for at, word in enumerate(words):
        if word in ENDS or (word in BREAKS and at + 1 < len(words) and words[at + 1] in asking):
            yield list(words[start : at + 1])
            start = at + 1
    yield list(words[start:])


def _rewritten(words: Sequence[str], anywhere: Phrases) -> list[str]:
    said: list[str] = []
    at = 0
    while at < len(words):
        for phrase in _candidates(anywhere, words, at):
            found = phrase.match(words, at)
            if found is not None and found[0] > at:
                said += phrase.apply(found[1])
                at = found[0]
                break
        else:
            said.append(words[at])
            at += 1
    return said


def without_openers(words: list[str], starts: Phrases) -> list[str]:
    """``words`` without what a sentence may begin with and mean the same."""
    for _ in range(_MOST_OPENERS):
        first = 0
        while first < len(words) and words[first] in BREAKS:
            first += 1
        if first:
            words = words[first:]
        for phrase in _candidates(starts, words, 0) if words else ():
            found = phrase.match(words, 0)
            if found is not None:
                rewritten = [*phrase.apply(found[1]), *words[found[0] :]]
                break
        else:
            return words
        if rewritten == words:
            return words
        words = rewritten
    return words
