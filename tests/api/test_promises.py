"""The promises that this version keeps, each by its name; docs/architecture.md lists them all."""

from __future__ import annotations

import asyncio
import json
import signal
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.api.test_main_job import COMPLETE, STREAM, TEXT, as_user, somebody, usage
from tests.providers.fake_ollama import FakeOllama, Fault, Reply, words
from tests.running_service import RunningService, running_service

ALICE = as_user("alice")
SECRET = "xyzzy-plugh-1976"


async def test_no_lost_and_no_doubled_usage(tmp_path: Path) -> None:
    """SIGKILL under load: whatever was answered is in the books once, with the tokens it took."""
    answered: dict[str, int] = {}

    async def ask_until_killed(service: RunningService) -> None:
        while True:
            try:
                answer = await service.graphql(COMPLETE, {"input": {"text": "Go."}}, ALICE)
            except (aiohttp.ClientError, json.JSONDecodeError):
                return
            completion = answer["data"]["generateCompletion"]
            answered[completion["id"]] = completion["usage"]["totalTokens"]

    async with FakeOllama() as ollama:
        ollama.reply = Reply(tokens=words(5), prompt_tokens=7, completion_tokens=5)
        for _ in range(2):
            async with running_service(tmp_path, ollama_url=ollama.url) as service:
                asking = [asyncio.create_task(ask_until_killed(service)) for _ in range(20)]
                await asyncio.sleep(1.0)
                await service.stop(signal.SIGKILL)
                await asyncio.gather(*asking)
        received = len(ollama.chats)

        async with running_service(tmp_path, ollama_url=ollama.url) as service:
            books = await usage(service, ALICE)
            ids = "query ($id: ID!) { completion(id: $id) { status usage { totalTokens } } }"
            for id_ in list(answered)[-20:]:
                found = (await service.graphql(ids, {"id": id_}, ALICE))["data"]["completion"]
                assert found == {"status": "SUCCEEDED", "usage": {"totalTokens": answered[id_]}}

    assert len(answered) > 40
    # What was settled but whose answer the kill cut off is in the books too; nothing twice.
    assert len(answered) <= books["requests"] <= received
    assert int(books["totalTokens"]) == 12 * books["requests"]


async def test_a_disconnect_is_accounted(tmp_path: Path) -> None:
    """Whether streamed or whole: the provider is cancelled, and what was received is charged."""
    async with (
        FakeOllama() as ollama,
        running_service(tmp_path, ollama_url=ollama.url) as service,
    ):
        loop = asyncio.get_running_loop()
        ollama.reply = Reply(tokens=words(500), token_delay_s=0.02)

        events = service.subscribe(STREAM, {"input": {"text": "Go on."}}, ALICE)
        async for result in events:
            if result["data"]["completionStream"]["sequence"] == 10:
                break
        left_at = loop.time()
        await events.aclose()  # type: ignore[attr-defined]
        await ollama.chats[-1].wait_closed(timeout_s=2)
        # The promise is 100 ms; the bound leaves room for a machine that does other things.
        assert loop.time() - left_at < 0.5

        ollama.reply = Reply(first_token_delay_s=30)
        asking = asyncio.create_task(
            service.graphql(COMPLETE, {"input": {"text": "Go on."}}, ALICE)
        )
        while len(ollama.chats) < 2:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.1)
        asking.cancel()
        await ollama.chats[-1].wait_closed(timeout_s=2)

        async with asyncio.timeout(5):
            while (books := await usage(service, ALICE))["requests"] < 2:
                await asyncio.sleep(0.05)
        assert int(books["completionTokens"]) >= 10
        assert books["failedRequests"] == 0


@pytest.mark.asyncio(loop_scope="session")
async def test_every_answer_explains_itself(generating: RunningService, ollama: FakeOllama) -> None:
    ollama.enqueue(*[Reply(status=500, error="out of memory")] * 3)
    request = {"promptName": "summarize-text", "variables": {"text": TEXT}}

    answer = await generating.graphql(COMPLETE, {"input": request})

    decision = answer["data"]["generateCompletion"]["decision"]
    assert decision["candidates"] == ["ollama/llama3.2:3b", "builtin/extractive"]
    *failed, second = decision["attempts"]
    assert len(failed) == 3
    first = failed[0]
    assert (first["model"], first["outcome"]) == ("ollama/llama3.2:3b", "FAILED")
    assert first["errorCode"] == "PROVIDER_UNAVAILABLE"
    assert (second["model"], second["outcome"]) == ("builtin/extractive", "SUCCEEDED")
    assert decision["overheadMs"] > 0
    assert decision["savedCost"]["amount"] == "0"
    assert answer["data"]["generateCompletion"]["cache"] == "BYPASSED", "it is off here"


async def test_nothing_leaks(tmp_path: Path) -> None:
    """No text of a prompt or an answer, no secret, in errors, logs or metrics; tenants are apart."""
    said: list[str] = []
    async with FakeOllama() as ollama:
        settings = {
            "ollama_url": ollama.url,
            "auth_mode": "strict",
            "gateway_secrets": f"gateway-{SECRET}",
            "log_level": "debug",
        }
        async with running_service(tmp_path, **settings) as service:
            alice = {
                "x-gateway-secret": f"gateway-{SECRET}",
                "x-tenant-id": "acme",
                "x-user-id": "alice",
                "x-scopes": "assistant:complete",
            }
            inputs: list[dict[str, Any]] = [
                {"text": SECRET},
                {"text": f"{SECRET}\x00"},
                {"text": SECRET, "model": "no/model"},
                {"promptName": "summarize-text", "variables": {"text": SECRET, "wrong": SECRET}},
                {"promptName": "summarize-text", "variables": SECRET},
                {"text": 7, "feature": {"x": SECRET}},
            ]
            for reply in (
                Reply(tokens=(f"answer {SECRET}",)),
                Reply(status=500, error="went wrong"),
                Reply(fault=Fault.HTML),
                Reply(tokens=("a", "b"), fault=Fault.RESET, fault_after=1),
            ):
                ollama.reply = reply
                for request in inputs:
                    answer = await service.graphql(COMPLETE, {"input": request}, alice)
                    said += [json.dumps(error) for error in answer.get("errors", [])]
            wrong = {"authorization": f"Bearer {SECRET}", "x-gateway-secret": SECRET}
            for headers in ({"authorization": f"Bearer {SECRET}"}, wrong, {"x-api-key": SECRET}):
                answer = await service.graphql(COMPLETE, {"input": inputs[0]}, headers)
                said += [json.dumps(error) for error in answer["errors"]]
            said.append((await service.get("/metrics"))[1])
            said.append((await service.get("/health/ready"))[1])
        said.append(service.log.read_text())

    assert all(SECRET not in text for text in said)


@pytest.mark.asyncio(loop_scope="session")
async def test_tenants_are_apart(service: RunningService) -> None:
    alice = somebody()
    same_name_elsewhere = alice | {"x-tenant-id": "other"}
    request = {"promptName": "generate-title", "variables": {"text": TEXT}}
    made = await service.graphql(COMPLETE, {"input": request}, alice)
    id_ = made["data"]["generateCompletion"]["id"]

    query = "query ($id: ID!) { completion(id: $id) { id } }"
    seen = await service.graphql(query, {"id": id_}, same_name_elsewhere)

    assert seen["data"]["completion"] is None
    assert (await usage(service, same_name_elsewhere))["requests"] == 0
    assert (await usage(service, alice))["requests"] == 1
