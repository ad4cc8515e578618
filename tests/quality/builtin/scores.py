"""The measures of the evaluation: overlap of texts, overlap of sets, intervals of shares."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence

from assistant.adapters.extractive.words import stem


def rouge(candidate: str, reference: str, size: int) -> float:
    """F1 over the n-grams of ``size`` words, case folded, without stemming.

    Source: C.-Y. Lin 2004, ROUGE, https://aclanthology.org/W04-1013/
    """
    left, right = _ngrams(candidate, size), _ngrams(reference, size)
    return f1((left & right).total(), left.total(), right.total())


def f1(common: int, given: int, wanted: int) -> float:
    """Harmonic mean of precision and recall; 0 where both are empty."""
    return 2 * common / (given + wanted) if given + wanted else 0.0


def same_keywords(given: Iterable[str], wanted: Iterable[str]) -> int:
    """How many keywords are the same but for case and plural."""
    return len({_stems(keyword) for keyword in given} & {_stems(keyword) for keyword in wanted})


def related_keywords(given: Iterable[str], wanted: Iterable[str]) -> int:
    """How many are the same or a part of one another ("chairs", "office chairs"), one to one."""
    left = [set(_stems(keyword)) for keyword in wanted]
    found = 0
    for keyword in given:
        stems = set(_stems(keyword))
        match = next((other for other in left if stems <= other or other <= stems), None)
        if match is not None:
            left.remove(match)
            found += 1
    return found


def interval(right: int, of: int) -> tuple[float, float]:
    """95 % confidence interval of a share.

    Source: Wilson score, https://en.wikipedia.org/wiki/Binomial_proportion_confidence_interval
    """
    z = 1.96
    share = right / of
    middle = share + z * z / (2 * of)
    spread = z * math.sqrt(share * (1 - share) / of + z * z / (4 * of * of))
    low, high = ((middle + side * spread) / (1 + z * z / of) for side in (-1, 1))
    return max(low, 0.0), min(high, 1.0)


def mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _ngrams(text: str, size: int) -> Counter[tuple[str, ...]]:
    words = re.findall(r"\w+", text.lower())
    return Counter(tuple(words[start : start + size]) for start in range(len(words) - size + 1))


def _stems(keyword: str) -> tuple[str, ...]:
    return tuple(stem(word) for word in re.findall(r"[\w.-]+", keyword))
