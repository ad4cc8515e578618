"""What anybody could do without a model, to compare with."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from assistant.adapters.extractive.polarity import polarity
from assistant.adapters.extractive.words import STOP_WORDS, WORD, stem


def lead(sentences: Sequence[str], count: int) -> list[str]:
    """The first sentences."""
    return list(sentences[:count])


def longest(sentences: Sequence[str], count: int) -> list[str]:
    """The sentences with the most words, in the order of the text."""
    ranked = sorted(range(len(sentences)), key=lambda index: -len(sentences[index].split()))
    return [sentences[index] for index in sorted(ranked[:count])]


def frequent_words(text: str, count: int) -> list[str]:
    """The most frequent words that are no stop words."""
    counts: Counter[str] = Counter()
    forms: dict[str, str] = {}
    for word in WORD.findall(text):
        if word.lower() not in STOP_WORDS and not word[0].isdigit():
            counts[stem(word)] += 1
            forms.setdefault(stem(word), word)
    return [forms[key] for key, _ in counts.most_common(count)]


def first_words(text: str, count: int) -> str:
    return " ".join(text.split()[:count])


def word_lists(sentence: str) -> str:
    """Sentiment by counting favourable and unfavourable words alone."""
    lean = polarity(sentence)
    return "positive" if lean > 0 else "negative" if lean < 0 else "neutral"


def most_shared_words(sentences: Sequence[str], question: str) -> str:
    """The sentence with the most words of the question; it never says that there is none."""
    asked = {stem(word) for word in WORD.findall(question) if word.lower() not in STOP_WORDS}
    return max(sentences, key=lambda sentence: len(asked & set(map(stem, WORD.findall(sentence)))))
