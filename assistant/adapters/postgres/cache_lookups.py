"""Lookups of many requests in one statement, and none at all while the database hangs.

While a statement runs, what is asked meanwhile collects; the next one takes all of it. So one
request alone waits for nothing, and many share a few round trips.
"""

from __future__ import annotations

import asyncio
import copy
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from assistant.errors import AssistantError, StorageUnavailable

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")

# A statement takes a millisecond or a few. Whoever comes while one has run for so long would wait
# for nothing.
_PATIENCE_S = 0.25
# After a failure, how long it is before the next who asks may try whether the database is back;
# twice as long after each further one, up to the second.
_PAUSE_S, _LONGEST_PAUSE_S = 0.25, 8.0


class Lookups(Generic[_Item, _Result]):
    """Hands items to ``look_up`` in groups, one group at a time; it returns a result for each."""

    def __init__(
        self,
        look_up: Callable[[Sequence[_Item]], Awaitable[Sequence[_Result]]],
        *,
        if_abandoned: Callable[[_Item, _Result], None] | None = None,
        max_group: int = 64,
        patience_s: float = _PATIENCE_S,
        longest_pause_s: float = _LONGEST_PAUSE_S,
    ) -> None:
        """``if_abandoned`` is told what came for those who no longer waited for it.

        ``patience_s`` is how long a statement may run before nobody else waits for it, and
        ``longest_pause_s`` how long after a failure nobody tries, at most.
        """
        self._look_up = look_up
        self._if_abandoned = if_abandoned
        self._max_group = max_group
        self._patience_s = patience_s
        self._longest_pause_s = longest_pause_s
        self._waiting: deque[tuple[_Item, asyncio.Future[_Result]]] = deque()
        self._asking: asyncio.Task[None] | None = None
        self._asked_at: float | None = None
        self._pause_s = _PAUSE_S
        self._pauses_until = 0.0

    async def ask(self, item: _Item) -> _Result:
        """What ``look_up`` finds. May be cancelled at any time, without delay.

        Raises: StorageUnavailable, at once where it could only be waited for.
        """
        loop = asyncio.get_running_loop()
        if self._is_stuck(loop.time()):
            raise StorageUnavailable("The database does not answer. Try again.", retry_after_s=1.0)
        answer: asyncio.Future[_Result] = loop.create_future()
        self._waiting.append((item, answer))
        if self._asking is None:
            self._asking = asyncio.create_task(self._drain(), name="cache-lookups")
        try:
            return await answer
        except asyncio.CancelledError:
            # The answer and the cancellation may have come in the same turn of the event loop.
            if answer.done() and not answer.cancelled() and answer.exception() is None:
                self._abandon(item, answer.result())
            raise

    async def close(self) -> None:
        """Let nobody wait any more."""
        if self._asking is not None:
            self._asking.cancel()
            await asyncio.wait([self._asking])

    def _is_stuck(self, now: float) -> bool:
        if now < self._pauses_until:
            return True
        return self._asked_at is not None and now - self._asked_at > self._patience_s

    async def _drain(self) -> None:
        loop = asyncio.get_running_loop()
        group: list[tuple[_Item, asyncio.Future[_Result]]] = []
        try:
            while group := self._next_group():
                self._asked_at = loop.time()
                try:
                    results = await self._look_up([item for item, _ in group])
                except StorageUnavailable as error:
                    self._pauses_until = loop.time() + self._pause_s
                    self._pause_s = min(2 * self._pause_s, self._longest_pause_s)
                    _fail([*group, *self._waiting], error)
                    self._waiting.clear()
                # Whatever went wrong belongs to those who wait, not to the task that serves them.
                except Exception as error:  # noqa: BLE001
                    _fail(group, error)
                else:
                    self._pause_s = _PAUSE_S
                    for (item, answer), result in zip(group, results, strict=True):
                        if answer.done():
                            self._abandon(item, result)
                        else:
                            answer.set_result(result)
        except asyncio.CancelledError:
            for _, answer in (*group, *self._waiting):
                answer.cancel()
            self._waiting.clear()
            raise
        finally:
            self._asked_at = None
            self._asking = None

    def _next_group(self) -> list[tuple[_Item, asyncio.Future[_Result]]]:
        group: list[tuple[_Item, asyncio.Future[_Result]]] = []
        while self._waiting and len(group) < self._max_group:
            item, answer = self._waiting.popleft()
            if not answer.done():
                group.append((item, answer))
        return group

    def _abandon(self, item: _Item, result: _Result) -> None:
        if self._if_abandoned is not None:
            self._if_abandoned(item, result)


def _fail(group: Sequence[tuple[_Item, asyncio.Future[_Result]]], error: Exception) -> None:
    for _, answer in group:
        if not answer.done():
            # One of their own: who catches it writes into it whose completion it ended.
            answer.set_exception(copy.copy(error) if isinstance(error, AssistantError) else error)
