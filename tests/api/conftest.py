"""One service process for the tests of this folder that only need the main job."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.providers.fake_ollama import FakeOllama
from tests.running_service import RunningService, running_service


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def service(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RunningService]:
    """A service in dev mode on a machine without any model."""
    async with running_service(tmp_path_factory.mktemp("service")) as running:
        yield running


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def ollama() -> AsyncIterator[FakeOllama]:
    """A provider that misbehaves on request; give each test a model or a reply of its own."""
    async with FakeOllama() as fake:
        yield fake


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def service_beside_ollama(
    tmp_path_factory: pytest.TempPathFactory, ollama: FakeOllama
) -> AsyncIterator[RunningService]:
    folder = tmp_path_factory.mktemp("generating")
    # Its tests fail one after the other: circuits have tests and a service of their own.
    async with running_service(folder, ollama_url=ollama.url, circuit_failures="1000") as running:
        yield running


@pytest_asyncio.fixture(loop_scope="session")
async def generating(service_beside_ollama: RunningService) -> RunningService:
    """A service in dev mode beside an Ollama.

    While tests run on loops of their own, the fake of this one stands still and is taken to be
    down; it is waited for until the service has asked it again.
    """
    async with asyncio.timeout(15):
        while "ollama/llama3.2:3b" not in str(
            await service_beside_ollama.graphql("{ availableModels { id } }")
        ):
            await asyncio.sleep(0.1)
    return service_beside_ollama
