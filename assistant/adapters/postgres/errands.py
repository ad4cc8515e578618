"""What was asked for once, and is tried until it is done: put into the queue, and taken from it.

An errand can be put in the transaction in which it becomes due, so that there is one exactly if
that is committed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime

import psycopg
import structlog
from procrastinate import App, BaseRetryStrategy, JobContext, PsycopgConnector, RetryDecision
from procrastinate.exceptions import ConnectorException, JobAborted
from procrastinate.jobs import Job as QueuedJob
from procrastinate.manager import JobManager
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from assistant.domain.job import Errand
from assistant.errors import AssistantError

log = structlog.get_logger(__name__)

_QUEUE_PATH = text("SET LOCAL search_path TO assistant_jobs")


async def put_errands(connection: AsyncConnection, name: str, subjects: Sequence[str]) -> None:
    """Have the errand ``name`` done for each of ``subjects``, once ``connection`` is committed.

    Last in its transaction: what comes after finds the queue's tables alone.
    """
    await connection.execute(_QUEUE_PATH)
    borrowed = (await connection.get_raw_connection()).driver_connection
    assert isinstance(borrowed, psycopg.AsyncConnection)
    jobs = [
        QueuedJob(
            queue=name, task_name=name, lock=None, queueing_lock=None, task_kwargs={"subject": each}
        )
        for each in subjects
    ]
    try:
        await JobManager(PsycopgConnector()).batch_defer_jobs_async(jobs, connection=borrowed)
    except ConnectorException as error:
        # What went wrong is the database's to say, as for any other statement here.
        raise error.__cause__ or error from None


def errand_app(errands: Sequence[Errand]) -> App:
    """What runs ``errands``: an application of its own, so that they take no job's place."""
    app = App(connector=PsycopgConnector())
    for errand in errands:
        _declare(app, errand)
    return app


def _declare(app: App, errand: Errand) -> None:
    async def run(context: JobContext, subject: str) -> None:
        retrieve_when_done()
        attempt = context.job.attempts + 1
        try:
            await errand.run(subject)
        except Exception as error:
            reason = error.message if isinstance(error, AssistantError) else type(error).__name__
            said = {"errand": errand.name, "subject": subject, "attempt": attempt, "reason": reason}
            # The place matters only where nobody foresaw the error.
            is_defect = not isinstance(error, AssistantError)
            if attempt > len(errand.pauses_s):
                log.error("errand_given_up", **said, exc_info=is_defect)
                return
            pause_s = errand.pauses_s[attempt - 1]
            if isinstance(error, AssistantError):
                pause_s = max(pause_s, error.retry_after_s or 0.0)
            log.warning("errand_failed", **said, again_in_s=pause_s, exc_info=is_defect)
            raise _Again(pause_s) from error

    app.task(name=errand.name, queue=errand.name, pass_context=True, retry=_AsItSays())(run)


def retrieve_when_done() -> None:
    """Have how this task ends looked at, without which asyncio would complain of its error.

    Without a database the end of a run cannot be written down. That is seen to elsewhere.
    """
    task = asyncio.current_task()
    assert task is not None
    task.add_done_callback(retrieve)


def retrieve(task: asyncio.Task[None]) -> None:
    """Look at how a task has ended."""
    if not task.cancelled():
        task.exception()


class _Again(Exception):
    """It is to be tried again, after so many seconds."""

    def __init__(self, pause_s: float) -> None:
        super().__init__(f"again in {pause_s:g} s")
        self.pause_s = pause_s


class _AsItSays(BaseRetryStrategy):
    def get_retry_decision(
        self,
        *,
        exception: BaseException,
        job: QueuedJob,  # noqa: ARG002 - the caller's
    ) -> RetryDecision | None:
        match exception:
            case _Again(pause_s=pause_s):
                return RetryDecision(retry_in={"milliseconds": round(1_000 * pause_s)})
            case asyncio.CancelledError() | JobAborted():
                # By a shutdown: whoever is there then goes on at once.
                return RetryDecision(retry_at=datetime.now(UTC))
            case _:
                return None
