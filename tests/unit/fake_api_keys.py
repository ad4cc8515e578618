"""An ApiKeyStore in memory, written by hand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from uuid import UUID

from assistant.domain.api_key import ApiKey


@dataclass
class FakeApiKeyStore:
    """Counts lookups; fails where it is told to."""

    rows: dict[bytes, ApiKey] = field(default_factory=dict)
    lookups: int = 0
    error: Exception | None = None

    async def add(self, key: ApiKey, secret_hash: bytes) -> None:
        self.rows[secret_hash] = key

    async def find_by_hash(self, secret_hash: bytes) -> ApiKey | None:
        self.lookups += 1
        if self.error:
            raise self.error
        return self.rows.get(secret_hash)

    async def list_keys(self, tenant_id: str) -> Sequence[ApiKey]:
        return [key for key in self.rows.values() if key.caller.tenant_id == tenant_id]

    async def revoke(self, tenant_id: str, key_id: UUID, at: datetime) -> ApiKey | None:
        for secret_hash, key in self.rows.items():
            if key.id == key_id and key.caller.tenant_id == tenant_id:
                self.rows[secret_hash] = replace(key, revoked_at=key.revoked_at or at)
                return self.rows[secret_hash]
        return None
