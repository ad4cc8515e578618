"""Rate limits on requests: whoever makes more of them than was agreed waits."""

from __future__ import annotations

from assistant.domain.caller import PLATFORM_TENANT, Caller
from assistant.domain.ports import RequestLimitStore
from assistant.services.bounded_cache import BoundedCache


class RequestLimits:
    """Refuses requests beyond the limits of their tenant, service, user and API key.

    It fails closed: what cannot be counted is not let through. Tenants without limits cost
    nothing: which ones those are is kept in memory, and read anew by notice.
    """

    def __init__(self, store: RequestLimitStore) -> None:
        self._store = store
        self._is_limited: BoundedCache[str, bool] = BoundedCache(10_000)
        self._changes = 0

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
        is_limited = self._is_limited.get(tenant_id)
        if is_limited is None:
            changes = self._changes
            is_limited = await self._store.is_limited(tenant_id)
            # What changed while it was being read may not be in it: the next caller reads again.
            if changes == self._changes:
                self._is_limited.put(tenant_id, is_limited)
        return is_limited
