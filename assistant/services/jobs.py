"""Runs background jobs, whoever asks for it: the queue when one is due, or an operator."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import structlog

from assistant.domain.job import Job, JobOutcome
from assistant.domain.ports import Clock, Telemetry
from assistant.errors import AssistantError, NotFound

log = structlog.get_logger(__name__)


class JobFailed(Exception):
    """A run did not end well; the message says in one line why."""


class Jobs:
    """The table of jobs. Every run is measured, limited in time, and one line of the log."""

    def __init__(self, jobs: Sequence[Job], clock: Clock, telemetry: Telemetry) -> None:
        self.all = tuple(jobs)
        self._clock = clock
        self._telemetry = telemetry

    def get(self, name: str) -> Job:
        """Raises: NotFound."""
        for job in self.all:
            if job.name == name:
                return job
        known = ", ".join(job.name for job in self.all)
        raise NotFound(f"There is no job {name}. There are: {known}.")

    async def run(self, name: str) -> str:
        """Run a job here and now, whether it is due or not; what it did, in one line.

        Raises: NotFound; JobFailed, once that is logged.
        """
        job = self.get(name)
        started_s = self._clock.monotonic()
        outcome = JobOutcome.FAILED
        try:
            async with asyncio.timeout(job.time_limit_s) as limit:
                did = await job.run()
            outcome = JobOutcome.SUCCEEDED
        except asyncio.CancelledError:
            outcome = JobOutcome.CANCELLED
            log.info("job_cancelled", job=name)
            raise
        except Exception as error:
            reason = _reason(error, job, is_over=limit.expired())
            # The place matters only where nobody foresaw the error.
            is_expected = isinstance(error, AssistantError) or limit.expired()
            log.error("job_failed", job=name, reason=reason, exc_info=not is_expected)
            raise JobFailed(f"The job {name} failed: {reason}") from error
        finally:
            duration_s = self._clock.monotonic() - started_s
            self._telemetry.job_ended(name, outcome, duration_s)
        log.info("job_done", job=name, did=did, duration_ms=round(1_000 * duration_s))
        return did


def _reason(error: Exception, job: Job, *, is_over: bool) -> str:
    if is_over:
        return f"It took more than {job.time_limit_s:g} seconds and was cut off."
    return error.message if isinstance(error, AssistantError) else type(error).__name__
