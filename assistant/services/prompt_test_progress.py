"""A test run while it runs: a few cases at a time, its results in the cases' order."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import replace
from typing import Any, TypeAlias

import structlog

from assistant.domain.ports import Clock
from assistant.domain.prompt_test import (
    PromptTestCase,
    PromptTestOutcome,
    PromptTestResult,
    PromptTestRun,
    PromptTestStatus,
)
from assistant.errors import StorageUnavailable

log = structlog.get_logger(__name__)

AT_ONCE = 4
"""How many cases of a run are asked at the same time: models are shared with callers."""

RECORD_INTERVAL_S = 1.0

Tell: TypeAlias = Callable[[PromptTestRun], Awaitable[None]]
Try: TypeAlias = Callable[[PromptTestCase], Coroutine[Any, Any, PromptTestResult]]

_Running: TypeAlias = dict[asyncio.Task[PromptTestResult], int]


async def run_cases(
    run: PromptTestRun,
    cases: Sequence[PromptTestCase],
    try_case: Try,
    *,
    record: Tell,
    emit: Tell,
    clock: Clock,
) -> PromptTestRun:
    """The run when it has ended. ``emit`` hears of it at its start, after each case, at its end.

    ``record`` hears so, too, but for cases that end within a second of each other. Cancelling
    stops the cases that run, and the run is recorded as CANCELLED with those that had ended.

    Raises: what ``emit`` raises; StorageUnavailable where the start or the end of a run that went
    through cannot be recorded.
    """
    progress = _Progress(run, record, clock)
    waiting = list(enumerate(cases))[::-1]
    running: _Running = {}
    try:
        await record(run)
        await emit(run)
        while waiting or running:
            while waiting and len(running) < AT_ONCE:
                place, case = waiting.pop()
                running[asyncio.create_task(try_case(case))] = place
            done, _ = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
            for task in sorted(done, key=running.__getitem__):
                progress.add(running.pop(task), task.result())
                await progress.record()
                await emit(progress.run)
    finally:
        await _uninterrupted(progress.end(running))
    await emit(progress.run)
    return progress.run


class _Progress:
    """How far a run is."""

    def __init__(self, run: PromptTestRun, record: Tell, clock: Clock) -> None:
        self.run = run
        self._results: dict[int, PromptTestResult] = {}
        self._record = record
        self._clock = clock
        self._recorded_at = clock.monotonic()

    def add(self, place: int, result: PromptTestResult) -> None:
        self._results[place] = result
        in_order = tuple(result for _, result in sorted(self._results.items(), key=_place))
        self.run = replace(self.run, results=in_order)

    async def record(self) -> None:
        if self._clock.monotonic() - self._recorded_at >= RECORD_INTERVAL_S:
            self._recorded_at = self._clock.monotonic()
            try:
                await self._record(self.run)
            except StorageUnavailable as error:
                # Answers are paid for: the run goes on, and its end is recorded or is an error.
                self._log_unrecorded(error)

    async def end(self, running: _Running) -> None:
        """Stop what still runs, and say for good what has become of the run."""
        for task in running:
            task.cancel()
        if running:
            await asyncio.wait(running)
        for task, place in running.items():
            if not task.cancelled() and task.exception() is None:
                self.add(place, task.result())
        is_whole = len(self._results) == self.run.cases
        status = _status(self.run.results) if is_whole else PromptTestStatus.CANCELLED
        self.run = replace(self.run, status=status, ended_at=self._clock.now())
        try:
            await self._record(self.run)
        except StorageUnavailable as error:
            if is_whole:
                raise
            # Why it ended early is what must be heard of.
            self._log_unrecorded(error)

    def _log_unrecorded(self, error: StorageUnavailable) -> None:
        log.warning("test_run_not_recorded", run_id=str(self.run.id), reason=error.message)


def _place(found: tuple[int, PromptTestResult]) -> int:
    return found[0]


def _status(results: Sequence[PromptTestResult]) -> PromptTestStatus:
    have_passed = all(result.outcome is PromptTestOutcome.PASSED for result in results)
    return PromptTestStatus.PASSED if have_passed else PromptTestStatus.FAILED


async def _uninterrupted(work: Coroutine[Any, Any, None]) -> None:
    """Do ``work`` to its end, whoever cancels meanwhile; they are obeyed afterwards."""
    task = asyncio.create_task(work)
    cancellation: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError as cancelled:
            cancellation = cancelled
    task.result()
    if cancellation is not None:
        raise cancellation
