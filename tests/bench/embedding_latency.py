"""How long the embedder takes: `.venv/bin/python -m tests.bench.embedding_latency`.

Prints, for texts of 16 and 256 word pieces and one core: the median and the 95th percentile of
one caller's wait, then texts per second and the median wait of 32 callers at once.
"""

from __future__ import annotations

import asyncio
import time
from statistics import median, quantiles

from assistant.adapters.embedding import MiniLmEmbedder
from assistant.settings import load_settings

ROUNDS = 100
CALLERS = 32


async def measure(embedder: MiniLmEmbedder, pieces: int) -> None:
    text = "hello " * (pieces - 2)
    assert embedder.word_pieces(text) == pieces

    async def wait_ms() -> float:
        started = time.perf_counter()
        await embedder.embed([text])
        return (time.perf_counter() - started) * 1000

    alone = [await wait_ms() for _ in range(ROUNDS)]
    started = time.perf_counter()
    together = await asyncio.gather(*(wait_ms() for _ in range(CALLERS)))
    rate = CALLERS / (time.perf_counter() - started)
    print(
        f"{pieces:3} pieces: p50 {median(alone):5.1f} ms, p95 {quantiles(alone, n=20)[-1]:5.1f} ms"
        f" alone; {CALLERS} callers at once: {rate:5.0f} texts/s, p50 {median(together):6.1f} ms"
    )


async def main() -> None:
    started = time.perf_counter()
    embedder = MiniLmEmbedder(load_settings().embedding_dir)
    problem = await embedder.check()
    if problem is not None:
        raise SystemExit(problem)
    print(f"loaded and checked in {(time.perf_counter() - started) * 1000:.0f} ms")
    for pieces in (16, 256):
        await measure(embedder, pieces)
    await embedder.close()


if __name__ == "__main__":
    asyncio.run(main())
