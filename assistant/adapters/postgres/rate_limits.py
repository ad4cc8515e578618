"""A tenant's rate limits and what is in their buckets, read and changed; others take of them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import text

from assistant.adapters.postgres.connection import Database
from assistant.domain.budget import LimitScope, Members
from assistant.domain.rate_limit import LimitMeasure, RateLimit, RateLimitLevel

# Those of every member are about whom no other limit names.
_LIST = text(
    """
    WITH m AS (
        SELECT * FROM unnest(CAST(:scopes AS text[]), CAST(:subjects AS text[]))
            AS m (scope, subject)
    )
    SELECT l.*, coalesce((
        SELECT min(assistant_refilled(
            k.level, k.refilled_at, l.capacity, l.per_minute, clock_timestamp()))
        FROM rate_buckets AS k
        WHERE k.tenant_id = l.tenant_id AND k.limit_id = l.id
          AND (:sees_all OR EXISTS (
              SELECT FROM m WHERE m.scope = l.scope AND m.subject = k.subject))
          AND (l.scope = 'GLOBAL' OR l.subject <> '' OR NOT EXISTS (
              SELECT FROM rate_limits AS n
              WHERE n.tenant_id = l.tenant_id AND n.scope = l.scope AND n.subject = k.subject
                AND n.measure = l.measure))
        ), l.capacity * 60000000::bigint) AS level
    FROM rate_limits AS l
    WHERE l.tenant_id = :tenant_id AND (CAST(:id AS uuid) IS NULL OR l.id = :id)
      AND (:sees_all OR EXISTS (
          SELECT FROM m WHERE m.scope = l.scope AND (
              m.subject = l.subject OR l.subject = '' AND NOT EXISTS (
                  SELECT FROM rate_limits AS n
                  WHERE n.tenant_id = l.tenant_id AND n.scope = l.scope
                    AND n.subject = m.subject AND n.measure = l.measure))))
    ORDER BY array_position(ARRAY['GLOBAL', 'SERVICE', 'USER', 'API_KEY'], l.scope), l.subject,
             l.measure
    """
)
# One after the other: two of them could find room for one.
_HOLD = text("SELECT pg_advisory_xact_lock(hashtextextended(:tenant_id, 4837201569))")
_PUT = text(
    """
    INSERT INTO rate_limits (tenant_id, id, scope, subject, measure, capacity, per_minute,
                             created_at, updated_at)
    SELECT :tenant_id, :id, :scope, :subject, :measure, :capacity, :per_minute, :at, :at
    WHERE (SELECT count(*) FROM rate_limits WHERE tenant_id = :tenant_id) < :most OR EXISTS (
        SELECT FROM rate_limits
        WHERE tenant_id = :tenant_id AND scope = :scope AND subject = :subject
          AND measure = :measure)
    ON CONFLICT (tenant_id, scope, subject, measure) DO UPDATE SET
        capacity = excluded.capacity, per_minute = excluded.per_minute,
        updated_at = excluded.updated_at
    RETURNING id
    """
)
# Its buckets are left to the job that tidies: somebody may be taking of them.
_DELETE = text("DELETE FROM rate_limits WHERE tenant_id = :tenant_id AND id = :id")
_UNITS_PER_TOKEN = 60_000_000


class PostgresRateLimits:
    """The RateLimitStore port."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def list_limits(
        self, tenant_id: str, members: Members | None = None
    ) -> Sequence[RateLimitLevel]:
        return await self._levels(tenant_id, members, None)

    async def find_limit(self, tenant_id: str, id_: UUID) -> RateLimitLevel | None:
        found = await self._levels(tenant_id, None, id_)
        return found[0] if found else None

    async def put_limit(self, limit: RateLimit, at: datetime, most: int) -> UUID | None:
        parameters = {
            "tenant_id": limit.tenant_id,
            "id": limit.id,
            "scope": limit.scope,
            "subject": limit.subject or "",
            "measure": limit.measure,
            "capacity": limit.capacity,
            "per_minute": limit.per_minute,
            "at": at,
            "most": most,
        }
        async with self._database.tenant(limit.tenant_id) as connection:
            await connection.execute(_HOLD, {"tenant_id": limit.tenant_id})
            id_: UUID | None = (await connection.execute(_PUT, parameters)).scalar()
        return id_

    async def delete_limit(self, tenant_id: str, id_: UUID) -> bool:
        async with self._database.tenant(tenant_id) as connection:
            deleted = await connection.execute(_DELETE, {"tenant_id": tenant_id, "id": id_})
        return deleted.rowcount > 0

    async def _levels(
        self, tenant_id: str, members: Members | None, id_: UUID | None
    ) -> list[RateLimitLevel]:
        seen = members or {}
        parameters = {
            "tenant_id": tenant_id,
            "id": id_,
            "sees_all": members is None,
            "scopes": list(seen),
            "subjects": list(seen.values()),
        }
        async with self._database.tenant(tenant_id) as connection:
            rows = (await connection.execute(_LIST, parameters)).all()
        return [
            RateLimitLevel(
                RateLimit(
                    id=row.id,
                    tenant_id=row.tenant_id,
                    scope=LimitScope(row.scope),
                    subject=row.subject or None,
                    measure=LimitMeasure(row.measure),
                    capacity=row.capacity,
                    per_minute=row.per_minute,
                ),
                available=max(row.level, 0) // _UNITS_PER_TOKEN,
            )
            for row in rows
        ]
