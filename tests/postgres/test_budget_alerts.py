"""Steps of budgets: claimed once, by whoever it is; told of once, whatever dies meanwhile."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import UUID, uuid4

import pytest
import pytest_asyncio
from structlog.testing import capture_logs

from assistant.adapters.clock import SystemClock
from assistant.adapters.postgres import migrate
from assistant.adapters.postgres.budget_alerts import PostgresBudgetAlerts, notice_of
from assistant.adapters.postgres.connection import Database
from assistant.adapters.postgres.errands import put_errands
from assistant.adapters.postgres.jobs import JobQueue
from assistant.adapters.postgres.ledger import PostgresLedger
from assistant.adapters.postgres.listen import BUDGET_ALERT_CHANNEL, EVERYTHING, listen
from assistant.adapters.providers.http import HttpClient
from assistant.adapters.webhook import AlertWebhook
from assistant.domain.budget import BudgetPeriod, LimitScope, Stake
from assistant.domain.completion import Attempt, AttemptOutcome, Decision, TokenUsage
from assistant.domain.job import Errand
from assistant.domain.webhook_signature import signing_key
from assistant.errors import ProviderUnavailable
from assistant.services.budget_alerts import WEBHOOK_ERRAND, BudgetAlerts, webhook_errand
from tests.postgres.completions import running, succeeded
from tests.postgres.server import DatabaseUrls, connect
from tests.postgres.test_jobs import a_job, a_queue, fetch, until, working
from tests.providers.fake_receiver import SECRET, FakeReceiver
from tests.unit.fakes import FakeTelemetry


async def put_budget(
    urls: DatabaseUrls, tenant: str = "acme", amount: str = "10", steps: str = "{0.5,0.8,1.0}"
) -> UUID:
    id_ = uuid4()
    async with await connect(urls.superuser) as connection:
        await connection.execute(
            "INSERT INTO budgets VALUES (%s, %s, 'USER', '', 'MONTH', %s, %s, now(), now())",
            (tenant, id_, amount, steps),
        )
    return id_


async def put_alert(
    urls: DatabaseUrls, tenant: str = "acme", *, waited: str = "0 s", step: str = "0.8"
) -> None:
    async with await connect(urls.superuser) as connection:
        await connection.execute(
            "INSERT INTO budget_alerts (tenant_id, budget_id, subject, starts_at, step, scope, "
            "period, ends_at, spent, amount, created_at) VALUES (%s, gen_random_uuid(), 'ann', "
            "now(), %s, 'USER', 'MONTH', now() + '1 day', 8.0000000000125, 10, now() - %s::interval)",
            (tenant, step, waited),
        )


async def spend(ledger: PostgresLedger, cost: str, tenant: str = "acme") -> None:
    """A completion that costs so much."""
    price = Decimal(cost)
    opened = running(tenant)
    await ledger.open(opened, Stake(10, 10, 10, fixed_cost=price, expected_tokens=20))
    usage = TokenUsage(10, 10, 0, False, price)
    attempt = Attempt("openai", "gpt", AttemptOutcome.SUCCEEDED, 10, usage=usage)
    decision = Decision(candidates=("openai/gpt",), attempts=(attempt,))
    await ledger.settle(succeeded(opened, usage=usage, decision=decision))


async def errands(urls: DatabaseUrls) -> list[tuple[object, ...]]:
    return await fetch(
        urls,
        "SELECT task_name, args, status::text, attempts FROM assistant_jobs.procrastinate_jobs "
        "ORDER BY id",
    )


# ----------------------------------------------------------------------------- claiming


async def test_each_step_is_noticed_once_with_its_exact_amounts(
    urls: DatabaseUrls, database: Database, ledger: PostgresLedger
) -> None:
    budget = await put_budget(urls)
    heard: list[str] = []

    async def hear() -> None:
        async for payload in listen(database, BUDGET_ALERT_CHANNEL):
            heard.append(payload)

    hearing = asyncio.create_task(hear())
    await until(lambda: heard == [EVERYTHING])
    for cost in ("4.999999999", "0.000000002", "2", "2", "0.999999999"):
        await spend(ledger, cost)
    await until(lambda: len(heard) == 4)
    hearing.cancel()
    await asyncio.wait([hearing])

    alerts = [notice_of(payload) for payload in heard[1:]]
    assert [(alert.step, alert.spent) for alert in alerts] == [
        (Decimal("0.5"), Decimal("5.000000001")),
        (Decimal("0.8"), Decimal("9.000000001")),
        (Decimal("1.0"), Decimal(10)),
    ]
    assert {(a.tenant_id, a.budget_id, a.scope, a.subject, a.period, a.amount) for a in alerts} == {
        ("acme", budget, LimitScope.USER, "ann", BudgetPeriod.MONTH, Decimal(10))
    }
    # What is heard and what is claimed is the same, to the last digit.
    assert await PostgresBudgetAlerts(database, None).claim("acme") == alerts


async def test_ten_who_claim_at_once_get_each_alert_once(
    urls: DatabaseUrls, database: Database
) -> None:
    for number in range(5):
        await put_alert(urls, step=f"0.{number + 1}")
    await put_alert(urls, "globex")
    store = PostgresBudgetAlerts(database, None)

    claimed = await asyncio.gather(*(store.claim("acme") for _ in range(10)))

    steps = Counter(alert.step for alerts in claimed for alert in alerts)
    assert steps == {Decimal(f"0.{number + 1}"): 1 for number in range(5)}
    assert [alert.tenant_id for alert in await store.claim("globex")] == ["globex"]


async def test_a_claim_puts_the_errand_in_the_same_transaction(fresh: DatabaseUrls) -> None:
    database = Database(fresh.service, pool_size=2)
    await database.start()
    await put_alert(fresh)
    async with await connect(fresh.superuser) as connection:
        await connection.execute(
            "ALTER TABLE assistant_jobs.procrastinate_jobs ADD CONSTRAINT none CHECK (false)"
        )
    store = PostgresBudgetAlerts(database, WEBHOOK_ERRAND)

    with pytest.raises(Exception, match="none"):
        await store.claim("acme")
    assert await fetch(fresh, "SELECT announced_at FROM budget_alerts") == [(None,)]

    async with await connect(fresh.superuser) as connection:
        await connection.execute(
            "ALTER TABLE assistant_jobs.procrastinate_jobs DROP CONSTRAINT none"
        )
    (alert,) = await store.claim("acme")
    ((name, arguments, status, attempts),) = await errands(fresh)
    assert (name, status, attempts) == (WEBHOOK_ERRAND, "todo", 0)
    # The queue knows an id, and nothing of a tenant.
    assert isinstance(arguments, dict)
    assert list(arguments) == ["subject"]
    assert await store.find(UUID(arguments["subject"])) == alert
    assert await store.find(uuid4()) is None
    # The connection goes back to the pool as it was.
    assert await store.claim("acme") == []
    await database.close()


async def test_a_sweep_finds_what_nobody_has_told_of_for_a_while(
    urls: DatabaseUrls, database: Database
) -> None:
    await put_alert(urls, "acme", waited="2 min")
    await put_alert(urls, "globex", waited="2 min")
    await put_alert(urls, "initech")
    store = PostgresBudgetAlerts(database, None)
    telemetry = FakeTelemetry()
    services = [BudgetAlerts(store, SystemClock(), telemetry) for _ in range(3)]

    await asyncio.gather(*(service.sweep() for service in services))

    assert sorted(alert.tenant_id for alert in telemetry.alerts) == ["acme", "globex"]
    assert await store.list_unannounced(0) == ["initech"]


async def test_a_tenants_latest_are_listed_and_nobody_elses(
    urls: DatabaseUrls, database: Database
) -> None:
    for step, waited in (("0.1", "3 h"), ("0.2", "2 h"), ("0.3", "1 h")):
        await put_alert(urls, step=step, waited=waited)
    await put_alert(urls, "globex")
    after = datetime.now(UTC) - timedelta(hours=2, minutes=30)

    found = await PostgresBudgetAlerts(database, None).list_after("acme", after, 10)
    latest = await PostgresBudgetAlerts(database, None).list_after("acme", after, 1)

    assert [alert.step for alert in found] == [Decimal("0.2"), Decimal("0.3")]
    assert [alert.step for alert in latest] == [Decimal("0.3")]


def test_a_notice_is_read_without_a_float() -> None:
    row = {
        "tenant_id": "acme", "budget_id": str(uuid4()), "subject": "", "scope": "GLOBAL",
        "period": "DAY", "step": 1, "spent": 0, "amount": 10, "starts_at": "2026-03-29T00:00:00+00:00",
        "ends_at": "2026-03-30T00:00:00+00:00", "created_at": "2026-03-29T01:00:00.5+00:00",
    }  # fmt: skip
    payload = json.dumps(row).replace('"spent": 0', '"spent": 9007199254740993.000000001')

    alert = notice_of(payload)

    assert alert.spent == Decimal("9007199254740993.000000001")
    assert isinstance(alert.step, Decimal)
    assert alert.subject is None


async def test_a_step_down_and_up_keeps_the_alerts(fresh: DatabaseUrls) -> None:
    await put_alert(fresh)

    await migrate.downgrade(fresh.owner, "0014")
    await migrate.upgrade(fresh.owner)

    ((id_, step),) = await fetch(fresh, "SELECT id, step FROM budget_alerts")
    assert isinstance(id_, UUID)
    assert step == Decimal("0.8")


# ----------------------------------------------------------------------------- errands


class Doing:
    """What an errand does: notes it, and fails as often as the test says."""

    def __init__(self, failures: int = 0, lasts_s: float = 0.0) -> None:
        self.begun: list[str] = []
        self.done: list[str] = []
        self.failures = failures
        self.lasts_s = lasts_s

    async def __call__(self, subject: str) -> None:
        self.begun.append(subject)
        await asyncio.sleep(self.lasts_s)
        if self.failures:
            self.failures -= 1
            raise ProviderUnavailable("It is away.")
        self.done.append(subject)


def doing(database: Database, do: Callable[[str], Awaitable[None]], *pauses_s: float) -> JobQueue:
    return JobQueue(
        database,
        [a_job(cron="0 0 1 1 *")],
        do_nothing,
        [Errand("tell", do, pauses_s)],
        poll_interval_s=0.05,
        heartbeat_interval_s=0.2,
        retry_delay_s=0.1,
        shutdown_grace_s=0.1,
    )


async def do_nothing(_: str) -> None:
    pass


@pytest_asyncio.fixture
async def queue(fresh: DatabaseUrls) -> AsyncIterator[Database]:
    database = Database(fresh.service, pool_size=3)
    await database.start()
    yield database
    await database.close()


async def put(database: Database, *subjects: str) -> None:
    async with database.tenant("acme") as connection:
        await put_errands(connection, "tell", subjects)


async def test_an_errand_is_done_once_for_all_replicas_and_leaves_the_queue(
    fresh: DatabaseUrls, queue: Database
) -> None:
    do = Doing()
    await put(queue, *(str(number) for number in range(20)))

    async with working(*(doing(queue, do) for _ in range(3))):
        await until(lambda: len(do.done) == 20)
        await asyncio.sleep(0.3)

    assert Counter(do.done) == {str(number): 1 for number in range(20)}
    assert await errands(fresh) == []


async def test_an_errand_that_fails_is_tried_again_and_given_up_after_its_last_pause(
    fresh: DatabaseUrls, queue: Database
) -> None:
    do = Doing(failures=10)
    await put(queue, "one")

    with capture_logs() as logs:
        async with working(doing(queue, do, 0.05, 0.1)):
            await until(lambda: len(do.begun) == 3)
            await asyncio.sleep(0.5)

    assert do.begun == ["one"] * 3
    assert [(line["event"], line.get("again_in_s")) for line in logs] == [
        ("errand_failed", 0.05),
        ("errand_failed", 0.1),
        ("errand_given_up", None),
    ]
    assert logs[-1]["reason"] == "It is away."
    assert await errands(fresh) == []


async def test_what_is_asked_to_wait_longer_waits_longer(
    fresh: DatabaseUrls, queue: Database
) -> None:
    async def do(_: str) -> None:
        raise ProviderUnavailable("Later.", retry_after_s=90)

    await put(queue, "one")

    with capture_logs() as logs:
        async with working(doing(queue, do, 0.05)):
            await until(lambda: logs)
            await asyncio.sleep(0.3)

    assert [line["again_in_s"] for line in logs] == [90]
    ((_, _, status, attempts),) = await errands(fresh)
    assert (status, attempts) == ("todo", 1)


async def test_errands_that_hang_hold_up_no_job(queue: Database) -> None:
    jobs_run = 0

    async def run(_: str) -> None:
        nonlocal jobs_run
        jobs_run += 1

    do = Doing(lasts_s=60)
    await put(queue, *(str(number) for number in range(20)))
    hanging = JobQueue(
        queue,
        [a_job(cron="* * * * * *")],
        run,
        [Errand("tell", do, ())],
        poll_interval_s=0.05,
        heartbeat_interval_s=0.2,
        shutdown_grace_s=0.1,
    )

    async with working(hanging):
        await until(lambda: len(do.begun) == 4)
        before = jobs_run
        await until(lambda: jobs_run >= before + 2)

    assert len(do.begun) == 4


async def test_an_errand_that_a_shutdown_cuts_off_goes_on_elsewhere(queue: Database) -> None:
    first, second = Doing(lasts_s=60), Doing()
    await put(queue, "one")

    async with working(doing(queue, first)):
        await until(lambda: first.begun)
    async with working(doing(queue, second)):
        await until(lambda: second.done)

    assert second.done == ["one"]


async def test_an_errand_whose_process_has_died_is_done_again_by_who_knows_it(
    fresh: DatabaseUrls, queue: Database
) -> None:
    await put(queue, "one", "two")
    async with await connect(fresh.superuser) as connection:
        await connection.execute("SET search_path TO assistant_jobs")
        await connection.execute(
            "UPDATE procrastinate_jobs SET status = 'doing', "
            "attempts = (args->>'subject' = 'two')::int"
        )
    do = Doing()

    # Who has no such errand leaves it alone.
    async with working(a_queue(queue, do_nothing, a_job(cron="0 0 1 1 *"))):
        await asyncio.sleep(1)
    assert [status for _, _, status, _ in await errands(fresh)] == ["doing", "doing"]

    with capture_logs() as logs:
        async with working(doing(queue, do, 0.05)):
            await until(lambda: do.done)
            await asyncio.sleep(0.3)

    assert do.done == ["one"]
    assert [line["event"] for line in logs if line["event"] == "errand_given_up"] == [
        "errand_given_up"
    ]
    assert await errands(fresh) == []


# ----------------------------------------------------------------------------- the webhook


async def test_every_alert_reaches_a_receiver_that_misbehaves_once_by_one_id(
    fresh: DatabaseUrls, queue: Database
) -> None:
    """It is late, answers 500 and 307, cuts the connection; then takes it, or wants none (410)."""
    await put_budget(fresh)
    ledger = PostgresLedger(queue)
    await ledger.start()
    store = PostgresBudgetAlerts(queue, WEBHOOK_ERRAND)
    telemetry = FakeTelemetry()
    replicas = [BudgetAlerts(store, SystemClock(), telemetry) for _ in range(3)]

    async with FakeReceiver() as receiver, HttpClient() as http:
        webhook = AlertWebhook(
            http, receiver.url, signing_key(SECRET), SystemClock(), timeout_s=0.3
        )
        errand = replace(webhook_errand(store, webhook), pauses_s=(0.05,) * 9)
        receiver.answers = [500, "cut", 307, 200]
        receiver.location = receiver.url

        await spend(ledger, "6")
        await asyncio.gather(*(replica.announce("acme") for replica in replicas))
        with capture_logs() as logs:
            async with working(*(telling(queue, errand) for _ in range(2))):
                await until(lambda: len(receiver.received) == 4)
                await until(lambda: any(e["event"] == "budget_alert_delivered" for e in logs))

                receiver.delay_s = 1.0
                await spend(ledger, "3")
                await asyncio.gather(*(replica.announce("acme") for replica in replicas))
                await until(lambda: len(receiver.received) == 5)
                receiver.delay_s, receiver.answers = 0.0, [410]
                await until(lambda: any(e["event"] == "budget_alert_unwanted" for e in logs))
                await asyncio.sleep(0.3)

        assert [alert.step for alert in telemetry.alerts] == [Decimal("0.5"), Decimal("0.8")]
        told = [(received.id, received.json["data"]["step"]) for received in receiver.received]
        assert len(set(told)) == 2
        assert [step for _, step in told] == ["0.5"] * 4 + ["0.8"] * 2
        assert all(received.is_genuine for received in receiver.received)
    assert await errands(fresh) == []
    await ledger.close()


def telling(database: Database, errand: Errand) -> JobQueue:
    return JobQueue(
        database,
        [a_job(cron="0 0 1 1 *")],
        do_nothing,
        [errand],
        poll_interval_s=0.05,
        heartbeat_interval_s=0.2,
        shutdown_grace_s=0.1,
    )
