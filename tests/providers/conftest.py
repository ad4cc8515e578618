"""A running fake server and the client that the adapters share."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from assistant.adapters.providers.http import HttpClient
from tests.providers.fake_ollama import FakeOllama


@pytest.fixture
async def http() -> AsyncIterator[HttpClient]:
    async with HttpClient() as client:
        yield client


@pytest.fixture
async def fake() -> AsyncIterator[FakeOllama]:
    async with FakeOllama() as server:
        yield server
