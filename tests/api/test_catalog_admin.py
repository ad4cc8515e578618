"""Rules, groups, providers and models, changed over a real socket and seen at once."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import pytest
import pytest_asyncio

from tests.postgres.server import running_server
from tests.running_service import RunningService, running_service

pytestmark = pytest.mark.asyncio(loop_scope="session")

SECRET = "gateway-secret-for-administrators"
CREATE = """mutation ($input: RoutingRuleInput!) { createRoutingRule(input: $input) {
    routingRule { id name priority conditions models isEnabled createdAt }
    userErrors { code message path } } }"""
UPDATE = """mutation ($id: ID!, $input: RoutingRuleInput!) { updateRoutingRule(id: $id, input: $input) {
    routingRule { id name priority isEnabled createdAt } userErrors { code message path } } }"""
DELETE = """mutation ($id: ID!) { deleteRoutingRule(id: $id) {
    deletedId userErrors { code message path } } }"""
SET_GROUP = """mutation ($input: ModelGroupInput!) { setModelGroup(input: $input) {
    modelGroup { name models fallbackGroup strategy isHedged }
    userErrors { code message path } } }"""
SET_PROVIDER = """mutation ($input: ProviderInput!) { setProvider(input: $input) {
    provider { name kind isLocal isHealthy models { id } } userErrors { code message path } } }"""
DELETE_PROVIDER = """mutation ($name: String!) { deleteProvider(name: $name) {
    deletedId userErrors { code message path } } }"""
SET_MODEL = """mutation ($input: ModelInput!) { setModel(input: $input) {
    model { id capabilities tasks contextWindow maxOutputTokens isAllowed
        inputPricePer1MTokens { amount } cachedInputPricePer1MTokens { amount } }
    userErrors { code message path } } }"""
RULES = "{ routingRules { id name } }"
RULE = {
    "name": "code",
    "priority": 10,
    "conditions": {"promptCategory": ["code"], "hour": {"not": {"gte": 8, "lt": 18}}},
    "models": ["ollama/mistral:7b", "fast"],
}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def database_url() -> AsyncIterator[str]:
    async with running_server() as server, server.database() as urls:
        yield urls.owner


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def strict(
    tmp_path_factory: pytest.TempPathFactory, database_url: str
) -> AsyncIterator[RunningService]:
    async with running_service(
        tmp_path_factory.mktemp("strict"),
        auth_mode="strict",
        gateway_secrets=SECRET,
        database_url=database_url,
    ) as service:
        yield service


def admin(tenant: str | None = None, scopes: str = "assistant:admin") -> dict[str, str]:
    """An administrator, by default of a tenant that no other test has."""
    return {
        "x-gateway-secret": SECRET,
        "x-tenant-id": tenant or f"tenant-{uuid4().hex[:8]}",
        "x-user-id": "root",
        "x-scopes": scopes,
    }


async def change(
    service: RunningService, query: str, headers: dict[str, str], **variables: Any
) -> dict[str, Any]:
    """The payload of the one mutation in ``query``."""
    answer = await service.graphql(query, variables, headers)
    assert "errors" not in answer, answer
    (payload,) = answer["data"].values()
    found: dict[str, Any] = payload
    return found


async def names(service: RunningService, headers: dict[str, str]) -> list[str]:
    answer = await service.graphql(RULES, headers=headers)
    return [rule["name"] for rule in answer["data"]["routingRules"]]


SHIPPED = ["code-to-mistral", "accuracy-to-quality"]


async def test_a_rule_is_made_changed_and_deleted_and_each_is_seen_at_once(
    strict: RunningService,
) -> None:
    me, other = admin(), admin()
    assert await names(strict, me) == SHIPPED

    made = await change(strict, CREATE, me, input=RULE)
    rule = made["routingRule"]
    assert made["userErrors"] == []
    assert {key: rule[key] for key in RULE} == RULE
    assert rule["isEnabled"] is True
    assert await names(strict, me) == ["code", *SHIPPED]
    assert await names(strict, other) == SHIPPED

    later = RULE | {"priority": 150, "isEnabled": False}
    changed = await change(strict, UPDATE, me, id=rule["id"], input=later)
    assert changed["routingRule"] == {
        "id": rule["id"],
        "name": "code",
        "priority": 150,
        "isEnabled": False,
        "createdAt": rule["createdAt"],
    }
    assert await names(strict, me) == ["code-to-mistral", "code", "accuracy-to-quality"]

    assert await change(strict, DELETE, me, id=rule["id"]) == {
        "deletedId": rule["id"],
        "userErrors": [],
    }
    assert await names(strict, me) == SHIPPED


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"conditions": {"colour": "red"}}, ["conditions", "colour"]),
        ({"conditions": {"hour": {"between": [8, 18]}}}, ["conditions", "hour", "between"]),
        ({"conditions": {"hour": [1, 24]}}, ["conditions", "hour", "1"]),
        ({"conditions": {"userId": {"matches": "("}}}, ["conditions", "userId", "matches"]),
        ({"conditions": "always"}, ["conditions"]),
        ({"models": ["fast", "gpt-9"]}, ["models", "1"]),
        ({"name": "My rule"}, ["name"]),
    ],
)
async def test_a_mistake_in_a_rule_is_a_user_error_with_its_place(
    strict: RunningService, changes: dict[str, Any], path: list[str]
) -> None:
    payload = await change(strict, CREATE, admin(), input=RULE | changes)

    assert payload["routingRule"] is None
    (error,) = payload["userErrors"]
    assert (error["code"], error["path"]) == ("BAD_USER_INPUT", ["input", *path])


async def test_a_second_rule_of_a_name_is_a_conflict(strict: RunningService) -> None:
    me = admin()
    await change(strict, CREATE, me, input=RULE)

    payload = await change(strict, CREATE, me, input=RULE)

    assert payload["routingRule"] is None
    assert [error["code"] for error in payload["userErrors"]] == ["CONFLICT"]


async def test_the_platforms_rules_are_the_operators(strict: RunningService) -> None:
    me = admin()
    answer = await strict.graphql(RULES, headers=me)
    shipped = answer["data"]["routingRules"][0]["id"]

    for payload in (
        await change(strict, DELETE, me, id=shipped),
        await change(strict, UPDATE, me, id=shipped, input=RULE),
        await change(strict, DELETE_PROVIDER, me, name="ollama"),
    ):
        assert [error["code"] for error in payload["userErrors"]] == ["FORBIDDEN"]
    assert await names(strict, me) == SHIPPED
    # A rule of one's own takes its place.
    hiding = RULE | {"name": "code-to-mistral", "isEnabled": False}
    await change(strict, CREATE, me, input=hiding)
    answer = await strict.graphql(RULES, headers=me)
    assert shipped not in {rule["id"] for rule in answer["data"]["routingRules"]}


async def test_what_another_tenant_has_does_not_exist(strict: RunningService) -> None:
    theirs = (await change(strict, CREATE, admin(), input=RULE))["routingRule"]["id"]

    for id_ in (theirs, str(uuid4()), "no id at all"):
        for payload in (
            await change(strict, DELETE, admin(), id=id_),
            await change(strict, UPDATE, admin(), id=id_, input=RULE),
        ):
            assert [error["code"] for error in payload["userErrors"]] == ["NOT_FOUND"]


async def test_a_group_is_written_whole(strict: RunningService) -> None:
    me = admin()
    group = {
        "name": "mine",
        "models": ["mistral:7b", "ollama/gemma:7b"],
        "fallbackGroup": "fast",
        "strategy": "CHEAPEST",
        "isHedged": True,
    }
    assert await change(strict, SET_GROUP, me, input=group) == {
        "modelGroup": group,
        "userErrors": [],
    }

    smaller = {"name": "mine", "models": ["mistral:7b"]}
    payload = await change(strict, SET_GROUP, me, input=smaller)
    rest = {"fallbackGroup": None, "strategy": None, "isHedged": False}
    assert payload["modelGroup"] == smaller | rest
    answer = await strict.graphql("{ modelGroups { name models } }", headers=me)
    assert smaller in answer["data"]["modelGroups"]

    circle = {"name": "fast", "models": ["mistral:7b"], "fallbackGroup": "quality"}
    payload = await change(strict, SET_GROUP, me, input=circle)
    assert [error["path"] for error in payload["userErrors"]] == [["input", "fallbackGroup"]]


async def test_a_provider_is_added_with_its_models_and_deleted_with_them(
    strict: RunningService,
) -> None:
    me = admin()
    given = {
        "name": "gpu",
        "kind": "OPENAI",
        "baseUrl": "http://127.0.0.1:9/v1",
        "apiKeyVariable": f"{me['x-tenant-id'].upper().replace('-', '_')}_API_KEY",
        "maxConcurrency": 4,
    }
    made = await change(strict, SET_PROVIDER, me, input=given)
    assert made == {
        "provider": {
            "name": "gpu", "kind": "OPENAI", "isLocal": False, "isHealthy": False, "models": [],
        },
        "userErrors": [],
    }  # fmt: skip

    new = {
        "id": "gpu/meta/llama:70b",
        "capabilities": ["CHAT", "TOOLS"],
        "contextWindow": 8192,
        "inputPricePer1MTokens": "0.000000001",
        "cachedInputPricePer1MTokens": "0",
    }
    payload = await change(strict, SET_MODEL, me, input=new)
    assert payload["model"] == {
        "id": "gpu/meta/llama:70b",
        "capabilities": ["CHAT", "TOOLS"],
        "tasks": None,
        "contextWindow": 8192,
        "maxOutputTokens": None,
        "isAllowed": True,
        "inputPricePer1MTokens": {"amount": "0.000000001"},
        "cachedInputPricePer1MTokens": {"amount": "0"},
    }
    rule = RULE | {"models": ["meta/llama:70b"]}
    assert (await change(strict, CREATE, me, input=rule))["userErrors"] == []

    deleted = await change(strict, DELETE_PROVIDER, me, name="gpu")
    assert deleted == {"deletedId": "gpu", "userErrors": []}
    payload = await change(strict, SET_MODEL, me, input=new)
    assert [error["path"] for error in payload["userErrors"]] == [["input", "id"]]
    payload = await change(strict, DELETE_PROVIDER, me, name="gpu")
    assert [error["code"] for error in payload["userErrors"]] == ["NOT_FOUND"]


async def test_the_operators_keys_are_not_sent_where_a_tenant_says(
    strict: RunningService,
) -> None:
    given = {
        "name": "mine",
        "kind": "OPENAI",
        "baseUrl": "https://collector.example/v1",
        "apiKeyVariable": "ASSISTANT_OPENAI_API_KEY",
    }
    payload = await change(strict, SET_PROVIDER, admin(), input=given)
    assert payload["provider"] is None
    assert [error["path"] for error in payload["userErrors"]] == [["input", "apiKeyVariable"]]

    operator = admin("platform")
    payload = await change(strict, SET_PROVIDER, operator, input=given | {"isEnabled": False})
    assert payload["userErrors"] == []
    payload = await change(strict, DELETE_PROVIDER, operator, name="mine")
    assert payload["deletedId"] == "mine"


async def test_a_change_of_a_model_leaves_what_it_does_not_name_and_other_tenants_alone(
    strict: RunningService,
) -> None:
    me, other = admin(), admin(scopes="assistant:complete")
    seen = "{ providers { name models { id isAllowed contextWindow maxOutputTokens } } }"

    async def gpt(headers: dict[str, str]) -> dict[str, Any]:
        answer = await strict.graphql(seen, headers=headers)
        models = [m for provider in answer["data"]["providers"] for m in provider["models"]]
        (found,) = [m for m in models if m["id"] == "openai/gpt-4o-mini"]
        return dict(found)

    before = await gpt(me)
    assert (before["isAllowed"], before["maxOutputTokens"]) == (True, 16384)

    given = {"id": "openai/gpt-4o-mini", "isAllowed": False, "contextWindow": None}
    payload = await change(strict, SET_MODEL, me, input=given)
    assert payload["model"]["cachedInputPricePer1MTokens"] == {"amount": "0.075"}
    assert await gpt(me) == before | {"isAllowed": False}
    assert await gpt(other) == before

    payload = await change(
        strict, SET_MODEL, me, input={"id": "openai/gpt-4o-mini", "maxOutputTokens": None}
    )
    assert payload["model"]["maxOutputTokens"] is None
    assert await gpt(me) == before | {"isAllowed": False, "maxOutputTokens": None}


@pytest.mark.parametrize(
    ("query", "variables"),
    [
        (RULES, {}),
        (CREATE, {"input": RULE}),
        (UPDATE, {"id": "x", "input": RULE}),
        (DELETE, {"id": "x"}),
        (SET_GROUP, {"input": {"name": "g", "models": ["mistral:7b"]}}),
        (SET_PROVIDER, {"input": {"name": "p", "kind": "OLLAMA", "baseUrl": "http://gpu"}}),
        (DELETE_PROVIDER, {"name": "p"}),
        (SET_MODEL, {"input": {"id": "ollama/x"}}),
    ],
)
async def test_who_is_no_administrator_is_refused_and_counted(
    strict: RunningService, query: str, variables: dict[str, Any]
) -> None:
    scopes = "assistant:complete assistant:prompts:write assistant:usage:read"
    before = await _refused(strict)

    answer = await strict.graphql(query, variables, admin(scopes=scopes))

    (error,) = answer["errors"]
    assert error["extensions"]["code"] == "FORBIDDEN"
    assert "assistant:admin" in error["message"]
    assert await _refused(strict) == before + 1


async def _refused(service: RunningService) -> float:
    _, metrics = await service.get("/metrics")
    found = re.search(r'^assistant_refusals_total{code="FORBIDDEN"} (.+)$', metrics, re.MULTILINE)
    return float(found[1]) if found else 0.0


async def test_a_change_at_one_replica_is_seen_by_another_within_a_second(
    strict: RunningService, tmp_path_factory: pytest.TempPathFactory, database_url: str
) -> None:
    async with running_service(
        tmp_path_factory.mktemp("replica"),
        auth_mode="strict",
        gateway_secrets=SECRET,
        database_url=database_url,
    ) as replica:
        me = admin()
        assert await names(replica, me) == SHIPPED

        await change(strict, CREATE, me, input=RULE)

        async with asyncio.timeout(1):
            while await names(replica, me) == SHIPPED:
                await asyncio.sleep(0.02)
        assert await names(replica, me) == ["code", *SHIPPED]
