"""Alerts of budgets, and stand-ins for where they are kept and who is told of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

from assistant.domain.budget import BudgetAlert, BudgetPeriod, LimitScope

BUDGET = UUID("0198f2c4-0000-7000-8000-000000000001")


def an_alert(**changes: Any) -> BudgetAlert:
    """Four fifths of what alice may spend in March 2026."""
    alert = BudgetAlert(
        tenant_id="acme",
        budget_id=BUDGET,
        scope=LimitScope.USER,
        subject="alice",
        period=BudgetPeriod.MONTH,
        step=Decimal("0.80"),
        spent=Decimal("8.0000125"),
        amount=Decimal(10),
        starts_at=datetime(2026, 3, 1, tzinfo=UTC),
        ends_at=datetime(2026, 4, 1, tzinfo=UTC),
        created_at=datetime(2026, 3, 14, 15, 9, 26, 535_000, tzinfo=UTC),
    )
    return replace(alert, **changes)


@dataclass
class FakeAlertStore:
    """Gives each of ``waiting`` to who claims it first."""

    waiting: list[BudgetAlert] = field(default_factory=list)
    kept: dict[UUID, BudgetAlert] = field(default_factory=dict)
    asked: list[float] = field(default_factory=list)

    def put(self, *alerts: BudgetAlert) -> None:
        self.waiting.extend(alerts)
        self.kept |= {uuid4(): alert for alert in alerts}

    async def claim(self, tenant_id: str) -> Sequence[BudgetAlert]:
        mine = [alert for alert in self.waiting if alert.tenant_id == tenant_id]
        self.waiting = [alert for alert in self.waiting if alert.tenant_id != tenant_id]
        return mine

    async def list_unannounced(self, waited_s: float) -> Sequence[str]:
        self.asked.append(waited_s)
        return sorted({alert.tenant_id for alert in self.waiting})

    async def list_after(self, tenant_id: str, after: datetime, most: int) -> Sequence[BudgetAlert]:
        found = [
            alert
            for alert in self.kept.values()
            if alert.tenant_id == tenant_id and alert.created_at > after
        ]
        return found[-most:]

    async def find(self, alert_id: UUID) -> BudgetAlert | None:
        return self.kept.get(alert_id)


@dataclass
class FakeReceiver:
    """Takes alerts, unless it is told to fail or to want none."""

    told: list[tuple[UUID, BudgetAlert]] = field(default_factory=list)
    error: Exception | None = None
    wants: bool = True

    async def tell(self, alert_id: UUID, alert: BudgetAlert) -> bool:
        if self.error:
            raise self.error
        self.told.append((alert_id, alert))
        return self.wants
