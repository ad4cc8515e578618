"""Budgets and rate limits as administrators set them: what is taken, and what is said of the rest."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from uuid import UUID

import pytest

from assistant.domain.budget import BudgetDraft, BudgetPeriod, BudgetStanding, LimitScope
from assistant.domain.caller import Caller, Scope
from assistant.domain.rate_limit import LimitMeasure, RateLimitDraft
from assistant.errors import AdmissionRefused, BadUserInput, NotFound
from assistant.services.budgets import MAX_BUDGETS, MAX_OVERRIDES, Budgets, members_of
from assistant.services.rate_limits import RateLimits
from tests.unit.fake_api_keys import FakeApiKeyStore
from tests.unit.fake_limits import FakeBudgetStore, FakeRateLimitStore
from tests.unit.fakes import FakeClock, FakeTenantSettings

GLOBAL, SERVICE, USER, API_KEY = LimitScope
ROOT = Caller("acme", "root", None, frozenset({Scope.ADMIN}))
NOBODY = UUID(int=1)


@pytest.fixture
def store() -> FakeBudgetStore:
    return FakeBudgetStore()


@pytest.fixture
def settings() -> FakeTenantSettings:
    return FakeTenantSettings(unknown=frozenset({"Asia/Saigon"}))


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def budgets(store: FakeBudgetStore, settings: FakeTenantSettings, clock: FakeClock) -> Budgets:
    return Budgets(store, settings, clock)


def draft(
    amount: str = "10",
    scope: LimitScope = USER,
    subject: str | None = "ann",
    steps: Iterable[str] = ("0.8",),
) -> BudgetDraft:
    return BudgetDraft(
        scope, subject, BudgetPeriod.DAY, Decimal(amount), tuple(map(Decimal, steps))
    )


async def paths_of(budgets: Budgets, refused: BudgetDraft) -> list[tuple[str, ...]]:
    with pytest.raises(BadUserInput) as error:
        await budgets.set_budget(ROOT, refused)
    return [each.path for each in error.value.every]


@pytest.mark.parametrize(
    "amount", ["0", "0.000000001", "1000000000000", "999999999999.123456789", "1E+2"]
)
async def test_an_amount_may_be_nothing_or_a_lot(budgets: Budgets, amount: str) -> None:
    account = await budgets.set_budget(ROOT, draft(amount))

    assert account.budget.amount == Decimal(amount)


@pytest.mark.parametrize(
    "amount", ["-0.01", "0.0000000001", "1000000000000.01", "1E+400", "NaN", "Infinity", "-1E-400"]
)
async def test_what_is_no_amount_is_refused(budgets: Budgets, amount: str) -> None:
    assert await paths_of(budgets, draft(amount)) == [("limit",)]


@pytest.mark.parametrize(
    "steps",
    [
        [],
        ["0"],
        ["-0.5"],
        ["10.1"],
        ["NaN"],
        ["0.8", "0.5"],
        ["0.5", "0.5"],
        [str(number) for number in range(1, 12)],
    ],
    ids=str,
)
async def test_steps_that_are_none_are_refused(budgets: Budgets, steps: list[str]) -> None:
    assert await paths_of(budgets, draft(steps=steps)) == [("alertSteps",)]


async def test_steps_may_go_beyond_the_limit(budgets: Budgets) -> None:
    steps = ["0.001", "0.5", "1", "10"]

    account = await budgets.set_budget(ROOT, draft(steps=steps))

    assert account.budget.alert_steps == tuple(map(Decimal, steps))


async def test_steps_of_which_nothing_is_said_stay(budgets: Budgets) -> None:
    silent = BudgetDraft(USER, "ann", BudgetPeriod.DAY, Decimal(20))

    made = await budgets.set_budget(ROOT, silent)
    assert made.budget.alert_steps == (Decimal("0.8"),)

    await budgets.set_budget(ROOT, draft(steps=("0.5", "1")))
    kept = await budgets.set_budget(ROOT, silent)
    assert kept.budget.alert_steps == (Decimal("0.5"), Decimal(1))
    assert kept.budget.amount == 20


async def test_a_problem_is_told_by_the_names_of_who_is_told(budgets: Budgets) -> None:
    with pytest.raises(BadUserInput) as error:
        await budgets.set_budget(ROOT, draft("-1", steps=("0.8", "0.5")))

    named = error.value.renamed({"alertSteps": "--alert-at"})

    assert [each.path for each in named.every] == [("limit",), ("--alert-at",)]
    assert [each.message.split()[0] for each in named.every] == ["limit", "--alert-at"]


@pytest.mark.parametrize(
    ("scope", "subject", "paths"),
    [
        (GLOBAL, "ann", [("subject",)]),
        (USER, "", [("subject",)]),
        (USER, "an apple", [("subject",)]),
        (SERVICE, "s" * 129, [("subject",)]),
        (API_KEY, "key-1", [("scope",)]),
        (API_KEY, None, [("scope",)]),
    ],
)
async def test_whom_there_cannot_be_a_budget_for_is_refused(
    budgets: Budgets, scope: LimitScope, subject: str | None, paths: list[tuple[str, ...]]
) -> None:
    assert await paths_of(budgets, draft(scope=scope, subject=subject)) == paths


async def test_everything_that_is_wrong_is_said_at_once(budgets: Budgets) -> None:
    refused = draft("-1", GLOBAL, "ann", ["0"])

    assert await paths_of(budgets, refused) == [("subject",), ("limit",), ("alertSteps",)]


async def test_the_budget_of_the_same_scope_subject_and_window_is_changed(
    budgets: Budgets, store: FakeBudgetStore
) -> None:
    first = await budgets.set_budget(ROOT, draft("10"))
    second = await budgets.set_budget(ROOT, draft("20"))
    other = await budgets.set_budget(ROOT, draft("20", subject="bob"))

    assert first.budget.id == second.budget.id != other.budget.id
    assert second.standing.limit == 20


async def test_a_tenant_has_so_many_budgets_and_no_more(
    budgets: Budgets, store: FakeBudgetStore
) -> None:
    for number in range(MAX_BUDGETS):
        await budgets.set_budget(ROOT, draft(subject=f"user-{number}"))

    await budgets.set_budget(ROOT, draft("20", subject="user-7"))
    with pytest.raises(BadUserInput, match="at most 1,000 budgets"):
        await budgets.set_budget(ROOT, draft(subject="one-more"))


@pytest.mark.parametrize(
    ("caller", "name"),
    [
        (ROOT, "root"),
        (Caller("acme", None, "deploy", ROOT.scopes), "service deploy"),
        (Caller("acme", None, None, ROOT.scopes, api_key_id="0198"), "API key 0198"),
        (Caller("acme", None, None, ROOT.scopes), "an administrator"),
    ],
)
async def test_an_override_is_recorded_with_who_and_why(
    budgets: Budgets, clock: FakeClock, caller: Caller, name: str
) -> None:
    budget = (await budgets.set_budget(ROOT, draft("10"))).budget

    raised = await budgets.override(caller, budget.id, Decimal("2.5"), "The launch.")

    (override,) = raised.overrides
    assert (override.created_by, override.reason, override.created_at) == (
        name,
        "The launch.",
        clock.now(),
    )
    assert (raised.standing.limit, raised.standing.extra) == (Decimal("12.5"), Decimal("2.5"))
    clock.advance(86_400)
    (later,) = await budgets.list_budgets(ROOT)
    assert (later.standing.limit, later.overrides) == (10, ())


@pytest.mark.parametrize(
    ("extra", "reason", "paths"),
    [
        ("0", "why", [("extra",)]),
        ("-1", "why", [("extra",)]),
        ("0.0000000001", "why", [("extra",)]),
        ("1", " ", [("reason",)]),
        ("1", "w" * 1_001, [("reason",)]),
        ("1", "a\x00b", [("reason",)]),
        ("NaN", "", [("extra",), ("reason",)]),
    ],
)
async def test_an_override_of_nothing_or_for_no_reason_is_refused(
    budgets: Budgets, extra: str, reason: str, paths: list[tuple[str, ...]]
) -> None:
    budget = (await budgets.set_budget(ROOT, draft())).budget

    with pytest.raises(BadUserInput) as error:
        await budgets.override(ROOT, budget.id, Decimal(extra), reason)
    assert [each.path for each in error.value.every] == paths


async def test_a_window_is_raised_so_often_and_no_more(budgets: Budgets) -> None:
    budget = (await budgets.set_budget(ROOT, draft())).budget
    for _ in range(MAX_OVERRIDES):
        await budgets.override(ROOT, budget.id, Decimal(1), "why")

    with pytest.raises(BadUserInput, match="at most 100 times"):
        await budgets.override(ROOT, budget.id, Decimal(1), "why")


async def test_what_is_not_there_or_anothers_is_not_found(budgets: Budgets) -> None:
    stranger = Caller("globex", "root", None, ROOT.scopes)
    budget = (await budgets.set_budget(ROOT, draft())).budget

    for caller, id_ in ((ROOT, NOBODY), (stranger, budget.id)):
        with pytest.raises(NotFound):
            await budgets.override(caller, id_, Decimal(1), "why")
        with pytest.raises(NotFound):
            await budgets.delete_budget(caller, id_)
    await budgets.delete_budget(ROOT, budget.id)
    assert list(await budgets.list_budgets(ROOT)) == []


async def test_a_time_zone_is_known_to_us_and_to_the_database_or_refused(
    budgets: Budgets, settings: FakeTenantSettings
) -> None:
    assert await budgets.time_zone(ROOT) == "UTC"
    assert await budgets.set_time_zone(ROOT, "Europe/Berlin") == "Europe/Berlin"

    for name in ("Europe/Nowhere", "Asia/Saigon", "", "../etc/passwd", "/etc/passwd", "a\x00"):
        with pytest.raises(BadUserInput) as error:
            await budgets.set_time_zone(ROOT, name)
        assert error.value.path == ("timeZone",)
    assert await budgets.time_zone(ROOT) == "Europe/Berlin"


@pytest.mark.parametrize(
    ("scopes", "members"),
    [
        ({Scope.ADMIN}, None),
        ({Scope.COMPLETE}, {USER: "ann", API_KEY: "0198"}),
        ({Scope.USAGE_READ}, {SERVICE: "web", USER: "ann", API_KEY: "0198"}),
        (set(), {USER: "ann", API_KEY: "0198"}),
    ],
)
async def test_who_sees_what_depends_on_who_they_are(
    budgets: Budgets,
    store: FakeBudgetStore,
    clock: FakeClock,
    scopes: set[Scope],
    members: dict[LimitScope, str] | None,
) -> None:
    caller = Caller("acme", "ann", "web", frozenset(scopes), api_key_id="0198")
    limit_store = FakeRateLimitStore()

    await budgets.list_budgets(caller)
    await budgets.list_members(caller, [NOBODY], 20)
    await RateLimits(limit_store, FakeApiKeyStore(), clock).list_limits(caller)

    assert store.asked_for == [members, members]
    assert limit_store.asked_for == [members]


def test_who_is_nobody_sees_nothing() -> None:
    assert members_of(Caller("acme", None, None, frozenset({Scope.USAGE_READ}))) == {}


@pytest.mark.parametrize(
    ("capacity", "per_minute", "subject", "paths"),
    [
        (0, 1, None, [("capacity",)]),
        (1, 0, None, [("perMinute",)]),
        (1_000_000_001, -1, "a b", [("subject",), ("capacity",), ("perMinute",)]),
    ],
)
async def test_a_bucket_that_could_give_nothing_is_refused(
    clock: FakeClock,
    capacity: int,
    per_minute: int,
    subject: str | None,
    paths: list[tuple[str, ...]],
) -> None:
    limits = RateLimits(FakeRateLimitStore(), FakeApiKeyStore(), clock)

    with pytest.raises(BadUserInput) as error:
        await limits.set_limit(
            ROOT, RateLimitDraft(API_KEY, subject, LimitMeasure.TOKENS, capacity, per_minute)
        )
    assert [each.path for each in error.value.every] == paths


async def test_limits_are_set_and_deleted(clock: FakeClock) -> None:
    limit_store = FakeRateLimitStore()
    limits = RateLimits(limit_store, FakeApiKeyStore(), clock)
    given = RateLimitDraft(LimitScope.USER, "0198", LimitMeasure.REQUESTS, 1_000_000_000, 1)

    level = await limits.set_limit(ROOT, given)

    assert (level.limit.tenant_id, level.limit.subject, level.available) == (
        "acme",
        "0198",
        1_000_000_000,
    )
    await limits.delete_limit(ROOT, level.limit.id)
    with pytest.raises(NotFound):
        await limits.delete_limit(ROOT, level.limit.id)
    limit_store.is_full = True
    with pytest.raises(BadUserInput, match="at most 1,000 rate limits"):
        await limits.set_limit(ROOT, given)


def test_what_is_left_is_never_less_than_nothing(clock: FakeClock) -> None:
    now = clock.now()

    standing = BudgetStanding(
        "ann", now, now, Decimal(5), Decimal(2), spent=Decimal(6), reserved=Decimal(3)
    )

    assert (standing.limit, standing.remaining) == (7, 0)


@pytest.mark.parametrize("milliseconds", [1, 35, 57, 1_009, 2_007, 2_011, 1_999_999, 86_399_999])
def test_a_wait_is_told_to_the_millisecond(milliseconds: int) -> None:
    assert AdmissionRefused("", retry_after_s=milliseconds / 1000).retry_after_ms == milliseconds


async def test_a_limit_of_an_api_key_names_one_by_its_id() -> None:
    limits = RateLimits(FakeRateLimitStore(), FakeApiKeyStore(), FakeClock())
    nightly = RateLimitDraft(LimitScope.API_KEY, "nightly", LimitMeasure.REQUESTS, 1, 1)

    with pytest.raises(BadUserInput, match="keys list") as refused:
        await limits.set_limit(ROOT, nightly)

    assert refused.value.path == ("subject",)
