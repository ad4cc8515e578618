"""What a thousand streams take of memory: `.venv/bin/python -m tests.bench.idle_streams`.

RSS of one worker, without PostgreSQL: before, and at most, while there are so many streams at once.
Idle ones have had a few tokens, and their provider is silent since. Slow ones have a client that
reads nothing at all while its answer comes in. The goal is 300 MB.
"""

from __future__ import annotations

import argparse
import asyncio
import resource
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

import psutil
import uvloop

from tests.bench.load import Load, Target
from tests.bench.programs import our_service, row
from tests.bench.streams import DOORS
from tests.providers.fake_openai import FakeOpenAi, Reply
from tests.providers.fake_server import Fault, words

HTTP_DOORS = [door for door, (_, target) in DOORS.items() if target("http://x").connect is None]
STREAMS = 1_000
OPENED_PER_S = 100
WATCHED_S = 10.0
GOAL_MB = 300
# A slow client's: too little for an answer, so that it stays with the service.
RECEIVE_BUFFER_BYTES = 4_096

IDLE = Reply(tokens=words(4), fault=Fault.STALL, fault_after=3)
SLOW = Reply(tokens=("some words of an answer, " * 40,) * 80, token_delay_s=0.3)


@dataclass(frozen=True, slots=True)
class Memory:
    """RSS in MB, before there were streams and at most. ``streams`` had begun then, ``kept`` of them
    were still connected at the end; None where nobody has looked, because nobody reads."""

    before_mb: float
    most_mb: float
    streams: int
    kept: int | None


async def memory_of(
    reply: Reply,
    door: str,
    *,
    reads: bool,
    streams: int = STREAMS,
    watched_s: float = WATCHED_S,
) -> Memory:
    """Of a service of its own, with ``streams`` of ``reply`` through one of DOORS, all at once."""
    _allow_files(4 * streams)
    places = str(2 * streams)
    async with (
        FakeOpenAi(reply=reply, is_recording=False) as upstream,
        our_service(
            None,
            openai_api_key="none",
            openai_base_url=upstream.url,
            provider_max_concurrency=places,
            provider_between_events_timeout_s="600",
        ) as service,
    ):
        path, target = DOORS[door]
        worker = psutil.Process(service.process.pid)
        before = worker.memory_info().rss
        clients: list[socket.socket] = []
        try:
            async with _peak(worker) as peak:
                asked = target(f"{service.url}{path}")
                for number in range(streams):
                    clients.append(await _ask(asked, number, reads=reads))
                    await asyncio.sleep(1 / OPENED_PER_S)
                if reads:
                    await asyncio.gather(*[_first_token(client, asked) for client in clients])
                await asyncio.sleep(watched_s)
            kept = sum(map(_is_open, clients)) if reads else None
        finally:
            for client in clients:
                client.close()
        return Memory(before / 1e6, max(peak) / 1e6, upstream.received, kept)


async def _ask(target: Target, number: int, *, reads: bool) -> socket.socket:
    parts = urlsplit(target.url)
    client = socket.socket()
    if not reads:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER_BYTES)
    client.setblocking(False)
    loop = asyncio.get_running_loop()
    await loop.sock_connect(client, (parts.hostname, parts.port))
    load = Load(target, stop_at=0.0, first=number)
    await loop.sock_sendall(client, load.next_request())
    return client


async def _first_token(client: socket.socket, target: Target) -> None:
    assert target.marker is not None
    received = b""
    async with asyncio.timeout(60):
        while target.marker not in received:
            data = await asyncio.get_running_loop().sock_recv(client, 65_536)
            assert data, received[-1_000:]
            received += data


def _is_open(client: socket.socket) -> bool:
    """Whether its service has not closed it: more to read, or nothing yet, but no end."""
    try:
        while data := client.recv(65_536):
            pass
    except BlockingIOError:
        return True
    return bool(data)


@asynccontextmanager
async def _peak(worker: psutil.Process) -> AsyncIterator[list[int]]:
    """What is seen of the RSS while the block runs."""
    seen: list[int] = [worker.memory_info().rss]

    async def look() -> None:
        while True:
            seen.append(worker.memory_info().rss)
            await asyncio.sleep(0.1)

    looking = asyncio.create_task(look())
    try:
        yield seen
    finally:
        looking.cancel()


def _allow_files(count: int) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = count if hard == resource.RLIM_INFINITY else min(count, hard)
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


async def run(given: argparse.Namespace) -> None:
    print(f"\nRSS of one worker with {given.streams} streams at once; goal: {GOAL_MB} MB")
    row("", "streams", "before MB", "at most MB", "kB a stream", "connected", first=40)
    for door in given.doors:
        for name, reply, reads in (("idle", IDLE, True), ("slow", SLOW, False)):
            one = await memory_of(reply, door, reads=reads, streams=given.streams)
            row(
                f"{name}, {door}", one.streams, f"{one.before_mb:.0f}", f"{one.most_mb:.0f}",
                f"{1000 * (one.most_mb - one.before_mb) / max(1, one.streams):.0f}",
                "-" if one.kept is None else one.kept, first=40,
            )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description="Memory of idle and slow streams.")
    parser.add_argument("--streams", type=int, default=STREAMS, metavar="N")
    parser.add_argument("--doors", nargs="+", default=[*HTTP_DOORS], choices=HTTP_DOORS)
    uvloop.run(run(parser.parse_args()))


if __name__ == "__main__":
    main()
