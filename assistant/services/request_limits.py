"""Rate limits on requests: whoever makes more of them than was agreed waits."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from assistant.domain.caller import PLATFORM_TENANT, Caller
from assistant.domain.ports import Clock, RequestLimitStore
from assistant.services.bounded_cache import BoundedCache

_INTERVAL_S = 1.0


@dataclass(slots=True)
class _Known:
    """Whether a tenant has limits, and when that was read, in seconds of the clock."""

    is_limited: bool
    read_at: float


class RequestLimits:
    """Refuses requests beyond the limits of their tenant, service, user and API key.

    It fails closed: what cannot be counted is not let through. Tenants without limits cost nearly
    nothing: which ones those are is kept in memory, and read anew by notice, and every second where
    no notice may have come through. Without the database it stays as it was known.
    """

    def __init__(self, store: RequestLimitStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._is_limited: BoundedCache[str, _Known] = BoundedCache(10_000)
        self._changes = 0
        self._reading: set[asyncio.Task[bool]] = set()

    def forget(self, tenant_id: str) -> None:
        """Find out anew whether the tenant has limits; the platform's name stands for all."""
        self._changes += 1
        every = tenant_id == PLATFORM_TENANT
        self._is_limited.discard(lambda key: every or key == tenant_id)

    async def check(self, caller: Caller) -> None:
        """Count a request of ``caller``'s and let it pass.

        Raises: LimitReached, which takes nothing of any limit and knows when there will be enough
        again; StorageUnavailable.
        """
        if await self._has_limits(caller.tenant_id):
            await self._store.take(caller)

    async def _has_limits(self, tenant_id: str) -> bool:
        known = self._is_limited.get(tenant_id)
        if known is None:
            return await self._read(tenant_id)
        now = self._clock.monotonic()
        if now - known.read_at >= _INTERVAL_S:
            known.read_at = now  # of many who ask now, one has it read, and nobody waits
            reading = asyncio.create_task(self._read(tenant_id))
            self._reading.add(reading)
            reading.add_done_callback(self._end_reading)
        return known.is_limited

    async def _read(self, tenant_id: str) -> bool:
        changes, now = self._changes, self._clock.monotonic()
        is_limited = await self._store.is_limited(tenant_id)
        # What changed while it was being read may not be in it: the next caller reads again.
        if changes == self._changes:
            self._is_limited.put(tenant_id, _Known(is_limited, now))
        return is_limited

    def _end_reading(self, reading: asyncio.Task[bool]) -> None:
        self._reading.discard(reading)
        if not reading.cancelled():
            reading.exception()  # looked at: without the database it stays as it was known
