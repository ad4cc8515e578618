"""Many who ask the same at once: one call of a model, one charge, and nobody the worse for it."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID

import pytest

from assistant.domain.cache import CacheOutcome, CachePolicy
from assistant.domain.completion import (
    Completion,
    CompletionRestarted,
    CompletionStarted,
    CompletionStatus,
    FinishReason,
    GenerationFinished,
    GenerationParameters,
    ProgressEvent,
    ProviderEvent,
    TextDelta,
)
from assistant.domain.rule import RoutingRule
from assistant.errors import (
    AssistantError,
    InternalError,
    ProviderUnavailable,
    StorageUnavailable,
    TimeLimitReached,
)
from tests.unit.fakes import ALICE, FakeProvider, answering, catalog
from tests.unit.test_cache import ask, cached_world, calls, two_models, verdict_of
from tests.unit.world import World, request_of

END = GenerationFinished(FinishReason.STOP, 7, 3)


def slow(*texts: str, pause_s: float = 0.02) -> FakeProvider:
    script: list[ProviderEvent | Exception | float] = []
    for text in texts:
        script += [pause_s, TextDelta(text)]
    return FakeProvider([*script, END])


class Rider:
    """Somebody who asks "q" as a stream, in a task."""

    def __init__(self, world: World, **fields: object) -> None:
        self.events: list[ProgressEvent] = []
        request = request_of(**({"text": "q"} | fields))
        self.task = asyncio.create_task(world.flow.complete(request, self._emit))

    async def _emit(self, event: ProgressEvent) -> None:
        self.events.append(event)

    @property
    def text(self) -> str:
        return "".join(event.text for event in self.events if isinstance(event, TextDelta))

    async def has_text(self, text: str) -> None:
        async with asyncio.timeout(5):
            while text not in self.text:
                await asyncio.sleep(0.001)

    async def leave(self) -> None:
        self.task.cancel()
        with suppress(asyncio.CancelledError):
            await self.task


def record_of(world: World, completion: Completion) -> Completion:
    return next(each for each in world.store.settled if each.id == completion.id)


async def test_a_hundred_who_ask_the_same_at_once_make_one_call_and_one_charge() -> None:
    world = cached_world(slow("Paris."))

    answers = await asyncio.gather(*(world.flow.complete(request_of(text="q")) for _ in range(100)))

    assert calls(world) == 1
    assert {answer.text for answer in answers} == {"Paris."}
    assert sorted(answer.cache for answer in answers) == [
        *[CacheOutcome.COALESCED] * 99,
        CacheOutcome.MISS,
    ]
    assert len([answer for answer in answers if answer.usage.cost]) == 1
    assert len(world.store.opened) == 1


async def test_those_who_come_late_are_told_from_the_beginning() -> None:
    world = cached_world(slow("one ", "two ", "three"))
    first = Rider(world)
    await first.has_text("two")

    late = Rider(world)
    await late.has_text("one two")
    answer = await late.task

    assert (await first.task).text == answer.text == late.text == "one two three"
    started = late.events[0]
    assert isinstance(started, CompletionStarted)
    assert started.completion_id == answer.id
    assert calls(world) == 1


async def test_streams_and_whole_answers_share_a_call() -> None:
    world = cached_world(slow("one ", "two"))
    first = Rider(world)
    await first.has_text("one")

    whole = await world.flow.complete(request_of(text="q"))

    assert (whole.text, whole.cache) == ("one two", CacheOutcome.COALESCED)
    await first.task


async def test_a_payer_who_leaves_hands_over_and_pays_nothing() -> None:
    world = cached_world(slow("one ", "two ", "three"))
    payer = Rider(world)
    await payer.has_text("one")
    heir = Rider(world)
    third = Rider(world)
    await asyncio.sleep(0)

    await payer.leave()
    answer, other = await heir.task, await third.task

    assert (answer.text, other.text, calls(world)) == ("one two three", "one two three", 1)
    left = next(c for c in world.store.settled if c.status is CompletionStatus.CANCELLED)
    assert (left.usage.cost, left.text, left.model) == (0, "one ", "ollama/m")
    assert (answer.cache, answer.usage.cost > 0) == (CacheOutcome.MISS, True)
    assert (other.cache, other.usage.cost) == (CacheOutcome.COALESCED, 0)
    assert {opened.id for opened in world.store.opened} == {left.id, answer.id}
    assert not any(isinstance(event, CompletionRestarted) for event in heir.events)


async def test_who_takes_over_before_a_model_was_chosen_is_the_one_whose_entry_is_opened() -> None:
    world = cached_world(slow("one"))
    world.cache_store.delay_s = 0.02
    payer, heir, third = Rider(world), Rider(world), Rider(world)
    await asyncio.sleep(0.005)

    await payer.leave()
    answer, other = await heir.task, await third.task

    assert [opened.id for opened in world.store.opened] == [answer.id]
    assert verdict_of(other).source_id == answer.id
    await world.cache.drain(1)
    assert [entry.id for entry in world.cache_store.entries.values()] == [answer.id]


async def test_who_leaves_or_fails_was_looked_up_all_the_same() -> None:
    world = cached_world(slow("one ", "two", pause_s=0.05))
    payer, rider = Rider(world), Rider(world)
    await rider.has_text("one")
    await payer.leave()
    await rider.leave()
    failing = cached_world(FakeProvider([ProviderUnavailable("It is away.")]))
    with pytest.raises(ProviderUnavailable):
        await failing.flow.complete(request_of(text="q"))

    settled = [*world.store.settled, *failing.store.settled]
    assert [each.cache for each in settled] == [CacheOutcome.MISS] * 3
    assert all(verdict_of(each).reason for each in settled)


async def test_where_there_are_rules_nobody_rides_whom_they_may_send_elsewhere() -> None:
    world = two_models()
    rule = RoutingRule(
        UUID(int=1),
        ALICE.tenant_id,
        "legal",
        1,
        {"feature": "legal"},
        ("ollama/b",),
        datetime(2026, 1, 1, tzinfo=UTC),
    )
    world.models_store.rows = catalog(*world.models, rules=[rule])

    answers = await asyncio.gather(
        world.flow.complete(request_of(text="q")),
        world.flow.complete(request_of(text="q", feature="legal")),
    )
    again = await ask(world, "q", feature="legal")

    assert [each.model for each in (*answers, again)] == ["ollama/a", "ollama/b", "ollama/b"]


async def test_a_rider_who_leaves_is_missed_by_nobody() -> None:
    world = cached_world(slow("one ", "two"))
    payer = Rider(world)
    await payer.has_text("one")
    rider = Rider(world)
    await rider.has_text("one")

    await rider.leave()

    assert (await payer.task).text == "one two"


async def test_the_last_who_leaves_stops_the_call_and_is_charged_for_what_came() -> None:
    provider = slow("one ", "two ", pause_s=0.05)
    world = cached_world(provider)
    payer, rider = Rider(world), Rider(world)
    await rider.has_text("one")

    await payer.leave()
    await rider.leave()

    assert provider.closed == 1
    charged = [each for each in world.store.settled if each.usage.cost]
    assert len(charged) == 1
    assert charged[0].status is CompletionStatus.CANCELLED
    assert charged[0].text == "one "


async def test_who_asks_while_a_call_is_being_stopped_makes_one_of_their_own() -> None:
    world = cached_world(slow("one ", "two ", pause_s=0.05))
    payer = Rider(world)
    await payer.has_text("one")
    payer.task.cancel()
    await asyncio.sleep(0)

    answer = await world.flow.complete(request_of(text="q"))

    assert (answer.text, answer.cache) == ("one two ", CacheOutcome.MISS)


async def test_a_failure_is_everybodys_each_with_their_own_completion() -> None:
    world = cached_world(FakeProvider([0.02, ProviderUnavailable("It is away.")]))

    results = await asyncio.gather(
        *(world.flow.complete(request_of(text="q")) for _ in range(3)), return_exceptions=True
    )

    assert all(isinstance(result, ProviderUnavailable) for result in results)
    assert len({result.completion_id for result in results}) == 3  # type: ignore[union-attr]
    assert [each.status for each in world.store.settled] == [CompletionStatus.FAILED] * 3
    assert len([each for each in world.store.settled if each.decision.attempts]) == 1


async def test_a_defect_is_everybodys_too() -> None:
    world = cached_world(FakeProvider([0.02, ValueError("oops")]))  # type: ignore[list-item]

    results = await asyncio.gather(
        *(world.flow.complete(request_of(text="q")) for _ in range(3)), return_exceptions=True
    )

    assert [type(result) for result in results] == [InternalError] * 3


async def test_other_time_limits_are_other_calls() -> None:
    world = cached_world(slow("one"))

    await asyncio.gather(
        world.flow.complete(request_of(text="q")),
        world.flow.complete(
            request_of(text="q", parameters=GenerationParameters(timeout_ms=5_000))
        ),
    )

    assert calls(world) == 2


async def test_nobody_rides_with_another_user() -> None:
    world = cached_world(slow("one"))
    bob = replace(ALICE, user_id="bob")

    answers = await asyncio.gather(
        world.flow.complete(request_of(text="q")),
        world.flow.complete(request_of(text="q", caller=bob)),
    )

    assert [answer.cache for answer in answers] == [CacheOutcome.MISS] * 2


async def test_a_provider_is_read_no_faster_than_the_quickest_who_listens() -> None:
    provider = FakeProvider([*[TextDelta("x") for _ in range(1_000)], END])
    world = cached_world(provider)
    told = 0
    gate = asyncio.Event()

    async def emit(event: ProgressEvent) -> None:
        nonlocal told
        told += 1
        await gate.wait()

    task = asyncio.create_task(world.flow.complete(request_of(text="q"), emit))
    await asyncio.sleep(0.05)
    (flight,) = world.cache._flights.values()
    waiting = len(flight.events)
    gate.set()
    await task

    assert waiting < 100
    assert told == 1_001


async def test_a_follower_of_a_hit_has_a_hit() -> None:
    first = cached_world(answering("Paris."))
    await first.flow.complete(request_of(text="q"))
    await first.cache.drain(1)
    second = cached_world(cache_store=first.cache_store)
    second.cache_store.delay_s = 0.01

    answers = await asyncio.gather(*(second.flow.complete(request_of(text="q")) for _ in range(3)))

    assert [answer.cache for answer in answers] == [CacheOutcome.EXACT] * 3
    assert calls(second) == 0


# ------------------------------------------------------------------------ two replicas


def two_replicas(provider: FakeProvider) -> tuple[World, World]:
    first = cached_world(provider)
    return first, cached_world(provider, cache_store=first.cache_store)


async def test_a_hundred_on_two_replicas_make_one_call_and_one_charge() -> None:
    provider = slow("Paris.", pause_s=0.05)
    one, two = two_replicas(provider)

    answers = await asyncio.gather(
        *(each.flow.complete(request_of(text="q")) for _ in range(50) for each in (one, two))
    )

    assert len(provider.calls) == 1
    assert {answer.text for answer in answers} == {"Paris."}
    assert len([answer for answer in answers if answer.usage.cost]) == 1


async def test_another_replicas_stream_is_followed_as_it_comes() -> None:
    provider = slow("one ", "two ", "three", pause_s=0.05)
    one, two = two_replicas(provider)
    leader = Rider(one)
    await leader.has_text("one")

    follower = Rider(two)
    await follower.has_text("one")
    was_running = not leader.task.done()
    answer = await follower.task

    assert was_running
    assert (follower.text, answer.text) == ("one two three", "one two three")
    assert answer.cache is CacheOutcome.COALESCED
    assert verdict_of(answer).source_id == (await leader.task).id


async def test_another_replicas_failure_is_told_with_its_code_and_words() -> None:
    provider = FakeProvider([0.05, ProviderUnavailable("It is away.")])
    one, two = two_replicas(provider)

    results = await asyncio.gather(
        *(each.flow.complete(request_of(text="q")) for each in (one, two)), return_exceptions=True
    )

    assert len(provider.calls) == 3  # the attempts of one completion
    assert [(type(r), str(r)) for r in results] == [(ProviderUnavailable, "It is away.")] * 2


async def test_a_leader_elsewhere_who_leaves_hands_over_to_a_follower() -> None:
    provider = slow("one ", "two", pause_s=0.05)
    one, two = two_replicas(provider)
    leader = Rider(one)
    await leader.has_text("one")
    follower = Rider(two)
    await follower.has_text("one")

    await leader.leave()
    answer = await follower.task

    assert answer.text == "one two"
    assert len(provider.calls) == 2
    kinds = [type(event) for event in follower.events]
    assert kinds.count(CompletionStarted) == kinds.count(CompletionRestarted) == 1


async def test_a_leader_elsewhere_that_dies_is_replaced() -> None:
    provider = slow("one ", "two", pause_s=0.2)
    one, two = two_replicas(provider)
    leader = Rider(one)
    await asyncio.sleep(0.05)
    follower = Rider(two)
    await asyncio.sleep(0.05)
    ((_, flight),) = two.cache_store.flights.items()
    one.flights.lose(flight.leader)

    answer = await follower.task

    assert answer.text == "one two"
    with suppress(AssistantError):
        await leader.task


async def test_an_answer_that_is_not_the_one_that_was_being_told_starts_over() -> None:
    provider = slow("one ", "two", pause_s=0.2)
    one, two = two_replicas(provider)
    third = cached_world(answering("something else"), cache_store=one.cache_store)
    leader = Rider(one)
    await leader.has_text("one")
    follower = Rider(two)
    await follower.has_text("one")
    await ask(third, "q", cache=CachePolicy.REFRESH)
    two.cache_store.flights.clear()

    answer = await follower.task

    assert (answer.text, answer.cache) == ("something else", CacheOutcome.EXACT)
    restarted = next(i for i, e in enumerate(follower.events) if isinstance(e, CompletionRestarted))
    assert follower.events[restarted + 1 :] == [TextDelta("something else")]
    await leader.leave()


async def test_who_cannot_hear_another_replica_asks_without_it() -> None:
    one, two = two_replicas(slow("one", pause_s=0.2))
    leader = Rider(one)
    await asyncio.sleep(0.05)
    two.flights.error = StorageUnavailable("away")

    answer = await two.flow.complete(request_of(text="q"))

    assert answer.cache is CacheOutcome.MISS
    assert len(two.cache_store.calls) < 20
    await leader.task


async def test_another_replica_is_waited_for_no_longer_than_the_caller_waits() -> None:
    one, two = two_replicas(slow("one", pause_s=1.0))
    one.flights.error = StorageUnavailable("away")
    limited = GenerationParameters(timeout_ms=50)
    leader = Rider(one, parameters=limited)
    await asyncio.sleep(0.02)
    await leader.leave()  # and nobody is told

    with pytest.raises(TimeLimitReached):
        await two.flow.complete(request_of(text="q", parameters=limited))


async def test_a_semantic_hit_on_one_replica_is_one_on_another_that_waits_for_it() -> None:
    one, two = two_replicas(answering("Paris."))
    await ask(one, "What is the capital of France?")
    one.embedder.delay_s = 0.05  # type: ignore[attr-defined]

    first = asyncio.create_task(one.flow.complete(request_of(text="what is the capital of france")))
    await asyncio.sleep(0.02)
    second = await two.flow.complete(request_of(text="what is the capital of france"))

    assert [(await first).cache, second.cache] == [CacheOutcome.SEMANTIC] * 2
