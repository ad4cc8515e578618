"""Failover: who is asked next, and when nobody is any more."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from decimal import Decimal

import pytest
import uvloop

from assistant.domain.completion import (
    AttemptOutcome,
    CompletionStarted,
    GenerationParameters,
    ProgressEvent,
    ProviderEvent,
    ReasoningDelta,
    TextDelta,
    ToolCallDelta,
)
from assistant.domain.model import CircuitState, ProviderConfig, ProviderKind
from assistant.domain.ports import CircuitNotice, ProviderCall, TimeLimits
from assistant.errors import (
    AssistantError,
    CircuitOpen,
    ContextLengthExceeded,
    ErrorCode,
    ModelMissing,
    ProviderBusy,
    ProviderRejected,
    ProviderTimeout,
    ProviderUnavailable,
    RateLimited,
    StreamInterrupted,
)
from tests.unit.asking import Turns, ask, failing, key_of, observe
from tests.unit.fakes import FakeProvider, answering, model
from tests.unit.world import World, request_of

FAILED, SUCCEEDED = AttemptOutcome.FAILED, AttemptOutcome.SUCCEEDED
CIRCUIT_OPEN, TIMED_OUT = AttemptOutcome.CIRCUIT_OPEN, AttemptOutcome.TIMED_OUT
DOWN = ProviderUnavailable("down")


# ------------------------------------------------------------------ attempts


async def test_every_attempt_is_in_the_decision() -> None:
    silent = ProviderTimeout("silent")
    world = World(
        {
            "ollama/a": Turns(turns=[[DOWN], [DOWN], [RateLimited("429")]]),
            "ollama/b": Turns(turns=[[silent], answering("x").script]),
        }
    )

    asked = await ask(world)

    assert asked.error is None
    assert asked.attempts == [
        ("ollama/a", FAILED, ErrorCode.PROVIDER_UNAVAILABLE),
        ("ollama/a", FAILED, ErrorCode.PROVIDER_UNAVAILABLE),
        ("ollama/a", FAILED, ErrorCode.RATE_LIMITED),
        ("ollama/b", TIMED_OUT, ErrorCode.PROVIDER_TIMEOUT),
        ("ollama/b", SUCCEEDED, None),
    ]
    assert asked.record.usage.total_tokens == 10  # of the one that answered


async def test_a_model_that_fell_silent_is_not_asked_again_while_another_may_be_quicker() -> None:
    silent = FakeProvider([ProviderTimeout("silent")])
    world = World({"ollama/a": silent, "ollama/b": answering("x")})

    asked = await ask(world)

    assert asked.error is None
    assert [model for model, *_ in asked.attempts] == ["ollama/a", "ollama/b"]


async def test_a_caution_of_ours_does_not_hide_what_the_provider_said() -> None:
    world = World({"ollama/a": FakeProvider([DOWN])})
    for _ in range(2):
        asked = await ask(world)

    assert [outcome for _, outcome, _ in asked.attempts] == [FAILED, FAILED, CIRCUIT_OPEN]
    assert asked.error is not None
    assert asked.error.message == "down"


async def test_an_answer_is_never_asked_to_be_longer_than_the_window_has_room_for() -> None:
    row = model("ollama/a", context_window=1_000, max_output_tokens=900)
    world = World({"ollama/a": answering("x")}, [row])

    for asked_for in (None, 100, 5_000):
        await ask(world, parameters=GenerationParameters(max_tokens=asked_for))

    sent = [call.parameters.max_tokens for call in world.providers["ollama/a"].calls]
    assert sent[:2] == [None, 100]
    assert sent[2] == 900


async def test_an_attempt_takes_as_long_as_the_provider_did_and_waiting_is_overhead() -> None:
    class Slow(FakeProvider):
        async def generate(self, call: ProviderCall) -> AsyncGenerator[ProviderEvent, None]:
            for event in self.script:
                world.clock.advance(0.25)
                assert not isinstance(event, Exception | float)
                yield event

    providers = {"ollama/a": Slow(answering("x", "y").script)}
    world = World(providers)

    asked = await ask(world)

    assert [a.latency_ms for a in asked.record.decision.attempts] == [750]
    assert (asked.record.latency_ms, asked.record.decision.overhead_ms) == (750, 0)


@pytest.mark.parametrize(
    "first",
    [TextDelta("Once"), ReasoningDelta("Let me see"), ToolCallDelta(0, "1", "search", "{}")],
    ids=["text", "thought", "tool call"],
)
async def test_after_the_first_event_nothing_is_retried_and_nobody_else_is_asked(
    first: ProviderEvent,
) -> None:
    world = World({"ollama/a": failing(first, DOWN), "ollama/b": answering("x")})

    asked = await ask(world)

    assert isinstance(asked.error, StreamInterrupted)
    assert asked.outcomes == [("ollama/a", FAILED)]
    assert asked.record.usage.completion_tokens > 0


@pytest.mark.parametrize(
    "error",
    [
        ModelMissing("404"),
        ProviderRejected("400"),
        ContextLengthExceeded("9,000 tokens, 8,192 fit"),
        RateLimited("429", retry_after_s=5),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_what_would_fail_again_goes_to_the_next_candidate_at_once(
    error: AssistantError,
) -> None:
    world = World({"ollama/a": failing(error), "ollama/b": answering("x")})

    async with asyncio.timeout(1):
        asked = await ask(world)

    assert asked.outcomes == [("ollama/a", FAILED), ("ollama/b", SUCCEEDED)]
    assert asked.record.model == "ollama/b"


async def test_a_provider_that_asks_for_a_short_wait_gets_it() -> None:
    later = RateLimited("429", retry_after_s=0.02)
    world = World({"ollama/a": Turns(turns=[[later], answering("x").script])})
    loop = asyncio.get_running_loop()
    began = loop.time()

    asked = await ask(world)

    assert asked.outcomes == [("ollama/a", FAILED), ("ollama/a", SUCCEEDED)]
    assert loop.time() - began >= 0.019


async def test_a_busy_provider_is_passed_over_at_once_without_being_called() -> None:
    world = World({"ollama/a": answering("x"), "openai/b": answering("y")}, max_concurrency=1)
    ollama = ProviderConfig("ollama", ProviderKind.OLLAMA)

    async def wait() -> None:
        async with world.bulkheads.place(ollama):
            pass

    async with world.bulkheads.place(ollama):
        waiting = [asyncio.create_task(wait()) for _ in range(2)]
        await asyncio.sleep(0)
        asked = await ask(world)
    await asyncio.gather(*waiting)

    assert asked.attempts == [
        ("ollama/a", FAILED, ErrorCode.RATE_LIMITED),
        ("openai/b", SUCCEEDED, None),
    ]
    assert world.providers["ollama/a"].calls == []
    assert asked.record.decision.attempts[0].latency_ms == 0


async def test_of_200_requests_all_are_answered_though_one_call_in_three_fails() -> None:
    fine = answering("x").script
    flaky = Turns(turns=[[DOWN], fine, fine] * 150)
    world = World({"ollama/a": flaky, "openai/b": answering("y")})

    asked = [await ask(world) for _ in range(200)]

    assert all(outcome.error is None for outcome in asked)
    firsts = [
        [attempt for attempt in outcome.outcomes if attempt[0] == "ollama/a"] for outcome in asked
    ]
    retried = sum(len(attempts) - 1 for attempts in firsts)
    assert 0 < retried <= 40
    assert len(flaky.calls) == 200 + retried


# ------------------------------------------------------------------ circuits


async def test_a_model_that_is_held_back_is_passed_over_and_the_decision_says_so() -> None:
    world = World({"ollama/a": answering("x"), "ollama/b": answering("y")})
    world.circuits.learn(CircuitNotice(key_of("ollama/a"), open_for_s=60))

    asked = await ask(world)

    assert asked.attempts == [
        ("ollama/a", CIRCUIT_OPEN, ErrorCode.PROVIDER_UNAVAILABLE),
        ("ollama/b", SUCCEEDED, None),
    ]
    assert asked.record.decision.candidates == ("ollama/a", "ollama/b")
    assert world.providers["ollama/a"].calls == []
    assert asked.record.usage.total_tokens == 10


async def test_retries_end_where_the_circuit_opens() -> None:
    world = World({"ollama/a": failing(DOWN), "ollama/b": answering("x")})

    await ask(world)
    asked = await ask(world)

    assert asked.outcomes == [
        ("ollama/a", FAILED),
        ("ollama/a", FAILED),
        ("ollama/a", CIRCUIT_OPEN),
        ("ollama/b", SUCCEEDED),
    ]
    assert (await ask(world)).outcomes == [("ollama/a", CIRCUIT_OPEN), ("ollama/b", SUCCEEDED)]
    assert len(world.providers["ollama/a"].calls) == 5


async def test_answers_that_do_not_come_through_to_the_client_open_no_circuit() -> None:
    """Whoever asks for 5 ms must not close a model to everybody else."""
    world = World({"ollama/a": failing(60.0)})

    for _ in range(6):
        await ask(world, parameters=GenerationParameters(timeout_ms=5))
        task = asyncio.create_task(ask(world))
        await asyncio.sleep(0.001)
        task.cancel()
        await asyncio.wait({task})

    assert world.circuits.state(key_of("ollama/a")) is CircuitState.CLOSED


async def test_a_model_that_works_again_closes_its_circuit() -> None:
    world = World({"ollama/a": answering("x"), "ollama/b": answering("y")})
    world.circuits.learn(CircuitNotice(key_of("ollama/a"), open_for_s=0))

    asked = await ask(world)

    assert asked.outcomes == [("ollama/a", SUCCEEDED)]
    assert world.circuits.state(key_of("ollama/a")) is CircuitState.CLOSED


# ------------------------------------------------------------------ where nobody answers


@pytest.mark.parametrize(
    ("first", "second", "told"),
    [
        (ProviderUnavailable("one"), ProviderUnavailable("two"), "two"),
        (ProviderUnavailable("one"), ProviderRejected("two"), "two"),
        (ContextLengthExceeded("one"), ProviderRejected("two"), "two"),
        (ProviderRejected("one"), ContextLengthExceeded("two"), "two"),
        # What a provider did says more than that we were careful.
        (ProviderRejected("one"), CircuitOpen("two"), "one"),
        (ProviderRejected("one"), ProviderBusy("two"), "one"),
        (CircuitOpen("one"), ProviderRejected("two"), "two"),
        (ProviderBusy("one"), ProviderRejected("two"), "two"),
        (CircuitOpen("one"), ProviderBusy("two"), "one"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
async def test_of_all_failures_the_last_that_a_provider_caused_is_told(
    first: AssistantError, second: AssistantError, told: str
) -> None:
    world = World({"ollama/a": failing(first), "ollama/b": failing(second)})

    asked = await ask(world)

    assert asked.error is (first if told == "one" else second)
    assert asked.events == []


async def test_where_all_models_are_held_back_the_refusal_says_when_to_come_again() -> None:
    world = World({"ollama/a": answering("x"), "ollama/b": answering("y")})
    for name, open_for_s in (("ollama/a", 50), ("ollama/b", 20)):
        world.circuits.learn(CircuitNotice(key_of(name), open_for_s))

    asked = await ask(world)

    assert isinstance(asked.error, CircuitOpen)
    assert asked.error.retry_after_s == 50
    assert asked.outcomes == [("ollama/a", CIRCUIT_OPEN), ("ollama/b", CIRCUIT_OPEN)]


async def test_the_providers_own_retry_hint_reaches_the_caller() -> None:
    world = World({"ollama/a": failing(RateLimited("429", retry_after_s=30))})

    asked = await ask(world)

    assert isinstance(asked.error, RateLimited)
    assert asked.error.retry_after_ms == 30_000
    assert len(asked.attempts) == 1


# ------------------------------------------------------------------ time limits


async def test_the_time_limit_is_one_for_all_attempts() -> None:
    world = World({"ollama/a": failing(0.03, DOWN), "ollama/b": answering("x")})

    asked = await ask(world, parameters=GenerationParameters(timeout_ms=45))

    assert isinstance(asked.error, ProviderTimeout)
    assert "0.045 s" in asked.error.message
    assert asked.outcomes == [("ollama/a", FAILED), ("ollama/a", TIMED_OUT)]
    assert world.providers["ollama/a"].closed == 2


async def test_a_wait_that_goes_beyond_the_time_limit_is_not_begun() -> None:
    later = RateLimited("429", retry_after_s=1)
    world = World({"ollama/a": failing(later)})

    asked = await ask(world, parameters=GenerationParameters(timeout_ms=500))

    assert asked.error is later
    assert len(asked.attempts) == 1


def test_an_attempt_that_ran_out_of_time_says_so_whatever_the_loops_clock_counts_by() -> None:
    """uvloop's counts milliseconds: its timers go off up to half of one before their time."""

    async def outcomes() -> set[AttemptOutcome]:
        found = set()
        for _ in range(20):
            world = World({"ollama/a": failing(60.0)}, time_limits=TimeLimits(total_s=0.0024))
            asked = await ask(world)
            assert isinstance(asked.error, ProviderTimeout)
            found |= {outcome for _, outcome in asked.outcomes}
        return found

    assert uvloop.run(outcomes()) == {TIMED_OUT}


async def test_a_client_that_is_slow_to_listen_is_not_held_against_the_provider() -> None:
    world = World({"ollama/a": answering("x")})

    async def emit(_event: ProgressEvent) -> None:
        await asyncio.sleep(60)

    with pytest.raises(ProviderTimeout):
        await world.flow.complete(request_of(parameters=GenerationParameters(timeout_ms=10)), emit)

    (attempt,) = world.store.settled[0].decision.attempts
    assert attempt.outcome is AttemptOutcome.CANCELLED


# ------------------------------------------------------------------ whole answers


async def test_a_whole_answer_that_breaks_off_was_seen_by_nobody_and_the_next_one_is_asked() -> (
    None
):
    cut = failing(TextDelta("Once"), StreamInterrupted("cut"))
    world = World({"ollama/a": cut, "ollama/b": answering("Twice")})

    asked = await ask(world, streamed=False)

    assert asked.record.text == "Twice"
    assert asked.outcomes == [("ollama/a", FAILED), ("ollama/b", SUCCEEDED)]
    assert asked.record.decision.attempts[0].usage.completion_tokens > 0


async def test_a_whole_answer_that_nobody_gives_fails_as_the_last_provider_did() -> None:
    cut = failing(TextDelta("Once"), StreamInterrupted("cut"))
    world = World({"ollama/a": cut, "ollama/b": failing(ProviderRejected("401"))})

    asked = await ask(world, streamed=False)

    assert isinstance(asked.error, ProviderRejected)


# ------------------------------------------------------------------ several hosts of one model


def two_hosts(**second: object) -> World:
    return World(
        {"h1/llama": answering("x"), "h2/llama": answering("y")},
        models=[
            model("h1/llama", preference=1),
            model("h2/llama", **({"preference": 2} | second)),
        ],
    )


async def test_hosts_of_one_model_share_the_load() -> None:
    world = two_hosts()
    observe(world, "h1/llama", 2.0)
    observe(world, "h2/llama", 0.5)

    asked = await ask(world)

    assert asked.record.model == "h2/llama"
    assert asked.record.decision.candidates == ("h1/llama", "h2/llama")


async def test_a_host_that_fails_leaves_it_to_the_other() -> None:
    world = two_hosts()
    observe(world, "h1/llama", 2.0)
    observe(world, "h2/llama", 0.5)
    world.circuits.learn(CircuitNotice(key_of("h2/llama"), open_for_s=60))

    assert (await ask(world)).outcomes == [("h1/llama", SUCCEEDED)]


async def test_requests_at_once_are_spread_over_the_hosts() -> None:
    slow = [0.005, *answering("x").script]
    world = World({"h1/llama": FakeProvider(slow), "h2/llama": FakeProvider(slow)})

    await asyncio.gather(*(ask(world) for _ in range(20)))

    assert [len(provider.calls) for provider in world.providers.values()] == [10, 10]


@pytest.mark.parametrize(
    "differs",
    [{"input_price": Decimal(1)}, {"output_price": Decimal(1)}, {"is_local": False}],
    ids=lambda fields: next(iter(fields)),
)
async def test_a_host_that_costs_something_else_is_another_candidate(
    differs: dict[str, object],
) -> None:
    world = two_hosts(**differs)
    observe(world, "h1/llama", 2.0)
    observe(world, "h2/llama", 0.5)

    assert (await ask(world)).record.model == "h1/llama"


# ------------------------------------------------------------------ who answers is said


async def test_nothing_is_announced_before_somebody_answers() -> None:
    world = World({"ollama/a": failing(DOWN), "ollama/b": failing(DOWN)})

    assert (await ask(world)).events == []


async def test_cancelling_closes_the_provider_and_records_the_attempt() -> None:
    provider = failing(TextDelta("Once"), 60.0)
    world = World({"ollama/a": provider})
    task = asyncio.create_task(ask(world))
    await asyncio.sleep(0.005)

    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert provider.closed == 1
    (attempt,) = world.store.settled[0].decision.attempts
    assert attempt.outcome is AttemptOutcome.CANCELLED
    assert attempt.usage.completion_tokens > 0


async def test_after_any_end_no_place_is_taken_and_no_call_counted_as_running() -> None:
    world = World({"ollama/a": failing(DOWN), "ollama/b": answering("x")}, max_concurrency=1)

    for _ in range(3):
        await ask(world)

    assert [b.running for b in world.bulkheads.by_provider.values()] == [0]


# ------------------------------------------------------------------ what is learnt of tokens


async def test_token_counts_are_learnt_from_plain_prompts() -> None:
    world = World({"ollama/a": answering("x", prompt_tokens=9)})

    asked = await ask(world)

    assert world.tokens.learnt == [("ollama/a", 9)]
    assert isinstance(asked.events[0], CompletionStarted)


async def test_nothing_is_learnt_where_the_provider_did_not_count() -> None:
    world = World({"ollama/a": answering("x", prompt_tokens=None)})

    await ask(world)

    assert world.tokens.learnt == []
