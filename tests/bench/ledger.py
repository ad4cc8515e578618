"""What admission and settlement cost: `.venv/bin/python -m tests.bench.ledger`.

For some numbers of callers at once: completions per second, each opened (what it may cost is held)
and settled durably on the embedded server and counted for one of eight prompt versions, and the
caller's p50 for one write. In groups, and for comparison with a transaction for each write on ten
connections, as a pool would have it; without a budget, and with nine that hold (of day, week and
month, of the tenant, its services and its users) and a limit of tokens. Everything, the server
included, shares one core.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import random
import shutil
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from statistics import median
from uuid import uuid4

from assistant.adapters.postgres import migrate
from assistant.adapters.postgres.connection import Database
from assistant.adapters.postgres.embedded import EmbeddedPostgres
from assistant.adapters.postgres.ledger import PostgresLedger
from assistant.domain.budget import Stake
from tests.bench.cores import pin, two_cores
from tests.postgres.completions import running, succeeded
from tests.postgres.server import connect

SECONDS = 3.0
VERSIONS = [uuid4() for _ in range(8)]
CALLERS = (1, 16, 64, 256)
POOL = 10
USERS = [f"user-{number}" for number in range(100)]
SERVICES = [f"service-{number}" for number in range(5)]
STAKE = Stake(
    prompt_tokens=400,
    output_tokens=256,
    least_output_tokens=16,
    fixed_cost=Decimal("0.0002"),
    output_price=Decimal("1.5"),
    expected_tokens=100,
)
BUDGETS = """
    INSERT INTO budgets (tenant_id, id, scope, period, amount, alert_steps, created_at, updated_at)
    SELECT 'acme', gen_random_uuid(), scope, period, 1000000, '{0.8}', now(), now()
    FROM unnest(ARRAY['GLOBAL', 'SERVICE', 'USER']) AS scope,
         unnest(ARRAY['DAY', 'WEEK', 'MONTH']) AS period
"""
LIMIT = """
    INSERT INTO rate_limits (
        tenant_id, id, scope, measure, capacity, per_minute, created_at, updated_at)
    VALUES ('acme', gen_random_uuid(), 'USER', 'TOKENS', 1000000000, 1000000000, now(), now())
"""


async def complete(ledger: PostgresLedger, user: str) -> None:
    opened = running(prompt_version_id=random.choice(VERSIONS))
    caller = replace(opened.caller, user_id=user, service_id=random.choice(SERVICES))
    opened = replace(opened, caller=caller)
    await ledger.open(opened, STAKE)
    await ledger.settle(succeeded(opened, text="word " * 64))


async def measure(what: str, ledgers: Sequence[PostgresLedger], callers: int) -> None:
    waits_ms: list[float] = []
    turns = itertools.cycle(ledgers)
    ends_at = time.perf_counter() + SECONDS

    async def call_on() -> None:
        while time.perf_counter() < ends_at:
            started = time.perf_counter()
            await complete(next(turns), random.choice(USERS))
            waits_ms.append((time.perf_counter() - started) * 1000 / 2)

    started = time.perf_counter()
    await asyncio.gather(*(call_on() for _ in range(callers)))
    elapsed = time.perf_counter() - started
    print(
        f"{what}, {callers:4} at once: {len(waits_ms) / elapsed:7,.0f} completions/s, "
        f"p50 {median(waits_ms):6.2f} ms a write",
        flush=True,
    )


async def main() -> None:
    core, _ = two_cores()
    pin(os.getpid(), core)
    folder = Path(tempfile.mkdtemp(prefix="assistant-bench-"))
    embedded = EmbeddedPostgres(folder / "postgres")
    try:
        url = await embedded.start()
        await migrate.upgrade(url)
        database = Database(embedded.service_url)
        await database.start()
        grouped = [PostgresLedger(database)]
        single = [PostgresLedger(database, max_group=1) for _ in range(POOL)]
        for ledger in grouped + single:
            await ledger.start()
        for what in ("no budget", "nine budgets and a limit"):
            if what != "no budget":
                async with await connect(url) as connection:
                    await connection.execute("SET assistant.tenant_id = 'acme'")
                    await connection.execute(BUDGETS)
                    await connection.execute(LIMIT)
            await asyncio.gather(*(complete(grouped[0], user) for user in USERS))  # windows begin
            for way, ledgers in (("in groups", grouped), ("one by one", single)):
                for callers in CALLERS:
                    await measure(f"{what}, {way}", ledgers, callers)
        for ledger in grouped + single:
            await ledger.close()
        await database.close()
    finally:
        await embedded.stop()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    asyncio.run(main())
