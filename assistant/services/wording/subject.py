"""Texts about words themselves: what is asked about is taken as it is written."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

from assistant.services.wording.language import Language
from assistant.services.wording.meaning import Meaning
from assistant.services.wording.text import BREAKS, LITERAL, word_set

_INTO = frozenset(("in", "into", "to", "auf", "ins", "en", "al"))
_CONTAINING = frozenset(
    ("in", "are", "does", "do", "is", "'s", "appear", "sind", "hat", "kommen", "hay", "tiene", "en")
)
_DETERMINERS = word_set("a an the der die das ein eine el la los las un una")
_LONGEST_ASKED = 3
_FIRST = 40  # words: in longer texts, a word is not what is asked about


def words_about_words(language: Language) -> frozenset[str]:
    """Words of which every text about words has one."""
    first = {pair[0] for pair in language.spoken}
    return language.verbatim | language.tongues | language.counted | first


def is_about_words(words: Sequence[str], language: Language) -> bool:
    """Whether it asks how to say, spell, write or translate something, or counts its letters."""
    if not language.verbatim.isdisjoint(words):
        return True
    if not language.tongues.isdisjoint(words) and any(
        word in language.tongues and words[at - 1] in _INTO for at, word in enumerate(words) if at
    ):
        return True
    if language.spoken and any(pair in language.spoken for pair in pairwise(words)):
        return True
    return not language.counted.isdisjoint(words) and any(
        word in language.counted
        and len(words[at + 1].rstrip("s")) <= 1
        and words[at + 1][0].isalpha()
        and words[at + 2] in _CONTAINING
        for at, word in enumerate(words[:-2])
    )


def quote_asked_word(
    words: list[str],
    pieces: Sequence[str],
    language: Language,
    meaning: Callable[[str, str], Meaning],
) -> list[str]:
    """``words`` with the one whose meaning is asked as a quotation, where it would be put down.

    "What does please mean?" asks about a word that otherwise says nothing.
    """
    if language.meant.telltales.isdisjoint(words) and not _ends_in_nothing(words, language):
        return words
    found = _asked(pieces, language)
    if found is None:
        return words
    start, end, is_certain = found
    asked = pieces[start:end]
    if not _says_nothing(asked, language) and not (
        is_certain and len(asked) == 1 and _is_put_down(asked[0], language, meaning)
    ):
        return words
    spelled = _asked(words, language)
    if spelled is None:
        return words
    return [*words[: spelled[0]], LITERAL + " ".join(asked), *words[spelled[1] :]]


def _ends_in_nothing(words: Sequence[str], language: Language) -> bool:
    """Whether the last word is one that says nothing elsewhere."""
    for word in reversed(words[-3:]):
        if word not in BREAKS:
            return word in language.empty or word in _POLITE
    return False


def _asked(words: Sequence[str], language: Language) -> tuple[int, int, bool] | None:
    """Where the asked word begins and ends, and whether it is certain that its meaning is."""
    meant = language.meant
    plain = [
        language.expansions.get(word, (word,))[0] for word in map(language.fold, words[:_FIRST])
    ]
    for phrases, is_certain in ((meant.behind, True), (meant.maybe, False)):
        for at, word in enumerate(plain):
            if (word,) in phrases:
                start = at + 1
            elif tuple(plain[at : at + 2]) in phrases:
                start = at + 2
            else:
                continue
            while start < len(words) and words[start] in _DETERMINERS:
                start += 1
            end = start
            while end < len(words) and words[end] not in BREAKS:
                end += 1
            for stop in range(start, min(end, start + _LONGEST_ASKED + 1)):
                if words[stop] in meant.before:
                    end = stop if stop > start else stop + 1
                    break
            return (start, end, is_certain) if 0 < end - start <= _LONGEST_ASKED else None
    return None


def _says_nothing(asked: Sequence[str], language: Language) -> bool:
    """Whether it is left out, or written out, elsewhere."""
    return all(
        word in language.empty or word in language.expansions or word in _POLITE
        for word in map(language.fold, asked)
    )


def _is_put_down(word: str, language: Language, meaning: Callable[[str, str], Meaning]) -> bool:
    """Whether it is taken for another one elsewhere."""
    return word[0].isalpha() and (
        word in language.misspelt or meaning(word, language.code).key != word
    )


_POLITE = word_set("please thank thanks you bitte danke schön sehr por favor gracias")
