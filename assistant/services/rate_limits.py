"""Rate limits as administrators set them, and as those see them whom they are about."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from assistant.domain.budget import LimitScope
from assistant.domain.caller import Caller
from assistant.domain.ports import ApiKeyStore, Clock, RateLimitStore
from assistant.domain.rate_limit import RateLimit, RateLimitDraft, RateLimitLevel
from assistant.errors import BadUserInput, NotFound
from assistant.services.budgets import members_of
from assistant.services.limit_checks import check_rate_limit, no_room

MAX_RATE_LIMITS = 1_000


class RateLimits:
    """A tenant's rate limits. Who changes one has been found to be an administrator before."""

    def __init__(self, store: RateLimitStore, keys: ApiKeyStore, clock: Clock) -> None:
        self._store = store
        self._keys = keys
        self._clock = clock

    async def list_limits(self, caller: Caller) -> Sequence[RateLimitLevel]:
        """All, to administrators; to others those about them, with their own buckets."""
        return await self._store.list_limits(caller.tenant_id, members_of(caller))

    async def set_limit(self, caller: Caller, draft: RateLimitDraft) -> RateLimitLevel:
        """Add a limit, or change the one of its scope, subject and measure. Raises BadUserInput."""
        check_rate_limit(draft)
        await self._check_key(caller.tenant_id, draft)
        limit = RateLimit(
            id=self._clock.new_id(),
            tenant_id=caller.tenant_id,
            scope=draft.scope,
            subject=draft.subject,
            measure=draft.measure,
            capacity=draft.capacity,
            per_minute=draft.per_minute,
        )
        id_ = await self._store.put_limit(limit, self._clock.now(), MAX_RATE_LIMITS)
        if id_ is None:
            raise no_room("rate limits", MAX_RATE_LIMITS)
        level = await self._store.find_limit(caller.tenant_id, id_)
        if level is None:
            raise _missing()
        return level

    async def _check_key(self, tenant_id: str, draft: RateLimitDraft) -> None:
        # Its name, or the part of it that is shown, would be a limit of nobody.
        if draft.scope is not LimitScope.API_KEY or draft.subject is None:
            return
        if draft.subject not in {str(key.id) for key in await self._keys.list_keys(tenant_id)}:
            raise BadUserInput(
                "There is no API key of this id. `assistant keys list` shows the ids.",
                path=("subject",),
            )

    async def delete_limit(self, caller: Caller, id_: UUID) -> None:
        """Remove a limit: from now on nothing is taken of its buckets. Raises NotFound."""
        if not await self._store.delete_limit(caller.tenant_id, id_):
            raise _missing()


def _missing() -> NotFound:
    return NotFound(
        "There is no rate limit of this id. The query `rateLimits` lists what there is."
    )
