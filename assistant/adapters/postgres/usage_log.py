"""The usage rows, to be carried out and compared: nothing here reads more than a page or a day."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from uuid import UUID

from sqlalchemy import TextClause, text

from assistant.adapters.postgres.connection import Database
from assistant.domain.provider_usage import Measure, RecordedDay
from assistant.domain.usage import UsageWindow
from assistant.domain.usage_log import UsageRow

_ROWS_PER_PAGE = 10_000
_COLUMNS = ", ".join(UsageRow.__dataclass_fields__)
_KINDS = {None: "", True: "AND attempt > 0", False: "AND attempt = 0"}


def _page(kind: str) -> TextClause:
    """The next rows in the order of the primary key, which is that of time: ids begin with it.

    The least id of a time is found by the millisecond, hence one more at the end. What has been
    passed needs no partition, hence the time of the last row.
    """
    return text(
        f"""
        SELECT {_COLUMNS} FROM usage_logs
        WHERE tenant_id = :tenant_id
          AND (id, created_at, attempt) > (CAST(:id AS uuid), CAST(:at AS timestamptz), :attempt)
          AND created_at >= :at AND created_at < :end
          AND id < public.assistant_first_id(CAST(:end AS timestamptz) + interval '1 millisecond')
          {kind}
        ORDER BY tenant_id, id, created_at, attempt LIMIT :most
        """  # noqa: S608 - constants
    )


_PAGES = {of_attempts: _page(kind) for of_attempts, kind in _KINDS.items()}

_USED = text(
    """
    SELECT model, count(*) AS requests, sum(prompt_tokens) AS prompt_tokens,
           sum(cached_tokens) AS cached_tokens, sum(completion_tokens) AS completion_tokens,
           coalesce(sum(cost), 0) AS cost,
           count(*) FILTER (WHERE is_estimated) AS estimated,
           count(*) FILTER (WHERE cost IS NULL) AS unpriced
    FROM usage_logs
    WHERE tenant_id = :tenant_id AND provider = :provider AND attempt > 0
      AND created_at >= :start AND created_at < :end
      AND id >= public.assistant_first_id(:start) AND id < public.assistant_first_id(:end)
      AND (CAST(:operation AS text) IS NULL OR operation = :operation)
    GROUP BY model ORDER BY model
    """
)


class PostgresUsageLog:
    """The UsageLogStore port."""

    def __init__(self, database: Database, rows_per_page: int = _ROWS_PER_PAGE) -> None:
        self._database = database
        self._rows_per_page = rows_per_page

    async def pages(
        self, tenant_id: str, window: UsageWindow, *, of_attempts: bool | None = None
    ) -> AsyncGenerator[Sequence[UsageRow], None]:
        # No version of UUID is 0: the least id of that millisecond belongs to no row.
        last = (_first_id(window.start), window.start, -1)
        while True:
            async with self._database.tenant(tenant_id) as connection:
                found = await connection.execute(
                    _PAGES[of_attempts],
                    {
                        "tenant_id": tenant_id,
                        "id": last[0],
                        "at": last[1],
                        "attempt": last[2],
                        "end": window.end,
                        "most": self._rows_per_page,
                    },
                )
                rows = [UsageRow(*row) for row in found]
            if rows:
                yield rows
                last = (rows[-1].id, rows[-1].created_at, rows[-1].attempt)
            if len(rows) < self._rows_per_page:
                return

    async def used_of_provider(
        self, tenant_id: str, provider: str, day: date, operation: str | None
    ) -> Sequence[RecordedDay]:
        start = datetime(day.year, day.month, day.day, tzinfo=UTC)
        async with self._database.tenant(tenant_id) as connection:
            found = await connection.execute(
                _USED,
                {
                    "tenant_id": tenant_id,
                    "provider": provider,
                    "start": start,
                    "end": start + timedelta(days=1),
                    "operation": operation,
                },
            )
        return [
            RecordedDay(
                row.model.removeprefix(f"{provider}/"),
                day,
                {
                    Measure.REQUESTS: Decimal(row.requests),
                    Measure.INPUT_TOKENS: Decimal(row.prompt_tokens),
                    Measure.CACHED_INPUT_TOKENS: Decimal(row.cached_tokens),
                    Measure.OUTPUT_TOKENS: Decimal(row.completion_tokens),
                    Measure.COST: row.cost,
                },
                estimated=row.estimated,
                unpriced=row.unpriced,
            )
            for row in found
        ]


def _first_id(moment: datetime) -> UUID:
    """As ``assistant_first_id`` in the database."""
    since_1970 = moment - datetime(1970, 1, 1, tzinfo=UTC)
    return UUID(int=max(since_1970 // timedelta(milliseconds=1), 0) << 80)
