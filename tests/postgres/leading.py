"""A process that leads a question until it is killed: `python -m tests.postgres.leading URL`."""

from __future__ import annotations

import asyncio
import json
import sys

from assistant.adapters.postgres.cache import PostgresCache
from assistant.adapters.postgres.cache_flights import PostgresFlights
from assistant.adapters.postgres.connection import Database
from assistant.domain.completion import ProgressEvent, TextDelta
from tests.postgres.cache_entries import a_flight, a_key


async def main(url: str) -> None:
    database = Database(url, pool_size=1)
    cache, flights = PostgresCache(database), PostgresFlights(database)
    flight = a_flight()
    print(json.dumps(await cache.find_or_lead(a_key(), flight)), flush=True)
    events: list[ProgressEvent] = []
    flights.lead(flight, events)

    async def tell() -> None:
        while True:
            events.append(TextDelta(f"{len(events)}"))
            await asyncio.sleep(0.02)

    await asyncio.gather(flights.keep_flights(), flights.watch_flights(), tell())


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
