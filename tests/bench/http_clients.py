"""HTTP clients side by side against the fake Ollama: `.venv/bin/python -m tests.bench.http_clients`.

Prints, per client and number of connections: answers per second and CPU time per answer, for
whole answers and for streams, both of 64 tokens without latency; and the CPU time of 1,000
tokens in streams that trickle (20 ms a token), where every token is a packet of its own.
The client has a core alone, the fake the other. `--seconds` bounds each measurement.

The result is what docs/decisions/0004-http-client.md rests on.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from typing import TypeAlias

import aiohttp
import httpx
import httpx_aiohttp
import uvloop

from assistant.adapters.providers.http import HttpClient
from assistant.adapters.providers.ollama import OllamaProvider
from assistant.domain.completion import GenerationParameters, Message, MessageRole
from assistant.domain.ports import ProviderCall
from tests.bench.cores import pin, two_cores

CONNECTIONS = (1, 16, 64, 256)
TOKENS = 64
TOKEN_DELAY_MS = 20
TRICKLING_STREAMS = 100
MODEL = "llama3.2:3b"

Ask: TypeAlias = Callable[[bool], Awaitable[None]]
"""One call, streamed or whole, read to its end."""


def body(*, streamed: bool) -> bytes:
    messages = [{"role": "user", "content": "Why is the sky blue?"}]
    return json.dumps({"model": MODEL, "messages": messages, "stream": streamed}).encode()


# ------------------------------------------------------------------- the clients


@asynccontextmanager
async def plain_aiohttp(url: str) -> AsyncIterator[Ask]:
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:

        async def ask(streamed: bool) -> None:
            async with session.post(url + "/api/chat", data=body(streamed=streamed)) as response:
                if streamed:
                    async for line in response.content:
                        json.loads(line)
                else:
                    json.loads(await response.read())

        yield ask


@asynccontextmanager
async def over_httpx(client: httpx.AsyncClient, url: str) -> AsyncIterator[Ask]:
    async with client:

        async def ask(streamed: bool) -> None:
            if not streamed:
                json.loads(
                    (await client.post(url + "/api/chat", content=body(streamed=False))).content
                )
                return
            content = body(streamed=True)
            async with client.stream("POST", url + "/api/chat", content=content) as response:
                async for line in response.aiter_lines():
                    json.loads(line)

        yield ask


def stock_httpx(url: str) -> AbstractAsyncContextManager[Ask]:
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
    return over_httpx(httpx.AsyncClient(limits=limits, timeout=60, trust_env=False), url)


def httpx_over_aiohttp(url: str) -> AbstractAsyncContextManager[Ask]:
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
    client = httpx_aiohttp.HttpxAiohttpClient(limits=limits, timeout=60, trust_env=False)
    return over_httpx(client, url)


@asynccontextmanager
async def our_adapter(url: str) -> AsyncIterator[Ask]:
    messages = (Message(MessageRole.USER, "Why is the sky blue?"),)
    async with HttpClient() as http:
        provider = OllamaProvider(url, http)

        async def ask(streamed: bool) -> None:
            call = ProviderCall(MODEL, messages, GenerationParameters(), streamed, 131_072, 8)
            async for _event in provider.generate(call):
                pass

        yield ask


CLIENTS: dict[str, Callable[[str], AbstractAsyncContextManager[Ask]]] = {
    "aiohttp": plain_aiohttp,
    "httpx-aiohttp": httpx_over_aiohttp,
    "httpx": stock_httpx,
    "our adapter (on aiohttp)": our_adapter,
}


# ---------------------------------------------------------------- one measurement


async def measure(
    name: str, url: str, connections: int, streamed: bool, seconds: float
) -> dict[str, float]:
    """Answers per second, and CPU milliseconds of this process per answer."""
    async with CLIENTS[name](url) as ask:
        answers = 0
        stop_at = 0.0

        async def keep_asking() -> None:
            nonlocal answers
            while time.perf_counter() < stop_at:
                await ask(streamed)
                answers += 1

        stop_at = time.perf_counter() + min(0.5, seconds)
        await asyncio.gather(*(keep_asking() for _ in range(connections)))
        answers, cpu_s, started = 0, time.process_time(), time.perf_counter()
        stop_at = started + seconds
        await asyncio.gather(*(keep_asking() for _ in range(connections)))
        elapsed_s = time.perf_counter() - started
        cpu_s = time.process_time() - cpu_s
    return {"per_s": answers / elapsed_s, "cpu_ms": 1000 * cpu_s / answers}


async def trickle(name: str, url: str) -> dict[str, float]:
    """CPU seconds per 1,000 tokens of many slow streams at once, each read twice."""
    async with CLIENTS[name](url) as ask:
        cpu_s = time.process_time()
        for _ in range(2):
            await asyncio.gather(*(ask(True) for _ in range(TRICKLING_STREAMS)))
        cpu_s = time.process_time() - cpu_s
    return {"cpu_s_per_1000": cpu_s / (2 * TRICKLING_STREAMS * TOKENS) * 1000}


# -------------------------------------------------------------------- the driver


@contextmanager
def fake_ollama(cores: set[int] | None, token_delay_ms: float) -> Iterator[str]:
    command = [sys.executable, "-m", "tests.providers.fake_ollama", "--port", "0"]
    command += ["--tokens", str(TOKENS), "--token-delay-ms", str(token_delay_ms)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            pin(process.pid, cores)
            assert process.stdout is not None
            yield process.stdout.readline().split()[-1]
        finally:
            process.terminate()


def in_a_process_of_its_own(cores: set[int] | None, arguments: list[str]) -> dict[str, float]:
    command = [sys.executable, "-m", "tests.bench.http_clients", *arguments]
    output = subprocess.run(
        command, stdout=subprocess.PIPE, check=True, timeout=120,
        preexec_fn=lambda: pin(os.getpid(), cores),
    ).stdout  # fmt: skip
    result: dict[str, float] = json.loads(output)
    return result


def compare(seconds: float) -> None:
    mine, theirs = two_cores()
    with fake_ollama(theirs, 0) as url:
        for mode in ("whole", "streamed"):
            print(f"\n{mode} answers of {TOKENS} tokens: answers/s (CPU ms per answer)")
            print(f"{'connections':26}" + "".join(f"{number:>18}" for number in CONNECTIONS))
            for name in CLIENTS:
                cells = ""
                for number in CONNECTIONS:
                    one = ["--client", name, "--url", url, "--connections", str(number)]
                    one += ["--mode", mode, "--seconds", str(seconds)]
                    result = in_a_process_of_its_own(mine, one)
                    cells += f"{result['per_s']:10,.0f} ({result['cpu_ms']:5.2f})"
                print(f"{name:26}{cells}", flush=True)
    with fake_ollama(theirs, TOKEN_DELAY_MS) as url:
        print(f"\n{TRICKLING_STREAMS} streams, {TOKEN_DELAY_MS} ms a token: CPU s per 1,000 tokens")
        for name in CLIENTS:
            one = ["--client", name, "--url", url, "--mode", "trickle"]
            print(
                f"{name:26}{in_a_process_of_its_own(mine, one)['cpu_s_per_1000']:10.3f}", flush=True
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=3.0, help="of each measurement")
    parser.add_argument("--client", choices=list(CLIENTS), help="measure this one, once")
    parser.add_argument("--url")
    parser.add_argument("--connections", type=int, default=1)
    parser.add_argument("--mode", choices=["whole", "streamed", "trickle"], default="whole")
    given = parser.parse_args()
    if given.client is None:
        compare(given.seconds)
    elif given.mode == "trickle":
        print(json.dumps(uvloop.run(trickle(given.client, given.url))))
    else:
        is_streamed = given.mode == "streamed"
        job = measure(given.client, given.url, given.connections, is_streamed, given.seconds)
        print(json.dumps(uvloop.run(job)))


if __name__ == "__main__":
    main()
