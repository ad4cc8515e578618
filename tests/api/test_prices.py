"""Prices over a real socket: unknown until they are said, dated, and never changed in hindsight."""

from __future__ import annotations

from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tests.providers.fake_openai import FakeOpenAi, Reply
from tests.running_service import RunningService, running_service

pytestmark = pytest.mark.asyncio(loop_scope="session")

PRICES = "inputPricePer1MTokens { amount } outputPricePer1MTokens { amount } isPriceKnown"
CHANGES = """priceChanges(first: 3) { validFrom inputPricePer1MTokens { amount }
    outputPricePer1MTokens { amount } cachedInputPricePer1MTokens { amount } }"""
SET_PROVIDER = """mutation ($input: ProviderInput!) { setProvider(input: $input) {
    userErrors { message } } }"""
SET_MODEL = f"""mutation ($input: ModelInput!) {{ setModel(input: $input) {{
    model {{ id {PRICES} {CHANGES} }} userErrors {{ message }} }} }}"""
SET_BUDGET = """mutation ($input: BudgetInput!) { setBudget(input: $input) {
    userErrors { message } } }"""
COMPLETE = """mutation ($input: CompletionRequest!) { generateCompletion(input: $input) { id
    usage { promptTokens completionTokens reasoningTokens isPriced cost { amount } }
    decision { maxOutputTokens attempts { firstTokenMs reasoningTokens isPriced cost { amount } } }
    } }"""
FIND = "query ($id: ID!) { completion(id: $id) { usage { isPriced cost { amount } } } }"


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def host() -> AsyncIterator[FakeOpenAi]:
    async with FakeOpenAi(models=("gpt-4o-mini", "gpt-5-mini", "text-only")) as server:
        server.reply = Reply(prompt_tokens=1_000, completion_tokens=10, reasoning_tokens=4)
        yield server


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def service(
    tmp_path_factory: pytest.TempPathFactory, host: FakeOpenAi
) -> AsyncIterator[RunningService]:
    async with running_service(tmp_path_factory.mktemp("prices")) as running:
        await add_host(running, host)
        yield running


async def add_host(service: RunningService, host: FakeOpenAi) -> None:
    """Make ``host`` known as somebody else's machines."""
    config = {"name": "rented", "kind": "OPENAI", "baseUrl": host.url, "isLocal": False}
    answer = await service.graphql(SET_PROVIDER, {"input": config})
    assert answer["data"]["setProvider"]["userErrors"] == [], answer


async def set_model(service: RunningService, id_: str, **said: Any) -> dict[str, Any]:
    given = {"id": id_, "capabilities": ["CHAT"], "contextWindow": 8192} | said
    answer = await service.graphql(SET_MODEL, {"input": given})
    assert answer["data"]["setModel"]["userErrors"] == [], answer
    found: dict[str, Any] = answer["data"]["setModel"]["model"]
    return found


async def complete(service: RunningService, model: str) -> dict[str, Any]:
    answer = await service.graphql(COMPLETE, {"input": {"text": "hello", "model": model}})
    assert "errors" not in answer, answer
    found: dict[str, Any] = answer["data"]["generateCompletion"]
    return found


async def test_usage_keeps_the_cost_that_it_had_through_every_change_of_a_price(
    service: RunningService,
) -> None:
    id_ = "rented/gpt-4o-mini"
    unsaid = await set_model(service, id_)
    assert not unsaid["isPriceKnown"]
    assert unsaid["inputPricePer1MTokens"] == {"amount": "0"}
    unpriced = await complete(service, id_)
    usage = unpriced["usage"]
    assert (usage["isPriced"], usage["cost"]) == (False, {"amount": "0"})
    assert (usage["completionTokens"], usage["reasoningTokens"]) == (10, 4)

    said = await set_model(
        service, id_, inputPricePer1MTokens="0.000000001", outputPricePer1MTokens="0.5"
    )
    assert said["isPriceKnown"]
    first = await complete(service, id_)
    await set_model(service, id_, inputPricePer1MTokens="100", cachedInputPricePer1MTokens="1")
    second = await complete(service, id_)

    costs = []
    for completion in (unpriced, first, second):
        found = await service.graphql(FIND, {"id": completion["id"]})
        usage = found["data"]["completion"]["usage"]
        assert usage["cost"] == completion["usage"]["cost"]
        assert usage["isPriced"] == completion["usage"]["isPriced"]
        costs.append(usage["cost"]["amount"])
    assert costs[1] == "0.000005000001"
    assert [Decimal(cost) for cost in costs] == [
        Decimal(0),
        Decimal("0.000005000001"),
        Decimal("0.100005"),
    ]
    (attempt,) = second["decision"]["attempts"]
    assert attempt["firstTokenMs"] >= 0
    assert (attempt["reasoningTokens"], attempt["isPriced"]) == (4, True)
    assert second["decision"]["maxOutputTokens"] is None


async def test_changes_of_prices_are_listed_the_newest_first(service: RunningService) -> None:
    id_ = "rented/gpt-5-mini"
    await set_model(service, id_)
    for price in ("1", "2", "2.0", "3"):
        changed = await set_model(service, id_, inputPricePer1MTokens=price)

    changes = changed["priceChanges"]
    assert [change["inputPricePer1MTokens"] for change in changes] == [
        {"amount": "3"},
        {"amount": "2"},
        {"amount": "1"},
    ]
    assert {change["outputPricePer1MTokens"] for change in changes} == {None}
    times = [change["validFrom"] for change in changes]
    assert times == sorted(times, reverse=True)


async def test_the_shipped_prices_are_known_and_what_is_not_there_costs_nothing_at_home(
    service: RunningService,
) -> None:
    query = f"{{ providers {{ name models {{ id {PRICES} {CHANGES} }} }} }}"
    answer = await service.graphql(query)
    models = {model["id"]: model for row in answer["data"]["providers"] for model in row["models"]}

    turbo = models["openai/gpt-3.5-turbo"]
    assert turbo["isPriceKnown"]
    assert turbo["inputPricePer1MTokens"] == {"amount": "0.50"}
    assert turbo["outputPricePer1MTokens"] == {"amount": "1.50"}
    (change,) = turbo["priceChanges"]
    assert change["outputPricePer1MTokens"] == {"amount": "1.50"}
    assert all(
        models[id_]["isPriceKnown"]
        for id_ in models
        if id_.startswith(("ollama/", "builtin/", "openai/", "anthropic/"))
    )


async def test_unpriced_calls_are_counted_by_their_provider_and_logged_once(
    service: RunningService,
) -> None:
    id_ = "rented/text-only"
    await set_model(service, id_)
    before = _unpriced((await service.get("/metrics"))[1])
    for _ in range(3):
        await complete(service, id_)

    assert _unpriced((await service.get("/metrics"))[1]) == before + 3
    told = [line for line in service.log.read_text().splitlines() if "price_unknown" in line]
    assert len([line for line in told if id_ in line]) == 1


def _unpriced(metrics: str) -> float:
    name = 'assistant_unpriced_attempts_total{provider="rented"} '
    return sum(float(line.removeprefix(name)) for line in metrics.splitlines() if name in line)


@pytest.mark.parametrize("setting", ["refuse", "record"])
async def test_under_a_budget_the_setting_decides_of_what_has_no_price(
    tmp_path: Path, host: FakeOpenAi, setting: str
) -> None:
    budget = {"scope": "GLOBAL", "window": "DAY", "limit": "1000"}
    id_ = "rented/gpt-4o-mini"
    async with running_service(tmp_path, unknown_price=setting) as service:
        await add_host(service, host)
        await set_model(service, id_)
        set_ = await service.graphql(SET_BUDGET, {"input": budget})
        assert set_["data"]["setBudget"]["userErrors"] == [], set_

        answer = await service.graphql(COMPLETE, {"input": {"text": "hello", "model": id_}})
        if setting == "refuse":
            (error,) = answer["errors"]
            assert error["extensions"]["code"] == "BUDGET_EXCEEDED"
            assert "has no price" in error["message"]
        else:
            usage = answer["data"]["generateCompletion"]["usage"]
            assert (usage["isPriced"], usage["cost"]) == (False, {"amount": "0"})

        await set_model(service, id_, inputPricePer1MTokens="0.1", outputPricePer1MTokens="0.1")
        assert (await complete(service, id_))["usage"]["isPriced"]
