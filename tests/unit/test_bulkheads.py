"""Bulkheads: so many calls of a provider at once, and who waits, for how long, in which order."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assistant.domain.model import ProviderConfig, ProviderKind
from assistant.errors import ErrorCode, ProviderBusy
from assistant.services.bulkheads import Bulkhead, Bulkheads, BulkheadSettings
from tests.unit.fakes import FakeClock

OLLAMA = ProviderConfig("ollama", ProviderKind.OLLAMA, max_concurrency=1)


class Calls:
    """Calls of a provider that run until they are told to end."""

    def __init__(self, config: ProviderConfig = OLLAMA, **settings: float) -> None:
        self.config = config
        self.clock = FakeClock()
        self.bulkheads = Bulkheads(self.clock, BulkheadSettings(**settings))  # type: ignore[arg-type]
        self.entered: list[int] = []
        self.most = 0
        self.tasks: list[asyncio.Task[None]] = []
        self._running: dict[int, asyncio.Event] = {}

    @property
    def bulkhead(self) -> Bulkhead:
        return self.bulkheads.of(self.config)

    @property
    def running(self) -> list[int]:
        return list(self._running)

    def begin(self) -> int:
        number = len(self.tasks)
        self.tasks.append(asyncio.create_task(self._call(number, self.config)))
        return number

    async def _call(self, number: int, config: ProviderConfig) -> None:
        async with self.bulkheads.place(config):
            self.entered.append(number)
            self._running[number] = end = asyncio.Event()
            self.most = max(self.most, len(self._running))
            try:
                await end.wait()
            finally:
                del self._running[number]

    def end(self, number: int) -> None:
        self._running[number].set()

    async def end_all(self) -> None:
        while self._running:
            for end in self._running.values():
                end.set()
            await settled()

    async def lasting(self, seconds: float) -> None:
        """One call that has taken so long by the clock."""
        number = self.begin()
        await settled()
        self.clock.advance(seconds)
        self.end(number)
        await settled()


async def settled() -> None:
    """Until whoever can go on has gone on."""
    for _ in range(10):
        await asyncio.sleep(0)


async def refusal_of(task: asyncio.Task[None]) -> ProviderBusy:
    with pytest.raises(ProviderBusy) as caught:
        await task
    return caught.value


# ------------------------------------------------------------------ places


async def test_no_more_calls_run_than_the_row_says_and_the_next_waits_for_a_place() -> None:
    calls = Calls(replace(OLLAMA, max_concurrency=2))
    first, second, third = calls.begin(), calls.begin(), calls.begin()
    await settled()
    assert calls.running == [first, second]
    assert (calls.bulkhead.running, calls.bulkhead.waiting) == (2, 1)

    calls.end(second)
    await settled()

    assert calls.running == [first, third]
    assert (calls.bulkhead.running, calls.bulkhead.waiting) == (2, 0)
    await calls.end_all()
    assert (calls.bulkhead.running, calls.bulkhead.waiting) == (0, 0)


async def test_a_row_that_says_nothing_has_the_limit_of_the_settings() -> None:
    calls = Calls(replace(OLLAMA, max_concurrency=None), max_concurrency=3)
    for _ in range(5):
        calls.begin()
    await settled()

    assert len(calls.running) == 3
    await calls.end_all()


async def test_providers_do_not_wait_for_one_another_and_tenants_do_not_either() -> None:
    bulkheads = Bulkheads(FakeClock())
    another, acmes = replace(OLLAMA, name="ollama2"), replace(OLLAMA, tenant_id="acme")

    async with (
        asyncio.timeout(1),
        bulkheads.place(OLLAMA),
        bulkheads.place(another),
        bulkheads.place(acmes),
    ):
        assert [b.running for b in bulkheads.by_provider.values()] == [1, 1, 1]

    assert set(bulkheads.by_provider) == {
        ("platform", "ollama"),
        ("platform", "ollama2"),
        ("acme", "ollama"),
    }


async def test_what_else_changes_of_a_row_does_not_make_new_places() -> None:
    calls = Calls()
    calls.begin()
    await settled()

    calls.config = replace(OLLAMA, base_url="http://elsewhere:11434")
    calls.begin()
    await settled()

    assert calls.most == 1
    await calls.end_all()


async def test_a_call_that_fails_gives_its_place_back() -> None:
    bulkheads = Bulkheads(FakeClock())

    for _ in range(3):
        with pytest.raises(ZeroDivisionError):
            async with bulkheads.place(OLLAMA):
                raise ZeroDivisionError

    assert bulkheads.of(OLLAMA).running == 0


async def test_first_come_first_served() -> None:
    calls = Calls()
    for _ in range(5):
        calls.begin()
    await settled()
    while calls.running:
        calls.end(calls.running[0])
        if len(calls.tasks) < 9:
            calls.begin()
        await settled()

    assert calls.entered == list(range(9))
    assert calls.most == 1


async def test_who_comes_in_the_moment_a_place_is_free_does_not_overtake_who_waits() -> None:
    calls = Calls()
    first, second = calls.begin(), calls.begin()
    await settled()

    calls.end(first)
    third = calls.begin()
    await settled()

    assert calls.running == [second]
    calls.end(second)
    await settled()
    assert calls.running == [third]
    await calls.end_all()


# ------------------------------------------------------------------ the queue


async def test_who_finds_the_queue_full_is_told_at_once() -> None:
    calls = Calls(max_waiting=2)
    for _ in range(3):
        calls.begin()
    await settled()
    refused = calls.tasks[calls.begin()]
    await settled()

    assert refused.done()
    refusal = await refusal_of(refused)
    assert refusal.code is ErrorCode.RATE_LIMITED
    assert "ollama is busy: 1 calls run and 2 wait" in refusal.message
    assert refusal.retry_after_s is not None and refusal.retry_after_s > 0
    await calls.end_all()
    assert calls.entered == [0, 1, 2]


async def test_who_gives_up_makes_room_in_the_queue() -> None:
    calls = Calls(max_waiting=1)
    calls.begin()
    waiting = calls.tasks[calls.begin()]
    await settled()
    waiting.cancel()
    await settled()
    assert calls.bulkhead.waiting == 0

    last = calls.begin()
    await settled()
    assert calls.bulkhead.waiting == 1

    await calls.end_all()
    assert calls.entered == [0, last]


async def test_the_queue_keeps_nothing_of_those_who_gave_up() -> None:
    calls = Calls(max_waiting=10)
    calls.begin()
    for _ in range(200):
        waiting = calls.tasks[calls.begin()]
        await settled()
        waiting.cancel()
        await settled()

    assert len(calls.bulkhead.queue) == 0
    await calls.end_all()


async def test_who_has_waited_for_as_long_as_one_may_is_told_so() -> None:
    calls = Calls(max_wait_s=0.02)
    calls.begin()
    await settled()

    async with asyncio.timeout(1):
        refusal = await refusal_of(calls.tasks[calls.begin()])

    assert refusal.retry_after_s is not None
    assert calls.bulkhead.waiting == 0
    await calls.end_all()
    assert (calls.entered, calls.bulkhead.running) == ([0], 0)


async def test_who_would_wait_for_too_long_is_told_at_once_and_when_to_come_again() -> None:
    calls = Calls(max_wait_s=10)
    await calls.lasting(4)
    for _ in range(3):
        calls.begin()
    await settled()
    assert calls.bulkhead.waiting == 2  # expected to wait 4 and 8 s

    refused = calls.tasks[calls.begin()]
    await settled()

    assert refused.done()
    assert (await refusal_of(refused)).retry_after_s == 12
    await calls.end_all()


async def test_more_places_make_the_expected_wait_shorter() -> None:
    calls = Calls(replace(OLLAMA, max_concurrency=4), max_wait_s=10)
    await calls.lasting(16)
    for _ in range(6):
        calls.begin()
    await settled()
    assert calls.bulkhead.waiting == 2  # expected to wait 4 and 8 s

    assert (await refusal_of(calls.tasks[calls.begin()])).retry_after_s == 12
    await calls.end_all()


async def test_the_expected_wait_follows_how_long_calls_take_now() -> None:
    calls = Calls(max_wait_s=10)
    await calls.lasting(20)
    for _ in range(20):
        await calls.lasting(1)
    assert calls.bulkhead.mean_s == pytest.approx(1, abs=0.3)

    calls.begin(), calls.begin()
    await settled()

    assert calls.bulkhead.waiting == 1
    await calls.end_all()


# ------------------------------------------------------------------ whoever is cancelled


async def test_a_place_given_to_who_was_cancelled_in_the_same_moment_goes_to_the_next() -> None:
    calls = Calls()
    first, second, third = calls.begin(), calls.begin(), calls.begin()
    await settled()

    calls.end(first)
    while calls.bulkhead.waiting == 2:
        await asyncio.sleep(0)
    calls.tasks[second].cancel()  # it has the place, and does not know it yet
    await settled()

    assert calls.running == [third]
    await calls.end_all()
    assert calls.bulkhead.running == 0


async def test_a_place_goes_past_who_was_cancelled_before() -> None:
    calls = Calls()
    first, second, third = calls.begin(), calls.begin(), calls.begin()
    await settled()

    calls.tasks[second].cancel()
    calls.end(first)
    await settled()

    assert calls.running == [third]
    await calls.end_all()
    assert calls.bulkhead.running == 0


async def test_cancelling_who_runs_gives_the_place_to_who_waits() -> None:
    calls = Calls()
    first, second = calls.begin(), calls.begin()
    await settled()

    calls.tasks[first].cancel()
    await settled()

    assert calls.running == [second]
    await calls.end_all()


# ------------------------------------------------------------------ limits that change


async def test_a_higher_limit_lets_in_who_waits_as_soon_as_it_is_seen() -> None:
    calls = Calls()
    for _ in range(4):
        calls.begin()
    await settled()
    assert calls.running == [0]

    calls.config = replace(OLLAMA, max_concurrency=3)
    calls.begin()
    await settled()

    assert calls.running == [0, 1, 2]
    calls.end(0)
    await settled()
    assert calls.running == [1, 2, 3]
    await calls.end_all()
    assert calls.most == 3


async def test_a_lower_limit_holds_for_all_who_come_after_it() -> None:
    calls = Calls(replace(OLLAMA, max_concurrency=3))
    for _ in range(6):
        calls.begin()
    await settled()
    assert calls.running == [0, 1, 2]

    calls.config = OLLAMA
    last = calls.begin()
    for number in (0, 1):
        calls.end(number)
        await settled()
        assert len(calls.running) == 2 - number  # nobody has come after who left
    calls.end(2)
    await settled()

    assert calls.running == [3]
    await calls.end_all()
    assert calls.entered[-1] == last


# ------------------------------------------------------------------ whatever happens

Step = tuple[str, int]
STEPS = st.lists(
    st.tuples(st.sampled_from(["begin", "begin", "end", "cancel", "settle"]), st.integers(0, 99)),
    max_size=60,
)


async def take(calls: Calls, step: Step) -> None:
    what, which = step
    match what:
        case "begin":
            calls.begin()
        case "end" if calls.running:
            calls.end(calls.running[which % len(calls.running)])
        case "cancel" if calls.tasks:
            calls.tasks[which % len(calls.tasks)].cancel()
        case "settle":
            await asyncio.sleep(0)


@given(STEPS, st.integers(1, 3))
def test_never_do_more_run_than_may_and_no_place_is_lost(steps: list[Step], limit: int) -> None:
    async def scenario() -> None:
        calls = Calls(replace(OLLAMA, max_concurrency=limit), max_waiting=5)
        for step in steps:
            await take(calls, step)
            assert calls.bulkhead.running <= limit
            assert calls.bulkhead.waiting <= 5
        await settled()

        assert calls.bulkhead.running == len(calls.running)
        assert not calls.bulkhead.waiting or len(calls.running) == limit
        await calls.end_all()
        await asyncio.gather(*calls.tasks, return_exceptions=True)
        assert (calls.bulkhead.running, len(calls.bulkhead.queue)) == (0, 0)
        assert calls.most <= limit

    asyncio.run(scenario())


@given(STEPS, st.integers(1, 3))
def test_nobody_overtakes(steps: list[Step], limit: int) -> None:
    async def scenario() -> None:
        calls = Calls(replace(OLLAMA, max_concurrency=limit), max_waiting=5)
        for step in steps:
            await take(calls, step)
            await settled()
        assert calls.entered == sorted(calls.entered)
        await calls.end_all()
        await asyncio.gather(*calls.tasks, return_exceptions=True)

    asyncio.run(scenario())


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["begin", "end", "cancel", "limit", "settle"]), st.integers(0, 99)
        ),
        max_size=60,
    )
)
def test_changing_limits_neither_lose_nor_make_places(steps: list[Step]) -> None:
    async def scenario() -> None:
        calls = Calls(max_waiting=5)
        highest = 1
        for what, which in steps:
            if what == "limit":
                limit = 1 + which % 4
                calls.config = replace(OLLAMA, max_concurrency=limit)
                highest = max(highest, limit)
            await take(calls, (what, which))
        await settled()
        assert calls.most <= highest

        calls.begin()  # whoever comes sees the limit as it is now
        await settled()
        assert calls.bulkhead.running == len(calls.running)
        assert not calls.bulkhead.waiting or len(calls.running) >= calls.bulkhead.limit
        await calls.end_all()
        await asyncio.gather(*calls.tasks, return_exceptions=True)
        assert (calls.bulkhead.running, len(calls.bulkhead.queue)) == (0, 0)

    asyncio.run(scenario())


async def test_a_kind_of_provider_may_have_a_limit_of_its_own_and_a_row_counts_before_it() -> None:
    settings = BulkheadSettings(max_concurrency=3, by_kind={ProviderKind.OLLAMA: 2})
    expected = {
        replace(OLLAMA, max_concurrency=None): 2,
        replace(OLLAMA, name="other", max_concurrency=1): 1,
        ProviderConfig("openai", ProviderKind.OPENAI): 3,
    }
    for config, limit in expected.items():
        calls = Calls(config)
        calls.bulkheads = Bulkheads(calls.clock, settings)
        for _ in range(5):
            calls.begin()
        await settled()
        assert len(calls.running) == limit
        await calls.end_all()
