"""No lost and no doubled usage, through kills of the service and of its database."""

from __future__ import annotations

import asyncio
import os
import random
from contextlib import suppress

import pytest

from tests.api.storm import MODELS, SERVICES, USERS, Storm, storm

pytestmark = pytest.mark.asyncio(loop_scope="session")

REQUESTS = int(os.environ.get("STORM_REQUESTS", "10000"))
CALLERS = 100


async def call_on(storm: Storm, left: list[int], chance: random.Random) -> None:
    while left[0] > 0:
        left[0] -= 1
        answer = await storm.ask(
            chance.choice(storm.born),
            user=chance.choice(USERS),
            service=chance.choice(SERVICES),
            streamed=chance.random() < 0.3,
            model=f"openai/{chance.choice(MODELS)}",
            parameters={"maxTokens": chance.randint(1, 60)},
        )
        if answer.response is None:
            # Nobody was there to answer, or no database; or the provider had a bad moment.
            left[0] += 1
            await asyncio.sleep(0.2)


async def kill_processes(storm: Storm, is_over: asyncio.Event) -> None:
    while not is_over.is_set():
        await storm.all_ready()
        await storm.kill_one()
        with suppress(TimeoutError):
            await asyncio.wait_for(is_over.wait(), 3.0)


async def test_no_lost_and_no_doubled_usage_through_kills_and_restarts_of_the_database() -> None:
    async with storm(seed=7, trouble=0.05) as at:
        left = [REQUESTS]
        is_over = asyncio.Event()
        killing = asyncio.create_task(kill_processes(at, is_over))
        callers = [
            asyncio.create_task(call_on(at, left, random.Random(number)))
            for number in range(CALLERS)
        ]
        for share in (2 / 3, 1 / 3):
            while left[0] > share * REQUESTS:
                await asyncio.sleep(0.05)
            await at.server.embedded.stop()
            await asyncio.sleep(0.5)
            await at.server.embedded.start()
        await asyncio.gather(*callers)
        is_over.set()
        await killing
        await at.end()

        served = [answer for answer in at.answers if answer.response is not None]
        print(f"{len(at.answers)} requests: {dict(at.codes)}")
        assert len(served) >= REQUESTS
        rows = {
            str(id_): (prompt, completion, attempts)
            for id_, prompt, completion, attempts in await at.execute(
                "SELECT id, sum(prompt_tokens) FILTER (WHERE attempt = 0), "
                "sum(completion_tokens) FILTER (WHERE attempt = 0), "
                "count(*) FILTER (WHERE attempt = 0) FROM usage_logs GROUP BY id"
            )
        }
        for answer in served:
            assert answer.response is not None
            usage = answer.response["usage"]
            told = (usage["promptTokens"], usage["completionTokens"])
            prompt, completion, settled = rows[answer.response["id"]]
            assert settled == 1
            assert (prompt, completion) == told
            assert told in at.openai.answered[answer.number], "as the provider has sent it"

        # Nothing is open, nothing is counted twice, and no attempt is lost from the whole.
        assert await at.execute("SELECT * FROM reservations") == []
        assert await at.execute("SELECT id FROM completions WHERE status = 'RUNNING'") == []
        assert (
            await at.execute(
                "SELECT tenant_id, id FROM usage_logs GROUP BY 1, 2 HAVING "
                "count(*) FILTER (WHERE attempt = 0) <> 1 OR "
                "sum(prompt_tokens + completion_tokens) FILTER (WHERE attempt = 0) <> "
                "coalesce(sum(prompt_tokens + completion_tokens) FILTER (WHERE attempt > 0), 0)"
            )
            == []
        )
        ((hours, raw),) = await at.execute(
            "SELECT (SELECT sum(prompt_tokens + completion_tokens) FROM usage_hours), "
            "(SELECT sum(prompt_tokens + completion_tokens) FROM usage_logs WHERE attempt > 0)"
        )
        assert hours == raw
