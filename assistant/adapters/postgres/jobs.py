"""When a job runs, and on which replica: a queue in the database, by procrastinate.

The queue holds what waits and what runs. A run that has ended leaves it, so nothing piles up; what
became of it is in the log and the metrics.

Source: https://procrastinate.readthedocs.io/en/stable/
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress

import psycopg
import structlog
from procrastinate import App, PsycopgConnector
from procrastinate.exceptions import AlreadyEnqueued, ConnectorException
from procrastinate.jobs import Job as QueuedJob
from procrastinate.jobs import Status

from assistant.adapters.postgres.connection import Database
from assistant.adapters.postgres.errands import errand_app, retrieve, retrieve_when_done
from assistant.adapters.postgres.errors import storage_errors
from assistant.domain.job import Errand, Job
from assistant.errors import StorageUnavailable

log = structlog.get_logger(__name__)

# As the migration named it; nothing else is in it.
_SET_PATH = "SET search_path TO assistant_jobs"

# A time at which no worker was there is made up for until then, and left out after it.
_MAX_DELAY_S = 3_600.0
_MOST_ATTEMPTS = 3
_MOST_ERRANDS_AT_ONCE = 4
_DEAD_AFTER_HEARTBEATS = 3
# A filter is not handed down to the loggers below.
_LOGGERS = ("procrastinate.utils", "procrastinate.worker", "procrastinate.worker.worker")


class JobQueue:
    """Has each job run at its times, once for all replicas that ``work``, and never beside itself.

    A run that fails or is cut off is tried again, at most twice; one whose process was killed, as
    soon as its heartbeats are missed. ``run`` is given a job's name, and logs its failures itself.

    ``errands`` are done as they are put into the queue, and take no job's place.

    Each job and errand has a queue of its own, so that replicas of another version leave alone what
    they do not know.
    """

    def __init__(
        self,
        database: Database,
        jobs: Sequence[Job],
        run: Callable[[str], Awaitable[object]],
        errands: Sequence[Errand] = (),
        *,
        poll_interval_s: float = 5.0,
        heartbeat_interval_s: float = 10.0,
        retry_delay_s: float = 60.0,
        shutdown_grace_s: float = 3.0,
    ) -> None:
        self._run = run
        self._names = [job.name for job in jobs]
        self._errands = {errand.name: errand for errand in errands}
        self._errand_app = errand_app(errands)
        self._poll_interval_s = poll_interval_s
        self._heartbeat_interval_s = heartbeat_interval_s
        self._dead_after_s = _DEAD_AFTER_HEARTBEATS * heartbeat_interval_s
        self._retry_delay_s = retry_delay_s
        self._shutdown_grace_s = shutdown_grace_s
        self._connection = _Connection(database)
        self._app = App(connector=PsycopgConnector(), periodic_defaults={"max_delay": _MAX_DELAY_S})
        for job in jobs:
            self._declare(job)
        for name in _LOGGERS:
            logging.getLogger(name).addFilter(_is_no_outage)

    async def work(self) -> None:
        """Run what is due, until cancelled; without a database, wait for it."""
        is_waiting = False
        await self._app.open_async(self._connection)
        await self._errand_app.open_async(self._connection)
        try:
            while True:
                try:
                    await self._free_stalled()
                    if is_waiting:
                        log.info("jobs_go_on")
                        is_waiting = False
                    await self._work_until_interrupted()
                except StorageUnavailable as error:
                    if not is_waiting:
                        log.warning("jobs_wait", reason=error.message)
                        is_waiting = True
                except ConnectorException as error:
                    # Taken for dead, say, after a pause of the whole process: it begins anew.
                    log.warning("jobs_interrupted", reason=type(error.__cause__ or error).__name__)
                await asyncio.sleep(self._poll_interval_s)
        finally:
            await self._connection.close()

    # ---------------------------------------------------------------------- a worker

    async def _work_until_interrupted(self) -> None:
        losses = self._connection.losses
        workers = {self._start_worker(self._app, self._names, len(self._names))}
        if self._errands:
            workers.add(
                self._start_worker(self._errand_app, [*self._errands], _MOST_ERRANDS_AT_ONCE)
            )
        try:
            while not (ended := await self._wait(workers)):
                if self._connection.losses != losses:
                    # The end of a run may not have been written down, and would keep the next one
                    # waiting for as long as this worker lives.
                    return
                await self._free_stalled()
            for worker in ended:
                worker.result()
        finally:
            for worker in workers:
                worker.cancel()
            await asyncio.wait(workers)
            for worker in workers:
                retrieve(worker)

    async def _wait(self, workers: set[asyncio.Task[None]]) -> set[asyncio.Task[None]]:
        """Those that have ended by themselves, if any has before it is time to look around."""
        return (
            await asyncio.wait(
                workers, timeout=self._dead_after_s, return_when=asyncio.FIRST_COMPLETED
            )
        )[0]

    def _start_worker(self, app: App, queues: list[str], most_at_once: int) -> asyncio.Task[None]:
        return asyncio.create_task(
            app.run_worker_async(
                queues=queues,
                concurrency=most_at_once,
                # A job may begin some seconds late: that saves a listening connection.
                listen_notify=False,
                fetch_job_polling_interval=self._poll_interval_s,
                delete_jobs="always",
                install_signal_handlers=False,
                shutdown_graceful_timeout=self._shutdown_grace_s,
                update_heartbeat_interval=self._heartbeat_interval_s,
                stalled_worker_timeout=self._dead_after_s,
            ),
            name="job-worker",
        )

    async def _free_stalled(self) -> None:
        """End the runs whose worker is gone, and have them done again."""
        manager = self._app.job_manager
        stalled = await manager.get_stalled_jobs(seconds_since_heartbeat=self._dead_after_s)
        for run in stalled:
            if run.task_name not in (*self._names, *self._errands):
                continue  # those who know it see to it
            log.warning("job_stalled", job=run.task_name)
            if run.task_name in self._errands:
                await self._go_on(run)
                continue
            attempt = run.task_kwargs.get("attempt")
            await self._again(run.task_name, attempt if isinstance(attempt, int) else 1)
            with suppress(ConnectorException):  # where another replica was quicker
                await manager.finish_job(run, Status.FAILED, delete_job=True)
        await manager.prune_stalled_workers(self._dead_after_s)

    async def _go_on(self, run: QueuedJob) -> None:
        """Have a stalled errand done again, unless that was its last attempt."""
        manager = self._app.job_manager
        with suppress(ConnectorException):  # where another replica was quicker
            if run.attempts < len(self._errands[run.task_name].pauses_s):
                await manager.retry_job(run)
            else:
                log.error("errand_given_up", errand=run.task_name, **run.task_kwargs)
                await manager.finish_job(run, Status.FAILED, delete_job=True)

    # ------------------------------------------------------------------------- a run

    def _declare(self, job: Job) -> None:
        async def run(timestamp: int = 0, attempt: int = 1) -> None:  # noqa: ARG001
            await self._run_due(job.name, attempt)

        name = job.name
        task = self._app.task(name=name, queue=name, lock=name, queueing_lock=name)(run)
        self._app.periodic(cron=job.cron)(task)

    async def _run_due(self, name: str, attempt: int) -> None:
        retrieve_when_done()
        try:
            await self._run(name)
        except asyncio.CancelledError:
            with suppress(StorageUnavailable):
                await self._again(name, attempt)
            raise
        except Exception:  # noqa: BLE001 - whoever ran it has logged it
            with suppress(StorageUnavailable):
                await self._again(name, attempt, delay_s=self._retry_delay_s)

    async def _again(self, name: str, attempt: int, *, delay_s: float = 0.0) -> None:
        """Queue another attempt, unless it was the last or the next run waits already."""
        if attempt >= _MOST_ATTEMPTS:
            return
        deferrer = self._app.configure_task(
            name, queue=name, lock=name, queueing_lock=name, schedule_in={"seconds": delay_s}
        )
        with suppress(AlreadyEnqueued):
            await deferrer.defer_async(attempt=attempt + 1)


class _Connection:
    """What procrastinate takes for a pool: one connection of its own, made anew where it broke.

    Not the service's pool, where a heartbeat would have to wait behind requests.
    """

    def __init__(self, database: Database) -> None:
        self.losses = 0
        self._database = database
        self._opened: psycopg.AsyncConnection | None = None
        self._turn = asyncio.Lock()

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[psycopg.AsyncConnection]:
        """The connection, for one statement. Raises: StorageUnavailable."""
        async with self._turn:
            try:
                with storage_errors():
                    yield await self._open()
            except StorageUnavailable:
                self.losses += 1
                raise

    async def close(self) -> None:
        if self._opened is not None:
            await self._opened.close()

    async def _open(self) -> psycopg.AsyncConnection:
        if self._opened is None or self._opened.closed:
            opened = await self._database.connect()
            try:
                await opened.execute(_SET_PATH)
            except BaseException:
                await opened.close()
                raise
            self._opened = opened
        return self._opened


def _is_no_outage(record: logging.LogRecord) -> bool:
    """Whether a library's line is worth one: that the database is away is said here, once."""
    return not (record.exc_info and isinstance(record.exc_info[1], StorageUnavailable))
