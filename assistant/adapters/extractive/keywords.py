"""Ranks the phrases of a text by how well they say what it is about."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence

import numpy as np

from assistant.adapters.extractive.extract import Extract, in_turn
from assistant.adapters.extractive.phrases import Phrase, find_phrases
from assistant.adapters.extractive.ranking import direction, diverse_order, pick_representatives
from assistant.adapters.extractive.sentences import split_sentences
from assistant.adapters.extractive.variables import read_count, read_text
from assistant.adapters.extractive.vectors import Matrix, embed_all, similarity
from assistant.adapters.extractive.words import root
from assistant.domain.ports import Embedder
from assistant.domain.values import JsonObject

DEFAULT_KEYWORDS = 8
SEPARATOR = ", "

# Chosen on the development half of tests/quality/builtin.
_TRADE = 0.8
_FREQUENCY_WEIGHT = 0.1
_WORD_WEIGHT = 0.05
_FRAGMENT_WEIGHT = -0.1
_LONG_WEIGHT = -0.2

_MAX_CANDIDATES = 250
_FALLBACK_CHARS = 40


async def find_keywords(embedder: Embedder, variables: JsonObject) -> Extract:
    """Up to ``max_keywords`` (default 8) phrases of ``text``, the most telling first.

    As they stand in the text; no two share a word. Raises: BadUserInput, ProviderUnavailable.

    Source: the ranking is KeyBERT's, https://maartengr.github.io/KeyBERT/, with word counts.
    """
    text = read_text(variables, "text")
    count = read_count(variables, "max_keywords", at_most=100) or DEFAULT_KEYWORDS
    sentences, picked, phrases = await asyncio.to_thread(_candidates, text)
    matrix = await embed_all(embedder, [sentences[index] for index in picked])
    vectors = await embed_all(embedder, [phrase.text for phrase in phrases])
    keywords = await asyncio.to_thread(
        _rank, [sentences[index] for index in picked], matrix, phrases, vectors, count
    )
    return in_turn(keywords, SEPARATOR)


def _candidates(text: str) -> tuple[list[str], list[int], list[Phrase]]:
    sentences = split_sentences(text)
    phrases = find_phrases(sentences) or _any_words(sentences)
    # The sort is stable: among equally frequent ones those that come first.
    frequent = sorted(phrases, key=lambda phrase: -phrase.count)[:_MAX_CANDIDATES]
    return sentences, pick_representatives(sentences), frequent


def _any_words(sentences: Sequence[str]) -> list[Phrase]:
    """For texts of nothing but vague words, numbers or symbols: these."""
    words = list(dict.fromkeys(word[:_FALLBACK_CHARS] for word in sentences[0].split()))
    return [Phrase(word.strip(",") or word, (word,), 1, True) for word in words]


def _rank(
    sentences: Sequence[str],
    matrix: Matrix,
    phrases: Sequence[Phrase],
    vectors: Matrix,
    count: int,
) -> list[str]:
    centre = direction(matrix, [min(len(sentence.split()), 25) for sentence in sentences])
    score = similarity(vectors, centre)[:, 0] + np.array([_shape(phrase) for phrase in phrases])
    chosen: list[str] = []
    roots: set[str] = set()
    for index in diverse_order(score, similarity(vectors, vectors), _TRADE, len(phrases)):
        own = {root(word) for word in phrases[index].stems}
        if not own & roots:
            chosen.append(phrases[index].text)
            roots |= own
        if len(chosen) == count:
            break
    return chosen


def _shape(phrase: Phrase) -> float:
    size = len(phrase.stems)
    weight = _FREQUENCY_WEIGHT * math.log(phrase.count) + _WORD_WEIGHT * (size - 1)
    if phrase.count == 1 and size == 3:
        weight += _LONG_WEIGHT
    if phrase.count == 1 and size == 2 and not phrase.is_run:
        weight += _FRAGMENT_WEIGHT
    return weight
