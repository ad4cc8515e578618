"""Budgets: what may be spent in a window of time, by whom, and how much of it is left."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import TypeAlias
from uuid import UUID

from assistant.domain.money import token_cost


class LimitScope(StrEnum):
    """Whom a budget or a rate limit is about, within a tenant."""

    GLOBAL = "GLOBAL"
    SERVICE = "SERVICE"
    USER = "USER"
    API_KEY = "API_KEY"
    """Rate limits only: an API key is a credential, not a party that spends."""


class BudgetPeriod(StrEnum):
    """How long a budget's window is, in the tenant's time zone. Weeks begin on Monday (ISO 8601)."""

    DAY = "DAY"
    WEEK = "WEEK"
    MONTH = "MONTH"


Members: TypeAlias = Mapping[LimitScope, str]
"""As whom a caller is limited, in each scope: what of budgets and limits is about them."""

DEFAULT_ALERT_STEPS = (Decimal("0.8"),)
MOST_ALERT_STEPS = 10


@dataclass(frozen=True, slots=True)
class Budget:
    """What may be spent in each window, in USD.

    ``subject`` is a user's or a service's id; None: every member of the scope has this much, each
    of them. One that names a subject stands in for the one of every member.
    ``alert_steps`` are shares of the amount, ascending, as in 0.8.
    """

    id: UUID
    tenant_id: str
    scope: LimitScope
    subject: str | None
    period: BudgetPeriod
    amount: Decimal
    alert_steps: tuple[Decimal, ...] = DEFAULT_ALERT_STEPS


@dataclass(frozen=True, slots=True)
class BudgetDraft:
    """What an administrator says of a budget. A tenant has one of a scope, subject and period.

    ``alert_steps`` of None: as they are, or the default where the budget is new.
    """

    scope: LimitScope
    subject: str | None
    period: BudgetPeriod
    amount: Decimal
    alert_steps: tuple[Decimal, ...] | None = None


@dataclass(frozen=True, slots=True)
class BudgetStanding:
    """How much of a budget is left in its running window, to ``subject``; amounts in USD.

    ``subject`` is None for a whole tenant. ``extra`` is what administrators added to this window,
    None where they added nothing. ``spent`` + ``reserved`` is more than ``amount`` + ``extra`` only
    where the budget was lowered below what had been spent.
    """

    subject: str | None
    starts_at: datetime
    ends_at: datetime
    amount: Decimal
    extra: Decimal | None = None
    spent: Decimal = Decimal(0)
    reserved: Decimal = Decimal(0)

    @property
    def limit(self) -> Decimal:
        """What can be spent in this window."""
        return self.amount + (self.extra or 0)

    @property
    def remaining(self) -> Decimal:
        """What can still be reserved; never below 0."""
        return max(self.limit - self.spent - self.reserved, Decimal(0))


@dataclass(frozen=True, slots=True)
class BudgetOverride:
    """What an administrator added to a budget's running window, and why; in USD."""

    id: UUID
    budget_id: UUID
    starts_at: datetime
    extra: Decimal
    reason: str
    created_by: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class BudgetAccount:
    """A budget and its running window, which begins and ends in ``time_zone``, an IANA name.

    ``standing`` is that of whom it is about; of one of every member, that of the member who has
    least left, with a subject of None where nobody has spent anything.
    """

    budget: Budget
    standing: BudgetStanding
    time_zone: str
    overrides: tuple[BudgetOverride, ...] = ()


@dataclass(frozen=True, slots=True)
class BudgetAlert:
    """A step of a budget was reached, for the first time in its window; amounts in USD.

    ``amount`` is what can be spent in the window, overrides included.
    """

    tenant_id: str
    budget_id: UUID
    scope: LimitScope
    subject: str | None
    period: BudgetPeriod
    step: Decimal
    spent: Decimal
    amount: Decimal
    starts_at: datetime
    ends_at: datetime
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Stake:
    """What a call may take at most: asked of budgets and limits of tokens before it is made.

    ``prompt_tokens`` is what the prompt is at most; ``output_tokens`` the longest answer that is
    asked for, ``least_output_tokens`` the shortest that is of use to the caller. ``fixed_cost`` is
    what the prompt costs, and what has been used before, in USD; ``output_price`` is in USD per
    million tokens. Both are None where the model has no price. ``expected_tokens`` is what limits
    of tokens are asked for, before it is known better.
    """

    prompt_tokens: int = 0
    output_tokens: int = 0
    least_output_tokens: int = 0
    fixed_cost: Decimal | None = Decimal(0)
    output_price: Decimal | None = Decimal(0)
    expected_tokens: int = 0

    @property
    def cost(self) -> Decimal | None:
        """All that it may cost, in USD; None where nobody knows."""
        if self.fixed_cost is None or self.output_price is None:
            return None
        return self.fixed_cost + token_cost(0, self.output_tokens, Decimal(0), self.output_price)


@dataclass(frozen=True, slots=True)
class Admission:
    """What was granted of a stake.

    ``is_limited``: a budget holds, so that nothing may be used beyond it. ``output_tokens`` is how
    long the answer may be, ``cost`` what is held for it in USD; None where it has no price.
    """

    output_tokens: int
    cost: Decimal | None
    is_limited: bool = False
