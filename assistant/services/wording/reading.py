"""Reads a text's wording: one list of meanings for all ways to say the same."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from functools import lru_cache

from assistant.services.wording.capitals import NO_CASES, Cases, read_cases
from assistant.services.wording.compounds import compound
from assistant.services.wording.english import ENGLISH
from assistant.services.wording.german import GERMAN
from assistant.services.wording.language import Language, Tense
from assistant.services.wording.meaning import Guard, Meaning
from assistant.services.wording.numbers import read_numbers
from assistant.services.wording.phrases import rewrite, sentences, without_openers
from assistant.services.wording.spanish import SPANISH
from assistant.services.wording.spelling import Spelling
from assistant.services.wording.subject import is_about_words, quote_asked_word, words_about_words
from assistant.services.wording.text import BREAKS, ENDS, LITERAL, take_apart, word_set

_LONGEST_WORD = 40  # characters; longer ones are no words, and are not kept in mind
_CACHED_WORDS = 20_000
_LONGEST_ARRANGED = 40  # meanings; parts of longer texts stay where they are

# Languages without tables: their texts are taken as they stand.
_OTHERS = (
    Language(
        "fr",
        word_set(
            "le la les de des un en est une qui quel quelle quels quelles comment pourquoi je du au aux avec "
            "pour dans vous nous sur pas ne où quand combien cette ce sont avez puis-je peut il"
        ),
    ),
    Language(
        "pt",
        word_set(
            "o os as de do da dos das em um uma um não você são qual quais posso onde quando porque por "
            "que com meu minha ao pelo pela isso está quanto quantos quem como é"
        ),
    ),
    Language(
        "it",
        word_set(
            "il lo la gli un che di è sono per come perché dove quando quanto quale quali una della del "
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
_LANGUAGES = (ENGLISH, GERMAN, SPANISH)
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
    language.code: Spelling(
        language.known | frozenset(language.meanings), longer=language.longer_words
    )
    for language in _LANGUAGES
}


_WORDS_ABOUT_WORDS = {code: words_about_words(language) for code, language in _CODES.items()}


@dataclass(frozen=True, slots=True)
class Reading:
    """What a text says. ``code`` is the language's, "" where it is not known."""

    code: str
    meanings: tuple[Meaning, ...]
    tense: Tense | None = None
    cases: Cases = NO_CASES


def language_of(code: str) -> Language:
    """The language with that code."""
    return _CODES[code]


def read(text: str) -> Reading:
    """What ``text`` says, in one form."""
    taken = take_apart(text)
    language = _language(taken.pieces)
    words = _spelled(taken.pieces, taken.named, language)
    if not language.meanings or (
        not _WORDS_ABOUT_WORDS[language.code].isdisjoint(words) and is_about_words(words, language)
    ):
        opened = [
            word
            for one in sentences(_as_asked(taken.pieces, words, language), language.asking)
            for word in without_openers(one, language.starts)
        ]
        return Reading(language.code, tuple(_paired(list(_as_written(opened or words, language)))))
    words = _without_smileys(quote_asked_word(words, taken.pieces, language, _meaning))
    counted = read_numbers(language.prepare(words), language)
    said = rewrite(counted, language.starts, language.anywhere, language.asking)
    tense = language.tense(said)
    parts = _parts(language.arrange(said), language)
    flat = _flat(parts) or list(_as_written(words, language))
    return Reading(language.code, tuple(flat), tense, read_cases(taken, language))


def _as_asked(pieces: Sequence[str], words: Sequence[str], language: Language) -> list[str]:
    """The pieces as they are written, but for what asks: that may be spelled as one likes."""
    if not language.meanings:
        return list(words)
    asked: list[str] = []
    starts, is_asked = True, False
    for piece in pieces:
        word = language.fold(piece) if piece[0].isalpha() else piece
        if starts and (written := language.expansions.get(word)) and written[0] in language.asking:
            asked += written
        elif (starts and word in language.asking) or word in language.tongues:
            asked.append(word)
        elif not is_asked and piece[0].isalpha() and len(piece) <= _LONGEST_WORD:
            spelled = _written_out(piece, language.code, is_name=False)
            is_asked = len(spelled) == 1 and spelled[0] in language.verbatim
            asked.append(spelled[0] if is_asked else piece)
        else:
            asked.append(piece)
        starts = piece in BREAKS
    return asked


def _without_smileys(words: list[str]) -> list[str]:
    """The words without a smile at the end of a sentence: it only is friendly."""
    if _FRIENDLY.isdisjoint(words):
        return words
    return [
        word
        for at, word in enumerate(words)
        if not (at and words[at - 1] in ENDS and word in _FRIENDLY)
    ]


_FRIENDLY = frozenset(LITERAL + face for face in (":)", ":-)", ";)", ";-)", "=)", ":))"))


def _language(pieces: Sequence[str]) -> Language:
    votes: dict[str, int] = {}
    for piece in pieces:
        for code in _TELLTALES.get(piece, ()):
            votes[code] = votes.get(code, 0) + 1
    if not votes:
        return _best_known(pieces, _LANGUAGES, votes)
    most = max(votes.values())
    drawn = [
        one
        for one in (*_LANGUAGES, *_OTHERS)
        if votes.get(one.code) == most or (most == 1 and one.known)  # one word tells little
    ]
    return drawn[0] if len(drawn) == 1 else _best_known(pieces, drawn, votes)


def _best_known(
    pieces: Sequence[str], languages: Sequence[Language], votes: Mapping[str, int]
) -> Language:
    """The language that knows most of the words, where small words do not tell it.

    Where those say nothing at all, it must know more than half.
    """
    words = [piece for piece in pieces[:_LONGEST_ARRANGED] if piece[0].isalpha()]
    scores = [
        (
            sum(_is_known(language.fold(word), language) for word in words),
            votes.get(language.code, 0),
        )
        for language in languages
    ]
    best = max(scores)
    if not votes and 2 * best[0] <= len(words):
        return _UNKNOWN
    return languages[scores.index(best)]


def _spelled(pieces: Sequence[str], named: Set[int], language: Language) -> list[str]:
    """The words with contractions written out and slips of the pen set right."""
    words: list[str] = []
    for at, piece in enumerate(pieces):
        if not piece[0].isalpha() or len(piece) > _LONGEST_WORD:
            words.append(piece)
            continue
        if piece[0].isupper():
            words.append(piece if language.capitals_name or len(piece) == 1 else piece.casefold())
            continue
        is_name = language.capitals_name and at in named
        words += _written_out(piece, language.code, is_name)
    return words


@lru_cache(maxsize=_CACHED_WORDS)
def _written_out(word: str, code: str, is_name: bool) -> tuple[str, ...]:
    language = _CODES[code]
    word = language.fold(word)
    expanded = language.expansions.get(word)
    if expanded is not None:
        return expanded
    if word.endswith("'s") and len(word) > 2:
        return word[:-2], "'s"
    if "-" in word and len(word) > 1:
        return compound(word, language, is_name=is_name)
    word = language.misspelt.get(word, word)
    if code in _SPELLINGS and not is_name and not _is_known(word, language):
        word = _corrected(word, language, _SPELLINGS[code])
    return (word,)


def _corrected(word: str, language: Language, spelling: Spelling) -> str:
    meant = spelling.correct(word)
    if meant == word and (base := language.base_form(word)) != word:
        meant = spelling.correct(base) if base not in language.lookalikes else base
        return meant if meant != base else word
    return meant


def _is_known(word: str, language: Language) -> bool:
    return (
        word in language.known
        or word in language.lookalikes
        or word in language.meanings
        or word in language.empty
        or word in language.telltales
        or word in language.numbers
        or (base := language.base_form(word)) in language.known
        or base in language.lookalikes
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
    if not word[0].isalpha() or (word.isalnum() and not word.isalpha()):
        return Guard.QUOTED  # a sign, or a code: "e1001"
    return Guard.NAME


@lru_cache(maxsize=_CACHED_WORDS)
def _meaning(word: str, code: str) -> Meaning:
    language = _CODES[code]
    meaning = language.meanings.get(word)
    if meaning is not None:
        return meaning
    if word[0].isupper():
        return Meaning(word, Guard.NAME)  # only its capitals tell what it is
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
        if word in language.articles and len(part) > 1 and part is not main:
            part = main
        if word in language.empty:
            continue
        meaning = (
            _meaning(word, language.code)
            if len(word) <= _LONGEST_WORD
            else Meaning(word, _guard_of(word, language))
        )
        if meaning.key in language.places and _is_time(words, at + 1, language):
            meaning = Meaning(_AT_A_TIME, Guard.RELATION)
        if at in conditions:
            meaning = Meaning(meaning.key, Guard.RELATION)
        is_question = meaning.guard is Guard.QUESTION
        if is_question and at and part is not main and words[at - 1] not in BREAKS:
            part.append(meaning)
            continue
        if is_question:
            part = main
        if meaning.guard is Guard.RELATION and (
            meaning.key in language.movers or meaning.key == _AT_A_TIME
        ):
            part = [meaning]
            parts.append(part)
        else:
            part.append(meaning)
    return [main, *parts]


_AT_A_TIME = "in"


def _is_time(words: Sequence[str], at: int, language: Language) -> bool:
    """Whether a day, a month, a year or an hour follows, articles aside."""
    while at < len(words) and words[at] in language.empty:
        at += 1
    if at == len(words) or words[at] in BREAKS:
        return False
    word = words[at]
    meaning = language.meanings.get(word)
    return (
        (word.isdigit() and len(word) == 4)
        or (word[0].isdigit() and ":" in word)
        or (meaning is not None and meaning.guard is Guard.TIME)
        or (word[0].isdigit() and at + 1 < len(words) and words[at + 1] in language.months)
    )


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


def _paired(part: list[Meaning]) -> list[Meaning]:
    """The part with a pair at its end in one order: "between a and b", "compare a and b"."""
    if (
        len(part) < 4
        or part[-2].key not in _JOINING
        or any(meaning.key in _JOINING for meaning in part[:-2])
    ):
        return part
    before, one, joining, other = part[-4:]
    if (
        one.guard is other.guard is Guard.NAME
        and one.key > other.key
        and (before.guard is Guard.RELATION or before.key in _COMPARING)
    ):
        return [*part[:-3], other, joining, one]
    return part


_JOINING = frozenset({"and", "or", "und", "oder", "y", "o"})
_COMPARING = frozenset({"compare", "vergleich", "compar"})


def _flat(parts: list[list[Meaning]]) -> list[Meaning]:
    """The parts in one order, whatever order they were said in; equal relations keep theirs."""
    main, *others = map(_paired, parts)
    if sum(map(len, parts)) <= _LONGEST_ARRANGED:
        others.sort(key=lambda part: part[0].key)
    return [*main, *(meaning for part in others for meaning in part)]
