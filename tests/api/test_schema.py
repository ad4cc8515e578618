"""The real schema: what clients read of it, and what its entities cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from graphql import Node, Visitor, get_named_type, parse, visit

from assistant.api.context import Context
from assistant.api.federation import SubgraphSchema
from assistant.api.schema import create_schema
from assistant.domain.caller import Caller, Scope
from assistant.domain.model import PriceChange
from assistant.domain.usage import UsageSummary, UsageWindow
from assistant.services.models import Models
from assistant.services.periods import Periods
from assistant.services.prices import Prices
from assistant.services.usage import UsageReports
from tests.api.in_process import codes
from tests.unit.fakes import (
    FakeClock,
    FakeModelStore,
    FakeProvider,
    FakeTenantSettings,
    catalog,
    model,
)

SDL = (Path(__file__).parents[2] / "schema.graphql").read_text(encoding="utf-8")
AUDITOR = Caller("acme", "auditor", None, frozenset({Scope.ADMIN}))


@pytest.fixture(scope="module")
def schema() -> SubgraphSchema:
    return create_schema()


class Elements(Visitor):
    """Walks a document: every element that can have a description, by its path."""

    def __init__(self) -> None:
        super().__init__()
        self.described: dict[str, bool] = {}

    def enter(self, node: Node, _key: Any, _parent: Any, _path: Any, ancestors: list[Any]) -> None:
        if "description" in node.keys and "schema" not in node.kind:
            owners = [owner for owner in ancestors if isinstance(owner, Node)]
            names = [one.name.value for one in [*owners, node] if getattr(one, "name", None)]
            self.described[".".join(names)] = bool(getattr(node, "description", None))


def test_every_element_of_the_schema_has_a_description() -> None:
    elements = Elements()
    visit(parse(SDL), elements)

    assert {"Query", "Query.prompts.first", "UsagePeriod.TODAY", "Money", "BigInt"} <= set(
        elements.described
    )
    assert [name for name, described in elements.described.items() if not described] == []


def test_the_exported_schema_is_what_the_code_serves(schema: SubgraphSchema) -> None:
    """Printed anew by `.venv/bin/assistant print-schema > schema.graphql`."""
    assert str(schema) == SDL


def test_no_money_and_no_count_is_a_float(schema: SubgraphSchema) -> None:
    floats = {
        name
        for type_ in schema._schema.type_map.values()
        for name, field in getattr(type_, "fields", {}).items()
        if str(get_named_type(field.type)) == "Float"
    }
    assert floats == {
        *("temperature", "topP", "similarity", "overheadMs"),
        *("tokenCountError", "vectors"),  # a share, and coordinates
        *("successRate", "errorRateMargin", "costMargin", "threshold", "step"),  # shares
        *("alertAt", "alertSteps"),  # shares of a budget
        *("averageLatencyMs", "averageTokens"),
        *("minSimilarity", "maxTemperature", "hitRate"),
    }


async def run(schema: SubgraphSchema, query: str, services: object = None, **variables: Any) -> Any:
    context = Context(cast(Any, services), AUDITOR)
    return await schema.execute(query, variable_values=variables, context_value=context)


@pytest.mark.parametrize(
    "query",
    [
        "{ prompts(first: 101) { nodes { id } } }",
        '{ promptByName(name: "x") { versions(first: 101) { nodes { id } } } }',
        '{ promptByName(name: "x") { releases(first: 101) { nodes { id } } } }',
        '{ promptByName(name: "x") { version(number: 1) { testRuns(first: 101) { id } } } }',
        '{ _entities(representations: [{__typename: "Prompt", name: "x"}]) '
        "{ ... on Prompt { versions(first: 101) { nodes { id } } } } }",
        "{ availableModels { priceChanges(first: 101) { validFrom } } }",
        "{ budgets { members(first: 101) { subject } } }",
    ],
)
async def test_no_list_gives_more_than_a_hundred_items(schema: SubgraphSchema, query: str) -> None:
    assert SDL.count("first: Int") == 6, "a new list belongs into this test"
    assert codes(await run(schema, query)) == ["BAD_USER_INPUT"]


class CountingPrices:
    """A PriceChangeStore that remembers which models were asked for at once."""

    def __init__(self) -> None:
        self.asked: list[tuple[Sequence[str], int]] = []

    async def list_changes(
        self, tenant_id: str, model_ids: Sequence[str], first: int
    ) -> Mapping[str, Sequence[PriceChange]]:
        self.asked.append((model_ids, first))
        return {}


async def test_the_prices_of_many_models_are_read_at_once(schema: SubgraphSchema) -> None:
    rows = [model(f"ollama/{number}") for number in range(50)]
    models = Models(FakeModelStore(catalog(*rows)), lambda _: FakeProvider(models=None), 30.0)
    store = CountingPrices()
    services = SimpleNamespace(models=models, prices=Prices(store))

    result = await run(
        schema, "{ availableModels { priceChanges(first: 3) { validFrom } } }", services
    )

    assert result.errors is None
    assert len(result.data["availableModels"]) == 50
    ((ids, first),) = store.asked
    assert (sorted(ids), first) == (sorted(row.id for row in rows), 3)


class CountingUsage:
    """A UsageStore that remembers who was asked for at once."""

    def __init__(self) -> None:
        self.asked: list[Sequence[str]] = []

    async def summarize_services(
        self, tenant_id: str, service_ids: Sequence[str], window: UsageWindow
    ) -> Mapping[str, UsageSummary]:
        return await self.summarize_users(tenant_id, service_ids, window)

    async def summarize_users(
        self, tenant_id: str, user_ids: Sequence[str], window: UsageWindow
    ) -> Mapping[str, UsageSummary]:
        self.asked.append(user_ids)
        return {user_id: UsageSummary(window, requests=len(user_id)) for user_id in user_ids}


@pytest.mark.parametrize("entity", ["User", "Service"])
async def test_the_usage_of_many_users_or_services_is_read_at_once(
    schema: SubgraphSchema, entity: str
) -> None:
    store = CountingUsage()
    reports = UsageReports(cast(Any, store), Periods(FakeTenantSettings(), FakeClock()))
    services = SimpleNamespace(usage=reports)
    ids = ["u" * length for length in range(1, 101)]
    query = """query ($them: [_Any!]!) { _entities(representations: $them) {
        ... on %s { assistantUsage(period: TODAY) { requests } } } }"""

    result = await run(
        schema, query % entity, services, them=[{"__typename": entity, "id": id_} for id_ in ids]
    )

    assert result.errors is None
    found = [entity["assistantUsage"]["requests"] for entity in result.data["_entities"]]
    assert found == list(range(1, 101))
    assert store.asked == [ids]
