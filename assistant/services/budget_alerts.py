"""Tells of budgets' steps that were reached: in the log, to who watches, and to a webhook."""

from __future__ import annotations

from asyncio import Event
from collections import deque
from collections.abc import AsyncGenerator
from datetime import datetime, timedelta
from typing import TypeAlias
from uuid import UUID

import structlog

from assistant.domain.budget import BudgetAlert, LimitScope
from assistant.domain.caller import Caller, Scope
from assistant.domain.job import Errand
from assistant.domain.money import in_words
from assistant.domain.ports import AlertReceiver, BudgetAlertStore, Clock, Telemetry

log = structlog.get_logger(__name__)

WEBHOOK_ERRAND = "budget-alert-webhook"
PAUSES_S = (5, 60, 300, 900, 3_600, 7_200, 14_400, 21_600, 36_000)
"""Ten attempts within a day: 23 h 21 min from the first to the last."""

SWEEP_AFTER_S = 30.0
"""How long an alert may wait for a replica that serves, before a background job tells of it."""

MOST_UNREAD = 100
_MOST_MISSED = 1_000
_MOST_REMEMBERED = 10_000
# A clock of ours may be ahead of the database's, and a transaction may have taken its time.
_OVERLAP = timedelta(minutes=1)

_Key: TypeAlias = tuple[object, ...]


class BudgetAlerts:
    """Every alert is told of once: by whichever replica claims it.

    Where a replica dies between claiming and logging, the line and the count are lost with it; the
    webhook is not, since its errand is part of the claim.
    """

    def __init__(self, store: BudgetAlertStore, clock: Clock, telemetry: Telemetry) -> None:
        self._store = store
        self._clock = clock
        self._telemetry = telemetry
        self._watchers: set[_Watcher] = set()
        self._heard = _Remembered()
        self._heard_last_at = clock.now()

    # ------------------------------------------------------------------- who is told once

    async def announce(self, tenant_id: str) -> int:
        """Tell of what nobody has told of, in the log and the metrics; how many."""
        alerts = await self._store.claim(tenant_id)
        for alert in alerts:
            log.warning(
                "budget_alert",
                tenant=alert.tenant_id,
                budget=str(alert.budget_id),
                scope=alert.scope.value,
                subject=alert.subject,
                window=alert.period.value,
                step=f"{alert.step.normalize():f}",
                spent=in_words(alert.spent),
                limit=in_words(alert.amount),
                starts_at=alert.starts_at.isoformat(),
                resets_at=alert.ends_at.isoformat(),
            )
            self._telemetry.budget_alert_announced(alert)
        return len(alerts)

    async def announce_all(self, waited_s: float = 0.0) -> int:
        """Tell of what has waited for so long, of every tenant's; how many."""
        tenants = await self._store.list_unannounced(waited_s)
        return sum([await self.announce(tenant_id) for tenant_id in tenants])

    async def sweep(self) -> str:
        """Tell of what no replica has told of that should have. The job ``budget-alerts``."""
        return f"{await self.announce_all(SWEEP_AFTER_S)} alerts announced"

    # ------------------------------------------------------------------- who watches

    def tell(self, alert: BudgetAlert) -> None:
        """Show a new alert to who watches here and may see it."""
        self._heard_last_at = self._clock.now()
        if self._heard.add(_key(alert)):
            for watcher in self._watchers:
                watcher.offer(alert)

    async def catch_up(self) -> None:
        """Show what could not be heard of, to who watched then."""
        after, now = self._heard_last_at - _OVERLAP, self._clock.now()
        for tenant_id in sorted({watcher.tenant_id for watcher in self._watchers}):
            for alert in await self._store.list_after(tenant_id, after, _MOST_MISSED):
                if self._heard.add(_key(alert)):
                    for watcher in self._watchers:
                        if alert.created_at >= watcher.since - _OVERLAP:
                            watcher.offer(alert)
        self._heard_last_at = now

    async def watch(self, caller: Caller) -> AsyncGenerator[BudgetAlert, None]:
        """The alerts of budgets that the caller may see, from now on, as they come.

        Those of the whole tenant with ``assistant:admin``; otherwise those of the caller's own user,
        and of their service with ``assistant:usage:read``. Who is too slow to read misses the oldest. It ends where the service shuts
        down. Raises: Forbidden for a caller who can have none.
        """
        if caller.user_id is None:
            caller.require(Scope.ADMIN if caller.service_id is None else Scope.USAGE_READ)
        watcher = _Watcher(caller, self._clock.now())
        self._watchers.add(watcher)
        try:
            while (alert := await watcher.next()) is not None:
                yield alert
        finally:
            self._watchers.discard(watcher)

    def close(self) -> None:
        """Let everybody who watches go, once they have read what there is."""
        for watcher in self._watchers:
            watcher.close()


def webhook_errand(store: BudgetAlertStore, receiver: AlertReceiver) -> Errand:
    """Telling ``receiver`` of an alert, which is known by its id."""

    async def tell(subject: str) -> None:
        alert = await store.find(UUID(subject))
        if alert is None:
            log.warning("budget_alert_gone", alert=subject)
        elif await receiver.tell(UUID(subject), alert):
            log.info("budget_alert_delivered", alert=subject, tenant=alert.tenant_id)
        else:
            log.warning("budget_alert_unwanted", alert=subject, tenant=alert.tenant_id)

    return Errand(WEBHOOK_ERRAND, tell, PAUSES_S)


class _Watcher:
    """Who watches, and what they have not read yet."""

    def __init__(self, caller: Caller, since: datetime) -> None:
        self.tenant_id = caller.tenant_id
        self.since = since
        self._caller = caller
        self._unread: deque[BudgetAlert] = deque(maxlen=MOST_UNREAD)
        self._is_there = Event()
        self._is_closed = False

    def offer(self, alert: BudgetAlert) -> None:
        if not _may_see(self._caller, alert):
            return
        if len(self._unread) == MOST_UNREAD:
            log.warning("budget_alert_missed", tenant=self.tenant_id, most_unread=MOST_UNREAD)
        self._unread.append(alert)
        self._is_there.set()

    def close(self) -> None:
        self._is_closed = True
        self._is_there.set()

    async def next(self) -> BudgetAlert | None:
        """The next one, as soon as it is there; None at the end."""
        while not self._unread:
            if self._is_closed:
                return None
            self._is_there.clear()
            await self._is_there.wait()
        return self._unread.popleft()


class _Remembered:
    """The latest keys; older ones are forgotten."""

    def __init__(self) -> None:
        self._keys: dict[_Key, None] = {}

    def add(self, key: _Key) -> bool:
        """Whether it is a new one."""
        if key in self._keys:
            return False
        self._keys[key] = None
        if len(self._keys) > _MOST_REMEMBERED:
            del self._keys[next(iter(self._keys))]
        return True


def _key(alert: BudgetAlert) -> _Key:
    return (alert.tenant_id, alert.budget_id, alert.subject, alert.starts_at, alert.step)


def _may_see(caller: Caller, alert: BudgetAlert) -> bool:
    if alert.tenant_id != caller.tenant_id:
        return False
    if caller.may(Scope.ADMIN):
        return True
    match alert.scope:
        case LimitScope.USER:
            return alert.subject == caller.user_id
        case LimitScope.SERVICE:
            return alert.subject == caller.service_id and caller.may(Scope.USAGE_READ)
        case LimitScope.GLOBAL | LimitScope.API_KEY:
            return False
