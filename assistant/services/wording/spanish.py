"""Spanish, as its sentences are built: persons and tenses that only the verb tells."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from assistant.services.wording import (
    spanish_meanings,
    spanish_phrases,
    spanish_synonyms,
    spanish_words,
)
from assistant.services.wording.language import Capital, Meant, Tense
from assistant.services.wording.spanish_meanings import (
    FILLERS,
)
from assistant.services.wording.spanish_words import (
    MISSPELT,
    VERBS,
    VOCABULARY,
    base_form,
    fold,
)
from assistant.services.wording.tables import language_of_tables
from assistant.services.wording.text import word_list, word_set

_VERBATIM = word_set(
    """
    traduce traducir traduccion traducción tradúceme palabra palabras frase frases oracion sinonimo
    sinonimos antonimo antonimos rima riman plural singular conjuga conjugar conjugacion gramatica
    deletrea deletrear pronuncia pronunciacion reescribe corrige parafrasea silaba silabas
    mayusculas minusculas letra letras diferencia diferencias versus vs refran modismo decir
    """
)

_TONGUES = word_set(
    """
    ingles inglés español castellano frances francés aleman alemán italiano portugues portugués
    ruso chino japones japonés arabe árabe latin latín catalan catalán
    """
)
_MEANT = Meant(
    behind=frozenset(
        {
            ("que", "significa"), ("que", "significan"), ("quiere", "decir"),
            ("significado", "de"), ("define",),
        }
    ),
    maybe=frozenset({("que", "es")}),
    telltales=word_set("significa significan decir significado define"),
)  # fmt: skip
_WRITTEN_OR_SAID = frozenset(
    ("se", verb) for verb in word_list("dice dicen escribe escriben pronuncia traduce deletrea")
)
_HOMOGRAPHS = dict.fromkeys(
    word_list(
        "rosa dolores consuelo paz luz pilar granada leon lima cruz santos mercedes cuenca salvador"
    ),
    Capital.ANY,
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

SPANISH = replace(
    language_of_tables("es", spanish_meanings, spanish_phrases, spanish_synonyms, spanish_words),
    verbatim=_VERBATIM,
    tongues=_TONGUES,
    counted=word_set("cuantos cuantas"),
    meant=_MEANT,
    spoken=_WRITTEN_OR_SAID,
    homographs=_HOMOGRAPHS,
    places=word_set("en a"),
    articles=word_set("un una unos unas"),
    asking=_ASKERS | word_set("puedo puede debo es son hay se"),
    conditional=word_set("cuando donde"),
    misspelt=MISSPELT,
    decimal_comma=True,
    fold=fold,
    base_form=base_form,
    prepare=prepare,
    arrange=arrange,
    tense=tense,
)
