"""Sums over the usage rows."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Row, TextClause, text

from assistant.adapters.postgres.connection import Database
from assistant.domain.usage import UsageShare, UsageSummary, UsageWindow


def _summary_by(column: str) -> TextClause:
    """Totals, shares by model and shares by feature of each subject, in one pass over its rows."""
    return text(
        f"""
        SELECT {column} AS subject, model, feature,
               grouping(model) = 0 AS is_model, grouping(feature) = 0 AS is_feature,
               count(*) AS requests,
               count(*) FILTER (WHERE status = 'FAILED') AS failed_requests,
               count(*) FILTER (WHERE cache IN ('EXACT', 'SEMANTIC', 'COALESCED'))
                   AS cached_requests,
               sum(prompt_tokens) AS prompt_tokens,
               sum(completion_tokens) AS completion_tokens,
               sum(cost) AS cost,
               sum(saved_cost) AS saved_cost
        FROM usage_logs
        WHERE tenant_id = :tenant_id
          AND {column} = ANY(CAST(:subjects AS text[]))
          AND created_at >= :start AND created_at < :end
        GROUP BY GROUPING SETS (({column}), ({column}, model), ({column}, feature))
        ORDER BY sum(cost) DESC, sum(prompt_tokens + completion_tokens) DESC, model, feature
        """  # noqa: S608 - the column is one of the two below
    )


_BY_USER = _summary_by("user_id")
_BY_SERVICE = _summary_by("service_id")


class PostgresUsage:
    """The UsageStore port. Shares come with the dearest first."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def summarize_users(
        self, tenant_id: str, user_ids: Sequence[str], window: UsageWindow
    ) -> Mapping[str, UsageSummary]:
        return await self._summarize(_BY_USER, tenant_id, user_ids, window)

    async def summarize_services(
        self, tenant_id: str, service_ids: Sequence[str], window: UsageWindow
    ) -> Mapping[str, UsageSummary]:
        return await self._summarize(_BY_SERVICE, tenant_id, service_ids, window)

    async def _summarize(
        self, statement: TextClause, tenant_id: str, subjects: Sequence[str], window: UsageWindow
    ) -> Mapping[str, UsageSummary]:
        async with self._database.tenant(tenant_id) as connection:
            rows = await connection.execute(
                statement,
                {
                    "tenant_id": tenant_id,
                    "subjects": list(subjects),
                    "start": window.start,
                    "end": window.end,
                },
            )
        of_subject: dict[str, list[Row[Any]]] = defaultdict(list)
        for row in rows:
            of_subject[row.subject].append(row)
        return {subject: _summary(window, of_subject[subject]) for subject in subjects}


def _summary(window: UsageWindow, rows: Sequence[Row[Any]]) -> UsageSummary:
    total = next((row for row in rows if not row.is_model and not row.is_feature), None)
    if total is None:
        return UsageSummary(window)
    return UsageSummary(
        window=window,
        requests=total.requests,
        failed_requests=total.failed_requests,
        cached_requests=total.cached_requests,
        prompt_tokens=total.prompt_tokens,
        completion_tokens=total.completion_tokens,
        cost=total.cost,
        saved_cost=total.saved_cost,
        by_model=tuple(_share(row.model, row) for row in rows if row.is_model),
        by_feature=tuple(_share(row.feature, row) for row in rows if row.is_feature),
    )


def _share(key: str | None, row: Row[Any]) -> UsageShare:
    """``key`` is empty for requests that named no feature or never got as far as a model."""
    return UsageShare(key or "", row.requests, row.prompt_tokens + row.completion_tokens, row.cost)
