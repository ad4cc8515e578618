"""What the flow itself costs: one completion in process, over ports that do nothing.

``python -m tests.bench.flow``; the best of five rounds, in microseconds of one core. Rendering,
routing, attempts with all that stands around them, and the ledger's records are in it; the
network, the database, GraphQL and real token counts are not.
"""

from __future__ import annotations

import logging
import time
from dataclasses import replace

import structlog
import uvloop

from assistant.services.cache_keeper import CacheLimits
from tests.unit.fakes import answering, model
from tests.unit.world import World, request_of

ROUNDS = 5
COMPLETIONS = 1_000
TOKENS = 64


async def cost_us(world: World, *, streamed: bool = False, **wanted: object) -> float:
    """Of one completion."""
    request = request_of(**wanted)

    async def emit(_event: object) -> None:
        return None

    async def one() -> None:
        if streamed:
            await world.flow.complete(request, emit)
        else:
            await world.flow.complete(request)
        world.store.opened.clear()
        world.store.settled.clear()
        world.telemetry.settled.clear()

    for _ in range(COMPLETIONS // 5):
        await one()
    rounds = []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        for _ in range(COMPLETIONS):
            await one()
        rounds.append(time.perf_counter() - started)
    return 1e6 * min(rounds) / COMPLETIONS


async def main() -> None:
    many = [model(f"ollama/m{number}", preference=number) for number in range(20)]
    providers = {row.id: answering("x") for row in many}
    stream = {"ollama/m0": answering(*["x"] * TOKENS)}
    named = await cost_us(World(providers, many), model="ollama/m0")
    routed = await cost_us(World(providers, many))
    unfit = [many[0], *(replace(row, is_allowed=False) for row in many[1:])]
    filtered = await cost_us(World(providers, unfit))
    whole = await cost_us(World(stream), streamed=True)
    cached = World(providers, many, cache_limits=CacheLimits(lookup_timeout_s=1))
    hit = await cost_us(cached, model="ollama/m0")
    print(f"a hit in memory             {hit:7.0f} us")
    print(f"a named model               {named:7.0f} us")
    print(f"chosen among 20             {routed:7.0f} us")
    print(f"1 of 20 may be used         {filtered:7.0f} us")
    print(f"a stream of {TOKENS} tokens      {whole:7.0f} us")


if __name__ == "__main__":
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    uvloop.run(main())
