"""Chooses the sentences that summarise a text."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import numpy as np

from assistant.adapters.extractive.extract import Extract, Piece
from assistant.adapters.extractive.ranking import direction, diverse_order, pick_representatives
from assistant.adapters.extractive.sentences import (
    is_complete,
    points_back,
    running_text,
    split_sentences,
)
from assistant.adapters.extractive.variables import read_count, read_text
from assistant.adapters.extractive.vectors import Matrix, embed_all, similarity
from assistant.domain.ports import Embedder
from assistant.domain.values import JsonObject

DEFAULT_SENTENCES = 3

# Chosen on the development half of tests/quality/builtin.
_TRADE = 0.7
_LENGTH_WEIGHT = 0.5
_LEAD_WEIGHT = 0.1
_POINTS_BACK_WEIGHT = -0.2
_QUESTION_WEIGHT = -0.2

_LONG_ENOUGH_WORDS = 18  # a shorter sentence says less; a longer one gains nothing
_MAX_WEIGHTED_WORDS = 25


async def summarize(embedder: Embedder, variables: JsonObject) -> Extract:
    """The sentences of ``text`` that stand for it, verbatim and in its order.

    At most ``max_sentences`` (default 3) and, where given, ``max_words`` words; at least one
    sentence, the shortest if none is short enough. Raises: BadUserInput, ProviderUnavailable.
    """
    text = read_text(variables, "text")
    max_words = read_count(variables, "max_words", at_most=100_000)
    count = read_count(variables, "max_sentences", at_most=100) or DEFAULT_SENTENCES
    sentences, picked = await asyncio.to_thread(_candidates, text, count)
    matrix = await embed_all(embedder, [sentences[index] for index in picked])
    return await asyncio.to_thread(_select, sentences, picked, matrix, count, max_words)


def _candidates(text: str, count: int) -> tuple[list[str], list[int]]:
    # A sentence that the text repeats is one sentence, where it first stands.
    sentences = running_text(list(dict.fromkeys(split_sentences(text))), at_least=count)
    return sentences, pick_representatives(sentences)


def _select(
    sentences: Sequence[str],
    picked: Sequence[int],
    matrix: Matrix,
    count: int,
    max_words: int | None,
) -> Extract:
    texts = [sentences[index] for index in picked]
    words = np.array([len(text.split()) for text in texts], dtype=float)
    centre = direction(matrix, list(np.minimum(words, _MAX_WEIGHTED_WORDS)))
    centrality = similarity(matrix, centre)[:, 0]
    score = (
        centrality / max(float(centrality.max()), 0.01)
        + _LENGTH_WEIGHT * np.minimum(words / _LONG_ENOUGH_WORDS, 1)
        + _LEAD_WEIGHT * (1 - np.asarray(picked) / len(sentences))
        + _POINTS_BACK_WEIGHT * np.array([points_back(text) for text in texts])
        + _QUESTION_WEIGHT * np.array([text.rstrip("\"'”’»)").endswith("?") for text in texts])
    )
    order = diverse_order(score, similarity(matrix, matrix), _TRADE, len(texts))
    chosen = _fill(order, words, count, max_words)
    return Extract(
        tuple(
            Piece(texts[index], _joint(texts[index]), rank)
            for index, rank in sorted((index, rank) for rank, index in enumerate(chosen))
        )
    )


def _fill(order: Sequence[int], words: Matrix, count: int, max_words: int | None) -> list[int]:
    if max_words is None:
        return list(order[:count])
    chosen: list[int] = []
    left = max_words
    for index in order:
        if len(chosen) < count and words[index] <= left:
            chosen.append(index)
            left -= int(words[index])
    return chosen or [int(np.argmin(words))]


def _joint(sentence: str) -> str:
    # Without an end mark two sentences in one line would read as one.
    return " " if is_complete(sentence) else "\n"
