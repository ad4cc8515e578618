"""What a period of time means to a tenant."""

from __future__ import annotations

from zoneinfo import ZoneInfo

from assistant.domain.ports import Clock, TenantSettingsStore
from assistant.domain.usage import UsagePeriod, UsageWindow, time_zone_named, window_of


class Periods:
    """Periods seen from now, in the tenant's time zone: in UTC where it has set none."""

    def __init__(self, settings: TenantSettingsStore, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock

    async def window(self, tenant_id: str, period: UsagePeriod) -> UsageWindow:
        """Raises StorageUnavailable where it takes the tenant's settings to know."""
        if not period.is_of_the_calendar:
            return window_of(period, self._clock.now())
        return window_of(period, self._clock.now(), await self.zone(tenant_id))

    async def zone(self, tenant_id: str) -> ZoneInfo:
        """Where the tenant's days begin. Raises StorageUnavailable."""
        return time_zone_named(await self._settings.find_time_zone(tenant_id) or "UTC")
