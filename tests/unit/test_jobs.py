"""A run of a background job: measured, limited in time, and said in one line."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from structlog.testing import capture_logs

from assistant.domain.job import Job, JobOutcome
from assistant.errors import NotFound, StorageUnavailable
from assistant.services.jobs import JobFailed, Jobs
from tests.unit.fakes import FakeClock, FakeTelemetry


class Desk:
    """Two jobs, the second one being what the test says."""

    def __init__(self, run: Callable[[], Awaitable[str]], time_limit_s: float = 10.0) -> None:
        self.clock = FakeClock()
        self.telemetry = FakeTelemetry()
        self.jobs = Jobs(
            [
                Job("sweep", "Sweeps.", "* * * * *", self._sweep),
                Job("mop", "Mops.", "0 3 * * *", run, time_limit_s),
            ],
            self.clock,
            self.telemetry,
        )

    async def _sweep(self) -> str:
        self.clock.advance(1.5)
        return "3 rooms swept"


async def nothing() -> str:
    return ""


async def test_a_run_is_counted_logged_and_says_what_it_did() -> None:
    desk = Desk(nothing)

    with capture_logs() as logs:
        did = await desk.jobs.run("sweep")

    assert did == "3 rooms swept"
    assert desk.telemetry.jobs == [("sweep", JobOutcome.SUCCEEDED)]
    assert logs == [
        {
            "event": "job_done",
            "log_level": "info",
            "job": "sweep",
            "did": "3 rooms swept",
            "duration_ms": 1_500,
        }
    ]


async def test_a_job_that_nobody_knows_is_not_found_and_told_from_those_there_are() -> None:
    desk = Desk(nothing)

    with pytest.raises(NotFound, match=r"no job dust\. There are: sweep, mop\."):
        await desk.jobs.run("dust")

    assert desk.telemetry.jobs == []


async def failed(desk: Desk) -> tuple[str, dict[str, Any]]:
    """How the second job fails: what is said, and what is logged."""
    with capture_logs() as logs, pytest.raises(JobFailed) as caught:
        await desk.jobs.run("mop")
    assert desk.telemetry.jobs == [("mop", JobOutcome.FAILED)]
    (line,) = logs
    assert (line["event"], line["log_level"], line["job"]) == ("job_failed", "error", "mop")
    return str(caught.value), dict(line)


async def test_what_was_foreseen_fails_in_one_line() -> None:
    async def run() -> str:
        raise StorageUnavailable("The database is away.")

    said, line = await failed(Desk(run))

    assert said == "The job mop failed: The database is away."
    assert (line["reason"], line["exc_info"]) == ("The database is away.", False)


async def test_a_defect_is_logged_with_its_place_and_said_without_its_text() -> None:
    async def run() -> str:
        raise ValueError("what somebody wrote")

    said, line = await failed(Desk(run))

    assert said == "The job mop failed: ValueError"
    assert (line["reason"], line["exc_info"]) == ("ValueError", True)


async def test_a_run_that_takes_too_long_is_cut_off() -> None:
    async def run() -> str:
        await asyncio.sleep(60)
        return ""

    said, line = await failed(Desk(run, time_limit_s=0.01))

    assert said == "The job mop failed: It took more than 0.01 seconds and was cut off."
    assert line["exc_info"] is False


async def test_a_time_limit_within_the_job_is_a_defect_like_any_other() -> None:
    async def run() -> str:
        raise TimeoutError

    _, line = await failed(Desk(run))

    assert (line["reason"], line["exc_info"]) == ("TimeoutError", True)


async def test_a_run_that_is_cancelled_has_not_failed() -> None:
    is_running = asyncio.Event()

    async def run() -> str:
        is_running.set()
        await asyncio.sleep(60)
        return ""

    desk = Desk(run)
    with capture_logs() as logs:
        task = asyncio.create_task(desk.jobs.run("mop"))
        await is_running.wait()
        task.cancel()
        await asyncio.wait([task])

    assert task.cancelled()
    assert desk.telemetry.jobs == [("mop", JobOutcome.CANCELLED)]
    assert logs == [{"event": "job_cancelled", "log_level": "info", "job": "mop"}]
