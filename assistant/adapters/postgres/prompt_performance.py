"""What the tenant's requests came to, by prompt and version."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Row, TextClause, text

from assistant.adapters.postgres.connection import Database
from assistant.domain.caller import PLATFORM_TENANT
from assistant.domain.performance import (
    LatencyPercentiles,
    Performance,
    PromptLatencies,
    PromptPerformance,
)
from assistant.domain.prompt_test import TEST_FEATURE
from assistant.domain.usage import UsageWindow

# ruff: noqa: S608 - statements are put together from constants only; values are parameters

_VERSIONS = """
    SELECT prompt_id, id FROM prompt_versions
    WHERE tenant_id IN (:tenant_id, :platform) AND prompt_id = ANY(CAST(:prompt_ids AS uuid[]))
"""
# Word for word what the index of these rows says, or it would not be used.
_COUNTS = f"""
    u.tenant_id = :tenant_id AND u.prompt_version_id IS NOT NULL AND u.operation = 'chat'
    AND u.feature IS DISTINCT FROM '{TEST_FEATURE}' AND u.attempt = 0
"""


# Summed up for each version on its own: many versions have no rows, and a plan that takes them for
# equally used reads whole tables instead of their places in an index.
_HOURS = """
    SELECT v.prompt_id, v.id, h.*
    FROM versions AS v CROSS JOIN LATERAL (
        SELECT sum(h.requests) AS requests, sum(h.succeeded) AS succeeded, sum(h.failed) AS failed,
               sum(h.total_tokens) AS total_tokens, sum(h.cost) AS cost,
               sum(h.latency_ms) AS latency_ms
        FROM prompt_version_hours AS h
        WHERE h.tenant_id = :tenant_id AND h.prompt_version_id = v.id
          AND h.hour >= :first_hour AND h.hour < :last_hour
    ) AS h WHERE h.requests > 0
"""


def _rows(start: str, end: str) -> str:
    """What the usage rows of a time add up to."""
    return f"""
        SELECT v.prompt_id, v.id, u.*
        FROM versions AS v CROSS JOIN LATERAL (
            SELECT count(*) AS requests,
                   count(*) FILTER (WHERE u.status = 'SUCCEEDED') AS succeeded,
                   count(*) FILTER (WHERE u.status = 'FAILED') AS failed,
                   sum(u.prompt_tokens::bigint + u.completion_tokens) AS total_tokens,
                   sum(u.cost) AS cost,
                   coalesce(sum(u.latency_ms) FILTER (WHERE u.status = 'SUCCEEDED'), 0)
                       AS latency_ms
            FROM usage_logs AS u
            WHERE {_COUNTS} AND u.prompt_version_id = v.id
              AND u.created_at >= :{start} AND u.created_at < :{end}
        ) AS u WHERE u.requests > 0
    """


# Whole hours have been added up already; what a window cuts off of an hour is added up now.
_PERFORMANCE = text(
    f"""
    WITH versions AS MATERIALIZED ({_VERSIONS}), figures AS (
        {_HOURS} UNION ALL {_rows("start", "first_hour")} UNION ALL {_rows("last_hour", "end")}
    )
    SELECT prompt_id, id AS version_id, sum(requests)::bigint AS requests,
           sum(succeeded)::bigint AS succeeded, sum(failed)::bigint AS failed,
           sum(total_tokens)::bigint AS total_tokens, sum(cost) AS cost,
           sum(latency_ms)::bigint AS latency_ms
    FROM figures GROUP BY prompt_id, id
    """
)
_LATENCIES = text(
    f"""
    WITH versions AS MATERIALIZED ({_VERSIONS})
    SELECT v.prompt_id, v.id AS version_id, grouping(v.id) = 0 AS is_of_version,
           percentile_disc(ARRAY[0.5, 0.95]) WITHIN GROUP (ORDER BY u.latency_ms) AS percentiles
    FROM versions AS v CROSS JOIN LATERAL (
        SELECT u.latency_ms FROM usage_logs AS u
        WHERE {_COUNTS} AND u.prompt_version_id = v.id AND u.status = 'SUCCEEDED'
          AND u.created_at >= :start AND u.created_at < :end
        OFFSET 0
    ) AS u
    GROUP BY GROUPING SETS ((v.prompt_id), (v.prompt_id, v.id))
    """
)


class PostgresPromptPerformance:
    """The PerformanceStore port."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def performance(
        self, tenant_id: str, prompt_ids: Sequence[UUID], window: UsageWindow
    ) -> Mapping[UUID, PromptPerformance]:
        first_hour, last_hour = whole_hours(window)
        hours = {"first_hour": first_hour, "last_hour": last_hour}
        rows = await self._fetch(_PERFORMANCE, tenant_id, prompt_ids, window, **hours)
        by_version: dict[UUID, dict[UUID, Performance]] = defaultdict(dict)
        for row in rows:
            by_version[row.prompt_id][row.version_id] = Performance(
                requests=row.requests,
                succeeded=row.succeeded,
                failed=row.failed,
                total_tokens=row.total_tokens,
                cost=row.cost,
                latency_ms=row.latency_ms,
            )
        return {id_: PromptPerformance(window, by_version[id_]) for id_ in prompt_ids}

    async def latencies(
        self, tenant_id: str, prompt_ids: Sequence[UUID], window: UsageWindow
    ) -> Mapping[UUID, PromptLatencies]:
        totals: dict[UUID, LatencyPercentiles] = {}
        by_version: dict[UUID, dict[UUID, LatencyPercentiles]] = defaultdict(dict)
        for row in await self._fetch(_LATENCIES, tenant_id, prompt_ids, window):
            percentiles = LatencyPercentiles(*row.percentiles)
            if row.is_of_version:
                by_version[row.prompt_id][row.version_id] = percentiles
            else:
                totals[row.prompt_id] = percentiles
        return {
            id_: PromptLatencies(totals.get(id_, LatencyPercentiles()), by_version[id_])
            for id_ in prompt_ids
        }

    async def _fetch(
        self,
        statement: TextClause,
        tenant_id: str,
        prompt_ids: Sequence[UUID],
        window: UsageWindow,
        **parameters: object,
    ) -> Sequence[Row[Any]]:
        wanted = {
            "tenant_id": tenant_id,
            "platform": PLATFORM_TENANT,
            "prompt_ids": list(prompt_ids),
            "start": window.start,
            "end": window.end,
        }
        async with self._database.tenant(tenant_id) as connection:
            rows = await connection.execute(statement, wanted | parameters)
        return rows.all()


def whole_hours(window: UsageWindow) -> tuple[datetime, datetime]:
    """From where to where the window consists of whole hours; both its end where it has none."""
    first = _hour_of(window.start)
    if first < window.start:
        first += timedelta(hours=1)
    last = _hour_of(window.end)
    return (first, last) if first <= last else (window.end, window.end)


def _hour_of(moment: datetime) -> datetime:
    return moment.replace(minute=0, second=0, microsecond=0)
