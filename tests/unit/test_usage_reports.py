"""Who sees whose usage, and over which window."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from assistant.domain.caller import Caller, Scope
from assistant.domain.ports import UsageSubject
from assistant.domain.usage import (
    UsageGranularity,
    UsageMeasure,
    UsagePeriod,
    UsagePoint,
    UsageSummary,
    UsageWindow,
    UserUsage,
)
from assistant.errors import BadUserInput, Forbidden, StorageUnavailable
from assistant.services.periods import Periods
from assistant.services.usage import UsageReports
from tests.unit.fakes import FakeClock, FakeTenantSettings

PERIOD = UsagePeriod.THIS_MONTH


def caller(
    user: str | None = None, service: str | None = None, *scopes: Scope, tenant: str = "acme"
) -> Caller:
    return Caller(tenant, user, service, frozenset(scopes))


ANN = caller("ann", "web", Scope.COMPLETE)
WEB = caller(None, "web", Scope.USAGE_READ)
MUTE = caller(None, "web", Scope.COMPLETE)
ADMIN = caller("root", None, Scope.ADMIN)


@dataclass
class FakeUsageStore:
    """Has seen one request of everybody; remembers what was asked for."""

    asked: list[tuple[str, tuple[str, ...], UsageWindow]] = field(default_factory=list)
    trends: list[tuple[Sequence[UsageWindow], UsageSubject]] = field(default_factory=list)

    async def summarize_users(
        self, tenant_id: str, user_ids: Sequence[str], window: UsageWindow
    ) -> Mapping[str, UsageSummary]:
        self.asked.append((tenant_id, tuple(user_ids), window))
        return {user_id: UsageSummary(window, requests=1) for user_id in user_ids}

    async def summarize_services(
        self, tenant_id: str, service_ids: Sequence[str], window: UsageWindow
    ) -> Mapping[str, UsageSummary]:
        return await self.summarize_users(tenant_id, service_ids, window)

    async def top_users(
        self, tenant_id: str, window: UsageWindow, limit: int, by: UsageMeasure
    ) -> Sequence[UserUsage]:
        self.asked.append((tenant_id, (by, str(limit)), window))
        return []

    async def trend(
        self, tenant_id: str, window: UsageWindow, steps: Sequence[UsageWindow], whose: UsageSubject
    ) -> Sequence[UsagePoint]:
        self.trends.append((steps, whose))
        return []


@pytest.fixture
def store() -> FakeUsageStore:
    return FakeUsageStore()


@pytest.fixture
def settings() -> FakeTenantSettings:
    return FakeTenantSettings()


@pytest.fixture
def reports(store: FakeUsageStore, settings: FakeTenantSettings) -> UsageReports:
    return UsageReports(store, Periods(settings, FakeClock()))


async def test_users_see_their_own_usage_and_nobody_elses(
    reports: UsageReports, store: FakeUsageStore
) -> None:
    assert (await reports.mine(ANN, PERIOD)).requests == 1
    assert set(await reports.of_users(ANN, ["bob", "ann", "eve"], PERIOD)) == {"ann"}
    assert await reports.of_users(WEB, ["ann"], PERIOD) == {}
    assert [(tenant, users) for tenant, users, _ in store.asked] == [("acme", ("ann",))] * 2


async def test_services_see_their_own_usage_with_the_scope_and_nobody_elses(
    reports: UsageReports, store: FakeUsageStore
) -> None:
    assert (await reports.mine(WEB, PERIOD)).requests == 1
    assert (await reports.of_service(WEB, "web", PERIOD)).requests == 1
    assert set(await reports.of_services(WEB, ["web", "billing"], PERIOD)) == {"web"}
    assert len(store.asked) == 3

    for asking in (MUTE, ANN):
        assert await reports.of_services(asking, ["web"], PERIOD) == {}
        with pytest.raises(Forbidden, match="assistant:usage:read"):
            await reports.of_service(asking, "web", PERIOD)
    with pytest.raises(Forbidden, match="assistant:usage:read"):
        await reports.mine(MUTE, PERIOD)
    for asking in (WEB, ANN, MUTE):
        with pytest.raises(Forbidden, match="assistant:admin"):
            await reports.of_service(asking, "billing", PERIOD)
    assert len(store.asked) == 3


async def test_administrators_see_all_of_their_tenant(
    reports: UsageReports, store: FakeUsageStore
) -> None:
    assert set(await reports.of_users(ADMIN, ["ann", "bob"], PERIOD)) == {"ann", "bob"}
    assert set(await reports.of_services(ADMIN, ["web", "x"], PERIOD)) == {"web", "x"}
    await reports.of_service(ADMIN, "web", PERIOD)
    await reports.top_users(ADMIN, PERIOD, 100, UsageMeasure.COST)

    assert {tenant for tenant, _, _ in store.asked} == {"acme"}
    assert len(store.asked) == 4, "one statement each"


async def test_the_users_who_used_most_are_for_administrators_and_at_most_a_hundred(
    reports: UsageReports, store: FakeUsageStore
) -> None:
    for asking in (ANN, WEB):
        with pytest.raises(Forbidden, match="assistant:admin"):
            await reports.top_users(asking, PERIOD, 10, UsageMeasure.COST)
    for limit in (0, -1, 101):
        with pytest.raises(BadUserInput, match="1 and 100") as caught:
            await reports.top_users(ADMIN, PERIOD, limit, UsageMeasure.COST)
        assert caught.value.path == ("limit",)
    assert store.asked == []


@pytest.mark.parametrize(
    ("asking", "whose"),
    [
        (ADMIN, UsageSubject()),
        (ANN, UsageSubject(user_id="ann")),
        (caller("ann", "web", Scope.USAGE_READ), UsageSubject(user_id="ann")),
        (WEB, UsageSubject(service_id="web")),
    ],
)
async def test_trends_are_of_as_much_as_the_caller_may_see(
    reports: UsageReports, store: FakeUsageStore, asking: Caller, whose: UsageSubject
) -> None:
    await reports.trend(asking, UsagePeriod.LAST_7_DAYS, UsageGranularity.DAY)

    ((steps, found),) = store.trends
    assert found == whose
    assert len(steps) == 8  # parts of the first and the last


async def test_a_service_without_the_scope_sees_no_trend(reports: UsageReports) -> None:
    with pytest.raises(Forbidden, match="assistant:usage:read"):
        await reports.trend(MUTE, PERIOD, UsageGranularity.DAY)


async def test_a_credential_of_nobody_has_no_usage_of_its_own(reports: UsageReports) -> None:
    nobody = caller(None, None, Scope.COMPLETE)
    with pytest.raises(BadUserInput, match="neither a user nor a service"):
        await reports.mine(nobody, PERIOD)
    with pytest.raises(BadUserInput, match="neither a user nor a service"):
        await reports.trend(nobody, PERIOD, UsageGranularity.DAY)


async def test_windows_begin_in_the_tenants_time_zone(
    store: FakeUsageStore, settings: FakeTenantSettings
) -> None:
    clock = FakeClock()
    clock.time = datetime(2026, 3, 1, 2, 30, tzinfo=UTC)
    reports = UsageReports(store, Periods(settings, clock))
    await settings.set_time_zone("globex", "America/New_York")

    for tenant in ("acme", "globex"):
        asking = caller("ann", None, tenant=tenant)
        await reports.mine(asking, PERIOD)
        await reports.trend(asking, PERIOD, UsageGranularity.DAY)

    starts = [window.start for _, _, window in store.asked]
    assert starts == [
        datetime(2026, 3, 1, tzinfo=UTC),
        datetime(2026, 2, 1, tzinfo=ZoneInfo("America/New_York")),
    ]
    assert [len(steps) for steps, _ in store.trends] == [1, 28]


async def test_only_periods_of_the_calendar_depend_on_the_tenants_time_zone() -> None:
    class Unreadable(FakeTenantSettings):
        async def find_time_zone(self, tenant_id: str) -> str | None:
            raise StorageUnavailable("The settings cannot be read.")

    periods = Periods(Unreadable(), FakeClock())
    for period in UsagePeriod:
        if period.name.startswith("LAST"):
            assert (await periods.window("acme", period)).end == FakeClock().now()
        else:
            with pytest.raises(StorageUnavailable):
                await periods.window("acme", period)
