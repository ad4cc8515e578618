"""Sums of usage: whole hours have been added up already, what a window cuts of one is added up now."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Row, TextClause

from assistant.adapters.postgres.connection import Database
from assistant.adapters.postgres.prompt_performance import whole_hours
from assistant.adapters.postgres.usage_statements import (
    BY_SERVICE,
    BY_USER,
    SERVICE_TREND,
    TENANT_TREND,
    TOP_USERS,
    USER_TREND,
)
from assistant.domain.ports import UsageSubject
from assistant.domain.usage import (
    UsageMeasure,
    UsagePoint,
    UsageShare,
    UsageSummary,
    UsageWindow,
    UserUsage,
)


class PostgresUsage:
    """The UsageStore port. Shares come with the dearest first."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def summarize_users(
        self, tenant_id: str, user_ids: Sequence[str], window: UsageWindow
    ) -> Mapping[str, UsageSummary]:
        return await self._summarize(BY_USER, tenant_id, user_ids, window)

    async def summarize_services(
        self, tenant_id: str, service_ids: Sequence[str], window: UsageWindow
    ) -> Mapping[str, UsageSummary]:
        return await self._summarize(BY_SERVICE, tenant_id, service_ids, window)

    async def top_users(
        self, tenant_id: str, window: UsageWindow, limit: int, by: UsageMeasure
    ) -> Sequence[UserUsage]:
        first_hour, last_hour = whole_hours(window)
        first_day, last_day = _whole_days(first_hour, last_hour)
        rows = await self._fetch(
            TOP_USERS[by],
            tenant_id,
            start=window.start,
            end=window.end,
            first_hour=first_hour,
            last_hour=last_hour,
            first_day=first_day,
            last_day=last_day,
            most=limit,
        )
        return [UserUsage(row.user_id, row.requests, row.total_tokens, row.cost) for row in rows]

    async def trend(
        self, tenant_id: str, window: UsageWindow, steps: Sequence[UsageWindow], whose: UsageSubject
    ) -> Sequence[UsagePoint]:
        hours, cuts = _spans(window, steps)
        spans = {
            "hour_places": [place for place, _ in hours],
            "hour_starts": [span.start for _, span in hours],
            "hour_ends": [span.end for _, span in hours],
            "row_places": [place for place, _ in cuts],
            "row_starts": [span.start for _, span in cuts],
            "row_ends": [span.end for _, span in cuts],
        }
        if whose.user_id is not None:
            rows = await self._fetch(USER_TREND, tenant_id, subject=whose.user_id, **spans)
        elif whose.service_id is not None:
            rows = await self._fetch(SERVICE_TREND, tenant_id, subject=whose.service_id, **spans)
        else:
            rows = await self._fetch(TENANT_TREND, tenant_id, **spans)
        found = {row.place: row for row in rows}
        return [_point(step.start, found.get(place)) for place, step in enumerate(steps)]

    async def _summarize(
        self, statement: TextClause, tenant_id: str, subjects: Sequence[str], window: UsageWindow
    ) -> Mapping[str, UsageSummary]:
        first_hour, last_hour = whole_hours(window)
        rows = await self._fetch(
            statement,
            tenant_id,
            subjects=list(subjects),
            start=window.start,
            end=window.end,
            first_hour=first_hour,
            last_hour=last_hour,
        )
        of_subject: dict[str, list[Row[Any]]] = defaultdict(list)
        for row in rows:
            of_subject[row.subject].append(row)
        return {subject: _summary(window, of_subject[subject]) for subject in subjects}

    async def _fetch(
        self, statement: TextClause, tenant_id: str, **parameters: object
    ) -> Sequence[Row[Any]]:
        async with self._database.tenant(tenant_id) as connection:
            rows = await connection.execute(statement, {"tenant_id": tenant_id} | parameters)
        return rows.all()


def _whole_days(first_hour: datetime, last_hour: datetime) -> tuple[datetime, datetime]:
    """From where to where it is whole days of UTC; both the end where there is none."""
    day = timedelta(days=1)
    first = first_hour.astimezone(UTC).replace(hour=0)
    if first < first_hour:
        first += day
    last = last_hour.astimezone(UTC).replace(hour=0)
    return (first, last) if first <= last else (last_hour, last_hour)


def _spans(
    window: UsageWindow, steps: Sequence[UsageWindow]
) -> tuple[list[tuple[int, UsageWindow]], list[tuple[int, UsageWindow]]]:
    """The whole hours of each step within ``window``, and what is left of it, by the step's place."""
    hours: list[tuple[int, UsageWindow]] = []
    cuts: list[tuple[int, UsageWindow]] = []
    for place, step in enumerate(steps):
        start, end = max(step.start, window.start), min(step.end, window.end)
        first, last = whole_hours(UsageWindow(start, end))
        if first < last:
            hours.append((place, UsageWindow(first, last)))
        around = (UsageWindow(start, first), UsageWindow(last, end))
        cuts.extend((place, cut) for cut in around if cut.start < cut.end)
    return hours, cuts


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
        cached_tokens=total.cached_tokens,
        reasoning_tokens=total.reasoning_tokens,
        unpriced_attempts=total.unpriced_attempts,
        cost=total.cost,
        saved_cost=total.saved_cost,
        by_model=tuple(_share(row.model, row) for row in rows if row.is_model),
        by_feature=tuple(_share(row.feature, row) for row in rows if row.is_feature),
    )


def _share(key: str, row: Row[Any]) -> UsageShare:
    """``key`` is empty for requests that named no feature or never got as far as a model."""
    return UsageShare(key, row.requests, row.prompt_tokens + row.completion_tokens, row.cost)


def _point(at: datetime, row: Row[Any] | None) -> UsagePoint:
    if row is None:
        return UsagePoint(at)
    return UsagePoint(at, row.requests, row.total_tokens, row.cost)
