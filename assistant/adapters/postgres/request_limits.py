"""Limits of requests: whether a tenant has any, and their buckets, taken of for many at once."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, LiteralString

from sqlalchemy import text

from assistant.adapters.postgres.admissions import duration, named, whose
from assistant.adapters.postgres.connection import Database
from assistant.adapters.postgres.group_commit import GroupCommit
from assistant.adapters.postgres.own_connection import OwnConnection
from assistant.domain.budget import LimitScope
from assistant.domain.caller import Caller
from assistant.domain.rate_limit import LimitMeasure
from assistant.errors import LimitReached

_IS_LIMITED = text(
    "SELECT EXISTS (SELECT FROM rate_limits WHERE tenant_id = :tenant_id AND measure = 'REQUESTS')"
)
_TAKE: Final[LiteralString] = "SELECT * FROM assistant_take_requests(%s, %s)"
_TIMEOUT_S = 5.0


@dataclass(slots=True, eq=False)
class _Request:
    """Somebody's, and why it may not be made now; None where it may."""

    caller: Caller
    refusal: LimitReached | None = None


class PostgresRequestLimits:
    """The RequestLimitStore port: grouped, on a connection of its own.

    Of what was taken the server's memory is enough: after a crash all buckets are full. Where the
    connection breaks before the answer has come, a group may be taken twice, and is never let
    through untaken.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._connection = OwnConnection(
            database, timeout_s=_TIMEOUT_S, whose="The limits of requests"
        )
        self._group = GroupCommit(self._take)

    async def close(self) -> None:
        """Answer who waits, then disconnect."""
        await self._group.flush()
        await self._connection.close()

    async def is_limited(self, tenant_id: str) -> bool:
        async with self._database.tenant(tenant_id) as connection:
            rows = await connection.execute(_IS_LIMITED, {"tenant_id": tenant_id})
            return bool(rows.scalar_one())

    async def take(self, caller: Caller) -> None:
        request = _Request(caller)
        await self._group.submit(request)
        if request.refusal is not None:
            raise request.refusal

    async def _take(self, requests: Sequence[_Request]) -> None:
        # Who asks often is looked up once; whose turn it is says the second list.
        numbers: dict[tuple[str | None, ...], int] = {}
        turns = [numbers.setdefault(_key(request.caller), len(numbers) + 1) for request in requests]
        callers = json.dumps([dict(zip(_FIELDS, key, strict=True)) for key in numbers])
        for refused in await self._connection.fetch(_TAKE, (callers, turns)):
            requests[refused.turn - 1].refusal = _refusal(refused)


_FIELDS: Final = ("tenant_id", "user_id", "service_id", "api_key_id")


def _key(caller: Caller) -> tuple[str | None, ...]:
    """What limits know a caller by, in the order of ``_FIELDS``."""
    return (caller.tenant_id, caller.user_id, caller.service_id, caller.api_key_id)


def _refusal(row: Any) -> LimitReached:
    scope, after_s = LimitScope(row.scope), row.retry_after_ms / 1000
    return LimitReached(
        f"The rate limit {whose(scope, row.subject)} of {row.capacity:,} requests at once and "
        f"{row.per_minute:,} per minute is used up. Try again in {duration(after_s)}.",
        retry_after_s=after_s,
        details=named(scope, row.subject) | {"measure": LimitMeasure.REQUESTS.value},
    )
