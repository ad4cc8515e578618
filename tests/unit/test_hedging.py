"""Hedging: a second call where the first is late, its race with the first, and how many there are."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assistant.services.hedging import HedgeBudget, race


class Runner:
    """Takes so long and returns its name, or fails; knows whether it was begun and cancelled."""

    def __init__(self, name: str, seconds: float = 0.0, error: Exception | None = None) -> None:
        self.name, self.seconds, self.error = name, seconds, error
        self.is_begun = self.is_cancelled = False

    async def __call__(self) -> str:
        self.is_begun = True
        try:
            await asyncio.sleep(self.seconds)
        except asyncio.CancelledError:
            self.is_cancelled = True
            raise
        if self.error:
            raise self.error
        return self.name


class Race:
    """A race between two, with what was discarded."""

    def __init__(self, first: Callable[[], Awaitable[str]], second: Callable[[], Awaitable[str]]):
        self.first, self.second = first, second
        self.discarded: list[str] = []
        self.asked = 0

    async def run(self, *, delay_s: float = 0.005, may_start: bool = True) -> str:
        def may() -> bool:
            self.asked += 1
            return may_start

        async def discard(result: str) -> None:
            self.discarded.append(result)

        return await race(self.first, self.second, delay_s=delay_s, may_start=may, discard=discard)


async def test_where_the_first_is_in_time_there_is_no_second() -> None:
    first, second = Runner("first"), Runner("second")
    racing = Race(first, second)

    assert await racing.run() == "first"

    assert not second.is_begun
    assert (racing.asked, racing.discarded) == (0, [])


async def test_where_the_first_is_late_the_second_may_win_and_the_first_is_cancelled() -> None:
    first, second = Runner("first", 60), Runner("second", 0.001)
    racing = Race(first, second)

    assert await racing.run() == "second"

    assert first.is_cancelled
    assert racing.discarded == []


async def test_the_first_may_win_late_and_the_second_is_cancelled() -> None:
    first, second = Runner("first", 0.02), Runner("second", 60)
    racing = Race(first, second)

    assert await racing.run() == "first"

    assert second.is_begun and second.is_cancelled
    assert racing.discarded == []


async def test_where_no_second_may_start_the_first_is_waited_for() -> None:
    first, second = Runner("first", 0.02), Runner("second")
    racing = Race(first, second)

    assert await racing.run(may_start=False) == "first"

    assert not second.is_begun
    assert racing.asked == 1


async def test_a_first_that_fails_in_time_has_no_second() -> None:
    first, second = Runner("first", error=ValueError("first")), Runner("second")
    racing = Race(first, second)

    with pytest.raises(ValueError, match="first"):
        await racing.run()

    assert not second.is_begun


async def test_a_first_that_fails_late_leaves_it_to_the_second() -> None:
    racing = Race(Runner("first", 0.01, ValueError("first")), Runner("second", 0.02))

    assert await racing.run() == "second"


async def test_a_second_that_fails_leaves_it_to_the_first() -> None:
    racing = Race(Runner("first", 0.02), Runner("second", 0.001, ValueError("second")))

    assert await racing.run() == "first"


@pytest.mark.parametrize("second_s", [0.001, 0.02])
async def test_where_both_fail_the_first_ones_error_is_told(second_s: float) -> None:
    racing = Race(
        Runner("first", 0.01, ValueError("first")),
        Runner("second", second_s, KeyError("second")),
    )

    with pytest.raises(ValueError, match="first"):
        await racing.run()


async def test_of_two_that_win_in_the_same_moment_the_second_is_discarded() -> None:
    finish = asyncio.Event()

    def waiting(name: str) -> Callable[[], Awaitable[str]]:
        async def run() -> str:
            await finish.wait()
            return name

        return run

    racing = Race(waiting("first"), waiting("second"))
    task = asyncio.create_task(racing.run(delay_s=0.001))
    await asyncio.sleep(0.01)
    finish.set()

    assert await task == "first"
    assert racing.discarded == ["second"]


async def test_a_loser_that_does_not_let_itself_be_cancelled_is_discarded() -> None:
    async def stubborn() -> str:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            return "first"
        raise AssertionError

    racing = Race(stubborn, Runner("second"))

    assert await racing.run() == "second"
    assert racing.discarded == ["first"]


@pytest.mark.parametrize("seconds", [0.001, 0.02])
async def test_cancelling_the_race_cancels_whoever_runs(seconds: float) -> None:
    first, second = Runner("first", 60), Runner("second", 60)
    racing = Race(first, second)
    task = asyncio.create_task(racing.run(delay_s=0.01))
    await asyncio.sleep(seconds)

    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert first.is_cancelled
    assert second.is_begun is second.is_cancelled is (seconds > 0.01)
    assert racing.discarded == []


async def test_cancelling_the_race_while_the_loser_stops_discards_the_winner_too() -> None:
    async def slow_to_stop() -> str:
        try:
            await asyncio.sleep(60)
        finally:
            await asyncio.sleep(0.02)
        raise AssertionError

    racing = Race(slow_to_stop, Runner("second"))
    task = asyncio.create_task(racing.run(delay_s=0.001))
    await asyncio.sleep(0.01)

    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert racing.discarded == ["second"]


async def test_what_loses_is_over_when_the_race_is() -> None:
    stopped = False

    async def slow_to_stop() -> str:
        nonlocal stopped
        try:
            await asyncio.sleep(60)
        finally:
            await asyncio.sleep(0.005)
            stopped = True
        raise AssertionError

    await Race(slow_to_stop, Runner("second")).run()

    assert stopped


# ------------------------------------------------------------------ the budget


def test_the_first_second_call_may_be_made_after_twenty_calls() -> None:
    budget = HedgeBudget()
    taken = []
    for _ in range(40):
        budget.count_call()
        taken.append(budget.take())

    assert [number for number, is_taken in enumerate(taken, 1) if is_taken] == [20, 40]


@given(st.lists(st.integers(0, 400), max_size=40))
def test_never_is_more_than_one_call_in_twenty_a_second_one(bursts: list[int]) -> None:
    budget = HedgeBudget()
    calls = hedges = 0
    for size in bursts:
        for _ in range(size):
            calls += 1
            budget.count_call()
        while budget.take():
            hedges += 1
        assert hedges <= 0.05 * calls


def test_calls_of_long_ago_do_not_allow_many_second_ones_now() -> None:
    budget = HedgeBudget()
    for _ in range(100_000):
        budget.count_call()

    assert sum(budget.take() for _ in range(1_000)) <= 50
