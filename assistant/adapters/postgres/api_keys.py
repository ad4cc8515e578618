"""API keys by the SHA-256 of their secret."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, text

from assistant.adapters.postgres.connection import Database
from assistant.domain.api_key import ApiKey
from assistant.domain.caller import Caller, parse_scopes

_COLUMNS = (
    "tenant_id, id, name, prefix, user_id, service_id, scopes, created_at, expires_at, revoked_at"
)
_ADD = text(
    """
    INSERT INTO api_keys (tenant_id, id, name, prefix, secret_hash, user_id, service_id, scopes,
                          created_at, expires_at, revoked_at)
    VALUES (:tenant_id, :id, :name, :prefix, :secret_hash, :user_id, :service_id,
            CAST(:scopes AS text[]), :created_at, :expires_at, :revoked_at)
    """
)
_FIND = text(f"SELECT {_COLUMNS} FROM assistant_find_api_key(:secret_hash)")  # noqa: S608 - constants
_LIST = text(
    f"SELECT {_COLUMNS} FROM api_keys WHERE tenant_id = :tenant_id ORDER BY id"  # noqa: S608 - constants
)
_REVOKE = text(
    "UPDATE api_keys SET revoked_at = coalesce(revoked_at, :at) "  # noqa: S608 - constants
    f"WHERE tenant_id = :tenant_id AND id = :id RETURNING {_COLUMNS}"
)


class PostgresApiKeys:
    """The ApiKeyStore port."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, key: ApiKey, secret_hash: bytes) -> None:
        async with self._database.tenant(key.caller.tenant_id) as connection:
            await connection.execute(
                _ADD,
                {
                    "tenant_id": key.caller.tenant_id,
                    "id": key.id,
                    "name": key.name,
                    "prefix": key.prefix,
                    "secret_hash": secret_hash,
                    "user_id": key.caller.user_id,
                    "service_id": key.caller.service_id,
                    "scopes": sorted(scope.value for scope in key.caller.scopes),
                    "created_at": key.created_at,
                    "expires_at": key.expires_at,
                    "revoked_at": key.revoked_at,
                },
            )

    async def find_by_hash(self, secret_hash: bytes) -> ApiKey | None:
        async with self._database.transaction() as connection:
            rows = await connection.execute(_FIND, {"secret_hash": secret_hash})
            row = rows.one_or_none()
        return None if row is None else _key_of(row)

    async def list_keys(self, tenant_id: str) -> Sequence[ApiKey]:
        async with self._database.tenant(tenant_id) as connection:
            rows = await connection.execute(_LIST, {"tenant_id": tenant_id})
        return [_key_of(row) for row in rows]

    async def revoke(self, tenant_id: str, key_id: UUID, at: datetime) -> ApiKey | None:
        """Revoke a key for good; one that was revoked before keeps its first time."""
        async with self._database.tenant(tenant_id) as connection:
            rows = await connection.execute(
                _REVOKE, {"tenant_id": tenant_id, "id": key_id, "at": at}
            )
            row = rows.one_or_none()
        return None if row is None else _key_of(row)


def _key_of(row: Row[Any]) -> ApiKey:
    return ApiKey(
        id=row.id,
        caller=Caller(
            row.tenant_id,
            row.user_id,
            row.service_id,
            parse_scopes(" ".join(row.scopes)),
            api_key_id=str(row.id),
        ),
        name=row.name,
        prefix=row.prefix,
        created_at=row.created_at,
        expires_at=row.expires_at,
        revoked_at=row.revoked_at,
    )
