"""What was used, by whom, for how much."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import StrEnum

from assistant.errors import BadUserInput


class UsagePeriod(StrEnum):
    """A period of time, seen from now, in UTC."""

    TODAY = "TODAY"
    THIS_WEEK = "THIS_WEEK"
    THIS_MONTH = "THIS_MONTH"
    LAST_24_HOURS = "LAST_24_HOURS"
    LAST_7_DAYS = "LAST_7_DAYS"
    LAST_30_DAYS = "LAST_30_DAYS"
    LAST_90_DAYS = "LAST_90_DAYS"


@dataclass(frozen=True, slots=True)
class UsageWindow:
    """From (inclusive) to (exclusive), aware, in UTC."""

    start: datetime
    end: datetime


def window_of(period: UsagePeriod, now: datetime) -> UsageWindow:
    """The window that ``period`` means at ``now``. Weeks begin on Monday (ISO 8601)."""
    if now.tzinfo is None:
        raise BadUserInput("now must carry a time zone.")
    now = now.astimezone(UTC)
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    starts = {
        UsagePeriod.TODAY: midnight,
        UsagePeriod.THIS_WEEK: midnight - timedelta(days=now.weekday()),
        UsagePeriod.THIS_MONTH: midnight.replace(day=1),
        UsagePeriod.LAST_24_HOURS: now - timedelta(hours=24),
        UsagePeriod.LAST_7_DAYS: now - timedelta(days=7),
        UsagePeriod.LAST_30_DAYS: now - timedelta(days=30),
        UsagePeriod.LAST_90_DAYS: now - timedelta(days=90),
    }
    return UsageWindow(starts[period], now)


@dataclass(frozen=True, slots=True)
class UsageShare:
    """The part of a summary that one model or one feature has."""

    key: str
    requests: int
    total_tokens: int
    cost: Decimal


@dataclass(frozen=True, slots=True)
class UsageSummary:
    """Totals over a window; cost in USD."""

    window: UsageWindow
    requests: int = 0
    failed_requests: int = 0
    cached_requests: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost: Decimal = Decimal(0)
    saved_cost: Decimal = Decimal(0)
    by_model: tuple[UsageShare, ...] = field(default=())
    by_feature: tuple[UsageShare, ...] = field(default=())
