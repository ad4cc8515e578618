"""German, as its sentences are built: where its verbs stand, and what its articles tell."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache

from assistant.services.wording import (
    german_meanings,
    german_phrases,
    german_synonyms,
    german_words,
)
from assistant.services.wording.german_meanings import (
    FILLERS,
    MEANINGS,
    NUMBERS,
)
from assistant.services.wording.german_words import (
    IRREGULAR_VERBS,
    MISSPELT,
    NOUNS,
    VERB_STEMS,
    base_form,
    fold,
)
from assistant.services.wording.language import Capital, Meant, Tense
from assistant.services.wording.meaning import Guard
from assistant.services.wording.tables import language_of_tables
from assistant.services.wording.text import BREAKS, word_list, word_set

_VERBATIM = word_set(
    """
    übersetze übersetz übersetzen übersetzung übersetzt wort wörter satz sätze synonym synonyme
    gegenteil antonym reim reimt mehrzahl plural einzahl singular konjugiere konjugation
    grammatik buchstabiere buchstabe buchstaben schreibweise ausgesprochen aussprache
    formuliere umformulieren korrigiere silbe silben grossbuchstaben kleinbuchstaben unterschied
    versus vs redewendung sprichwort vergangenheitsform
    """
)

_TONGUES = word_set(
    """
    englisch deutsch spanisch französisch italienisch portugiesisch niederländisch russisch
    chinesisch japanisch koreanisch arabisch latein lateinisch griechisch polnisch türkisch
    schwedisch norwegisch dänisch finnisch tschechisch ungarisch
    """
)
_MEANT = Meant(
    behind=frozenset(
        {
            ("was", "bedeutet"), ("was", "heisst"), ("was", "meint"), ("bedeutung", "von"),
            ("definiere",),
        }
    ),
    maybe=frozenset({("was", "ist"), ("unter",)}),
    before=word_set("bedeutet heisst meint"),
    telltales=word_set("bedeutet heisst meint bedeutung definiere"),
)  # fmt: skip
_WRITTEN_OR_SAID = frozenset(
    (verb, subject)
    for verb in word_list("sagt schreibt spricht übersetzt nennt")
    for subject in ("man",)
)
_POLITE = word_set("sie ihr ihre ihren ihrem ihrer ihres ihnen")


@lru_cache(maxsize=20_000)
def capital(word: str) -> Capital | None:
    """ "Sie" is you, "sie" is she or they; "das Umfahren" is not "umfahren"."""
    if word in _POLITE:
        return Capital.ANY
    if 4 < len(word) < 40 and word.endswith(("en", "ern", "eln")) and word not in MEANINGS:
        return Capital.OTHER_NAMES if base_form(word) in NOUNS else Capital.ANY
    return None


_ASKERS = word_set(
    """
    was wer wen wem wessen wann wo wohin woher warum wie wozu womit woran welche welcher welches
    welchen welchem
    """
)
_SUBJECTS = word_set("ich man wir du sie er")
_MODALS = frozenset(word for word, meaning in MEANINGS.items() if meaning.guard is Guard.MODALITY)
_HELPERS = word_set(
    "ist sind war waren hat haben habe hatte wird werden wurde wurden gibt bin bist"
)
_PREFIXES = word_set(
    """
    ab an auf aus bei ein mit nach vor weg zu zurück her hin los um durch frei fest statt teil
    zusammen weiter wieder rückgängig
    """
)
_PREPOSITIONS = frozenset(
    word
    for word, meaning in MEANINGS.items()
    if meaning.guard is Guard.RELATION and word not in ("den", "dem", "und", "oder", "als")
)


def prepare(words: list[str]) -> list[str]:
    """The words without fillers; "liste sortieren, wie?" asks as "wie liste sortieren" does."""
    kept = [
        word
        for at, word in enumerate(words)
        if word not in FILLERS
        or (word == "mal" and at and (words[at - 1][0].isdigit() or words[at - 1] in NUMBERS))
    ]
    words = kept or words
    last = len(words)
    while last and words[last - 1] in BREAKS:
        last -= 1
    if last > 1 and words[last - 1] in ("wie", "wo", "wann", "warum") and words[0] not in _ASKERS:
        stop = last - 2 if words[last - 2] == "," else last - 1
        return [words[last - 1], *words[:stop], *words[last:]]
    return words


def arrange(words: list[str]) -> list[str]:
    """The words with the verb behind what asks, whole, wherever German has put its parts."""
    said: list[str] = []
    start = 0
    for at, word in enumerate([*words, "."]):
        if word in BREAKS:
            said += _clause(words[start:at])
            if at < len(words):
                said.append(word)
            start = at + 1
    return said


def _clause(words: list[str]) -> list[str]:
    words = _without_cases(words)
    if not words:
        return words
    asks = _asking_part(words)
    if asks == 0:
        if words[0] in _MODALS or words[0] in _HELPERS or _is_finite(words[0], words):
            return ["ob", *_with_prefix(words)]
        return words
    head, rest = words[:asks], words[asks:]
    if not rest:
        return words
    if rest[0] in _SUBJECTS or (rest[0] not in _MODALS and _is_verb(rest[-1]) and len(rest) > 1
                                and not _is_verb(rest[0])):  # fmt: skip
        # A clause of its own, or no finite verb: the verb is at the end.
        subject = 1 if rest[0] in _SUBJECTS else 0
        return [*head, rest[-1], *rest[subject:-1]] if _is_verb(rest[-1]) else words
    if rest[0] in _MODALS and _is_verb(rest[-1]) and len(rest) > 1:
        return [*head, rest[0], rest[-1], *rest[1:-1]]
    if _is_verb(rest[0]):
        whole = _with_prefix(rest)
        if len(whole) > 1 and whole[1] in _SUBJECTS and head[0] == "wie":
            del whole[1]
        return [*head, *whole]
    return words


def _without_cases(words: Sequence[str]) -> list[str]:
    """The words without "den" and "dem" behind a preposition; alone they tell who does what."""
    return [
        word
        for at, word in enumerate(words)
        if word not in ("den", "dem") or not at or words[at - 1] not in _PREPOSITIONS
    ]


def _asking_part(words: Sequence[str]) -> int:
    """How many words ask: "wie", "wie lange", "in welchen"."""
    if words[0] not in _ASKERS:
        return 0
    if words[0] == "wie" and len(words) > 1 and words[1] in _MEASURES:
        return 2
    return 1


_MEASURES = word_set("lange viel oft weit hoch gross schnell alt tief teuer schwer")


def _with_prefix(words: list[str]) -> list[str]:
    """ "schalte ... ein" is "einschalte ..."."""
    if len(words) > 2 and words[-1] in _PREFIXES and _is_verb(words[0]):
        return [words[-1] + words[0], *words[1:-1]]
    return words


def _is_verb(word: str) -> bool:
    if word in IRREGULAR_VERBS:
        return True
    return word.isalpha() and base_form(word) in VERB_STEMS


def _is_finite(word: str, words: Sequence[str]) -> bool:
    return _is_verb(word) and len(words) > 1 and words[1] in _SUBJECTS


def tense(words: Sequence[str]) -> Tense | None:
    """The tense of the first auxiliary."""
    for word in words:
        if word in _PAST:
            return Tense.PAST
        if word in _HELPERS:
            return None
    return None


_PAST = word_set("war waren wurde wurden hatte hatten warst")

GERMAN = replace(
    language_of_tables("de", german_meanings, german_phrases, german_synonyms, german_words),
    verbatim=_VERBATIM,
    tongues=_TONGUES,
    counted=word_set("viele viel"),
    meant=_MEANT,
    spoken=_WRITTEN_OR_SAID,
    capital=capital,
    places=word_set("in an auf"),
    articles=word_set("ein eine einen der die das"),
    asking=_ASKERS | _MODALS | word_set("ist sind war gibt hat haben"),
    conditional=word_set("wann"),
    misspelt=MISSPELT,
    decimal_comma=True,
    longer_words=2,
    joins_hyphens=True,
    capitals_name=False,
    fold=fold,
    base_form=base_form,
    prepare=prepare,
    arrange=arrange,
    tense=tense,
)
