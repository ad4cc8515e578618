"""Time limits of a call, told from one another, and the timer that enforces them."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable

from assistant.domain.ports import TimeLimits
from assistant.errors import ProviderTimeout


class Alarm:
    """Rings when a wait has passed its deadline.

    One timer serves all waits of an answer, as it looks again where the deadline has moved on. A
    timer for each, as asyncio.timeout has, was measured to take 8 % of a stream's CPU time.
    """

    def __init__(self, ring: Callable[[], None]) -> None:
        self._ring = ring
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self.deadline = math.inf

    def set(self, deadline: float) -> None:
        """Ring at ``deadline``, on the event loop's clock, unless it is moved or cleared."""
        self.deadline = deadline
        if self._timer is not None and self._timer.when() > deadline:
            self._timer.cancel()
            self._timer = None
        if self._timer is None:
            self._timer = self._loop.call_at(deadline, self._look)

    def clear(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _look(self) -> None:
        self._timer = None
        if self.deadline <= self._loop.time():
            self._ring()
        elif self.deadline < math.inf:
            self.set(self.deadline)


class Clock:
    """The time limits of one call, each on its own.

    A limit covers the wait for one event, however many packets that takes; what the consumer
    does between two events counts towards the total only. ``who`` is told in the errors.
    """

    def __init__(self, who: Callable[[], str], limits: TimeLimits) -> None:
        self._who = who
        self._limits = limits
        self._now = asyncio.get_running_loop().time
        self._started_at = self._now()
        self.has_begun = False

    def deadline(self) -> float:
        """Until when the next event must be here, on the event loop's clock."""
        limits, start = self._limits, self._started_at
        event = (
            self._now() + limits.between_events_s
            if self.has_begun
            else start + limits.first_event_s
        )
        return min(event, start + limits.total_s)

    def exceeded(self) -> ProviderTimeout:
        """The error that says which limit was passed."""
        limits, who = self._limits, self._who()
        if self._now() >= self._started_at + limits.total_s:
            return ProviderTimeout(
                f"{who} did not finish within {limits.total_s:g} s (limit: total). "
                "Ask for fewer tokens, or allow more time."
            )
        if self.has_begun:
            return ProviderTimeout(
                f"{who} fell silent for {limits.between_events_s:g} s in the middle of its answer "
                "(limit: between events)."
            )
        return ProviderTimeout(
            f"{who} did not begin to answer within {limits.first_event_s:g} s (limit: first "
            "event). It may be loading a model, or have others to answer first."
        )
