"""Embeds many texts without making other callers of the embedder wait for all of them."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator, Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from assistant.domain.ports import Embedder

Matrix: TypeAlias = npt.NDArray[np.float64]
"""One L2-normalised vector per row."""

MAX_TEXTS = 250
MAX_PIECES = 12_000
"""How much is embedded for one answer: about 3 s on one core at 63 ms per 256 pieces."""

_BATCH_PIECES = 512  # what the model takes at once, so other callers wait for one run at most
_PIECES_READ = 256  # the embedder cuts every text there
_EMBEDDED_CHARS = 1_000
_PIECE = re.compile(r"[A-Za-z0-9]{1,5}|[^\sA-Za-z0-9]")


def estimate_pieces(text: str) -> int:
    """Word pieces that the embedder will read, rather too many than too few; 3 to 256."""
    return min(_PIECES_READ, 2 + len(_PIECE.findall(text, 0, _EMBEDDED_CHARS)))


async def embed_all(embedder: Embedder, texts: Sequence[str]) -> Matrix:
    """The vectors of ``texts``, in order. Only the first 1,000 characters of each are read.

    The texts go to the embedder in small batches of similar length, one after the other: a
    caller with a single text is served between two of them.
    """
    if not texts:
        return np.zeros((0, embedder.dimensions))
    matrix = np.empty((len(texts), embedder.dimensions))
    for batch in await asyncio.to_thread(_batches, texts):
        matrix[batch] = await embedder.embed([texts[index][:_EMBEDDED_CHARS] for index in batch])
    return matrix


def similarity(left: Matrix, right: Matrix) -> Matrix:
    """Cosines to four places: what the model's batches change in the last bits decides nothing."""
    return np.round(left @ right.T, 4)


def _batches(texts: Sequence[str]) -> list[list[int]]:
    return list(_pack([estimate_pieces(text) for text in texts]))


def _pack(sizes: Sequence[int]) -> Iterator[list[int]]:
    batch: list[int] = []
    # The longest in a batch decides its cost, and it is the last to be added.
    for index in sorted(range(len(sizes)), key=lambda index: sizes[index]):
        if batch and (len(batch) + 1) * sizes[index] > _BATCH_PIECES:
            yield batch
            batch = []
        batch.append(index)
    yield batch
