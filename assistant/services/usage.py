"""What was used, for those who may know it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from assistant.domain.caller import Caller, Scope
from assistant.domain.ports import UsageStore, UsageSubject
from assistant.domain.usage import (
    UsageGranularity,
    UsageMeasure,
    UsagePeriod,
    UsagePoint,
    UsageSummary,
    UserUsage,
    steps_of,
)
from assistant.errors import BadUserInput
from assistant.services.periods import Periods

MOST_USERS = 100


class UsageReports:
    """Summaries over the usage rows of the caller's tenant.

    Users see their own; services theirs with ``assistant:usage:read``; administrators see all.
    """

    def __init__(self, store: UsageStore, periods: Periods) -> None:
        self._store = store
        self._periods = periods

    async def mine(self, caller: Caller, period: UsagePeriod) -> UsageSummary:
        """The caller's own usage: the user's, or the service's where no user is involved.

        Raises: Forbidden, BadUserInput.
        """
        if caller.user_id is not None:
            return (await self.of_users(caller, [caller.user_id], period))[caller.user_id]
        if caller.service_id is not None:
            return await self.of_service(caller, caller.service_id, period)
        raise _owns_nothing()

    async def of_service(
        self, caller: Caller, service_id: str, period: UsagePeriod
    ) -> UsageSummary:
        """What was used through a service, by whomever. Raises Forbidden."""
        found = await self.of_services(caller, [service_id], period)
        if service_id not in found:
            # Of its own it lacks no more than the lesser scope.
            caller.require(Scope.USAGE_READ if service_id == caller.service_id else Scope.ADMIN)
        return found[service_id]

    async def of_users(
        self, caller: Caller, user_ids: Sequence[str], period: UsagePeriod
    ) -> Mapping[str, UsageSummary]:
        """Usage of those of ``user_ids`` that the caller may see; one statement."""
        is_admin = caller.may(Scope.ADMIN)
        visible = [user_id for user_id in user_ids if is_admin or user_id == caller.user_id]
        if not visible:
            return {}
        window = await self._periods.window(caller.tenant_id, period)
        return await self._store.summarize_users(caller.tenant_id, visible, window)

    async def of_services(
        self, caller: Caller, service_ids: Sequence[str], period: UsagePeriod
    ) -> Mapping[str, UsageSummary]:
        """Usage of those of ``service_ids`` that the caller may see; one statement."""
        is_admin = caller.may(Scope.ADMIN)
        own = caller.service_id if caller.may(Scope.USAGE_READ) else None
        visible = [service_id for service_id in service_ids if is_admin or service_id == own]
        if not visible:
            return {}
        window = await self._periods.window(caller.tenant_id, period)
        return await self._store.summarize_services(caller.tenant_id, visible, window)

    async def top_users(
        self, caller: Caller, period: UsagePeriod, limit: int, by: UsageMeasure
    ) -> Sequence[UserUsage]:
        """The tenant's users who used most, most first. Raises Forbidden, BadUserInput."""
        caller.require(Scope.ADMIN)
        if not 1 <= limit <= MOST_USERS:
            raise BadUserInput(f"limit must be between 1 and {MOST_USERS}.", path=("limit",))
        window = await self._periods.window(caller.tenant_id, period)
        return await self._store.top_users(caller.tenant_id, window, limit, by)

    async def trend(
        self, caller: Caller, period: UsagePeriod, granularity: UsageGranularity
    ) -> Sequence[UsagePoint]:
        """The tenant's usage over time for an administrator, the caller's own for anybody else.

        Raises: Forbidden, BadUserInput.
        """
        whose = _visible_to(caller)
        window = await self._periods.window(caller.tenant_id, period)
        steps = steps_of(window, granularity, await self._periods.zone(caller.tenant_id))
        return await self._store.trend(caller.tenant_id, window, steps, whose)


def _visible_to(caller: Caller) -> UsageSubject:
    """The most that the caller may see of. Raises Forbidden, BadUserInput."""
    if caller.may(Scope.ADMIN):
        return UsageSubject()
    if caller.user_id is not None:
        return UsageSubject(user_id=caller.user_id)
    if caller.service_id is None:
        raise _owns_nothing()
    caller.require(Scope.USAGE_READ)
    return UsageSubject(service_id=caller.service_id)


def _owns_nothing() -> BadUserInput:
    return BadUserInput("This credential names neither a user nor a service: it has no own usage.")
