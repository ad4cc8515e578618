"""Steps of budgets: told of once, shown to who may see them, and missed by nobody who watches."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from uuid import uuid4

import pytest
from structlog.testing import capture_logs

from assistant.domain.budget import BudgetAlert, LimitScope
from assistant.domain.caller import Caller, Scope
from assistant.errors import Forbidden, ProviderUnavailable
from assistant.services.budget_alerts import (
    MOST_UNREAD,
    PAUSES_S,
    SWEEP_AFTER_S,
    BudgetAlerts,
    webhook_errand,
)
from tests.unit.budget_alerts import BUDGET, FakeAlertStore, FakeReceiver, an_alert
from tests.unit.fakes import ALICE, FakeClock, FakeTelemetry

AUDITOR = Caller("acme", "carol", None, frozenset({Scope.ADMIN}))
READER = replace(ALICE, scopes=frozenset({Scope.COMPLETE, Scope.USAGE_READ}))
USERS = an_alert()
SERVICES = an_alert(scope=LimitScope.SERVICE, subject="web")
GLOBALS = an_alert(scope=LimitScope.GLOBAL, subject=None)


class Desk:
    def __init__(self) -> None:
        self.store = FakeAlertStore()
        self.clock = FakeClock()
        self.telemetry = FakeTelemetry()
        self.alerts = BudgetAlerts(self.store, self.clock, self.telemetry)

    async def watch(self, caller: Caller = ALICE) -> Watching:
        watching = Watching(self.alerts.watch(caller))
        await asyncio.sleep(0)
        return watching


class Watching:
    """What a watcher has seen so far."""

    def __init__(self, alerts: AsyncGenerator[BudgetAlert, None]) -> None:
        self.seen: list[BudgetAlert] = []
        self._alerts = alerts
        self.task = asyncio.create_task(self._read())

    async def _read(self) -> None:
        async with aclosing(self._alerts) as alerts:
            async for alert in alerts:
                self.seen.append(alert)

    async def so_far(self) -> list[BudgetAlert]:
        for _ in range(5):
            await asyncio.sleep(0)
        return self.seen

    async def leave(self) -> None:
        self.task.cancel()
        await asyncio.wait([self.task])


async def test_an_alert_is_one_line_of_the_log_and_one_count() -> None:
    desk = Desk()
    desk.store.put(USERS)

    with capture_logs() as logs:
        assert [await desk.alerts.announce("acme") for _ in range(2)] == [1, 0]

    assert logs == [
        {
            "event": "budget_alert",
            "log_level": "warning",
            "tenant": "acme",
            "budget": str(BUDGET),
            "scope": "USER",
            "subject": "alice",
            "window": "MONTH",
            "step": "0.8",
            "spent": "8.0000125 USD",
            "limit": "10.00 USD",
            "starts_at": "2026-03-01T00:00:00+00:00",
            "resets_at": "2026-04-01T00:00:00+00:00",
        }
    ]
    assert desk.telemetry.alerts == [USERS]


async def test_the_sweep_tells_of_every_tenants_that_have_waited() -> None:
    desk = Desk()
    desk.store.put(USERS, replace(USERS, tenant_id="globex"), replace(USERS, step=Decimal(1)))

    assert await desk.alerts.sweep() == "3 alerts announced"
    assert await desk.alerts.sweep() == "0 alerts announced"
    assert desk.store.asked == [SWEEP_AFTER_S] * 2
    assert len(desk.telemetry.alerts) == 3


@pytest.mark.parametrize(
    ("caller", "seen"),
    [
        (ALICE, [USERS]),
        (READER, [USERS, SERVICES]),
        (replace(READER, user_id="bob"), [SERVICES]),
        (replace(ALICE, service_id=None), [USERS]),
        (replace(ALICE, tenant_id="globex"), []),
        (AUDITOR, [USERS, SERVICES, GLOBALS]),
        (Caller("acme", None, None, frozenset({Scope.ADMIN})), [USERS, SERVICES, GLOBALS]),
    ],
)
async def test_a_watcher_sees_what_is_theirs_and_with_the_scope_the_whole_tenants(
    caller: Caller, seen: list[BudgetAlert]
) -> None:
    desk = Desk()
    watching = await desk.watch(caller)

    for alert in (USERS, SERVICES, GLOBALS):
        desk.alerts.tell(alert)

    assert await watching.so_far() == seen
    await watching.leave()


async def test_who_could_never_see_one_is_refused() -> None:
    nobody = Caller("acme", None, None, frozenset({Scope.COMPLETE}))

    with pytest.raises(Forbidden, match=r"assistant:admin"):
        await anext(Desk().alerts.watch(nobody))


async def test_an_alert_that_is_told_twice_is_shown_once() -> None:
    desk = Desk()
    watching = await desk.watch()

    desk.alerts.tell(USERS)
    desk.alerts.tell(replace(USERS, spent=Decimal(9)))
    desk.alerts.tell(replace(USERS, step=Decimal(1)))

    assert [alert.step for alert in await watching.so_far()] == [Decimal("0.8"), 1]
    await watching.leave()


async def test_who_is_too_slow_misses_the_oldest() -> None:
    desk = Desk()
    slow = desk.alerts.watch(ALICE)
    first = asyncio.ensure_future(anext(slow))
    await asyncio.sleep(0)

    with capture_logs() as logs:
        for number in range(MOST_UNREAD + 2):
            desk.alerts.tell(replace(USERS, step=Decimal(number + 1)))

    assert (await first).step == 3
    assert [(await anext(slow)).step for _ in range(MOST_UNREAD - 1)] == [
        number + 4 for number in range(MOST_UNREAD - 1)
    ]
    assert [line["event"] for line in logs] == ["budget_alert_missed"] * 2
    await slow.aclose()


async def test_who_has_left_is_told_nothing_and_nothing_is_kept_for_them() -> None:
    desk = Desk()
    watching = await desk.watch()
    await watching.leave()

    with capture_logs() as logs:
        for number in range(MOST_UNREAD + 2):
            desk.alerts.tell(replace(USERS, step=Decimal(number + 1)))

    assert watching.seen == []
    assert logs == []


async def test_at_the_end_everybody_reads_what_there_is_and_goes() -> None:
    desk = Desk()
    watching = await desk.watch()

    desk.alerts.tell(USERS)
    desk.alerts.close()

    assert await watching.so_far() == [USERS]
    assert watching.task.done()


async def test_what_was_reached_while_nothing_could_be_heard_is_shown_afterwards_once() -> None:
    desk = Desk()
    old = replace(USERS, step=Decimal("0.1"), created_at=desk.clock.now() - timedelta(days=1))
    heard = replace(USERS, step=Decimal("0.5"), created_at=desk.clock.now())
    watching = await desk.watch()
    desk.alerts.tell(heard)
    desk.clock.advance(300)
    missed = replace(USERS, created_at=desk.clock.now())
    desk.store.put(old, heard, missed)
    desk.clock.advance(300)
    newcomer = await desk.watch()

    await desk.alerts.catch_up()
    await desk.alerts.catch_up()
    desk.alerts.tell(missed)

    assert await watching.so_far() == [heard, missed]
    assert await newcomer.so_far() == []
    await watching.leave()
    await newcomer.leave()


async def test_the_receiver_is_told_of_an_alert_by_its_id() -> None:
    store, receiver = FakeAlertStore(), FakeReceiver()
    store.put(USERS)
    (id_,) = store.kept

    with capture_logs() as logs:
        await webhook_errand(store, receiver).run(str(id_))
        receiver.wants = False
        await webhook_errand(store, receiver).run(str(id_))
        await webhook_errand(store, receiver).run(str(uuid4()))

    assert receiver.told == [(id_, USERS)] * 2
    assert [line["event"] for line in logs] == [
        "budget_alert_delivered",
        "budget_alert_unwanted",
        "budget_alert_gone",
    ]


async def test_a_receiver_that_fails_is_left_to_the_queue() -> None:
    store, receiver = FakeAlertStore(), FakeReceiver(error=ProviderUnavailable("It is away."))
    store.put(USERS)
    (id_,) = store.kept

    with pytest.raises(ProviderUnavailable):
        await webhook_errand(store, receiver).run(str(id_))


def test_ten_attempts_are_made_within_a_day() -> None:
    assert len(PAUSES_S) + 1 == 10
    assert sum(PAUSES_S) == 84_065
    assert sorted(PAUSES_S) == list(PAUSES_S)
