"""English, as its sentences are built: auxiliaries, passives, possessives, tenses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from assistant.services.wording import (
    english_meanings,
    english_phrases,
    english_synonyms,
    english_words,
)
from assistant.services.wording.english_forms import IRREGULAR, MISSPELT, american, base_form
from assistant.services.wording.english_meanings import (
    AUXILIARIES,
    EMPTY,
    FILLERS,
    MEANINGS,
)
from assistant.services.wording.english_synonyms import SYNONYMS
from assistant.services.wording.english_words import ADJECTIVES, VERBS, VOCABULARY
from assistant.services.wording.language import Capital, Meant, Tense
from assistant.services.wording.meaning import Guard
from assistant.services.wording.tables import language_of_tables
from assistant.services.wording.text import BREAKS, word_set

_VERBATIM = word_set(
    """
    translate translation translated translating spell spelled spelt spelling pronounce pronounced
    pronunciation synonym synonyms antonym antonyms opposite rhyme rhymes rhyming plural singular
    tense conjugate conjugation word words phrase sentence grammar rewrite rephrase paraphrase
    proofread reword uppercase lowercase capitalize syllable syllables vowel vowels keyword operator
    appear appears occur occurs pronounced idiom proverb preposition adjective adverb verb noun pronoun difference differ
    say says saying versus vs letter letters
    """
)

_TONGUES = word_set(
    """
    english spanish french german italian portuguese dutch russian chinese mandarin japanese korean
    arabic hindi latin greek polish turkish swedish norwegian danish finnish czech hungarian hebrew
    ukrainian vietnamese thai welsh irish
    """
)
_MEANT = Meant(
    behind=frozenset(
        {
            ("what", "does"), ("what", "do"), ("meaning", "of"), ("define",),
            ("definition", "of"), ("meant", "by"),
        }
    ),
    maybe=frozenset({("what", "is"), ("explain",)}),
    before=word_set("mean means meant stand stands signify imply"),
    telltales=word_set(
        "mean means meant stand stands signify imply meaning define definition"
    ),
)  # fmt: skip

# Another word, or none, without its capital; what few write small, and what many do.
_NAMES_AND_WORDS = word_set(
    """
    polish turkey china march may august bill mark rose jack rob drew grace faith hope joy frank
    sue chase nice reading bath cork chile chad jordan guinea job lent earth turk slough hull aids
    """
)
_NAMES_OFTEN_SMALL = word_set(
    """
    apple amazon python java ruby swift go rust shell windows window word excel oracle visa target
    gap orange meta slack zoom teams notion discord dart perl julia spark spring flask react node
    express mercury mars amber galaxy kindle alphabet act sat cat set ice rest soap basic ajax era
    """
)


_HOMOGRAPHS = {
    **dict.fromkeys(_NAMES_OFTEN_SMALL, Capital.OTHER_NAMES),
    **dict.fromkeys(_NAMES_AND_WORDS, Capital.ANY),
}


# The same with a hyphen, as one word or as two: the rest of compounds are words of their own.
_SPLIT_COMPOUNDS = word_set(
    """
    non- anti- pre- post- re- co- ex- multi- semi- self- well- high- low- long- short- full- part-
    real- first- second- third- half- old- new- one- two- three- year- open- best-
    -free -based -term -time -up -in -out -off -old -year -day -week -month -hour -hours -minute
    -class -level -end -wide -side -price -cost -quality -size -sized -style -related -friendly
    -line -hands -fashioned -source -party -down -on -back -know -known -date -mail -cream -card
    -tax -law -laws -range -speed -fat -carb -proof -to-date -by-step -site -shirt -ray -rays
    check-ins sign-ups log-ins
    """
)

_SUBJECTS = word_set("i you we they he she it one people")
_MODALS = word_set("can could may might must should shall will would")
_ASKERS = word_set("what which who whom whose when where why how")
_PARTICIPLES = frozenset(
    form for form in IRREGULAR if form.endswith(("n", "t", "d", "g", "k", "m"))
)
_UNMARKED = word_set("hit hurt cut shut beat")


def prepare(words: list[str]) -> list[str]:
    """ "london 's weather" is the "weather of london"; what only fills the sentence is gone."""
    words = _ask_first([word for word in words if word not in FILLERS] or words)
    if "'s" not in words:
        return words
    said: list[str] = []
    at = 0
    while at < len(words):
        owned = at + 1
        while owned < len(words) and owned <= at + 3 and _is_content(words[owned]):
            owned += 1
        if words[at] == "'s" and said and owned > at + 1 and _is_content(said[-1]):
            owner = said.pop()
            said += [*words[at + 1 : owned], "of", owner]
            at = owned
        else:
            said.append(words[at])
            at += 1
    return said


def _is_content(word: str) -> bool:
    return (
        word[0].isalpha()
        and word not in MEANINGS
        and word not in EMPTY
        and word not in (AUXILIARIES | _MODALS)
    )


def tense(words: Sequence[str]) -> Tense | None:
    """The tense of the first auxiliary; without one, that of the verb after who or what."""
    for word in words:
        if word in _TENSES:
            return _TENSES[word]
    for word in words[1:3]:
        if (
            words[0] in _ASKERS
            and word not in VOCABULARY
            and ((word in IRREGULAR and IRREGULAR[word] in VERBS) or (word.endswith("ed")))
        ):
            return Tense.PAST
    return None


_TENSES = {
    "was": Tense.PAST, "were": Tense.PAST, "did": Tense.PAST, "had": Tense.PAST,
    "will": Tense.FUTURE, "is": None, "are": None, "am": None, "do": None, "does": None,
}  # fmt: skip


def _ask_first(words: list[str]) -> list[str]:
    """ "reset my pin how" asks as "how reset my pin" does."""
    last = len(words)
    while last and words[last - 1] in BREAKS:
        last -= 1
    if last > 1 and words[last - 1] in ("how", "where", "when", "why") and words[0] not in _ASKERS:
        stop = last - 2 if words[last - 2] == "," else last - 1
        return [words[last - 1], *words[:stop], *words[last:]]
    return words


def arrange(words: list[str]) -> list[str]:
    """The words without auxiliaries; passives are marked, yes or no is asked with "whether"."""
    said: list[str] = []
    starts, asked, helped, passive_until = True, False, False, -1
    for at, word in enumerate(words):
        following = words[at + 1] if at + 1 < len(words) else "."
        if word in BREAKS:
            starts, asked, helped = True, False, False
            said.append(word)
            continue
        if word in _ASKERS:
            asked = True
        elif starts and (word in AUXILIARIES or word in _MODALS) and following != "not":
            if following not in BREAKS and word not in ("be", "been", "being"):
                said.append("whether")
                asked = True
        elif starts and word in AUXILIARIES and following == "not" and word != "do":
            said.append("whether")
            asked = True
        starts = False
        if word in ("is", "are", "am", "was", "were", "be", "been", "being"):
            passive_until = at + 6
        elif word in ("do", "does", "did"):
            previous = said[-1] if said else ""
            is_main = (
                following in BREAKS
                or helped
                or (previous in _SUBJECTS and asked)
                or previous in ("to", "should", "can", "could", "must", "would", "will", "may")
                or (_is_relation(following) and following != "not")
            )
            if is_main:
                said.append("do")
            helped = True
        elif word in ("will", "would") or (word == "it" and at and words[at - 1] in AUXILIARIES):
            continue
        else:
            if at <= passive_until and _is_participle(word):
                if at and words[at - 1] != "have":
                    said.append("be")
                passive_until = -1
            said.append(word)
    return said


def _is_relation(word: str) -> bool:
    meaning = MEANINGS.get(word)
    return meaning is not None and meaning.guard is Guard.RELATION


def _is_participle(word: str) -> bool:
    if word in _UNMARKED or word in _PARTICIPLES:
        return True
    return word.endswith("ed") and len(word) > 4 and base_form(word) in VERBS


def english_base(word: str) -> str:
    """The base form; comparatives and superlatives stay what they are, in one spelling."""
    base = base_form(american(word))
    if base.endswith(("er", "est")) and base not in VOCABULARY:
        ending = "est" if base.endswith("est") else "er"
        stem = base.removesuffix(ending)
        for simple in (stem, stem + "e", stem[:-1] + "y" if stem.endswith("i") else stem,
                       stem[:-1] if len(stem) > 2 and stem[-1] == stem[-2] else stem):  # fmt: skip
            if simple in ADJECTIVES:
                return f"{SYNONYMS.get(simple, simple)}+{ending}"
    return base


ENGLISH = replace(
    language_of_tables("en", english_meanings, english_phrases, english_synonyms, english_words),
    verbatim=_VERBATIM,
    tongues=_TONGUES,
    counted=word_set("many"),
    meant=_MEANT,
    split_compounds=_SPLIT_COMPOUNDS,
    homographs=_HOMOGRAPHS,
    places=word_set("in on at"),
    conditional=word_set("when where"),
    asking=_ASKERS | AUXILIARIES | _MODALS,
    prepare=prepare,
    tense=tense,
    misspelt=MISSPELT,
    base_form=english_base,
    arrange=arrange,
)  # fmt: skip
