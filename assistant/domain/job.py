"""Background work that is done at its times, once for all replicas."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum


class JobOutcome(StrEnum):
    """How a run of a job ended."""

    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"


@dataclass(frozen=True, slots=True)
class Job:
    """Work that is due again and again, and that nobody waits for.

    ``run`` does it and says in one line, without any text of a tenant's, what it did. It may be cut
    off anywhere, by a shutdown or after ``time_limit_s``, and may run on two replicas at a time: what
    is half done, the next run completes. ``cron`` is minute, hour, day of the month, month and day of
    the week, in UTC. ``name`` must not change: runs are known by it.
    """

    name: str
    description: str
    cron: str
    run: Callable[[], Awaitable[str]]
    time_limit_s: float = 600.0


@dataclass(frozen=True, slots=True)
class Errand:
    """Work that is asked for once, about one thing, and tried until it is done or given up.

    ``run`` is given the id of what it is about, and raises where it is to be tried again: after the
    pause in ``pauses_s`` that belongs to the attempt, or later where the error says so. It may be
    cut off anywhere, and done a second time. ``name`` must not change: what waits is known by it.
    """

    name: str
    run: Callable[[str], Awaitable[None]]
    pauses_s: tuple[float, ...]
