"""The main job beside an Ollama, and what happens when that Ollama misbehaves."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from tests.api.test_main_job import COMPLETE, STREAM, TEXT, complete, somebody, usage
from tests.providers.fake_ollama import DEFAULT_MODELS, FakeOllama, Fault, Reply
from tests.running_service import RunningService, free_port, running_service

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_a_generative_model_comes_before_the_builtin_one(
    generating: RunningService, ollama: FakeOllama
) -> None:
    ollama.enqueue(Reply(tokens=("The harbour", " is closed.")))

    completion = await complete(generating, promptName="summarize-text", variables={"text": TEXT})

    assert completion["text"] == "The harbour is closed."
    assert completion["model"]["id"] == "ollama/llama3.2:3b"
    assert completion["decision"]["candidates"][-1] == "builtin/extractive"
    assert not completion["usage"]["isEstimated"]


async def test_an_ollama_that_comes_later_is_used_within_seconds_without_a_restart(
    tmp_path: Path,
) -> None:
    port = free_port()
    request = {"promptName": "summarize-text", "variables": {"text": TEXT}}
    async with running_service(tmp_path, ollama_url=f"http://127.0.0.1:{port}") as late:
        assert (await complete(late, **request))["model"]["id"] == "builtin/extractive"

        async with FakeOllama(port=port, models=()) as fake, asyncio.timeout(10):
            await _until_healthy(late)
            assert (await complete(late, **request))["model"]["id"] == "builtin/extractive"
            fake.models = DEFAULT_MODELS  # what `ollama pull` does
            while (await complete(late, **request))["model"]["id"] != "ollama/llama3.2:3b":
                await asyncio.sleep(0.2)


async def _until_healthy(service: RunningService) -> None:
    while not json.loads((await service.get("/health/ready"))[1])["providers"]["ollama"]["ok"]:
        await asyncio.sleep(0.1)


async def test_the_prompt_reaches_the_model_as_system_and_user_message(
    generating: RunningService, ollama: FakeOllama
) -> None:
    await complete(generating, promptName="generate-title", variables={"text": TEXT})

    body = ollama.chats[-1].body
    assert [message["role"] for message in body["messages"]] == ["system", "user"]
    assert TEXT in body["messages"][1]["content"]
    assert body["options"]["temperature"] == 0.3


async def test_tokens_arrive_while_the_model_still_answers(
    generating: RunningService, ollama: FakeOllama
) -> None:
    ollama.enqueue(Reply(tokens=("a", "b", "c"), token_delay_s=0.2))
    loop = asyncio.get_running_loop()
    arrivals: list[float] = []

    async for result in generating.subscribe(STREAM, {"input": {"text": "Say a b c."}}):
        if result["data"]["completionStream"]["__typename"] == "TokenDelta":
            arrivals.append(loop.time())

    assert len(arrivals) == 3
    assert arrivals[2] - arrivals[0] > 0.25


async def test_a_disconnect_closes_the_provider_and_is_charged(
    generating: RunningService, ollama: FakeOllama
) -> None:
    alice = somebody()
    ollama.enqueue(Reply(tokens=("word ",) * 200, token_delay_s=0.05))
    events = generating.subscribe(STREAM, {"input": {"text": "Go on."}}, alice)
    async for result in events:
        if result["data"]["completionStream"]["sequence"] == 3:
            break
    await events.aclose()  # type: ignore[attr-defined]

    await ollama.chats[-1].wait_closed(timeout_s=2)
    async with asyncio.timeout(5):
        while (found := await usage(generating, alice))["requests"] == 0:
            await asyncio.sleep(0.05)
    assert int(found["completionTokens"]) >= 3
    assert found["failedRequests"] == 0


@pytest.mark.parametrize(
    ("reply", "attempts_made"),
    [
        (Reply(status=503, error="server busy, please try again"), 3),
        (Reply(fault=Fault.HTML), 1),
        (Reply(fault=Fault.RESET), 3),
    ],
)
async def test_a_failing_provider_falls_back_to_the_next_candidate(
    generating: RunningService, ollama: FakeOllama, reply: Reply, attempts_made: int
) -> None:
    ollama.enqueue(*[reply] * attempts_made)

    completion = await complete(generating, promptName="summarize-text", variables={"text": TEXT})

    assert completion["model"]["id"] == "builtin/extractive"
    attempts = completion["decision"]["attempts"]
    outcomes = [attempt["outcome"] for attempt in attempts]
    assert outcomes == ["FAILED"] * attempts_made + ["SUCCEEDED"]


async def test_a_stream_cut_in_the_middle_is_an_honest_failure_and_is_charged(
    generating: RunningService, ollama: FakeOllama
) -> None:
    alice = somebody()
    ollama.enqueue(Reply(tokens=("word ",) * 20, fault=Fault.RESET, fault_after=5))

    results = [r async for r in generating.subscribe(STREAM, {"input": {"text": "Go."}}, alice)]

    last = results[-1]["data"]["completionStream"]
    assert last["__typename"] == "CompletionFailed"
    assert last["code"] == "STREAM_INTERRUPTED"
    assert last["isRetryable"]
    found = await usage(generating, alice)
    assert (found["requests"], found["failedRequests"]) == (1, 1)
    assert int(found["completionTokens"]) > 0


async def test_a_hanging_model_is_given_up_after_the_time_that_the_request_allows(
    generating: RunningService, ollama: FakeOllama
) -> None:
    ollama.enqueue(Reply(fault=Fault.SILENT))
    request: dict[str, Any] = {"text": "Go.", "parameters": {"timeoutMs": 300}}

    answer = await generating.graphql(COMPLETE, {"input": request})

    (error,) = answer["errors"]
    assert error["extensions"]["code"] == "PROVIDER_TIMEOUT"
    assert "timeoutMs" in error["message"]
