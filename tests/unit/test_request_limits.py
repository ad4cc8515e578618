"""Limits of requests: counted where there are any, free where there are none, and never let through."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from assistant.domain.caller import PLATFORM_TENANT
from assistant.errors import ErrorCode, Forbidden, LimitReached, StorageUnavailable
from assistant.services.cache_keeper import CacheLimits
from assistant.services.request_limits import RequestLimits
from tests.unit.fakes import ALICE, FakeClock, FakeRequestLimits, answering
from tests.unit.world import World, request_of

USED_UP = LimitReached("Used up.", retry_after_s=2.007, details={"scope": "USER"})


async def test_a_tenant_without_limits_is_asked_for_once_and_takes_nothing() -> None:
    store = FakeRequestLimits()
    limits = RequestLimits(store, FakeClock())

    for _ in range(3):
        await limits.check(ALICE)

    assert (store.asked, store.taken) == ([ALICE.tenant_id], [])


async def test_each_request_of_a_limited_tenant_is_counted() -> None:
    store = FakeRequestLimits(limited={ALICE.tenant_id})
    limits = RequestLimits(store, FakeClock())
    other = replace(ALICE, tenant_id="globex")

    for caller in (ALICE, other, ALICE):
        await limits.check(caller)

    assert store.taken == [ALICE, ALICE]
    assert store.asked == [ALICE.tenant_id, "globex"]


@pytest.mark.parametrize("changed", [ALICE.tenant_id, PLATFORM_TENANT])
async def test_a_limit_holds_once_its_change_was_told(changed: str) -> None:
    store = FakeRequestLimits()
    limits = RequestLimits(store, FakeClock())
    await limits.check(ALICE)
    store.limited.add(ALICE.tenant_id)

    limits.forget("globex")
    await limits.check(ALICE)
    assert store.taken == []

    limits.forget(changed)
    await limits.check(ALICE)
    assert store.taken == [ALICE]


async def test_a_limit_of_which_nobody_was_told_is_found_within_a_second_or_two() -> None:
    store, clock = FakeRequestLimits(), FakeClock()
    limits = RequestLimits(store, clock)
    await limits.check(ALICE)
    store.limited.add(ALICE.tenant_id)
    clock.advance(1.0)

    for _ in range(3):
        await limits.check(ALICE)  # the first one has it read
        await asyncio.sleep(0)

    assert len(store.asked) == 2
    assert store.taken == [ALICE, ALICE]


async def test_without_the_database_it_stays_known_who_has_no_limits() -> None:
    store, clock = FakeRequestLimits(), FakeClock()
    limits = RequestLimits(store, clock)
    await limits.check(ALICE)
    store.error = StorageUnavailable("away")
    clock.advance(60.0)

    for _ in range(3):
        await limits.check(ALICE)
        await asyncio.sleep(0)

    assert store.taken == []


async def test_what_changed_while_it_was_read_is_read_again() -> None:
    store = FakeRequestLimits(may_answer=asyncio.Event())
    limits = RequestLimits(store, FakeClock())
    checking = asyncio.create_task(limits.check(ALICE))
    while not store.asked:
        await asyncio.sleep(0)
    store.limited.add(ALICE.tenant_id)
    limits.forget(ALICE.tenant_id)
    assert store.may_answer is not None
    store.may_answer.set()
    await checking

    await limits.check(ALICE)

    assert store.taken == [ALICE]


async def test_nobody_passes_while_it_is_not_known_whether_there_are_limits() -> None:
    store = FakeRequestLimits(error=StorageUnavailable("away"))
    limits = RequestLimits(store, FakeClock())

    for _ in range(2):
        with pytest.raises(StorageUnavailable):
            await limits.check(ALICE)

    store.error = None
    await limits.check(ALICE)
    assert len(store.asked) == 3


async def test_a_refused_request_is_recorded_and_reaches_neither_prompt_nor_model() -> None:
    world = World({"ollama/a": answering("x")})
    world.request_limits.limited.add(ALICE.tenant_id)
    world.request_limits.refusal = USED_UP

    with pytest.raises(LimitReached) as refused:
        # A prompt that nobody has: it is not even looked for.
        await world.flow.complete(request_of(prompt_name="no-such-prompt", text=None))

    assert refused.value.retry_after_ms == 2_007
    assert refused.value.completion_id is not None
    (row,) = world.store.settled
    assert (row.error_code, row.usage.total_tokens) == (ErrorCode.RATE_LIMITED, 0)
    assert world.providers["ollama/a"].calls == []


async def test_who_may_not_ask_uses_nothing_up() -> None:
    world = World({"ollama/a": answering("x")})
    world.request_limits.limited.add(ALICE.tenant_id)

    with pytest.raises(Forbidden):
        await world.flow.complete(request_of(caller=replace(ALICE, scopes=frozenset())))

    assert world.request_limits.taken == []


async def test_an_answer_from_the_cache_is_a_request_as_well() -> None:
    world = World({"ollama/a": answering("x")}, cache_limits=CacheLimits(lookup_timeout_s=5.0))
    world.request_limits.limited.add(ALICE.tenant_id)

    for _ in range(2):
        await world.flow.complete(request_of())
        await world.cache.drain(1)

    assert len(world.providers["ollama/a"].calls) == 1
    assert len(world.request_limits.taken) == 2
