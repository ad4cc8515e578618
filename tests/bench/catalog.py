"""A large catalog of prompts: a page of it with versions and figures, over HTTP.

``python -m tests.bench.catalog``; 1,000 prompts of 20 versions each, with usage of 30 days.
Each operation is asked for one at a time, as a person's page would; milliseconds.
"""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import time
from pathlib import Path

import uvloop

from tests.postgres.server import connect, running_server
from tests.running_service import NO_OLLAMA, RunningService, running_service

PROMPTS, VERSIONS, USAGE_ROWS = 1_000, 20, 300_000
ASKED = 60

OPERATIONS = {
    "names and published versions": """{ prompts(first: 50) { nodes { name
        publishedVersion { version status } } } }""",
    "with 20 versions each": """{ prompts(first: 50) { nodes { name
        versions(first: 20) { nodes { version status task createdAt } } } } }""",
    "with versions and performance": """{ prompts(first: 50) { nodes { name
        versions(first: 20) { nodes { version status } }
        performance { requests successRate averageLatencyMs averageTokens averageCost { amount }
            byVersion { requests successRate averageLatencyMs } } } } }""",
    "and exact percentiles": """{ prompts(first: 50) { nodes { name
        versions(first: 20) { nodes { version status } }
        performance { requests successRate averageLatencyMs latencyP50Ms latencyP95Ms
            byVersion { requests latencyP95Ms } } } } }""",
    "one prompt's performance": """{ promptPerformance(promptName: "bench-0500") {
        requests latencyP50Ms latencyP95Ms averageCost { amount }
        byVersion { promptVersion { version } requests latencyP95Ms } } }""",
}

# Usage is counted by the hour as it is written, as in the service.
_FILL = f"""
INSERT INTO prompts (tenant_id, id, name, category, created_at, updated_at)
SELECT 'default', uuidv7(), 'bench-' || lpad(n::text, 4, '0'), 'bench', now(), now()
FROM generate_series(1, {PROMPTS}) AS n;
INSERT INTO prompt_versions (tenant_id, id, prompt_id, version, status, template, variables, task,
                             parameters, created_at, published_at)
SELECT tenant_id, uuidv7(), id, v, CASE v WHEN {VERSIONS} THEN 'PUBLISHED' ELSE 'ARCHIVED' END,
       repeat('words and {{{{text}}}} ', 50), '[]', 'GENERAL', '{{}}', now(), now()
FROM prompts, generate_series(1, {VERSIONS}) AS v WHERE name LIKE 'bench-%';
UPDATE prompts AS p SET published_version_id = v.id FROM prompt_versions AS v
WHERE v.prompt_id = p.id AND v.version = {VERSIONS} AND p.tenant_id = v.tenant_id;
CREATE TEMP TABLE used AS
SELECT row_number() OVER () AS n, v.id FROM prompt_versions AS v JOIN prompts AS p
    ON p.id = v.prompt_id WHERE p.name LIKE 'bench-%' AND v.version > {VERSIONS - 3};
INSERT INTO usage_logs (tenant_id, id, created_at, status, prompt_version_id, model, provider,
                        prompt_tokens, completion_tokens, cached_tokens, is_estimated, cost,
                        saved_cost, cache, latency_ms)
SELECT 'default', uuidv7(), now() - random() * interval '29 days',
       CASE WHEN random() < 0.97 THEN 'SUCCEEDED' ELSE 'FAILED' END, used.id, 'ollama/x', 'ollama',
       100, 50, 0, false, 0.001, 0, 'MISS', (100 + 900 * random())::int
FROM generate_series(1, {USAGE_ROWS}) AS g JOIN used
    ON used.n = 1 + g % (SELECT count(*) FROM used);
"""


async def percentiles_ms(service: RunningService, operation: str) -> tuple[float, float]:
    """p50 and p95 of one operation."""
    taken = []
    for number in range(ASKED + 5):
        started = time.perf_counter()
        answer = await service.graphql(operation)
        if number >= 5:
            taken.append(1_000 * (time.perf_counter() - started))
        assert "errors" not in answer, answer
    cuts = statistics.quantiles(taken, n=20)
    return statistics.median(taken), cuts[-1]


async def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        async with running_server() as server, server.database() as urls:
            async with await connect(urls.superuser) as connection:
                # Usage of a month reaches into months that have no partition on a fresh database.
                await connection.execute(
                    "SELECT assistant_maintain_partitions(2, 24, now() - interval '1 month')"
                )
                for statement in _FILL.split(";\n"):
                    if statement.strip():
                        await connection.execute(statement.encode())
                await connection.execute("VACUUM ANALYZE")
            async with running_service(
                Path(folder), ollama_url=NO_OLLAMA, database_url=urls.owner
            ) as service:
                print(f"{PROMPTS:,} prompts of {VERSIONS} versions, {USAGE_ROWS:,} usage rows")
                for name, operation in OPERATIONS.items():
                    p50, p95 = await percentiles_ms(service, operation)
                    print(f"{name:32} p50 {p50:6.1f} ms   p95 {p95:6.1f} ms")


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())
