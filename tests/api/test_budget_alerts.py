"""Steps of budgets on two replicas: each is told of once, and shown wherever somebody watches."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import uuid4

from tests.postgres.server import DatabaseUrls, connect, running_server
from tests.providers.fake_openai import FakeOpenAi, Reply
from tests.providers.fake_receiver import SECRET, FakeReceiver
from tests.running_service import RunningService, running_service

MODEL = "openai/gpt-3.5-turbo"
ASK = """mutation ($input: CompletionRequest!) { generateCompletion(input: $input) {
    usage { cost { amount } } } }"""
WATCH = """subscription { budgetAlerts {
    budgetId scope subject window step spent { amount currency } limit { amount }
    startsAt resetsAt at } }"""
STEPS = [0.5, 0.8, 1.0]


def as_somebody(user: str, *scopes: str) -> dict[str, str]:
    given = " ".join(f"assistant:{scope}" for scope in scopes or ("complete",))
    return {"x-tenant-id": "acme", "x-user-id": user, "x-scopes": given}


class Watching:
    """What a watcher of a replica has seen, over SSE or a WebSocket."""

    def __init__(self, results: AsyncIterator[dict[str, Any]]) -> None:
        self.seen: list[dict[str, Any]] = []
        self._task = asyncio.create_task(self._read(results))

    async def _read(self, results: AsyncIterator[dict[str, Any]]) -> None:
        async with aclosing(results) as given:  # type: ignore[type-var]
            async for result in given:
                self.seen.append(result["data"]["budgetAlerts"])

    @property
    def steps(self) -> list[float]:
        return [alert["step"] for alert in self.seen]

    async def leave(self) -> None:
        self._task.cancel()
        await asyncio.wait([self._task])

    async def end(self) -> None:
        """Wait until the service has ended the stream as it should."""
        async with asyncio.timeout(5):
            await self._task


async def over_websocket(
    service: RunningService, headers: dict[str, str]
) -> AsyncIterator[dict[str, Any]]:
    async with service.session.ws_connect(
        f"{service.url}/graphql", protocols=["graphql-transport-ws"], headers=headers
    ) as socket:
        await socket.send_json({"type": "connection_init"})
        assert (await socket.receive_json())["type"] == "connection_ack"
        await socket.send_json({"id": "1", "type": "subscribe", "payload": {"query": WATCH}})
        async for message in socket:
            answer = json.loads(message.data)
            if answer["type"] == "complete":
                return
            yield answer["payload"]


async def put_budget(urls: DatabaseUrls) -> str:
    """0.0004 USD a day for each user: five answers of 20 tokens to 100 tokens."""
    id_ = uuid4()
    async with await connect(urls.superuser) as connection:
        await connection.execute(
            "INSERT INTO budgets VALUES ('acme', %s, 'USER', '', 'DAY', 0.0004, "
            "'{0.5,0.8,1.0}', now(), now())",
            (id_,),
        )
    return str(id_)


async def spend(service: RunningService, user: str) -> None:
    wanted = {"text": "Hi.", "model": MODEL, "parameters": {"maxTokens": 20}}
    answer = await service.graphql(ASK, {"input": wanted}, as_somebody(user))
    assert "errors" not in answer, answer
    assert answer["data"]["generateCompletion"]["usage"]["cost"]["amount"] == "0.00008"


def lines(service: RunningService, event: str) -> list[dict[str, Any]]:
    every = [json.loads(line) for line in service.log.read_text().splitlines() if line[:1] == "{"]
    return [line for line in every if line["event"] == event]


async def counted(*services: RunningService) -> Counter[tuple[str, ...]]:
    """The metric, summed over replicas."""
    total: Counter[tuple[str, ...]] = Counter()
    for service in services:
        _, metrics = await service.get("/metrics")
        for labels, value in re.findall(
            r"^assistant_budget_alerts_total\{(.+)\} (.+)$", metrics, re.MULTILINE
        ):
            given = dict(re.findall(r'(\w+)="(.*?)"', labels))
            total[given["scope"], given["period"], given["step"]] += int(float(value))
    return total


async def until(is_so: Callable[[], object], timeout_s: float = 20.0) -> None:
    async with asyncio.timeout(timeout_s):
        while not is_so():
            await asyncio.sleep(0.05)


@asynccontextmanager
async def replicas(
    folder: Path, openai: FakeOpenAi, **settings: str
) -> AsyncIterator[tuple[DatabaseUrls, list[RunningService]]]:
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(running_server())
        urls = await stack.enter_async_context(server.database())
        yield (
            urls,
            [
                await stack.enter_async_context(
                    running_service(
                        folder / name,
                        database_url=urls.owner,
                        openai_api_key="sk-test",
                        openai_base_url=openai.url,
                        **settings,
                    )
                )
                for name in ("first", "second")
            ],
        )


async def test_each_step_is_told_of_once_by_all_replicas_together(tmp_path: Path) -> None:
    async with (
        FakeOpenAi(models=("gpt-3.5-turbo",)) as openai,
        FakeReceiver() as receiver,
        replicas(tmp_path, openai, alert_webhook_url=receiver.url, alert_webhook_secret=SECRET) as (
            urls,
            (first, second),
        ),
    ):
        openai.reply = Reply(prompt_tokens=100, completion_tokens=20)
        budget = await put_budget(urls)
        alice = Watching(second.subscribe(WATCH, headers=as_somebody("alice")))
        bob = Watching(second.subscribe(WATCH, headers=as_somebody("bob")))
        auditor = Watching(over_websocket(second, as_somebody("carol", "admin")))
        here = Watching(over_websocket(first, as_somebody("dave", "admin")))
        await asyncio.sleep(4)  # nobody says that they watch by now: a busy machine takes its time

        for _ in range(5):
            await spend(first, "alice")
        await until(lambda: all(w.steps == STEPS for w in (alice, auditor, here)))
        await until(lambda: len(receiver.received) == 3)
        # Nobody tells of them again: not by the job either, nor after a while.
        await asyncio.sleep(1)
        for replica in (first, second):
            assert "alerts announced" in await run_sweep(replica, urls)

        assert bob.seen == []
        for watching in (alice, auditor, here):
            assert watching.steps == STEPS
        assert auditor.seen[0] == alice.seen[0]
        assert {key: alice.seen[1][key] for key in ("budgetId", "scope", "subject", "window")} == {
            "budgetId": budget, "scope": "USER", "subject": "alice", "window": "DAY",
        }  # fmt: skip
        assert [Decimal(alert["spent"]["amount"]) for alert in alice.seen] == [
            Decimal(amount) for amount in ("0.00024", "0.00032", "0.0004")
        ]
        assert {Decimal(alert["limit"]["amount"]) for alert in alice.seen} == {Decimal("0.0004")}

        logged = [line for replica in (first, second) for line in lines(replica, "budget_alert")]
        assert sorted(line["step"] for line in logged) == ["0.5", "0.8", "1"]
        assert {line["subject"] for line in logged} == {"alice"}
        assert await counted(first, second) == {("USER", "DAY", s): 1 for s in ("0.5", "0.8", "1")}

        assert all(received.is_genuine for received in receiver.received)
        assert len({received.id for received in receiver.received}) == 3
        told = [received.json["data"] for received in receiver.received]
        assert sorted(data["step"] for data in told) == ["0.5", "0.8", "1"]
        assert {data["budgetId"] for data in told} == {budget}
        assert b"Hi." not in b"".join(received.body for received in receiver.received)

        for watching in (bob, auditor):
            await watching.leave()
        # Those who still watch keep nobody from stopping.
        assert await second.stop() == 0
        assert await first.stop() == 0
        for watching in (alice, here):
            await watching.end()


async def run_sweep(service: RunningService, urls: DatabaseUrls) -> str:
    """`assistant jobs run budget-alerts`, beside the service."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "assistant", "jobs", "run", "budget-alerts"),
        env=os.environ
        | {"ASSISTANT_DATABASE_URL": urls.owner, "ASSISTANT_DATA_DIR": str(service.log.parent)},
        stdout=asyncio.subprocess.PIPE,
    )
    output, _ = await process.communicate()
    return output.decode()


async def test_a_step_whose_replica_was_killed_is_told_of_by_another(tmp_path: Path) -> None:
    """It was reached while no replica ran that would have told of it."""
    async with (
        FakeOpenAi(models=("gpt-3.5-turbo",)) as openai,
        replicas(tmp_path, openai, run_jobs="false") as (urls, (first, second)),
    ):
        await put_budget(urls)
        await first.stop(signal.SIGKILL)
        await second.stop(signal.SIGKILL)
        async with await connect(urls.superuser) as connection:
            await connection.execute(
                "INSERT INTO budget_alerts (tenant_id, budget_id, subject, starts_at, step, scope, "
                "period, ends_at, spent, amount, created_at) VALUES ('acme', gen_random_uuid(), "
                "'alice', now(), 0.8, 'USER', 'DAY', now() + '1 day', 8, 10, now())"
            )

        async with running_service(tmp_path / "third", database_url=urls.owner) as third:
            await until(lambda: lines(third, "budget_alert"))
            assert await counted(third) == {("USER", "DAY", "0.8"): 1}
            assert lines(first, "budget_alert") == lines(second, "budget_alert") == []
