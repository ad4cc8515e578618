"""What was used, for those who may know it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from assistant.domain.caller import Caller, Scope
from assistant.domain.ports import Clock, UsageStore
from assistant.domain.usage import UsagePeriod, UsageSummary, window_of
from assistant.errors import BadUserInput


class UsageReports:
    """Summaries over the usage rows of the caller's tenant."""

    def __init__(self, store: UsageStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def mine(self, caller: Caller, period: UsagePeriod) -> UsageSummary:
        """The caller's own usage: the user's, or the service's where no user is involved."""
        window = window_of(period, self._clock.now())
        if caller.user_id is not None:
            found = await self._store.summarize_users(caller.tenant_id, [caller.user_id], window)
            return found[caller.user_id]
        if caller.service_id is not None:
            found = await self._store.summarize_services(
                caller.tenant_id, [caller.service_id], window
            )
            return found[caller.service_id]
        raise BadUserInput(
            "This credential names neither a user nor a service: it has no own usage."
        )

    async def of_users(
        self, caller: Caller, user_ids: Sequence[str], period: UsagePeriod
    ) -> Mapping[str, UsageSummary]:
        """Usage of those of ``user_ids`` that the caller may see; one statement.

        Everybody sees their own; all others need ``assistant:usage:read``.
        """
        visible = [
            user_id
            for user_id in user_ids
            if user_id == caller.user_id or caller.may(Scope.USAGE_READ)
        ]
        if not visible:
            return {}
        window = window_of(period, self._clock.now())
        return await self._store.summarize_users(caller.tenant_id, visible, window)
