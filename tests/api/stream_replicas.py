"""Processes of the service on one database beside one model, and what was asked and charged."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import psutil

from tests.api.stream_readers import Reader
from tests.nursery import Born, Nursery, nursery
from tests.postgres.server import DatabaseUrls, PostgresServer, connect, running_server
from tests.providers.fake_ollama import FakeOllama
from tests.providers.fake_server import ReceivedRequest

ANN = {"x-tenant-id": "acme", "x-user-id": "ann", "x-scopes": "assistant:complete"}
MODEL = "ollama/llama3.2:3b"
SET_MODEL = "mutation ($input: ModelInput!) { setModel(input: $input) { userErrors { message } } }"
SET_BUDGET = """mutation ($input: BudgetInput!) {
    setBudget(input: $input) { userErrors { message } } }"""


@dataclass(slots=True)
class Replicas:
    """``born`` serve; ``ollama`` answers them."""

    nursery: Nursery
    server: PostgresServer
    database: DatabaseUrls
    ollama: FakeOllama
    session: aiohttp.ClientSession
    born: list[Born]

    @property
    def urls(self) -> list[str]:
        return [one.url for one in self.born]

    async def all_ready(self) -> None:
        """Every process serves, and knows the model; who is gone is born anew."""
        async with asyncio.timeout(60):
            for place in range(len(self.born)):
                while not await self._is_ready(self.born[place]):
                    if not self.born[place].is_there:
                        self.born[place] = await self.nursery.bear()
                    await asyncio.sleep(0.05)

    async def _is_ready(self, born: Born) -> bool:
        if not await born.is_ready(self.session):
            return False
        answer = await self.graphql(born.url, "{ availableModels { id } }")
        return MODEL in str(answer)

    async def graphql(
        self, url: str, query: str, headers: dict[str, str] = ANN, **variables: Any
    ) -> dict[str, Any]:
        """The whole answer of an operation."""
        body = {"query": query, "variables": variables}
        async with self.session.post(f"{url}/graphql", json=body, headers=headers) as response:
            answer: dict[str, Any] = await response.json(content_type=None)
            return answer

    async def execute(self, statement: str, *parameters: object) -> list[tuple[Any, ...]]:
        """As the database's superuser."""
        async with await connect(self.database.superuser) as connection:
            cursor = await connection.execute(statement, parameters)  # type: ignore[arg-type]
            return await cursor.fetchall() if cursor.description else []

    def calls(self, text: str) -> list[ReceivedRequest]:
        """Those in which the model was asked this."""
        return [chat for chat in self.ollama.chats if chat.body["messages"][-1]["content"] == text]

    async def called(self, text: str) -> ReceivedRequest:
        """The first call in which the model is asked this, once there is one."""
        async with asyncio.timeout(10):
            while not (calls := self.calls(text)):
                await asyncio.sleep(0.01)
        return calls[0]

    async def charges(self, completion_id: str) -> list[tuple[str, int]]:
        """Status and completion tokens of all that was charged for it."""
        return [
            (status, tokens)
            for status, tokens in await self.execute(
                "SELECT status, completion_tokens FROM usage_logs WHERE id = %s AND attempt > 0",
                completion_id,
            )
        ]

    async def require_paid_once(self, readers: Sequence[Reader]) -> None:
        """Raises AssertionError unless each asked the model once, and was charged for it once."""
        for reader in readers:
            assert len(self.calls(reader.wanted["text"])) == 1, reader.wanted
            tokens = reader.last["response"]["usage"]["completionTokens"]
            assert await self.charges(reader.completion_id) == [("SUCCEEDED", tokens)]

    async def kill_database(self) -> None:
        """SIGKILL to all of it: it loses what is in no log of its own. It stays away until started."""
        ((pid_file,),) = await self.execute("SELECT pg_read_file('postmaster.pid')")
        postmaster = psutil.Process(int(pid_file.split()[0]))
        postmaster.suspend()  # it has no more children from here on
        processes = [postmaster, *postmaster.children(recursive=True)]
        for process in processes:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        # The next one does not start while any of them has its memory.
        await asyncio.to_thread(psutil.wait_procs, processes[1:], timeout=10)
        await self.server.embedded.stop()

    async def set_a_price(self) -> None:
        """Under a budget, so that what runs has money reserved."""
        model = {"id": MODEL, "inputPricePer1MTokens": "1", "outputPricePer1MTokens": "2"}
        for query, wanted in (
            (SET_MODEL, model | {"isAllowed": True}),
            (SET_BUDGET, {"scope": "GLOBAL", "window": "DAY", "limit": "1000"}),
        ):
            headers = ANN | {"x-scopes": "assistant:admin"}
            answer = await self.graphql(self.urls[0], query, headers, input=wanted)
            (payload,) = answer["data"].values()
            assert payload["userErrors"] == [], answer

    async def require_settled(self) -> None:
        """Raises AssertionError unless nothing runs or is reserved, and each counts once."""
        assert await self.execute("SELECT id FROM completions WHERE status = 'RUNNING'") == []
        assert await self.execute("SELECT * FROM reservations") == []
        assert await self.execute("SELECT * FROM budget_windows WHERE reserved <> 0") == []
        wrong = await self.execute(
            "SELECT id FROM usage_logs GROUP BY id HAVING count(*) FILTER (WHERE attempt = 0) <> 1 "
            "OR sum(prompt_tokens + completion_tokens) FILTER (WHERE attempt = 0) <> "
            "coalesce(sum(prompt_tokens + completion_tokens) FILTER (WHERE attempt > 0), 0)"
        )
        assert wrong == []


@asynccontextmanager
async def running_replicas(
    folder: Path, *, processes: int = 2, **settings: str
) -> AsyncIterator[Replicas]:
    """Streams go on for half a minute without a reader, as in production."""
    async with (
        running_server() as server,
        server.database() as urls,
        FakeOllama() as ollama,
        nursery(
            folder,
            urls.owner,
            **{"ollama_url": ollama.url, "stream_grace_s": "30", "ollama_max_concurrency": "500"}
            | settings,
        ) as born,
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(force_close=True)) as session,
    ):
        found = Replicas(
            born, server, urls, ollama, session, [await born.bear() for _ in range(processes)]
        )
        await found.all_ready()
        # What CREATE DATABASE copies of unlogged tables is in no log where wal_level is minimal: a
        # crash would lose the tables themselves.
        await server.execute("CHECKPOINT")
        yield found
