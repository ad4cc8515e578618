"""Budgets as clients see them and change them."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Self
from uuid import UUID

import strawberry

from assistant.api import loaders
from assistant.api.connection import FIRST
from assistant.api.context import Info
from assistant.api.federation import slice_size
from assistant.api.money import Money, usd
from assistant.api.user_errors import DeletePayload, UserError, attempt
from assistant.domain import budget as domain
from assistant.domain.budget import (
    DEFAULT_ALERT_STEPS,
    BudgetAccount,
    BudgetDraft,
    BudgetPeriod,
    LimitScope,
)
from assistant.errors import BadUserInput, NotFound


@strawberry.type(description="How one member stands with a budget that each of them has.")
class BudgetMember:
    subject: strawberry.ID = strawberry.field(description="The user's or the service's id.")
    spent: Money = strawberry.field(description="What they have spent in the running window.")
    reserved: Money = strawberry.field(
        description="What their running completions may cost at most."
    )
    remaining: Money = strawberry.field(description="What is left to them; never below 0.")

    @classmethod
    def of(cls, standing: domain.BudgetStanding) -> Self:
        return cls(
            subject=strawberry.ID(standing.subject or ""),
            spent=usd(standing.spent),
            reserved=usd(standing.reserved),
            remaining=usd(standing.remaining),
        )


@strawberry.type(description="What an administrator added to a budget for one window.")
class BudgetOverride:
    id: strawberry.ID = strawberry.field(description="Its id.")
    extra: Money = strawberry.field(description="How much was added.")
    reason: str = strawberry.field(description="Why.")
    created_by: str = strawberry.field(description="Who added it: a user, a service or an API key.")
    created_at: datetime = strawberry.field(description="When.")

    @classmethod
    def of(cls, override: domain.BudgetOverride) -> Self:
        return cls(
            id=strawberry.ID(str(override.id)),
            extra=usd(override.extra),
            reason=override.reason,
            created_by=override.created_by,
            created_at=override.created_at,
        )


@strawberry.type(
    description="What may be spent in each window of time. One without a subject gives every member "
    "of the scope as much, each; its `spent`, `reserved` and `remaining` are then those of the "
    "member that has least left, or of the caller where they see no others."
)
class Budget:
    id: strawberry.ID = strawberry.field(description="Names it in changes.")
    scope: LimitScope = strawberry.field(description="Whom it is about.")
    subject: strawberry.ID | None = strawberry.field(
        description="Null for every member of the scope. One that names a subject stands in for "
        "that of every member."
    )
    window: BudgetPeriod = strawberry.field(description="How long its windows are.")
    limit: Money = strawberry.field(description="What may be spent in a window, overrides aside.")
    spent: Money = strawberry.field(description="What has been spent in the running window.")
    reserved: Money = strawberry.field(
        description="What running completions may cost at most; the difference to what they do "
        "cost is given back."
    )
    remaining: Money = strawberry.field(
        description="What is left of the limit and its overrides; never below 0."
    )
    override: Money | None = strawberry.field(
        description="What was added to the running window; null where nothing was."
    )
    overrides: list[BudgetOverride] = strawberry.field(
        description="By whom it was added, and why; the oldest first."
    )
    alert_at: float = strawberry.field(
        description="The first share of the limit at which an alert is sent, as in 0.8."
    )
    alert_steps: list[float] = strawberry.field(
        description="Every share at which one is sent, ascending."
    )
    time_zone: str = strawberry.field(
        description="The IANA name of the tenant's time zone, in which windows begin and end."
    )
    resets_at: datetime = strawberry.field(
        description="When the running window ends, and the next one begins."
    )

    @strawberry.field(
        description="Of a budget for every member of a scope: those who have spent in the running "
        "window, with least left first, without those who have a budget of their own. Empty for "
        "other budgets; administrators see others than themselves.",
        directives=[slice_size()],
    )
    async def members(self, info: Info, first: FIRST = 20) -> list[BudgetMember]:
        standings = await loaders.budget_members(info, first).load(UUID(self.id))
        return [BudgetMember.of(standing) for standing in standings or ()]

    @classmethod
    def of(cls, account: BudgetAccount) -> Self:
        budget, standing = account.budget, account.standing
        return cls(
            id=strawberry.ID(str(budget.id)),
            scope=budget.scope,
            subject=None if budget.subject is None else strawberry.ID(budget.subject),
            window=budget.period,
            limit=usd(budget.amount),
            spent=usd(standing.spent),
            reserved=usd(standing.reserved),
            remaining=usd(standing.remaining),
            override=None if standing.extra is None else usd(standing.extra),
            overrides=[BudgetOverride.of(override) for override in account.overrides],
            alert_at=float(budget.alert_steps[0]),
            alert_steps=[float(step) for step in budget.alert_steps],
            time_zone=account.time_zone,
            resets_at=standing.ends_at,
        )


@strawberry.input(
    description="A budget, whole. The one of the same scope, subject and window is changed, and "
    "keeps what is spent."
)
class BudgetInput:
    scope: LimitScope = strawberry.field(description="GLOBAL, SERVICE or USER.")
    subject: strawberry.ID | None = strawberry.field(
        default=None,
        description="Whose it is: the id of a service or a user. Null for every member of the "
        "scope, each; always null for GLOBAL.",
    )
    window: BudgetPeriod = strawberry.field(description="How long its windows are.")
    limit: Decimal = strawberry.field(
        description="What may be spent in a window, in USD: 0 to 1,000,000,000,000 with at most 9 "
        "digits after the point."
    )
    alert_at: float | None = strawberry.field(
        default=0.8,
        description="At which share of the limit an alert is sent: above 0, up to 10.",
    )
    alert_steps: list[float] | None = strawberry.field(
        default=None,
        description="At which shares alerts are sent, where there are several: 1 to 10, ascending. "
        "Takes the place of alertAt.",
    )

    def to_domain(self) -> BudgetDraft:
        return BudgetDraft(
            scope=self.scope,
            subject=self.subject,
            period=self.window,
            amount=self.limit,
            alert_steps=self._steps(),
        )

    def _steps(self) -> tuple[Decimal, ...]:
        if self.alert_steps is not None:
            return tuple(Decimal(str(step)) for step in self.alert_steps)
        return DEFAULT_ALERT_STEPS if self.alert_at is None else (Decimal(str(self.alert_at)),)

    def spelt(self, problem: BadUserInput) -> BadUserInput:
        """``problem`` by the fields that were given."""
        if self.alert_steps is not None:
            return problem
        return problem.renamed({"alertSteps": "alertAt"})


@strawberry.input(description="What is added to a budget until its running window ends.")
class BudgetOverrideInput:
    extra: Decimal = strawberry.field(
        description="How much, in USD: more than 0, with at most 9 digits after the point."
    )
    reason: str = strawberry.field(description="Why, for the record: 1 to 1,000 characters.")


@strawberry.type(description="A budget that was written, or why not.")
class BudgetPayload:
    budget: Budget | None = strawberry.field(
        description="The budget as it is now; null where it was refused."
    )
    user_errors: list[UserError] = strawberry.field(description="Empty where all went well.")

    @classmethod
    def of(cls, account: BudgetAccount | None, user_errors: list[UserError]) -> Self:
        return cls(budget=Budget.of(account) if account else None, user_errors=user_errors)


@strawberry.type(description="The time zone that was set, or why not.")
class SetTimeZonePayload:
    time_zone: str | None = strawberry.field(
        description="The zone's IANA name; null where it was refused."
    )
    user_errors: list[UserError] = strawberry.field(description="Empty where all went well.")


async def budgets(info: Info) -> list[Budget]:
    context = info.context
    accounts = await context.services.budgets.list_budgets(context.caller)
    return [Budget.of(account) for account in accounts]


async def set_budget(info: Info, given: BudgetInput) -> BudgetPayload:
    return BudgetPayload.of(*await attempt(_set(info, given), "input"))


async def override_budget(
    info: Info, id_: strawberry.ID, given: BudgetOverrideInput
) -> BudgetPayload:
    return BudgetPayload.of(*await attempt(_override(info, id_, given), "input"))


async def delete_budget(info: Info, id_: strawberry.ID) -> DeletePayload:
    _, user_errors = await attempt(_delete(info, id_), "id")
    return DeletePayload.of(id_, user_errors)


async def set_time_zone(info: Info, time_zone: str) -> SetTimeZonePayload:
    context = info.context
    change = context.services.budgets.set_time_zone(context.caller, time_zone)
    zone, user_errors = await attempt(change)
    return SetTimeZonePayload(time_zone=zone, user_errors=user_errors)


async def _set(info: Info, given: BudgetInput) -> BudgetAccount:
    context = info.context
    try:
        account = await context.services.budgets.set_budget(context.caller, given.to_domain())
    except BadUserInput as problem:
        raise given.spelt(problem) from None
    loaders.forget(info)
    return account


async def _override(info: Info, id_: str, given: BudgetOverrideInput) -> BudgetAccount:
    context = info.context
    account = await context.services.budgets.override(
        context.caller, _uuid(id_), given.extra, given.reason
    )
    loaders.forget(info)
    return account


async def _delete(info: Info, id_: str) -> None:
    context = info.context
    await context.services.budgets.delete_budget(context.caller, _uuid(id_))


def _uuid(id_: str) -> UUID:
    try:
        return UUID(id_)
    except ValueError:
        raise NotFound(
            "There is no budget of this id. The query `budgets` lists what there is."
        ) from None
