"""What is known of a language: which words ask, deny, relate or say nothing, and what is one word.

A language is data. What no table knows is a name, and must be the same in both texts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum, StrEnum, auto

from assistant.services.wording.meaning import Guard, Meaning
from assistant.services.wording.phrases import Phrases


class Capital(Enum):
    """Where a word is another one with a capital: what shows that its small letter is meant."""

    ANY = auto()
    """Any capital in the text, be it the one that it begins with."""
    OTHER_NAMES = auto()
    """That other names in the text have theirs."""


def tells_nothing(_word: str) -> Capital | None:
    """That of a language in which a capital makes no other word, but for a few in a table."""
    return None


class Tense(StrEnum):
    """When it happens, as the text's first auxiliary has it."""

    PAST = "PAST"
    FUTURE = "FUTURE"


def _groups(table: str) -> Iterator[list[str]]:
    """The groups of a table: the words between two commas."""
    for group in table.split(","):
        if words := group.split():
            yield words


def meanings(guard: Guard, table: str) -> Mapping[str, Meaning]:
    """One meaning for each group of words, named by the first."""
    return {word: Meaning(group[0], guard) for group in _groups(table) for word in group}


def words_for(table: str) -> Mapping[str, str]:
    """What each word but the first of its group is put down to: that first one."""
    return {word: group[0] for group in _groups(table) for word in group[1:]}


def values(table: str) -> Mapping[str, int]:
    """What the words of each group count: "20 twenty"."""
    return {word: int(group[0]) for group in _groups(table) for word in group[1:]}


def expansions(table: str) -> Mapping[str, tuple[str, ...]]:
    """What the first word of each group stands for: "won't will not"."""
    return {group[0]: tuple(group[1:]) for group in _groups(table)}


def opposites(table: str) -> Mapping[str, frozenset[str]]:
    """Each word's opposites, from groups "one other"; "a/b" are alike."""
    against: dict[str, set[str]] = {}
    for some, others in _groups(table):
        for word in some.split("/"):
            against.setdefault(word, set()).update(others.split("/"))
        for word in others.split("/"):
            against.setdefault(word, set()).update(some.split("/"))
    return {word: frozenset(others) for word, others in against.items()}


def _no_tense(_words: Sequence[str]) -> Tense | None:
    return None


@dataclass(frozen=True, slots=True)
class Meant:
    """Where the word stands whose meaning is asked: behind one of the first, before the others.

    Behind the ``maybe``, it may just as well be a thing: only a word that says nothing is meant.
    Where a text has none of the ``telltales``, no meaning is asked for certain.
    """

    behind: frozenset[tuple[str, ...]] = frozenset()
    maybe: frozenset[tuple[str, ...]] = frozenset()
    before: frozenset[str] = frozenset()
    telltales: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Language:
    """The tables of a language. All words are in lower case, as they stand in a text.

    ``telltales`` tell a text's language. ``expansions`` are contractions and spellings by word.
    ``verbatim`` are words of texts that are about words, where each one counts as it is written.
    ``known`` are content words in their base form: what a misspelt word is corrected to.
    ``lookalikes`` are words that would pass for misspelt ones.
    ``movers`` are keys of relations that begin a part that may stand elsewhere in the sentence.
    ``longer_words`` is how much longer a misspelt word must be to be recognised.
    ``places`` are relations that are one before a time: "on Monday", "in March", "at night".
    ``split_compounds`` are compounds with a hyphen, or their first or last parts with it ("non-",
    "-free"), that are the same without one; None where all are.
    ``articles`` begin something new, which is no more of the part before it.
    ``tongues`` are languages by name: what is "in Spanish" is about words.
    ``counted`` are words before the letter that is counted: "how many r".
    ``meant`` is where a word stands whose meaning is asked.
    ``spoken`` are two words that stand together where it is about words: "se escribe".
    ``homographs`` are words that a capital makes others, ``capital`` tells it of words by form.
    ``asking`` are words that begin a question when they begin a sentence.
    """

    code: str
    telltales: frozenset[str]
    expansions: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    starts: Phrases = field(default_factory=dict)
    anywhere: Phrases = field(default_factory=dict)
    verbatim: frozenset[str] = frozenset()
    tongues: frozenset[str] = frozenset()
    counted: frozenset[str] = frozenset()
    meant: Meant = field(default_factory=Meant)
    spoken: frozenset[tuple[str, str]] = frozenset()
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
    longer_words: int = 0
    joins_hyphens: bool = False
    capitals_name: bool = True
    split_compounds: frozenset[str] | None = None
    homographs: Mapping[str, Capital] = field(default_factory=dict)
    capital: Callable[[str], Capital | None] = tells_nothing
    fold: Callable[[str], str] = str
    base_form: Callable[[str], str] = str
    prepare: Callable[[list[str]], list[str]] = list
    arrange: Callable[[list[str]], list[str]] = list
    tense: Callable[[Sequence[str]], Tense | None] = _no_tense
