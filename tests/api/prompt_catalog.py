"""A prompt catalog as its writers use it: who they are, what they send, what comes back."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

from tests.running_service import RunningService

ERRORS = "userErrors { code message path }"
KEPT = "cache { ttlSeconds minSimilarity maxTemperature sharing isSemantic variables }"
CREATE = f"""mutation ($input: CreatePromptInput!) {{ createPrompt(input: $input) {{
    prompt {{ id name category description tags isArchived publishRequiresTests createdAt updatedAt {KEPT}
        createdBy {{ id }} rollout {{ weight }} rolloutGuard {{ minSamples }}
        publishedVersion {{ id version status publishedAt }}
        versions {{ nodes {{ id version status }} }} }}
    {ERRORS} }} }}"""
UPDATE = f"""mutation ($id: ID!, $input: UpdatePromptInput!) {{ updatePrompt(id: $id, input: $input) {{
    prompt {{ id name category description tags isArchived publishRequiresTests
        {KEPT} }} {ERRORS} }} }}"""
DELETE = f"""mutation ($id: ID!) {{ deletePrompt(id: $id) {{
    prompt {{ id name isArchived versions {{ nodes {{ version }} }} }} {ERRORS} }} }}"""
ADD_VERSION = f"""mutation ($id: ID!, $input: PromptVersionInput!) {{
    createPromptVersion(promptId: $id, input: $input) {{
        promptVersion {{ id version status template systemTemplate task model responseSchema
            changeNote onInterruption createdBy {{ id }} publishedAt
            variables {{ name description isRequired defaultValue type }}
            parameters {{ temperature topP maxTokens stop seed timeoutMs }}
            partials {{ usedAs name version template }}
            prompt {{ id name }} }}
        {ERRORS} }} }}"""
PUBLISH = f"""mutation ($input: PublishPromptVersionInput!) {{ publishPromptVersion(input: $input) {{
    prompt {{ name rollout {{ weight version {{ version }} }} publishedVersion {{ version }}
        versions {{ nodes {{ version status }} }} }}
    promptVersion {{ version status publishedAt }} {ERRORS} }} }}"""
SET_ROLLOUT = f"""mutation ($input: PromptRolloutInput!) {{ setPromptRollout(input: $input) {{
    prompt {{ name rollout {{ weight version {{ version status }} }}
        rolloutGuard {{ errorRateMargin costMargin minSamples }}
        publishedVersion {{ version }} }}
    {ERRORS} }} }}"""
RENDER = """query ($input: RenderPromptInput!) { renderPrompt(input: $input) {
    promptVersion { version } messages { role content } } }"""


def writer(**headers: str) -> dict[str, str]:
    """Somebody who writes prompts, in dev mode, of a tenant that no other test has."""
    given = {"x-tenant-id": f"tenant-{uuid4().hex[:12]}", "x-user-id": "ada"}
    return given | {name.replace("_", "-"): value for name, value in headers.items()}


async def answered(
    service: RunningService, me: dict[str, str], query: str, **variables: Any
) -> dict[str, Any]:
    """What the one root field of an operation holds; an error fails the test."""
    answer = await service.graphql(query, variables, me)
    assert "errors" not in answer, answer
    ((_, found),) = answer["data"].items()
    result: dict[str, Any] = found
    return result


async def made(
    service: RunningService, me: dict[str, str], name: str = "greet", **changes: Any
) -> dict[str, Any]:
    """A new prompt of the caller's tenant, published unless ``publish`` says otherwise."""
    given = {
        "name": name,
        "category": "test",
        "initialVersion": {"template": "Version 1."},
        "publish": True,
    } | changes
    payload = await answered(service, me, CREATE, input=given)
    assert payload["userErrors"] == [], payload
    prompt: dict[str, Any] = payload["prompt"]
    return prompt


async def with_versions(
    service: RunningService, me: dict[str, str], count: int, name: str = "greet"
) -> dict[str, Any]:
    """A new prompt of so many versions, the first one published, each saying its number."""
    prompt = await made(service, me, name)
    for number in range(2, count + 1):
        await add_version(service, me, prompt, template=f"Version {number}.")
    return prompt


async def add_version(
    service: RunningService, me: dict[str, str], prompt: dict[str, Any], **said: Any
) -> dict[str, Any]:
    """The next version of a prompt, a draft."""
    payload = await answered(service, me, ADD_VERSION, id=prompt["id"], input=said)
    assert payload["userErrors"] == [], payload
    version: dict[str, Any] = payload["promptVersion"]
    return version


async def rendered(
    service: RunningService, me: dict[str, str], name: str = "greet", **variables: Any
) -> str:
    """The user message that the caller would send with a prompt."""
    given = {"promptName": name, "variables": variables}
    found = await answered(service, me, RENDER, input=given)
    text: str = found["messages"][-1]["content"]
    return text


def refused(payload: dict[str, Any]) -> list[tuple[str, list[str]]]:
    """The code and path of each of a payload's errors; it must hold nothing else."""
    assert all(value is None for name, value in payload.items() if name != "userErrors"), payload
    return [(error["code"], error["path"]) for error in payload["userErrors"]]


def said(payload: dict[str, Any]) -> str:
    """The messages of a payload's errors, a line each."""
    return "\n".join(error["message"] for error in payload["userErrors"])
