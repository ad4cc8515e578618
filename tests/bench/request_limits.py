"""What limits of requests cost: `.venv/bin/python -m tests.bench.request_limits`.

For some numbers of callers at once, of 100 users: requests per second that are checked, and then those
that are opened and settled in the ledger as well, for a tenant without limits, one with a limit for all
together, and one with limits in all four scopes. The limits are never reached. Everything, the server
included, shares one core.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from statistics import median
from uuid import uuid4

import psycopg

from assistant.adapters.clock import SystemClock
from assistant.adapters.postgres import migrate
from assistant.adapters.postgres.connection import Database
from assistant.adapters.postgres.embedded import EmbeddedPostgres
from assistant.adapters.postgres.ledger import PostgresLedger
from assistant.adapters.postgres.request_limits import PostgresRequestLimits
from assistant.domain.budget import LimitScope, Stake
from assistant.domain.caller import Caller
from assistant.services.request_limits import RequestLimits
from tests.bench.cores import pin, two_cores
from tests.postgres.completions import running, succeeded

SECONDS = 2.0
ROUNDS = 3
TENANTS: dict[str, tuple[LimitScope, ...]] = {
    "none": (),
    "one": (LimitScope.GLOBAL,),
    "four": tuple(LimitScope),
}


async def measure(callers: int, one: Callable[[int], Awaitable[None]]) -> tuple[float, float]:
    """Requests per second, and the median of what one waits, in milliseconds."""
    waits_ms: list[float] = []
    ends_at = time.perf_counter() + SECONDS

    async def keep_asking(number: int) -> None:
        while time.perf_counter() < ends_at:
            started = time.perf_counter()
            await one(number)
            waits_ms.append((time.perf_counter() - started) * 1000)

    started = time.perf_counter()
    await asyncio.gather(*map(keep_asking, range(callers)))
    return len(waits_ms) / (time.perf_counter() - started), median(waits_ms)


async def set_limits(owner_url: str) -> None:
    async with await psycopg.AsyncConnection.connect(owner_url) as connection:
        for tenant_id, scopes in TENANTS.items():
            await connection.execute(
                "SELECT set_config('assistant.tenant_id', %s, false)", (tenant_id,)
            )
            for scope in scopes:
                await connection.execute(
                    "INSERT INTO rate_limits VALUES "
                    "(%s, %s, %s, '', 'REQUESTS', 1000000000, 1000000000, now(), now())",
                    (tenant_id, uuid4(), scope.value),
                )


async def compare(database: Database) -> None:
    store, ledger = PostgresRequestLimits(database), PostgresLedger(database)
    limits = RequestLimits(store, SystemClock())
    await ledger.start()

    def caller_of(tenant_id: str, number: int) -> Caller:
        user = number % 100
        return Caller(
            tenant_id, f"user-{user}", f"service-{user % 5}", frozenset(), api_key_id=f"key-{user}"
        )

    for callers in (1, 64, 256):
        for what in ("checked", "recorded"):
            found: dict[str, list[tuple[float, float]]] = {tenant_id: [] for tenant_id in TENANTS}
            for _ in range(ROUNDS):
                for tenant_id in TENANTS:

                    async def one(
                        number: int, tenant_id: str = tenant_id, what: str = what
                    ) -> None:
                        caller = caller_of(tenant_id, number)
                        await limits.check(caller)
                        if what == "recorded":
                            opened = running(caller=caller)
                            await ledger.open(opened, Stake())
                            await ledger.settle(succeeded(opened))

                    found[tenant_id].append(await measure(callers, one))
            for tenant_id, rounds in found.items():
                per_s, wait_ms = (median(figures) for figures in zip(*rounds, strict=True))
                print(
                    f"{callers:4} at once, {what:8}, limits: {tenant_id:4} "
                    f"{per_s:9,.0f} requests/s, p50 {wait_ms:7.3f} ms"
                )
    await store.close()
    await ledger.close()


async def main() -> None:
    core, _ = two_cores()
    pin(os.getpid(), core)
    folder = Path(tempfile.mkdtemp(prefix="assistant-bench-"))
    embedded = EmbeddedPostgres(folder / "postgres")
    try:
        owner_url = await embedded.start()
        await migrate.upgrade(owner_url)
        await set_limits(owner_url)
        database = Database(embedded.service_url)
        await database.start()
        await compare(database)
        await database.close()
    finally:
        await embedded.stop()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    asyncio.run(main())
