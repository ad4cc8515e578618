"""No overspend: whoever is killed, nobody can spend more than there is."""

from __future__ import annotations

import asyncio
import os
import random
from decimal import Decimal

import pytest

from assistant.domain.completion import Message, MessageRole
from assistant.domain.model import Model
from assistant.services.stakes import most_prompt_tokens, stake_of
from tests.api.storm import MODELS, SERVICES, TENANT, USERS, Storm, storm
from tests.postgres.server import connect

pytestmark = pytest.mark.asyncio(loop_scope="session")

SECONDS = float(os.environ.get("STORM_SECONDS", "60"))
CALLERS = 600

# More than there is, or a window that holds other than what its reservations hold.
OVERSPENT = """
    SELECT b.scope, w.subject, w.spent, w.reserved, b.amount
    FROM budget_windows AS w JOIN budgets AS b ON b.tenant_id = w.tenant_id AND b.id = w.budget_id
    WHERE w.spent + w.reserved > b.amount OR w.reserved <> (
        SELECT coalesce(sum(r.cost), 0) FROM reservations AS r
        CROSS JOIN LATERAL unnest(r.budget_ids, r.subjects, r.starts) AS h (id, subject, starts_at)
        WHERE r.tenant_id = w.tenant_id AND h.id = w.budget_id AND h.subject = w.subject
          AND h.starts_at = w.starts_at)
"""

# Of what is settled: each window has spent what its usage rows have cost, to the last digit.
WRONG = """
    SELECT b.scope, w.subject, w.spent, u.cost
    FROM budget_windows AS w JOIN budgets AS b ON b.tenant_id = w.tenant_id AND b.id = w.budget_id
    CROSS JOIN LATERAL (
        SELECT coalesce(sum(u.cost), 0) AS cost FROM usage_logs AS u
        WHERE u.tenant_id = w.tenant_id AND u.attempt > 0
          AND u.created_at >= w.starts_at AND u.created_at < w.ends_at
          AND (b.scope = 'GLOBAL' OR b.scope = 'USER' AND u.user_id = w.subject
               OR b.scope = 'SERVICE' AND u.service_id = w.subject)
    ) AS u
    WHERE w.spent <> u.cost
"""


async def set_budget(storm: Storm, scope: str, subject: str, period: str, amount: str) -> None:
    await storm.execute(
        "INSERT INTO budgets (tenant_id, id, scope, subject, period, amount, alert_steps, "
        "created_at, updated_at) VALUES (%s, gen_random_uuid(), %s, %s, %s, %s, '{0.8}', now(), "
        "now())",
        *(TENANT, scope, subject, period, Decimal(amount)),
    )


async def sample(storm: Storm, overspent: list[object], is_over: asyncio.Event) -> int:
    """Look at every window again and again; how often."""
    times = 0
    async with await connect(storm.urls.superuser) as connection:
        while not is_over.is_set():
            cursor = await connection.execute(OVERSPENT)
            overspent += await cursor.fetchall()
            times += 1
            await asyncio.sleep(0.01)
    return times


async def call_on(storm: Storm, is_over: asyncio.Event, chance: random.Random) -> None:
    """One caller, who asks one thing after the other."""
    while not is_over.is_set():
        fields: dict[str, object] = {"model": f"openai/{chance.choice(MODELS)}"}
        if chance.random() < 0.8:
            fields["parameters"] = {"maxTokens": chance.randint(1, 60)}
        await storm.ask(
            chance.choice(storm.born),
            user=chance.choice(USERS),
            service=chance.choice(SERVICES),
            streamed=chance.random() < 0.5,
            leave_after=chance.randint(1, 20) if chance.random() < 0.2 else None,
            **fields,
        )
        await asyncio.sleep(chance.uniform(0.0, 2.0))


async def test_no_overspend_with_three_processes_killed_one_after_the_other() -> None:
    async with storm(seed=6) as at:
        await set_budget(at, "GLOBAL", "", "DAY", "40")
        await set_budget(at, "GLOBAL", "", "MONTH", "1000")
        await set_budget(at, "SERVICE", "shop", "WEEK", "8")
        await set_budget(at, "USER", "", "DAY", "3")
        await set_budget(at, "USER", USERS[0], "DAY", "0.3")
        is_over = asyncio.Event()
        overspent: list[object] = []
        sampling = asyncio.create_task(sample(at, overspent, is_over))
        callers = [
            asyncio.create_task(call_on(at, is_over, random.Random(number)))
            for number in range(CALLERS)
        ]
        loop = asyncio.get_running_loop()
        ends_at = loop.time() + SECONDS
        while loop.time() < ends_at:
            await asyncio.sleep(1.0)
            await at.kill_one()
        await at.all_ready()
        await asyncio.sleep(2.0)
        is_over.set()
        await asyncio.gather(*callers)
        samples = await sampling
        await at.end()

        print(f"{len(at.answers)} requests, {samples} samples: {dict(at.codes)}")
        assert overspent == []
        assert samples > 10
        assert at.codes["OK"] > 10 and at.codes["BUDGET_EXCEEDED"] > 0
        # A database that is busy may be told of; that something broke may not.
        told = at.told("INTERNAL_SERVER_ERROR")
        assert [message for message in told if "broke" in message or "recorded" in message] == []
        assert await at.execute("SELECT * FROM reservations") == []
        assert await at.execute(OVERSPENT) == []
        assert await at.execute("SELECT * FROM budget_windows WHERE reserved <> 0") == []
        assert await at.execute(WRONG) == []
        await nobody_was_refused_while_enough_was_free(at)


async def nobody_was_refused_while_enough_was_free(at: Storm) -> None:
    prices = {
        f"openai/{name}": (input_price, output_price)
        for name, input_price, output_price in await at.execute(
            "SELECT name, input_price, output_price FROM llm_models WHERE tenant_id = %s", TENANT
        )
    }
    refused = 0
    for answer in at.answers:
        told = (answer.error or {}).get("extensions", {})
        # Streams tell less: their refusals are the same function's.
        if told.get("code") != "BUDGET_EXCEEDED" or "remaining" not in told:
            continue
        refused += 1
        input_price, output_price = prices[answer.input["model"]]
        model = Model(
            *answer.input["model"].split("/"),
            capabilities=frozenset(),
            context_window=8192,
            input_price=input_price,
            output_price=output_price,
        )
        messages = [Message(MessageRole.USER, answer.input["text"])]
        asked = answer.input.get("parameters", {}).get("maxTokens")
        stake = stake_of(
            model,
            prompt_tokens=most_prompt_tokens(messages, None, None),
            expected_prompt_tokens=1,
            asked_output_tokens=asked or 16,
        )
        cost = stake.cost
        assert cost is not None and Decimal(told["remaining"]) < cost, (told, cost)
    assert refused > 0

    served = 0
    # What is left can be spent, to the last request that fits in; also by somebody who comes now, and
    # where all together have a little more.
    await at.execute(
        "INSERT INTO budget_overrides (tenant_id, id, budget_id, starts_at, extra, reason, "
        "created_by, created_at) SELECT w.tenant_id, gen_random_uuid(), w.budget_id, w.starts_at, "
        "10, 'storm', 'somebody', now() FROM budget_windows AS w JOIN budgets AS b "
        "ON b.tenant_id = w.tenant_id AND b.id = w.budget_id "
        "WHERE b.scope = 'GLOBAL' AND b.period = 'DAY'"
    )
    await at.begin(1)
    at.openai.trouble = 1e-9
    left = await at.execute(
        "SELECT w.subject, b.amount - w.spent FROM budget_windows AS w JOIN budgets AS b "
        "ON b.tenant_id = w.tenant_id AND b.id = w.budget_id WHERE b.scope = 'USER'"
    )
    cheapest = min(prices, key=lambda id_: sum(prices[id_]))
    rest = min(
        row[0]
        for row in await at.execute(
            "SELECT b.amount + coalesce(x.extra, 0) - w.spent FROM budget_windows AS w "
            "JOIN budgets AS b ON b.tenant_id = w.tenant_id AND b.id = w.budget_id "
            "LEFT JOIN budget_overrides AS x ON x.tenant_id = w.tenant_id "
            "AND x.budget_id = w.budget_id WHERE b.scope = 'GLOBAL'"
        )
    )
    left.append(("newcomer", Decimal(3)))
    for user, amount in left:
        answer = await at.ask(
            at.born[0],
            user=user,
            service="lab",
            streamed=False,
            model=cheapest,
            parameters={"maxTokens": 1},
        )
        most = 300 * sum(prices[cheapest]) / 1_000_000
        if min(amount, rest) >= most:
            assert answer.response is not None, (answer, amount)
            rest -= most
            served += 1
    assert served > 0
