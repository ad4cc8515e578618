"""`assistant budgets | limits`: what is printed, and what is said of options."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import get_args
from uuid import UUID

import pytest
from typer.testing import CliRunner

from assistant.__main__ import cli
from assistant.budgets_command import Asker, Spender
from assistant.budgets_output import budget_lines, budget_table
from assistant.domain.budget import (
    Budget,
    BudgetAccount,
    BudgetPeriod,
    BudgetStanding,
    LimitScope,
)

BUDGET = Budget(
    id=UUID("0198f2c4-0000-7000-8000-000000000001"),
    tenant_id="acme",
    scope=LimitScope.USER,
    subject="alice",
    period=BudgetPeriod.MONTH,
    amount=Decimal(20),
    alert_steps=(Decimal("0.8"), Decimal(1)),
)
MONTH = BudgetAccount(
    BUDGET,
    BudgetStanding(
        "alice",
        datetime(2026, 10, 31, 23, tzinfo=UTC),
        datetime(2026, 11, 30, 23, tzinfo=UTC),
        amount=Decimal(20),
        extra=Decimal(5),
        spent=Decimal("8.0000125"),
        reserved=Decimal("0.5"),
    ),
    "Europe/Berlin",
)
DAY = BudgetAccount(
    replace(BUDGET, scope=LimitScope.GLOBAL, subject=None, period=BudgetPeriod.DAY),
    BudgetStanding(
        None,
        datetime(2026, 11, 25, 23, tzinfo=UTC),
        datetime(2026, 11, 26, 23, tzinfo=UTC),
        amount=Decimal("0.5"),
    ),
    "Europe/Berlin",
)


def test_budgets_are_a_table_that_fits_a_terminal_with_their_ends_by_the_tenants_clocks() -> None:
    lines = budget_table([MONTH, DAY]).splitlines()

    assert lines == [
        "ID                                    WHOM        WINDOW  LIMIT   SPENT      RESERVED  REMAINING",
        "0198f2c4-0000-7000-8000-000000000001  user alice  month   20 + 5  8.0000125  0.5       16.4999875",
        "0198f2c4-0000-7000-8000-000000000001  global      day     0.5     0          0         0.5",
        "resets, in Europe/Berlin: day 2026-11-27 00:00, month 2026-12-01 00:00",
    ]
    assert max(map(len, lines)) <= 100
    assert budget_table([]) == "no budgets"


def test_a_budget_alone_has_its_alerts_beside_it() -> None:
    assert budget_lines(MONTH).splitlines()[-1] == "alerts at 0.8, 1 of the limit"


def test_options_have_every_scope_in_lower_case_and_budgets_none_of_api_keys() -> None:
    scopes = tuple(scope.lower() for scope in LimitScope)
    assert get_args(get_args(Asker)[0]) == scopes
    assert get_args(get_args(Spender)[0]) == scopes[:-1]


@pytest.mark.parametrize(
    "command",
    [
        "budgets set --tenant acme --scope user --window year --limit 1",
        "budgets set --tenant acme --scope api_key --window day --limit 1",
        "limits set --tenant acme --scope nobody --capacity 1 --per-minute 1",
        "usage export --tenant acme --from 2026-11-01 --to 2026-12-01 --format xml",
    ],
)
def test_what_is_no_choice_is_answered_with_the_choices(command: str) -> None:
    ended = CliRunner().invoke(cli, command.split())

    assert ended.exit_code == 2
    assert "is not one of '" in ended.stderr
    assert "Value error" not in ended.stderr
