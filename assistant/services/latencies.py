"""How quickly models have lately begun to answer, and how many calls they are at."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from assistant.domain.model import ModelKey

# How much the newest call counts in the running mean.
_NEWEST = 0.2
_REMEMBERED = 200
_ENOUGH = 20


@dataclass(slots=True)
class _Observed:
    running: int = 0
    mean_s: float | None = None
    streams_s: deque[float] = field(default_factory=lambda: deque(maxlen=_REMEMBERED))
    wholes_s: deque[float] = field(default_factory=lambda: deque(maxlen=_REMEMBERED))


class Latencies:
    """Times to the first event of an answer, by where a model runs; in this process."""

    def __init__(self, choice: random.Random) -> None:
        self._choice = choice
        self._observed: dict[ModelKey, _Observed] = {}

    def begin(self, key: ModelKey) -> None:
        """A call begins."""
        self._of(key).running += 1

    def end(self, key: ModelKey, first_event_s: float | None, *, streamed: bool = True) -> None:
        """A call has ended, and took so long to begin its answer; None where it did not.

        A whole answer begins when it is there.
        """
        observed = self._of(key)
        observed.running -= 1
        if first_event_s is not None:
            mean_s = observed.mean_s
            observed.mean_s = (
                first_event_s if mean_s is None else mean_s + _NEWEST * (first_event_s - mean_s)
            )
            (observed.streams_s if streamed else observed.wholes_s).append(first_event_s)

    def mean_s(self, key: ModelKey) -> float | None:
        """A running mean over streams and whole answers; None for a model without any yet."""
        observed = self._observed.get(key)
        return observed.mean_s if observed else None

    def p95_s(self, key: ModelKey, *, streamed: bool = True) -> float | None:
        """The 95th percentile of the last answers of one kind; None until there are enough."""
        observed = self._of(key)
        recent_s = observed.streams_s if streamed else observed.wholes_s
        if len(recent_s) < _ENOUGH:
            return None
        ordered = sorted(recent_s)
        return ordered[int(0.95 * (len(ordered) - 1))]

    def least_busy(self, keys: Sequence[ModelKey]) -> int:
        """The index of the better one of two that are chosen by chance.

        Better is who has less to do for as long as it takes it: calls times mean latency. Asking
        two by chance spreads load nearly as well as asking all, and does not send everybody to
        the same one at once. Source: Mitzenmacher, The Power of Two Choices in Randomized Load
        Balancing, https://doi.org/10.1109/71.963420
        """
        if len(keys) == 1:
            return 0
        first, second = self._choice.sample(range(len(keys)), 2)
        one, other = self._of(keys[first]), self._of(keys[second])
        return first if _load(one, other) <= _load(other, one) else second

    def _of(self, key: ModelKey) -> _Observed:
        observed = self._observed.get(key)
        if observed is None:
            observed = self._observed[key] = _Observed()
        return observed


def _load(one: _Observed, other: _Observed) -> float:
    """What ``one`` has to do, as far as it is known."""
    mean_s = one.mean_s
    if mean_s is None and not one.running:
        mean_s = 0.0  # who is not known yet is tried: it may be the quickest
    elif mean_s is None:
        # It has not answered yet, and need not be quicker than the other one.
        mean_s = 1.0 if other.mean_s is None else other.mean_s
    return (one.running + 1) * mean_s
