"""Hedged groups: a first token that is late makes a second model be asked as well."""

from __future__ import annotations

import asyncio
from decimal import Decimal

from assistant.domain.completion import (
    AttemptOutcome,
    CompletionContinued,
    CompletionStarted,
    InterruptionPolicy,
    TextDelta,
)
from assistant.domain.model import ModelGroup, ProviderConfig, ProviderKind
from assistant.errors import ErrorCode, ModelMissing, ProviderUnavailable, StreamInterrupted
from tests.unit.asking import Turns, ask, failing, observe
from tests.unit.fakes import FakeProvider, answering, model
from tests.unit.world import World

CANCELLED, SUCCEEDED = AttemptOutcome.CANCELLED, AttemptOutcome.SUCCEEDED
FAILED = AttemptOutcome.FAILED
QUICK = answering("quick").script
PRICE = {"input_price": Decimal(100), "output_price": Decimal(1_000)}


async def hedging(
    late: FakeProvider, *others: FakeProvider, is_hedged: bool = True, max_concurrency: int = 256
) -> World:
    """A group whose first model answers twenty times within 5 ms and then plays ``late``.

    The others are of another provider.
    """
    first = Turns(turns=[*[QUICK] * 20, late.script])
    scripts = {"ollama/a": first} | {
        f"openai/{name}": other for name, other in zip("bcd", others, strict=False)
    }
    world = World(
        scripts,
        models=[model(id_, preference=index, **PRICE) for index, id_ in enumerate(scripts)],
        groups=[ModelGroup("fast", tuple(scripts), is_hedged=is_hedged)],
        max_concurrency=max_concurrency,
    )
    observe(world, "ollama/a", *[0.005] * 200)
    for _ in range(20):
        assert (await ask(world, model="fast")).record.model == "ollama/a"
    first.calls.clear()
    first.turns = [late.script]
    first.closed = 0
    return world


async def test_the_second_answers_where_the_first_is_late_and_the_loser_is_charged_its_prompt() -> (
    None
):
    world = await hedging(failing(60.0), answering("x", "y", prompt_tokens=11))

    asked = await ask(world, model="fast")

    started, *texts = asked.events
    assert isinstance(started, CompletionStarted)
    assert started.model == asked.record.model == "openai/b"
    assert texts == [TextDelta("x"), TextDelta("y")]
    loser, winner = asked.record.decision.attempts
    assert (loser.model, loser.outcome, loser.error_code) == (
        "ollama/a",
        CANCELLED,
        ErrorCode.CANCELLED,
    )
    assert (winner.model, winner.outcome) == ("openai/b", SUCCEEDED)
    assert loser.usage.prompt_tokens > 0 and loser.usage.is_estimated
    assert loser.usage.completion_tokens == 0
    assert loser.usage.cost == loser.usage.prompt_tokens * Decimal(100) / 1_000_000
    assert asked.record.usage == loser.usage + winner.usage
    assert world.providers["ollama/a"].closed == 1


async def test_the_first_may_still_be_quicker() -> None:
    world = await hedging(FakeProvider([0.03, *QUICK]), failing(60.0))

    asked = await ask(world, model="fast")

    assert asked.outcomes == [("openai/b", CANCELLED), ("ollama/a", SUCCEEDED)]
    assert asked.record.decision.attempts[0].usage.cost > 0
    assert world.providers["openai/b"].closed == 1


async def test_a_group_that_is_not_hedged_waits_for_its_first() -> None:
    world = await hedging(FakeProvider([0.02, *QUICK]), answering("x"), is_hedged=False)

    assert (await ask(world, model="fast")).outcomes == [("ollama/a", SUCCEEDED)]


async def test_a_request_that_names_no_hedged_group_waits_for_its_first() -> None:
    world = await hedging(FakeProvider([0.02, *QUICK]), answering("x"))

    assert (await ask(world)).outcomes == [("ollama/a", SUCCEEDED)]


async def test_at_most_one_call_in_twenty_is_a_second_one() -> None:
    world = await hedging(FakeProvider([0.01, *QUICK]), answering("x"))

    asked = [await ask(world, model="fast") for _ in range(10)]

    assert [len(outcome.attempts) for outcome in asked] == [2, *[1] * 9]


async def test_without_enough_observed_nothing_is_hedged() -> None:
    missing = ModelMissing("404")
    world = World(
        {
            "ollama/a": Turns(turns=[*[[missing]] * 40, [0.005, *QUICK]]),
            "openai/b": answering("x"),
        },
        groups=[ModelGroup("fast", ("ollama/a", "openai/b"), is_hedged=True)],
    )
    observe(world, "ollama/a", *[0.0001] * 19)
    for _ in range(40):
        await ask(world, model="fast")

    assert (await ask(world, model="fast")).outcomes == [("ollama/a", SUCCEEDED)]


async def test_a_loser_that_was_never_called_is_not_charged() -> None:
    """It waits for a place with its provider when the other one has answered."""
    world = await hedging(failing(60.0), answering("x"), max_concurrency=1)

    async with world.bulkheads.place(ProviderConfig("ollama", ProviderKind.OLLAMA)):
        asked = await ask(world, model="fast")

    loser, winner = asked.record.decision.attempts
    assert (loser.model, loser.outcome, loser.usage.cost) == ("ollama/a", CANCELLED, 0)
    assert asked.record.usage == winner.usage
    assert world.providers["ollama/a"].calls == []


async def test_a_second_that_failed_in_the_race_is_not_asked_again() -> None:
    down = ProviderUnavailable("down")
    world = await hedging(failing(0.02, down), failing(down), answering("c"))

    asked = await ask(world, model="fast")

    assert asked.record.model == "openai/c"
    assert len(world.providers["openai/b"].calls) == 3
    assert asked.outcomes[-1] == ("openai/c", SUCCEEDED)
    assert set(asked.outcomes[:-1]) == {
        ("ollama/a", FAILED),
        ("openai/b", FAILED),
    }


async def test_a_second_that_was_stopped_may_still_take_over() -> None:
    cut = FakeProvider([0.02, TextDelta("Once upon a time"), StreamInterrupted("cut")])
    other = Turns(turns=[[60.0], answering(" there was").script])
    world = await hedging(cut, other)

    asked = await ask(world, model="fast", on_interruption=InterruptionPolicy.CONTINUE)

    assert asked.record.text == "Once upon a time there was"
    assert asked.events[2] == CompletionContinued("openai/b", ErrorCode.STREAM_INTERRUPTED)


async def test_cancelling_the_request_stops_both() -> None:
    world = await hedging(failing(60.0), failing(60.0))
    task = asyncio.create_task(ask(world, model="fast"))
    await asyncio.sleep(0.02)
    assert len(world.providers["openai/b"].calls) == 1

    task.cancel()
    await asyncio.wait({task})

    assert [provider.closed for provider in world.providers.values()] == [1, 1]
    (_, *_, settled) = world.store.settled
    assert [a.outcome for a in settled.decision.attempts] == [CANCELLED, CANCELLED]
