"""Whose prompts are whose, over the whole service in strict mode."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import pytest
import pytest_asyncio

from tests.api.prompt_catalog import (
    ADD_VERSION,
    CREATE,
    DELETE,
    PUBLISH,
    SET_ROLLOUT,
    UPDATE,
    add_version,
    answered,
    made,
    refused,
    rendered,
    said,
)
from tests.running_service import RunningService, running_service

pytestmark = pytest.mark.asyncio(loop_scope="session")

SECRET = "gateway-secret-for-writers"
FIND = "query ($name: String!) { promptByName(name: $name) { id name category } }"
SET_TEST = """mutation ($input: PromptTestInput!) { setPromptTest(input: $input) {
    promptTest { id } userErrors { code message path } } }"""


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def strict(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RunningService]:
    async with running_service(
        tmp_path_factory.mktemp("strict"), auth_mode="strict", gateway_secrets=SECRET
    ) as service:
        yield service


def writer(
    tenant: str | None = None, scopes: str = "assistant:prompts:write assistant:complete"
) -> dict[str, str]:
    """Somebody who writes prompts, by default of a tenant that no other test has."""
    return {
        "x-gateway-secret": SECRET,
        "x-tenant-id": tenant or f"tenant-{uuid4().hex[:12]}",
        "x-user-id": "ada",
        "x-scopes": scopes,
    }


def operator() -> dict[str, str]:
    return writer("platform", "assistant:admin")


def changes(prompt: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """Every way to change a prompt."""
    name, shares = prompt["name"], [{"version": 1, "weight": 100}]
    test = {"promptName": name, "name": "t", "assertions": [{"contains": "x"}]}
    return [
        (UPDATE, {"id": prompt["id"], "input": {"category": "mine"}}),
        (DELETE, {"id": prompt["id"]}),
        (ADD_VERSION, {"id": prompt["id"], "input": {"template": "Hi."}}),
        (PUBLISH, {"input": {"promptName": name, "version": 1}}),
        (SET_ROLLOUT, {"input": {"promptName": name, "shares": shares}}),
        (SET_TEST, {"input": test}),
    ]


async def test_the_platforms_prompts_are_the_operators_to_change(strict: RunningService) -> None:
    me = writer()
    shipped = await answered(strict, me, FIND, name="generate-title")

    for query, variables in changes(shipped):
        payload = await answered(strict, me, query, **variables)
        assert refused(payload) == [("FORBIDDEN", [])]
        assert "operator" in said(payload)
    assert await answered(strict, me, FIND, name="generate-title") == shipped


async def test_what_the_operator_changes_every_tenant_gets(strict: RunningService) -> None:
    me, name = operator(), f"shared-{uuid4().hex[:8]}"
    prompt = await made(strict, me, name)
    assert await rendered(strict, writer(), name) == "Version 1."

    await add_version(strict, me, prompt, template="Version 2.")
    given = {"promptName": name, "version": 2}
    assert (await answered(strict, me, PUBLISH, input=given))["userErrors"] == []

    assert await rendered(strict, writer(), name) == "Version 2."


async def test_who_released_the_platforms_prompts_and_why_is_the_operators_to_know(
    strict: RunningService,
) -> None:
    me, name = operator(), f"shared-{uuid4().hex[:8]}"
    prompt = await made(strict, me, name)
    await add_version(strict, me, prompt, template="Version 2.")
    given = {"promptName": name, "version": 2, "reason": "two of acme's requests failed"}
    await answered(strict, me, PUBLISH, input=given)
    query = """query ($name: String!) { promptByName(name: $name) {
        releases(first: 1) { nodes { kind reason changedBy { id } shares { weight } } } } }"""

    mine = await answered(strict, me, query, name=name)
    theirs = await answered(strict, writer(), query, name=name)

    known = {"kind": "PUBLISHED", "shares": [{"weight": 100}]}
    ada = {"changedBy": {"id": "ada"}, "reason": "two of acme's requests failed"}
    assert mine["releases"]["nodes"] == [known | ada]
    assert theirs["releases"]["nodes"] == [known | {"changedBy": None, "reason": None}]


async def test_until_a_prompt_of_ones_own_is_published_callers_get_the_platforms(
    strict: RunningService,
) -> None:
    me = writer()
    own = await made(
        strict, me, "extract-keywords", publish=False, initialVersion={"template": "Mine."}
    )
    await rendered(strict, me, "extract-keywords", text="Something.")

    await answered(strict, me, PUBLISH, input={"promptName": own["name"], "version": 1})

    assert await rendered(strict, me, "extract-keywords") == "Mine."


async def test_a_prompt_of_ones_own_hides_the_platforms_until_nobody_else_sees_it(
    strict: RunningService,
) -> None:
    me, other = writer(), writer()
    own = await made(strict, me, "summarize-text", initialVersion={"template": "Mine."})

    assert (await answered(strict, me, FIND, name="summarize-text"))["id"] == own["id"]
    assert await rendered(strict, me, "summarize-text") == "Mine."
    assert (await answered(strict, other, FIND, name="summarize-text"))["id"] != own["id"]
    # Archived it still hides: its name does not silently turn into another prompt.
    await answered(strict, me, DELETE, id=own["id"])
    found = await strict.graphql(
        '{ renderPrompt(input: {promptName: "summarize-text"}) { estimatedTokens } }', headers=me
    )
    assert found["errors"][0]["extensions"]["code"] == "NOT_FOUND"


async def test_what_another_tenant_has_does_not_exist(strict: RunningService) -> None:
    name = f"secret-{uuid4().hex[:8]}"
    theirs = await made(strict, writer(), name)
    me = writer()

    for query, variables in changes(theirs):
        payload = await answered(strict, me, query, **variables)
        assert refused(payload) == [("NOT_FOUND", [])]
    for query in (
        f'{{ prompt(id: "{theirs["id"]}") {{ id }} }}',
        f'{{ promptByName(name: "{name}") {{ id }} }}',
        f'{{ promptPerformance(promptName: "{name}") {{ requests }} }}',
    ):
        answer = await strict.graphql(query, headers=me)
        assert set(answer["data"].values()) == {None}
    answer = await strict.graphql("{ prompts { nodes { name } } }", headers=me)
    assert {"name": name} not in answer["data"]["prompts"]["nodes"]


async def test_who_does_not_write_prompts_is_refused_by_the_operation(
    strict: RunningService,
) -> None:
    me = writer(scopes="assistant:complete assistant:usage:read")
    prompt = await answered(strict, me, FIND, name="generate-title")
    new = {"name": "x", "category": "c", "initialVersion": {"template": "Hi."}}

    for query, variables in [*changes(prompt), (CREATE, {"input": new})]:
        answer = await strict.graphql(query, variables, me)
        (error,) = answer["errors"]
        assert error["extensions"]["code"] == "FORBIDDEN"
        assert "assistant:prompts:write" in error["message"]
