"""Models as they are now: rows joined with what providers report."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from assistant.domain.model import DiscoveredModel, ModelCapability, ProviderConfig
from assistant.errors import ProviderUnavailable
from assistant.services.models import Models
from tests.unit.fakes import FakeModelStore, FakeProvider, catalog, model


@dataclass
class Listing(FakeProvider):
    """A provider that can be down, and counts how often it is asked."""

    error: Exception | None = None
    asked: int = 0

    async def list_models(self) -> Sequence[DiscoveredModel]:
        self.asked += 1
        if self.error:
            raise self.error
        return self.models


def _models(provider: Listing, *rows: str, poll_interval_s: float = 30.0) -> Models:
    store = FakeModelStore(catalog(*(model(row) for row in rows)))
    return Models(store, lambda _config: provider, poll_interval_s)


async def test_a_row_is_available_only_while_its_provider_has_the_model() -> None:
    found = await _models(Listing(models=[DiscoveredModel("a")]), "ollama/a", "ollama/b").catalog(
        "t"
    )

    assert {id_: m.is_available for id_, m in found.models.items()} == {
        "ollama/a": True,
        "ollama/b": False,
    }


async def test_what_the_provider_reports_wins_over_the_row_for_capabilities_and_size() -> None:
    reported = DiscoveredModel("a", frozenset({ModelCapability.EMBEDDING}), size_bytes=5)

    found = (await _models(Listing(models=[reported]), "ollama/a").catalog("t")).models["ollama/a"]

    assert found.capabilities == {ModelCapability.EMBEDDING}
    assert found.size_bytes == 5
    assert found.context_window == 8192


async def test_the_smaller_context_window_counts() -> None:
    reported = [
        DiscoveredModel("a", context_window=4096),
        DiscoveredModel("b", context_window=10**6),
    ]

    found = (await _models(Listing(models=reported), "ollama/a", "ollama/b").catalog("t")).models

    assert found["ollama/a"].context_window == 4096
    assert found["ollama/b"].context_window == 8192


async def test_a_model_without_a_row_is_seen_but_not_allowed() -> None:
    found = await _models(Listing(models=[DiscoveredModel("new")]), "ollama/a").catalog("t")

    assert found.models["ollama/new"].is_available
    assert not found.models["ollama/new"].is_allowed


async def test_a_provider_that_comes_up_is_seen_soon_and_one_that_goes_down_is_left_alone() -> None:
    provider = Listing(models=[DiscoveredModel("a")], error=ProviderUnavailable("down"))
    models = _models(provider, "ollama/a", poll_interval_s=0.01)
    assert not (await models.catalog("t")).models["ollama/a"].is_available
    config = ProviderConfig("ollama", (await models.catalog("t")).providers["ollama"].kind)
    assert models.state(config).reason == "down"

    provider.error = None
    watching = asyncio.create_task(models.watch())
    async with asyncio.timeout(2):
        while not (await models.catalog("t")).models["ollama/a"].is_available:
            await asyncio.sleep(0.01)
    watching.cancel()

    assert models.state(config).is_healthy


async def test_rows_are_read_once_until_they_are_forgotten() -> None:
    store = FakeModelStore(catalog(model("ollama/a")))
    models = Models(store, lambda _config: Listing(), 30.0)

    await models.catalog("t")
    await models.catalog("t")
    assert store.loads == 1

    models.forget("other")
    await models.catalog("t")
    assert store.loads == 1

    models.forget("platform")
    await models.catalog("t")
    assert store.loads == 2
