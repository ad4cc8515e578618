"""What becomes of budgets that are set, raised, lowered, moved and deleted while they are spent from."""

from __future__ import annotations

from datetime import timedelta

import pytest

from assistant.adapters.postgres.budgets import PostgresBudgets
from assistant.adapters.postgres.connection import Database
from assistant.adapters.postgres.ledger import PostgresLedger
from assistant.adapters.postgres.tenant_settings import PostgresTenantSettings
from assistant.domain.budget import BudgetPeriod, LimitScope
from assistant.errors import BudgetExceeded
from tests.postgres.limits import Purse, by, ended, failure, now, stake, sums
from tests.postgres.server import DatabaseUrls

SERVICE, USER = LimitScope.SERVICE, LimitScope.USER


@pytest.fixture
def purse(database: Database) -> Purse:
    return Purse(PostgresBudgets(database))


async def test_an_override_lifts_the_running_window(ledger: PostgresLedger, purse: Purse) -> None:
    budget = await purse.set(3)
    await ledger.open(by(), stake(3))
    await failure(ledger.open(by(), stake(4)), BudgetExceeded)

    await purse.override(budget, 4)
    await ledger.open(by(), stake(4))

    standing = await purse.standing(budget)
    assert (standing.amount, standing.extra, standing.limit, standing.remaining) == (3, 4, 7, 0)
    after = await purse.standing(budget, standing.ends_at)
    assert (after.starts_at, after.extra, after.limit) == (standing.ends_at, None, 3)


async def test_a_budget_lowered_below_what_is_spent_leaves_nothing_rather_than_less(
    ledger: PostgresLedger, purse: Purse
) -> None:
    budget = await purse.set(8)
    opened = by()
    await ledger.open(opened, stake(8))
    assert await purse.set(5) == budget

    error = await failure(ledger.open(by(), stake(1)), BudgetExceeded)
    assert error.details["remaining"] == "0"
    assert (await purse.standing(budget)).remaining == 0
    await ledger.settle(ended(opened, 4))
    assert (await purse.standing(budget)).remaining == 1


async def test_a_new_budget_counts_what_was_spent_before_and_what_runs(
    ledger: PostgresLedger, purse: Purse
) -> None:
    done, runs, other = by(), by(), by("bob")
    for opened, most in ((done, 9), (runs, 6), (other, 5)):
        await ledger.open(opened, stake(most))
    await ledger.settle(ended(done, 2))

    everybody = await purse.set(20)
    ann = await purse.set(20, USER, "ann")

    assert await purse.figures(everybody) == (2, 11)
    assert await purse.figures(ann) == (2, 6)
    await ledger.open(runs, stake(12), is_more=True)
    assert await purse.figures(everybody) == (2, 17)
    await failure(ledger.open(by("cid"), stake(2)), BudgetExceeded)
    await ledger.settle(ended(runs, 3))
    await ledger.settle(ended(other, 1))
    assert await purse.figures(everybody) == (6, 0)
    assert await purse.figures(ann) == (5, 0)


async def test_a_budget_that_is_deleted_no_longer_holds_what_runs(
    ledger: PostgresLedger, purse: Purse
) -> None:
    budget = await purse.set(5)
    opened = by()
    await ledger.open(opened, stake(5))

    assert await purse.store.delete_budget("acme", budget)
    assert not await purse.store.delete_budget("acme", budget)

    await ledger.open(opened, stake(50), is_more=True)
    await ledger.settle(ended(opened, 4))
    assert await purse.figures(await purse.set(5)) == (4, 0)


async def test_whose_own_budget_is_deleted_is_held_to_everybodys_with_all_they_spent(
    ledger: PostgresLedger, purse: Purse
) -> None:
    everybodys = await purse.set(10, USER)
    spent, runs = by(), by()
    await ledger.open(spent, stake(1))
    await ledger.settle(ended(spent, 1))
    anns = await purse.set(100, USER, "ann")
    await ledger.open(runs, stake(6))
    spent = by()
    await ledger.open(spent, stake(50))
    await ledger.settle(ended(spent, 2))

    await purse.store.delete_budget("acme", anns)

    await failure(ledger.open(by(), stake(2)), BudgetExceeded)
    assert await purse.figures(everybodys) == (3, 6)
    await ledger.settle(ended(runs, 5))
    assert await purse.figures(everybodys) == (8, 0)


async def test_another_time_zone_moves_windows_with_all_that_is_in_them(
    ledger: PostgresLedger, database: Database, purse: Purse, urls: DatabaseUrls
) -> None:
    settings = PostgresTenantSettings(database)
    budget = await purse.set(10, period=BudgetPeriod.MONTH)
    done, runs = by(), by()
    for opened in (done, runs):
        await ledger.open(opened, stake(4))
    await ledger.settle(ended(done, 1))
    before = await purse.standing(budget)

    for zone in ("Asia/Kathmandu", "America/Havana", "UTC"):
        assert await settings.set_time_zone("acme", zone)
        moved = await purse.standing(budget)
        assert (moved.spent, moved.reserved) == (1, 4), zone
    assert moved == before
    await settings.set_time_zone("acme", "Asia/Kathmandu")
    assert (await purse.standing(budget)).starts_at == before.starts_at - timedelta(
        hours=5, minutes=45
    )

    await ledger.settle(ended(runs, 3))
    assert await purse.figures(budget) == (4, 0)
    held = "SELECT sum(reserved) FROM budget_windows"
    assert await sums(urls, held) == 0
    assert not await settings.set_time_zone("acme", "europe/berlin")


async def test_a_budget_of_a_member_is_shown_as_the_one_who_has_least_left(
    ledger: PostgresLedger, purse: Purse
) -> None:
    budget = await purse.set(10, USER)
    await purse.set(50, USER, "dan")
    for user, cost in (("ann", 3), ("bob", 7), ("cid", 5), ("dan", 40)):
        opened = by(user)
        await ledger.open(opened, stake(cost))
        await ledger.settle(ended(opened, cost))

    standing = await purse.standing(budget)
    members = (await purse.store.list_members("acme", [budget], 2, now()))[budget]

    assert (standing.subject, standing.remaining) == ("bob", 3)
    assert [(member.subject, member.remaining) for member in members] == [("bob", 3), ("cid", 5)]


async def test_who_is_no_administrator_sees_what_is_about_them_as_they_stand(
    ledger: PostgresLedger, purse: Purse
) -> None:
    await purse.set(99)
    everybodys = await purse.set(10, USER)
    bobs = await purse.set(20, USER, "bob")
    services = await purse.set(30, SERVICE, "billing")
    for user in ("ann", "bob", "cid"):
        opened = by(user)
        await ledger.open(opened, stake(5))
        await ledger.settle(ended(opened, 5 if user == "cid" else 2))

    seen = {
        (user, service): [
            (account.budget.id, account.standing.spent)
            for account in await purse.store.list_budgets(
                "acme",
                now(),
                {USER: user} if service is None else {SERVICE: service, USER: user},
            )
        ]
        for user, service in (("ann", None), ("bob", None), ("dan", None), ("ann", "billing"))
    }

    assert seen == {
        ("ann", None): [(everybodys, 2)],
        ("bob", None): [(bobs, 2)],
        ("dan", None): [(everybodys, 0)],
        ("ann", "billing"): [(services, 9), (everybodys, 2)],
    }
    members = await purse.store.list_members("acme", [everybodys], 20, now(), {USER: "ann"})
    assert [member.subject for member in members[everybodys]] == ["ann"]
