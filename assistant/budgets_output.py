"""What ``assistant budgets`` and ``assistant limits`` print."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal

from assistant.domain.budget import BudgetAccount, LimitScope
from assistant.domain.rate_limit import RateLimitLevel

_EACH = "(each)"
_ALL = "(all)"


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


def budget_table(accounts: Iterable[BudgetAccount]) -> str:
    """A line for each budget; the limit with what was added to the running window."""
    rows = [
        [
            str(account.budget.id),
            account.budget.scope.value,
            _subject(account.budget.scope, account.budget.subject),
            account.budget.period.value,
            _digits(account.standing.limit),
            _digits(account.standing.spent),
            _digits(account.standing.reserved),
            _digits(account.standing.remaining),
            " ".join(_digits(step) for step in account.budget.alert_steps),
            f"{account.standing.ends_at:%Y-%m-%d %H:%MZ}",
        ]
        for account in accounts
    ]
    heads = [
        "ID", "SCOPE", "SUBJECT", "WINDOW", "LIMIT", "SPENT", "RESERVED", "REMAINING", "ALERTS",
        "RESETS",
    ]  # fmt: skip
    return _table(heads, rows, "no budgets")


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
            level.limit.scope.value,
            _subject(level.limit.scope, level.limit.subject),
            level.limit.measure.value,
            f"{level.limit.capacity:,}",
            f"{level.limit.per_minute:,}",
            f"{level.available:,}",
        ]
        for level in levels
    ]
    heads = ["ID", "SCOPE", "SUBJECT", "MEASURE", "CAPACITY", "PER MINUTE", "AVAILABLE"]
    return _table(heads, rows, "no rate limits")


def _subject(scope: LimitScope, subject: str | None) -> str:
    return subject or (_ALL if scope is LimitScope.GLOBAL else _EACH)


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
