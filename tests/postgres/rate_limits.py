"""Rate limits and buckets as rows, for tests."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID, uuid4

from tests.postgres.server import DatabaseUrls, connect

REQUEST: Final = 60_000_000
"""One request or token, in a bucket's units."""


@dataclass(frozen=True)
class Bucket:
    """As it was when it was last taken of."""

    level: int
    refilled_at: datetime

    def level_at(self, at: datetime, per_minute: int, capacity: int) -> int:
        """In its units: one microsecond fills in as many of them as there are in a minute."""
        return min(capacity * REQUEST, self.level + per_minute * microseconds(self.refilled_at, at))


def microseconds(since: datetime, until: datetime) -> int:
    passed = until - since
    return (passed.days * 86_400 + passed.seconds) * 1_000_000 + passed.microseconds


async def set_limit(
    urls: DatabaseUrls,
    scope: str,
    capacity: int,
    per_minute: int,
    *,
    subject: str = "",
    measure: str = "REQUESTS",
    tenant_id: str = "acme",
) -> UUID:
    """The id of a new limit."""
    id_ = uuid4()
    async with await connect(urls.superuser) as connection:
        await connection.execute(
            "INSERT INTO rate_limits VALUES (%s, %s, %s, %s, %s, %s, %s, now(), now())",
            (tenant_id, id_, scope, subject, measure, capacity, per_minute),
        )
    return id_


async def fill(urls: DatabaseUrls, limit: UUID, level: int, *, subject: str = "") -> None:
    """A bucket of tenant acme's as if it had just been left at ``level``."""
    async with await connect(urls.superuser) as connection:
        await connection.execute(
            "INSERT INTO rate_buckets VALUES ('acme', %s, %s, %s, clock_timestamp()) "
            "ON CONFLICT (tenant_id, limit_id, subject) DO UPDATE "
            "SET level = excluded.level, refilled_at = excluded.refilled_at",
            (limit, subject, level),
        )


async def buckets(urls: DatabaseUrls, limit: UUID) -> dict[str, Bucket]:
    """A limit's buckets by subject."""
    async with await connect(urls.superuser) as connection:
        await connection.execute("SET timezone = 'UTC'")
        cursor = await connection.execute(
            "SELECT subject, level, refilled_at FROM rate_buckets WHERE limit_id = %s", (limit,)
        )
        return {row[0]: Bucket(row[1], row[2]) for row in await cursor.fetchall()}
