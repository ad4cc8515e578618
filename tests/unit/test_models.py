"""Models as they are now: rows joined with what providers report."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

import pytest

from assistant.domain.model import DiscoveredModel, ModelCapability, ProviderConfig
from assistant.errors import ProviderRejected, ProviderUnavailable, RateLimited, UpstreamError
from assistant.services.models import Models
from tests.unit.fakes import FakeModelStore, FakeProvider, catalog, model


@dataclass
class Listing(FakeProvider):
    """A provider that can be down, and counts how often it is asked."""

    error: Exception | None = None
    asked: int = 0

    async def list_models(self) -> Sequence[DiscoveredModel] | None:
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


@pytest.mark.parametrize(("is_local", "price"), [(True, Decimal(0)), (False, None)])
async def test_a_model_without_a_row_costs_nothing_at_home_and_who_knows_what_elsewhere(
    *, is_local: bool, price: Decimal | None
) -> None:
    rows = catalog(model("host/a"))
    host = replace(rows.providers["host"], is_local=is_local)
    store = FakeModelStore(replace(rows, providers={"host": host}))
    listing = Listing(models=[DiscoveredModel("new")])

    found = (await Models(store, lambda _config: listing, 30.0).catalog("t")).models["host/new"]

    assert (found.input_price, found.output_price) == (price, price)


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


async def test_a_provider_that_keeps_no_list_is_taken_to_have_what_our_rows_say() -> None:
    models = _models(Listing(models=None), "ollama/a")

    assert (await models.catalog("t")).models["ollama/a"].is_available
    assert models.unhealthy_reasons("t") == {"ollama": None}


@pytest.mark.parametrize("refusal", [ProviderRejected("bad key"), RateLimited("slow down")])
async def test_a_provider_that_answers_and_lists_nothing_may_still_be_called(
    refusal: UpstreamError,
) -> None:
    provider = Listing(models=[DiscoveredModel("a")])
    models = _models(provider, "ollama/a", "ollama/b")
    config = (await models.catalog("t")).providers["ollama"]

    provider.error = refusal
    await models.refresh(config)

    found = await models.catalog("t")
    assert [found.models[id_].is_available for id_ in ("ollama/a", "ollama/b")] == [True, False]
    assert models.unhealthy_reasons("t") == {"ollama": refusal.message}

    never_listed = _models(Listing(error=refusal), "ollama/a")
    assert (await never_listed.catalog("t")).models["ollama/a"].is_available


async def test_however_many_want_to_know_a_provider_is_asked_once_at_a_time() -> None:
    provider = Listing(models=[DiscoveredModel("a")])
    models = _models(provider, "ollama/a")

    await asyncio.gather(*(models.catalog(tenant) for tenant in "abcdefgh"))

    assert provider.asked == 1


async def test_a_provider_whose_row_was_changed_is_asked_no_more_as_it_was() -> None:
    asked: list[str | None] = []

    class Noting(Listing):
        def __init__(self, config: ProviderConfig) -> None:
            super().__init__(models=[])
            self._url = config.base_url

        async def list_models(self) -> Sequence[DiscoveredModel] | None:
            asked.append(self._url)
            return []

    rows = catalog(model("ollama/a"))
    store = FakeModelStore(rows)
    models = Models(store, Noting, poll_interval_s=0.01)
    await models.catalog("t")
    watching = asyncio.create_task(models.watch())
    store.rows = replace(
        rows, providers={"ollama": replace(rows.providers["ollama"], base_url="http://new")}
    )
    models.forget("t")
    models.forget("platform")
    await models.catalog("t")
    await asyncio.sleep(0.05)
    asked.clear()
    await asyncio.sleep(0.05)
    watching.cancel()

    assert set(asked) == {"http://new"}


@pytest.mark.parametrize(
    ("is_local", "error", "at_least", "at_most"),
    [
        (True, None, 5, 20),
        (False, None, 1, 4),
        (False, ProviderUnavailable("away"), 5, 20),
        (False, ProviderRejected("bad key"), 1, 4),
    ],
)
async def test_a_provider_elsewhere_is_asked_rarely_unless_it_is_away(
    is_local: bool, error: Exception | None, at_least: int, at_most: int
) -> None:
    provider = Listing(models=[DiscoveredModel("a")], error=error)
    rows = catalog(model("ollama/a"))
    config = replace(rows.providers["ollama"], is_local=is_local)
    store = FakeModelStore(replace(rows, providers={"ollama": config}))
    models = Models(store, lambda _config: provider, poll_interval_s=0.02)
    await models.catalog("t")
    provider.asked = 0

    watching = asyncio.create_task(models.watch())
    await asyncio.sleep(0.35)
    watching.cancel()

    assert at_least <= provider.asked <= at_most
