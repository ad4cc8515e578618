"""Answers from the cache under load, beside LiteLLM's: part of `make bench`.

One request, asked over and over: the first time a model answers, then the cache does. At full speed
over 1 to 256 connections, and at 200 requests a second, where what counts is the latency; of ours
also when every request is another one, so that the cache is asked in vain. As in
``tests.bench.completions`` the program under test, PostgreSQL included, has one core alone.

LiteLLM is run as its own documentation has it, with its cache in memory and no database, where
``--litellm`` names its executable: ``pip install 'litellm[proxy]'`` into an environment of its own.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import uvloop

from tests.bench import peers
from tests.bench.completions import GENERATE, LAST_WORD, MODEL, graphql
from tests.bench.cores import pin, two_cores
from tests.bench.load import Target, drive
from tests.bench.peers import PEER_MODEL
from tests.bench.programs import (
    TOKENS,
    Program,
    fake_provider,
    number,
    our_service,
    question,
    report_errors,
    row,
)

CONNECTIONS = (1, 16, 64, 256)
PACED_PER_S = 200.0
PACED_CONNECTIONS = 16
WARM_UP_S = 1.0


@dataclass(frozen=True, slots=True)
class Hits:
    """One program at one load. ``asked_per_s`` None: as fast as it can; CPU time is per answer."""

    program: str
    connections: int
    asked_per_s: float | None
    per_s: float
    p50_ms: float | None
    p99_ms: float | None
    cpu_ms: float | None
    errors: int


@dataclass(frozen=True, slots=True)
class Asked:
    """A program, and how it is asked: the same again and again, and something new each time.

    ``vain`` is None where that is not measured.
    """

    program: Program
    same: Target
    vain: Target | None = None


@asynccontextmanager
async def ours(upstream: str, cores: set[int] | None) -> AsyncIterator[Asked]:
    cached = {"cache_enabled": "true", "cache_ttl_s": "86400"}
    async with our_service(cores, ollama_url=upstream, **cached) as service:
        url = service.url
        yield Asked(Program("assistant", service.process.pid, url), _same(url), graphql(url))


def _same(url: str) -> Target:
    given = {"text": question(0), "model": f"ollama/{MODEL}"}
    body = json.dumps({"query": GENERATE, "variables": {"input": given}}).encode()
    return Target(f"{url}/graphql", lambda _number: body, LAST_WORD.encode())


@asynccontextmanager
async def litellm(executable: Path, cores: set[int] | None, folder: Path) -> AsyncIterator[Asked]:
    """Source: https://docs.litellm.ai/docs/proxy/caching, in-memory cache."""
    cached = {"cache": True, "cache_params": {"type": "local"}}
    async with (
        fake_provider("openai", 0) as upstream,
        peers.litellm(executable, upstream, cores, folder, **cached) as program,
    ):
        messages = [{"role": "user", "content": question(0)}]
        body = json.dumps({"model": PEER_MODEL, "messages": messages}).encode()
        url = f"{program.url}/v1/chat/completions"
        yield Asked(program, Target(url, lambda _n: body, LAST_WORD.encode(), b'"error"'))


async def measure(
    program: Program, target: Target, connections: int, seconds: float, per_s: float | None
) -> Hits:
    await drive(target, connections, min(WARM_UP_S, seconds))
    before_s = sum(program.cpu_s())
    result = await drive(target, connections, seconds, per_s=per_s)
    used_s = sum(program.cpu_s()) - before_s
    report_errors(program.name, result)
    answers = len(result.latencies_s)
    return Hits(
        program=program.name,
        connections=connections,
        asked_per_s=per_s,
        per_s=result.per_s,
        p50_ms=result.latency_ms(50),
        p99_ms=result.latency_ms(99),
        cpu_ms=1000 * used_s / answers if answers else None,
        errors=len(result.errors),
    )


def show(what: str, one: Hits) -> None:
    asked = "-" if one.asked_per_s is None else f"{one.asked_per_s:g}"
    row(
        what, one.connections, asked, number(one.per_s, 0), number(one.p50_ms), number(one.p99_ms),
        number(one.cpu_ms, 2), one.errors,
    )  # fmt: skip


async def of_program(
    starting: AbstractAsyncContextManager[Asked], seconds: float, connections: list[int]
) -> list[Hits]:
    measured = []
    async with starting as asked:
        program = asked.program
        for count in connections:
            measured.append(await measure(program, asked.same, count, seconds, None))
            show(program.name, measured[-1])
        paced = await measure(program, asked.same, PACED_CONNECTIONS, seconds, PACED_PER_S)
        measured.append(paced)
        show(program.name, paced)
        if asked.vain is not None:
            for count in connections:
                one = await measure(program, asked.vain, count, seconds, None)
                measured.append(one)
                show("in vain", one)
    return measured


async def run(given: argparse.Namespace) -> None:
    mine, theirs = two_cores()
    pin(0, theirs)
    print(f"\nanswers of {TOKENS} tokens from the cache")
    row("", "connections", "asked/s", "answers/s", "p50 ms", "p99 ms", "CPU ms", "errors")
    measured: list[Hits] = []
    async with fake_provider("ollama", 0) as upstream:
        measured += await of_program(ours(upstream, mine), given.seconds, given.connections)
    if given.litellm is None:
        print("LiteLLM is not measured: --litellm names no executable.")
    else:
        with tempfile.TemporaryDirectory(prefix="litellm-bench-") as folder:
            peer = litellm(given.litellm, mine, Path(folder))
            measured += await of_program(peer, given.seconds, given.connections)
    print("\n" + json.dumps([asdict(one) for one in measured]))


def main() -> None:
    parser = argparse.ArgumentParser(description="Answers from the cache under load.")
    parser.add_argument("--seconds", type=float, default=5.0, help="of each measurement")
    parser.add_argument(
        "--connections", type=int, nargs="+", default=list(CONNECTIONS), metavar="N"
    )
    parser.add_argument("--litellm", type=Path, help="LiteLLM's executable")
    uvloop.run(run(parser.parse_args()))


if __name__ == "__main__":
    main()
