"""Which parts of a text stand for the whole of it."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from itertools import accumulate, chain, pairwise

import numpy as np

from assistant.adapters.extractive.vectors import (
    MAX_PIECES,
    MAX_TEXTS,
    Matrix,
    estimate_pieces,
)
from assistant.adapters.extractive.words import content_stems


def pick_representatives(
    sentences: Sequence[str], max_texts: int = MAX_TEXTS, max_pieces: int = MAX_PIECES
) -> list[int]:
    """Indices, ascending, of sentences that can be embedded in bounded time: all if they are few.

    Otherwise the text is cut into equal runs of sentences, and each run sends the one whose words
    occur in the most sentences of the whole text. So no part of a long text is left out.
    """
    everything = range(len(sentences))
    if len(sentences) <= max_texts and _fits(sentences, everything, max_pieces):
        return list(everything)
    weights = _commonness(sentences)
    count = min(len(sentences), max_texts)
    while True:
        edges = [len(sentences) * slot // count for slot in range(count + 1)]
        picked = [max(range(start, end), key=weights.__getitem__) for start, end in pairwise(edges)]
        if count == 1 or _fits(sentences, picked, max_pieces):
            return picked
        count = max(1, count * 3 // 4)


def within_budget(sentences: Sequence[str], order: Sequence[int], max_pieces: int) -> list[int]:
    """The first of ``order`` that together have at most ``max_pieces`` word pieces."""
    sizes = accumulate(estimate_pieces(sentences[index]) for index in order)
    return [index for index, size in zip(order, sizes, strict=True) if size <= max_pieces]


def _fits(sentences: Sequence[str], picked: Sequence[int], max_pieces: int) -> bool:
    return sum(estimate_pieces(sentences[index]) for index in picked) <= max_pieces


def _commonness(sentences: Sequence[str]) -> list[float]:
    """For each sentence the mean, over its words, of the log of how many sentences share it."""
    stems = [set(content_stems(sentence)) for sentence in sentences]
    counts = Counter(chain.from_iterable(stems))
    # Sorted: the order of a set, and so the last bit of a sum, changes with the process.
    return [
        sum(math.log(count) for count in sorted(counts[stem] for stem in each)) / len(each)
        if each
        else 0.0
        for each in stems
    ]


def direction(matrix: Matrix, weights: Sequence[float]) -> Matrix:
    """The weighted mean of the rows as one normalised row: what the text is about."""
    mean: Matrix = np.asarray(weights) @ matrix
    length = np.linalg.norm(mean)
    return (mean / length if length else mean)[np.newaxis, :]


def diverse_order(relevance: Matrix, likeness: Matrix, trade: float, count: int) -> list[int]:
    """Up to ``count`` indices, best first: each as relevant and as unlike its forerunners as can be.

    ``trade`` 1 looks at the relevance alone, 0 at the difference alone. Ties go to the first.

    Source: Carbonell and Goldstein 1998, Maximal Marginal Relevance,
    https://doi.org/10.1145/290941.291025
    """
    order: list[int] = []
    redundancy = np.zeros(len(relevance))
    left = np.ones(len(relevance), dtype=bool)
    while len(order) < min(count, len(relevance)):
        gain = np.round(trade * relevance - (1 - trade) * redundancy, 4)
        best = int(np.argmax(np.where(left, gain, -np.inf)))
        order.append(best)
        left[best] = False
        # Nothing is less redundant than nothing chosen: opposites count as different, not more.
        redundancy = np.maximum(redundancy, likeness[best])
    return order
