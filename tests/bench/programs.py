"""The programs that benchmarks measure, each a process on a core of its own, and what they ask."""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import psutil

from tests.bench.cores import pin
from tests.bench.load import LoadResult
from tests.running_service import RunningService, free_port, running_service

TOKENS = 64


@dataclass(frozen=True, slots=True)
class Program:
    """A running program under test."""

    name: str
    pid: int
    url: str

    def cpu_s(self) -> tuple[float, float]:
        """CPU time used so far: by the program itself, and by its children (PostgreSQL)."""
        process = psutil.Process(self.pid)
        children = 0.0
        for child in process.children(recursive=True):
            with suppress(psutil.NoSuchProcess):
                children += sum(child.cpu_times()[:2])
        return sum(process.cpu_times()[:2]), children


def question(number: int) -> str:
    """A text of its own for every request, so that no cache can answer."""
    return f"Question {number:08}: why is the sky blue, and the evening red?"


@contextmanager
def started_on(cores: set[int] | None) -> Iterator[None]:
    """Processes that are started in this block run on ``cores``."""
    here = os.sched_getaffinity(0) if cores is not None else None
    pin(0, cores)
    try:
        yield
    finally:
        pin(0, here)


@asynccontextmanager
async def process(*command: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """A module of ours, with its arguments."""
    running = await asyncio.create_subprocess_exec(
        sys.executable, "-m", *command, stdout=asyncio.subprocess.PIPE
    )
    try:
        yield running
    finally:
        running.terminate()
        await running.wait()


@asynccontextmanager
async def fake_provider(protocol: str, token_delay_ms: float, *options: str) -> AsyncIterator[str]:
    """The URL of a fake "ollama" or "openai" that answers with TOKENS tokens."""
    command = [f"tests.providers.fake_{protocol}", "--port", "0", "--tokens", str(TOKENS)]
    async with process(*command, "--token-delay-ms", str(token_delay_ms), *options) as fake:
        assert fake.stdout is not None
        yield (await fake.stdout.readline()).decode().split()[-1]


@asynccontextmanager
async def pass_through(upstream: str, cores: set[int] | None) -> AsyncIterator[Program]:
    """The yardstick, in front of the URL ``upstream``."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with started_on(cores):
        starting = process("tests.bench.passthrough", str(port), upstream)
        running = await starting.__aenter__()
    try:
        await reachable(url)
        yield Program("pass-through", running.pid, url)
    finally:
        await starting.__aexit__(None, None, None)


@asynccontextmanager
async def our_service(cores: set[int] | None, **settings: str) -> AsyncIterator[RunningService]:
    with tempfile.TemporaryDirectory(prefix="assistant-bench-") as folder:
        starting = running_service(Path(folder), **settings)
        with started_on(cores):
            service = await starting.__aenter__()
        try:
            yield service
        finally:
            await starting.__aexit__(None, None, None)


async def reachable(url: str, within_s: float = 20.0) -> None:
    """Return when something answers at ``url``, whatever it says. Raises TimeoutError."""
    async with asyncio.timeout(within_s), aiohttp.ClientSession() as session:
        while True:
            with suppress(aiohttp.ClientError):
                async with session.get(url):
                    return
            await asyncio.sleep(0.05)


# -------------------------------------------------------------------- the report


def report_errors(name: str, result: LoadResult) -> None:
    for error in result.errors[:3]:
        print(f"{name}: {error}", file=sys.stderr)


def number(value: float | None, digits: int = 1) -> str:
    return "-" if value is None else f"{value:,.{digits}f}"


def row(*cells: object, first: int = 14) -> None:
    print(f"{cells[0]:{first}}" + "".join(f"{cell:>12}" for cell in cells[1:]), flush=True)
