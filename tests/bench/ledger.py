"""What recording costs: `.venv/bin/python -m tests.bench.ledger`.

For some numbers of callers at once: completions per second, each opened and settled durably on
the embedded server and counted for one of eight prompt versions, and the caller's p50 for one write. Everything, the server included, shares one
core.
"""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import tempfile
import time
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

SECONDS = 3.0
VERSIONS = [uuid4() for _ in range(8)]


async def measure(ledger: PostgresLedger, callers: int) -> None:
    waits_ms: list[float] = []
    ends_at = time.perf_counter() + SECONDS

    async def complete() -> None:
        while time.perf_counter() < ends_at:
            opened = running(prompt_version_id=random.choice(VERSIONS))
            started = time.perf_counter()
            await ledger.open(opened, Stake())
            await ledger.settle(succeeded(opened, text="word " * 64))
            waits_ms.append((time.perf_counter() - started) * 1000 / 2)

    started = time.perf_counter()
    await asyncio.gather(*(complete() for _ in range(callers)))
    elapsed = time.perf_counter() - started
    print(
        f"{callers:4} at once: {len(waits_ms) / elapsed:7,.0f} completions/s, "
        f"p50 {median(waits_ms):6.2f} ms a write"
    )


async def main() -> None:
    core, _ = two_cores()
    pin(os.getpid(), core)
    folder = Path(tempfile.mkdtemp(prefix="assistant-bench-"))
    embedded = EmbeddedPostgres(folder / "postgres")
    try:
        started = time.perf_counter()
        url = await embedded.start()
        print(f"a new server started in {time.perf_counter() - started:.2f} s")
        started = time.perf_counter()
        await migrate.upgrade(url)
        print(f"and was migrated in {time.perf_counter() - started:.2f} s")
        database = Database(embedded.service_url)
        await database.start()
        ledger = PostgresLedger(database)
        await ledger.start()
        for callers in (1, 16, 64, 256, 1024):
            await measure(ledger, callers)
        await ledger.close()
        await database.close()
    finally:
        await embedded.stop()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    asyncio.run(main())
