"""Providers, models, groups and rules as they are written: whole, by their owner, up to a limit."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from sqlalchemy.exc import DBAPIError
from uuid_utils.compat import uuid7

from assistant.adapters.postgres.connection import Database
from assistant.adapters.postgres.listen import CATALOG_CHANNEL, EVERYTHING, listen
from assistant.adapters.postgres.models import PostgresModels
from assistant.domain.model import (
    Model,
    ModelCapability,
    ModelGroup,
    ProviderConfig,
    ProviderKind,
    RoutingStrategy,
    TaskType,
)
from assistant.domain.rule import RoutingRule
from assistant.errors import Conflict

PROVIDER = ProviderConfig(
    name="gpu",
    kind=ProviderKind.OPENAI,
    base_url="http://gpu:8000/v1",
    api_key_variable="GPU_API_KEY",
    is_local=False,
    is_enabled=False,
    max_concurrency=4,
    tenant_id="acme",
)
MODEL = Model(
    provider="gpu",
    name="meta/llama:70b",
    capabilities=frozenset({ModelCapability.CHAT, ModelCapability.VISION}),
    context_window=8192,
    tasks=frozenset({TaskType.REASONING}),
    max_output_tokens=512,
    input_price=Decimal("0.123456789"),
    output_price=Decimal("1000000"),
    cached_input_price=Decimal("0.01"),
    is_local=False,
    is_allowed=False,
    preference=3,
)
GROUP = ModelGroup("best", (MODEL.id, "mistral:7b"), "fast", RoutingStrategy.CHEAPEST, True)
RULE = RoutingRule(
    id=uuid7(),
    tenant_id="acme",
    name="code",
    priority=-5,
    conditions={"tags": ["a", "b"], "hour": {"gte": 8, "not": {"eq": 12.5}}, "userId": None},
    models=("best", MODEL.id),
    created_at=datetime(2026, 3, 14, 15, 9, 26, 535897, tzinfo=UTC),
    is_enabled=False,
)


@pytest.fixture
def models(database: Database) -> PostgresModels:
    return PostgresModels(database)


async def test_everything_reads_back_as_it_was_written(models: PostgresModels) -> None:
    assert await models.put_provider(PROVIDER, 1)
    assert await models.put_model("acme", MODEL, 1)
    assert await models.put_group("acme", GROUP, 1)
    assert await models.add_rule(RULE, 1)

    catalog = await models.load("acme")

    assert catalog.providers == {"gpu": PROVIDER}
    assert catalog.models == {MODEL.id: MODEL}
    assert catalog.groups == {"best": GROUP}
    assert catalog.rules == (RULE,)
    others = await models.load("globex")
    assert (others.providers, others.models, others.groups, others.rules) == ({}, {}, {}, ())


async def test_writing_again_replaces_the_whole_row_even_at_the_limit(
    models: PostgresModels,
) -> None:
    provider = ProviderConfig("gpu", ProviderKind.OLLAMA, tenant_id="acme")
    model = Model("gpu", MODEL.name, frozenset({ModelCapability.CHAT}), 1)
    group = ModelGroup("best", ("x",))
    rule = replace(RULE, name="other", priority=1, conditions={}, models=("x",), is_enabled=True)
    await models.put_provider(PROVIDER, 1)
    await models.put_model("acme", MODEL, 1)
    await models.put_group("acme", GROUP, 1)
    await models.add_rule(RULE, 1)

    assert await models.put_provider(provider, 1)
    assert await models.put_model("acme", model, 1)
    assert await models.put_group("acme", group, 1)
    assert await models.update_rule(rule)

    catalog = await models.load("acme")
    assert catalog.providers == {"gpu": provider}
    assert catalog.models == {model.id: model}
    assert catalog.groups == {"best": group}
    assert catalog.rules == (rule,)


async def test_a_row_too_many_is_not_written_and_other_tenants_rows_do_not_count(
    models: PostgresModels,
) -> None:
    for tenant in ("platform", "globex", "acme"):
        assert await models.put_provider(replace(PROVIDER, tenant_id=tenant), 1)
        assert await models.put_model(tenant, MODEL, 1)
        assert await models.put_group(tenant, GROUP, 1)
        assert await models.add_rule(replace(RULE, tenant_id=tenant, id=uuid7()), 1)

    assert not await models.put_provider(replace(PROVIDER, name="more"), 1)
    assert not await models.put_model("acme", replace(MODEL, name="more"), 1)
    assert not await models.put_group("acme", replace(GROUP, name="more"), 1)
    assert not await models.add_rule(replace(RULE, id=uuid7(), name="more"), 1)

    catalog = await models.load("acme")
    assert "more" not in {*catalog.providers, *catalog.groups, *(r.name for r in catalog.rules)}
    assert list(catalog.models) == [MODEL.id]


async def test_a_tenants_rule_hides_the_platforms_of_the_same_name(
    models: PostgresModels,
) -> None:
    platforms = replace(RULE, tenant_id="platform", id=uuid7())
    another = replace(platforms, id=uuid7(), name="another")
    for rule in (RULE, platforms, another):
        await models.add_rule(rule, 10)

    assert set(await _rules(models, "acme")) == {RULE.id, another.id}
    assert set(await _rules(models, "globex")) == {platforms.id, another.id}
    assert await models.find_rule("acme", platforms.id) == platforms
    assert await models.find_rule("globex", RULE.id) is None

    await models.delete_rule("acme", RULE.id)
    assert set(await _rules(models, "acme")) == {platforms.id, another.id}


async def _rules(models: PostgresModels, tenant_id: str) -> list[object]:
    return [rule.id for rule in (await models.load(tenant_id)).rules]


async def test_two_rules_of_one_tenant_cannot_have_one_name(models: PostgresModels) -> None:
    other = replace(RULE, id=uuid7(), name="other")
    await models.add_rule(RULE, 10)
    await models.add_rule(other, 10)

    with pytest.raises(Conflict, match="named 'code' already"):
        await models.add_rule(replace(RULE, id=uuid7()), 10)
    with pytest.raises(Conflict, match="named 'code' already"):
        await models.update_rule(replace(other, name="code"))

    assert len((await models.load("acme")).rules) == 2


async def test_nobody_changes_or_deletes_what_is_anothers(models: PostgresModels) -> None:
    for owner in ("platform", "globex"):
        rule = replace(RULE, tenant_id=owner, id=uuid7())
        await models.add_rule(rule, 10)
        await models.put_provider(replace(PROVIDER, tenant_id=owner), 10)
        await models.put_model(owner, MODEL, 10)

        assert not await models.update_rule(replace(rule, tenant_id="acme", priority=1))
        assert not await models.delete_rule("acme", rule.id)
        assert not await models.delete_provider("acme", "gpu")
        assert not await models.delete_model("acme", "gpu", MODEL.name)

        catalog = await models.load(owner)
        assert (catalog.rules, list(catalog.providers)) == ((rule,), ["gpu"])
        assert list(catalog.models) == [MODEL.id]


async def test_what_is_deleted_is_gone_once(models: PostgresModels) -> None:
    await models.put_model("acme", MODEL, 10)
    await models.add_rule(RULE, 10)

    assert await models.delete_model("acme", "gpu", MODEL.name)
    assert await models.delete_rule("acme", RULE.id)
    assert not await models.delete_model("acme", "gpu", MODEL.name)
    assert not await models.delete_rule("acme", RULE.id)
    assert (await models.load("acme")).models == {}


async def test_models_go_with_the_last_provider_of_their_name(models: PostgresModels) -> None:
    for tenant in ("platform", "acme"):
        await models.put_provider(replace(PROVIDER, tenant_id=tenant), 10)
    await models.put_model("acme", MODEL, 10)
    await models.put_model("acme", replace(MODEL, provider="other"), 10)

    assert await models.delete_provider("acme", "gpu")
    assert MODEL.id in (await models.load("acme")).models  # the platform's provider runs it

    await models.put_provider(PROVIDER, 10)
    await models.delete_provider("platform", "gpu")
    assert MODEL.id in (await models.load("acme")).models  # the tenant's own does

    await models.delete_provider("acme", "gpu")
    assert list((await models.load("acme")).models) == [f"other/{MODEL.name}"]


async def test_a_change_is_announced_with_its_tenant(
    models: PostgresModels, database: Database
) -> None:
    heard = listen(database, CATALOG_CHANNEL)
    assert await anext(heard) == EVERYTHING

    await models.add_rule(RULE, 10)

    async with asyncio.timeout(5):
        assert await anext(heard) == "acme"
    await heard.aclose()  # type: ignore[attr-defined]


async def test_the_database_itself_refuses_what_the_service_should_have(
    models: PostgresModels,
) -> None:
    with pytest.raises(DBAPIError, match="max_concurrency"):
        await models.put_provider(replace(PROVIDER, max_concurrency=0), 10)
    with pytest.raises(DBAPIError, match="cached_input_price"):
        await models.put_model("acme", replace(MODEL, cached_input_price=Decimal(-1)), 10)
