"""Tells favourable, unfavourable and factual sentences apart by examples of each.

The examples are the "descriptions" of the three labels: plain sentences of several domains. The
lists of polarity.py correct what sentence embeddings are weak at, above all negation.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from assistant.adapters.extractive.polarity import polarity
from assistant.adapters.extractive.ranking import direction
from assistant.adapters.extractive.vectors import Matrix, embed_all, similarity
from assistant.domain.ports import Embedder

POSITIVE, NEGATIVE, NEUTRAL = LABELS = ("positive", "negative", "neutral")

# Chosen on the development half of tests/quality/builtin.
_POLARITY_WEIGHT = 0.15

_EXAMPLES = {
    POSITIVE: (
        "I love it.",
        "This is excellent.",
        "I am very happy and satisfied.",
        "What a great experience!",
        "It works perfectly.",
        "The staff were friendly and helpful.",
        "Highly recommended.",
        "Thank you, that was a great help.",
        "A beautiful and moving film.",
        "It exceeded my expectations.",
        "Fast delivery and good quality.",
        "We had a wonderful time.",
        "The food was delicious.",
        "I am impressed by how easy it is.",
        "Good value for money.",
        "I am proud of what we achieved.",
        "There were some problems, but all in all I am delighted.",
        "I was sceptical, and now I am a fan.",
        "It is not bad at all, quite good in fact.",
        "I have nothing to complain about.",
        "I have never seen anything better.",
        "It was easier than I feared.",
    ),
    NEGATIVE: (
        "I hate it.",
        "This is terrible.",
        "I am angry and disappointed.",
        "What a horrible experience!",
        "It is broken and does not work.",
        "The staff were rude and unhelpful.",
        "I cannot recommend it.",
        "You wasted my time.",
        "A dull and tedious film.",
        "It did not meet my expectations.",
        "Late delivery and poor quality.",
        "We had an awful time.",
        "The food was disgusting.",
        "I am frustrated by how complicated it is.",
        "Overpriced and not worth it.",
        "I am ashamed of how this went.",
        "There were some good moments, but all in all I am disappointed.",
        "I had high hopes, and now I regret it.",
        "It is not good at all.",
        "Nothing works and nobody helps.",
        "I have never seen anything worse.",
        "It was full of errors and defects.",
    ),
    NEUTRAL: (
        "The office opens at nine o'clock.",
        "The document consists of twelve pages.",
        "She lives in Berlin and works as a teacher.",
        "The meeting takes place on Wednesday in room 12.",
        "The box contains a manual and a cable.",
        "Please enter your name and address.",
        "What time does the train leave?",
        "The city has 200,000 inhabitants.",
        "The product is available in three sizes.",
        "The payment is due at the end of the month.",
        "Press the button to start the machine.",
        "The company was founded in 1990.",
        "The report was published on Monday.",
        "He moved from one department to another.",
        "It is about the same as before.",
        "It is average, neither good nor bad.",
        "It has advantages and disadvantages.",
        "Opinions about it are divided.",
        "It does not include batteries.",
        "The shop is closed on holidays.",
        "Where can I change my password?",
        "The road runs along the river.",
    ),
}


async def embed_examples(embedder: Embedder) -> Matrix:
    """One vector per label, in the order of LABELS: the middle of its examples."""
    middles = []
    for label in LABELS:
        vectors = await embed_all(embedder, _EXAMPLES[label])
        middles.append(direction(vectors, [1.0] * len(vectors)))
    return np.vstack(middles)


def score_sentiment(sentences: Sequence[str], matrix: Matrix, examples: Matrix) -> Matrix:
    """How much each sentence is like each label; a row per sentence, columns as LABELS."""
    lean = np.tanh([polarity(sentence) for sentence in sentences]) * _POLARITY_WEIGHT
    return similarity(matrix, examples) + np.outer(lean, [1.0, -1.0, 0.0])
