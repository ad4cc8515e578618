"""Lookups in groups: each gets its own answer, and nobody waits for a database that hangs."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from assistant.adapters.postgres.cache_lookups import Lookups
from assistant.errors import InternalError, StorageUnavailable


class Store:
    """Answers each number with its text; waits and fails where it is told to."""

    def __init__(self) -> None:
        self.groups: list[list[int]] = []
        self.error: Exception | None = None
        self.may_answer = asyncio.Event()
        self.may_answer.set()

    async def look_up(self, numbers: Sequence[int]) -> Sequence[str]:
        self.groups.append(list(numbers))
        await self.may_answer.wait()
        if self.error:
            raise self.error
        return [str(number) for number in numbers]


async def until(count: int, store: Store) -> None:
    """Until so many groups have been asked for."""
    while len(store.groups) < count:
        await asyncio.sleep(0)


async def test_one_alone_waits_for_nothing_and_many_share() -> None:
    store = Store()
    lookups = Lookups(store.look_up, max_group=3)
    store.may_answer.clear()
    asking = [asyncio.create_task(lookups.ask(number)) for number in range(5)]
    await until(1, store)
    store.may_answer.set()

    assert await asyncio.gather(*asking) == ["0", "1", "2", "3", "4"]
    assert store.groups == [[0, 1, 2], [3, 4]]


async def test_who_is_cancelled_before_it_is_asked_is_not_asked_for() -> None:
    store = Store()
    abandoned: list[tuple[int, str]] = []
    lookups = Lookups(store.look_up, if_abandoned=lambda *each: abandoned.append(each))
    store.may_answer.clear()
    asking = [asyncio.create_task(lookups.ask(0))]
    await until(1, store)
    asking += [asyncio.create_task(lookups.ask(number)) for number in (1, 2)]
    await asyncio.sleep(0)
    for task in asking[:2]:
        task.cancel()
    await asyncio.sleep(0)
    store.may_answer.set()

    assert await asking[2] == "2"
    assert store.groups == [[0], [2]]
    assert abandoned == [(0, "0")]


async def test_an_answer_that_comes_with_the_cancellation_is_abandoned_too() -> None:
    store = Store()
    abandoned: list[tuple[int, str]] = []
    lookups = Lookups(store.look_up, if_abandoned=lambda *each: abandoned.append(each))
    for turns in range(8):
        asking = asyncio.create_task(lookups.ask(turns))
        for _ in range(turns):
            await asyncio.sleep(0)
        if asking.done():
            break
        asking.cancel()
        await asyncio.wait([asking])
        for _ in range(8):
            await asyncio.sleep(0)
        was_asked = [turns] in store.groups
        assert ((turns, f"{turns}") in abandoned) is was_asked

    assert abandoned, "at least one was asked for and cancelled"


async def test_a_defect_is_told_to_the_group_that_met_it() -> None:
    store = Store()
    store.error = InternalError("broken")
    lookups = Lookups(store.look_up)

    with pytest.raises(InternalError):
        await lookups.ask(1)
    store.error = None

    assert await lookups.ask(2) == "2"


async def test_without_a_database_all_who_wait_are_told_and_one_tries_again_later() -> None:
    store = Store()
    store.error = StorageUnavailable("gone")
    lookups = Lookups(store.look_up, max_group=1)
    told = await asyncio.gather(*(lookups.ask(n) for n in range(5)), return_exceptions=True)
    assert all(isinstance(error, StorageUnavailable) for error in told)
    assert store.groups == [[0]]

    store.error = None
    for _ in range(200):
        try:
            assert await lookups.ask(9) == "9"
            break
        except StorageUnavailable:
            await asyncio.sleep(0.01)

    assert store.groups == [[0], [9]]


async def test_closing_lets_nobody_wait() -> None:
    store = Store()
    store.may_answer.clear()
    lookups = Lookups(store.look_up, max_group=1)
    asking = [asyncio.create_task(lookups.ask(number)) for number in range(3)]
    await until(1, store)

    await lookups.close()

    await asyncio.wait(asking, timeout=1)
    assert all(task.cancelled() for task in asking)
