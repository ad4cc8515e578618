"""Hedging: a first token that is late makes a second model be asked as well."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

T = TypeVar("T")

_SHARE = 0.05
# The share is of what has lately been asked: old calls count less and less.
_REMEMBERED_CALLS = 1_000.0


class HedgeBudget:
    """At most one call in twenty is a second one."""

    def __init__(self) -> None:
        self._calls = 0.0
        self._hedges = 0.0

    def count_call(self) -> None:
        """A call is made that may be hedged."""
        self._calls += 1.0
        if self._calls > _REMEMBERED_CALLS:
            self._calls /= 2
            self._hedges /= 2

    def take(self) -> bool:
        """Whether a second call may be made; counted if so."""
        if self._hedges + 1 > _SHARE * self._calls:
            return False
        self._hedges += 1
        return True


async def race(
    first: Callable[[], Awaitable[T]],
    second: Callable[[], Awaitable[T]],
    *,
    delay_s: float,
    may_start: Callable[[], bool],
    discard: Callable[[T], Awaitable[None]],
) -> T:
    """What ``first`` returns, or ``second``, which starts where ``first`` takes over ``delay_s``.

    The loser is cancelled and waited for; one that has won too in the same moment is given to
    ``discard``. Where both fail, the error is the first one's.
    """
    runners: list[asyncio.Future[T]] = [asyncio.ensure_future(first())]
    winner: asyncio.Future[T] | None = None
    try:
        done, _ = await asyncio.wait(runners, timeout=delay_s)
        if not done and may_start():
            runners.append(asyncio.ensure_future(second()))
        waiting = set(runners)
        while waiting and winner is None:
            done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            winner = next((r for r in runners if r in done and r.exception() is None), None)
        return (winner or runners[0]).result()
    finally:
        try:
            await _stop([runner for runner in runners if runner is not winner], discard)
        except BaseException:
            # Whoever has cancelled this will not have the winner either.
            if winner is not None:
                await discard(winner.result())
            raise


async def _stop(
    losers: Sequence[asyncio.Future[T]], discard: Callable[[T], Awaitable[None]]
) -> None:
    for loser in losers:
        loser.cancel()
    for loser in losers:
        await asyncio.wait([loser])
        if not loser.cancelled() and loser.exception() is None:
            await discard(loser.result())
