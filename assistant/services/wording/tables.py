"""The modules that hold a language's tables, and the language that they make."""

# ruff: noqa: N802 - the protocols name a module's constants

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from assistant.services.wording.language import Language
from assistant.services.wording.meaning import Meaning
from assistant.services.wording.phrases import read_phrases


class SmallWords(Protocol):
    """A module with the small words of a language."""

    @property
    def TELLTALES(self) -> frozenset[str]: ...
    @property
    def EXPANSIONS(self) -> Mapping[str, tuple[str, ...]]: ...
    @property
    def EMPTY(self) -> frozenset[str]: ...
    @property
    def MEANINGS(self) -> Mapping[str, Meaning]: ...
    @property
    def MOVERS(self) -> frozenset[str]: ...
    @property
    def NUMBERS(self) -> Mapping[str, int]: ...
    @property
    def ORDINALS(self) -> Mapping[str, str]: ...
    @property
    def MONTHS(self) -> Mapping[str, str]: ...


class Rules(Protocol):
    """A module with what a language says in many ways."""

    @property
    def STARTS(self) -> str: ...
    @property
    def ANYWHERE(self) -> str: ...


class Synonyms(Protocol):
    """A module with the words of a language that are alike, and those that are opposed."""

    @property
    def SYNONYMS(self) -> Mapping[str, str]: ...
    @property
    def OPPOSITES(self) -> Mapping[str, frozenset[str]]: ...


class Words(Protocol):
    """A module with the content words of a language."""

    @property
    def VOCABULARY(self) -> frozenset[str]: ...
    @property
    def LOOKALIKES(self) -> frozenset[str]: ...


def language_of_tables(
    code: str, small: SmallWords, rules: Rules, synonyms: Synonyms, words: Words
) -> Language:
    """The language as its tables have it; what else it knows is added with ``replace``."""
    starts, anywhere = read_phrases(rules.STARTS, rules.ANYWHERE)
    return Language(
        code=code,
        telltales=small.TELLTALES,
        expansions=small.EXPANSIONS,
        starts=starts,
        anywhere=anywhere,
        empty=small.EMPTY,
        meanings=small.MEANINGS,
        movers=small.MOVERS,
        numbers=small.NUMBERS,
        ordinals=small.ORDINALS,
        months=small.MONTHS,
        synonyms=synonyms.SYNONYMS,
        opposites=synonyms.OPPOSITES,
        known=words.VOCABULARY,
        lookalikes=words.LOOKALIKES,
    )
