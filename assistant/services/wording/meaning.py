"""What a text is made of once its wording is read, and what watches over each piece."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple


class Guard(StrEnum):
    """What keeps two texts from sharing one answer. The values are shown to clients."""

    LANGUAGE = "LANGUAGE"
    """They are in two languages: so would their answers be."""
    QUOTED = "QUOTED"
    """Quoted text, code, an identifier, a file, an address or a sign is not the very same."""
    NUMBER = "NUMBER"
    """A number, an amount, a unit, a currency or a version differs."""
    TIME = "TIME"
    """A date, a time of day, a day, a season or the tense differs."""
    NEGATION = "NEGATION"
    """One denies what the other does not."""
    ANTONYM = "ANTONYM"
    """A word stands against its opposite: safe and unsafe, open and close."""
    QUESTION = "QUESTION"
    """They ask for something else: when, where, why, how many, whether."""
    SCOPE = "SCOPE"
    """How much is meant differs: all or some, first or last, best or worst, only."""
    MODALITY = "MODALITY"
    """What can be, what should be and what must be."""
    PERSON = "PERSON"
    """Whom it is about differs: mine or yours, his or hers."""
    RELATION = "RELATION"
    """A word between things differs: from or to, with or without, before or after."""
    NAME = "NAME"
    """A word that carries meaning has no counterpart: another name, another subject."""
    WORD_ORDER = "WORD_ORDER"
    """The same words in other roles: who beat whom, from where to where."""


class Meaning(NamedTuple):
    """A word that decides the answer, in one form for all its spellings, and who watches it."""

    key: str
    guard: Guard
