"""Says which label suits a text best."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import numpy as np

from assistant.adapters.extractive.extract import Extract, in_turn
from assistant.adapters.extractive.ranking import pick_representatives
from assistant.adapters.extractive.sentences import split_sentences
from assistant.adapters.extractive.sentiment import LABELS, embed_examples, score_sentiment
from assistant.adapters.extractive.variables import read_labels, read_text
from assistant.adapters.extractive.vectors import Matrix, embed_all, similarity
from assistant.domain.ports import Embedder
from assistant.domain.values import JsonObject

# Turns similarities into shares; chosen on the development half of tests/quality/builtin so that
# the mean confidence is near the share of right answers.
_SHARPNESS = 15.0

_MAX_WEIGHTED_WORDS = 25


class Classifier:
    """Compares texts with labels. Embeds its examples of sentiment once, on first use."""

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder
        self._examples: Matrix | None = None

    async def classify(self, variables: JsonObject) -> Extract:
        """The best of ``labels`` for ``text``, and on a second line "confidence: 0.87".

        Without labels, and for labels among positive, negative and neutral in any case, this is
        sentiment. The confidence is the label's share among the labels given, 0 to 1: it says
        how clearly one label is ahead, not that the text belongs to any.

        Raises: BadUserInput, ProviderUnavailable.
        """
        text = read_text(variables, "text")
        labels = read_labels(variables, "labels") or dict(zip(LABELS, LABELS, strict=True))
        texts = await asyncio.to_thread(_representatives, text)
        matrix = await embed_all(self._embedder, texts)
        if _is_sentiment(labels):
            if self._examples is None:
                self._examples = await embed_examples(self._embedder)
            scores = await asyncio.to_thread(score_sentiment, texts, matrix, self._examples)
            scores = scores[:, [LABELS.index(label.lower()) for label in labels]]
        else:
            scores = similarity(
                matrix,
                await embed_all(self._embedder, [_describe(*pair) for pair in labels.items()]),
            )
        weights = [min(len(text.split()), _MAX_WEIGHTED_WORDS) for text in texts]
        shares = _shares(np.average(scores, axis=0, weights=weights))
        best = int(np.argmax(shares))
        return in_turn([list(labels)[best], f"confidence: {shares[best]:.2f}"], "\n")


def _representatives(text: str) -> list[str]:
    sentences = split_sentences(text)
    return [sentences[index] for index in pick_representatives(sentences)]


def _is_sentiment(labels: Mapping[str, str]) -> bool:
    return all(label.lower() in LABELS and label == text for label, text in labels.items())


def _describe(label: str, description: str) -> str:
    return f"This is about {label}." if label == description else f"{label}: {description}"


def _shares(scores: Matrix) -> Matrix:
    powers = np.exp(_SHARPNESS * (scores - scores.max()))
    shares: Matrix = np.round(powers / powers.sum(), 4)
    return shares
