"""Steps of budgets that were reached: who tells of each, and what is told."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import Row, text

from assistant.adapters.postgres.connection import Database
from assistant.adapters.postgres.errands import put_errands
from assistant.domain.budget import BudgetAlert, BudgetPeriod, LimitScope

_COLUMNS = (
    "tenant_id, budget_id, subject, starts_at, step, scope, period, ends_at, spent, amount, "
    "created_at"
)
# What another replica is about to tell of is left to it. Should that fail, it is found later.
_CLAIM = text(
    f"""
    WITH mine AS (
        SELECT id FROM budget_alerts
        WHERE tenant_id = :tenant_id AND announced_at IS NULL
        FOR UPDATE SKIP LOCKED
    )
    UPDATE budget_alerts SET announced_at = clock_timestamp()
    WHERE tenant_id = :tenant_id AND id IN (SELECT id FROM mine)
    RETURNING id, {_COLUMNS}
    """  # noqa: S608 - constants
)
_LIST = text(
    f"""
    SELECT {_COLUMNS} FROM budget_alerts
    WHERE tenant_id = :tenant_id AND created_at > :after
    ORDER BY created_at DESC, step DESC LIMIT :most
    """  # noqa: S608 - constants
)
_UNANNOUNCED = text("SELECT assistant_unannounced(make_interval(secs => :waited_s))")
_FIND = text("SELECT * FROM assistant_budget_alert(:id)")


class PostgresBudgetAlerts:
    """The BudgetAlertStore port. ``errand`` is that which tells others; None where nobody is told."""

    def __init__(self, database: Database, errand: str | None) -> None:
        self._database = database
        self._errand = errand

    async def claim(self, tenant_id: str) -> Sequence[BudgetAlert]:
        async with self._database.tenant(tenant_id) as connection:
            rows = (await connection.execute(_CLAIM, {"tenant_id": tenant_id})).all()
            if rows and self._errand is not None:
                await put_errands(connection, self._errand, [str(row.id) for row in rows])
        return sorted(map(_alert, rows), key=lambda alert: (alert.created_at, alert.step))

    async def list_unannounced(self, waited_s: float) -> Sequence[str]:
        async with self._database.transaction() as connection:
            return list((await connection.execute(_UNANNOUNCED, {"waited_s": waited_s})).scalars())

    async def list_after(self, tenant_id: str, after: datetime, most: int) -> Sequence[BudgetAlert]:
        async with self._database.tenant(tenant_id) as connection:
            parameters = {"tenant_id": tenant_id, "after": after, "most": most}
            rows = (await connection.execute(_LIST, parameters)).all()
        return [_alert(row) for row in reversed(rows)]

    async def find(self, alert_id: UUID) -> BudgetAlert | None:
        async with self._database.transaction() as connection:
            row = (await connection.execute(_FIND, {"id": alert_id})).one_or_none()
        return None if row is None else _alert(row)


def notice_of(payload: str) -> BudgetAlert:
    """The alert in a payload of the channel ``assistant_budget_alerts``."""
    row = json.loads(payload, parse_float=Decimal, parse_int=Decimal)
    return BudgetAlert(
        tenant_id=row["tenant_id"],
        budget_id=UUID(row["budget_id"]),
        scope=LimitScope(row["scope"]),
        subject=row["subject"] or None,
        period=BudgetPeriod(row["period"]),
        step=row["step"],
        spent=row["spent"],
        amount=row["amount"],
        starts_at=datetime.fromisoformat(row["starts_at"]),
        ends_at=datetime.fromisoformat(row["ends_at"]),
        created_at=datetime.fromisoformat(row["created_at"]),
    )


def _alert(row: Row[Any]) -> BudgetAlert:
    return BudgetAlert(
        tenant_id=row.tenant_id,
        budget_id=row.budget_id,
        scope=LimitScope(row.scope),
        subject=row.subject or None,
        period=BudgetPeriod(row.period),
        step=row.step,
        spent=row.spent,
        amount=row.amount,
        starts_at=row.starts_at,
        ends_at=row.ends_at,
        created_at=row.created_at,
    )
