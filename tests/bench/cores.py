"""Which processor core a benchmark's processes run on: the program under test has one alone."""

from __future__ import annotations

import os


def two_cores() -> tuple[set[int] | None, set[int] | None]:
    """(cores for the program under test, cores for the load and the upstream).

    (None, None) where there is one core only, or where processes cannot be pinned (macOS).
    """
    if not hasattr(os, "sched_getaffinity"):
        return None, None
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        return None, None
    return {cores[0]}, set(cores[1:])


def pin(pid: int, cores: set[int] | None) -> None:
    """Keep a process, and what it will start, on ``cores``; None leaves it where it likes."""
    if cores is not None:
        os.sched_setaffinity(pid, cores)
