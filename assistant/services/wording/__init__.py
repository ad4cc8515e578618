"""Whether two texts ask for the same, so that one answer may serve both.

A cosine cannot tell "from Paris to London" from "from London to Paris". So each text is read into
what it says, in one form for all ways to say it; and where what two texts say differs in anything
that may change the answer, a guard objects. What no table knows counts as different: a repeat
that is missed costs a call, a wrong answer costs trust.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from assistant.services.wording.capitals import NO_CASES, Cases, are_opposed
from assistant.services.wording.language import Language, Tense
from assistant.services.wording.meaning import Guard, Meaning
from assistant.services.wording.reading import language_of, read
from assistant.services.wording.text import LITERAL

__all__ = ["Guard", "Wording", "failing_guard", "read_wording"]

_NEGATING = ("un", "in", "im", "il", "ir", "dis", "non", "anti", "de", "des", "ent", "mis")

# The most telling first: "NUMBER" says more than that a name differs, too.
_ORDER = (
    Guard.QUOTED,
    Guard.NEGATION,
    Guard.NUMBER,
    Guard.TIME,
    Guard.ANTONYM,
    Guard.SCOPE,
    Guard.MODALITY,
    Guard.NAME,
    Guard.QUESTION,
    Guard.PERSON,
    Guard.RELATION,
    Guard.WORD_ORDER,
)


@dataclass(frozen=True, slots=True)
class Wording:
    """What a text says, read once. ``canonical`` is it in words, the same for all ways to say it.

    ``language`` is its code, None where it is not known. ``tense`` is None for the present, and
    where nothing tells. ``cases`` are words that a capital makes another.
    """

    canonical: str
    language: str | None
    meanings: tuple[Meaning, ...]
    tense: Tense | None = None
    cases: Cases = NO_CASES


def read_wording(text: str) -> Wording:
    """The wording of ``text``, in time that grows with its length only."""
    reading = read(text)
    canonical = " ".join(meaning.key.lstrip(LITERAL) for meaning in reading.meanings)
    return Wording(canonical, reading.code or None, reading.meanings, reading.tense, reading.cases)


def failing_guard(asked: Wording, answered: Wording) -> Guard | None:
    """The guard that objects to one answer for both, whichever was first; None: none does."""
    if asked.language != answered.language:
        return Guard.LANGUAGE
    if asked.meanings != answered.meanings:
        return _difference(asked, answered)
    if are_opposed(asked.cases, answered.cases):
        return Guard.NAME
    return Guard.TIME if asked.tense != answered.tense else None


def _difference(asked: Wording, answered: Wording) -> Guard:
    ours, theirs = Counter(asked.meanings), Counter(answered.meanings)
    lacking, extra = list((theirs - ours).elements()), list((ours - theirs).elements())
    if not lacking and not extra:
        return Guard.WORD_ORDER
    guards = {meaning.guard for meaning in (*lacking, *extra)}
    if asked.tense != answered.tense:
        guards.add(Guard.TIME)
    if _are_opposed(lacking, extra, language_of(asked.language or "")):
        guards.add(Guard.ANTONYM)
    return next(guard for guard in _ORDER if guard in guards)


def _are_opposed(some: Sequence[Meaning], others: Iterable[Meaning], language: Language) -> bool:
    words = {meaning.key.partition("+")[0] for meaning in some}
    for meaning in others:
        word = meaning.key.partition("+")[0]
        if not words.isdisjoint(language.opposites.get(word, ())):
            return True
        if any(prefix + word in words or word.removeprefix(prefix) in words - {word}
               for prefix in _NEGATING):  # fmt: skip
            return True
    return False
