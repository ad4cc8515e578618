"""Budgets and limits to hold completions to, and what they cost."""

from __future__ import annotations

from collections.abc import Awaitable
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, TypeAlias
from uuid import UUID

from uuid_utils.compat import uuid7

from assistant.adapters.postgres.budgets import PostgresBudgets
from assistant.domain.budget import (
    Budget,
    BudgetOverride,
    BudgetPeriod,
    BudgetStanding,
    LimitScope,
    Stake,
)
from assistant.domain.caller import Caller
from assistant.domain.completion import Attempt, AttemptOutcome, Completion, TokenUsage
from tests.postgres.completions import running, succeeded
from tests.postgres.server import DatabaseUrls, connect

MOST = 1_000
A_DOLLAR_A_TOKEN = Decimal(1_000_000)
"""A price, in USD per million tokens, at which amounts are easily read."""

Spent: TypeAlias = tuple[int, int]
"""What was spent and what is reserved, in whole USD."""


def now() -> datetime:
    return datetime.now(UTC)


def by(user: str | None = "ann", service: str | None = "billing", tenant: str = "acme") -> Any:
    """A completion of somebody's that has just opened."""
    return running(caller=Caller(tenant, user, service, frozenset()))


def stake(tokens: int, *, least: int | None = None, fixed: int = 0, expected: int = 0) -> Stake:
    """So many USD for the answer at most, beside ``fixed`` for the prompt."""
    return Stake(
        prompt_tokens=fixed,
        output_tokens=tokens,
        least_output_tokens=tokens if least is None else least,
        fixed_cost=Decimal(fixed),
        output_price=A_DOLLAR_A_TOKEN,
        expected_tokens=expected,
    )


def ended(opened: Completion, cost: Decimal | int, tokens: int = 1) -> Completion:
    """How it ended: with one attempt, for ``cost`` in USD."""
    usage = TokenUsage(0, tokens, 0, False, Decimal(cost))
    attempt = Attempt("ollama", "llama3.2:3b", AttemptOutcome.SUCCEEDED, 41, usage=usage)
    done = succeeded(opened, usage=usage)
    return replace(done, decision=replace(done.decision, attempts=(attempt,)))


class Purse:
    """A tenant's budgets, to be set and read in a few words."""

    def __init__(self, store: PostgresBudgets, tenant_id: str = "acme") -> None:
        self.store = store
        self.tenant_id = tenant_id

    async def set(
        self,
        amount: Decimal | int,
        scope: LimitScope = LimitScope.GLOBAL,
        subject: str | None = None,
        period: BudgetPeriod = BudgetPeriod.MONTH,
    ) -> UUID:
        budget = Budget(uuid7(), self.tenant_id, scope, subject, period, Decimal(amount))
        id_ = await self.store.put_budget(budget, now(), MOST)
        assert id_ is not None
        return id_

    async def override(self, id_: UUID, extra: int) -> None:
        override = BudgetOverride(uuid7(), id_, now(), Decimal(extra), "the launch", "root", now())
        assert await self.store.add_override(self.tenant_id, override, MOST)

    async def standing(self, id_: UUID, at: datetime | None = None) -> BudgetStanding:
        account = await self.store.find_budget(self.tenant_id, id_, at or now())
        assert account is not None
        return account.standing

    async def figures(self, id_: UUID, at: datetime | None = None) -> Spent:
        """What is spent and reserved, of those of every member by whom has least left."""
        standing = await self.standing(id_, at)
        return int(standing.spent), int(standing.reserved)


async def sums(urls: DatabaseUrls, statement: str, *parameters: Any) -> Any:
    """The one value that a statement gives to the superuser."""
    async with await connect(urls.superuser) as connection:
        row = await (await connection.execute(statement, parameters)).fetchone()
    assert row is not None
    return row[0]


async def reap(urls: DatabaseUrls) -> int:
    """Take every process for dead; how many completions that settled."""
    reaped: int = await sums(urls, "SELECT count(*) FROM assistant_reap(interval '0 s', 1000)")
    return reaped


async def failure(work: Awaitable[object], kind: type[Exception]) -> Any:
    """The error of ``kind`` that ``work`` ends in."""
    try:
        await work
    except kind as error:
        return error
    raise AssertionError(f"expected {kind.__name__}")
