"""Spanish, as its sentences are built: persons and tenses that only the verb tells."""

from __future__ import annotations

from collections.abc import Sequence

from assistant.services.wording.language import Language, Tense
from assistant.services.wording.phrases import read_phrases
from assistant.services.wording.spanish_meanings import (
    EMPTY,
    EXPANSIONS,
    FILLERS,
    MEANINGS,
    MONTHS,
    MOVERS,
    NUMBERS,
    ORDINALS,
    TELLTALES,
)
from assistant.services.wording.spanish_phrases import ANYWHERE, STARTS
from assistant.services.wording.spanish_synonyms import OPPOSITES, SYNONYMS
from assistant.services.wording.spanish_words import (
    LOOKALIKES,
    MISSPELT,
    VERBS,
    VOCABULARY,
    base_form,
    fold,
)
from assistant.services.wording.text import word_set

_VERBATIM = word_set(
    """
    traduce traducir traduccion traducción tradúceme palabra palabras frase frases oracion sinonimo
    sinonimos antonimo antonimos rima riman plural singular conjuga conjugar conjugacion gramatica
    deletrea deletrear pronuncia pronunciacion reescribe corrige parafrasea silaba silabas
    mayusculas minusculas letra letras diferencia diferencias versus vs refran modismo decir
    """
)

_ASKERS = word_set(
    """
    que cual cuales quien quienes cuando donde adonde como cuanto cuanta cuantos cuantas porqué por
    """
)


def prepare(words: list[str]) -> list[str]:
    """The words without what only fills the sentence."""
    return [word for word in words if word not in FILLERS] or words


def arrange(words: list[str]) -> list[str]:
    """The words with "yo" where only the verb says it; how it is done is the same for all."""
    said: list[str] = []
    for word in words:
        is_general = bool(said) and said[-1] in ("como", "cuanto", "frecuencia", "tiempo", "donde")
        if word == "se" and is_general:
            continue
        if not is_general and _is_first_person(word):
            said.append("yo")
        said.append(word)
    return said


def _is_first_person(word: str) -> bool:
    """Whether the verb's form tells that it is the speaker: "hago" is not "hace"."""
    return word.endswith(("o", "oy")) and word not in VOCABULARY and base_form(word) in VERBS


def tense(words: Sequence[str]) -> Tense | None:
    """The tense of the first form of being or having."""
    for word in words:
        if word in _PAST:
            return Tense.PAST
        if word in _FUTURE:
            return Tense.FUTURE
        if word in ("es", "son", "estar", "hay"):
            return None
    return None


_PAST = word_set("fue fueron era eran estuvo estaba hubo habia había")
_FUTURE = word_set("sera será serán seran habrá habra")

_STARTING, _EVERYWHERE = read_phrases(STARTS, ANYWHERE)

SPANISH = Language(
    code="es",
    telltales=TELLTALES,
    expansions=EXPANSIONS,
    starts=_STARTING,
    anywhere=_EVERYWHERE,
    verbatim=_VERBATIM,
    empty=EMPTY,
    meanings=MEANINGS,
    movers=MOVERS,
    places=word_set("en a"),
    articles=word_set("un una unos unas"),
    asking=_ASKERS | word_set("puedo puede debo es son hay se"),
    conditional=word_set("cuando donde"),
    numbers=NUMBERS,
    ordinals=ORDINALS,
    months=MONTHS,
    synonyms=SYNONYMS,
    opposites=OPPOSITES,
    known=VOCABULARY,
    lookalikes=LOOKALIKES,
    misspelt=MISSPELT,
    decimal_comma=True,
    fold=fold,
    base_form=base_form,
    prepare=prepare,
    arrange=arrange,
    tense=tense,
)
