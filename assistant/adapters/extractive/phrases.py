"""Finds the phrases of a text that could be its keywords, without a model of grammar."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from assistant.adapters.extractive.words import VAGUE_WORDS, WORD, stem, word_set

_MAX_PHRASE_WORDS = 3
_MAX_WORD_CHARS = 40

# Chinese and Japanese put no spaces between words: a run of them is cut, not dropped.
_UNSPACED = re.compile("[\u3040-\u30ff\u3400-\u9fff]")
_UNSPACED_CHARS = 8

# Addresses are no phrases.
_TOKEN = re.compile(
    rf"(?P<link>(?:[a-z]{{2,10}}://|www\.)[^\s]{{1,2000}}+)|(?P<word>{WORD.pattern})|[^\w\s]|_",
    re.IGNORECASE,
)
_NOT_ADVERBS = word_set(
    """
    family supply reply assembly anomaly monopoly butterfly
    """
)
# A noun is seldom followed by one of these without a preposition: the word before is a verb.
_OBJECT_STARTS = word_set(
    """
    the a an this those its his her their our my your every each it them him us me you whatever
    whether how
    """
)


@dataclass(frozen=True, slots=True)
class Phrase:
    """``text`` as the text has it most often. ``is_run``: somewhere nothing else is beside it."""

    text: str
    stems: tuple[str, ...]
    count: int
    is_run: bool


def find_phrases(sentences: Sequence[str]) -> list[Phrase]:
    """Runs of up to three words between punctuation and vague words, and their parts, in order.

    Phrases that differ only in case and plural are one.
    """
    forms: defaultdict[tuple[str, ...], Counter[str]] = defaultdict(Counter)
    runs: set[tuple[str, ...]] = set()
    for sentence in sentences:
        for run in _runs(sentence):
            stems = tuple(stem(word) for word in run)
            runs.add(stems)
            for size in range(1, _MAX_PHRASE_WORDS + 1):
                for start in range(len(run) - size + 1):
                    forms[stems[start : start + size]][" ".join(run[start : start + size])] += 1
    return [
        Phrase(_usual_form(counts), stems, counts.total(), stems in runs)
        for stems, counts in forms.items()
    ]


def _runs(sentence: str) -> Iterator[list[str]]:
    """Words in a row that may be keywords."""
    run: list[str] = []
    for token in _TOKEN.finditer(sentence):
        word = token["word"]
        if word and _UNSPACED.search(word, 0, _MAX_WORD_CHARS):
            word = word[:_UNSPACED_CHARS]
        if word and _may_be_keyword(word):
            run.append(word)
            continue
        if word and len(run) > 1 and word.lower() in _OBJECT_STARTS:
            run.pop()
        if run:
            yield run
        run = []
    if run:
        yield run


def _may_be_keyword(word: str) -> bool:
    folded = word.lower().replace("’", "'")
    return (
        1 < len(word) <= _MAX_WORD_CHARS
        and not word[0].isdigit()
        and folded not in VAGUE_WORDS
        and (not folded.endswith("ly") or len(word) <= 5 or folded in _NOT_ADVERBS)
        # Verbs in the past; names such as "United" begin with a capital.
        and (not word.endswith("ed") or len(word) <= 5 or not word.islower())
    )


def _usual_form(counts: Counter[str]) -> str:
    """The most frequent form; one in small letters before one that may begin a sentence."""
    return max(counts, key=lambda form: (form.islower(), counts[form]))
