"""No overspend, whatever happens in whatever order: Hypothesis looks for an order that breaks it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from decimal import ROUND_FLOOR, Decimal
from uuid import UUID, uuid4

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from assistant.adapters.postgres.budgets import PostgresBudgets
from assistant.adapters.postgres.connection import Database
from assistant.adapters.postgres.ledger import PostgresLedger
from assistant.domain.budget import BudgetPeriod, LimitScope, Stake
from assistant.domain.completion import Completion
from assistant.errors import BudgetExceeded, EntryReaped
from tests.postgres.limits import Purse, by, ended, reap, sums
from tests.postgres.server import DatabaseUrls

MILLION = Decimal(1_000_000)
USERS = ("ann", "bob", None)
SERVICES = ("billing", "search", None)
SCOPES = (
    (LimitScope.GLOBAL, None),
    (LimitScope.SERVICE, None),
    (LimitScope.SERVICE, "billing"),
    (LimitScope.USER, None),
    (LimitScope.USER, "ann"),
)
# Nothing is rounded: prices and amounts have nine digits after the point.
nanos = st.decimals(0, 20, places=9)


@dataclass(frozen=True)
class Step:
    """Something that happens to one of a few completions, by one of two processes."""

    what: str
    who: int
    ledger: int
    stake: Stake
    share: Decimal
    user: str | None
    service: str | None


@st.composite
def steps(draw: st.DrawFn) -> Step:
    tokens = draw(st.integers(0, 40))
    return Step(
        what=draw(st.sampled_from(["open", "open", "open", "more", "settle", "settle", "reap"])),
        who=draw(st.integers(0, 7)),
        ledger=draw(st.integers(0, 1)),
        stake=Stake(
            prompt_tokens=draw(st.integers(0, 9)),
            output_tokens=tokens,
            least_output_tokens=draw(st.integers(0, tokens)),
            fixed_cost=draw(nanos | st.just(Decimal(0))),
            output_price=draw(nanos | st.just(Decimal(0))) * MILLION / 10,
        ),
        share=draw(st.decimals(0, 1, places=3)),
        user=draw(st.sampled_from(USERS)),
        service=draw(st.sampled_from(SERVICES)),
    )


budgets = st.dictionaries(
    st.tuples(st.sampled_from(SCOPES), st.sampled_from(BudgetPeriod)), nanos, max_size=6
)
searching = settings(
    max_examples=20,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@dataclass
class Expected:
    """What the arithmetic says: the same rules, over plain sums."""

    limits: Mapping[tuple[tuple[LimitScope, str | None], BudgetPeriod], Decimal]
    held: dict[UUID, tuple[Completion, Decimal]] = field(default_factory=dict)
    spent: list[tuple[Completion, Decimal]] = field(default_factory=list)

    def free(self, opened: Completion) -> Decimal | None:
        """What is left beside what others hold; None where no budget is about it."""
        left: list[Decimal] = []
        caller = opened.caller
        for scope, member in (
            (LimitScope.GLOBAL, ""),
            (LimitScope.SERVICE, caller.service_id),
            (LimitScope.USER, caller.user_id),
        ):
            if member is None:
                continue
            for period in BudgetPeriod:
                amount = self.limits.get(
                    ((scope, member), period), self.limits.get(((scope, None), period))
                )
                if amount is not None:
                    others = [pair for id_, pair in self.held.items() if id_ != opened.id]
                    left.append(
                        amount
                        - sum(
                            (
                                cost
                                for other, cost in (*others, *self.spent)
                                if self._member(other, scope) == member
                            ),
                            Decimal(0),
                        )
                    )
        return min(left, default=None)

    @staticmethod
    def _member(opened: Completion, scope: LimitScope) -> str | None:
        match scope:
            case LimitScope.SERVICE:
                return opened.caller.service_id
            case LimitScope.USER:
                return opened.caller.user_id
            case _:
                return ""

    def granted(self, opened: Completion, stake: Stake) -> tuple[int, Decimal] | None:
        """The tokens and what is held for them; None for a refusal."""
        assert stake.fixed_cost is not None
        assert stake.output_price is not None
        price = stake.output_price / MILLION
        wanted, tokens = stake.fixed_cost + stake.output_tokens * price, stake.output_tokens
        free = self.free(opened)
        held = self.held[opened.id][1] if opened.id in self.held else Decimal(0)
        if free is not None and wanted > max(held, free):
            if not price:
                return None
            tokens = int(((free - stake.fixed_cost) / price).to_integral_value(ROUND_FLOOR))
            wanted = stake.fixed_cost + tokens * price
            if tokens < max(stake.least_output_tokens, 0):
                return None
        return tokens, wanted


@given(st.lists(steps(), max_size=30), budgets)
@searching
async def test_every_answer_is_what_the_arithmetic_says(
    ledger: PostgresLedger,
    database: Database,
    urls: DatabaseUrls,
    sequence: Sequence[Step],
    limits: Mapping[tuple[tuple[LimitScope, str | None], BudgetPeriod], Decimal],
) -> None:
    purse = await _purse(database, limits)
    expected, running = Expected(limits), dict[int, Completion]()
    other = PostgresLedger(database)
    await other.start()
    try:
        for step in sequence:
            writer = (ledger, other)[step.ledger]
            opened = running.get(step.who)
            match step.what:
                case "open" | "more":
                    is_more = step.what == "more" and opened is not None
                    if opened is None or not is_more:
                        opened = by(step.user, step.service, purse.tenant_id)
                    granted = expected.granted(opened, step.stake)
                    try:
                        admission = await writer.open(opened, step.stake, is_more=is_more)
                    except BudgetExceeded:
                        assert granted is None
                    else:
                        assert (admission.output_tokens, admission.cost) == granted
                        expected.held[opened.id] = opened, admission.cost
                        running[_free_place(running, step.who, is_more=is_more)] = opened
                case "settle" if opened is not None:
                    _, held = expected.held.pop(opened.id)
                    cost = (held * step.share).quantize(Decimal("1e-9"), ROUND_FLOOR)
                    await writer.settle(ended(opened, cost))
                    expected.spent.append((opened, cost))
                    del running[step.who]
                case "reap":
                    assert await reap(urls) == len(running)
                    expected.spent.extend(expected.held.values())
                    expected.held.clear()
                    running.clear()
            await _check(urls, purse.tenant_id)
    finally:
        await other.close()
        await reap(urls)
    await _check_end(urls, purse.tenant_id)


@given(st.lists(st.lists(steps(), min_size=2, max_size=12), max_size=6), budgets)
@searching
async def test_at_no_moment_is_more_spent_and_held_than_there_is(
    ledger: PostgresLedger,
    database: Database,
    urls: DatabaseUrls,
    rounds: Sequence[Sequence[Step]],
    limits: Mapping[tuple[tuple[LimitScope, str | None], BudgetPeriod], Decimal],
) -> None:
    purse = await _purse(database, limits)
    held: dict[UUID, tuple[Completion, Decimal]] = {}
    other = PostgresLedger(database)
    await other.start()

    async def do(step: Step, met: Completion | None) -> None:
        writer = (ledger, other)[step.ledger]
        opened = met or by(step.user, step.service, purse.tenant_id)
        with suppress(BudgetExceeded, EntryReaped):
            match step.what:
                case "open" | "more":
                    admission = await writer.open(opened, step.stake, is_more=opened.id in held)
                    held[opened.id] = opened, admission.cost or Decimal(0)
                case "settle" if opened.id in held:
                    _, most = held.pop(opened.id)
                    cost = (most * step.share).quantize(Decimal("1e-9"), ROUND_FLOOR)
                    await writer.settle(ended(opened, cost))
                case "reap":
                    await reap(urls)

    try:
        for together in rounds:
            waiting = iter([opened for opened, _ in held.values()])
            await asyncio.gather(
                *(
                    do(step, next(waiting, None) if step.what in ("more", "settle") else None)
                    for step in together
                ),
                _check(urls, purse.tenant_id),
            )
            await _check(urls, purse.tenant_id)
    finally:
        await other.close()
        await reap(urls)
    await _check_end(urls, purse.tenant_id)


def _free_place(running: Mapping[int, Completion], wanted: int, *, is_more: bool) -> int:
    """Where nobody is forgotten who still runs."""
    if is_more or wanted not in running:
        return wanted
    return next(place for place in range(1_000) if place not in running)


async def _purse(
    database: Database,
    limits: Mapping[tuple[tuple[LimitScope, str | None], BudgetPeriod], Decimal],
) -> Purse:
    """A tenant of its own for each example."""
    purse = Purse(PostgresBudgets(database), f"t-{uuid4()}")
    for ((scope, subject), period), amount in limits.items():
        await purse.set(amount, scope, subject, period)
    return purse


async def _check(urls: DatabaseUrls, tenant_id: str) -> None:
    overdrawn = """
        SELECT count(*) FROM budget_windows AS w JOIN budgets AS b
          ON b.tenant_id = w.tenant_id AND b.id = w.budget_id
        WHERE w.tenant_id = %s AND w.spent + w.reserved > b.amount
    """
    assert await sums(urls, overdrawn, tenant_id) == 0


async def _check_end(urls: DatabaseUrls, tenant_id: str) -> None:
    assert await sums(urls, "SELECT count(*) FROM reservations") == 0
    wrong = """
        SELECT count(*) FROM budget_windows AS w JOIN budgets AS b
          ON b.tenant_id = w.tenant_id AND b.id = w.budget_id
        WHERE w.tenant_id = %s AND (w.reserved <> 0 OR w.spent <> coalesce((
            SELECT sum(u.cost) FROM usage_logs AS u
            WHERE u.tenant_id = w.tenant_id AND u.attempt > 0
              AND u.created_at >= w.starts_at AND u.created_at < w.ends_at
              AND CASE b.scope WHEN 'GLOBAL' THEN true
                       WHEN 'USER' THEN u.user_id = w.subject
                       ELSE u.service_id = w.subject END), 0))
    """
    assert await sums(urls, wrong, tenant_id) == 0
