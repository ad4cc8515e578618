"""A process that makes a stream until it is killed: `python -m tests.postgres.streaming URL`."""

from __future__ import annotations

import asyncio
import sys

from assistant.adapters.postgres.connection import Database
from assistant.adapters.postgres.stream_log import PostgresStreamLog
from tests.postgres.streams import AStream


async def main(url: str) -> None:
    database = Database(url, pool_size=1)
    log, stream = PostgresStreamLog(database), AStream()
    log.keep(stream)

    async def say() -> None:
        while True:
            stream.say(f"{len(stream.events)}")
            await asyncio.sleep(0.02)

    async def tell() -> None:
        while not stream.logged:
            await asyncio.sleep(0.01)
        print(stream.id, flush=True)

    await asyncio.gather(log.keep_streams(), log.watch_streams(lambda *_: None), say(), tell())


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
