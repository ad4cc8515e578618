"""Many streams at once, through every door, beside other gateways: part of `make bench`.

The upstream is a fake OpenAI whose answers are 64 tokens, 20 ms apart. 100 streams run all the time;
each begins anew up to 200 ms after it has ended, by chance, so that they begin spread over time:
those that once met at a stall of the machine would else begin together from then on. The program
under test, PostgreSQL included, has one core alone; load and upstream have the others.

What is measured: the time to the first token above what the upstream itself takes, and CPU time per
1,000 tokens. When its core is full, the service joins deltas that wait into fewer events: "events"
says how many there are per token, so that nobody takes that for speed. LiteLLM and Portkey are
installed the first time (``tests.bench.peers``); ``--no-peers`` leaves them out.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TypeAlias

import aiohttp
import uvloop

from tests.bench.cores import pin, two_cores
from tests.bench.load import Target, drive, percentile_ms
from tests.bench.peers import (
    PEER_MODEL,
    litellm,
    litellm_executable,
    portkey,
    portkey_headers,
    portkey_server,
)
from tests.bench.programs import (
    TOKENS,
    Program,
    fake_provider,
    number,
    our_service,
    pass_through,
    question,
    report_errors,
    row,
)
from tests.bench.websocket_load import WebSocketConnection

STREAMS = 100
TOKEN_DELAY_MS = 20
STREAM_S = TOKENS * TOKEN_DELAY_MS / 1000
PAUSE_S = 0.2
WARM_UP_S = 1.0
MODEL = "gpt-4o-mini"
OURS = f"openai/{MODEL}"
FIRST_COLUMN = 28

SUBSCRIPTION = """subscription ($input: CompletionRequest!) {
  completionStream(input: $input) {
    __typename eventId sequence
    ... on TokenDelta { text }
    ... on CompletionFailed { code message }
    ... on CompletionFinished { response { id usage { totalTokens } } }
  }
}"""


@dataclass(frozen=True, slots=True)
class Streaming:
    """One door of one program. CPU time is per 1,000 tokens, first tokens are as clients saw them.

    ``added_*``: above the median of the upstream itself.
    """

    door: str
    streams: int
    tokens: int
    events_per_token: float
    cpu_s: float | None
    database_cpu_s: float | None
    first_p50_ms: float | None
    first_p95_ms: float | None
    first_p99_ms: float | None
    added_p50_ms: float | None
    added_p95_ms: float | None
    added_p99_ms: float | None
    errors: int


# ------------------------------------------------------------------- what is asked


def chat(url: str, model: str = MODEL, headers: Mapping[str, str] | None = None) -> Target:
    """OpenAI's own request."""

    def body(number: int) -> bytes:
        messages = [{"role": "user", "content": question(number)}]
        return json.dumps({"model": model, "messages": messages, "stream": True}).encode()

    return Target(
        url,
        body,
        expected=f" word{TOKENS - 1}".encode(),
        refused=b'"error"',
        marker=b'" word',
        headers=headers or {},
    )


def subscription(url: str) -> Target:
    return Target(
        url,
        lambda number: json.dumps(
            {"query": SUBSCRIPTION, "variables": {"input": _input(number)}}
        ).encode(),
        expected=b"CompletionFinished",
        accept="text/event-stream",
        marker=b'"TokenDelta"',
    )


def web_socket(url: str) -> Target:
    over_http = subscription(url)
    return Target(
        url,
        over_http.body,
        over_http.expected,
        marker=over_http.marker,
        connect=WebSocketConnection,
    )


def sse(url: str) -> Target:
    return Target(
        url,
        lambda number: json.dumps(_input(number)).encode(),
        expected=b"event: CompletionFinished",
        accept="text/event-stream",
        marker=b"event: TokenDelta",
    )


def _input(number: int) -> dict[str, str]:
    return {"text": question(number), "model": OURS}


DOORS: dict[str, tuple[str, Callable[[str], Target]]] = {
    "GraphQL over SSE": ("/graphql", subscription),
    "GraphQL over WebSocket": ("/graphql", web_socket),
    "POST /api/stream": ("/api/stream", sse),
    "POST /v1/chat/completions": ("/v1/chat/completions", partial(chat, model=OURS)),
}


Take: TypeAlias = Callable[[str, Target, Program], Awaitable[None]]
"""Measures a door of a program, and shows it."""


async def is_there(url: str) -> bool:
    async with aiohttp.ClientSession() as session, session.post(url, data=b"{}") as response:
        return response.status != 404


# --------------------------------------------------------------- the measurements


async def measure(
    door: str,
    target: Target,
    seconds: float,
    program: Program | None = None,
    upstream_ms: float | None = None,
    streams: int = STREAMS,
) -> Streaming:
    """``program`` is None for the upstream, whose CPU time does not matter."""
    # As many more as pause on average, so that so many run.
    connections = round(streams * (1 + PAUSE_S / 2 / STREAM_S))
    await drive(target, connections, WARM_UP_S, ramp_s=STREAM_S, pause_s=PAUSE_S)
    before = program.cpu_s() if program else (0.0, 0.0)
    result = await drive(target, connections, seconds, ramp_s=STREAM_S, pause_s=PAUSE_S)
    after = program.cpu_s() if program else before
    report_errors(door, result)
    tokens = TOKENS * len(result.latencies_s)
    own_s, database_s = (
        1000 * (now - then) / tokens if program and tokens else None
        for now, then in zip(after, before, strict=True)
    )
    first = [percentile_ms(result.first_tokens_s, percent) for percent in (50, 95, 99)]
    added = [None if ms is None or upstream_ms is None else ms - upstream_ms for ms in first]
    return Streaming(
        door, streams, tokens, result.events / max(1, tokens), own_s, database_s, *first, *added,
        errors=len(result.errors),
    )  # fmt: skip


def show(one: Streaming) -> None:
    row(
        one.door, number(one.cpu_s, 3), number(one.database_cpu_s, 3),
        number(one.first_p50_ms), number(one.added_p50_ms), number(one.added_p95_ms),
        number(one.added_p99_ms), f"{one.events_per_token:.0%}", one.errors,
        first=FIRST_COLUMN,
    )  # fmt: skip


@asynccontextmanager
async def ours(upstream: str, cores: set[int] | None, **settings: str) -> AsyncIterator[Program]:
    given = {"openai_api_key": "none", "openai_base_url": upstream} | settings
    async with our_service(cores, **given) as service:
        yield Program("assistant", service.process.pid, service.url)


async def streams(given: argparse.Namespace, mine: set[int] | None) -> list[Streaming]:
    print(f"\n{given.streams} streams at once of {TOKENS} tokens, {TOKEN_DELAY_MS} ms a token")
    row(
        "", "CPU s/1000", "DB CPU", "first p50", "added p50", "added p95", "added p99", "events",
        "errors", first=FIRST_COLUMN,
    )  # fmt: skip
    measured: list[Streaming] = []
    upstream_ms: float | None = None

    async def take(door: str, target: Target, program: Program | None = None) -> None:
        one = await measure(door, target, given.seconds, program, upstream_ms, given.streams)
        measured.append(one)
        show(one)

    async with fake_provider("openai", TOKEN_DELAY_MS) as upstream:
        path = "/chat/completions"
        await take("upstream", chat(upstream + path))
        upstream_ms = measured[0].first_p50_ms
        async with pass_through(upstream + path, mine) as program:
            await take("pass-through", chat(f"{program.url}/streamed"), program)
        async with ours(upstream, mine) as program:
            for door, (door_path, target) in DOORS.items():
                if await is_there(program.url + door_path):
                    await take(door, target(program.url + door_path), program)
                else:
                    print(f"{door} is not there.")
        async with ours(upstream, mine, cache_enabled="true") as program:
            await take("SSE, cache asked in vain", subscription(f"{program.url}/graphql"), program)
        if given.peers:
            await peers(upstream, mine, take)
    return measured


async def peers(upstream: str, mine: set[int] | None, take: Take) -> None:
    with tempfile.TemporaryDirectory(prefix="peers-bench-") as name:
        folder = Path(name)
        if (server := portkey_server()) is not None:
            async with portkey(server, mine, folder) as program:
                url = f"{program.url}/v1/chat/completions"
                await take(program.name, chat(url, headers=portkey_headers(upstream)), program)
        if (executable := litellm_executable()) is not None:
            async with litellm(executable, upstream, mine, folder) as program:
                url = f"{program.url}/v1/chat/completions"
                await take(program.name, chat(url, model=PEER_MODEL), program)


async def run(given: argparse.Namespace) -> None:
    mine, theirs = two_cores()
    pin(0, theirs)
    report = {
        "python": platform.python_version(),
        "load_average": os.getloadavg(),
        "seconds": given.seconds,
        "streams": [asdict(one) for one in await streams(given, mine)],
    }
    print("\n" + json.dumps(report))


def main() -> None:
    parser = argparse.ArgumentParser(description="Streams under load.")
    parser.add_argument("--seconds", type=float, default=5.0, help="of each measurement")
    parser.add_argument("--streams", type=int, default=STREAMS, metavar="N")
    parser.add_argument("--no-peers", dest="peers", action="store_false")
    uvloop.run(run(parser.parse_args()))


if __name__ == "__main__":
    main()
