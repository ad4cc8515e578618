"""A tenant's budgets and how they stand, read and changed; what is held is the ledger's to write."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from assistant.adapters.postgres.budget_windows import HOLD_LEDGER, BudgetWindows
from assistant.adapters.postgres.connection import Database
from assistant.domain.budget import (
    Budget,
    BudgetAccount,
    BudgetOverride,
    BudgetPeriod,
    BudgetStanding,
    LimitScope,
    Members,
)

# ruff: noqa: S608 - statements are put together from constants only; values are parameters

# Whose they are, where somebody asks for what is about them: by name, else as any member.
_ABOUT = """
    :sees_all OR EXISTS (
        SELECT FROM unnest(CAST(:scopes AS text[]), CAST(:subjects AS text[])) AS m (scope, subject)
        WHERE m.scope = b.scope AND (m.subject = b.subject OR b.subject = '' AND NOT EXISTS (
            SELECT FROM budgets AS n
            WHERE n.tenant_id = b.tenant_id AND n.scope = b.scope AND n.subject = m.subject
              AND n.period = b.period)))
"""
# Whose windows of a budget count: the named one's; of one of every member, those of all whom no
# other budget names, or only of who asks.
_WINDOWS = """
    SELECT w.subject, trim_scale(w.spent) AS spent, trim_scale(w.reserved) AS reserved
    FROM budget_windows AS w
    WHERE w.tenant_id = b.tenant_id AND w.budget_id = b.id AND w.starts_at = s.starts_at
      AND (:sees_all OR EXISTS (
          SELECT FROM unnest(CAST(:scopes AS text[]), CAST(:subjects AS text[]))
              AS m (scope, subject)
          WHERE m.scope = b.scope AND m.subject = w.subject))
      AND (b.scope = 'GLOBAL' OR b.subject <> '' OR NOT EXISTS (
          SELECT FROM budgets AS n
          WHERE n.tenant_id = b.tenant_id AND n.scope = b.scope AND n.subject = w.subject
            AND n.period = b.period))
    ORDER BY w.spent + w.reserved DESC, w.subject
"""
_NOW = """
    FROM budgets AS b
    CROSS JOIN (
        SELECT coalesce((
            SELECT time_zone FROM tenant_settings WHERE tenant_id = :tenant_id), 'UTC')
            AS time_zone
    ) AS z
    CROSS JOIN LATERAL (
        SELECT assistant_window_start(b.period, :at, z.time_zone) AS starts_at) AS s
"""
_EXTRA = """
    SELECT sum(x.extra) AS extra FROM budget_overrides AS x
    WHERE x.tenant_id = b.tenant_id AND x.budget_id = b.id AND x.starts_at = s.starts_at
"""
_LIST = text(
    f"""
    SELECT b.*, z.time_zone, s.starts_at, x.extra,
           assistant_window_end(b.period, s.starts_at, z.time_zone) AS ends_at,
           w.subject AS member, w.spent, w.reserved
    {_NOW}
    CROSS JOIN LATERAL ({_EXTRA}) AS x
    LEFT JOIN LATERAL ({_WINDOWS} LIMIT 1) AS w ON true
    WHERE b.tenant_id = :tenant_id AND (CAST(:id AS uuid) IS NULL OR b.id = :id) AND ({_ABOUT})
    ORDER BY array_position(ARRAY['GLOBAL', 'SERVICE', 'USER'], b.scope), b.subject,
             array_position(ARRAY['DAY', 'WEEK', 'MONTH'], b.period)
    """
)
_LIST_OVERRIDES = text(
    """
    SELECT x.* FROM unnest(CAST(:ids AS uuid[]), CAST(:starts AS timestamptz[]))
        AS w (budget_id, starts_at)
    JOIN budget_overrides AS x
      ON x.tenant_id = :tenant_id AND x.budget_id = w.budget_id AND x.starts_at = w.starts_at
    ORDER BY x.created_at, x.id
    """
)
_LIST_MEMBERS = text(
    f"""
    SELECT b.id, b.amount, s.starts_at, x.extra, w.subject AS member, w.spent, w.reserved,
           assistant_window_end(b.period, s.starts_at, z.time_zone) AS ends_at
    {_NOW}
    CROSS JOIN LATERAL ({_EXTRA}) AS x
    CROSS JOIN LATERAL ({_WINDOWS} LIMIT :first) AS w
    WHERE b.tenant_id = :tenant_id AND b.id = ANY (:ids)
      AND b.subject = '' AND b.scope <> 'GLOBAL'
    ORDER BY b.id, w.spent + w.reserved DESC, w.subject
    """
)
_PUT = text(
    """
    INSERT INTO budgets (tenant_id, id, scope, subject, period, amount, alert_steps,
                         created_at, updated_at)
    SELECT :tenant_id, :id, :scope, :subject, :period, :amount, :alert_steps, :at, :at
    WHERE (SELECT count(*) FROM budgets WHERE tenant_id = :tenant_id) < :most OR EXISTS (
        SELECT FROM budgets
        WHERE tenant_id = :tenant_id AND scope = :scope AND subject = :subject
          AND period = :period)
    ON CONFLICT (tenant_id, scope, subject, period) DO UPDATE SET
        amount = excluded.amount, updated_at = excluded.updated_at,
        alert_steps = CASE WHEN :keeps_alert_steps
            THEN budgets.alert_steps ELSE excluded.alert_steps END
    RETURNING id
    """
)
_ALERT_STEPS = text("SELECT assistant_alert_steps(:tenant_id, :id)")
_ADD_OVERRIDE = text(
    f"""
    INSERT INTO budget_overrides (tenant_id, id, budget_id, starts_at, extra, reason, created_by,
                                  created_at)
    SELECT :tenant_id, :id, b.id, s.starts_at, :extra, :reason, :created_by, :at
    {_NOW}
    WHERE b.tenant_id = :tenant_id AND b.id = :budget_id AND (
        SELECT count(*) FROM budget_overrides AS x
        WHERE x.tenant_id = :tenant_id AND x.budget_id = b.id AND x.starts_at = s.starts_at
    ) < :most
    """
)
# The member's window of every member's budget has not been counted on meanwhile: it begins anew
# when it is next asked for, with all that was spent in it.
_FORGET_WINDOWS = text(
    """
    DELETE FROM budget_windows AS w USING budgets AS named, budgets AS every
    WHERE named.tenant_id = :tenant_id AND named.id = :id AND named.subject <> ''
      AND every.tenant_id = :tenant_id AND every.scope = named.scope
      AND every.period = named.period AND every.subject = ''
      AND w.tenant_id = :tenant_id AND w.budget_id = every.id AND w.subject = named.subject
    """
)
_DELETE_PARTS = tuple(
    text(f"DELETE FROM {table} WHERE tenant_id = :tenant_id AND budget_id = :id")
    for table in ("budget_windows", "budget_alerts", "budget_overrides")
)
_DELETE = text("DELETE FROM budgets WHERE tenant_id = :tenant_id AND id = :id")


class PostgresBudgets:
    """The BudgetStore port."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._windows = BudgetWindows(database)

    async def list_budgets(
        self, tenant_id: str, at: datetime, members: Members | None = None
    ) -> Sequence[BudgetAccount]:
        return await self._accounts(tenant_id, at, members, None)

    async def find_budget(self, tenant_id: str, id_: UUID, at: datetime) -> BudgetAccount | None:
        found = await self._accounts(tenant_id, at, None, id_)
        return found[0] if found else None

    async def list_members(
        self,
        tenant_id: str,
        ids: Sequence[UUID],
        first: int,
        at: datetime,
        members: Members | None = None,
    ) -> Mapping[UUID, Sequence[BudgetStanding]]:
        parameters = {"tenant_id": tenant_id, "ids": list(ids), "first": first, "at": at}
        found: dict[UUID, list[BudgetStanding]] = {id_: [] for id_ in ids}
        async with self._database.tenant(tenant_id) as connection:
            for row in await connection.execute(_LIST_MEMBERS, parameters | _seen_by(members)):
                found[row.id].append(_standing(row))
        return found

    async def put_budget(
        self, budget: Budget, at: datetime, most: int, *, keeps_alert_steps: bool = False
    ) -> UUID | None:
        parameters = {
            "tenant_id": budget.tenant_id,
            "id": budget.id,
            "scope": budget.scope,
            "subject": budget.subject or "",
            "period": budget.period,
            "amount": budget.amount,
            "alert_steps": list(budget.alert_steps),
            "keeps_alert_steps": keeps_alert_steps,
            "at": at,
            "most": most,
        }
        async with self._held(budget.tenant_id) as connection:
            id_: UUID | None = (await connection.execute(_PUT, parameters)).scalar()
            await connection.execute(_ALERT_STEPS, {"tenant_id": budget.tenant_id, "id": id_})
        return id_

    async def add_override(self, tenant_id: str, override: BudgetOverride, most: int) -> bool:
        parameters = {
            "tenant_id": tenant_id,
            "id": override.id,
            "budget_id": override.budget_id,
            "extra": override.extra,
            "reason": override.reason,
            "created_by": override.created_by,
            "at": override.created_at,
            "most": most,
        }
        async with self._held(tenant_id) as connection:
            added = await connection.execute(_ADD_OVERRIDE, parameters)
        return added.rowcount > 0

    async def delete_budget(self, tenant_id: str, id_: UUID) -> bool:
        parameters = {"tenant_id": tenant_id, "id": id_}
        async with self._held(tenant_id) as connection:
            await connection.execute(_FORGET_WINDOWS, parameters)
            for statement in _DELETE_PARTS:
                await connection.execute(statement, parameters)
            deleted = await connection.execute(_DELETE, parameters)
        return deleted.rowcount > 0

    async def _accounts(
        self, tenant_id: str, at: datetime, members: Members | None, id_: UUID | None
    ) -> list[BudgetAccount]:
        parameters = {"tenant_id": tenant_id, "at": at, "id": id_} | _seen_by(members)
        async with self._database.tenant(tenant_id) as connection:
            rows = (await connection.execute(_LIST, parameters)).all()
        unbegun = _unbegun(rows, members)
        if unbegun:
            await self._windows.begin(tenant_id, unbegun)
        async with self._database.tenant(tenant_id) as connection:
            if unbegun:
                rows = (await connection.execute(_LIST, parameters)).all()
            overrides = await _overrides(connection, tenant_id, rows)
        return [_account(row, overrides[row.id]) for row in rows]

    @asynccontextmanager
    async def _held(self, tenant_id: str) -> AsyncIterator[AsyncConnection]:
        """A transaction that changes budgets: what is opened after it keeps to what it says."""
        async with self._database.tenant(tenant_id) as connection:
            await connection.execute(HOLD_LEDGER, {"tenant_id": tenant_id})
            yield connection


def _seen_by(members: Members | None) -> dict[str, Any]:
    seen = members or {}
    return {
        "sees_all": members is None,
        "scopes": list(seen),
        "subjects": list(seen.values()),
    }


def _unbegun(rows: Sequence[Row[Any]], members: Members | None) -> list[dict[str, Any]]:
    """Windows in which nobody has spent yet, of those who can be told by name."""
    wanted = []
    for row in rows:
        subject = row.subject or (members or {}).get(LimitScope(row.scope), "")
        if row.member is None and (subject or row.scope == LimitScope.GLOBAL):
            wanted.append({"budget_id": row.id, "subject": subject, "starts_at": row.starts_at})
    return wanted


async def _overrides(
    connection: AsyncConnection, tenant_id: str, rows: Sequence[Row[Any]]
) -> Mapping[UUID, list[BudgetOverride]]:
    raised = [row for row in rows if row.extra is not None]
    found: defaultdict[UUID, list[BudgetOverride]] = defaultdict(list)
    if not raised:
        return found
    parameters = {
        "tenant_id": tenant_id,
        "ids": [row.id for row in raised],
        "starts": [row.starts_at for row in raised],
    }
    for row in await connection.execute(_LIST_OVERRIDES, parameters):
        found[row.budget_id].append(
            BudgetOverride(
                id=row.id,
                budget_id=row.budget_id,
                starts_at=row.starts_at,
                extra=row.extra,
                reason=row.reason,
                created_by=row.created_by,
                created_at=row.created_at,
            )
        )
    return found


def _account(row: Row[Any], overrides: Sequence[BudgetOverride]) -> BudgetAccount:
    return BudgetAccount(
        budget=Budget(
            id=row.id,
            tenant_id=row.tenant_id,
            scope=LimitScope(row.scope),
            subject=row.subject or None,
            period=BudgetPeriod(row.period),
            amount=row.amount,
            alert_steps=tuple(row.alert_steps),
        ),
        standing=_standing(row),
        time_zone=row.time_zone,
        overrides=tuple(overrides),
    )


def _standing(row: Row[Any]) -> BudgetStanding:
    return BudgetStanding(
        subject=row.member or None,
        starts_at=row.starts_at,
        ends_at=row.ends_at,
        amount=row.amount,
        extra=row.extra,
        spent=row.spent or Decimal(0),
        reserved=row.reserved or Decimal(0),
    )
