"""Words that are others with a capital: Turkey and a turkey, May and may, "Sie" and "sie".

Who types without capitals leaves open which is meant, so such texts object to nothing. Only where
one text has the capital, and the other could have it and has not, are they taken for two.
"""

from __future__ import annotations

from typing import NamedTuple

from assistant.services.wording.language import Capital, Language, tells_nothing
from assistant.services.wording.text import Text, word_set


class Cases(NamedTuple):
    """Words that have a capital within a sentence, and words that have none on purpose."""

    names: frozenset[str] = frozenset()
    words: frozenset[str] = frozenset()


NO_CASES = Cases()

_BEFORE_A_MONTH = word_set("in of since until till by next last this early late from during")
_MONTHS = frozenset(("march", "may", "august"))


def are_opposed(some: Cases, others: Cases) -> bool:
    """Whether a word is a name in one text, and in the other it is none."""
    if some is NO_CASES or others is NO_CASES:
        return False
    return bool(
        (some.names - some.words) & (others.words - others.names)
        or (others.names - others.words) & (some.words - some.names)
    )


def read_cases(text: Text, language: Language) -> Cases:
    """The words of ``text`` that a capital makes another, where its capitals say something."""
    if not (text.named or text.opening):
        return NO_CASES
    if language.homographs.keys().isdisjoint(text.pieces) and language.capital is tells_nothing:
        return NO_CASES
    if text.is_even():
        return NO_CASES
    pieces = text.pieces
    capitals = {pieces[at] for at in text.named} - {"i"}
    names: set[str] = set()
    words: set[str] = set()
    for at, piece in enumerate(pieces):
        if not piece[0].isalpha() or at in text.opening:
            continue
        told_by = language.homographs.get(piece) or language.capital(piece)
        if told_by is None or _is_month(pieces, at):
            continue
        if at in text.named:
            names.add(piece)
        elif told_by is Capital.ANY or len(capitals) > (piece in capitals):
            words.add(piece)
    return Cases(frozenset(names), frozenset(words)) if names or words else NO_CASES


def _is_month(pieces: list[str], at: int) -> bool:
    """Whether it is the month, however it is written: "in may", "5 march"."""
    if pieces[at] not in _MONTHS:
        return False
    before = pieces[at - 1] if at else ""
    after = pieces[at + 1] if at + 1 < len(pieces) else ""
    return before in _BEFORE_A_MONTH or before[:1].isdigit() or after[:1].isdigit()
