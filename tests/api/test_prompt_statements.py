"""How many statements the catalog is read with: as many for fifty prompts as for one."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
import structlog
from pydantic import SecretStr
from sqlalchemy import Engine, event

from assistant.app import create_app
from assistant.settings import AuthMode, Settings
from tests.api.prompt_catalog import (
    PUBLISH,
    SET_ROLLOUT,
    add_version,
    answered,
    made,
    writer,
)
from tests.api.serving import serving
from tests.postgres.server import running_server
from tests.running_service import NO_OLLAMA

pytestmark = pytest.mark.asyncio(loop_scope="session")

LIST = """query ($name: String!, $first: Int!) {
    prompts(filter: { nameContains: $name }, first: $first) { nodes {
        name createdBy { id }
        publishedVersion { version }
        version(number: 1) { status prompt { name } }
        versions(first: 20) { nodes { version template prompt { name } } }
        rollout { version { version } weight }
        performance {
            requests successRate averageCost { amount } latencyP50Ms latencyP95Ms
            byVersion { promptVersion { version prompt { name } } requests latencyP95Ms } }
        tests { name assertions { contains } }
        releases(first: 20) { nodes { kind shares { version { version } weight } } }
    } } }"""
RUNS = """query ($name: String!, $first: Int!) {
    promptByName(name: $name) { versions(first: $first) { nodes {
        version testRuns { status promptVersion { version prompt { name } }
            results { outcome completion { text promptVersion { version } } } } } } } }"""
SET_TEST = """mutation ($input: PromptTestInput!) { setPromptTest(input: $input) {
    userErrors { message } } }"""
TEST = """mutation ($name: String!, $number: Int!) {
    testPromptVersion(input: { promptName: $name, version: $number }) {
        run { passed } userErrors { message } } }"""
COMPLETE = """mutation ($name: String!) {
    generateCompletion(input: { promptName: $name, variables: { text: "A storm." } }) { id } }"""
SUMMARY = {
    "template": "{{text}}",
    "variables": [{"name": "text"}],
    "task": "SUMMARIZATION",
}
PROMPTS = 50


class Client:
    """Asks a service that runs in this process, over its socket."""

    def __init__(self, url: str, session: aiohttp.ClientSession) -> None:
        self._url = url
        self._session = session

    async def graphql(
        self, query: str, variables: dict[str, Any] | None = None, headers: Any = None
    ) -> dict[str, Any]:
        body = {"query": query, "variables": variables or {}}
        async with self._session.post(self._url, json=body, headers=headers or {}) as response:
            answer: dict[str, Any] = await response.json()
            return answer


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def here() -> AsyncIterator[Any]:
    """A service in this process, so that its statements can be counted."""
    async with running_server() as server, server.database() as urls:
        settings = Settings(
            auth_mode=AuthMode.DEV, database_url=SecretStr(urls.owner), ollama_url=NO_OLLAMA
        )
        async with serving(create_app(settings)) as address, aiohttp.ClientSession() as session:
            yield Client(f"http://{address}/graphql", session)


@contextmanager
def counted() -> Iterator[list[str]]:
    """The statements that requests run meanwhile; what runs in the background is left out."""
    statements: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if structlog.contextvars.get_contextvars().get("request_id"):
            statements.append(statement)

    event.listen(Engine, "before_cursor_execute", note)
    try:
        yield statements
    finally:
        event.remove(Engine, "before_cursor_execute", note)


async def used(here: Any, me: dict[str, str], name: str) -> None:
    """A prompt that has something of everything."""
    prompt = await made(here, me, name, initialVersion=SUMMARY)
    await add_version(here, me, prompt, **SUMMARY)
    await answered(here, me, COMPLETE, name=name)
    await answered(here, me, PUBLISH, input={"promptName": name, "version": 2})
    await answered(here, me, COMPLETE, name=name)
    shares = [{"version": 1, "weight": 50}, {"version": 2, "weight": 50}]
    split = await answered(
        here, me, SET_ROLLOUT, input={"promptName": name, "shares": shares, "guard": {}}
    )
    assert split["userErrors"] == []
    await set_test(here, me, name)


async def set_test(here: Any, me: dict[str, str], name: str) -> None:
    given = {
        "promptName": name,
        "name": "t",
        "variables": {"text": "A storm."},
        "assertions": [{"contains": "storm"}],
    }
    assert (await answered(here, me, SET_TEST, input=given))["userErrors"] == []


async def test_fifty_prompts_are_read_with_as_many_statements_as_one(here: Any) -> None:
    me = writer()
    await asyncio.gather(*(used(here, me, f"used-{number}") for number in range(PROMPTS)))

    with counted() as for_one:
        one = await answered(here, me, LIST, name="used-", first=1)
    with counted() as for_all:
        found = await answered(here, me, LIST, name="used-", first=PROMPTS)

    assert (len(one["nodes"]), len(found["nodes"])) == (1, PROMPTS)
    for prompt in found["nodes"]:
        assert [version["version"] for version in prompt["versions"]["nodes"]] == [2, 1]
        assert [share["weight"] for share in prompt["rollout"]] == [50, 50]
        assert prompt["performance"]["requests"] == 2
        assert len(prompt["performance"]["byVersion"]) == 2
        assert len(prompt["tests"]) == 1
        assert len(prompt["releases"]["nodes"]) == 3
    assert Counter(for_all) == Counter(for_one)  # their order is that of their answers
    assert len(for_all) <= 2 * 10  # each after one that says for which tenant


async def test_percentiles_are_computed_only_for_who_asks(here: Any) -> None:
    me = writer()
    await made(here, me)
    query = """{ promptPerformance(promptName: "greet") {
        requests averageLatencyMs byVersion { requests } %s } }"""

    with counted() as without:
        await answered(here, me, query % "")
    with counted() as with_one:
        await answered(here, me, query % "latencyP50Ms latencyP95Ms")

    assert not any("percentile" in statement for statement in without)
    assert len(with_one) == len(without) + 2
    assert any("percentile" in statement for statement in with_one)


async def test_the_runs_of_many_versions_are_read_with_as_many_statements_as_of_one(
    here: Any,
) -> None:
    me = writer()
    prompt = await made(here, me, "tested", initialVersion=SUMMARY)
    await set_test(here, me, "tested")
    for number in range(1, 11):
        run = await answered(here, me, TEST, name="tested", number=number)
        assert run == {"run": {"passed": 1}, "userErrors": []}
        await add_version(here, me, prompt, **SUMMARY)

    with counted() as for_one:
        await answered(here, me, RUNS, name="tested", first=2)  # the newest has none
    with counted() as for_all:
        found = await answered(here, me, RUNS, name="tested", first=20)

    runs = [version["testRuns"] for version in found["versions"]["nodes"]]
    assert [len(each) for each in runs] == [0] + [1] * 10
    assert all("storm" in run[0]["results"][0]["completion"]["text"] for run in runs[1:])
    assert Counter(for_all) == Counter(for_one)  # their order is that of their answers
