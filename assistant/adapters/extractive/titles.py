"""Finds the words of a text that can stand above it as its title."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from assistant.adapters.extractive.extract import Extract, in_turn
from assistant.adapters.extractive.ranking import direction, pick_representatives
from assistant.adapters.extractive.sentences import first_line, is_complete, split_sentences
from assistant.adapters.extractive.variables import read_count, read_text
from assistant.adapters.extractive.vectors import Matrix, embed_all, similarity
from assistant.adapters.extractive.words import STOP_WORDS, word_set
from assistant.domain.ports import Embedder
from assistant.domain.values import JsonObject

DEFAULT_WORDS = 10

# Chosen by eye and on the development half of tests/quality/builtin.
_WHOLE_CLAUSE = 0.08
_SENTENCE_START = 0.1
_WEAK_START = -0.15
_COMMA = -0.05
_PER_WORD = 0.01
_CENTRALITY = 0.05
_LEAD = 0.2

_CENTRAL_SENTENCES = 5
_LEADING_SENTENCES = 3
_MIN_PHRASE_WORDS = 3
_MAX_SPANS = 120
_ENOUGH_WORDS = 8
_MAX_WORD_CHARS = 60
_HEADING_CHARS = 100
_LABEL = re.compile(r"(?:subject|title|re|fwd?): +", re.IGNORECASE)
_NUMBERING = re.compile(r"(?:\d{1,3}\.){1,4}\d{0,3}\)? |§+ ?\d{1,4} ")
_TOKEN = re.compile(
    r"(?P<word>(?:[^\s,;:—–()\[\]\"“”„!?…。！？、，]|(?<=\d)[,:](?=\d))++)|(?P<mark>\S)"
)
_TRIMMED = ".'’‘*_`-"

_ARTICLES = word_set("the a an")
_PREPOSITIONS = word_set("in on at to from by with of for under over into")
_SKIPPED_FIRST = word_set("the a an and but or so then also however yet")
_WEAK_FIRST = word_set(
    """
    it they he she this that these those there we i you my our his her their your its some most
    not in at on for to of by with from after before during when while if because since although
    which who where until under between one both what how why with as can even please
    almost afterwards without
    """
)
# A phrase may end before any of these. Not before "of": "the mouth of" is half a phrase.
_BOUNDARIES = word_set(
    """
    at by for from in into on onto to toward towards with within without via about above across
    after against along among around before behind below between beyond during through throughout
    under until since because although though while when where which who that whose if unless than
    as and or but so yet is are was were has have had will would can could may might must shall
    should
    """
)


@dataclass(frozen=True, slots=True)
class _Span:
    """Words in a row of a sentence. ``sentence`` is its place among those looked at."""

    words: tuple[str, ...]
    sentence: int
    starts_sentence: bool
    is_clause: bool
    has_comma: bool

    @property
    def text(self) -> str:
        return " ".join(self.words)


async def find_title(embedder: Embedder, variables: JsonObject) -> Extract:
    """A heading or clause of ``text``, at most ``max_words`` (default 10) words, as its title.

    Verbatim but for the first letter, which becomes a capital; no punctuation at its end.
    Raises: BadUserInput, ProviderUnavailable.
    """
    text = read_text(variables, "text")
    max_words = read_count(variables, "max_words", at_most=100) or DEFAULT_WORDS
    heading, sentences, picked = await asyncio.to_thread(_prepare, text, max_words)
    if heading is not None:
        return _as_title(heading)
    matrix = await embed_all(embedder, [sentences[index] for index in picked])
    centre, spans, bonus = await asyncio.to_thread(_spans, sentences, picked, matrix, max_words)
    vectors = await embed_all(embedder, [span.text for span in spans])
    best = int(np.argmax(np.round(similarity(vectors, centre)[:, 0] + bonus, 4)))
    return _as_title(spans[best].words)


def _prepare(text: str, max_words: int) -> tuple[tuple[str, ...] | None, list[str], list[int]]:
    sentences = split_sentences(text)
    return _heading(text, sentences, max_words), sentences, pick_representatives(sentences)


def _heading(text: str, sentences: Sequence[str], max_words: int) -> tuple[str, ...] | None:
    """The words of a heading, or a mail's subject, that the text begins with."""
    line = first_line(text)
    label = _LABEL.match(line)
    if label:
        line = line[label.end() :]
    elif line != sentences[0] or len(sentences) == 1 or ":" in line:
        return None
    if len(line) > _HEADING_CHARS or is_complete(line) or line.endswith((",", ":", ";")):
        return None
    words = tuple(_without_numbering(line).split())
    return words if 2 <= len(words) <= max_words else None


def _without_numbering(line: str) -> str:
    numbering = _NUMBERING.match(line)
    return line[numbering.end() :] if numbering else line


def _spans(
    sentences: Sequence[str], picked: Sequence[int], matrix: Matrix, max_words: int
) -> tuple[Matrix, list[_Span], Matrix]:
    """What the text is about, what could be its title, and how well each is built."""
    texts = [sentences[index] for index in picked]
    centre = direction(matrix, [min(len(text.split()), 25) for text in texts])
    centrality = similarity(matrix, centre)[:, 0]
    central = np.argsort(-centrality, kind="stable")[:_CENTRAL_SENTENCES].tolist()
    chosen = sorted({*central, *range(min(_LEADING_SENTENCES, len(texts)))})
    spans = [span for index in chosen for span in _spans_of(texts[index], index, max_words)]
    if not spans:
        spans = [_opening_words(texts[chosen[0]], max_words)]
    spans = spans[:_MAX_SPANS]
    bonus = [
        _WHOLE_CLAUSE * span.is_clause
        + _SENTENCE_START * span.starts_sentence
        + _WEAK_START * _starts_weakly(span)
        + _COMMA * span.has_comma
        + _PER_WORD * min(len(span.words), _ENOUGH_WORDS)
        + _CENTRALITY * centrality[span.sentence]
        + _LEAD * (1 - span.sentence / len(texts))
        for span in spans
    ]
    return centre, spans, np.array(bonus)


def _spans_of(sentence: str, index: int, max_words: int) -> Iterator[_Span]:
    sentence = _without_numbering(sentence)
    clause: list[str] = []
    clauses: list[tuple[list[str], str]] = []
    for token in _TOKEN.finditer(sentence):
        if token["word"]:
            clause.append(token[0])
        elif clause:
            clauses.append((clause, token[0]))
            clause = []
    if clause:
        clauses.append((clause, ""))
    opens = True
    for position, (words, mark) in enumerate(clauses):
        following = clauses[position + 1][0] if mark == "," and position + 1 < len(clauses) else []
        yield from _spans_from(words, following, index, opens, max_words)
        # Behind "After two years of debate," the main clause is still to come.
        opens = opens and mark == "," and words[0].lower() in _WEAK_FIRST


def _spans_from(
    clause: list[str], following: list[str], index: int, is_first: bool, max_words: int
) -> Iterator[_Span]:
    """What begins with the clause, or behind an article in it, and is a whole phrase.

    The phrase may reach into the clause ``following`` behind a comma.
    """
    skipped = 0
    while skipped < len(clause) and clause[skipped].lower() in _SKIPPED_FIRST:
        skipped += 1
    starts = [
        place
        for place in range(max(skipped + 1, 2), len(clause))
        if clause[place - 1].lower() in _ARTICLES and clause[place - 2].lower() not in _PREPOSITIONS
    ]
    comma = len(clause)
    words = clause + following
    for start in (skipped, *starts):
        at_least = 2 if start == skipped else _MIN_PHRASE_WORDS
        for end in range(start + at_least, min(len(words), start + max_words) + 1):
            at_mark = end in (comma, len(words))
            if _may_end(words, end, at_mark):
                kept = [
                    word + "," * (place == comma - 1 and place < end - 1)
                    for place, word in enumerate(words[start:end], start)
                ]
                starts_sentence = is_first and start == skipped
                yield _Span(tuple(kept), index, starts_sentence, at_mark, start < comma < end)


def _may_end(words: Sequence[str], end: int, at_mark: bool) -> bool:
    last = words[end - 1].strip(_TRIMMED)
    if last in STOP_WORDS:  # as it is written: "may" is no end, "May" is
        return False
    if at_mark:
        return True
    # "are bringing" and "had copied" want an object.
    is_half_verb = last.endswith(("ing", "ed")) and words[end - 2].lower() in STOP_WORDS
    return words[end].lower() in _BOUNDARIES and not is_half_verb


def _starts_weakly(span: _Span) -> bool:
    first = span.words[0].lower().rstrip(",")
    return first in _WEAK_FIRST or first.endswith("ly")


def _opening_words(sentence: str, max_words: int) -> _Span:
    """For sentences without any clause that will do: how the text begins."""
    return _Span(tuple(sentence.split()[:max_words]), 0, True, False, False)


def _as_title(words: Sequence[str]) -> Extract:
    kept = [word[:_MAX_WORD_CHARS] for word in words]
    kept[-1] = kept[-1].rstrip(_TRIMMED + ",;:!?…。") or kept[-1]
    kept[0] = kept[0].lstrip("'’‘*_`\"“„(") or kept[0]
    if kept[0].islower():  # "iPhone" is not
        kept[0] = kept[0][:1].upper() + kept[0][1:]
    return in_turn(kept, " ")
