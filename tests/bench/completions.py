"""Completions under load, beside a bare pass-through proxy: `make bench`.

The upstream is the fake Ollama with answers of 64 tokens: without latency for whole answers, at
20 ms a token for streams. Whole answers once more with a price, and with budgets and limits of every
kind that are never used up. Then the service alone, with a model of which every third call fails
and another one to fail over to. The program under test, PostgreSQL included, has one core alone; load
and upstream have the others. Both programs run one worker on uvloop and httptools.

Prints a table, then the same as JSON. Nothing is asserted: machines differ. What can be compared
is the ratio to the pass-through on the same machine.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import aiohttp
import psutil
import uvloop

from tests.bench.cores import pin, two_cores
from tests.bench.limits import set_everything
from tests.bench.load import LoadResult, Target, drive, percentile_ms
from tests.running_service import free_port, running_service

CONNECTIONS = (1, 16, 64, 256)
TOKENS = 64
TOKEN_DELAY_MS = 20
STREAMS = 100
FAILING_CONNECTIONS = 16
ANSWER_DELAY_MS = 50
MODEL = "llama3.2:3b"
WARM_UP_S = 1.0
LAST_WORD = f" word{TOKENS - 1}"

GENERATE = """mutation ($input: CompletionRequest!) {
  generateCompletion(input: $input) {
    id text status finishReason usage { promptTokens completionTokens totalTokens } latencyMs
  }
}"""
STREAM = """subscription ($input: CompletionRequest!) {
  completionStream(input: $input) {
    __typename eventId sequence
    ... on TokenDelta { text }
    ... on CompletionFailed { code message }
    ... on CompletionFinished { response { id usage { totalTokens } } }
  }
}"""


@dataclass(frozen=True, slots=True)
class Program:
    """A running program under test. ``whole`` and ``streamed`` are how to ask it."""

    name: str
    pid: int
    whole: Target
    streamed: Target

    def cpu_s(self) -> tuple[float, float]:
        """CPU time used so far: by the program itself, and by its children (PostgreSQL)."""
        process = psutil.Process(self.pid)
        children = 0.0
        for child in process.children(recursive=True):
            with suppress(psutil.NoSuchProcess):
                children += sum(child.cpu_times()[:2])
        return sum(process.cpu_times()[:2]), children


# ------------------------------------------------------------------ what is asked


def question(number: int) -> str:
    """A text of its own for every request, so that no cache can answer."""
    return f"Question {number:08}: why is the sky blue, and the evening red?"


def chat(url: str, *, streamed: bool) -> Target:
    """Ollama's own request, to Ollama or through the proxy."""

    def body(number: int) -> bytes:
        messages = [{"role": "user", "content": question(number)}]
        return json.dumps({"model": MODEL, "messages": messages, "stream": streamed}).encode()

    marker = b'"content":" word' if streamed else None
    return Target(url, body, LAST_WORD.encode(), refused=b'"error"', marker=marker)


def graphql(url: str, *, streamed: bool, model: str | None = f"ollama/{MODEL}") -> Target:
    """Our request: generateCompletion, or a completionStream over server-sent events."""
    query = STREAM if streamed else GENERATE

    def body(number: int) -> bytes:
        given = {"text": question(number), "model": model}
        return json.dumps({"query": query, "variables": {"input": given}}).encode()

    if not streamed:
        return Target(url, body, LAST_WORD.encode())
    return Target(
        url, body, b"CompletionFinished", accept="text/event-stream", marker=b'"TokenDelta"'
    )


# ------------------------------------------------------------------- the programs


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
    running = await asyncio.create_subprocess_exec(
        sys.executable, "-m", *command, stdout=asyncio.subprocess.PIPE
    )
    try:
        yield running
    finally:
        running.terminate()
        await running.wait()


@asynccontextmanager
async def fake_ollama(token_delay_ms: float, *options: str) -> AsyncIterator[str]:
    command = ["tests.providers.fake_ollama", "--port", "0", "--tokens", str(TOKENS), *options]
    async with process(*command, "--token-delay-ms", str(token_delay_ms)) as fake:
        assert fake.stdout is not None
        yield (await fake.stdout.readline()).decode().split()[-1]


@asynccontextmanager
async def pass_through(upstream: str, cores: set[int] | None) -> AsyncIterator[Program]:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with started_on(cores):
        starting = process("tests.bench.passthrough", str(port), upstream)
        running = await starting.__aenter__()
    try:
        await reachable(url)
        yield Program(
            "pass-through",
            running.pid,
            chat(f"{url}/whole", streamed=False),
            chat(f"{url}/streamed", streamed=True),
        )
    finally:
        await starting.__aexit__(None, None, None)


@asynccontextmanager
async def limited_service(upstream: str, cores: set[int] | None) -> AsyncIterator[Program]:
    """Ours, with a price of the model, nine budgets that hold, and limits of requests and tokens."""
    async with our_service(upstream, cores, "with all limits") as program:
        yield program


@asynccontextmanager
async def our_service(
    upstream: str, cores: set[int] | None, name: str = "assistant"
) -> AsyncIterator[Program]:
    with tempfile.TemporaryDirectory(prefix="assistant-bench-") as folder:
        starting = running_service(Path(folder), ollama_url=upstream)
        with started_on(cores):
            service = await starting.__aenter__()
        try:
            url = f"{service.url}/graphql"
            if name != "assistant":
                await set_everything(service, f"ollama/{MODEL}")
            yield Program(
                name,
                service.process.pid,
                graphql(url, streamed=False),
                graphql(url, streamed=True),
            )
        finally:
            await starting.__aexit__(None, None, None)


async def reachable(url: str) -> None:
    async with asyncio.timeout(20), aiohttp.ClientSession() as session:
        while True:
            with suppress(aiohttp.ClientError):
                async with session.get(url):
                    return
            await asyncio.sleep(0.05)


# --------------------------------------------------------------- the measurements


@dataclass(frozen=True, slots=True)
class Throughput:
    """One program at one number of connections; CPU time is per answer.

    ``ratio`` is to the pass-through at the same number.
    """

    program: str
    connections: int
    per_s: float
    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None
    cpu_ms: float | None
    database_cpu_ms: float | None
    errors: int
    ratio: float | None


@dataclass(frozen=True, slots=True)
class Streaming:
    """One program with many streams at once. ``added_ms`` is the median above Ollama's own."""

    program: str
    streams: int
    tokens: int
    cpu_s_per_1000_tokens: float | None
    first_token_p50_ms: float | None
    first_token_p95_ms: float | None
    added_ms: float | None
    errors: int


async def throughput(program: Program, connections: int, seconds: float) -> Throughput:
    await drive(program.whole, connections, min(WARM_UP_S, seconds))
    before = program.cpu_s()
    result = await drive(program.whole, connections, seconds)
    used_s = [now - then for now, then in zip(program.cpu_s(), before, strict=True)]
    report_errors(program.name, result)
    answers = len(result.latencies_s)
    own_ms, database_ms = (1000 * cpu_s / answers if answers else None for cpu_s in used_s)
    return Throughput(
        program=program.name,
        connections=connections,
        per_s=result.per_s,
        p50_ms=result.latency_ms(50),
        p95_ms=result.latency_ms(95),
        p99_ms=result.latency_ms(99),
        cpu_ms=own_ms,
        database_cpu_ms=database_ms,
        errors=len(result.errors),
        ratio=None,
    )


async def streaming(
    name: str, target: Target, seconds: float, program: Program | None
) -> Streaming:
    """``program`` is None for Ollama itself, whose CPU time does not matter."""
    ramp_s = TOKENS * TOKEN_DELAY_MS / 1000
    await drive(target, STREAMS, 0.0, ramp_s=ramp_s)
    before_s = sum(program.cpu_s()) if program else 0.0
    result = await drive(target, STREAMS, seconds, ramp_s=ramp_s)
    cpu_s = sum(program.cpu_s()) - before_s if program else 0.0
    report_errors(name, result)
    return Streaming(
        program=name,
        streams=STREAMS,
        tokens=result.tokens,
        cpu_s_per_1000_tokens=1000 * cpu_s / result.tokens if program and result.tokens else None,
        first_token_p50_ms=percentile_ms(result.first_tokens_s, 50),
        first_token_p95_ms=percentile_ms(result.first_tokens_s, 95),
        added_ms=None,
        errors=len(result.errors),
    )


def report_errors(name: str, result: LoadResult) -> None:
    for error in result.errors[:3]:
        print(f"{name}: {error}", file=sys.stderr)


# -------------------------------------------------------------------- the report


def number(value: float | None, digits: int = 1) -> str:
    return "-" if value is None else f"{value:,.{digits}f}"


def row(*cells: object) -> None:
    print(f"{cells[0]:14}" + "".join(f"{cell:>12}" for cell in cells[1:]), flush=True)


async def whole_answers(
    seconds: float, connections: list[int], mine: set[int] | None
) -> list[Throughput]:
    print(f"\nwhole answers of {TOKENS} tokens, upstream without latency")
    row(
        "",
        "connections",
        "answers/s",
        "p50 ms",
        "p95 ms",
        "p99 ms",
        "CPU ms",
        "DB CPU ms",
        "errors",
        "ratio",
    )
    measured: list[Throughput] = []
    yardstick: dict[int, float] = {}
    async with fake_ollama(0) as upstream:
        for start in (pass_through, our_service, limited_service):
            async with start(upstream, mine) as program:
                for count in connections:
                    one = await throughput(program, count, seconds)
                    base = yardstick.setdefault(count, one.per_s)
                    one = replace(one, ratio=one.per_s / base if base else None)
                    measured.append(one)
                    row(
                        one.program, count, number(one.per_s, 0), number(one.p50_ms),
                        number(one.p95_ms), number(one.p99_ms), number(one.cpu_ms, 2),
                        number(one.database_cpu_ms, 2),
                        one.errors, number(one.ratio, 2),
                    )  # fmt: skip
    return measured


async def streams(seconds: float, mine: set[int] | None) -> list[Streaming]:
    print(f"\n{STREAMS} streams at once of {TOKENS} tokens, {TOKEN_DELAY_MS} ms a token")
    row("", "tokens", "CPU s/1000", "first p50", "first p95", "added ms", "errors")
    measured: list[Streaming] = []
    async with fake_ollama(TOKEN_DELAY_MS) as upstream:
        direct = chat(f"{upstream}/api/chat", streamed=True)
        measured.append(await streaming("Ollama itself", direct, seconds, None))
        for start in (pass_through, our_service):
            async with start(upstream, mine) as program:
                measured.append(await streaming(program.name, program.streamed, seconds, program))
    base = measured[0].first_token_p50_ms
    for index, one in enumerate(measured):
        if base is not None and one.first_token_p50_ms is not None:
            one = measured[index] = replace(one, added_ms=one.first_token_p50_ms - base)
        row(
            one.program, f"{one.tokens:,}", number(one.cpu_s_per_1000_tokens, 3),
            number(one.first_token_p50_ms), number(one.first_token_p95_ms),
            number(one.added_ms), one.errors,
        )  # fmt: skip
    return measured


async def failures(seconds: float, mine: set[int] | None) -> list[Throughput]:
    """Requests that name no model, while none of the first candidate's calls fails, and a third."""
    print(f"\none call in three of the first model fails, {FAILING_CONNECTIONS} connections")
    row("", "connections", "answers/s", "p50 ms", "p95 ms", "p99 ms", "CPU ms", "errors")
    measured: list[Throughput] = []
    answering = ("--first-token-delay-ms", str(ANSWER_DELAY_MS), "--model", "mistral:7b")
    for name, failing in (("healthy", ()), ("failing", ("--failing", MODEL, "3"))):
        async with (
            fake_ollama(0, *answering, *failing) as upstream,
            our_service(upstream, mine) as program,
        ):
            routed = graphql(program.whole.url, streamed=False, model=None)
            asked = replace(program, name=name, whole=routed)
            one = await throughput(asked, FAILING_CONNECTIONS, seconds)
        measured.append(one)
        row(
            one.program, one.connections, number(one.per_s, 0), number(one.p50_ms),
            number(one.p95_ms), number(one.p99_ms), number(one.cpu_ms, 2), one.errors,
        )  # fmt: skip
    return measured


async def run(given: argparse.Namespace) -> None:
    mine, theirs = two_cores()
    pin(0, theirs)
    if mine is None:
        print("Programs and load share their cores here: read the ratios with care.")
    report = {
        "python": platform.python_version(),
        "cores": {"program": sorted(mine or ()), "load": sorted(theirs or ())},
        "load_average": os.getloadavg(),
        "seconds": given.seconds,
        "whole": [
            asdict(one) for one in await whole_answers(given.seconds, given.connections, mine)
        ],
        "streams": [asdict(one) for one in await streams(given.seconds, mine)],
        "failures": [asdict(one) for one in await failures(given.seconds, mine)],
    }
    print("\n" + json.dumps(report))


def main() -> None:
    parser = argparse.ArgumentParser(description="Completions under load.")
    parser.add_argument("--seconds", type=float, default=5.0, help="of each measurement")
    parser.add_argument(
        "--connections", type=int, nargs="+", default=list(CONNECTIONS), metavar="N"
    )
    uvloop.run(run(parser.parse_args()))


if __name__ == "__main__":
    main()
