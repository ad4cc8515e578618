"""Models that are used though nobody has said what they cost."""

from __future__ import annotations

import structlog

from assistant.domain.model import Model
from assistant.domain.ports import Clock
from assistant.services.bounded_cache import BoundedCache

log = structlog.get_logger(__name__)

_INTERVAL_S = 3_600.0


class UnpricedUse:
    """Tells of such models in the log, of each at most once an hour."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._told: BoundedCache[str, float] = BoundedCache(1_000)

    def note(self, model: Model) -> None:
        """``model`` was used, and has no price."""
        now, told = self._clock.monotonic(), self._told.get(model.id)
        if told is not None and now - told < _INTERVAL_S:
            return
        self._told.put(model.id, now)
        log.warning("price_unknown", model=model.id)
