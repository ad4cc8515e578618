"""What a provider's counts teach about a model: weights of a prompt's features, and their error.

A ridge regression in relative terms: every sample is divided by what would have been assumed of
it, so that short prompts teach as much as long ones, and the ridge pulls towards that assumption.
It needs nothing but sums over the samples, which is all that is kept; sums of several replicas
add up. Older samples fade, so a model that begins to count differently is learnt anew.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from statistics import median

import numpy as np

from assistant.domain.model import ModelKey
from assistant.domain.tokens import TokenSums, TokenSumsChange
from assistant.services.token_features import Basis, Vector

ENOUGH_SAMPLES = 20
"""So many samples before an error is trusted, and with it the weights."""

_SAMPLES_REMEMBERED = 500.0
_ERRORS_REMEMBERED = 50.0
_SAMPLES_WITHOUT_ERROR = 8  # what the first ones are off by says nothing of those that follow
_NOISE = 0.03  # relative; what a good fit is off by
# No weights are believed beyond these times what was assumed, and some framing.
_FURTHEST, _FRAMING = 3.0, 50.0

# Outliers: servers that leave cached tokens out, or add hidden ones. A sample counts in full as
# long as it is off like most others lately (all of them are, when a template has changed).
_RECENT = 31
_FEW = 8
_ALWAYS_USUAL = 0.1
_USUAL_AT_FIRST = 0.2
_LARGEST_ERROR = 1.0

# The sums, in order: samples; of the latest ones, how many, the errors of the weights and those
# of the assumption; then of the regression, its triangle and its right side.
_SAMPLES, _ERRORS = 0, slice(1, 4)
_REGRESSION = 4


@dataclass(frozen=True, slots=True)
class _Fit:
    weights: Vector
    samples: float
    error: float
    assumption_error: float


class Calibration:
    """The weights of one model on one basis, as far as they are known."""

    def __init__(self, key: ModelKey, basis: Basis) -> None:
        self.key = key
        self.basis = basis
        size = len(basis.weights)
        self._triangle = np.triu_indices(size)
        length = _REGRESSION + len(self._triangle[0]) + size
        self._fading = np.full(length, 1 - 1 / _SAMPLES_REMEMBERED)
        self._fading[_ERRORS] = 1 - 1 / _ERRORS_REMEMBERED
        self._stored = np.zeros(length)
        self._saving = _Change(length)
        self._new = _Change(length)
        self._recent: deque[float] = deque(maxlen=_RECENT)
        self._fitted: _Fit | None = None

    @property
    def is_known(self) -> bool:
        """Whether there have been enough samples to say how far off the weights are."""
        return self._fit.samples > ENOUGH_SAMPLES - 1  # they fade a little

    @property
    def error(self) -> float:
        """The mean relative error of predictions, each made before its sample was learnt."""
        return self._fit.error

    @property
    def assumption_error(self) -> float:
        """The same of the basis's own weights, which learn nothing."""
        return self._fit.assumption_error

    def predict(self, features: Vector) -> float:
        """Tokens; within reason whatever was learnt."""
        assumed = self.assume(features)
        predicted = float(features @ self._fit.weights)
        return min(max(predicted, assumed / _FURTHEST), assumed * _FURTHEST + _FRAMING)

    def assume(self, features: Vector) -> float:
        """Tokens, by the basis's own weights."""
        return float(features @ self.basis.weights)

    def learn(self, features: Vector, tokens: int) -> None:
        """Take a sample in."""
        assumed, predicted = self.assume(features), self.predict(features)
        residual = (tokens - predicted) / predicted
        weight = self._weight_of(residual)
        self._recent.append(residual)
        row = features / assumed
        errors = [
            min(abs(expected - tokens) / tokens, _LARGEST_ERROR)
            for expected in (predicted, assumed)
        ]
        tells = self._fit.samples > _SAMPLES_WITHOUT_ERROR - 1
        sample = np.concatenate(
            (
                (1.0, *((1.0, *errors) if tells else (0.0, 0.0, 0.0))),
                weight * np.outer(row, row)[self._triangle],
                weight * (tokens / assumed - 1.0) * row,
            )
        )
        self._new.add(sample, self._fading)
        self._fitted = None

    def _weight_of(self, residual: float) -> float:
        if len(self._recent) < _FEW:
            centre, usual = 0.0, _USUAL_AT_FIRST
        else:
            centre = median(self._recent)
            spread = median(abs(each - centre) for each in self._recent)
            usual = max(4 * spread, _ALWAYS_USUAL)
        distance = abs(residual - centre)
        return 1.0 if distance <= usual else (usual / distance) ** 2

    @property
    def _fit(self) -> _Fit:
        if self._fitted is None:
            size = len(self.basis.weights)
            sums = self._new.applied_to(self._saving.applied_to(self._stored))
            matrix = np.zeros((size, size))
            matrix[self._triangle] = sums[_REGRESSION:-size]
            matrix += np.triu(matrix, 1).T
            matrix[np.diag_indices(size)] += (_NOISE / self.basis.spreads) ** 2
            samples = float(sums[_SAMPLES])
            latest, error, assumption_error = sums[_ERRORS].tolist()
            self._fitted = _Fit(
                self.basis.weights + np.linalg.solve(matrix, sums[-size:]),
                samples,
                error / latest if latest else 0.0,
                assumption_error / latest if latest else 0.0,
            )
        return self._fitted

    # --- exchange with other replicas, by the database

    @property
    def has_news(self) -> bool:
        """Whether there is something that is not being saved."""
        return self._new.samples > 0

    def begin_save(self) -> TokenSumsChange:
        """What is not saved yet; it stays so until ``saved``."""
        self._saving.follow(self._new)
        self._new = _Change(len(self._stored))
        added = tuple(self._saving.added.tolist())
        return TokenSumsChange(
            TokenSums(self.key, self.basis.name, self._saving.samples, added),
            tuple(self._saving.kept.tolist()),
        )

    def saved(self) -> None:
        """What is known of all replicas now includes what was saved."""
        self._stored = self._saving.applied_to(self._stored)
        self._saving = _Change(len(self._stored))

    def restore(self, sums: TokenSums) -> None:
        """Go on from what all replicas know; sums of another form are ignored."""
        stored = np.array(sums.sums)
        if stored.shape == self._stored.shape and bool(np.isfinite(stored).all()):
            self._stored = stored
            self._fitted = None


class _Change:
    """What some samples do to the sums: sums * kept + added."""

    def __init__(self, length: int) -> None:
        self.samples = 0
        self.added = np.zeros(length)
        self.kept = np.ones(length)

    def add(self, sample: Vector, fading: Vector) -> None:
        self.samples += 1
        self.added = self.added * fading + sample
        self.kept = self.kept * fading

    def follow(self, later: _Change) -> None:
        """Become this change and then the other."""
        self.samples += later.samples
        self.added = self.added * later.kept + later.added
        self.kept = self.kept * later.kept

    def applied_to(self, sums: Vector) -> Vector:
        return sums * self.kept + self.added
