"""An embedder without a model: texts that share words are similar."""

from __future__ import annotations

import re
from collections.abc import Sequence
from zlib import crc32

import numpy as np

from assistant.domain.ports import Vector

_DIMENSIONS = 256


class BagOfWords:
    """An Embedder. ``batches`` are the texts of every call, in order."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []

    @property
    def id(self) -> str:
        return "bag of words"

    def covers(self, text: str) -> bool:
        return True

    @property
    def dimensions(self) -> int:
        return _DIMENSIONS

    @property
    def texts(self) -> list[str]:
        return [text for batch in self.batches for text in batch]

    async def embed(self, texts: Sequence[str]) -> Sequence[Vector]:
        self.batches.append(list(texts))
        return [_vector(text) for text in texts]


def _vector(text: str) -> Vector:
    vector = np.zeros(_DIMENSIONS)
    # A text without words has a direction as well, as it has in a real model.
    for word in re.findall(r"\w+", text.lower()) or [text]:
        vector[crc32(word.encode()) % _DIMENSIONS] += 1
    return list(vector / np.linalg.norm(vector))
