"""Finds the passage of a context that answers a question."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence

import numpy as np

from assistant.adapters.extractive.extract import Extract, Piece
from assistant.adapters.extractive.ranking import pick_representatives, within_budget
from assistant.adapters.extractive.sentences import (
    points_back,
    running_text,
    split_sentences,
)
from assistant.adapters.extractive.variables import read_text
from assistant.adapters.extractive.vectors import (
    MAX_PIECES,
    MAX_TEXTS,
    Matrix,
    embed_all,
    similarity,
)
from assistant.adapters.extractive.words import STOP_WORDS, WORD, root
from assistant.domain.ports import Embedder
from assistant.domain.values import JsonObject

NO_ANSWER = "The context does not answer this question."

# Chosen on the development half of tests/quality/builtin.
_COVERAGE_WEIGHT = 0.2
_QUESTION_WEIGHT = -0.3
_THRESHOLD = 0.58

_MAX_QUESTION_CHARS = 1_000
_ASKING_WORDS = STOP_WORDS | {"long", "old", "tall", "far"}


async def answer(embedder: Embedder, variables: JsonObject) -> Extract:
    """The sentence of ``context`` that is nearest to ``question``, verbatim, or NO_ANSWER.

    The sentence before it is given too where it begins by pointing back ("It", "These").
    Raises: BadUserInput, ProviderUnavailable.
    """
    context = read_text(variables, "context")
    question = read_text(variables, "question")[:_MAX_QUESTION_CHARS]
    sentences, picked, coverage = await asyncio.to_thread(_candidates, context, question)
    matrix = await embed_all(embedder, [question, *(sentences[index] for index in picked)])
    score = (
        similarity(matrix[1:], matrix[:1])[:, 0]
        + _COVERAGE_WEIGHT * coverage[picked]
        + _QUESTION_WEIGHT * np.array([sentences[index].endswith("?") for index in picked])
    )
    place = int(np.argmax(np.round(score, 4)))
    if score[place] < _THRESHOLD:
        return Extract((Piece(NO_ANSWER),))
    best = picked[place]
    found = Piece(sentences[best])
    if best > 0 and points_back(sentences[best], within_words=3):
        return Extract((Piece(sentences[best - 1], rank=1), found))
    return Extract((found,))


def _candidates(context: str, question: str) -> tuple[list[str], list[int], Matrix]:
    """The sentences, which of them to embed, and how much of the question each one mentions.

    Of a long context half of what is embedded are the sentences that mention the most.
    """
    sentences = running_text(split_sentences(context), at_least=1)
    coverage = _coverage(sentences, question)
    picked = pick_representatives(sentences)
    if len(picked) < len(sentences):
        mentioning = np.argsort(-coverage, kind="stable")[: MAX_TEXTS // 2].tolist()
        near = within_budget(sentences, mentioning, MAX_PIECES // 2)
        picked = sorted({*near, *pick_representatives(sentences, MAX_TEXTS // 2, MAX_PIECES // 2)})
    return sentences, picked, coverage


def _coverage(sentences: Sequence[str], question: str) -> Matrix:
    """The share of the question's words, 0 to 1, that each sentence has; rare words weigh more."""
    asked = _roots(question)
    found = [asked & _roots(sentence) for sentence in sentences]
    weights = {
        word: math.log(1 + len(sentences) / (sum(word in each for each in found) or 0.5))
        for word in asked
    }
    total = sum(weights[word] for word in sorted(asked)) or 1.0
    return np.array([sum(weights[word] for word in sorted(each)) / total for each in found])


def _roots(text: str) -> set[str]:
    words = (word[0].lower() for word in WORD.finditer(text))
    return {root(word) for word in words if word not in _ASKING_WORDS}
