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
import asyncio
import json
import os
import tempfile
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import uvloop

from tests.bench.completions import (
    GENERATE,
    LAST_WORD,
    MODEL,
    TOKENS,
    Program,
    fake_ollama,
    graphql,
    number,
    process,
    question,
    reachable,
    report_errors,
    row,
    started_on,
)
from tests.bench.cores import pin, two_cores
from tests.bench.load import Target, drive
from tests.running_service import free_port, running_service

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


@asynccontextmanager
async def our_service(upstream: str, cores: set[int] | None) -> AsyncIterator[Program]:
    with tempfile.TemporaryDirectory(prefix="assistant-bench-") as folder:
        starting = running_service(
            Path(folder), ollama_url=upstream, cache_enabled="true", cache_ttl_s="86400"
        )
        with started_on(cores):
            service = await starting.__aenter__()
        try:
            url = f"{service.url}/graphql"
            yield Program(
                "assistant", service.process.pid, _same(url), graphql(url, streamed=False)
            )
        finally:
            await starting.__aexit__(None, None, None)


def _same(url: str) -> Target:
    given = {"text": question(0), "model": f"ollama/{MODEL}"}
    body = json.dumps({"query": GENERATE, "variables": {"input": given}}).encode()
    return Target(url, lambda _number: body, LAST_WORD.encode())


@asynccontextmanager
async def litellm(executable: Path, cores: set[int] | None, folder: Path) -> AsyncIterator[Program]:
    """Source: https://docs.litellm.ai/docs/proxy/caching, in-memory cache."""
    command = ["tests.providers.fake_openai", "--port", "0", "--tokens", str(TOKENS)]
    async with process(*command) as fake:
        assert fake.stdout is not None
        upstream = (await fake.stdout.readline()).decode().split()[-1]
        config = folder / "litellm.json"  # JSON is YAML
        model = {"model": "openai/gpt-4o-mini", "api_base": upstream, "api_key": "none"}
        config.write_text(
            json.dumps(
                {
                    "model_list": [{"model_name": "m", "litellm_params": model}],
                    "litellm_settings": {"cache": True, "cache_params": {"type": "local"}},
                }
            )
        )
        port = free_port()
        log = (folder / "litellm.log").open("wb")
        with started_on(cores):
            running = await asyncio.create_subprocess_exec(
                executable, "--config", config, "--port", str(port), "--host", "127.0.0.1",
                "--num_workers", "1", stdout=log, stderr=log,
                # It insists on a key otherwise, and would check it with every request.
                env=os.environ | {"LITELLM_DANGEROUSLY_PERMIT_WEAK_OR_UNSET_MASTER_KEY": "true"},
            )  # fmt: skip
        try:
            url = f"http://127.0.0.1:{port}"
            async with asyncio.timeout(90):
                await reachable(url)
            messages = [{"role": "user", "content": question(0)}]
            body = json.dumps({"model": "m", "messages": messages}).encode()
            target = Target(
                f"{url}/v1/chat/completions", lambda _n: body, LAST_WORD.encode(), b'"error"'
            )
            yield Program("LiteLLM", running.pid, target, target)
        finally:
            with suppress(ProcessLookupError):
                running.terminate()
            await running.wait()
            log.close()


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
    starting: AbstractAsyncContextManager[Program], seconds: float, connections: list[int]
) -> list[Hits]:
    measured = []
    async with starting as program:
        for count in connections:
            measured.append(await measure(program, program.whole, count, seconds, None))
            show(program.name, measured[-1])
        paced = await measure(program, program.whole, PACED_CONNECTIONS, seconds, PACED_PER_S)
        measured.append(paced)
        show(program.name, paced)
        if program.streamed is not program.whole:
            for count in connections:
                one = await measure(program, program.streamed, count, seconds, None)
                measured.append(one)
                show("in vain", one)
    return measured


async def run(given: argparse.Namespace) -> None:
    mine, theirs = two_cores()
    pin(0, theirs)
    print(f"\nanswers of {TOKENS} tokens from the cache")
    row("", "connections", "asked/s", "answers/s", "p50 ms", "p99 ms", "CPU ms", "errors")
    measured: list[Hits] = []
    async with fake_ollama(0) as upstream:
        measured += await of_program(our_service(upstream, mine), given.seconds, given.connections)
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
