"""Prompts on two replicas: what one publishes the other serves, and a bad version is taken back."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest

from assistant.adapters.postgres.embedded import EmbeddedPostgres
from tests.api.test_resilience import two_replicas
from tests.providers.fake_ollama import FakeModel, FakeOllama, Reply
from tests.running_service import NO_OLLAMA, RunningService, running_service

pytestmark = pytest.mark.asyncio(loop_scope="session")

CREATE = """mutation ($input: CreatePromptInput!) { createPrompt(input: $input) {
    prompt { id } userErrors { code message path } } }"""
ADD = """mutation ($id: ID!, $input: PromptVersionInput!) {
    createPromptVersion(promptId: $id, input: $input) {
        promptVersion { version } userErrors { code message path } } }"""
PUBLISH = """mutation ($input: PublishPromptVersionInput!) { publishPromptVersion(input: $input) {
    prompt { publishedVersion { version } } userErrors { code message path } } }"""
SPLIT = """mutation ($input: PromptRolloutInput!) { setPromptRollout(input: $input) {
    prompt { rollout { weight version { version } } } userErrors { code message path } } }"""
RENDER = """query ($name: String!) { renderPrompt(input: { promptName: $name }) {
    promptVersion { version } messages { content } } }"""
COMPLETE = """mutation ($input: CompletionRequest!) { generateCompletion(input: $input) {
    text promptVersion { version } } }"""
HISTORY = """query ($name: String!) { promptByName(name: $name) {
    rollout { weight version { version status } }
    releases { nodes { kind reason changedBy { id } serviceId shares { weight } } } } }"""


async def change(service: RunningService, mutation: str, **variables: Any) -> dict[str, Any]:
    """What a mutation that is to succeed came to."""
    answer = await service.graphql(mutation, variables)
    [payload] = answer["data"].values()
    assert payload["userErrors"] == [], payload
    return payload


async def prompt_with_two_versions(
    service: RunningService, name: str, *, model_of_second: str = "ollama/llama3.2:3b"
) -> None:
    """Version 1 is published, version 2 a draft."""
    first = {"template": "say one", "model": "ollama/llama3.2:3b"}
    created = await change(
        service,
        CREATE,
        input={"name": name, "category": "test", "publish": True, "initialVersion": first},
    )
    second = {"template": "say two", "model": model_of_second}
    await change(service, ADD, id=created["prompt"]["id"], input=second)


async def test_what_one_replica_publishes_the_other_serves_within_a_second_under_load(
    tmp_path: Path,
) -> None:
    async with FakeOllama() as ollama, two_replicas(tmp_path, ollama) as (first, second):
        await prompt_with_two_versions(first, "live")
        answers: list[tuple[float, dict[str, Any]]] = []
        done = asyncio.Event()

        async def keep_asking(service: RunningService) -> None:
            while not done.is_set():
                asked_at = time.monotonic()
                answer = await service.graphql(COMPLETE, {"input": {"promptName": "live"}})
                answers.append((asked_at, answer))

        asking = [
            asyncio.create_task(keep_asking(service))
            for service in (first, second)
            for _ in range(8)
        ]
        await asyncio.sleep(1)
        published = {"promptName": "live", "version": 2, "expectedPublishedVersion": 1}
        await change(first, PUBLISH, input=published)
        published_at = time.monotonic()
        await asyncio.sleep(2)
        done.set()
        await asyncio.gather(*asking)

    assert [answer for _, answer in answers if "errors" in answer] == []
    versions = [
        (asked_at, answer["data"]["generateCompletion"]["promptVersion"]["version"])
        for asked_at, answer in answers
    ]
    assert {number for asked_at, number in versions if asked_at < published_at - 1} == {1}
    assert {number for asked_at, number in versions if asked_at > published_at + 1} == {2}
    assert len(answers) > 100


async def test_a_version_that_fails_more_often_is_taken_back_by_itself_and_everybody_sees_why(
    tmp_path: Path,
) -> None:
    fast = {"rollout_check_interval_s": "0.3", "circuit_failures": "100000"}
    async with FakeOllama() as ollama:
        ollama.replies_by_model["mistral:7b"] = Reply(status=400, error="no")
        ollama.models = (FakeModel(), FakeModel("mistral:7b"))
        async with two_replicas(tmp_path, ollama, **fast) as (first, second):
            await prompt_with_two_versions(first, "risky", model_of_second="ollama/mistral:7b")
            split = {
                "promptName": "risky",
                "shares": [{"version": 1, "weight": 50}, {"version": 2, "weight": 50}],
                "guard": {"errorRateMargin": 0.1, "costMargin": None, "minSamples": 10},
                "reason": "try it",
            }
            await change(first, SPLIT, input=split)
            before = [await ask_as(second, f"user-{number}") for number in range(60)]
            async with asyncio.timeout(10):
                while True:
                    answer = await second.graphql(HISTORY, {"name": "risky"})
                    found = answer["data"]["promptByName"]
                    if found["releases"]["nodes"][0]["kind"] == "ROLLED_BACK":
                        break
                    await asyncio.sleep(0.1)
            await asyncio.sleep(1)
            after = [await ask_as(second, f"user-{number}") for number in range(60)]

    assert set(before) == {1, None}
    assert set(after) == {1}
    back, split_by_hand, published = found["releases"]["nodes"]
    assert [r["kind"] for r in (split_by_hand, published)] == ["ROLLOUT", "PUBLISHED"]
    assert back["reason"].startswith("Version 2 was taken back: ")
    assert "requests failed (100.0%), against 0 of" in back["reason"]
    assert back["changedBy"] is None and back["serviceId"] is None
    assert split_by_hand["reason"] == "try it"
    assert found["rollout"] == []


async def ask_as(service: RunningService, user: str) -> int | None:
    """The version that answered; None where the completion failed."""
    answer = await service.graphql(
        COMPLETE, {"input": {"promptName": "risky"}}, headers={"x-user-id": user}
    )
    if "errors" in answer:
        return None
    number: int = answer["data"]["generateCompletion"]["promptVersion"]["version"]
    return number


async def test_known_prompts_are_rendered_while_the_database_is_away_and_the_log_says_so(
    tmp_path: Path,
) -> None:
    server = EmbeddedPostgres(tmp_path / "server")
    url = await server.start()
    async with running_service(tmp_path, database_url=url, ollama_url=NO_OLLAMA) as service:
        await prompt_with_two_versions(service, "steady")
        before = await service.graphql(RENDER, {"name": "steady"})
        # A change of something else: all of the tenant's is to be read anew, when the server goes.
        await prompt_with_two_versions(service, "other")
        await server.stop()

        after = await service.graphql(RENDER, {"name": "steady"})

        assert after == before
        assert before["data"]["renderPrompt"]["messages"] == [{"content": "say one"}]
        assert "last_known_serves" in service.log.read_text()
    await server.stop()
