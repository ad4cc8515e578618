"""Many callers of several processes that are killed one after the other, and a provider with moods.

What is asked carries a number, so that whatever the provider has sent can be found again.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import random
import re
import tempfile
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from tests.nursery import Born, Nursery, nursery
from tests.postgres.server import DatabaseUrls, PostgresServer, connect, running_server
from tests.providers.fake_openai import FakeOpenAi, Reply
from tests.providers.fake_server import Fault, ReceivedRequest, words

TENANT = "storm"
MODELS = ("cheap", "usual", "dear")
USERS = tuple(f"user-{number}" for number in range(20))
SERVICES = ("desk", "shop", "lab")

GENERATE = """mutation ($input: CompletionRequest!) { generateCompletion(input: $input) {
    id text usage { promptTokens completionTokens } } }"""
STREAM = """subscription ($input: CompletionRequest!) { completionStream(input: $input) {
    __typename completionId ... on TokenDelta { text }
    ... on CompletionFinished { response { id text usage { promptTokens completionTokens } } }
    ... on CompletionFailed { code } } }"""
SET_MODEL = "mutation ($input: ModelInput!) { setModel(input: $input) { userErrors { message } } }"

_NUMBER = re.compile(r"number (\d+)")


class MoodyOpenAi(FakeOpenAi):
    """Answers at some length that it was allowed, late, with an error, or half and no more."""

    def __init__(self, chance: random.Random, *, trouble: float = 0.2) -> None:
        super().__init__(models=MODELS, is_recording=False)
        self.chance = chance
        self.trouble = trouble
        self.answered: dict[int, list[tuple[int, int]]] = {}
        """By the number of what was asked: prompt and answer tokens of each whole answer."""

    def next_reply(self, request: ReceivedRequest) -> Reply:
        chance = self.chance
        most = request.body.get("max_completion_tokens") or request.body.get("max_tokens") or 60
        length = chance.randint(1, min(most, 60))
        reply = Reply(
            tokens=words(length),
            token_delay_s=chance.choice((0.0, 0.0, 0.002, 0.01)),
            first_token_delay_s=chance.choice((0.0, 0.0, 0.05, 0.3)),
            prompt_tokens=chance.randint(1, 60),
            completion_tokens=length,
        )
        mood = chance.random() / self.trouble
        if mood < 0.5:
            return Reply(status=503, error="busy")
        if mood < 0.75 and request.body.get("stream"):
            fault = chance.choice((Fault.RESET, Fault.TRUNCATE))
            return Reply(
                tokens=reply.tokens,
                prompt_tokens=reply.prompt_tokens,
                completion_tokens=length,
                fault=fault,
                fault_after=length // 2,
            )
        asked = json.dumps(request.body["messages"])
        found = _NUMBER.search(asked)
        if found is not None:
            answers = self.answered.setdefault(int(found[1]), [])
            answers.append((reply.prompt_tokens or 0, length))
        return reply


@dataclass
class Answer:
    """What reached a client of one request."""

    number: int
    user: str
    service: str
    input: dict[str, Any]
    response: dict[str, Any] | None = None
    error: dict[str, Any] | None = None
    is_over: bool = False
    """Whether the client was told how it ended."""


@dataclass
class Storm:
    """Processes, a provider, a database, and who asks."""

    server: PostgresServer
    urls: DatabaseUrls
    nursery: Nursery
    openai: MoodyOpenAi
    chance: random.Random
    session: aiohttp.ClientSession
    born: list[Born] = field(default_factory=list)
    answers: list[Answer] = field(default_factory=list)
    numbers: itertools.count[int] = field(default_factory=itertools.count)

    async def execute(self, statement: str, *parameters: object) -> list[tuple[Any, ...]]:
        async with await connect(self.urls.superuser) as connection:
            cursor = await connection.execute(statement, parameters)  # type: ignore[arg-type]
            return await cursor.fetchall() if cursor.description else []

    async def begin(self, processes: int) -> None:
        """Start so many processes."""
        self.born = [await self.nursery.bear() for _ in range(processes)]
        await self.all_ready()

    async def all_ready(self, timeout_s: float = 60.0) -> None:
        """Every process serves; one that could not start, for want of a database, is started anew."""
        async with asyncio.timeout(timeout_s):
            for place in range(len(self.born)):
                while not await self.born[place].is_ready(self.session):
                    if not self.born[place].is_there:
                        self.born[place] = await self.nursery.bear()
                    await asyncio.sleep(0.05)

    async def kill_one(self) -> None:
        """Kill some process, and have another one in its place."""
        place = self.chance.randrange(len(self.born))
        self.born[place].kill()
        self.born[place] = await self.nursery.bear()

    def headers(
        self, user: str, service: str, scopes: str = "assistant:complete"
    ) -> dict[str, str]:
        return {
            "x-tenant-id": TENANT,
            "x-user-id": user,
            "x-service-id": service,
            "x-scopes": scopes,
        }

    async def set_prices(self) -> None:
        """Random ones, with many digits."""
        for model in MODELS:
            prices = [
                f"{self.chance.randint(1, 900)}.{self.chance.randint(0, 999_999):06}"
                for _ in range(2)
            ]
            told = {
                "id": f"openai/{model}",
                "inputPricePer1MTokens": prices[0],
                "outputPricePer1MTokens": prices[1],
                "capabilities": ["CHAT"],
                "contextWindow": 8192,
                "isAllowed": True,
            }
            body = {"query": SET_MODEL, "variables": {"input": told}}
            headers = self.headers("admin", "desk", "assistant:admin")
            async with self.session.post(
                f"{self.born[0].url}/graphql", json=body, headers=headers
            ) as response:
                answer = await response.json()
            assert answer["data"]["setModel"]["userErrors"] == [], answer

    async def ask(
        self,
        born: Born,
        *,
        user: str,
        service: str,
        streamed: bool,
        leave_after: int | None = None,
        **fields: object,
    ) -> Answer:
        """One request, whatever comes of it. ``leave_after`` so many events its client goes away."""
        number = next(self.numbers)
        asked: dict[str, Any] = {"text": f"number {number}: tell me about it"} | fields
        answer = Answer(number, user, service, asked)
        self.answers.append(answer)
        body = {"query": STREAM if streamed else GENERATE, "variables": {"input": asked}}
        headers = self.headers(user, service)
        if streamed:
            headers["accept"] = "text/event-stream"
        with suppress(aiohttp.ClientError, TimeoutError, ConnectionError):
            async with (
                asyncio.timeout(30),
                self.session.post(f"{born.url}/graphql", json=body, headers=headers) as response,
            ):
                if not streamed:
                    found = await response.json(content_type=None)
                    answer.is_over = True
                    answer.error = (found.get("errors") or [None])[0]
                    answer.response = (found.get("data") or {}).get("generateCompletion")
                    return answer
                await self._read(response, answer, leave_after)
        return answer

    async def _read(
        self, response: aiohttp.ClientResponse, answer: Answer, leave_after: int | None
    ) -> None:
        events = 0
        async for raw in response.content:
            if not raw.startswith(b"data:") or len(raw) < 8:
                continue
            result = json.loads(raw.removeprefix(b"data:"))
            if result.get("errors"):
                answer.error, answer.is_over = result["errors"][0], True
                return
            event = result["data"]["completionStream"]
            events += 1
            if event["__typename"] == "CompletionFinished":
                answer.response, answer.is_over = event["response"], True
                return
            if event["__typename"] == "CompletionFailed":
                answer.error = {"extensions": {"code": event["code"]}}
                answer.is_over = True
                return
            if leave_after is not None and events >= leave_after:
                return

    @property
    def codes(self) -> Counter[str]:
        """How requests ended, as far as their clients were told."""
        return Counter(
            "OK" if answer.response else answer.error["extensions"]["code"] if answer.error else "?"
            for answer in self.answers
        )

    def told(self, code: str) -> list[str]:
        """What clients were told under ``code``."""
        errors = [answer.error for answer in self.answers if answer.error]
        return [e.get("message", "") for e in errors if e["extensions"]["code"] == code]

    async def end(self) -> None:
        """Kill what is left, and settle what was left open."""
        for born in self.born:
            born.kill()
        await asyncio.sleep(0.2)
        while await self.execute("SELECT * FROM assistant_reap(interval '0 s', 1000)"):
            pass


@asynccontextmanager
async def storm(
    seed: int, *, processes: int = 3, trouble: float = 0.2, **settings: str
) -> AsyncIterator[Storm]:
    chance = random.Random(seed)
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(running_server())
        urls = await stack.enter_async_context(server.database())
        openai = await stack.enter_async_context(MoodyOpenAi(chance, trouble=trouble))
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="assistant-storm-")))
        born = await stack.enter_async_context(
            nursery(
                folder,
                urls.owner,
                openai_api_key="sk-storm",
                openai_base_url=openai.url,
                **settings,
            )
        )
        connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=2)
        session = await stack.enter_async_context(aiohttp.ClientSession(connector=connector))
        found = Storm(server, urls, born, openai, chance, session)
        await found.begin(processes)
        await found.set_prices()
        yield found
