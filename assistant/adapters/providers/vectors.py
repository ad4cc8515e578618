"""Vectors as providers send them, and as the ``Provider`` port promises them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from assistant.domain.ports import Vector
from assistant.domain.values import JsonValue
from assistant.errors import InvalidResponse


def unit_vectors(rows: JsonValue, expected: int, provider: str) -> Sequence[Vector]:
    """``rows``, which must be as many vectors as ``expected``, each L2-normalised.

    Some providers normalise and some do not; doing it again changes nothing but float noise.
    Raises: InvalidResponse for another number of vectors, for vectors of several lengths, for
    what is no number, and for a vector without a direction.
    """
    if not isinstance(rows, list) or len(rows) != expected:
        raise InvalidResponse(f"{provider} did not answer with {expected:,} vectors.")
    if not rows:
        return []
    try:
        matrix = np.array(rows)
    except ValueError as error:
        raise InvalidResponse(f"{provider}'s vectors have different lengths.") from error
    # Texts, nulls and nested lists make another array than one of numbers in rows.
    if matrix.dtype.kind not in "if" or matrix.ndim != 2 or matrix.shape[1] == 0:
        raise InvalidResponse(f"{provider}'s vectors are not lists of numbers.")
    with np.errstate(over="ignore"):
        lengths = np.linalg.norm(matrix, axis=1, keepdims=True)
    if not np.isfinite(lengths).all() or not lengths.all():
        raise InvalidResponse(f"{provider}'s vectors have no length that can be made 1.")
    normalised: list[list[float]] = (matrix / lengths).tolist()
    return normalised
