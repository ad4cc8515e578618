"""Which completion answers which idempotency key: durable, and claimed by many in one statement."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import text

from assistant.adapters.postgres.connection import Database
from assistant.adapters.postgres.group_commit import GroupCommit
from assistant.domain.idempotency import IdempotencyKey, KeyHolder

_CLAIM = text("SELECT * FROM assistant_claim_keys(CAST(:claims AS json))")
_HELD = """
    WHERE tenant_id = :tenant_id AND owner = :owner AND key = :key
      AND completion_id = :completion_id
"""
_KEEP_ERROR = text(f"UPDATE idempotency_keys SET error = CAST(:error AS json) {_HELD}")  # noqa: S608 - constants
_RELEASE = text(f"DELETE FROM idempotency_keys {_HELD}")  # noqa: S608 - constants
_CLEAN = text("SELECT assistant_clean_keys(:most)")
_CLEANED_AT_ONCE = 10_000


@dataclass(slots=True, eq=False)
class _Claim:
    """``holder`` is the answer, once it is durable."""

    key: IdempotencyKey
    completion_id: UUID
    fingerprint: bytes
    instead_of: UUID | None
    holder: KeyHolder | None = None


class PostgresIdempotency:
    """The IdempotencyStore port."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._group = GroupCommit(self._claim)

    async def claim(
        self,
        key: IdempotencyKey,
        completion_id: UUID,
        fingerprint: bytes,
        instead_of: UUID | None = None,
    ) -> KeyHolder:
        claim = _Claim(key, completion_id, fingerprint, instead_of)
        await self._group.submit(claim)
        assert claim.holder is not None
        return claim.holder

    async def keep_error(
        self, key: IdempotencyKey, completion_id: UUID, error: Mapping[str, object]
    ) -> None:
        parameters = _parameters(key, completion_id) | {"error": json.dumps(error)}
        async with self._database.tenant(key.tenant_id) as connection:
            await connection.execute(_KEEP_ERROR, parameters)

    async def release(self, key: IdempotencyKey, completion_id: UUID) -> None:
        async with self._database.tenant(key.tenant_id) as connection:
            await connection.execute(_RELEASE, _parameters(key, completion_id))

    async def _claim(self, claims: Sequence[_Claim]) -> None:
        rows = [
            {
                "place": place,
                "tenant_id": claim.key.tenant_id,
                "owner": claim.key.owner,
                "key": claim.key.key,
                "fingerprint_hex": claim.fingerprint.hex(),
                "completion_id": str(claim.completion_id),
                "instead_of": None if claim.instead_of is None else str(claim.instead_of),
            }
            for place, claim in enumerate(claims)
        ]
        async with self._database.transaction() as connection:
            holders = list(await connection.execute(_CLAIM, {"claims": json.dumps(rows)}))
        for row in holders:
            claims[row.place].holder = KeyHolder(row.completion_id, row.fingerprint, row.error)


async def clean_keys(database: Database) -> str:
    """Forget keys after 24 hours; how many, in one line. Safe when several workers do it at once.

    Raises: StorageUnavailable.
    """
    cleaned = 0
    while True:
        async with database.transaction() as connection:
            batch = (await connection.execute(_CLEAN, {"most": _CLEANED_AT_ONCE})).scalar_one()
        cleaned += batch
        if batch < _CLEANED_AT_ONCE:
            return f"idempotency keys: {cleaned} forgotten"


def _parameters(key: IdempotencyKey, completion_id: UUID) -> dict[str, object]:
    return {
        "tenant_id": key.tenant_id,
        "owner": key.owner,
        "key": key.key,
        "completion_id": completion_id,
    }
