"""Reads a text's wording: one list of meanings for all ways to say the same."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from assistant.services.wording_english import ENGLISH
from assistant.services.wording_language import Language, Tense, word_set
from assistant.services.wording_meaning import Guard, Meaning
from assistant.services.wording_numbers import read_numbers
from assistant.services.wording_phrases import rewrite, sentences, without_openers
from assistant.services.wording_spelling import Spelling
from assistant.services.wording_text import BREAKS, LITERAL, take_apart

_LONGEST_ARRANGED = 40  # meanings; parts of longer texts stay where they are

# Languages without tables: their texts are taken as they stand.
_OTHERS = (
    Language(
        "fr",
        word_set(
            "le les des est une qui quel quelle quels quelles comment pourquoi je du au aux avec "
            "pour dans vous nous sur pas ne où quand combien cette ce sont avez puis-je peut il"
        ),
    ),
    Language(
        "pt",
        word_set(
            "o os as do da dos das em uma um não você são qual quais posso onde quando porque por "
            "que com meu minha ao pelo pela isso está quanto quantos quem como é"
        ),
    ),
    Language(
        "it",
        word_set(
            "il lo gli che di è sono per come perché dove quando quanto quale quali una della del "
            "delle dei nel nella non posso mio mia si cosa chi con"
        ),
    ),
    Language(
        "nl",
        word_set(
            "het een van wat hoe waar waarom wanneer welke wie ik mijn niet kan voor met naar bij "
            "zijn de op te aan dat deze"
        ),
    ),
)
_LANGUAGES = (ENGLISH,)
_UNKNOWN = Language("", frozenset())
_CODES = {language.code: language for language in (*_LANGUAGES, *_OTHERS, _UNKNOWN)}


def _telltales() -> Mapping[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for language in (*_LANGUAGES, *_OTHERS):
        for word in language.telltales:
            found[word] = (*found.get(word, ()), language.code)
    return found


_TELLTALES = _telltales()
_SPELLINGS = {
    language.code: Spelling(language.known | frozenset(language.meanings))
    for language in _LANGUAGES
}


@dataclass(frozen=True, slots=True)
class Reading:
    """What a text says. ``code`` is the language's, "" where it is not known."""

    code: str
    meanings: tuple[Meaning, ...]
    tense: Tense | None = None


def language_of(code: str) -> Language:
    """The language with that code."""
    return _CODES[code]


def read(text: str) -> Reading:
    """What ``text`` says, in one form."""
    taken = take_apart(text)
    language = _language(taken.pieces)
    words = _spelled(taken.pieces, taken.named, language)
    is_verbatim = not language.verbatim.isdisjoint(words)
    if is_verbatim or not language.meanings:
        opened = [
            word for one in sentences(words, language.asking) for word in without_openers(one, language.starts)
        ]
        return Reading(language.code, tuple(_as_written(opened or words, language)))
    said = rewrite(language.prepare(words), language.starts, language.anywhere, language.asking)
    tense = language.tense(said)
    counted = read_numbers(language.arrange(said), language)
    parts = _parts(counted, language)
    return Reading(language.code, tuple(_flat(parts)), tense)


def _language(pieces: Sequence[str]) -> Language:
    votes: dict[str, int] = {}
    for piece in pieces:
        for code in _TELLTALES.get(piece, ()):
            votes[code] = votes.get(code, 0) + 1
    if not votes:
        return _by_vocabulary(pieces)
    # In a draw, the first of the languages with tables; "sorted" keeps the order.
    order = [language for language in (*_LANGUAGES, *_OTHERS) if language.code in votes]
    return max(order, key=lambda language: votes[language.code])


def _by_vocabulary(pieces: Sequence[str]) -> Language:
    """The language that knows most of the words, where no small word tells it."""
    words = [piece for piece in pieces if piece[0].isalpha()]
    best = max(
        _LANGUAGES,
        key=lambda language: sum(language.base_form(word) in language.known for word in words),
    )
    known = sum(best.base_form(word) in best.known for word in words)
    return best if 2 * known > len(words) else _UNKNOWN


def _spelled(pieces: Sequence[str], named: frozenset[int], language: Language) -> list[str]:
    """The words with contractions written out and slips of the pen set right."""
    words: list[str] = []
    spelling = _SPELLINGS.get(language.code)
    for at, piece in enumerate(pieces):
        if piece in BREAKS or piece[0] == LITERAL or piece[0].isdigit():
            words.append(piece)
            continue
        expanded = language.expansions.get(piece)
        if expanded is not None:
            words += expanded
            continue
        if piece.endswith("'s") and len(piece) > 2:
            words += [piece[:-2], "'s"]
            continue
        if "-" in piece and len(piece) > 1:
            parts = [part for part in piece.split("-") if part]
            words += ["".join(parts)] if language.joins_hyphens else parts
            continue
        if spelling is not None:
            piece = language.misspelt.get(piece, piece)
            is_name = language.capitals_name and at in named
            if not is_name and not _is_known(piece, language):
                piece = _corrected(piece, language, spelling)
        words.append(piece)
    return words


def _corrected(word: str, language: Language, spelling: Spelling) -> str:
    meant = spelling.correct(word)
    if meant == word and (base := language.base_form(word)) != word:
        meant = spelling.correct(base)
        return meant if meant != base else word
    return meant


def _is_known(word: str, language: Language) -> bool:
    return (
        word in language.known
        or word in language.meanings
        or word in language.empty
        or word in language.telltales
        or word in language.numbers
        or language.base_form(word) in language.known
    )


def _as_written(words: Sequence[str], language: Language) -> Iterable[Meaning]:
    for word in words:
        if word not in BREAKS:
            yield Meaning(word, _guard_of(word, language))


def _guard_of(word: str, language: Language) -> Guard:
    if word[0] == LITERAL:
        return Guard.QUOTED
    if word[0].isdigit() or word in language.numbers or word in language.ordinals.values():
        return Guard.NUMBER
    meaning = language.meanings.get(word)
    if meaning is not None:
        return meaning.guard
    return Guard.NAME if word[0].isalpha() else Guard.QUOTED


def _meaning(word: str, language: Language) -> Meaning:
    meaning = language.meanings.get(word)
    if meaning is not None:
        return meaning
    if not word[0].isalpha():
        return Meaning(word, _guard_of(word, language))
    base = language.base_form(word)
    usual = language.synonyms.get(word) or language.synonyms.get(base, base)
    meaning = language.meanings.get(usual)
    if meaning is not None:
        return meaning
    return Meaning(usual, Guard.SCOPE if "+" in usual else _guard_of(usual, language))


def _parts(words: Sequence[str], language: Language) -> list[list[Meaning]]:
    """The main part of what is said, and the parts that may stand elsewhere.

    A part begins with a relation, and ends where the next one begins, at a break or a question.
    """
    main: list[Meaning] = []
    parts: list[list[Meaning]] = []
    part = main
    conditions = _conditions(words, language)
    for at, word in enumerate(words):
        if word in BREAKS:
            part = main
            continue
        if word in language.empty:
            continue
        meaning = _meaning(word, language)
        if at in conditions:
            meaning = Meaning(meaning.key, Guard.RELATION)
        is_question = meaning.guard is Guard.QUESTION
        if is_question and at and part is not main and words[at - 1] not in BREAKS:
            part.append(meaning)
            continue
        if is_question:
            part = main
        if meaning.guard is Guard.RELATION and meaning.key in language.movers:
            part = [meaning]
            parts.append(part)
        else:
            part.append(meaning)
    return [main, *parts]


def _conditions(words: Sequence[str], language: Language) -> frozenset[int]:
    """Places of words like "when" that name a condition and ask nothing.

    They do in the middle of a sentence, and at its start where a question follows.
    """
    found: set[int] = set()
    first, starts = -1, True
    for at, word in enumerate(words):
        if word in BREAKS:
            starts = True
            continue
        if word in language.conditional:
            if not starts:
                found.add(at)
            elif first < 0:
                first = at
        elif starts and first >= 0 and word in language.asking:
            found.add(first)
        starts = False
    return frozenset(found)


def _flat(parts: list[list[Meaning]]) -> list[Meaning]:
    """The parts in one order, whatever order they were said in; equal relations keep theirs."""
    main, *others = parts
    if sum(map(len, parts)) <= _LONGEST_ARRANGED:
        others.sort(key=lambda part: part[0].key)
    return [*main, *(meaning for part in others for meaning in part)]
