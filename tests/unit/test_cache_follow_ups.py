"""Behind the answer: what grows old is made anew, and semantic hits are compared at times."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from dataclasses import replace

from assistant.domain.cache import CacheOutcome, ShadowVerdict, WarmingTask
from assistant.domain.completion import (
    Completion,
    CompletionRequest,
    FinishReason,
    GenerationFinished,
    TextDelta,
)
from assistant.errors import BadUserInput
from assistant.services.cache_follow_ups import CacheFollowUps
from assistant.services.cache_warming import WARMING_FEATURE, CacheWarming
from tests.unit.fake_cache import FakeCacheUpkeepStore
from tests.unit.fakes import ALICE, answering
from tests.unit.test_cache import ask, cached_world, calls
from tests.unit.world import World, request_of

QUESTION = "What is the capital of France?"
REWORDED = "what is the capital of france"


def follow_ups(
    world: World, *, share: float = 1.0, running: Callable[[], int] = lambda: 0
) -> CacheFollowUps:
    return CacheFollowUps(
        queue=world.cache.uses.follow_ups,
        complete=world.flow.complete,
        running=running,
        store=world.cache_store,
        flights=world.flights,
        clock=world.clock,
        embedder=world.embedder,
        telemetry=world.telemetry,
        chance=random.Random(1),
        shadow_share=share,
    )


async def follow_up_all(world: World, share: float = 1.0) -> None:
    following = follow_ups(world, share=share)
    while not world.cache.uses.follow_ups.empty():
        await following.follow_up(world.cache.uses.follow_ups.get_nowait())
    await world.cache.drain(1)


async def test_an_entry_that_grows_old_answers_and_is_made_anew_behind_the_answer() -> None:
    world = cached_world()
    await ask(world, QUESTION)
    world.clock.advance(250)
    world.providers[next(iter(world.providers))].script = answering("Paris, still.").script

    hit = await ask(world, QUESTION)
    await follow_up_all(world)
    world.clock.advance(200)
    later = await ask(world, QUESTION)

    assert (hit.cache, hit.text) == (CacheOutcome.EXACT, "Paris.")
    assert (later.cache, later.text) == (CacheOutcome.EXACT, "Paris, still.")
    assert calls(world) == 2


async def test_an_entry_that_grows_old_is_made_anew_once_however_many_were_answered_by_it() -> None:
    world = cached_world()
    await ask(world, QUESTION)
    world.clock.advance(250)

    for _ in range(5):
        await ask(world, QUESTION)
    await follow_up_all(world)

    assert calls(world) == 2


async def test_an_entry_whose_new_answer_cannot_be_kept_is_not_tried_again_with_every_hit() -> None:
    world = cached_world()
    await ask(world, QUESTION)
    world.clock.advance(250)
    cut = GenerationFinished(FinishReason.LENGTH, 1, 1)
    world.providers[next(iter(world.providers))].script = [TextDelta("cut"), cut]
    following = follow_ups(world)

    for _ in range(5):
        await ask(world, QUESTION)
        await following.follow_up(world.cache.uses.follow_ups.get_nowait())

    assert calls(world) == 2


async def test_an_entry_that_grows_old_is_made_anew_by_one_of_two_replicas() -> None:
    one = cached_world()
    await ask(one, QUESTION)
    two = cached_world(one.providers["ollama/m"], cache_store=one.cache_store)
    for world in (one, two):
        world.clock.advance(250)
    one.cache_store.clock = one.clock
    for world in (one, two):
        await ask(world, QUESTION)
    one.providers["ollama/m"].script = [0.05, *answering("Paris.").script]

    await asyncio.gather(*(follow_up_all(world) for world in (one, two)))

    assert calls(one) == 2
    assert all(flight.landing is not None for flight in one.cache_store.flights.values())


async def test_a_fresh_entry_is_left_alone() -> None:
    world = cached_world()
    await ask(world, QUESTION)
    await ask(world, QUESTION)

    assert world.cache.uses.follow_ups.empty()


async def test_a_semantic_hit_that_a_model_contradicts_tightens_its_entry() -> None:
    world = cached_world()
    first = await ask(world, QUESTION)
    world.providers[next(iter(world.providers))].script = answering("It is Rome 1960.").script

    hit = await ask(world, REWORDED)
    await follow_up_all(world)

    assert hit.cache is CacheOutcome.SEMANTIC
    assert world.telemetry.shadow_checks == [ShadowVerdict.DIFFERENT]
    entry = world.cache_store.entries[ALICE.tenant_id, first.id]
    assert entry.min_similarity > 1
    assert len(entry.rejected) == 1


async def test_a_semantic_hit_that_a_model_confirms_relaxes_its_entry_not_below_the_prompts() -> (
    None
):
    world = cached_world()
    first = await ask(world, QUESTION)
    await world.cache_store.judge(ALICE.tenant_id, first.id, 0.96)

    await ask(world, REWORDED)
    await follow_up_all(world)

    assert world.telemetry.shadow_checks == [ShadowVerdict.SAME]
    entry = world.cache_store.entries[ALICE.tenant_id, first.id]
    assert 0.95 <= entry.min_similarity < 0.96


async def test_what_was_reported_while_a_model_compared_is_not_taken_back() -> None:
    world = cached_world()
    first = await ask(world, QUESTION)
    await world.cache_store.judge(ALICE.tenant_id, first.id, 0.96)
    await ask(world, REWORDED)
    await world.cache_store.judge(ALICE.tenant_id, first.id, 1.01)

    await follow_up_all(world)

    entry = world.cache_store.entries[ALICE.tenant_id, first.id]
    assert entry.min_similarity == 1.01


async def test_only_a_share_of_semantic_hits_is_compared() -> None:
    world = cached_world()
    await ask(world, QUESTION)
    await ask(world, REWORDED)

    await follow_up_all(world, share=0.0)

    assert (calls(world), world.telemetry.shadow_checks) == (1, [])


async def test_what_cannot_be_followed_up_is_let_go() -> None:
    world = cached_world()
    await ask(world, QUESTION)
    await ask(world, REWORDED)
    hit = world.cache.uses.follow_ups.get_nowait()
    nobody = replace(hit.request, caller=replace(ALICE, scopes=frozenset()))

    await follow_ups(world).follow_up(replace(hit, request=nobody))

    assert world.telemetry.shadow_checks == [ShadowVerdict.FAILED]


# ------------------------------------------------------------------------------ warming


async def store_of(world: World, *texts: str) -> FakeCacheUpkeepStore:
    """Says that the entries of ``texts``, which it has asked for, are to be warmed."""
    tasks = [WarmingTask((await ask(world, text)).id, request_of(text=text)) for text in texts]
    world.store.settled.clear()
    return FakeCacheUpkeepStore(world.cache_store, tasks=tasks)


async def test_warming_asks_again_for_whoever_asked_first_under_its_own_name() -> None:
    world = cached_world()
    store = await store_of(world, "one", "two")

    warmed = await CacheWarming(store, world.flow.complete, lambda: 0, world.clock).warm()

    assert warmed == (2, 0)
    assert {each.feature for each in world.store.settled} == {WARMING_FEATURE}
    assert {each.caller for each in world.store.settled} == {ALICE}
    assert calls(world) == 4
    assert (await ask(world, "two")).cache is CacheOutcome.EXACT


async def test_warming_goes_on_after_one_that_fails() -> None:
    world = cached_world()
    store = await store_of(world, "one", "two")
    asked: list[str | None] = []

    async def complete(request: CompletionRequest) -> Completion:
        asked.append(request.text)
        raise BadUserInput("no")

    warming = CacheWarming(store, complete, lambda: 0, world.clock)

    assert await warming.warm() == (0, 2)
    assert asked == ["one", "two"]
