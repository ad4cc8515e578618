"""How much of a processor may go into embedding while there is much else to do."""

from __future__ import annotations

from assistant.domain.ports import Clock

# So few at once leave the processor idle: their embedding competes with nobody.
_FEW = 8
_SHARE = 0.25
# What may be spent at once after a quiet time, in seconds of embedding.
_BURST_S = 0.5


class EmbeddingBudget:
    """While more than a few ask at once, a quarter of one processor goes into embedding.

    Embedding a question takes as long as answering several from memory, and few are hits. A token
    bucket: what is not spent adds up to half a second.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._left_s = _BURST_S
        self._at = clock.monotonic()

    def allows(self, asking: int) -> bool:
        """Whether one more question may be embedded while ``asking`` requests are under way."""
        now = self._clock.monotonic()
        self._left_s = min(_BURST_S, self._left_s + _SHARE * (now - self._at))
        self._at = now
        return asking <= _FEW or self._left_s > 0

    def spend(self, seconds: float) -> None:
        """Embedding has taken so long, waiting for its turn included."""
        self._left_s = max(-_BURST_S, self._left_s - seconds)
