"""What was used, by whom, for how much."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from decimal import Decimal
from enum import StrEnum
from zoneinfo import ZoneInfo

from assistant.errors import BadUserInput

MOST_POINTS = 2_500


class UsagePeriod(StrEnum):
    """A period of time, seen from now; days begin in the tenant's time zone."""

    TODAY = "TODAY"
    THIS_WEEK = "THIS_WEEK"
    THIS_MONTH = "THIS_MONTH"
    LAST_24_HOURS = "LAST_24_HOURS"
    LAST_7_DAYS = "LAST_7_DAYS"
    LAST_30_DAYS = "LAST_30_DAYS"
    LAST_90_DAYS = "LAST_90_DAYS"

    @property
    def is_of_the_calendar(self) -> bool:
        """Whether it begins at a midnight, and so depends on where that is."""
        return self in (UsagePeriod.TODAY, UsagePeriod.THIS_WEEK, UsagePeriod.THIS_MONTH)


class UsageGranularity(StrEnum):
    """How long each point of a trend is. Weeks begin on Monday (ISO 8601)."""

    HOUR = "HOUR"
    DAY = "DAY"
    WEEK = "WEEK"
    MONTH = "MONTH"


class UsageMeasure(StrEnum):
    """What makes one use more than another."""

    TOKENS = "TOKENS"
    COST = "COST"
    REQUESTS = "REQUESTS"


@dataclass(frozen=True, slots=True)
class UsageWindow:
    """From (inclusive) to (exclusive), aware, in UTC."""

    start: datetime
    end: datetime


def time_zone_named(name: str) -> ZoneInfo:
    """The zone that the IANA time zone database calls ``name``. Raises BadUserInput."""
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise BadUserInput(
            "There is no time zone of this name. Give one of the IANA time zone database, as in "
            "Europe/Berlin.",
            path=("timeZone",),
        ) from None


def window_of(period: UsagePeriod, now: datetime, zone: tzinfo = UTC) -> UsageWindow:
    """The window that ``period`` means at ``now`` where days begin in ``zone``."""
    if now.tzinfo is None:
        raise BadUserInput("now must carry a time zone.")
    now = now.astimezone(UTC)
    match period:
        case UsagePeriod.TODAY:
            start = _start_of(UsageGranularity.DAY, now, zone)
        case UsagePeriod.THIS_WEEK:
            start = _start_of(UsageGranularity.WEEK, now, zone)
        case UsagePeriod.THIS_MONTH:
            start = _start_of(UsageGranularity.MONTH, now, zone)
        case UsagePeriod.LAST_24_HOURS:
            start = now - timedelta(hours=24)
        case UsagePeriod.LAST_7_DAYS:
            start = now - timedelta(days=7)
        case UsagePeriod.LAST_30_DAYS:
            start = now - timedelta(days=30)
        case UsagePeriod.LAST_90_DAYS:
            start = now - timedelta(days=90)
    return UsageWindow(start, now)


def steps_of(
    window: UsageWindow, granularity: UsageGranularity, zone: tzinfo
) -> tuple[UsageWindow, ...]:
    """The steps of ``granularity`` that ``window`` lies in, one after the other without a gap.

    Hours are those of UTC; days, weeks and months begin in ``zone``. The first step may begin
    before the window, the last one may end after it.

    Raises: BadUserInput where there are more than 2,500.
    """
    steps = []
    for step in _steps_from(_start_of(granularity, window.start, zone), granularity, zone):
        if step.start >= window.end:
            break
        steps.append(step)
        if len(steps) > MOST_POINTS:
            raise BadUserInput(
                f"That is more than {MOST_POINTS:,} points. Ask for a shorter period or longer "
                "steps.",
                path=("granularity",),
            )
    return tuple(steps)


def _steps_from(
    start: datetime, granularity: UsageGranularity, zone: tzinfo
) -> Iterator[UsageWindow]:
    day = start.astimezone(zone).date()
    if granularity is not UsageGranularity.HOUR:
        day = _first_day_of(granularity, day)
    while True:
        match granularity:
            case UsageGranularity.HOUR:
                end = start + timedelta(hours=1)
            case UsageGranularity.DAY:
                day += timedelta(days=1)
                end = midnight(day, zone)
            case UsageGranularity.WEEK:
                day += timedelta(days=7)
                end = midnight(day, zone)
            case UsageGranularity.MONTH:
                day = _first_day_of(granularity, day + timedelta(days=31))
                end = midnight(day, zone)
        # A date that a zone left out, to be on the other side of the date line, has no length.
        if end > start:
            yield UsageWindow(start, end)
        start = end


def _start_of(granularity: UsageGranularity, moment: datetime, zone: tzinfo) -> datetime:
    """When what ``moment`` lies in has begun."""
    if granularity is UsageGranularity.HOUR:
        return moment.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    first = _first_day_of(granularity, moment.astimezone(zone).date())
    start = midnight(first, zone)
    # Clocks were put back over midnight, and this is between its two beginnings.
    if start > moment:
        start = midnight(_first_day_of(granularity, first - timedelta(days=1)), zone)
    return start


def _first_day_of(granularity: UsageGranularity, day: date) -> date:
    match granularity:
        case UsageGranularity.WEEK:
            return day - timedelta(days=day.weekday())
        case UsageGranularity.MONTH:
            return day.replace(day=1)
        case _:
            return day


def midnight(day: date, zone: tzinfo) -> datetime:
    """When ``day`` begins: at the later of two midnights, and where there is none, when it would be.

    As PostgreSQL reads local times, so that reports and budgets begin together.
    Source: https://www.postgresql.org/docs/current/datetime-invalid-input.html
    """
    return max(datetime.combine(day, time(fold=fold), zone).astimezone(UTC) for fold in (0, 1))


@dataclass(frozen=True, slots=True)
class UsageShare:
    """The part of a summary that one model or one feature has.

    Of a model: the requests that it answered or failed last, and what all attempts with it used.
    """

    key: str
    requests: int
    total_tokens: int
    cost: Decimal


@dataclass(frozen=True, slots=True)
class UsageSummary:
    """Totals over a window; cost in USD.

    ``cached_tokens`` are among those of prompts, ``reasoning_tokens`` among those of answers.
    ``unpriced_attempts`` are not in the cost, as their model had no price.
    """

    window: UsageWindow
    requests: int = 0
    failed_requests: int = 0
    cached_requests: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    reasoning_tokens: int = 0
    unpriced_attempts: int = 0
    cost: Decimal = Decimal(0)
    saved_cost: Decimal = Decimal(0)
    by_model: tuple[UsageShare, ...] = field(default=())
    by_feature: tuple[UsageShare, ...] = field(default=())


@dataclass(frozen=True, slots=True)
class UserUsage:
    """One user's totals among many users'; cost in USD."""

    user_id: str
    requests: int
    total_tokens: int
    cost: Decimal


@dataclass(frozen=True, slots=True)
class UsagePoint:
    """Totals of one step of a trend, of what of it lies in the window; cost in USD."""

    at: datetime
    requests: int = 0
    total_tokens: int = 0
    cost: Decimal = Decimal(0)
