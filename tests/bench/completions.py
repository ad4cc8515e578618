"""Completions under load, beside a bare pass-through proxy: `make bench`.

The upstream is the fake Ollama with answers of 64 tokens, without latency. Whole answers once more
with a price, and with budgets and limits of every kind that are never used up. Then the service
alone, with a model of which every third call fails and another one to fail over to. Streams:
``tests.bench.streams``. The program under test, PostgreSQL included, has one core alone; load
and upstream have the others. Both programs run one worker on uvloop and httptools.

Prints a table, then the same as JSON. Nothing is asserted: machines differ. What can be compared
is the ratio to the pass-through on the same machine.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, replace

import uvloop

from tests.bench.cores import pin, two_cores
from tests.bench.limits import set_everything
from tests.bench.load import Target, drive
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

CONNECTIONS = (1, 16, 64, 256)
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


# ------------------------------------------------------------------ what is asked


def chat(url: str) -> Target:
    """Ollama's own request, through the proxy."""

    def body(number: int) -> bytes:
        messages = [{"role": "user", "content": question(number)}]
        return json.dumps({"model": MODEL, "messages": messages, "stream": False}).encode()

    return Target(f"{url}/whole", body, LAST_WORD.encode(), refused=b'"error"')


def graphql(url: str, model: str | None = f"ollama/{MODEL}") -> Target:
    def body(number: int) -> bytes:
        given = {"text": question(number), "model": model}
        return json.dumps({"query": GENERATE, "variables": {"input": given}}).encode()

    return Target(f"{url}/graphql", body, LAST_WORD.encode())


# ------------------------------------------------------------------- the programs


@asynccontextmanager
async def bare(upstream: str, cores: set[int] | None) -> AsyncIterator[tuple[Program, Target]]:
    async with pass_through(f"{upstream}/api/chat", cores) as program:
        yield program, chat(program.url)


@asynccontextmanager
async def ours(upstream: str, cores: set[int] | None) -> AsyncIterator[tuple[Program, Target]]:
    async with our_service(cores, ollama_url=upstream) as service:
        yield Program("assistant", service.process.pid, service.url), graphql(service.url)


@asynccontextmanager
async def limited(upstream: str, cores: set[int] | None) -> AsyncIterator[tuple[Program, Target]]:
    """Ours, with a price of the model, nine budgets that hold, and limits of requests and tokens."""
    async with our_service(cores, ollama_url=upstream) as service:
        await set_everything(service, f"ollama/{MODEL}")
        yield Program("with all limits", service.process.pid, service.url), graphql(service.url)


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


async def throughput(
    program: Program, target: Target, connections: int, seconds: float
) -> Throughput:
    await drive(target, connections, min(WARM_UP_S, seconds))
    before = program.cpu_s()
    result = await drive(target, connections, seconds)
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


# -------------------------------------------------------------------- the report


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
    async with fake_provider("ollama", 0) as upstream:
        for start in (bare, ours, limited):
            async with start(upstream, mine) as (program, target):
                for count in connections:
                    one = await throughput(program, target, count, seconds)
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


async def failures(seconds: float, mine: set[int] | None) -> list[Throughput]:
    """Requests that name no model, while none of the first candidate's calls fails, and a third."""
    print(f"\none call in three of the first model fails, {FAILING_CONNECTIONS} connections")
    row("", "connections", "answers/s", "p50 ms", "p95 ms", "p99 ms", "CPU ms", "errors")
    measured: list[Throughput] = []
    answering = ("--first-token-delay-ms", str(ANSWER_DELAY_MS), "--model", "mistral:7b")
    for name, failing in (("healthy", ()), ("failing", ("--failing", MODEL, "3"))):
        async with (
            fake_provider("ollama", 0, *answering, *failing) as upstream,
            ours(upstream, mine) as (program, _),
        ):
            routed, asked = graphql(program.url, model=None), replace(program, name=name)
            one = await throughput(asked, routed, FAILING_CONNECTIONS, seconds)
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
