"""What a look into the cache takes: `.venv/bin/python -m tests.bench.cache_lookup --entries 1000`.

For each number of entries, and with ``--elsewhere`` that many more in other scopes of 1,000:
milliseconds of a lookup by key that finds something and of one that does not, of a search by
meaning, of all that a request waits for (reading its wording, embedding it, the search, the guards),
of a search in one of the other scopes, and of keeping an answer; of one caller alone, and by key
also of 64 at once. Then how many of the five nearest, and of the nearest, a search finds of those
that comparing all entries finds, and what an entry takes on disk.

Vectors are what real questions come to: those of the labelled pairs of tests/quality, mixed by
twos and blurred, so that some are near one another. The embedded server and the program share all
cores; nothing else should run. A million entries take about a quarter of an hour to index.
"""

from __future__ import annotations

import argparse
import asyncio
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np
import psycopg

from assistant.adapters.embedding import MiniLmEmbedder
from assistant.adapters.postgres import migrate
from assistant.adapters.postgres.cache import PostgresCache
from assistant.adapters.postgres.cache_rows import vector_text
from assistant.adapters.postgres.cluster import OWNER_ROLE
from assistant.adapters.postgres.connection import Database
from assistant.adapters.postgres.embedded import EmbeddedPostgres
from assistant.domain.cache import CacheKey
from assistant.services.wording import failing_guard, read_wording
from assistant.settings import load_settings
from tests.postgres.cache_entries import an_entry, digest
from tests.quality.cache.pairs import load_pairs

TENANT = "bench"
NEAREST = 5
ROUNDS = 200
SCOPE = 0
ELSEWHERE = 1_000  # entries of each of the other scopes

_COPIED = np.dtype(
    [
        *(("fields", ">i2"), ("number_size", ">i4"), ("number", ">i4")),
        *(("scope_size", ">i4"), ("scope", ">i4")),
        *(("vector_size", ">i4"), ("dimensions", ">i2"), ("unused", ">i2")),
        ("vector", ">f4", 384),
    ]
)
_FILL = """
    INSERT INTO cache_entries (
        tenant_id, id, created_at, key, scope, wording, embedding, min_similarity, answer, model,
        tokens, cost, size_bytes, fresh_until, expires_at)
    SELECT 'bench', uuidv7(), now(), sha256(number::text::bytea), sha256(scope::text::bytea),
           'What is ' || number || '?', vector, 0.95,
           json_build_object(
               'text', repeat(md5(number::text) || ' ', 25), 'finish_reason', 'STOP',
               'model', 'ollama/m', 'json', null, 'reasoning', '', 'prompt_tokens', 100,
               'completion_tokens', 200, 'cost', '0.01', 'latency_ms', 900),
           'ollama/m', 300, 0.01, 5000, now() + interval '1 day', now() + interval '1 day'
    FROM made
"""
_EXACT = """
    SELECT id FROM cache_entries
    WHERE tenant_id = 'bench' AND scope = %s AND embedding IS NOT NULL
    ORDER BY embedding <#> %s::vector LIMIT 5
"""


class Questions:
    """Vectors as real questions have them, as many as are wanted."""

    def __init__(self, base: np.ndarray) -> None:
        self._base = base

    def vectors(self, count: int, seed: int) -> np.ndarray:
        chance = np.random.default_rng(seed)
        one, other = (self._base[chance.integers(0, len(self._base), count)] for _ in range(2))
        share = chance.uniform(0.1, 0.5, size=(count, 1)).astype(np.float32)
        blur = chance.normal(size=(count, 384)).astype(np.float32)
        blur *= 0.25 / np.linalg.norm(blur, axis=1, keepdims=True)
        mixed = (1 - share) * one + share * other + blur
        return mixed / np.linalg.norm(mixed, axis=1, keepdims=True)


class Filling:
    """Entries that are written past the adapter, because a million of them are to be there."""

    def __init__(self, owner: psycopg.AsyncConnection, questions: Questions) -> None:
        self._owner = owner
        self._questions = questions
        self.count = 0

    async def add(self, count: int, first_scope: int, scopes: int) -> None:
        await self._owner.execute(
            "CREATE TEMP TABLE made (number integer, scope integer, vector vector(384))"
        )
        async with (
            self._owner.cursor() as cursor,
            cursor.copy("COPY made FROM STDIN (FORMAT binary)") as copy,
        ):
            await copy.write(b"PGCOPY\n\xff\r\n\0" + bytes(8))
            for at in range(0, count, 20_000):
                size = min(20_000, count - at)
                rows = np.zeros(size, dtype=_COPIED)
                rows["fields"], rows["dimensions"] = 3, 384
                rows["number_size"], rows["scope_size"], rows["vector_size"] = 4, 4, 1540
                rows["number"] = self.count + np.arange(size)
                rows["scope"] = first_scope + (at + np.arange(size)) % scopes
                rows["vector"] = self._questions.vectors(size, seed=self.count)
                self.count += size
                await copy.write(rows.tobytes())
            await copy.write(b"\xff\xff")
        await self._owner.execute(_FILL)
        await self._owner.execute("DROP TABLE made")

    @asynccontextmanager
    async def indexed(self) -> AsyncIterator[None]:
        """Index vectors that are added in the block all at once, which is many times quicker."""
        definition = await self._fetch(
            "SELECT pg_get_indexdef('cache_entries_embedding'::regclass)"
        )
        await self._owner.execute("DROP INDEX cache_entries_embedding")
        yield
        await self._owner.execute(str(definition).replace("ON ONLY", "ON").encode())
        await self._owner.execute("VACUUM ANALYZE cache_entries")
        # Until all is written, the disk has no time for anybody else.
        await self._owner.execute("RESET ROLE")
        await self._owner.execute("CHECKPOINT")
        await self._owner.execute(f"SET ROLE {OWNER_ROLE}".encode())

    async def bytes_per_entry(self) -> float:
        return float(
            await self._fetch(
                "SELECT sum(pg_total_relation_size(relid)) / (SELECT count(*) FROM cache_entries) "
                "FROM pg_partition_tree('cache_entries') WHERE isleaf"
            )
        )

    async def nearest(self, vector: Sequence[float]) -> list[object]:
        """The ids of the nearest of SCOPE, by comparing all of them."""
        cursor = await self._owner.execute(
            _EXACT, (digest(str(SCOPE)), vector_text(vector)), prepare=False
        )
        return [row[0] for row in await cursor.fetchall()]

    async def _fetch(self, sql: str) -> object:
        row = await (await self._owner.execute(sql.encode())).fetchone()
        assert row is not None
        return row[0]


async def timed(name: str, work: Callable[[int], Awaitable[object]], rounds: int = ROUNDS) -> None:
    for number in range(10):
        await work(number)
    waits_ms = []
    for number in range(rounds):
        started = time.perf_counter()
        await work(number)
        waits_ms.append((time.perf_counter() - started) * 1000)
    p50, p95, p99 = np.percentile(waits_ms, [50, 95, 99])
    print(f"  {name:42} p50 {p50:7.2f}  p95 {p95:7.2f}  p99 {p99:7.2f} ms", flush=True)


async def measure(
    cache: PostgresCache,
    embedder: MiniLmEmbedder,
    filling: Filling,
    questions: Questions,
    texts: Sequence[str],
    in_scope: int,
) -> None:
    asked = [[float(x) for x in vector] for vector in questions.vectors(ROUNDS, seed=2**31)]

    def key(number: int, scope: int = SCOPE) -> CacheKey:
        return CacheKey(TENANT, digest(str(number)), digest(str(scope)), "What?")

    async def hit(number: int) -> None:
        assert await cache.find(key(number % in_scope)) is not None

    async def whole(number: int) -> None:
        wording = read_wording(texts[number % len(texts)])
        vector = (await embedder.embed([wording.canonical]))[0]
        for entry, _ in await cache.find_similar(key(0), vector, NEAREST):
            failing_guard(wording, read_wording(entry.key.wording or ""))

    async def keep(number: int) -> None:
        vector = [float(x) for x in questions.vectors(1, seed=2**30 + number)[0]]
        await cache.keep(an_entry(CacheKey(TENANT, digest(f"kept {number}")), vector=vector))

    await timed("by key, found", hit)
    await timed("by key, not found", lambda number: cache.find(key(-number - 1)))
    await timed(
        "by key, found, 64 at once",
        lambda number: asyncio.gather(*(hit(number * 64 + each) for each in range(64))),
    )
    await timed("by meaning", lambda n: cache.find_similar(key(0), asked[n], NEAREST))
    await timed("wording, embedding, search and guards", whole)
    if filling.count > in_scope:
        await timed(
            "by meaning in another scope, of 1,000",
            lambda n: cache.find_similar(key(0, 1 + n), asked[n], NEAREST),
        )
    await timed("keeping", keep)
    all_right = first_right = 0
    for vector in asked:
        expected = await filling.nearest(vector)
        found = [entry.id for entry, _ in await cache.find_similar(key(0), vector, NEAREST)]
        all_right += len({*expected} & {*found})
        first_right += expected[0] in found[:1]
    print(
        f"  found of the nearest {NEAREST}: {all_right / NEAREST / len(asked):.2%}, "
        f"of the nearest: {first_right / len(asked):.2%} (of {len(asked)}); "
        f"{await filling.bytes_per_entry():,.0f} bytes an entry"
    )


async def run(entries: Sequence[int], elsewhere: int) -> None:
    embedder = MiniLmEmbedder(load_settings().embedding_dir)
    if (problem := await embedder.check()) is not None:
        raise SystemExit(problem)
    texts = sorted({text for pair in load_pairs() for text in (pair.a, pair.b)})
    vectors = await embedder.embed([read_wording(text).canonical for text in texts])
    questions = Questions(np.asarray(vectors, dtype=np.float32))
    print(f"{len(texts):,} questions embedded")
    folder = Path(tempfile.mkdtemp(prefix="assistant-bench-"))
    embedded = EmbeddedPostgres(folder / "postgres")
    try:
        url = await embedded.start()
        await migrate.upgrade(url)
        database = Database(embedded.service_url)
        await database.start()
        cache = PostgresCache(database)
        superuser = url.replace(OWNER_ROLE, "postgres", 1)
        async with await psycopg.AsyncConnection.connect(superuser, autocommit=True) as owner:
            await owner.execute(f"SET ROLE {OWNER_ROLE}".encode())
            await owner.execute("SELECT set_config('assistant.tenant_id', 'bench', false)")
            await owner.execute("SET maintenance_work_mem = '4GB'")
            # What is compared one by one is not to come from an index.
            await owner.execute("SET enable_indexscan = off")
            filling = Filling(owner, questions)
            in_scope = 0
            for wanted in sorted(entries):
                started = time.perf_counter()
                async with filling.indexed():
                    await filling.add(wanted - in_scope, SCOPE, 1)
                    in_scope = wanted
                    if wanted == max(entries) and elsewhere:
                        await filling.add(elsewhere, SCOPE + 1, max(elsewhere // ELSEWHERE, 1))
                print(
                    f"{in_scope:,} entries in the scope, {filling.count:,} in all (written and "
                    f"indexed in {time.perf_counter() - started:.0f} s)"
                )
                await measure(cache, embedder, filling, questions, texts, in_scope)
        await cache.close()
        await database.close()
    finally:
        await embedder.close()
        await embedded.stop()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="What a look into the cache takes")
    parser.add_argument("--entries", type=int, nargs="+", default=[1_000, 10_000, 100_000])
    parser.add_argument("--elsewhere", type=int, default=0)
    arguments = parser.parse_args()
    asyncio.run(run(arguments.entries, arguments.elsewhere))
