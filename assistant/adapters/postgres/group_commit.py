"""Durable writes of many requests in one commit.

While a commit runs, what arrives collects; the next commit takes all of it. So one request
alone waits for nothing, and a thousand share a few commits: the running commit is the window.
"""

from __future__ import annotations

import asyncio
import copy
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from assistant.errors import StorageUnavailable

_Item = TypeVar("_Item")


class GroupCommit(Generic[_Item]):
    """Hands items to ``write`` in groups, in order, one group at a time.

    ``write`` makes a group durable, all or nothing, and may be called again with the same
    items. It raises StorageUnavailable where the whole group failed for want of a database;
    any other error is taken to be the fault of some items, which are then found by halving
    the group, so that their neighbours do not fail with them.
    """

    def __init__(
        self,
        write: Callable[[Sequence[_Item]], Awaitable[None]],
        *,
        max_group: int = 512,
        max_waiting: int = 20_000,
    ) -> None:
        self._write = write
        self._max_group = max_group
        self._max_waiting = max_waiting
        self._waiting: deque[tuple[_Item, asyncio.Future[None]]] = deque()
        self._writing: asyncio.Task[None] | None = None

    async def submit(self, item: _Item) -> None:
        """Return when ``item`` is durable.

        Who is cancelled while waiting withdraws nothing: the item is written all the same.

        Raises: StorageUnavailable; whatever ``write`` says is wrong with this very item.
        """
        if len(self._waiting) >= self._max_waiting:
            raise StorageUnavailable(
                "Too many writes wait for the database. Try again.", retry_after_s=1.0
            )
        written: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, written))
        if self._writing is None:
            self._writing = asyncio.create_task(self._drain(), name="group-commit")
        await written

    @property
    def is_busy(self) -> bool:
        """Whether anything waits or is being written."""
        return self._writing is not None

    async def flush(self) -> None:
        """Return when everything submitted so far has been written or has failed."""
        if self._writing is not None:
            await asyncio.shield(self._writing)

    async def _drain(self) -> None:
        try:
            while self._waiting:
                size = min(len(self._waiting), self._max_group)
                await self._commit([self._waiting.popleft() for _ in range(size)])
        finally:
            self._writing = None

    async def _commit(self, group: list[tuple[_Item, asyncio.Future[None]]]) -> None:
        try:
            await self._write([item for item, _ in group])
        except asyncio.CancelledError:
            for _, written in group:
                written.cancel()
            raise
        # Whatever went wrong belongs to those who wait, not to the task that serves them all.
        except Exception as error:  # noqa: BLE001
            if len(group) > 1 and not isinstance(error, StorageUnavailable):
                half = len(group) // 2
                await self._commit(group[:half])
                await self._commit(group[half:])
                return
            for _, written in group:
                if not written.done():
                    # One of their own: who catches it writes into it whose completion it ended.
                    written.set_exception(copy.copy(error) if len(group) > 1 else error)
        else:
            for _, written in group:
                if not written.done():
                    written.set_result(None)
