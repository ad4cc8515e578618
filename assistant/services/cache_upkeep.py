"""Keeps the cache in order, and says what it came to."""

from __future__ import annotations

from assistant.domain.cache import CacheUpkeep
from assistant.domain.ports import CacheUpkeepStore


class CacheUpkeeping:
    """Cleans and counts, whoever asks for it; both may be done again at any time."""

    def __init__(self, store: CacheUpkeepStore, max_bytes_per_tenant: int) -> None:
        self._store = store
        self._max_bytes_per_tenant = max_bytes_per_tenant
        self.last: CacheUpkeep | None = None
        """What was counted last, on whatever replica; None before that."""

    async def clean(self) -> str:
        """Remove what has expired, then what is worth least where a tenant has too much.

        Raises: StorageUnavailable.
        """
        came_to = await self._store.clean(self._max_bytes_per_tenant)
        return f"{came_to.expired} answers expired, {came_to.evicted} made room"

    async def measure(self) -> str:
        """Count what there is. Raises: StorageUnavailable."""
        counted = await self._store.measure()
        return f"{counted.entries} answers in {counted.size_bytes} bytes"
