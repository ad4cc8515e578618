"""What the tests of this folder share: Node and its packages, the service, other subgraphs."""

from __future__ import annotations

import shutil
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import pytest
import pytest_asyncio

from assistant.adapters.postgres.embedded import EmbeddedPostgres
from tests.federation.client import GraphQLClient
from tests.federation.processes import HERE, ROOT, Program, run_node, running
from tests.node_packages import lacking, node_with_packages
from tests.running_service import running_service

GATEWAY_SECRET = "a-secret-that-only-gateways-know"
GATEWAY_IDENTITY = {
    "x-gateway-secret": GATEWAY_SECRET,
    "x-tenant-id": "acme",
    "x-service-id": "gateway",
}
"""What a gateway sends when no user is involved."""
BUSY = ("busy-at-apollo", "busy-at-hive", "busy-over-sse", "busy-over-websocket")
"""Users who may make one request a minute."""


@dataclass(frozen=True, slots=True)
class Supergraph:
    """What the two composers made of our schema and the other teams'."""

    report: dict[str, dict[str, list[str]]]
    apollo: Path
    guild: Path


@dataclass(frozen=True, slots=True)
class Gateway:
    """A running gateway: ask it as a user, and see what it asked our subgraph for."""

    url: str
    program: Program
    subgraph_url: str

    def client(self, user: str) -> GraphQLClient:
        return GraphQLClient(self.url, {"authorization": f"Bearer {user}"})

    def subgraph_requests(self) -> list[dict[str, str]]:
        """Every request to our subgraph since the start: url, method and query."""
        return [
            request
            for request in self.program.reports()
            if "query" in request and request["url"].startswith(self.subgraph_url)
        ]


@pytest.fixture(scope="session")
def node() -> str:
    """The Node that has this folder's packages, installed once per lock file."""
    return node_with_packages(HERE)


@pytest.fixture(scope="session")
def chromium() -> str:
    """A Chromium of the system."""
    for name in ("chromium", "chromium-browser", "google-chrome"):
        if path := shutil.which(name):
            return path
    return lacking("the test of the page needs chromium, chromium-browser or google-chrome")


@pytest.fixture(scope="session")
def ollama(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of an Ollama that takes a second to answer with 40 tokens."""
    module = [sys.executable, "-m", "tests.providers.fake_ollama"]
    options = ["--port", "0", "--tokens", "40", "--token-delay-ms", "25"]
    output = tmp_path_factory.mktemp("ollama") / "log"
    with running([*module, *options], output, {"PYTHONPATH": str(ROOT)}) as program:
        yield program.wait_for_line("listening on ").removeprefix("listening on ")


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def subgraph(ollama: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    """The service as a gateway meets it: identity only beside the gateway's secret."""
    folder = tmp_path_factory.mktemp("subgraph")
    async with running_service(
        folder,
        auth_mode="strict",
        gateway_secrets=GATEWAY_SECRET,
        ollama_url=ollama,
    ) as service:
        await _limit_requests(folder, BUSY)
        yield f"{service.url}/graphql"


async def _limit_requests(folder: Path, users: Sequence[str]) -> None:
    """Let each of ``users`` make one request, and another one a minute later."""
    server = EmbeddedPostgres(folder / "data" / "postgres")
    try:
        async with await psycopg.AsyncConnection.connect(await server.start()) as connection:
            await connection.execute("SELECT set_config('assistant.tenant_id', 'acme', false)")
            for user in users:
                await connection.execute(
                    "INSERT INTO rate_limits VALUES "
                    "('acme', %s, 'USER', %s, 'REQUESTS', 1, 1, now(), now())",
                    (uuid4(), user),
                )
    finally:
        await server.stop()


@pytest.fixture(scope="session")
def supergraph(
    node: str, subgraph: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Supergraph]:
    folder = tmp_path_factory.mktemp("supergraph")
    with running([node, "subgraphs.mjs"], folder / "subgraphs.log") as program:
        others = program.wait_for_report()
        report = run_node(
            [
                *(node, "compose.mjs", str(folder)),
                f"assistant={ROOT / 'schema.graphql'}={subgraph}",
                f"accounts=accounts.graphql={others['accounts']}",
                f"tickets=tickets.graphql={others['tickets']}",
            ]
        )
        yield Supergraph(report, folder / "apollo.graphql", folder / "guild.graphql")


@pytest.fixture(scope="session")
def start_gateway(
    node: str, subgraph: str, supergraph: Supergraph, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[..., Gateway]]:
    """Starts a gateway at its first use; all of them end with the session."""
    commands: dict[str, list[Any]] = {
        "apollo": ["apollo-gateway.mjs", supergraph.apollo],
        "hive over SSE": ["hive-gateway.mjs", supergraph.guild, "sse"],
        "hive over WebSocket": ["hive-gateway.mjs", supergraph.guild, "ws"],
    }
    started: dict[str, Gateway] = {}
    with ExitStack() as programs:

        def start(name: str) -> Gateway:
            if name not in started:
                program = programs.enter_context(
                    running(
                        [node, *map(str, commands[name])],
                        tmp_path_factory.mktemp("gateway") / "log",
                        {"GATEWAY_SECRET": GATEWAY_SECRET},
                    )
                )
                url = program.wait_for_report()["url"]
                started[name] = Gateway(url, program, subgraph)
            return started[name]

        yield start
