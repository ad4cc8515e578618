"""Windows of time: where days, weeks and months begin, whatever clocks do meanwhile."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assistant.domain.usage import (
    MOST_POINTS,
    UsageGranularity,
    UsagePeriod,
    UsageWindow,
    steps_of,
    time_zone_named,
    window_of,
)
from assistant.errors import BadUserInput

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
TODAY, WEEK, MONTH = UsagePeriod.TODAY, UsagePeriod.THIS_WEEK, UsagePeriod.THIS_MONTH
ZONES = (
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "America/Havana",
    "America/Asuncion",
    "Asia/Kathmandu",
    "Australia/Lord_Howe",
    "Pacific/Apia",
    "Pacific/Chatham",
)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def began(period: UsagePeriod, now: str, zone: str) -> datetime:
    window = window_of(period, utc(now), ZoneInfo(zone))
    assert window.end == utc(now)
    assert window.start.tzinfo is UTC
    return window.start


@pytest.mark.parametrize(
    ("zone", "now", "period", "start"),
    [
        # At the border itself and just before it.
        ("Europe/Berlin", "2026-01-31T22:59:59.999999", MONTH, "2025-12-31T23:00"),
        ("Europe/Berlin", "2026-01-31T23:00", MONTH, "2026-01-31T23:00"),
        ("Europe/Berlin", "2026-01-04T22:59", WEEK, "2025-12-28T23:00"),
        ("Europe/Berlin", "2026-01-04T23:00", WEEK, "2026-01-04T23:00"),
        # Another date than in UTC, on either side.
        ("America/New_York", "2026-03-01T03:00", MONTH, "2026-02-01T05:00"),
        ("Pacific/Apia", "2026-02-28T12:00", MONTH, "2026-02-28T11:00"),
        # Clocks go forward, and back: days of 23 and 25 hours.
        ("Europe/Berlin", "2026-03-29T21:00", TODAY, "2026-03-28T23:00"),
        ("Europe/Berlin", "2026-03-29T22:00", TODAY, "2026-03-29T22:00"),
        ("Europe/Berlin", "2026-10-25T22:59", TODAY, "2026-10-24T22:00"),
        ("Europe/Berlin", "2026-10-25T23:00", TODAY, "2026-10-25T23:00"),
        # A week and a month that clocks are changed in.
        ("Europe/Berlin", "2026-03-29T12:00", WEEK, "2026-03-22T23:00"),
        ("Europe/Berlin", "2026-10-31T12:00", MONTH, "2026-09-30T22:00"),
        # Leap days.
        ("UTC", "2024-02-29T12:00", TODAY, "2024-02-29T00:00"),
        ("UTC", "2024-02-29T12:00", WEEK, "2024-02-26T00:00"),
        ("Asia/Kathmandu", "2024-02-29T18:14", TODAY, "2024-02-28T18:15"),
        ("Asia/Kathmandu", "2024-02-29T18:15", MONTH, "2024-02-29T18:15"),
        # Offsets that are no whole hours.
        ("Asia/Kathmandu", "2026-05-01T00:00", TODAY, "2026-04-30T18:15"),
        ("Australia/Lord_Howe", "2026-07-01T00:00", TODAY, "2026-06-30T13:30"),
        # No midnight: clocks go from 24:00 to 01:00, which is when the day begins.
        ("America/Asuncion", "2023-10-01T12:00", TODAY, "2023-10-01T04:00"),
        ("America/Asuncion", "2023-10-01T03:59", TODAY, "2023-09-30T04:00"),
        # Two midnights: from 01:00 back to 00:00, and the later one counts.
        ("America/Havana", "2023-11-05T12:00", TODAY, "2023-11-05T05:00"),
        ("America/Havana", "2023-11-05T04:30", TODAY, "2023-11-04T04:00"),
        # A date that was left out, to be on the other side of the date line.
        ("Pacific/Apia", "2011-12-30T10:00", TODAY, "2011-12-30T10:00"),
        ("Pacific/Apia", "2011-12-30T09:59", TODAY, "2011-12-29T10:00"),
    ],
)
def test_periods_begin_at_the_tenants_midnight(
    zone: str, now: str, period: UsagePeriod, start: str
) -> None:
    assert began(period, now, zone) == utc(start)


@pytest.mark.parametrize("zone", ZONES)
def test_periods_of_hours_and_days_from_now_are_the_same_everywhere(zone: str) -> None:
    for period, length in (
        (UsagePeriod.LAST_24_HOURS, DAY),
        (UsagePeriod.LAST_7_DAYS, 7 * DAY),
        (UsagePeriod.LAST_30_DAYS, 30 * DAY),
        (UsagePeriod.LAST_90_DAYS, 90 * DAY),
    ):
        assert began(period, "2026-03-29T12:34:56.789012", zone) == (
            utc("2026-03-29T12:34:56.789012") - length
        )


def test_now_without_a_time_zone_is_refused() -> None:
    with pytest.raises(BadUserInput, match="time zone"):
        window_of(TODAY, datetime(2026, 1, 1))  # noqa: DTZ001 - that is the point


@pytest.mark.parametrize("name", ["", "Nowhere/Land", "../etc/passwd", "/etc/passwd", "A\x00", "."])
def test_a_time_zone_that_does_not_exist_is_refused(name: str) -> None:
    with pytest.raises(BadUserInput, match="time zone"):
        time_zone_named(name)


# ------------------------------------------------------------------ steps of trends


def steps(
    start: str, end: str, granularity: UsageGranularity, zone: str = "UTC"
) -> tuple[UsageWindow, ...]:
    return steps_of(UsageWindow(utc(start), utc(end)), granularity, ZoneInfo(zone))


def test_days_around_a_change_of_clocks_are_longer_and_shorter() -> None:
    spring = steps("2026-03-28T12:00", "2026-03-30T12:00", UsageGranularity.DAY, "Europe/Berlin")
    autumn = steps("2026-10-24T12:00", "2026-10-26T12:00", UsageGranularity.DAY, "Europe/Berlin")

    assert [(s.end - s.start) / HOUR for s in spring] == [24, 23, 24]
    assert [(s.end - s.start) / HOUR for s in autumn] == [24, 25, 24]


def test_months_are_as_long_as_they_are() -> None:
    found = steps("2024-01-15T00:00", "2025-01-15T00:00", UsageGranularity.MONTH)

    lengths = [31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31, 31]
    assert [(s.end - s.start) / DAY for s in found] == lengths


def test_weeks_begin_on_monday() -> None:
    found = steps("2026-01-01T00:00", "2026-01-19T00:00", UsageGranularity.WEEK)

    assert [s.start.isoformat() for s in found] == [
        "2025-12-29T00:00:00+00:00",
        "2026-01-05T00:00:00+00:00",
        "2026-01-12T00:00:00+00:00",
    ]


def test_a_date_that_was_left_out_is_no_step() -> None:
    found = steps("2011-12-28T12:00", "2012-01-01T12:00", UsageGranularity.DAY, "Pacific/Apia")

    dates = [s.start.astimezone(ZoneInfo("Pacific/Apia")).day for s in found]
    assert dates == [28, 29, 31, 1, 2]


def test_an_empty_window_has_no_steps() -> None:
    assert steps("2026-01-01T00:00", "2026-01-01T00:00", UsageGranularity.DAY) == ()


def test_every_period_can_be_seen_by_the_hour_and_what_is_longer_cannot() -> None:
    now = utc("2026-05-05T12:34:56")
    for period in UsagePeriod:
        window = window_of(period, now)
        assert len(steps_of(window, UsageGranularity.HOUR, UTC)) <= MOST_POINTS

    with pytest.raises(BadUserInput, match="2,500 points") as caught:
        steps_of(UsageWindow(now - 105 * DAY, now), UsageGranularity.HOUR, UTC)
    assert caught.value.path == ("granularity",)


@given(
    start=st.timedeltas(timedelta(0), 37 * 365 * DAY).map(
        lambda age: utc("2000-01-01T00:00") + age
    ),
    length=st.timedeltas(timedelta(0), 90 * DAY),
    granularity=st.sampled_from(UsageGranularity),
    zone=st.sampled_from(ZONES).map(ZoneInfo),
)
def test_steps_cover_the_window_without_gaps_and_begin_where_periods_do(
    start: datetime, length: timedelta, granularity: UsageGranularity, zone: ZoneInfo
) -> None:
    window = UsageWindow(start, start + length)
    found = steps_of(window, granularity, zone)

    assert all(step.start < step.end for step in found)
    assert all(one.end == other.start for one, other in pairwise(found))
    if length:
        assert found[0].start <= window.start < found[0].end
        assert found[-1].start < window.end <= found[-1].end
    period = {
        UsageGranularity.DAY: TODAY,
        UsageGranularity.WEEK: WEEK,
        UsageGranularity.MONTH: MONTH,
    }.get(granularity)
    for step in found if period else ():
        assert window_of(period, step.start, zone).start == step.start
        assert window_of(period, step.end - timedelta(microseconds=1), zone).start == step.start
