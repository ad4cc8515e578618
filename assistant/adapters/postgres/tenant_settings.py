"""What a tenant has set for itself as a whole."""

from __future__ import annotations

from sqlalchemy import text

from assistant.adapters.postgres.budget_windows import HOLD_LEDGER
from assistant.adapters.postgres.connection import Database

_FIND_TIME_ZONE = text("SELECT time_zone FROM tenant_settings WHERE tenant_id = :tenant_id")
_SET_TIME_ZONE = text(
    """
    INSERT INTO tenant_settings (tenant_id, time_zone)
    SELECT :tenant_id, name FROM pg_timezone_names WHERE name = :time_zone
    ON CONFLICT (tenant_id) DO UPDATE SET time_zone = excluded.time_zone
    """
)
# What is spent in windows of another zone is not counted on. They begin anew when they are next
# asked for, with all that was spent in them.
_FORGET_WINDOWS = text(
    "DELETE FROM budget_windows WHERE tenant_id = :tenant_id AND ends_at > now()"
)


class PostgresTenantSettings:
    """The TenantSettingsStore port."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def find_time_zone(self, tenant_id: str) -> str | None:
        async with self._database.tenant(tenant_id) as connection:
            found = await connection.execute(_FIND_TIME_ZONE, {"tenant_id": tenant_id})
            zone: str | None = found.scalar()
        return zone

    async def set_time_zone(self, tenant_id: str, time_zone: str) -> bool:
        parameters = {"tenant_id": tenant_id, "time_zone": time_zone}
        async with self._database.tenant(tenant_id) as connection:
            await connection.execute(HOLD_LEDGER, {"tenant_id": tenant_id})
            found = await connection.execute(_SET_TIME_ZONE, parameters)
            if found.rowcount:
                await connection.execute(_FORGET_WINDOWS, {"tenant_id": tenant_id})
        return found.rowcount > 0
