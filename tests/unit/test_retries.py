"""Retries: what is called again, how often, after how long, and how many of them a minute."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assistant.errors import (
    AssistantError,
    CircuitOpen,
    ContextLengthExceeded,
    InvalidResponse,
    ModelMissing,
    ProviderBusy,
    ProviderRejected,
    ProviderTimeout,
    ProviderUnavailable,
    QuotaExhausted,
    RateLimited,
    SchemaViolated,
    StorageUnavailable,
    StreamInterrupted,
    TimeLimitReached,
)
from assistant.services.retries import Retries, RetryBudget
from tests.unit.fakes import FakeClock

OLLAMA = ("platform", "ollama")
DOWN = ProviderUnavailable("down")


class Chance(random.Random):
    """Waits for the share of what it might that it is given, and tells between what it chose."""

    def __init__(self, share: float = 0.0) -> None:
        super().__init__()
        self.share = share
        self.asked: list[tuple[float, float]] = []

    def uniform(self, a: float, b: float) -> float:
        self.asked.append((a, b))
        return a + self.share * (b - a)


class Calls:
    """A provider that fails as it is told, then answers; counts what it is asked."""

    def __init__(self, *errors: BaseException) -> None:
        self.made = 0
        self._errors: Iterator[BaseException] = iter(errors)

    async def __call__(self) -> str:
        self.made += 1
        error = next(self._errors, None)
        if error is not None:
            raise error
        return "answer"


async def run(
    calls: Calls,
    retries: Retries | None = None,
    *,
    patience_s: float = 10.0,
    provider: tuple[str, str] = OLLAMA,
) -> str:
    retries = retries or Retries(FakeClock(), Chance())
    return await retries.run(provider, calls, patience_s=lambda: patience_s)


# ------------------------------------------------------------------ what, and how often


async def test_a_call_that_succeeds_is_made_once() -> None:
    calls = Calls()

    assert await run(calls) == "answer"

    assert calls.made == 1


@pytest.mark.parametrize("failures", [1, 2])
async def test_a_call_that_fails_for_a_moment_is_made_again(failures: int) -> None:
    calls = Calls(*[DOWN] * failures)

    assert await run(calls) == "answer"

    assert calls.made == failures + 1


async def test_after_three_attempts_the_last_error_is_told() -> None:
    errors = [ProviderUnavailable(f"down {number}") for number in range(5)]
    calls = Calls(*errors)

    with pytest.raises(ProviderUnavailable) as caught:
        await run(calls)

    assert calls.made == 3
    assert caught.value is errors[2]


@pytest.mark.parametrize(
    "error",
    [DOWN, ProviderTimeout("silent"), RateLimited("429"), RateLimited("429", retry_after_s=0.001)],
    ids=lambda error: type(error).__name__,
)
async def test_what_may_be_over_in_a_moment_is_retried(error: AssistantError) -> None:
    calls = Calls(error)

    assert await run(calls) == "answer"

    assert calls.made == 2


@pytest.mark.parametrize(
    "error",
    [
        ModelMissing("404"),
        ProviderRejected("400"),
        QuotaExhausted("402"),
        ContextLengthExceeded("too long"),
        InvalidResponse("HTML"),
        StreamInterrupted("cut"),
        SchemaViolated("no"),
        CircuitOpen("open", retry_after_s=0.001),
        ProviderBusy("busy", retry_after_s=0.001),
        TimeLimitReached("the caller's"),
        StorageUnavailable("our own"),
        ZeroDivisionError("a defect"),
        asyncio.CancelledError(),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_what_would_fail_again_is_not_retried(error: BaseException) -> None:
    calls = Calls(error)

    with pytest.raises(type(error)) as caught:
        await run(calls)

    assert caught.value is error
    assert calls.made == 1


async def test_a_second_failure_of_another_kind_ends_it() -> None:
    calls = Calls(DOWN, ProviderRejected("401"))

    with pytest.raises(ProviderRejected):
        await run(calls)

    assert calls.made == 2


# ------------------------------------------------------------------ after how long


async def test_the_wait_is_anything_up_to_a_bound_that_doubles() -> None:
    chance = Chance()

    with pytest.raises(ProviderUnavailable):
        await run(Calls(*[DOWN] * 3), Retries(FakeClock(), chance))

    assert chance.asked == [(0.0, 0.25), (0.0, 0.5)]


async def test_what_chance_says_is_waited() -> None:
    loop = asyncio.get_running_loop()
    began = loop.time()

    await run(Calls(DOWN), Retries(FakeClock(), Chance(share=0.1)))

    assert 0.02 <= loop.time() - began < 0.2


async def test_a_provider_is_never_asked_again_before_the_time_it_names() -> None:
    loop = asyncio.get_running_loop()
    began = loop.time()

    await run(Calls(RateLimited("429", retry_after_s=0.03)), patience_s=1)

    assert loop.time() - began >= 0.029


@pytest.mark.parametrize("error_type", [RateLimited, ProviderUnavailable])
async def test_a_provider_that_asks_for_more_patience_than_there_is_is_not_waited_for(
    error_type: type[AssistantError],
) -> None:
    calls = Calls(error_type("later", retry_after_s=2.5))

    with pytest.raises(error_type):
        await run(calls, patience_s=2)

    assert calls.made == 1


@pytest.mark.parametrize("error", [DOWN, RateLimited("429", retry_after_s=0)])
async def test_without_any_patience_nothing_is_retried(error: AssistantError) -> None:
    calls = Calls(error)

    with pytest.raises(type(error)):
        await run(calls, patience_s=0)

    assert calls.made == 1


async def test_patience_is_asked_for_when_a_call_has_failed() -> None:
    """It is what is left of a time limit, and the calls use it up."""
    left = [3.0]

    async def slow() -> str:
        left[0] -= 2
        raise RateLimited("429", retry_after_s=1.5)

    with pytest.raises(RateLimited):
        await Retries(FakeClock(), Chance()).run(OLLAMA, slow, patience_s=lambda: left[0])

    assert left == [1.0]


async def test_cancelling_ends_the_wait() -> None:
    calls = Calls(RateLimited("429", retry_after_s=5))
    task = asyncio.create_task(run(calls))
    await asyncio.sleep(0.005)

    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert calls.made == 1


# ------------------------------------------------------------------ the budget


async def test_an_outage_gets_a_fifth_more_calls_and_not_three_times_as_many() -> None:
    retries = Retries(FakeClock(), Chance())
    made = 0
    for _ in range(200):
        calls = Calls(*[DOWN] * 3)
        with pytest.raises(ProviderUnavailable):
            await run(calls, retries)
        made += calls.made

    assert 200 < made <= 240


async def test_where_the_budget_is_spent_the_error_is_told_at_once() -> None:
    retries = Retries(FakeClock(), Chance())
    for _ in range(5):
        with pytest.raises(ProviderUnavailable):
            await run(Calls(*[DOWN] * 3), retries)

    calls = Calls(DOWN)
    with pytest.raises(ProviderUnavailable):
        await run(calls, retries)

    assert calls.made == 1


async def test_every_provider_has_a_budget_of_its_own() -> None:
    retries = Retries(FakeClock(), Chance())
    for _ in range(5):
        with pytest.raises(ProviderUnavailable):
            await run(Calls(*[DOWN] * 3), retries)

    for provider in (("platform", "openai"), ("acme", "ollama")):
        assert await run(Calls(DOWN), retries, provider=provider) == "answer"


async def test_what_is_not_retried_costs_nothing_of_the_budget() -> None:
    retries = Retries(FakeClock(), Chance())
    for _ in range(50):
        with pytest.raises(ProviderRejected):
            await run(Calls(ProviderRejected("400")), retries)
        with pytest.raises(RateLimited):
            await run(Calls(RateLimited("429", retry_after_s=99)), retries)

    assert await run(Calls(DOWN, DOWN), retries) == "answer"


def test_ten_a_minute_are_always_allowed() -> None:
    budget = RetryBudget(FakeClock())

    assert [budget.take() for _ in range(12)] == [True] * 10 + [False] * 2


def test_of_many_calls_a_fifth() -> None:
    budget = RetryBudget(FakeClock())
    for _ in range(100):
        budget.count_call()

    assert sum(budget.take() for _ in range(100)) == 20


def test_retries_and_calls_are_forgotten_after_a_minute() -> None:
    clock = FakeClock()
    budget = RetryBudget(clock)
    for _ in range(100):
        budget.count_call()
    clock.advance(30)
    assert sum(budget.take() for _ in range(100)) == 20

    clock.advance(29)
    assert not budget.take()
    clock.advance(1)  # the calls are forgotten, the retries not yet
    assert not budget.take()
    clock.advance(30)
    assert sum(budget.take() for _ in range(100)) == 10


@given(st.lists(st.sampled_from(["call", "retry", "second", "half a minute"]), max_size=300))
def test_never_more_than_a_fifth_of_the_last_minutes_calls_or_ten(steps: list[str]) -> None:
    clock = FakeClock()
    budget = RetryBudget(clock)
    calls: list[float] = []
    retries: list[float] = []

    def last_minute(times: list[float]) -> int:
        return sum(time > clock.monotonic() - 60 for time in times)

    for step in steps:
        match step:
            case "call":
                budget.count_call()
                calls.append(clock.monotonic())
            case "retry":
                may = last_minute(retries) < max(10, 0.2 * last_minute(calls))
                assert budget.take() is may
                if may:
                    retries.append(clock.monotonic())
            case "second":
                clock.advance(1)
            case _:
                clock.advance(30)
