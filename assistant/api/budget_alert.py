"""Steps of budgets that were reached, as clients watch them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing
from datetime import datetime

import strawberry

from assistant.api.context import Info
from assistant.api.money import Money, usd
from assistant.domain import budget as domain
from assistant.domain.budget import BudgetPeriod, LimitScope
from assistant.domain.caller import Scope


@strawberry.type(
    description="A step of a budget was reached, for the first time in one of its windows."
)
class BudgetAlert:
    budget_id: strawberry.ID = strawberry.field(description="The budget's id.")
    scope: LimitScope = strawberry.field(description="Whom the budget is about.")
    subject: strawberry.ID | None = strawberry.field(
        description="The user or service that spent; null for the whole tenant."
    )
    window: BudgetPeriod = strawberry.field(description="How long the budget's windows are.")
    step: float = strawberry.field(description="The share of the limit, as in 0.8.")
    spent: Money = strawberry.field(description="What had been spent in the window then.")
    limit: Money = strawberry.field(
        description="What can be spent in the window, with what was added to it."
    )
    starts_at: datetime = strawberry.field(description="When the window began.")
    resets_at: datetime = strawberry.field(description="When it ends, and the next one begins.")
    at: datetime = strawberry.field(description="When the step was reached.")

    @classmethod
    def of(cls, alert: domain.BudgetAlert) -> BudgetAlert:
        return cls(
            budget_id=strawberry.ID(str(alert.budget_id)),
            scope=alert.scope,
            subject=None if alert.subject is None else strawberry.ID(alert.subject),
            window=alert.period,
            step=float(alert.step),
            spent=usd(alert.spent),
            limit=usd(alert.amount),
            starts_at=alert.starts_at,
            resets_at=alert.ends_at,
            at=alert.created_at,
        )


async def budget_alerts(info: Info) -> AsyncIterator[BudgetAlert]:
    """Yield the alerts that the caller may see, as they come."""
    context = info.context
    caller = context.caller
    if caller.user_id is None:
        context.require(Scope.ADMIN if caller.service_id is None else Scope.USAGE_READ)
    async with aclosing(context.services.budget_alerts.watch(caller)) as alerts:
        async for alert in alerts:
            yield BudgetAlert.of(alert)
