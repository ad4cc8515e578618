"""What is known of a language: which words ask, deny, relate or say nothing, and what is one word.

A language is data. What no table knows is a name, and must be the same in both texts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from assistant.services.wording_meaning import Guard, Meaning
from assistant.services.wording_phrases import Phrases


class Tense(StrEnum):
    """When it happens, as the text's first auxiliary has it."""

    PAST = "PAST"
    FUTURE = "FUTURE"


def word_set(text: str) -> frozenset[str]:
    """The words of a list written as running text."""
    return frozenset(text.split())


def meanings(guard: Guard, table: str) -> Mapping[str, Meaning]:
    """One meaning a line: its key, then the other words for it."""
    return {
        word: Meaning(line.split()[0], guard)
        for line in table.splitlines()
        for word in line.split()
    }


def words_for(table: str) -> Mapping[str, str]:
    """What each word of a line is put down to: the first of the line."""
    return {word: line.split()[0] for line in table.splitlines() for word in line.split()[1:]}


def opposites(table: str) -> Mapping[str, frozenset[str]]:
    """Each word's opposites, from lines ``one other``; ``a/b`` are alike."""
    against: dict[str, set[str]] = {}
    for line in table.splitlines():
        if line.strip():
            one, other = (side.split("/") for side in line.split())
            for word in one:
                against.setdefault(word, set()).update(other)
            for word in other:
                against.setdefault(word, set()).update(one)
    return {word: frozenset(others) for word, others in against.items()}


def _no_tense(_words: Sequence[str]) -> Tense | None:
    return None


@dataclass(frozen=True, slots=True)
class Language:
    """The tables of a language. All words are in lower case, as they stand in a text.

    ``telltales`` tell a text's language. ``expansions`` are contractions and spellings by word.
    ``verbatim`` are words of texts that are about words, where each one counts as it is written.
    ``known`` are content words in their base form: what a misspelt word is corrected to.
    ``lookalikes`` are words that would pass for misspelt ones.
    ``movers`` are keys of relations that begin a part that may stand elsewhere in the sentence.
    ``places`` are relations that are one before a time: "on Monday", "in March", "at night".
    ``articles`` begin something new, which is no more of the part before it.
    ``asking`` are words that begin a question when they begin a sentence.
    """

    code: str
    telltales: frozenset[str]
    expansions: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    starts: Phrases = field(default_factory=dict)
    anywhere: Phrases = field(default_factory=dict)
    verbatim: frozenset[str] = frozenset()
    empty: frozenset[str] = frozenset()
    meanings: Mapping[str, Meaning] = field(default_factory=dict)
    movers: frozenset[str] = frozenset()
    places: frozenset[str] = frozenset()
    articles: frozenset[str] = frozenset()
    asking: frozenset[str] = frozenset()
    conditional: frozenset[str] = frozenset()
    numbers: Mapping[str, int] = field(default_factory=dict)
    months: Mapping[str, str] = field(default_factory=dict)
    ordinals: Mapping[str, str] = field(default_factory=dict)
    synonyms: Mapping[str, str] = field(default_factory=dict)
    opposites: Mapping[str, frozenset[str]] = field(default_factory=dict)
    known: frozenset[str] = frozenset()
    lookalikes: frozenset[str] = frozenset()
    misspelt: Mapping[str, str] = field(default_factory=dict)
    decimal_comma: bool = False
    joins_hyphens: bool = False
    capitals_name: bool = True
    fold: Callable[[str], str] = str
    base_form: Callable[[str], str] = str
    prepare: Callable[[list[str]], list[str]] = list
    arrange: Callable[[list[str]], list[str]] = list
    tense: Callable[[Sequence[str]], Tense | None] = _no_tense
