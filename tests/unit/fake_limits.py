"""Budgets and rate limits in memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal
from uuid import UUID

from assistant.domain.budget import (
    Budget,
    BudgetAccount,
    BudgetOverride,
    BudgetStanding,
    Members,
)
from assistant.domain.rate_limit import RateLimit, RateLimitLevel


@dataclass
class FakeBudgetStore:
    """A BudgetStore whose windows are days of UTC; nothing is ever spent in them."""

    budgets: dict[UUID, Budget] = field(default_factory=dict)
    overrides: list[BudgetOverride] = field(default_factory=list)
    asked_for: list[Members | None] = field(default_factory=list)

    async def list_budgets(
        self, tenant_id: str, at: datetime, members: Members | None = None
    ) -> Sequence[BudgetAccount]:
        self.asked_for.append(members)
        return [
            self._account(budget, at)
            for budget in self.budgets.values()
            if budget.tenant_id == tenant_id
        ]

    async def find_budget(self, tenant_id: str, id_: UUID, at: datetime) -> BudgetAccount | None:
        budget = self.budgets.get(id_)
        if budget is None or budget.tenant_id != tenant_id:
            return None
        return self._account(budget, at)

    async def list_members(
        self,
        tenant_id: str,
        ids: Sequence[UUID],
        first: int,
        at: datetime,
        members: Members | None = None,
    ) -> Mapping[UUID, Sequence[BudgetStanding]]:
        self.asked_for.append(members)
        return {id_: [] for id_ in ids}

    async def put_budget(
        self, budget: Budget, at: datetime, most: int, *, keeps_alert_steps: bool = False
    ) -> UUID | None:
        for other in self.budgets.values():
            if _is_same(other, budget):
                steps = other.alert_steps if keeps_alert_steps else budget.alert_steps
                self.budgets[other.id] = replace(budget, id=other.id, alert_steps=steps)
                return other.id
        if sum(other.tenant_id == budget.tenant_id for other in self.budgets.values()) >= most:
            return None
        self.budgets[budget.id] = budget
        return budget.id

    async def add_override(self, tenant_id: str, override: BudgetOverride, most: int) -> bool:
        if sum(other.budget_id == override.budget_id for other in self.overrides) >= most:
            return False
        self.overrides.append(override)
        return True

    async def delete_budget(self, tenant_id: str, id_: UUID) -> bool:
        budget = self.budgets.get(id_)
        if budget is None or budget.tenant_id != tenant_id:
            return False
        del self.budgets[id_]
        return True

    def _account(self, budget: Budget, at: datetime) -> BudgetAccount:
        start = at.replace(hour=0, minute=0, second=0, microsecond=0)
        overrides = tuple(
            override
            for override in self.overrides
            if override.budget_id == budget.id and override.starts_at == start
        )
        extra = sum((override.extra for override in overrides), Decimal(0))
        standing = BudgetStanding(
            budget.subject,
            start,
            start + timedelta(days=1),
            budget.amount,
            extra if overrides else None,
        )
        return BudgetAccount(budget, standing, "UTC", overrides)


def _is_same(one: Budget, other: Budget) -> bool:
    return (one.tenant_id, one.scope, one.subject, one.period) == (
        other.tenant_id,
        other.scope,
        other.subject,
        other.period,
    )


@dataclass
class FakeRateLimitStore:
    """A RateLimitStore whose buckets are full."""

    limits: dict[UUID, RateLimit] = field(default_factory=dict)
    asked_for: list[Members | None] = field(default_factory=list)
    is_full: bool = False

    async def list_limits(
        self, tenant_id: str, members: Members | None = None
    ) -> Sequence[RateLimitLevel]:
        self.asked_for.append(members)
        return [
            RateLimitLevel(limit, limit.capacity)
            for limit in self.limits.values()
            if limit.tenant_id == tenant_id
        ]

    async def find_limit(self, tenant_id: str, id_: UUID) -> RateLimitLevel | None:
        found = await self.list_limits(tenant_id)
        return next((level for level in found if level.limit.id == id_), None)

    async def put_limit(self, limit: RateLimit, at: datetime, most: int) -> UUID | None:
        if self.is_full:
            return None
        self.limits[limit.id] = limit
        return limit.id

    async def delete_limit(self, tenant_id: str, id_: UUID) -> bool:
        return self.limits.pop(id_, None) is not None
