"""What budgets hold: the worst case of what runs, and what was spent, and never more."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from assistant.adapters.postgres.budgets import PostgresBudgets
from assistant.adapters.postgres.connection import Database
from assistant.adapters.postgres.ledger import PostgresLedger
from assistant.domain.budget import BudgetPeriod, LimitScope, Stake
from assistant.errors import BudgetExceeded, EntryReaped, PriceUnknown
from tests.postgres.completions import running
from tests.postgres.limits import Purse, by, ended, failure, now, reap, stake, sums
from tests.postgres.server import DatabaseUrls

SERVICE, USER = LimitScope.SERVICE, LimitScope.USER
UNPRICED = Stake(output_tokens=5, fixed_cost=None, output_price=None)


@pytest.fixture
def purse(database: Database) -> Purse:
    return Purse(PostgresBudgets(database))


async def test_the_worst_case_is_held_until_it_settles(
    ledger: PostgresLedger, purse: Purse
) -> None:
    budget = await purse.set(10)
    opened = by()

    admission = await ledger.open(opened, stake(6, fixed=1))

    assert (admission.cost, admission.output_tokens, admission.is_limited) == (7, 6, True)
    assert await purse.figures(budget) == (0, 7)
    await ledger.settle(ended(opened, 2))
    assert await purse.figures(budget) == (2, 0)


async def test_without_a_budget_everything_is_granted_and_nothing_limits(
    ledger: PostgresLedger,
) -> None:
    admission = await ledger.open(by(), stake(1_000_000))

    assert (admission.output_tokens, admission.is_limited) == (1_000_000, False)


async def test_an_answer_is_cut_to_what_is_left_where_the_caller_lets_it(
    ledger: PostgresLedger, purse: Purse
) -> None:
    budget = await purse.set(10)

    admission = await ledger.open(by(), stake(50, least=3, fixed=2))

    assert (admission.cost, admission.output_tokens) == (10, 8)
    assert await purse.figures(budget) == (0, 10)


async def test_what_is_left_is_granted_to_the_last_token(
    ledger: PostgresLedger, purse: Purse
) -> None:
    await purse.set(Decimal("0.000000300"))
    price = Decimal("0.1")  # 3 tokens, and no rounding of a third to be afraid of

    admission = await ledger.open(
        by(), Stake(output_tokens=9, least_output_tokens=1, output_price=price)
    )

    assert (admission.output_tokens, admission.cost) == (3, Decimal("0.0000003"))


async def test_less_than_is_of_use_to_the_caller_is_refused(
    ledger: PostgresLedger, purse: Purse
) -> None:
    budget = await purse.set(10)

    await failure(ledger.open(by(), stake(50, least=9, fixed=2)), BudgetExceeded)

    assert await purse.figures(budget) == (0, 0)


async def test_a_refusal_names_scope_limit_and_reset(ledger: PostgresLedger, purse: Purse) -> None:
    budget = await purse.set(3, USER, "ann", BudgetPeriod.DAY)
    await purse.set(100)
    standing = await purse.standing(budget)
    await ledger.open(by(), stake(2))

    asked_at = now()
    error = await failure(ledger.open(by(), stake(2)), BudgetExceeded)
    until = standing.ends_at - now()

    assert error.details == {
        "scope": "USER",
        "subject": "ann",
        "period": "DAY",
        "limit": "3",
        "remaining": "1",
        "resetsAt": f"{standing.ends_at:%Y-%m-%dT%H:%M:%SZ}",
    }
    assert until <= timedelta(seconds=error.retry_after_s) <= standing.ends_at - asked_at
    assert "3.00 USD per day" in error.message


async def test_all_scopes_hold_it_or_none_does(ledger: PostgresLedger, purse: Purse) -> None:
    budgets = [
        await purse.set(100),
        await purse.set(100, SERVICE),
        await purse.set(100, USER, "ann", BudgetPeriod.WEEK),
        await purse.set(4, USER, None, BudgetPeriod.DAY),
    ]

    await failure(ledger.open(by(), stake(5)), BudgetExceeded)
    assert [await purse.figures(budget) for budget in budgets] == [(0, 0)] * 4

    opened = by()
    await ledger.open(opened, stake(4))
    assert [await purse.figures(budget) for budget in budgets] == [(0, 4)] * 4
    await ledger.settle(ended(opened, 1))
    assert [await purse.figures(budget) for budget in budgets] == [(1, 0)] * 4


async def test_a_budget_by_name_stands_in_for_that_of_every_member(
    ledger: PostgresLedger, purse: Purse
) -> None:
    await purse.set(2, USER)
    await purse.set(9, USER, "ann")

    await ledger.open(by("ann"), stake(9))
    await ledger.open(by("bob"), stake(2))
    await ledger.open(by("cid"), stake(2))
    await failure(ledger.open(by("bob"), stake(1)), BudgetExceeded)
    await failure(ledger.open(by("ann"), stake(1)), BudgetExceeded)


async def test_who_has_no_user_and_no_service_is_held_to_the_whole_tenants(
    ledger: PostgresLedger, purse: Purse
) -> None:
    await purse.set(0, USER)
    await purse.set(0, SERVICE)
    budget = await purse.set(5)

    await ledger.open(by(None, None), stake(5))

    assert await purse.figures(budget) == (0, 5)


async def test_another_tenants_budget_is_not_ones_own(ledger: PostgresLedger, purse: Purse) -> None:
    await purse.set(0)

    await ledger.open(by(tenant="globex"), stake(5))


async def test_what_costs_nothing_passes_a_budget_that_is_used_up(
    ledger: PostgresLedger, purse: Purse
) -> None:
    await purse.set(0)

    admission = await ledger.open(by(), Stake(prompt_tokens=9, output_tokens=700))

    assert (admission.output_tokens, admission.cost) == (700, 0)


async def test_what_has_no_price_is_refused_under_a_budget(
    ledger: PostgresLedger, purse: Purse
) -> None:
    await ledger.open(by(), UNPRICED)
    await purse.set(100)

    await failure(ledger.open(by(), UNPRICED), PriceUnknown)


async def test_what_has_no_price_is_let_through_where_that_is_set(
    database: Database, purse: Purse
) -> None:
    budget = await purse.set(100)
    ledger = PostgresLedger(database, refuses_unpriced=False)
    await ledger.start()
    opened, other = by(), by()
    admission = await ledger.open(opened, UNPRICED)
    assert (admission.cost, admission.output_tokens) == (None, 5)

    # What had been used before goes on to be held.
    await ledger.open(other, stake(3))
    await ledger.open(other, UNPRICED, is_more=True)
    assert await purse.figures(budget) == (0, 3)

    await ledger.settle(ended(opened, 0))
    await ledger.settle(ended(other, 2))
    assert await purse.figures(budget) == (2, 0)
    await ledger.close()


async def test_more_is_held_for_the_next_attempt_beside_what_was_used(
    ledger: PostgresLedger, purse: Purse
) -> None:
    budget = await purse.set(10)
    opened = by()
    await ledger.open(opened, stake(4))

    await ledger.open(opened, stake(5, fixed=3), is_more=True)
    assert await purse.figures(budget) == (0, 8)
    await failure(ledger.open(opened, stake(9, fixed=3), is_more=True), BudgetExceeded)
    assert await purse.figures(budget) == (0, 8)
    await ledger.open(opened, stake(1), is_more=True)
    assert await purse.figures(budget) == (0, 1)

    await ledger.settle(ended(opened, 1))
    assert await purse.figures(budget) == (1, 0)


async def test_opening_again_holds_nothing_twice(ledger: PostgresLedger, purse: Purse) -> None:
    budget = await purse.set(10)
    opened = by()

    for _ in range(3):
        await ledger.open(opened, stake(6))

    assert await purse.figures(budget) == (0, 6)


async def test_what_has_ended_cannot_hold_anything_any_more(
    ledger: PostgresLedger, purse: Purse
) -> None:
    budget = await purse.set(10)
    opened = by()
    await ledger.settle(ended(opened, 0))

    await failure(ledger.open(opened, stake(6)), EntryReaped)

    assert await purse.figures(budget) == (0, 0)


async def test_of_a_hundred_at_once_as_many_pass_as_there_is_money_for(
    ledger: PostgresLedger, database: Database, purse: Purse
) -> None:
    budget = await purse.set(30)
    other = PostgresLedger(database)
    await other.start()

    results = await asyncio.gather(
        *((ledger, other)[number % 2].open(by(), stake(1)) for number in range(100)),
        return_exceptions=True,
    )

    refused = [result for result in results if isinstance(result, BaseException)]
    assert {type(error) for error in refused} == {BudgetExceeded}
    assert len(refused) == 70
    assert await purse.figures(budget) == (0, 30)
    await other.close()


async def test_what_was_opened_before_a_windows_end_counts_in_it_however_late_it_ends(
    ledger: PostgresLedger, purse: Purse
) -> None:
    budget = await purse.set(10)
    border = (await purse.standing(budget)).ends_at
    last = running(at=border - timedelta(milliseconds=1))
    first = running(at=border)
    await ledger.open(last, stake(10))
    await ledger.open(first, stake(10))

    await ledger.settle(ended(last, 7))
    await ledger.settle(ended(first, 8))

    assert await purse.figures(budget) == (7, 0)
    assert await purse.figures(budget, border) == (8, 0)


async def test_what_a_dead_process_left_open_is_charged_whole_and_once(
    ledger: PostgresLedger, purse: Purse, urls: DatabaseUrls
) -> None:
    budget = await purse.set(20)
    lost, done = by(), by()
    await ledger.open(lost, stake(6, fixed=2))
    await ledger.open(done, stake(5))
    await ledger.settle(ended(done, 3))

    assert await reap(urls) == 1
    assert await reap(urls) == 0
    assert await purse.figures(budget) == (11, 0)

    # It was not dead after all: it is told, and nothing is charged twice.
    await failure(ledger.open(lost, stake(1), is_more=True), EntryReaped)
    await failure(ledger.open(lost, stake(1)), EntryReaped)
    await failure(ledger.settle(ended(lost, 1)), EntryReaped)
    assert await purse.figures(budget) == (11, 0)
    assert await sums(urls, "SELECT sum(cost) FROM usage_logs WHERE attempt > 0") == 11


async def test_two_who_settle_the_same_at_once_charge_it_once(
    ledger: PostgresLedger, database: Database, purse: Purse
) -> None:
    budget = await purse.set(20)
    other = PostgresLedger(database)
    await other.start()
    for _ in range(20):
        opened = by()
        await ledger.open(opened, stake(1))
        await asyncio.gather(ledger.settle(ended(opened, 1)), other.settle(ended(opened, 1)))

    assert await purse.figures(budget) == (20, 0)
    await other.close()


async def test_a_time_in_the_completions_id_decides_the_window(
    ledger: PostgresLedger, purse: Purse
) -> None:
    budget = await purse.set(10)
    opened = running()
    told = replace(opened, created_at=datetime(1999, 1, 1, tzinfo=UTC))

    await ledger.open(told, stake(4))

    assert await purse.figures(budget) == (0, 4)
