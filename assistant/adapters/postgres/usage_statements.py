"""What the store of usage asks the database."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import TextClause, text

from assistant.domain.usage import UsageMeasure

# ruff: noqa: S608 - statements are put together from constants only; values are parameters

# What one usage row adds, as the trigger that fills the hours counts it: a request is its attempt 0,
# what it used are the others.
_ADDED = {
    "requests": "(attempt = 0)::integer",
    "failed_requests": "(attempt = 0 AND status = 'FAILED')::integer",
    "cached_requests": ("(attempt = 0 AND cache IN ('EXACT', 'SEMANTIC', 'COALESCED'))::integer"),
    "prompt_tokens": "CASE WHEN attempt > 0 THEN prompt_tokens ELSE 0 END",
    "completion_tokens": "CASE WHEN attempt > 0 THEN completion_tokens ELSE 0 END",
    "cached_tokens": "CASE WHEN attempt > 0 THEN cached_tokens ELSE 0 END",
    "reasoning_tokens": "CASE WHEN attempt > 0 THEN reasoning_tokens ELSE 0 END",
    "unpriced_attempts": "(attempt > 0 AND cost IS NULL)::integer",
    "cost": "CASE WHEN attempt > 0 THEN coalesce(cost, 0) ELSE 0 END",
    "saved_cost": "CASE WHEN attempt = 0 THEN saved_cost ELSE 0 END",
}
_FEW = ("requests", "prompt_tokens", "completion_tokens", "cost")


def _summed(names: Sequence[str]) -> str:
    return ", ".join(
        f"sum({name}) AS {name}" if "cost" in name else f"sum({name})::bigint AS {name}"
        for name in names
    )


def _hours(table: str, columns: str, start: str, end: str) -> str:
    """Whole hours, or days, of a table of sums."""
    unit = "day" if table == "usage_user_days" else "hour"
    return (
        f"SELECT {columns} FROM {table} "
        f"WHERE tenant_id = :tenant_id AND {unit} >= {start} AND {unit} < {end}"
    )


def _rows(columns: str, start: str, end: str) -> str:
    """Single rows. They lie in the order of their ids, which begin with the time."""
    return f"""
        SELECT {columns} FROM usage_logs
        WHERE tenant_id = :tenant_id
          AND id >= assistant_first_id({start})
          AND id < assistant_first_id({end} + interval '1 ms')
          AND created_at >= {start} AND created_at < {end}
    """


def _summary_by(subject: str, table: str) -> TextClause:
    """Totals, shares by model and shares by feature of each subject."""
    added = ", ".join(f"{sum_} AS {name}" for name, sum_ in _ADDED.items())
    rows = f"{subject} AS subject, model, coalesce(feature, '') AS feature, {added}"
    hours = f"{subject} AS subject, model, feature, {', '.join(_ADDED)}"
    mine = f"AND {subject} = ANY(CAST(:subjects AS text[]))"
    return text(
        f"""
        WITH used AS (
            {_hours(table, hours, ":first_hour", ":last_hour")} {mine}
            UNION ALL {_rows(rows, ":start", ":first_hour")} {mine}
            UNION ALL {_rows(rows, ":last_hour", ":end")} {mine}
        ), parts AS MATERIALIZED (
            SELECT subject, model, feature, {_summed(list(_ADDED))}
            FROM used GROUP BY subject, model, feature
        )
        SELECT subject, model, feature,
               grouping(model) = 0 AS is_model, grouping(feature) = 0 AS is_feature,
               {_summed(list(_ADDED))}
        FROM parts
        GROUP BY GROUPING SETS ((subject), (subject, model), (subject, feature))
        ORDER BY sum(cost) DESC, sum(prompt_tokens + completion_tokens) DESC, model, feature
        """
    )


def _top_users(order: str) -> TextClause:
    """Whole days have been added up as well."""
    few = ", ".join(f"{_ADDED[name]} AS {name}" for name in _FEW)
    rows = f"user_id, {few}"
    sums = f"user_id, {', '.join(_FEW)}"
    somebody = "AND user_id <> ''"
    return text(
        f"""
        WITH used AS (
            {_hours("usage_user_days", sums, ":first_day", ":last_day")} {somebody}
            UNION ALL {_hours("usage_hours", sums, ":first_hour", ":first_day")} {somebody}
            UNION ALL {_hours("usage_hours", sums, ":last_day", ":last_hour")} {somebody}
            UNION ALL {_rows(rows, ":start", ":first_hour")} {somebody}
            UNION ALL {_rows(rows, ":last_hour", ":end")} {somebody}
        ), users AS (
            SELECT user_id, sum(requests)::bigint AS requests,
                   sum(prompt_tokens + completion_tokens)::bigint AS total_tokens,
                   sum(cost) AS cost
            FROM used GROUP BY user_id
        )
        SELECT * FROM users ORDER BY {order}, user_id LIMIT :most
        """
    )


def _trend(table: str, mine: str) -> TextClause:
    """What lies in each of some spans of hours and of rows, each looked up on its own."""
    few = ", ".join(f"{_ADDED[name]} AS {name}" for name in _FEW)
    sums = (
        "sum(requests) AS requests, sum(prompt_tokens + completion_tokens) AS total_tokens, "
        "sum(cost) AS cost"
    )
    return text(
        f"""
        WITH used AS (
            SELECT s.place, u.* FROM unnest(
                CAST(:hour_places AS integer[]), CAST(:hour_starts AS timestamptz[]),
                CAST(:hour_ends AS timestamptz[])) AS s (place, start_at, end_at)
            CROSS JOIN LATERAL (
                SELECT {sums} FROM (
                    {_hours(table, ", ".join(_FEW), "s.start_at", "s.end_at")} {mine}
                ) AS h
            ) AS u
            UNION ALL
            SELECT s.place, u.* FROM unnest(
                CAST(:row_places AS integer[]), CAST(:row_starts AS timestamptz[]),
                CAST(:row_ends AS timestamptz[])) AS s (place, start_at, end_at)
            CROSS JOIN LATERAL (
                SELECT {sums} FROM ({_rows(few, "s.start_at", "s.end_at")} {mine}) AS r
            ) AS u
        )
        SELECT place, sum(requests)::bigint AS requests, sum(total_tokens)::bigint AS total_tokens,
               sum(cost) AS cost
        FROM used WHERE requests IS NOT NULL GROUP BY place
        """
    )


BY_USER = _summary_by("user_id", "usage_hours")
BY_SERVICE = _summary_by("service_id", "usage_service_hours")
TOP_USERS = {
    UsageMeasure.TOKENS: _top_users("total_tokens DESC, cost DESC, requests DESC"),
    UsageMeasure.COST: _top_users("cost DESC, total_tokens DESC, requests DESC"),
    UsageMeasure.REQUESTS: _top_users("requests DESC, cost DESC, total_tokens DESC"),
}
TENANT_TREND = _trend("usage_service_hours", "")
USER_TREND = _trend("usage_hours", "AND user_id = :subject")
SERVICE_TREND = _trend("usage_service_hours", "AND service_id = :subject")
