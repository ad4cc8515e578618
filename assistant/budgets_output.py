"""What ``assistant budgets`` and ``assistant limits`` print."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from zoneinfo import ZoneInfo

from assistant.domain.budget import BudgetAccount, BudgetPeriod, BudgetStanding, LimitScope
from assistant.domain.rate_limit import RateLimitLevel


def budget_json(account: BudgetAccount) -> Mapping[str, object]:
    """A budget by the names that GraphQL has for it; amounts in USD, exact."""
    budget, standing = account.budget, account.standing
    return {
        "id": str(budget.id),
        "scope": budget.scope,
        "subject": budget.subject,
        "window": budget.period,
        "limit": _digits(budget.amount),
        "override": None if standing.extra is None else _digits(standing.extra),
        "spent": _digits(standing.spent),
        "reserved": _digits(standing.reserved),
        "remaining": _digits(standing.remaining),
        "alertSteps": [_digits(step) for step in budget.alert_steps],
        "timeZone": account.time_zone,
        "resetsAt": standing.ends_at.isoformat(),
        "overrides": [
            {
                "extra": _digits(override.extra),
                "reason": override.reason,
                "createdBy": override.created_by,
                "createdAt": override.created_at.isoformat(),
            }
            for override in account.overrides
        ],
    }


def budget_table(accounts: Sequence[BudgetAccount]) -> str:
    """A line for each budget; the limit with what was added to the running window.

    When windows end is below: it is the same for all of a length, and lines are for 100 columns.
    """
    rows = [
        [
            str(account.budget.id),
            _whom(account.budget.scope, account.budget.subject),
            account.budget.period.lower(),
            _limit(account.standing),
            _digits(account.standing.spent),
            _digits(account.standing.reserved),
            _digits(account.standing.remaining),
        ]
        for account in accounts
    ]
    heads = ["ID", "WHOM", "WINDOW", "LIMIT", "SPENT", "RESERVED", "REMAINING"]
    return "\n".join([_table(heads, rows, "no budgets"), *_resets(accounts)])


def budget_lines(account: BudgetAccount) -> str:
    """A budget alone, with its alert steps."""
    steps = ", ".join(_digits(step) for step in account.budget.alert_steps)
    return f"{budget_table([account])}\nalerts at {steps} of the limit"


def _limit(standing: BudgetStanding) -> str:
    extra = "" if standing.extra is None else f" + {_digits(standing.extra)}"
    return _digits(standing.amount) + extra


def _resets(accounts: Iterable[BudgetAccount]) -> Iterable[str]:
    """When each length of window ends, as the clocks of the tenant show it; nothing for no budget."""
    ends = {account.budget.period: account for account in accounts}
    if not ends:
        return
    zone = next(iter(ends.values())).time_zone
    moments = (
        f"{period.lower()} {ends[period].standing.ends_at.astimezone(ZoneInfo(zone)):%Y-%m-%d %H:%M}"
        for period in BudgetPeriod
        if period in ends
    )
    yield f"resets, in {zone}: {', '.join(moments)}"


def limit_json(level: RateLimitLevel) -> Mapping[str, object]:
    """A rate limit by the names that GraphQL has for it."""
    limit = level.limit
    return {
        "id": str(limit.id),
        "scope": limit.scope,
        "subject": limit.subject,
        "measure": limit.measure,
        "capacity": limit.capacity,
        "perMinute": limit.per_minute,
        "available": level.available,
    }


def limit_table(levels: Iterable[RateLimitLevel]) -> str:
    """A line for each rate limit."""
    rows = [
        [
            str(level.limit.id),
            _whom(level.limit.scope, level.limit.subject),
            level.limit.measure.lower(),
            f"{level.limit.capacity:,}",
            f"{level.limit.per_minute:,}",
            f"{level.available:,}",
        ]
        for level in levels
    ]
    heads = ["ID", "WHOM", "MEASURE", "CAPACITY", "PER MINUTE", "AVAILABLE"]
    return _table(heads, rows, "no rate limits")


def _whom(scope: LimitScope, subject: str | None) -> str:
    """In the words of the options: ``user alice``, ``user (each)``, ``global``."""
    if scope is LimitScope.GLOBAL:
        return scope.lower()
    return f"{scope.lower()} {subject or '(each)'}"


def _digits(amount: Decimal) -> str:
    return f"{amount.normalize():f}"


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]], empty: str) -> str:
    """Columns of equal width, two spaces apart; ``empty`` where there is no row."""
    if not rows:
        return empty
    widths = [max(map(len, column)) for column in zip(heads, *rows, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in (heads, *rows)
    )
