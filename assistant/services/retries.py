"""When a call that failed is made again, and after how long."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Awaitable, Callable
from typing import TypeVar

from tenacity import AsyncRetrying, RetryCallState
from tenacity.wait import wait_base

from assistant.domain.failure import handling_of
from assistant.domain.ports import Clock
from assistant.errors import AssistantError, CircuitOpen, ProviderBusy, ProviderTimeout

T = TypeVar("T")

MAX_ATTEMPTS = 3
_FIRST_BACKOFF_S = 0.25
_LONGEST_BACKOFF_S = 4.0

_WINDOW_S = 60
_SHARE = 0.2
_ALWAYS = 10


class RetryBudget:
    """How many calls of one provider may be made again: 20 % of those of the last minute.

    A provider that is down gets a fifth more calls, not three times as many. Ten a minute are
    always allowed, else a quiet service could never retry. Source: Finagle's RetryBudget,
    https://twitter.github.io/finagle/guide/Clients.html#retries
    """

    def __init__(self, clock: Clock) -> None:
        self._calls = _LastMinute(clock)
        self._retries = _LastMinute(clock)

    def count_call(self) -> None:
        """A call is made for the first time."""
        self._calls.add()

    def take(self) -> bool:
        """Whether one more call may be made again; counted if so."""
        if self._retries.total() >= max(_ALWAYS, _SHARE * self._calls.total()):
            return False
        self._retries.add()
        return True


class _LastMinute:
    """Counts, by the second, for a minute."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._seconds: deque[list[int]] = deque()  # [second, count], oldest first

    def add(self) -> None:
        second = int(self._clock.monotonic())
        if self._seconds and self._seconds[-1][0] == second:
            self._seconds[-1][1] += 1
            return
        self._forget(second)
        self._seconds.append([second, 1])

    def total(self) -> int:
        self._forget(int(self._clock.monotonic()))
        return sum(count for _, count in self._seconds)

    def _forget(self, now: int) -> None:
        while self._seconds and self._seconds[0][0] <= now - _WINDOW_S:
            self._seconds.popleft()


class _Backoff(wait_base):
    """Exponential with full jitter, but never less than the provider asks for.

    Source: https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/
    """

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance

    def __call__(self, retry_state: RetryCallState) -> float:
        longest = min(
            _LONGEST_BACKOFF_S, _FIRST_BACKOFF_S * 2.0 ** (retry_state.attempt_number - 1)
        )
        error = retry_state.outcome.exception() if retry_state.outcome else None
        asked_for = error.retry_after_s if isinstance(error, AssistantError) else None
        return max(self._chance.uniform(0.0, longest), asked_for or 0.0)


class Retries:
    """Makes calls again that may succeed in a moment."""

    def __init__(self, clock: Clock, chance: random.Random) -> None:
        self._clock = clock
        self._backoff = _Backoff(chance)
        self._budgets: dict[tuple[str, str], RetryBudget] = {}

    async def run(
        self,
        provider: tuple[str, str],
        call: Callable[[], Awaitable[T]],
        *,
        patience_s: Callable[[], float],
        has_others: bool = False,
    ) -> T:
        """What ``call`` returns, in at most three attempts; its last error where all fail.

        ``provider`` (tenant and name) has a budget of its own. ``patience_s`` is how long it is
        worth to wait for this one: a provider that asks for more is not called again. One that
        fell silent is not either where it ``has_others`` beside it: they may be quicker.
        """
        budget = self._budget(provider)
        budget.count_call()
        failure: AssistantError
        try:
            return await call()
        except AssistantError as error:
            # Most calls need no more. Being asked, tenacity takes 40 us (measured); so it is
            # asked only now, and given the first failure as that of its first attempt.
            if not _may_help(error, has_others) or patience_s() <= 0:
                raise
            failure = error
        attempts = 0
        is_held_back = False

        async def attempt() -> T:
            nonlocal attempts, is_held_back
            attempts += 1
            if attempts == 1:
                raise failure
            try:
                return await call()
            except (CircuitOpen, ProviderBusy):
                # A caution of ours: what the provider said tells more.
                is_held_back = True
                raise failure from None

        def is_retried(state: RetryCallState) -> bool:
            error = state.outcome.exception() if state.outcome else None
            return (
                isinstance(error, AssistantError)
                and not is_held_back
                and _may_help(error, has_others)
                and (error.retry_after_s or 0.0) < patience_s()
                and state.attempt_number < MAX_ATTEMPTS
                and budget.take()
            )

        return await AsyncRetrying(wait=self._backoff, retry=is_retried)(attempt)

    def _budget(self, provider: tuple[str, str]) -> RetryBudget:
        budget = self._budgets.get(provider)
        if budget is None:
            budget = self._budgets[provider] = RetryBudget(self._clock)
        return budget


def _may_help(error: AssistantError, has_others: bool) -> bool:
    """Whether the same call may succeed in a moment, and nobody else would be quicker."""
    return handling_of(error).is_retried and not (has_others and isinstance(error, ProviderTimeout))
