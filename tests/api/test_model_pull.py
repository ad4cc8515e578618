"""Models that come and go, as an administrator sees it over a real socket."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tests.providers.fake_ollama import LAYERS, FakeOllama, Reply, pull_lines
from tests.running_service import RunningService, running_service

pytestmark = pytest.mark.asyncio(loop_scope="session")

PULL = """
subscription ($name: String!) {
  modelPull(name: $name) { status digest completedBytes totalBytes isDone }
}
"""
ALLOW = """
mutation ($id: ID!) {
  setModel(input: { id: $id, capabilities: [CHAT], contextWindow: 8192, isAllowed: true }) {
    userErrors { message }
  }
}
"""
DELETE = "mutation ($id: ID!) { deleteModel(id: $id) { deletedId userErrors { code path } } }"


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def library() -> Any:
    async with FakeOllama() as fake:
        yield fake


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def host(tmp_path_factory: pytest.TempPathFactory, library: FakeOllama) -> Any:
    folder: Path = tmp_path_factory.mktemp("pulling")
    async with running_service(folder, ollama_url=library.url) as running:
        yield running


async def allow(service: RunningService, id_: str) -> None:
    answer = await service.graphql(ALLOW, {"id": id_})
    assert answer["data"]["setModel"]["userErrors"] == [], answer


async def available(service: RunningService) -> set[str]:
    answer = await service.graphql("{ availableModels { id } }")
    return {model["id"] for model in answer["data"]["availableModels"]}


async def delete(service: RunningService, id_: str) -> dict[str, Any]:
    answer = await service.graphql(DELETE, {"id": id_})
    assert "errors" not in answer, answer
    payload: dict[str, Any] = answer["data"]["deleteModel"]
    return payload


async def test_a_model_is_allowed_pulled_used_and_deleted(
    host: RunningService, library: FakeOllama
) -> None:
    id_ = "ollama/gemma3:1b"
    refused = [result async for result in host.subscribe(PULL, {"name": id_})]
    assert refused[0]["errors"][0]["extensions"]["code"] == "FORBIDDEN"
    assert "setModel" in refused[0]["errors"][0]["message"]

    await allow(host, id_)
    assert id_ not in await available(host)
    events = [result["data"]["modelPull"] async for result in host.subscribe(PULL, {"name": id_})]

    assert [event["isDone"] for event in events] == [False] * (len(events) - 1) + [True]
    total = str(sum(LAYERS.values()))
    assert (events[-1]["completedBytes"], events[-1]["totalBytes"]) == (total, total)
    assert id_ in await available(host)

    assert await delete(host, id_) == {"deletedId": id_, "userErrors": []}
    assert id_ not in await available(host)
    assert all(model.name != "gemma3:1b" for model in library.models)
    assert (await delete(host, id_))["userErrors"] == [{"code": "NOT_FOUND", "path": []}]


async def test_a_download_outlives_its_watcher_and_is_joined(
    host: RunningService, library: FakeOllama
) -> None:
    await allow(host, "ollama/mistral:latest")
    library.enqueue(Reply(lines=pull_lines(LAYERS, steps=20), token_delay_s=0.05))
    async with aclosing(host.subscribe(PULL, {"name": "mistral"})) as events:
        first = await anext(events)
    assert not first["data"]["modelPull"]["isDone"]

    joined = [
        event["data"]["modelPull"]
        async for event in host.subscribe(PULL, {"name": "ollama/mistral"})
    ]

    assert joined[-1]["isDone"]
    pulls = [request for request in library.requests if request.path == "/api/pull"]
    assert [request.model for request in pulls].count("mistral:latest") == 1


async def test_a_model_that_there_is_not_ends_the_stream_with_a_code(host: RunningService) -> None:
    await allow(host, "ollama/nothing:1b")

    (result,) = [r async for r in host.subscribe(PULL, {"name": "nothing:1b"}) if "errors" in r]

    assert result["errors"][0]["extensions"]["code"] == "NOT_FOUND"


async def test_a_host_that_is_away_ends_the_stream_with_a_code(service: RunningService) -> None:
    await allow(service, "ollama/gemma3:1b")

    results = [r async for r in service.subscribe(PULL, {"name": "gemma3:1b"})]

    assert results[-1]["errors"][0]["extensions"]["code"] == "PROVIDER_UNAVAILABLE"


async def test_builtin_models_stay(service: RunningService) -> None:
    payload = await delete(service, "builtin/extractive")

    assert payload == {
        "deletedId": None,
        "userErrors": [{"code": "BAD_USER_INPUT", "path": ["id"]}],
    }


async def test_a_download_does_not_hold_up_the_end_of_the_service(
    tmp_path: Path, library: FakeOllama
) -> None:
    async with running_service(tmp_path, ollama_url=library.url) as stopping:
        await allow(stopping, "ollama/mistral:latest")
        library.enqueue(Reply(lines=pull_lines(LAYERS, steps=500), token_delay_s=0.1))
        events = stopping.subscribe(PULL, {"name": "mistral"})
        await anext(events)
        async with asyncio.timeout(20):
            assert await stopping.stop() == 0
        await events.aclose()
