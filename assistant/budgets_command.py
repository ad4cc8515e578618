"""``assistant budgets ... | limits ...``: what may be spent, and how often, by whom."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from decimal import Decimal, InvalidOperation
from typing import Annotated, TypeAlias, TypeVar
from uuid import UUID

import typer

from assistant.adapters.clock import SystemClock
from assistant.adapters.postgres.budgets import PostgresBudgets
from assistant.adapters.postgres.rate_limits import PostgresRateLimits
from assistant.adapters.postgres.tenant_settings import PostgresTenantSettings
from assistant.app import database
from assistant.budgets_output import (
    budget_json,
    budget_table,
    limit_json,
    limit_table,
)
from assistant.command_line import fail, run, settings_or_end
from assistant.domain.budget import DEFAULT_ALERT_STEPS, BudgetDraft, BudgetPeriod, LimitScope
from assistant.domain.caller import EVERY_SCOPE, Caller, check_identifier
from assistant.domain.rate_limit import LimitMeasure, RateLimitDraft
from assistant.errors import AssistantError, BadUserInput
from assistant.services.budgets import Budgets
from assistant.services.rate_limits import RateLimits

T = TypeVar("T")

budgets = typer.Typer(no_args_is_help=True, help="Budgets: what may be spent, and what is left.")
limits = typer.Typer(
    no_args_is_help=True, help="Rate limits: how much may be asked, and how often."
)

Tenant: TypeAlias = Annotated[str, typer.Option(help="Whose.")]
AsJson: TypeAlias = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
ScopeOption: TypeAlias = Annotated[
    LimitScope, typer.Option(help="Whom it is about.", case_sensitive=False)
]
Subject: TypeAlias = Annotated[
    str | None,
    typer.Option(help="The user, service or API key. Default: every member of the scope, each."),
]
Id: TypeAlias = Annotated[UUID, typer.Argument(help="As `list` shows it.")]


def _caller(tenant: str) -> Caller:
    try:
        check_identifier(tenant, "--tenant")
    except AssistantError as error:
        fail(error.message)
    return Caller(tenant, user_id=None, service_id="assistant-cli", scopes=EVERY_SCOPE)


def _amount(text: str, option: str) -> Decimal:
    try:
        return Decimal(text)
    except InvalidOperation:
        fail(f"{option} must be an amount in USD, as in 12.50")


def _with_budgets(work: Callable[[Budgets], Awaitable[T]]) -> T:
    async def connected() -> T:
        async with database(settings_or_end()) as db:
            service = Budgets(PostgresBudgets(db), PostgresTenantSettings(db), SystemClock())
            return await _in_one_line(work(service))

    return run(connected())


def _with_limits(work: Callable[[RateLimits], Awaitable[T]]) -> T:
    async def connected() -> T:
        async with database(settings_or_end()) as db:
            return await _in_one_line(work(RateLimits(PostgresRateLimits(db), SystemClock())))

    return run(connected())


async def _in_one_line(work: Awaitable[T]) -> T:
    """Whatever is wrong with the input, one thing after the other."""
    try:
        return await work
    except BadUserInput as error:
        raise BadUserInput(" ".join(each.message for each in error.every)) from None


# ------------------------------------------------------------------------- budgets


@budgets.command("list")
def list_budgets(tenant: Tenant, as_json: AsJson = False) -> None:
    """List a tenant's budgets and how they stand in the running window; amounts in USD."""
    caller = _caller(tenant)
    accounts = _with_budgets(lambda service: service.list_budgets(caller))
    if as_json:
        typer.echo(json.dumps([budget_json(account) for account in accounts], indent=2))
    else:
        typer.echo(budget_table(accounts))


@budgets.command("set")
def set_budget(
    tenant: Tenant,
    scope: ScopeOption,
    window: Annotated[BudgetPeriod, typer.Option(help="How long.", case_sensitive=False)],
    limit: Annotated[str, typer.Option(help="In USD, as in 12.50.")],
    subject: Subject = None,
    alert_at: Annotated[
        list[str] | None,
        typer.Option(help="A share at which to send an alert; may be repeated. Default: 0.8."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Add a budget, or change the one of the same scope, subject and window."""
    caller = _caller(tenant)
    steps = tuple(_amount(step, "--alert-at") for step in alert_at or ()) or DEFAULT_ALERT_STEPS
    draft = BudgetDraft(scope, subject, window, _amount(limit, "--limit"), steps)
    account = _with_budgets(lambda service: service.set_budget(caller, draft))
    typer.echo(json.dumps(budget_json(account), indent=2) if as_json else budget_table([account]))


@budgets.command("override")
def override_budget(
    tenant: Tenant,
    id: Id,  # noqa: A002
    extra: Annotated[str, typer.Option(help="In USD, as in 12.50.")],
    reason: Annotated[str, typer.Option(help="Why, for the record.")],
    as_json: AsJson = False,
) -> None:
    """Raise a budget until its running window ends."""
    caller, added = _caller(tenant), _amount(extra, "--extra")
    account = _with_budgets(lambda service: service.override(caller, id, added, reason))
    typer.echo(json.dumps(budget_json(account), indent=2) if as_json else budget_table([account]))


@budgets.command("delete")
def delete_budget(tenant: Tenant, id: Id) -> None:  # noqa: A002
    """Remove a budget, with what is counted for it; usage stays."""
    caller = _caller(tenant)
    _with_budgets(lambda service: service.delete_budget(caller, id))
    typer.echo(f"deleted {id}")


@budgets.command("time-zone")
def time_zone(
    tenant: Tenant,
    name: Annotated[
        str | None, typer.Argument(help="An IANA name, as in Europe/Berlin. Default: show it.")
    ] = None,
) -> None:
    """Show or set the time zone in which a tenant's windows begin and end."""
    caller = _caller(tenant)
    zone = _with_budgets(
        lambda service: (
            service.time_zone(caller) if name is None else service.set_time_zone(caller, name)
        )
    )
    typer.echo(zone)


# -------------------------------------------------------------------------- limits


@limits.command("list")
def list_limits(tenant: Tenant, as_json: AsJson = False) -> None:
    """List a tenant's rate limits, and what is left of them now."""
    caller = _caller(tenant)
    levels = _with_limits(lambda service: service.list_limits(caller))
    if as_json:
        typer.echo(json.dumps([limit_json(level) for level in levels], indent=2))
    else:
        typer.echo(limit_table(levels))


@limits.command("set")
def set_limit(
    tenant: Tenant,
    scope: ScopeOption,
    capacity: Annotated[int, typer.Option(help="How many there can be at once.")],
    per_minute: Annotated[int, typer.Option(help="How many come back in a minute.")],
    subject: Subject = None,
    measure: Annotated[
        LimitMeasure, typer.Option(help="What it counts.", case_sensitive=False)
    ] = LimitMeasure.REQUESTS,
    as_json: AsJson = False,
) -> None:
    """Add a rate limit, or change the one of the same scope, subject and measure."""
    caller = _caller(tenant)
    draft = RateLimitDraft(scope, subject, measure, capacity, per_minute)
    level = _with_limits(lambda service: service.set_limit(caller, draft))
    typer.echo(json.dumps(limit_json(level), indent=2) if as_json else limit_table([level]))


@limits.command("delete")
def delete_limit(tenant: Tenant, id: Id) -> None:  # noqa: A002
    """Remove a rate limit."""
    caller = _caller(tenant)
    _with_limits(lambda service: service.delete_limit(caller, id))
    typer.echo(f"deleted {id}")
