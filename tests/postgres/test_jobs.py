"""The queue of background jobs: each at its times, once for all replicas, whatever dies meanwhile."""

from __future__ import annotations

import asyncio
import gc
import logging
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import procrastinate
import procrastinate.schema
import pytest
from structlog.testing import capture_logs

from assistant.adapters.postgres import migrate
from assistant.adapters.postgres.connection import Database
from assistant.adapters.postgres.embedded import EmbeddedPostgres
from assistant.adapters.postgres.jobs import JobQueue
from assistant.domain.job import Job
from tests.postgres.server import DatabaseUrls, PostgresServer, connect

MIGRATION = Path(migrate.__file__).parents[3] / "migrations/versions/0009_jobs.sql"
EVERY_SECOND = "* * * * * *"
HEARTBEAT_S = 0.2

# Everything in the queue's schema, and who may do what there.
QUEUE = """
    SELECT relkind::text || ' ' || relname || coalesce(' ' || relacl::text, '') FROM pg_class
     WHERE relnamespace = to_regnamespace('assistant_jobs')
    UNION ALL
    SELECT 'function ' || proname || coalesce(' ' || proacl::text, '') FROM pg_proc
     WHERE pronamespace = to_regnamespace('assistant_jobs')
    UNION ALL
    SELECT 'type ' || typname FROM pg_type WHERE typnamespace = to_regnamespace('assistant_jobs')
    UNION ALL
    SELECT 'schema ' || nspacl::text FROM pg_namespace WHERE nspname = 'assistant_jobs'
"""


@pytest.fixture
def urls(fresh: DatabaseUrls) -> DatabaseUrls:
    """The queue's tables are nobody's to clean up."""
    return fresh


def due(minutes_ago: int) -> str:
    """The cron line of what was due then, and is not again before tomorrow."""
    at = datetime.now(UTC) - timedelta(minutes=minutes_ago)
    return f"{at.minute} {at.hour} * * *"


async def unused() -> str:
    raise AssertionError("the queue is given what runs a job")


def a_job(name: str = "sweep", cron: str | None = None) -> Job:
    return Job(name, "Sweeps.", cron or due(2), unused)


class Runs:
    """What runs the jobs of a test: notes it, then does what the test says."""

    def __init__(self) -> None:
        self.begun: Counter[str] = Counter()
        self.now: Counter[str] = Counter()
        self.most_at_once: Counter[str] = Counter()
        self.errors: list[Exception] = []
        self.lasts_s = 0.0

    async def __call__(self, name: str) -> None:
        self.begun[name] += 1
        self.now[name] += 1
        self.most_at_once[name] = max(self.most_at_once[name], self.now[name])
        try:
            if self.errors:
                raise self.errors.pop()
            await asyncio.sleep(self.lasts_s)
        finally:
            self.now[name] -= 1


def a_queue(database: Database, run: Callable[[str], Awaitable[object]], *jobs: Job) -> JobQueue:
    return JobQueue(
        database,
        jobs or [a_job()],
        run,
        poll_interval_s=0.05,
        heartbeat_interval_s=HEARTBEAT_S,
        retry_delay_s=0.1,
        shutdown_grace_s=0.1,
    )


@asynccontextmanager
async def working(*queues: JobQueue) -> AsyncIterator[list[asyncio.Task[None]]]:
    tasks = [asyncio.create_task(queue.work()) for queue in queues]
    try:
        yield tasks
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        assert all(task.cancelled() for task in tasks)


async def until(is_so: Callable[[], object]) -> None:
    async with asyncio.timeout(15):
        while not is_so():
            await asyncio.sleep(0.02)


async def fetch(urls: DatabaseUrls, sql: str) -> list[tuple[object, ...]]:
    async with await connect(urls.superuser) as connection:
        cursor = await connection.execute(sql.encode())
        return await cursor.fetchall()


async def put(urls: DatabaseUrls, **columns: str) -> None:
    """Add a row to the queue, past everything that guards it."""
    async with await connect(urls.superuser) as connection:
        await connection.execute("SET search_path TO assistant_jobs")
        values = ", ".join(["%s"] * len(columns))
        sql = f"INSERT INTO procrastinate_jobs ({', '.join(columns)}) VALUES ({values})"
        await connection.execute(sql.encode(), list(columns.values()))


# ------------------------------------------------------------------------- its tables


def test_the_migration_makes_the_tables_of_the_installed_version() -> None:
    """A later version of the package may want another migration."""
    assert MIGRATION.read_text("utf-8").endswith(procrastinate.schema.SchemaManager.get_schema())


async def test_procrastinate_finds_its_tables_as_the_service(urls: DatabaseUrls) -> None:
    options = {"options": "-c search_path=assistant_jobs"}
    connector = procrastinate.PsycopgConnector(conninfo=urls.service, kwargs=options, min_size=1)
    app = procrastinate.App(connector=connector)
    async with app.open_async():
        assert await app.check_connection_async()
        assert list(await app.job_manager.list_jobs_async()) == []

        await migrate.downgrade(urls.owner, "0008")
        assert not await app.check_connection_async()


async def test_a_step_down_leaves_nothing_and_a_step_up_makes_it_again(urls: DatabaseUrls) -> None:
    full = sorted(await fetch(urls, QUEUE))
    assert len(full) > 40

    await migrate.downgrade(urls.owner, "0008")
    assert await fetch(urls, QUEUE) == []

    await migrate.upgrade(urls.owner)
    assert sorted(await fetch(urls, QUEUE)) == full


async def test_the_service_may_do_what_the_queue_needs_and_nobody_else_anything(
    urls: DatabaseUrls,
) -> None:
    granted = await fetch(
        urls,
        """
        SELECT grantee::regrole::text, relname, string_agg(privilege_type, ' ' ORDER BY privilege_type)
        FROM pg_class, aclexplode(relacl) WHERE relnamespace = 'assistant_jobs'::regnamespace
         AND relkind = 'r' AND grantee <> relowner GROUP BY 1, 2 ORDER BY 2
        """,
    )
    schema = await fetch(
        urls,
        "SELECT grantee::regrole::text, privilege_type FROM pg_namespace, aclexplode(nspacl) "
        "WHERE nspname = 'assistant_jobs' AND grantee <> nspowner",
    )

    everything = "DELETE INSERT SELECT UPDATE"
    assert granted == [
        ("assistant_service", "procrastinate_events", "INSERT SELECT"),
        ("assistant_service", "procrastinate_jobs", everything),
        ("assistant_service", "procrastinate_periodic_defers", everything),
        ("assistant_service", "procrastinate_workers", everything),
    ]
    assert schema == [("assistant_service", "USAGE")]


async def test_no_table_but_the_queues_is_outside_the_schema_that_row_security_guards(
    urls: DatabaseUrls,
) -> None:
    """They know of no tenant: names, times and states of jobs."""
    columns = await fetch(
        urls,
        """
        SELECT relname, string_agg(attname, ' ' ORDER BY attnum)
        FROM pg_class JOIN pg_namespace AS schema ON schema.oid = relnamespace
        JOIN pg_attribute ON attrelid = pg_class.oid AND attnum > 0 AND NOT attisdropped
        WHERE relkind IN ('r', 'p', 'v', 'm', 'f') AND nspname <> 'public'
          AND nspname <> 'information_schema' AND nspname NOT LIKE 'pg\\_%'
        GROUP BY 1 ORDER BY 1
        """,
    )

    assert columns == [
        ("procrastinate_events", "id job_id type at"),
        (
            "procrastinate_jobs",
            "id queue_name task_name priority lock queueing_lock args status scheduled_at "
            "attempts abort_requested worker_id",
        ),
        ("procrastinate_periodic_defers", "id task_name defer_timestamp job_id periodic_id"),
        ("procrastinate_workers", "id last_heartbeat"),
    ]


# -------------------------------------------------------------------------- its times


async def test_what_is_due_runs_once_for_all_replicas_and_leaves_the_queue(
    urls: DatabaseUrls, database: Database
) -> None:
    run = Runs()
    jobs = [a_job("sweep"), a_job("mop")]

    async with working(*(a_queue(database, run, *jobs) for _ in range(3))):
        await until(lambda: len(run.begun) == 2)
        await asyncio.sleep(0.5)
    async with working(a_queue(database, run, *jobs)):
        await asyncio.sleep(0.3)

    assert run.begun == {"sweep": 1, "mop": 1}
    for table in ("jobs", "events", "workers"):
        assert await fetch(urls, f"SELECT * FROM assistant_jobs.procrastinate_{table}") == []


async def test_a_job_is_due_again_and_again(database: Database) -> None:
    run = Runs()

    async with working(a_queue(database, run, a_job(cron=EVERY_SECOND))):
        await until(lambda: run.begun["sweep"] == 3)


async def test_a_missed_time_is_made_up_for_within_the_hour_and_then_no_more(
    database: Database,
) -> None:
    run = Runs()

    async with working(a_queue(database, run, a_job("late", due(58)), a_job("gone", due(62)))):
        await until(lambda: run.begun["late"])
        await asyncio.sleep(0.3)

    assert run.begun == {"late": 1}


async def test_a_job_never_runs_beside_itself_and_holds_up_no_other(database: Database) -> None:
    run = Runs()
    run.lasts_s = 2.5
    jobs = [a_job("slow", EVERY_SECOND), a_job("other")]

    async with working(*(a_queue(database, run, *jobs) for _ in range(2))):
        await until(lambda: run.begun["slow"] == 2)

    assert run.most_at_once["slow"] == 1
    assert run.begun["other"] == 1


async def test_jobs_of_another_version_are_left_to_its_replicas(
    urls: DatabaseUrls, database: Database
) -> None:
    run = Runs()
    await put(urls, queue_name="newer", task_name="newer")

    async with working(a_queue(database, run)):
        await until(lambda: run.begun["sweep"])

    left = await fetch(urls, "SELECT task_name, status FROM assistant_jobs.procrastinate_jobs")
    assert left == [("newer", "todo")]


# ------------------------------------------------------------------- what goes wrong


async def test_a_run_that_fails_is_tried_again_at_most_twice(database: Database) -> None:
    run = Runs()
    run.errors = [ValueError(), ValueError(), ValueError(), ValueError()]

    async with working(a_queue(database, run)):
        await until(lambda: run.begun["sweep"] == 3)
        await asyncio.sleep(0.5)

    assert run.begun["sweep"] == 3


async def test_a_run_that_fails_once_is_done_again_and_then_over(database: Database) -> None:
    run = Runs()
    run.errors = [ValueError()]

    async with working(a_queue(database, run)):
        await until(lambda: run.begun["sweep"] == 2)
        await asyncio.sleep(0.5)

    assert run.begun["sweep"] == 2


async def test_what_a_shutdown_cuts_off_goes_on_elsewhere(database: Database) -> None:
    first, second = Runs(), Runs()
    first.lasts_s = 60.0

    async with working(a_queue(database, first)):
        await until(lambda: first.now["sweep"])
    async with working(a_queue(database, second)):
        await until(lambda: second.begun["sweep"])

    assert first.now["sweep"] == 0
    assert first.begun["sweep"] == second.begun["sweep"] == 1


KILLED = """
import asyncio, sys
from assistant.adapters.postgres.connection import Database
from assistant.adapters.postgres.jobs import JobQueue
from assistant.domain.job import Job

async def run(name):
    print(name, flush=True)
    await asyncio.sleep(60)

async def work(url, cron):
    database = Database(url)
    await database.start()
    queue = JobQueue(
        database, [Job("sweep", "", cron, None)], run, poll_interval_s=0.05, heartbeat_interval_s=0.2
    )
    await queue.work()

asyncio.run(work(*sys.argv[1:]))
"""


async def test_what_a_killed_process_was_doing_is_done_again(
    urls: DatabaseUrls, database: Database
) -> None:
    """And nothing waits for it: its row would keep the job's next run from beginning."""
    cron = due(2)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", KILLED, urls.service, cron),
        cwd=MIGRATION.parents[2],
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    async with asyncio.timeout(15):
        assert await process.stdout.readline() == b"sweep\n"
    process.send_signal(signal.SIGKILL)
    assert await process.wait() == -signal.SIGKILL

    run = Runs()
    with capture_logs() as logs:
        async with working(a_queue(database, run, a_job(cron=cron))):
            await until(lambda: run.begun["sweep"])

    assert {"event": "job_stalled", "log_level": "warning", "job": "sweep"} in logs
    for table in ("jobs", "workers"):
        assert await fetch(urls, f"SELECT * FROM assistant_jobs.procrastinate_{table}") == []


async def test_a_job_that_kills_its_process_each_time_is_given_up(
    urls: DatabaseUrls, database: Database
) -> None:
    await put(urls, queue_name="sweep", task_name="sweep", args='{"attempt": 3}', status="doing")
    run = Runs()

    async with working(a_queue(database, run, a_job(cron=due(120)))):
        await asyncio.sleep(0.5)

    assert run.begun == {}
    assert await fetch(urls, "SELECT * FROM assistant_jobs.procrastinate_jobs") == []


async def test_a_run_whose_end_could_not_be_written_down_keeps_nobody_waiting(
    urls: DatabaseUrls, database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    runs = 0

    async def run(name: str) -> None:
        nonlocal runs
        runs += 1
        if runs == 1:
            # The very next statement, that the run has ended, is the one that is lost.
            await fetch(
                urls,
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE usename = 'assistant_service' AND datname = current_database()",
            )

    async with working(a_queue(database, run)):
        await until(lambda: runs == 2)
    gc.collect()
    # asyncio complains of errors that nobody looked at
    # What the package says of it by itself would be said with every try.
    said = [r.getMessage() for r in caplog.records if r.name.startswith("procrastinate")]
    assert said == []


async def test_a_worker_that_was_taken_for_dead_begins_anew(
    urls: DatabaseUrls, database: Database
) -> None:
    run = Runs()

    with capture_logs() as logs:
        async with working(a_queue(database, run, a_job(cron=EVERY_SECOND))):
            await until(lambda: run.begun["sweep"])
            async with await connect(urls.superuser) as connection:
                await connection.execute("DELETE FROM assistant_jobs.procrastinate_workers")
            before = run.begun["sweep"]
            await until(lambda: run.begun["sweep"] == before + 2)

    said = [line for line in logs if line["event"] == "jobs_interrupted"]
    assert [line["reason"] for line in said] == ["ForeignKeyViolation"]


async def test_without_a_database_the_queue_waits_says_so_once_and_goes_on(
    short_folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    embedded = EmbeddedPostgres(short_folder / "postgres")
    server = PostgresServer(embedded, await embedded.start())
    urls = server.urls("assistant")
    await migrate.upgrade(urls.owner)
    database = Database(urls.service)
    await database.start()
    run = Runs()

    caplog.set_level(logging.WARNING)
    with capture_logs() as logs:
        async with working(a_queue(database, run, a_job(cron=EVERY_SECOND))):
            await until(lambda: run.begun["sweep"])
            await embedded.stop()
            await until(lambda: logs)
            await asyncio.sleep(1)
            before = run.begun["sweep"]
            await embedded.start()
            await until(lambda: run.begun["sweep"] == before + 2)
            await embedded.stop()  # it must end without one, too
    await database.close()

    assert [line["event"] for line in logs[:2]] == ["jobs_wait", "jobs_go_on"]
    assert {line["event"] for line in logs[2:]} <= {"jobs_wait"}
    # What the package says of it by itself would be said with every try.
    said = [r.getMessage() for r in caplog.records if r.name.startswith("procrastinate")]
    assert said == []
