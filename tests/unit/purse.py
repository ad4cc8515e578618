"""A ledger store with one budget for each user who has one: held, charged and given back."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from uuid import UUID

from assistant.domain.budget import Admission, Stake
from assistant.domain.completion import Completion
from assistant.domain.money import token_cost
from assistant.errors import BudgetExceeded, EntryReaped
from tests.unit.fakes import FakeLedgerStore


@dataclass
class Purse(FakeLedgerStore):
    """``limits`` are by user; who is not in it has no budget. Looks after its own invariant."""

    limits: dict[str | None, Decimal] = field(default_factory=dict)
    spent: dict[str | None, Decimal] = field(default_factory=dict)
    held: dict[UUID, tuple[str | None, Decimal]] = field(default_factory=dict)
    asked: list[tuple[str, bool]] = field(default_factory=list)
    """Of which model, and whether it was running already."""

    async def open(
        self, completion: Completion, stake: Stake, *, is_more: bool = False
    ) -> Admission:
        await super().open(completion, stake, is_more=is_more)
        if any(settled.id == completion.id for settled in self.settled):
            raise EntryReaped("What has ended holds nothing any more.")
        self.asked.append((completion.model, is_more))
        user, cost = completion.caller.user_id, stake.cost
        output = stake.output_tokens
        if cost is None:
            raise BudgetExceeded("no price")
        is_limited = user in self.limits
        before = self.held.pop(completion.id, (user, Decimal(0)))[1]
        if is_limited and cost > before:
            left = self.left(user)
            if cost > left and stake.output_price:
                assert stake.fixed_cost is not None
                output = int((left - stake.fixed_cost) * 1_000_000 / stake.output_price)
                cost = stake.fixed_cost + token_cost(0, output, Decimal(0), stake.output_price)
            if cost > left or output < stake.least_output_tokens:
                self.held[completion.id] = (user, before)
                raise BudgetExceeded(f"{left} left")
        self.held[completion.id] = (user, cost)
        self.check()
        return Admission(output, cost, is_limited)

    async def settle(self, completion: Completion) -> None:
        await super().settle(completion)
        user = completion.caller.user_id
        self.held.pop(completion.id, None)
        self.spent[user] = self.spent.get(user, Decimal(0)) + completion.usage.cost
        self.check()

    def left(self, user: str | None) -> Decimal:
        held = sum((cost for whose, cost in self.held.values() if whose == user), Decimal(0))
        return self.limits[user] - self.spent.get(user, Decimal(0)) - held

    def check(self) -> None:
        for user in self.limits:
            assert self.left(user) >= 0, f"overspent by {-self.left(user)}"
