"""The cache as a whole: what is removed from it, what it holds, and what it did."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from decimal import Decimal

from sqlalchemy import TextClause, text

from assistant.adapters.postgres.cache_rows import request_of
from assistant.adapters.postgres.connection import Database
from assistant.domain.cache import CacheFigures, CacheOutcome, CacheUpkeep, WarmingTask
from assistant.domain.usage import UsageWindow

# Each batch is a transaction of its own; what is worth least is found anew for each.
_EXPIRED_AT_ONCE = 2_000
_EVICTED_AT_ONCE = 20_000

# To rank a million entries takes seconds, and nobody waits for it.
_TAKE_TIME = text("SET LOCAL statement_timeout = '2min'")
_EXPIRE = text("SELECT assistant_expire_cached(:most)")
_EVICT = text("SELECT assistant_evict_cached(:max_bytes, :most)")
# Counted by one replica, shown by all.
_MEASURE = text(
    """
    SELECT entries, size_bytes, pg_notify('assistant_cache', json_build_object(
        'entries', entries, 'size_bytes', size_bytes)::text)
    FROM assistant_measure_cache()
    """
)
_FIGURES = text(
    """
    SELECT cache, count(*) AS requests, sum(saved_tokens)::bigint AS saved_tokens,
           sum(saved_cost) AS saved_cost
    FROM usage_logs
    WHERE tenant_id = :tenant_id AND operation = 'chat' AND attempt = 0
      AND created_at >= :start AND created_at < :end
    GROUP BY cache
    """
)
_COUNT = text(
    "SELECT count(*) FROM cache_entries WHERE tenant_id = :tenant_id AND expires_at > now()"
)
_WARMING = text(
    "SELECT tenant_id, id, request FROM assistant_list_cache_warming(:before, :prompts, :entries)"
)


class PostgresCacheUpkeep:
    """The CacheUpkeepStore port. Safe when several workers do it at once: rows in use are skipped."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def clean(self, max_bytes_per_tenant: int) -> CacheUpkeep:
        """Also forgets questions that nobody asks any more.

        Worth most is what saved most tokens for its bytes, counted once and once for each use; half
        as much for every day since it was last of use.
        """
        expired = await self._in_batches(_EXPIRE, _EXPIRED_AT_ONCE)
        evicted = await self._in_batches(
            _EVICT.bindparams(max_bytes=max_bytes_per_tenant), _EVICTED_AT_ONCE
        )
        return replace(await self.measure(), expired=expired, evicted=evicted)

    async def measure(self) -> CacheUpkeep:
        async with self._database.transaction() as connection:
            row = (await connection.execute(_MEASURE)).one()
        return CacheUpkeep(entries=row.entries, size_bytes=row.size_bytes)

    async def figures(self, tenant_id: str, window: UsageWindow) -> CacheFigures:
        wanted = {"tenant_id": tenant_id, "start": window.start, "end": window.end}
        async with self._database.tenant(tenant_id) as connection:
            rows = {row.cache: row for row in await connection.execute(_FIGURES, wanted)}
            entries = (await connection.execute(_COUNT, {"tenant_id": tenant_id})).scalar_one()
        requests = {outcome: row.requests for outcome, row in rows.items()}
        return CacheFigures(
            entries=entries,
            exact_hits=requests.get(CacheOutcome.EXACT, 0),
            semantic_hits=requests.get(CacheOutcome.SEMANTIC, 0),
            coalesced=requests.get(CacheOutcome.COALESCED, 0),
            misses=requests.get(CacheOutcome.MISS, 0),
            saved_tokens=sum(row.saved_tokens for row in rows.values()),
            saved_cost=sum((row.saved_cost for row in rows.values()), Decimal(0)),
        )

    async def list_warming(
        self, before: datetime, prompts: int, entries: int
    ) -> Sequence[WarmingTask]:
        """Of entries that were of use, and made to live for an hour at least."""
        wanted = {"before": before, "prompts": prompts, "entries": entries}
        async with self._database.transaction() as connection:
            rows = await connection.execute(_WARMING, wanted)
        return [WarmingTask(row.id, request_of(row.tenant_id, row.request)) for row in rows]

    async def _in_batches(self, statement: TextClause, most: int) -> int:
        """How many rows went, in transactions of at most ``most`` each."""
        gone = 0
        while True:
            async with self._database.transaction() as connection:
                await connection.execute(_TAKE_TIME)
                batch: int = (await connection.execute(statement, {"most": most})).scalar_one()
            gone += batch
            if batch < most:
                return gone
