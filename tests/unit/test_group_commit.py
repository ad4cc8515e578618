"""Group commit: at once when idle, together when busy, and nobody pays for a neighbour."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from assistant.adapters.postgres.group_commit import GroupCommit
from assistant.errors import StorageUnavailable


class Disk:
    """Writes when it is let; remembers the groups."""

    def __init__(self) -> None:
        self.groups: list[list[int]] = []
        self.may_write = asyncio.Event()
        self.may_write.set()
        self.poison: set[int] = set()
        self.outages = 0

    async def write(self, items: Sequence[int]) -> None:
        await self.may_write.wait()
        if self.outages:
            self.outages -= 1
            raise StorageUnavailable("down")
        if self.poison & set(items):
            raise ValueError("poison")
        self.groups.append(list(items))


async def settle() -> None:
    """Let everything that can run now run."""
    for _ in range(10):
        await asyncio.sleep(0)


async def test_one_item_alone_is_written_at_once() -> None:
    disk = Disk()

    await asyncio.wait_for(GroupCommit(disk.write).submit(1), timeout=0.1)

    assert disk.groups == [[1]]


async def test_what_arrives_during_a_commit_shares_the_next_one() -> None:
    disk = Disk()
    group = GroupCommit(disk.write)
    disk.may_write.clear()
    tasks = [asyncio.create_task(group.submit(1))]
    await settle()
    tasks += [asyncio.create_task(group.submit(number)) for number in range(2, 9)]
    await settle()
    assert not any(task.done() for task in tasks)

    disk.may_write.set()
    await asyncio.gather(*tasks)

    assert disk.groups == [[1], [2, 3, 4, 5, 6, 7, 8]]


async def test_a_group_is_never_larger_than_allowed() -> None:
    disk = Disk()
    group = GroupCommit(disk.write, max_group=3)

    await asyncio.gather(*(group.submit(number) for number in range(8)))

    assert disk.groups == [[0, 1, 2], [3, 4, 5], [6, 7]]


async def test_only_so_many_may_wait() -> None:
    disk = Disk()
    disk.may_write.clear()
    group = GroupCommit(disk.write, max_group=1, max_waiting=2)
    tasks = [asyncio.create_task(group.submit(1))]
    await settle()
    tasks += [asyncio.create_task(group.submit(number)) for number in (2, 3)]
    await settle()

    with pytest.raises(StorageUnavailable, match="Too many writes") as caught:
        await group.submit(4)

    assert caught.value.retry_after_s is not None
    disk.may_write.set()
    await asyncio.gather(*tasks)
    await group.submit(5)
    assert disk.groups == [[1], [2], [3], [5]]


@pytest.mark.parametrize("poison", [{0}, {7}, {3, 4}, {0, 2, 4, 6}], ids=str)
async def test_a_poisoned_item_fails_alone(poison: set[int]) -> None:
    disk = Disk()
    disk.poison = poison
    group = GroupCommit(disk.write)

    results = await asyncio.gather(
        *(group.submit(number) for number in range(8)), return_exceptions=True
    )

    assert {number for number, result in enumerate(results) if result is not None} == poison
    assert sorted(item for written in disk.groups for item in written) == [
        n for n in range(8) if n not in poison
    ]


async def test_an_outage_fails_the_group_and_not_the_next_one() -> None:
    disk = Disk()
    disk.outages = 1
    group = GroupCommit(disk.write)

    results = await asyncio.gather(*(group.submit(n) for n in range(3)), return_exceptions=True)
    await group.submit(4)

    assert [type(result) for result in results] == [StorageUnavailable] * 3
    assert disk.groups == [[4]]


async def test_a_waiter_that_gives_up_withdraws_nothing() -> None:
    disk = Disk()
    disk.may_write.clear()
    group = GroupCommit(disk.write)
    tasks = [asyncio.create_task(group.submit(number)) for number in range(3)]
    await settle()

    tasks[1].cancel()
    disk.may_write.set()
    results = await asyncio.gather(*tasks, return_exceptions=True)

    assert [type(result) for result in results] == [type(None), asyncio.CancelledError, type(None)]
    assert disk.groups == [[0, 1, 2]]


async def test_flushing_waits_for_everything_submitted() -> None:
    disk = Disk()
    group = GroupCommit(disk.write, max_group=2)
    tasks = [asyncio.create_task(group.submit(number)) for number in range(5)]
    await asyncio.sleep(0)

    await group.flush()

    assert disk.groups == [[0, 1], [2, 3], [4]]
    await asyncio.gather(*tasks)


async def test_flushing_when_nothing_waits_returns() -> None:
    await asyncio.wait_for(GroupCommit(Disk().write).flush(), timeout=0.1)


async def test_everybody_has_an_outage_of_their_own_to_write_their_completion_into() -> None:
    disk = Disk()
    disk.outages = 1
    disk.may_write.clear()
    group = GroupCommit(disk.write)
    first = asyncio.create_task(group.submit(1))
    await settle()
    disk.may_write.set()
    await asyncio.gather(first, return_exceptions=True)
    disk.outages = 1

    failures = await asyncio.gather(
        *[group.submit(number) for number in range(3)], return_exceptions=True
    )

    assert all(isinstance(failure, StorageUnavailable) for failure in failures)
    assert len({id(failure) for failure in failures}) == 3
