"""Circuit breakers: when a model is held back, who tries again, and what replicas tell each other."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from dataclasses import replace

import pytest

from assistant.domain.model import CircuitState, ModelKey, ProviderConfig, ProviderKind
from assistant.domain.ports import CircuitNotice
from assistant.errors import (
    BadUserInput,
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
from assistant.services.circuits import Circuits, CircuitSettings
from tests.unit.fakes import FakeCircuitStore, FakeClock

KEY = ModelKey("platform", "ollama", "llama3.2:3b")
OTHERS = [
    replace(KEY, tenant_id="acme"),
    replace(KEY, provider="ollama2"),
    replace(KEY, model="mistral:7b"),
]
DOWN = ProviderUnavailable("down")


class Replica:
    """One replica's circuits over a store and a clock that a test holds in its hand."""

    def __init__(self, store: FakeCircuitStore | None = None) -> None:
        self.store = store or FakeCircuitStore()
        self.clock = FakeClock()
        self.circuits = Circuits(self.store, self.clock)

    @property
    def state(self) -> CircuitState:
        return self.circuits.state(KEY)

    async def call(self, *ends: BaseException | None) -> None:
        """Make calls that end so, one after the other; None is an answer."""
        for end in ends:
            with suppress(type(end) if end else ()):
                async with self.circuits.guard(KEY):
                    if end:
                        raise end

    async def refused(self) -> CircuitOpen:
        """What a call is told; it must not come through."""
        with pytest.raises(CircuitOpen) as caught:
            async with self.circuits.guard(KEY):
                pytest.fail("the call was made")
        return caught.value

    async def opened(self) -> Replica:
        await self.call(*[DOWN] * 5)
        return self

    async def half_open(self) -> Replica:
        await self.opened()
        self.clock.advance(60)
        await self.circuits.drain()
        self.store.told.clear()
        return self

    async def told(self) -> list[str]:
        await self.circuits.drain()
        assert {key for _, key in self.store.told} <= {KEY}
        return [what for what, _ in self.store.told]


# ------------------------------------------------------------------ when it opens


async def test_five_failures_in_a_row_open_it_and_everybody_is_told_once() -> None:
    replica = Replica()

    await replica.call(*[DOWN] * 4)
    assert replica.state is CircuitState.CLOSED
    assert await replica.told() == []

    await replica.call(DOWN)
    assert replica.state is CircuitState.OPEN
    assert await replica.told() == ["open"]


async def test_an_answer_in_between_makes_up_for_all_failures_before_it() -> None:
    replica = Replica()

    await replica.call(*[DOWN] * 4, None, *[DOWN] * 4)
    assert replica.state is CircuitState.CLOSED

    await replica.call(DOWN)
    assert replica.state is CircuitState.OPEN


@pytest.mark.parametrize(
    "error",
    [
        ProviderUnavailable("503"),
        ProviderTimeout("silent"),
        StreamInterrupted("cut"),
        InvalidResponse("HTML"),
        QuotaExhausted("402"),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_a_failure_of_the_provider_counts(error: Exception) -> None:
    replica = Replica()

    await replica.call(*[error] * 5)

    assert replica.state is CircuitState.OPEN


NO_FAILURES = [
    ProviderRejected("400, 401, 403, 413, 422"),
    ModelMissing("404"),
    ContextLengthExceeded("too long"),
    RateLimited("429", retry_after_s=1),
    SchemaViolated("not what was asked for"),
    ProviderBusy("our own queue"),
    TimeLimitReached("the caller's own limit"),
    StorageUnavailable("our own database"),
    BadUserInput("the caller's fault"),
    ZeroDivisionError("a defect of ours"),
    asyncio.CancelledError(),
    GeneratorExit(),
]


@pytest.mark.parametrize("error", NO_FAILURES, ids=lambda error: type(error).__name__)
async def test_what_says_nothing_against_the_provider_does_not_count(error: BaseException) -> None:
    replica = Replica()

    await replica.call(*[error] * 20)

    assert replica.state is CircuitState.CLOSED


@pytest.mark.parametrize("error", NO_FAILURES, ids=lambda error: type(error).__name__)
async def test_a_call_without_an_answer_does_not_make_up_for_failures(error: BaseException) -> None:
    replica = Replica()

    await replica.call(*[DOWN] * 4, error, DOWN)

    assert replica.state is CircuitState.OPEN


async def test_a_model_is_held_back_where_it_failed_and_nowhere_else() -> None:
    replica = await Replica().opened()

    assert replica.circuits.not_closed == {KEY}
    for key in OTHERS:
        assert replica.circuits.state(key) is CircuitState.CLOSED
        async with replica.circuits.guard(key):
            pass


async def test_how_many_failures_and_how_long_are_settings() -> None:
    clock = FakeClock()
    circuits = Circuits(FakeCircuitStore(), clock, CircuitSettings(failures=2, open_s=5))

    for _ in range(2):
        with pytest.raises(ProviderUnavailable):
            async with circuits.guard(KEY):
                raise DOWN

    assert circuits.state(KEY) is CircuitState.OPEN
    clock.advance(5)
    assert circuits.state(KEY) is CircuitState.HALF_OPEN


# ------------------------------------------------------------------ while it is open


async def test_a_model_that_is_held_back_is_not_called_and_the_refusal_says_for_how_long() -> None:
    replica = await Replica().opened()
    replica.clock.advance(20)

    refusal = await replica.refused()

    assert refusal.retry_after_s == 40
    assert "ollama/llama3.2:3b has failed 5 times in a row" in refusal.message
    assert "40 s more" in refusal.message
    with pytest.raises(CircuitOpen):
        replica.circuits.check(KEY)


async def test_refusals_are_no_failures_and_do_not_hold_it_back_for_longer() -> None:
    replica = await Replica().opened()

    for _ in range(60):
        await replica.refused()
        replica.clock.advance(1)

    assert replica.state is CircuitState.HALF_OPEN
    assert await replica.told() == ["open"]


@pytest.mark.parametrize("end", [None, DOWN])
async def test_calls_that_began_before_it_opened_say_nothing_new(end: Exception | None) -> None:
    replica = Replica()
    late = replica.circuits.guard(KEY)
    await late.__aenter__()
    await replica.opened()
    replica.clock.advance(30)

    await late.__aexit__(type(end) if end else None, end, None)

    assert replica.state is CircuitState.OPEN
    assert (await replica.refused()).retry_after_s == 30
    assert await replica.told() == ["open"]


# ------------------------------------------------------------------ trying again


async def test_after_its_time_one_call_at_a_time_may_try_again() -> None:
    replica = await Replica().half_open()
    assert replica.state is CircuitState.HALF_OPEN
    replica.circuits.check(KEY)

    async with replica.circuits.guard(KEY):
        assert replica.state is CircuitState.HALF_OPEN
        refusal = await replica.refused()
        with pytest.raises(CircuitOpen):
            replica.circuits.check(KEY)

    assert "one call is finding out" in refusal.message
    assert refusal.retry_after_s is not None and 0 < refusal.retry_after_s <= 1
    assert await replica.told() == ["take_probe", "close"]


async def test_of_many_calls_at_once_one_tries_again() -> None:
    replica = await Replica().half_open()
    made = 0

    async def call() -> None:
        nonlocal made
        async with replica.circuits.guard(KEY):
            made += 1
            await asyncio.sleep(0.005)

    results = await asyncio.gather(*(call() for _ in range(50)), return_exceptions=True)

    assert made == 1
    assert [type(result) for result in results if result] == [CircuitOpen] * 49


@pytest.mark.parametrize(
    "end",
    [None, RateLimited("429"), ProviderRejected("401"), ModelMissing("404")],
    ids=["answer", "429", "401", "404"],
)
async def test_a_provider_that_answers_closes_it(end: Exception | None) -> None:
    replica = await Replica().half_open()

    await replica.call(end)

    assert replica.state is CircuitState.CLOSED
    assert replica.circuits.not_closed == frozenset()
    assert await replica.told() == ["take_probe", "close"]
    await replica.call(*[DOWN] * 4)
    assert replica.state is CircuitState.CLOSED


async def test_one_failure_of_the_call_that_tries_opens_it_anew() -> None:
    replica = await Replica().half_open()

    await replica.call(DOWN)

    assert replica.state is CircuitState.OPEN
    assert (await replica.refused()).retry_after_s == 60
    assert await replica.told() == ["take_probe", "open"]


async def test_it_closes_and_opens_as_often_as_the_model_comes_and_goes() -> None:
    replica = Replica()
    for _ in range(3):
        await replica.half_open()
        await replica.call(DOWN)
        assert replica.state is CircuitState.OPEN
        replica.clock.advance(60)
        await replica.call(None)
        assert replica.state is CircuitState.CLOSED


@pytest.mark.parametrize(
    "end", [asyncio.CancelledError(), TimeLimitReached("the caller's"), GeneratorExit()], ids=repr
)
async def test_a_call_that_found_out_nothing_lets_the_next_one_try(end: BaseException) -> None:
    replica = await Replica().half_open()

    await replica.call(end)

    assert replica.state is CircuitState.HALF_OPEN
    await replica.call(None)
    assert replica.state is CircuitState.CLOSED
    assert await replica.told() == ["take_probe", "release_probe", "take_probe", "close"]


async def test_a_generator_that_is_closed_while_it_tries_lets_the_next_one_try() -> None:
    replica = await Replica().half_open()

    async def generate() -> AsyncGenerator[int, None]:
        async with replica.circuits.guard(KEY):
            yield 1

    async with aclosing(generate()) as events:
        await anext(events)

    assert await replica.told() == ["take_probe", "release_probe"]
    replica.circuits.check(KEY)


async def test_a_call_that_is_cancelled_while_it_asks_to_try_leaves_it_to_the_next() -> None:
    class Slow(FakeCircuitStore):
        async def take_probe(self, key: ModelKey, lease_s: float) -> CircuitNotice | None:
            await asyncio.sleep(60)
            return None

    replica = await Replica(Slow()).half_open()
    asking = asyncio.create_task(replica.call(None))
    await asyncio.sleep(0)
    await replica.refused()

    asking.cancel()
    await asyncio.wait({asking})

    replica.circuits.check(KEY)


async def test_another_replica_that_was_quicker_to_try_is_waited_for_but_not_for_its_lease() -> (
    None
):
    replica = await Replica().half_open()
    replica.store.obstacle = CircuitNotice(KEY, open_for_s=-3, probe_for_s=150)

    refusal = await replica.refused()

    assert refusal.retry_after_s == 0.5
    assert replica.circuits.not_closed == {KEY}
    replica.clock.advance(0.5)
    await replica.refused()  # the lease is still another one's: the store is not asked again
    assert await replica.told() == ["take_probe"]
    replica.store.obstacle = None
    replica.clock.advance(150)
    await replica.call(None)
    assert replica.state is CircuitState.CLOSED


async def test_a_probe_that_was_given_back_in_the_very_moment_is_not_asked_for_again_at_once() -> (
    None
):
    replica = await Replica().half_open()
    replica.store.obstacle = CircuitNotice(KEY, open_for_s=-3, probe_for_s=None)

    for _ in range(3):
        assert (await replica.refused()).retry_after_s == 0.5
    assert await replica.told() == ["take_probe"]

    replica.store.obstacle = None
    replica.clock.advance(0.5)
    await replica.call(None)
    assert replica.state is CircuitState.CLOSED


async def test_where_another_clock_says_that_it_is_too_early_nobody_tries() -> None:
    replica = await Replica().half_open()
    replica.store.obstacle = CircuitNotice(KEY, open_for_s=7)

    assert (await replica.refused()).retry_after_s == 7
    assert replica.state is CircuitState.OPEN


async def test_where_another_replica_has_closed_it_meanwhile_all_calls_are_made() -> None:
    replica = await Replica().half_open()
    replica.store.obstacle = CircuitNotice(KEY, open_for_s=None)

    async with replica.circuits.guard(KEY), replica.circuits.guard(KEY):
        assert replica.state is CircuitState.CLOSED

    assert await replica.told() == ["take_probe"]


# ------------------------------------------------------------------ what replicas tell


async def test_a_circuit_that_another_replica_has_opened_is_open_here() -> None:
    replica = Replica()

    replica.circuits.learn(CircuitNotice(KEY, open_for_s=12))

    assert replica.state is CircuitState.OPEN
    assert (await replica.refused()).retry_after_s == 12
    replica.clock.advance(12)
    assert replica.state is CircuitState.HALF_OPEN
    assert await replica.told() == []


async def test_while_another_replica_tries_nobody_here_does_until_its_lease_is_over() -> None:
    replica = await Replica().half_open()
    replica.circuits.learn(CircuitNotice(KEY, open_for_s=-1, probe_for_s=150))
    assert replica.state is CircuitState.HALF_OPEN

    await replica.refused()
    assert await replica.told() == []

    replica.clock.advance(150)
    await replica.call(None)
    assert await replica.told() == ["take_probe", "close"]


async def test_what_another_replica_has_let_go_may_be_tried_here() -> None:
    replica = await Replica().half_open()
    replica.circuits.learn(CircuitNotice(KEY, open_for_s=-1, probe_for_s=150))

    replica.circuits.learn(CircuitNotice(KEY, open_for_s=-2, probe_for_s=None))

    replica.circuits.check(KEY)


async def test_a_circuit_that_another_replica_has_closed_is_closed_and_counts_from_nought() -> None:
    replica = await Replica().opened()

    replica.circuits.learn(CircuitNotice(KEY, open_for_s=None))

    assert replica.state is CircuitState.CLOSED
    await replica.call(*[DOWN] * 4)
    assert replica.state is CircuitState.CLOSED
    await replica.call(DOWN)
    assert replica.state is CircuitState.OPEN


async def test_a_notice_of_ones_own_probe_changes_nothing() -> None:
    replica = await Replica().half_open()

    async with replica.circuits.guard(KEY):
        replica.circuits.learn(CircuitNotice(KEY, open_for_s=-0.01, probe_for_s=149.9))

    assert replica.state is CircuitState.CLOSED


@pytest.mark.parametrize("end", [None, DOWN, asyncio.CancelledError()], ids=repr)
@pytest.mark.parametrize("open_for_s", [None, 60.0])
async def test_news_while_a_call_tries_does_not_break_it(
    end: BaseException | None, open_for_s: float | None
) -> None:
    """Its lease has run out, say, and another replica has closed and opened the circuit again."""
    replica = await Replica().half_open()
    probe = replica.circuits.guard(KEY)
    await probe.__aenter__()

    replica.circuits.learn(CircuitNotice(KEY, open_for_s=None))
    replica.circuits.learn(CircuitNotice(KEY, open_for_s=open_for_s))
    await probe.__aexit__(type(end) if end else None, end, None)

    unchanged = CircuitState.CLOSED if open_for_s is None else CircuitState.OPEN
    expected = {None: CircuitState.CLOSED, DOWN: CircuitState.OPEN}
    assert replica.state is expected.get(end, unchanged)  # type: ignore[call-overload]


async def test_everything_is_taken_over_at_once() -> None:
    elsewhere, tried = OTHERS[0], OTHERS[1]
    replica = await Replica().opened()
    replica.store.circuits = [
        CircuitNotice(elsewhere, open_for_s=30),
        CircuitNotice(tried, open_for_s=-5, probe_for_s=20),
    ]

    await replica.circuits.learn_all()

    assert replica.circuits.not_closed == {elsewhere, tried}
    assert replica.circuits.state(elsewhere) is CircuitState.OPEN
    assert replica.circuits.state(tried) is CircuitState.HALF_OPEN
    assert replica.state is CircuitState.CLOSED


async def test_what_cannot_be_read_changes_nothing() -> None:
    replica = await Replica().opened()
    replica.store.error = StorageUnavailable("The database is down.")

    with pytest.raises(StorageUnavailable):
        await replica.circuits.learn_all()

    assert replica.state is CircuitState.OPEN


# ------------------------------------------------------------------ without the store


async def test_without_the_store_a_replica_protects_itself_and_recovers_by_itself() -> None:
    replica = Replica(FakeCircuitStore(error=StorageUnavailable("The database is down.")))

    await replica.opened()
    await replica.refused()
    replica.clock.advance(60)

    async with replica.circuits.guard(KEY):
        await replica.refused()  # even so, one at a time
    assert replica.state is CircuitState.CLOSED

    await replica.half_open()
    await replica.call(DOWN)
    assert replica.state is CircuitState.OPEN
    await replica.circuits.drain()


async def test_nobody_waits_for_the_store_to_hear_of_it() -> None:
    class Hanging(FakeCircuitStore):
        async def open(self, key: ModelKey, open_s: float) -> None:
            await heard.wait()
            await super().open(key, open_s)

    heard = asyncio.Event()
    replica = Replica(Hanging())

    async with asyncio.timeout(1):
        await replica.opened()
    assert replica.store.told == []

    heard.set()
    assert await replica.told() == ["open"]


async def test_the_store_hears_of_changes_in_the_order_in_which_they_came() -> None:
    class SlowToClose(FakeCircuitStore):
        async def close(self, key: ModelKey) -> None:
            await asyncio.sleep(0.01)
            await super().close(key)

    replica = await Replica(SlowToClose()).half_open()

    await replica.call(None, *[DOWN] * 5)

    assert await replica.told() == ["take_probe", "close", "open"]


# ------------------------------------------------------------------ a provider as a whole


async def test_a_provider_is_as_well_as_its_worst_model() -> None:
    replica = Replica()
    provider = ProviderConfig(KEY.provider, ProviderKind.OLLAMA, tenant_id=KEY.tenant_id)
    assert replica.circuits.worst(provider) is CircuitState.CLOSED

    replica.circuits.learn(CircuitNotice(OTHERS[0], open_for_s=60))  # of another tenant
    assert replica.circuits.worst(provider) is CircuitState.CLOSED
    replica.circuits.learn(CircuitNotice(KEY, open_for_s=-1))
    assert replica.circuits.worst(provider) is CircuitState.HALF_OPEN
    replica.circuits.learn(CircuitNotice(OTHERS[2], open_for_s=60))
    assert replica.circuits.worst(provider) is CircuitState.OPEN
