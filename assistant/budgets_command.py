"""``assistant budgets ... | limits ...``: what may be spent, and how often, by whom."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from decimal import Decimal, InvalidOperation
from typing import Annotated, Literal, TypeAlias, TypeVar
from uuid import UUID

import typer

from assistant.adapters.clock import SystemClock
from assistant.adapters.postgres.api_keys import PostgresApiKeys
from assistant.adapters.postgres.budgets import PostgresBudgets
from assistant.adapters.postgres.rate_limits import PostgresRateLimits
from assistant.adapters.postgres.tenant_settings import PostgresTenantSettings
from assistant.app import database
from assistant.budgets_output import (
    budget_json,
    budget_lines,
    budget_table,
    limit_json,
    limit_table,
)
from assistant.command_line import fail, run, settings_or_end
from assistant.domain.budget import BudgetAccount, BudgetDraft, BudgetPeriod, LimitScope
from assistant.domain.caller import EVERY_SCOPE, Caller, check_identifier
from assistant.domain.rate_limit import LimitMeasure, RateLimitDraft
from assistant.errors import AssistantError, BadUserInput, NotFound
from assistant.services.budgets import Budgets
from assistant.services.rate_limits import RateLimits

T = TypeVar("T")

budgets = typer.Typer(no_args_is_help=True, help="Budgets: what may be spent, and what is left.")
limits = typer.Typer(
    no_args_is_help=True, help="Rate limits: how much may be asked, and how often."
)

Tenant: TypeAlias = Annotated[str, typer.Option(help="Whose.")]
AsJson: TypeAlias = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
Spender: TypeAlias = Annotated[
    Literal["global", "service", "user"],
    typer.Option("--scope", help="Whom it is about.", case_sensitive=False),
]
Asker: TypeAlias = Annotated[
    Literal["global", "service", "user", "api_key"],
    typer.Option("--scope", help="Whom it is about.", case_sensitive=False),
]
Id: TypeAlias = Annotated[UUID, typer.Argument(help="As `list` shows it.")]

# What the checks call by its name in the API.
_OPTIONS = {
    "subject": "--subject",
    "limit": "--limit",
    "alertSteps": "--alert-at",
    "extra": "--extra",
    "reason": "--reason",
    "capacity": "--capacity",
    "perMinute": "--per-minute",
}


def _caller(tenant: str) -> Caller:
    try:
        check_identifier(tenant, "--tenant")
    except AssistantError as error:
        fail(error.message)
    return Caller(tenant, user_id=None, service_id="assistant-cli", scopes=EVERY_SCOPE)


def _number(text: str, wrong: str) -> Decimal:
    try:
        return Decimal(text)
    except InvalidOperation:
        fail(wrong)


def _amount(text: str, option: str) -> Decimal:
    return _number(text, f"{option} must be an amount in USD, as in 12.50")


def _with_budgets(work: Callable[[Budgets], Awaitable[T]]) -> T:
    async def connected() -> T:
        async with database(settings_or_end()) as db:
            service = Budgets(PostgresBudgets(db), PostgresTenantSettings(db), SystemClock())
            return await _in_own_words(work(service), "budget")

    return run(connected())


def _with_limits(work: Callable[[RateLimits], Awaitable[T]]) -> T:
    async def connected() -> T:
        async with database(settings_or_end()) as db:
            service = RateLimits(PostgresRateLimits(db), PostgresApiKeys(db), SystemClock())
            return await _in_own_words(work(service), "rate limit")

    return run(connected())


async def _in_own_words(work: Awaitable[T], what: str) -> T:
    """Whatever is wrong with the input in one line, by the names that commands and options have."""
    try:
        return await work
    except BadUserInput as error:
        problems = error.renamed(_OPTIONS).every
        raise BadUserInput(" ".join(each.message for each in problems)) from None
    except NotFound:
        group = what.split()[-1] + "s"
        raise NotFound(
            f"There is no {what} of this id. `assistant {group} list` lists what there is."
        ) from None


# ------------------------------------------------------------------------- budgets


@budgets.command("list")
def list_budgets(tenant: Tenant, as_json: AsJson = False) -> None:
    """List a tenant's budgets and how they stand in the running window; amounts in USD.

    Of one for each member: how the one stands who has least left. Alert steps and overrides, with who
    and why: --json.
    """
    caller = _caller(tenant)
    accounts = _with_budgets(lambda service: service.list_budgets(caller))
    if as_json:
        typer.echo(json.dumps([budget_json(account) for account in accounts], indent=2))
    else:
        typer.echo(budget_table(accounts))


@budgets.command("set")
def set_budget(
    tenant: Tenant,
    scope: Spender,
    window: Annotated[
        Literal["day", "week", "month"], typer.Option(help="How long.", case_sensitive=False)
    ],
    limit: Annotated[str, typer.Option(help="In USD, as in 12.50.")],
    subject: Annotated[
        str | None,
        typer.Option(help="The user or service. Default: every member of the scope, each."),
    ] = None,
    alert_at: Annotated[
        list[str] | None,
        typer.Option(
            help="A share of the limit at which to send an alert; may be repeated. Default: as it "
            "was, 0.8 for a new one."
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Add a budget, or change the one of the same scope, subject and window."""
    caller = _caller(tenant)
    wrong = "--alert-at must be a share above 0 and up to 10, as in 0.8."
    draft = BudgetDraft(
        LimitScope(scope.upper()),
        subject,
        BudgetPeriod(window.upper()),
        _amount(limit, "--limit"),
        tuple(_number(step, wrong) for step in alert_at) if alert_at else None,
    )
    account = _with_budgets(lambda service: service.set_budget(caller, draft))
    _print_budget(account, as_json=as_json)


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
    _print_budget(account, as_json=as_json)


def _print_budget(account: BudgetAccount, *, as_json: bool) -> None:
    typer.echo(json.dumps(budget_json(account), indent=2) if as_json else budget_lines(account))


@budgets.command("delete")
def delete_budget(tenant: Tenant, id: Id, as_json: AsJson = False) -> None:  # noqa: A002
    """Remove a budget, with what is counted for it; usage stays."""
    caller = _caller(tenant)
    _with_budgets(lambda service: service.delete_budget(caller, id))
    _print_deleted(id, as_json=as_json)


@budgets.command("time-zone")
def time_zone(
    tenant: Tenant,
    name: Annotated[
        str | None, typer.Argument(help="An IANA name, as in Europe/Berlin. Default: show it.")
    ] = None,
) -> None:
    """Show or set the time zone in which a tenant's windows begin and end.

    Windows that run begin anew in another one, with what was spent in them and the overrides that hold.
    """
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
    scope: Asker,
    capacity: Annotated[int, typer.Option(help="How many there can be at once.")],
    per_minute: Annotated[int, typer.Option(help="How many come back in a minute.")],
    subject: Annotated[
        str | None,
        typer.Option(
            help="The user, service or API key. Default: every member of the scope, each."
        ),
    ] = None,
    measure: Annotated[
        Literal["requests", "tokens"], typer.Option(help="What it counts.", case_sensitive=False)
    ] = "requests",
    as_json: AsJson = False,
) -> None:
    """Add a rate limit, or change the one of the same scope, subject and measure."""
    caller = _caller(tenant)
    draft = RateLimitDraft(
        LimitScope(scope.upper()), subject, LimitMeasure(measure.upper()), capacity, per_minute
    )
    level = _with_limits(lambda service: service.set_limit(caller, draft))
    typer.echo(json.dumps(limit_json(level), indent=2) if as_json else limit_table([level]))


@limits.command("delete")
def delete_limit(tenant: Tenant, id: Id, as_json: AsJson = False) -> None:  # noqa: A002
    """Remove a rate limit."""
    caller = _caller(tenant)
    _with_limits(lambda service: service.delete_limit(caller, id))
    _print_deleted(id, as_json=as_json)


def _print_deleted(id_: UUID, *, as_json: bool) -> None:
    typer.echo(json.dumps({"deletedId": str(id_)}, indent=2) if as_json else f"deleted {id_}")
