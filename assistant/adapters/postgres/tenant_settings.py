"""What a tenant has set for itself as a whole."""

from __future__ import annotations

from sqlalchemy import text

from assistant.adapters.postgres.connection import Database

_FIND_TIME_ZONE = text("SELECT time_zone FROM tenant_settings WHERE tenant_id = :tenant_id")
_SET_TIME_ZONE = text("SELECT assistant_set_time_zone(:tenant_id, :time_zone)")


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
            return bool((await connection.execute(_SET_TIME_ZONE, parameters)).scalar_one())
