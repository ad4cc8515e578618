"""In which language a text is written, by the byte sequences that occur in it.

Source: py3langid (https://github.com/adbar/py3langid), a naive Bayes model over byte n-grams of
140 languages. Loading it takes most of a second and about 100 MB; a text takes a tenth of a
millisecond. So it is loaded for the first text, in a thread, and never where nobody asks.
"""

from __future__ import annotations

import asyncio
from typing import Protocol

MAX_CHARACTERS = 1_000
MIN_LETTERS = 10
# Chinese, Japanese and Korean say as much in fewer.
MIN_IDEOGRAPHS = 5
# Below it the model is wrong about as often as it is right.
MIN_PROBABILITY = 0.5

_FIRST_IDEOGRAPH = "\u3040"


class _Model(Protocol):
    def classify(self, text: str) -> tuple[str, float]: ...


class LangidDetector:
    """The LanguageDetector port."""

    def __init__(self) -> None:
        self._model: _Model | None = None
        self._loading = asyncio.Lock()

    async def detect(self, text: str) -> str | None:
        beginning = text[:MAX_CHARACTERS]
        letters = [character for character in beginning if character.isalpha()]
        ideographs = sum(character >= _FIRST_IDEOGRAPH for character in letters)
        if len(letters) < MIN_LETTERS and ideographs < MIN_IDEOGRAPHS:
            return None
        model = self._model
        if model is None:
            async with self._loading:
                if self._model is None:
                    self._model = await asyncio.to_thread(_load)
                model = self._model
        language, probability = model.classify(beginning)
        # Three letters are a language that ISO 639-1 has no code for, or none at all.
        return language if probability >= MIN_PROBABILITY and len(language) == 2 else None


def _load() -> _Model:
    # Imported here, because the import alone takes a tenth of a second.
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    model: _Model = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
    return model
