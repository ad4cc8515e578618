"""What one call of one model is recorded with: thoughts, a cost or none, and how long it kept silent."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

import pytest
from structlog.testing import capture_logs

from assistant.domain.completion import (
    Attempt,
    Completion,
    FinishReason,
    GenerationFinished,
    ProviderEvent,
    TextDelta,
)
from assistant.domain.ports import ProviderCall
from assistant.errors import StreamInterrupted
from assistant.services.unpriced_use import UnpricedUse
from tests.unit.fakes import FakeClock, FakeProvider, answering, model
from tests.unit.world import World

UNPRICED = model("openai/a", input_price=None, output_price=None, is_local=False)
STOP = FinishReason.STOP


async def attempt_of(world: World) -> tuple[Attempt, Completion]:
    await world.ask()
    settled = world.store.settled[-1]
    (attempt,) = settled.decision.attempts
    return attempt, settled


@pytest.mark.parametrize(
    ("end", "counted"),
    [
        (GenerationFinished(STOP, 7, 40, reasoning_tokens=30), (40, 30)),
        (GenerationFinished(STOP, 7, 40, reasoning_tokens=41), (40, 40)),
        (GenerationFinished(STOP, 7, 40), (40, 0)),
    ],
)
async def test_thoughts_are_counted_and_are_never_more_than_the_answer(
    end: GenerationFinished, counted: tuple[int, int]
) -> None:
    attempt, settled = await attempt_of(World({"ollama/a": FakeProvider([TextDelta("x"), end])}))

    assert (attempt.usage.completion_tokens, attempt.usage.reasoning_tokens) == counted
    assert settled.usage.reasoning_tokens == counted[1]


async def test_thoughts_cost_what_answers_cost() -> None:
    end = GenerationFinished(STOP, 0, 1_000_000, reasoning_tokens=999_999)
    priced = model("ollama/a", input_price=Decimal(1), output_price=Decimal(3))

    attempt, _ = await attempt_of(World({"ollama/a": FakeProvider([end])}, models=[priced]))

    assert attempt.usage.cost == Decimal(3)


@pytest.mark.parametrize("count", [10**9, 2**63, 10**30, -1])
async def test_a_count_that_cannot_be_one_is_estimated(count: int) -> None:
    end = GenerationFinished(STOP, count, count, cached_tokens=10**30, reasoning_tokens=10**30)

    attempt, settled = await attempt_of(World({"ollama/a": FakeProvider([TextDelta("x"), end])}))

    usage = attempt.usage
    assert usage.is_estimated
    assert settled.usage.total_tokens < 1_000
    assert usage.cached_tokens <= usage.prompt_tokens
    assert usage.reasoning_tokens <= usage.completion_tokens


# ------------------------------------------------------------------ what nobody has priced


async def test_a_call_without_a_price_has_its_tokens_and_no_cost() -> None:
    world = World({"openai/a": answering("x")}, models=[UNPRICED])

    with capture_logs() as lines:
        attempt, settled = await attempt_of(world)

    assert (attempt.usage.total_tokens, attempt.usage.cost) == (10, 0)
    assert not attempt.usage.is_priced
    assert not settled.usage.is_priced
    assert [line for line in lines if line["event"] == "price_unknown"] == [
        {"event": "price_unknown", "log_level": "warning", "model": "openai/a"}
    ]


async def test_a_call_that_used_nothing_needs_no_price() -> None:
    broken = FakeProvider([StreamInterrupted("gone")])
    world = World({"openai/a": broken}, models=[UNPRICED])

    with capture_logs() as lines, pytest.raises(StreamInterrupted):
        await world.ask()

    assert world.store.settled[-1].usage.is_priced
    assert not [line for line in lines if line["event"] == "price_unknown"]


def test_of_each_model_it_is_told_once_an_hour() -> None:
    clock = FakeClock()
    use = UnpricedUse(clock)
    other = model("openai/b")

    with capture_logs() as lines:
        for used in (UNPRICED, UNPRICED, other):
            use.note(used)
        clock.advance(3_599)
        use.note(UNPRICED)
        clock.advance(1)
        use.note(UNPRICED)

    assert [line["model"] for line in lines] == ["openai/a", "openai/b", "openai/a"]


# ------------------------------------------------------------------ the first token


@dataclass
class Slow(FakeProvider):
    """Takes the clock's time before each event."""

    clock: FakeClock | None = None
    pauses_s: tuple[float, ...] = ()

    async def generate(self, call: ProviderCall):  # type: ignore[no-untyped-def,override]
        events: list[ProviderEvent | Exception | float] = list(self.script)
        for pause_s, event in zip(self.pauses_s, events, strict=True):
            assert self.clock is not None
            self.clock.advance(pause_s)
            if isinstance(event, Exception):
                raise event
            yield event


async def test_the_first_token_is_timed_from_the_call_to_whatever_comes_first() -> None:
    clock = FakeClock()
    script = [TextDelta("x"), TextDelta("y"), GenerationFinished(STOP, 7, 2)]
    slow = Slow(script, clock=clock, pauses_s=(0.25, 1.0, 0.5))

    attempt, _ = await attempt_of(World({"ollama/a": slow}, clock=clock))

    assert (attempt.first_token_ms, attempt.latency_ms) == (250, 1_750)


async def test_where_nothing_came_there_is_no_first_token() -> None:
    clock = FakeClock()
    slow = Slow([StreamInterrupted("gone")], clock=clock, pauses_s=(0.25,))
    world = World({"ollama/a": slow}, clock=clock)

    with pytest.raises(StreamInterrupted):
        await world.ask()

    (attempt,) = world.store.settled[-1].decision.attempts
    assert (attempt.first_token_ms, attempt.latency_ms) == (None, 250)
