"""When windows begin and end: PostgreSQL's reckoning against that of zoneinfo."""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from tests.postgres.server import DatabaseUrls, connect

PERIODS = ("DAY", "WEEK", "MONTH")
# Zones in which midnight is there twice or not at all, dates are left out, and offsets are odd.
ZONES = (
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "America/Havana",  # 00:00 to 01:00 is there twice, or not at all
    "Africa/Cairo",  # clocks go forward from 00:00
    "Asia/Beirut",
    "America/Sao_Paulo",
    "America/St_Johns",  # until 2011 clocks went back from 00:01
    "Asia/Kathmandu",
    "Asia/Kolkata",
    "Australia/Lord_Howe",
    "Pacific/Apia",  # no 30 December 2011
    "Pacific/Chatham",
    "Pacific/Kiritimati",
    "Antarctica/Troll",  # two hours
    "Asia/Gaza",
)
# Around what is odd about them; later than 2037 tables of zones end, and rules go on.
MOMENTS = {
    "Europe/Berlin": ["2024-03-31", "2024-10-27", "2024-02-29", "2024-12-31", "2100-02-28"],
    "America/Havana": ["2018-03-11", "2018-11-04", "2019-03-10", "2019-11-03"],
    "Africa/Cairo": ["2010-04-30", "2010-10-01", "2014-05-16", "2014-09-26"],
    "Asia/Beirut": ["2018-03-25", "2018-10-28", "2019-03-31", "2020-10-25"],
    "America/Sao_Paulo": ["2018-02-18", "2018-11-04", "2017-10-15", "2019-02-17"],
    "America/St_Johns": ["2010-11-07", "2011-03-13", "2009-11-01"],
    "Pacific/Apia": ["2011-12-29", "2011-12-30", "2011-12-31", "2012-01-01"],
    "Antarctica/Troll": ["2024-03-31", "2024-10-27"],
    "Asia/Kathmandu": ["1985-12-31", "1986-01-01", "2024-02-29"],
    "Asia/Gaza": ["2013-03-29", "2013-09-27"],
    "UTC": ["2024-02-29", "2023-02-28", "2024-12-30", "2025-12-31", "2000-02-29"],
}


def first_day(period: str, day: date) -> date:
    match period:
        case "WEEK":
            return day - timedelta(days=day.weekday())
        case "MONTH":
            return day.replace(day=1)
        case _:
            return day


def next_first_day(period: str, first: date) -> date:
    match period:
        case "WEEK":
            return first + timedelta(days=7)
        case "MONTH":
            return (first + timedelta(days=31)).replace(day=1)
        case _:
            return first + timedelta(days=1)


def first_moment(day: date, zone: ZoneInfo) -> datetime:
    """Midnight, the later of two; where there is none, the first moment after the gap."""
    # Of two midnights the later has the smaller offset. So has what is before a gap: a clock that
    # had not gone forward would show midnight when the gap begins, or in it.
    offset = min(
        datetime.combine(day, time(fold=fold), zone).utcoffset() or timedelta() for fold in (0, 1)
    )
    return datetime.combine(day, time(), UTC) - offset


def window(period: str, at: datetime, zone: ZoneInfo) -> tuple[datetime, datetime]:
    """The window of ``at``, looked for among those before and after."""
    first = first_day(period, at.astimezone(zone).date())
    for candidate in (first_day(period, first - timedelta(days=1)), first):
        start = first_moment(candidate, zone)
        end = first_moment(next_first_day(period, candidate), zone)
        if start <= at < end:
            return start, end
    raise AssertionError(f"{at} is in no {period} of {zone}")


async def windows(
    urls: DatabaseUrls, asked: Sequence[tuple[str, datetime, str]]
) -> list[tuple[datetime, datetime, datetime]]:
    """Begin and end of each, and the beginning of the one that its end is in."""
    columns: list[Any] = [list(column) for column in zip(*asked, strict=True)]
    async with await connect(urls.service) as connection:
        await connection.execute("SET timezone = 'UTC'")
        cursor = await connection.execute(
            """
            SELECT s.s, e.e, assistant_window_start(a.p, e.e, a.z)
            FROM unnest(%s::text[], %s::timestamptz[], %s::text[]) WITH ORDINALITY
                AS a (p, t, z, n)
            CROSS JOIN LATERAL (SELECT assistant_window_start(a.p, a.t, a.z) AS s) AS s
            CROSS JOIN LATERAL (SELECT assistant_window_end(a.p, s.s, a.z) AS e) AS e
            ORDER BY a.n
            """,
            columns,
        )
        return await cursor.fetchall()


async def check(urls: DatabaseUrls, asked: Sequence[tuple[str, datetime, str]]) -> None:
    for (period, at, name), (start, end, following) in zip(
        asked, await windows(urls, asked), strict=True
    ):
        zone = ZoneInfo(name)
        told = f"{period} of {at.isoformat()} in {name}"
        assert (start, end) == window(period, at, zone), told
        assert start <= at < end, told
        assert following == end, f"{told}: a gap or an overlap"
        local, before = (
            moment.astimezone(zone) for moment in (start, start - timedelta(seconds=1))
        )
        assert local.time() == time() or before.date() < local.date(), told
        assert period != "WEEK" or local.weekday() == 0 or before.weekday() > local.weekday()


async def test_any_moment_is_in_the_window_that_its_calendar_says(shared: DatabaseUrls) -> None:
    chance = random.Random(7)
    begin, end = datetime(1990, 1, 1, tzinfo=UTC), datetime(2036, 1, 1, tzinfo=UTC)
    asked = [
        (period, begin + chance.random() * (end - begin), zone)
        for zone in ZONES
        for period in PERIODS
        for _ in range(100)
    ]

    await check(shared, asked)


@pytest.mark.parametrize("zone", MOMENTS)
async def test_every_quarter_of_an_hour_around_what_is_odd_is_in_one_window(
    shared: DatabaseUrls, zone: str
) -> None:
    asked = [
        (period, datetime.fromisoformat(day).replace(tzinfo=UTC) + quarter, zone)
        for period in PERIODS
        for day in MOMENTS[zone]
        for quarter in (timedelta(minutes=15 * number) for number in range(-60, 160))
    ]

    await check(shared, asked)


@pytest.mark.parametrize("zone", ZONES)
async def test_the_days_of_ten_years_follow_each_other_without_gaps(
    shared: DatabaseUrls, zone: str
) -> None:
    at = datetime(2009, 6, 1, 12, tzinfo=UTC)
    asked = [("DAY", at + timedelta(days=number), zone) for number in range(3_653)]

    found = sorted({(start, end) for start, end, _ in await windows(shared, asked)})

    assert all(end == start for (_, end), (start, _) in pairwise(found))
    hours = {(end - start) / timedelta(hours=1) for start, end in found}
    assert hours <= {22, 23, 23.5, 24, 24.5, 25, 26}


async def test_one_microsecond_decides(shared: DatabaseUrls) -> None:
    instant = datetime(2024, 2, 29, 23, tzinfo=UTC)  # midnight in Berlin, of 1 March
    tick = timedelta(microseconds=1)

    found = await windows(
        shared,
        [("MONTH", instant - tick, "Europe/Berlin"), ("MONTH", instant, "Europe/Berlin")],
    )

    february, march = found
    assert february[:2] == (datetime(2024, 1, 31, 23, tzinfo=UTC), instant)
    assert march[:2] == (instant, datetime(2024, 3, 31, 22, tzinfo=UTC))


async def test_the_middle_of_the_night_that_is_there_twice_belongs_to_the_day_before(
    shared: DatabaseUrls,
) -> None:
    """Havana, 4 November 2018: from 01:00 clocks went back to 00:00."""
    first_midnight = datetime(2018, 11, 4, 4, tzinfo=UTC)
    second_midnight = first_midnight + timedelta(hours=1)

    found = await windows(
        shared,
        [
            ("DAY", first_midnight + timedelta(minutes=30), "America/Havana"),
            ("DAY", second_midnight + timedelta(minutes=30), "America/Havana"),
        ],
    )

    assert found[0][:2] == (first_midnight - timedelta(hours=24), second_midnight)
    assert found[1][0] == second_midnight
