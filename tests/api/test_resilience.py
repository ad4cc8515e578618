"""Failing providers in front of the whole service: answers go on, and no outage is made worse."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.api.test_main_job import complete
from tests.postgres.server import running_server
from tests.providers.fake_anthropic import FakeAnthropic
from tests.providers.fake_anthropic import Reply as AnthropicReply
from tests.providers.fake_ollama import FakeModel, FakeOllama, Fault, Reply
from tests.providers.fake_openai import FakeOpenAi
from tests.providers.fake_openai import Reply as OpenAiReply
from tests.running_service import RunningService, running_service

pytestmark = pytest.mark.asyncio(loop_scope="session")

MODEL = "ollama/llama3.2:3b"
OTHER = "ollama/llama3.2:1b"
STREAM = """subscription ($input: CompletionRequest!) { completionStream(input: $input) {
    __typename sequence
    ... on CompletionStarted { model { id } }
    ... on TokenDelta { text }
    ... on CompletionRestarted { model { id } reason }
    ... on CompletionContinued { model { id } reason }
    ... on CompletionFinished { response { text model { id } usage { completionTokens }
        decision { attempts { model outcome completionTokens } } } }
    ... on CompletionFailed { code message isRetryable retryAfterMs } } }"""
TRY = """mutation ($input: CompletionRequest!) { generateCompletion(input: $input) {
    text json model { id } usage { completionTokens totalTokens }
    decision { ruleName candidates attempts { model outcome errorCode latencyMs } } } }"""
AVAILABLE = "{ availableModels { id } }"
ALLOW = """mutation ($input: ModelInput!) { setModel(input: $input) {
    model { id isAllowed } userErrors { message } } }"""
SET_GROUP = """mutation ($input: ModelGroupInput!) { setModelGroup(input: $input) {
    modelGroup { name } userErrors { message path } } }"""
SET_PROVIDER = """mutation ($input: ProviderInput!) { setProvider(input: $input) {
    provider { name isHealthy } userErrors { message path } } }"""


async def ask(service: RunningService, **wanted: Any) -> dict[str, Any]:
    """The response to generateCompletion, errors and all."""
    return await service.graphql(TRY, {"input": {"text": "hello"} | wanted})


async def stream(service: RunningService, **wanted: Any) -> list[dict[str, Any]]:
    results = service.subscribe(STREAM, {"input": {"text": "hello"} | wanted})
    return [result["data"]["completionStream"] async for result in results]


async def circuit(service: RunningService) -> str:
    answer = await service.graphql("{ providers { name circuit } }")
    return next(p["circuit"] for p in answer["data"]["providers"] if p["name"] == "ollama")


@asynccontextmanager
async def two_replicas(
    folder: Path, ollama: FakeOllama, **settings: str
) -> AsyncIterator[list[RunningService]]:
    """Two processes of the service on one database."""
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(running_server())
        urls = await stack.enter_async_context(server.database())
        yield [
            await stack.enter_async_context(
                running_service(
                    folder / name, ollama_url=ollama.url, database_url=urls.owner, **settings
                )
            )
            for name in ("first", "second")
        ]


async def test_what_one_replica_finds_out_protects_the_other_and_one_probe_goes_out(
    tmp_path: Path,
) -> None:
    open_s = 2.0
    async with (
        FakeOllama() as ollama,
        two_replicas(tmp_path, ollama, circuit_open_s=str(open_s)) as (first, second),
    ):
        ollama.reply = Reply(status=500, error="out of memory")
        for _ in range(2):
            await ask(first, model=MODEL)
        opened_at = asyncio.get_running_loop().time()
        made = len(ollama.chats)
        assert made == 5, "the sixth call is held back"
        async with asyncio.timeout(1.0):
            while await circuit(second) != "OPEN":
                await asyncio.sleep(0.02)

        refused = await ask(second, model=MODEL)

        (error,) = refused["errors"]
        assert error["extensions"]["code"] == "PROVIDER_UNAVAILABLE"
        assert 0 < error["extensions"]["retryAfterMs"] <= 1000 * open_s
        assert len(ollama.chats) == made

        ollama.reply = Reply(first_token_delay_s=0.5)
        await asyncio.sleep(opened_at + open_s + 0.2 - asyncio.get_running_loop().time())
        answers = await asyncio.gather(
            *(ask(replica, model=MODEL) for replica in (first, second) for _ in range(10))
        )

        assert len(ollama.chats) == made + 1, "one call of both replicas tries again"
        assert sum(answer["data"] is not None for answer in answers) == 1
        async with asyncio.timeout(1.0):
            while {await circuit(first), await circuit(second)} != {"CLOSED"}:
                await asyncio.sleep(0.02)
        assert (await ask(second, model=MODEL))["data"] is not None


async def test_200_requests_are_answered_while_the_first_candidate_fails_one_call_in_three(
    tmp_path: Path,
) -> None:
    async with (
        FakeOllama() as ollama,
        running_service(tmp_path, ollama_url=ollama.url) as service,
    ):
        ollama.failing = ("llama3.2:3b", 3)
        allowed = await service.graphql(ALLOW, {"input": {"id": OTHER, "isAllowed": True}})
        assert allowed["data"]["setModel"]["userErrors"] == []

        gate = asyncio.Semaphore(20)

        async def one() -> dict[str, Any]:
            async with gate:
                return await ask(service)

        answers = await asyncio.gather(*(one() for _ in range(200)))

        assert [answer.get("errors") for answer in answers] == [None] * 200
        attempts = [
            answer["data"]["generateCompletion"]["decision"]["attempts"] for answer in answers
        ]
        first_calls = sum(len({attempt["model"] for attempt in tried}) for tried in attempts)
        retries = sum(map(len, attempts)) - first_calls
        assert 0 < retries <= 0.2 * first_calls, "a fifth more calls, however many fail"
        assert all(tried[-1]["outcome"] == "SUCCEEDED" for tried in attempts)
        assert ollama.chats_by_model["llama3.2:1b"] == sum(
            answer["data"]["generateCompletion"]["model"]["id"] == OTHER for answer in answers
        )


async def test_a_dead_ollama_fails_over_to_openai_and_then_to_anthropic(tmp_path: Path) -> None:
    async with (
        FakeOllama() as ollama,
        FakeOpenAi() as openai,
        FakeAnthropic() as anthropic,
        running_service(
            tmp_path,
            ollama_url=ollama.url,
            openai_base_url=openai.url,
            openai_api_key="sk-test",
            anthropic_base_url=anthropic.url,
            anthropic_api_key="sk-ant-test",
        ) as service,
    ):
        ollama.reply = Reply(fault=Fault.NO_ANSWER)
        openai.reply = OpenAiReply(tokens=("from ", "OpenAI"))
        anthropic.reply = AnthropicReply(tokens=("from ", "Anthropic"))

        completion = await complete(service, text="hello")
        assert completion["text"] == "from OpenAI"
        assert openai.chats[-1].headers["authorization"] == "Bearer sk-test"
        assert float(completion["usage"]["cost"]["amount"]) > 0

        openai.reply = OpenAiReply(status=429, type="insufficient_quota", code="insufficient_quota")
        completion = await complete(service, text="hello")
        assert completion["text"] == "from Anthropic"
        assert anthropic.chats[-1].headers["x-api-key"] == "sk-ant-test"

        local = await ask(service, strategy="LOCAL_ONLY")
        assert local["errors"][0]["extensions"]["code"] == "PROVIDER_UNAVAILABLE"


@pytest.mark.parametrize("policy", ["ERROR", "RESTART", "CONTINUE"])
async def test_an_interrupted_stream_ends_as_the_request_says(tmp_path: Path, policy: str) -> None:
    async with (
        FakeOllama() as ollama,
        FakeOpenAi() as openai,
        running_service(
            tmp_path, ollama_url=ollama.url, openai_base_url=openai.url, openai_api_key="k"
        ) as service,
    ):
        ollama.reply = Reply(
            tokens=("One two", " three four", " five"), fault=Fault.RESET, fault_after=2
        )
        openai.reply = OpenAiReply(tokens=("three four", " five", " six."))

        events = await stream(service, onInterruption=policy)

        kinds = [event["__typename"] for event in events]
        assert [event["sequence"] for event in events] == list(range(len(events)))
        if policy == "ERROR":
            assert kinds[-1] == "CompletionFailed"
            assert events[-1]["code"] == "STREAM_INTERRUPTED"
            assert openai.chats == []
            return
        change = {"RESTART": "CompletionRestarted", "CONTINUE": "CompletionContinued"}[policy]
        at = kinds.index(change)
        assert events[at]["reason"] == "PROVIDER_UNAVAILABLE" or events[at]["reason"] == (
            "STREAM_INTERRUPTED"
        )
        shown = "".join(
            event.get("text", "") for event in events[(at if policy == "RESTART" else 0) :]
        )
        response = events[-1]["response"]
        expected = {"RESTART": "three four five six.", "CONTINUE": "One two three four five six."}
        assert shown == response["text"] == expected[policy]
        attempts = response["decision"]["attempts"]
        assert [attempt["outcome"] for attempt in attempts] == ["FAILED", "SUCCEEDED"]
        assert response["usage"]["completionTokens"] == sum(
            attempt["completionTokens"] for attempt in attempts
        )
        assert all(attempt["completionTokens"] > 0 for attempt in attempts)


async def test_an_answer_that_must_satisfy_a_schema_is_repaired_once(tmp_path: Path) -> None:
    schema = {
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
        "additionalProperties": False,
    }
    async with FakeOllama() as ollama, running_service(tmp_path, ollama_url=ollama.url) as service:
        ollama.enqueue(Reply(tokens=('{"town": "Varde"}',)), Reply(tokens=('{"city": "Varde"}',)))

        answer = await ask(service, model=MODEL, responseSchema=schema)

        assert answer["data"]["generateCompletion"]["json"] == {"city": "Varde"}
        assert len(answer["data"]["generateCompletion"]["decision"]["attempts"]) == 2
        assert ollama.chats[0].body["format"] == schema
        asked_again = ollama.chats[1].body["messages"]
        assert [message["role"] for message in asked_again] == ["user", "assistant", "user"]
        assert "city" in asked_again[-1]["content"]

        ollama.reply = Reply(tokens=("I would rather not.",))
        answer = await ask(service, model=MODEL, responseSchema=schema)
        assert answer["errors"][0]["extensions"]["code"] == "INVALID_RESPONSE"

        refused = await ask(service, model=MODEL, responseSchema={"type": "objekt"})
        assert refused["errors"][0]["extensions"]["code"] == "BAD_USER_INPUT"


async def test_two_hosts_of_one_model_share_its_calls(tmp_path: Path) -> None:
    async with (
        FakeOllama() as one,
        FakeOllama() as other,
        running_service(tmp_path, ollama_url=one.url) as service,
    ):
        second = {"name": "second", "kind": "OLLAMA", "baseUrl": other.url, "isLocal": True}
        changed = await service.graphql(SET_PROVIDER, {"input": second})
        assert changed["data"]["setProvider"]["userErrors"] == []
        allowed = {"id": "second/llama3.2:3b", "isAllowed": True}
        await service.graphql(ALLOW, {"input": allowed})
        one.reply = other.reply = Reply(first_token_delay_s=0.02)

        answers = await asyncio.gather(*(ask(service, model="llama3.2:3b") for _ in range(60)))

        assert [answer.get("errors") for answer in answers] == [None] * 60
        assert len(one.chats) + len(other.chats) == 60
        assert min(len(one.chats), len(other.chats)) >= 15


async def test_a_full_provider_sheds_early_with_a_hint_or_the_next_one_answers(
    tmp_path: Path,
) -> None:
    async with (
        FakeOllama() as ollama,
        FakeOpenAi() as openai,
        running_service(
            tmp_path,
            ollama_url=ollama.url,
            openai_base_url=openai.url,
            provider_max_waiting="1",
        ) as service,
    ):
        own = {
            "name": "ollama",
            "kind": "OLLAMA",
            "baseUrl": ollama.url,
            "isLocal": True,
            "maxConcurrency": 1,
        }
        changed = await service.graphql(SET_PROVIDER, {"input": own})
        assert changed["data"]["setProvider"]["userErrors"] == []
        ollama.reply = Reply(first_token_delay_s=0.5)

        answers = await asyncio.gather(*(ask(service, model=MODEL) for _ in range(4)))

        refused = [answer["errors"][0]["extensions"] for answer in answers if "errors" in answer]
        assert [extension["code"] for extension in refused] == ["RATE_LIMITED"] * 2
        assert all(extension["retryAfterMs"] > 0 for extension in refused)
        assert len(ollama.chats) == 2

        answers = await asyncio.gather(*(ask(service) for _ in range(6)))
        assert [answer.get("errors") for answer in answers] == [None] * 6
        assert len(openai.chats) == 4


async def test_a_rule_written_on_one_replica_routes_on_the_other_within_a_second(
    tmp_path: Path,
) -> None:
    create = """mutation ($input: RoutingRuleInput!) { createRoutingRule(input: $input) {
        routingRule { id } userErrors { message path } } }"""
    wanted = {"promptName": "generate-title", "variables": {"text": "A storm tore two cranes."}}
    async with (
        FakeOllama() as ollama,
        two_replicas(tmp_path, ollama) as (first, second),
    ):
        ollama.models = (*ollama.models, FakeModel("mistral:7b"))
        async with asyncio.timeout(20):
            while "ollama/mistral:7b" not in str(await second.graphql(AVAILABLE)):
                await asyncio.sleep(0.1)
        before = await complete(second, **wanted)
        assert before["model"]["id"] == MODEL

        rule = {
            "name": "titles",
            "priority": 1,
            "conditions": {"promptCategory": "writing", "tags": ["title", "text"]},
            "models": ["mistral:7b"],
        }
        created = (await first.graphql(create, {"input": rule}))["data"]["createRoutingRule"]
        assert created["userErrors"] == []

        async with asyncio.timeout(1.0):
            while (await complete(second, **wanted))["model"]["id"] != "ollama/mistral:7b":
                await asyncio.sleep(0.05)
        chosen = await ask(second, **wanted, text=None)
        assert chosen["data"]["generateCompletion"]["decision"]["ruleName"] == "titles"


async def test_explain_route_says_what_then_happens(tmp_path: Path) -> None:
    explain = """query ($input: CompletionRequest!) { explainRoute(input: $input) {
        ruleName candidates { model isEligible reason } rulesTried { ruleName matched } } }"""
    async with FakeOllama() as ollama, running_service(tmp_path, ollama_url=ollama.url) as service:
        wanted = {"text": "hello", "requiresAccuracy": True}
        explained = (await service.graphql(explain, {"input": wanted}))["data"]["explainRoute"]
        assert ollama.chats == []

        decision = (await ask(service, **wanted))["data"]["generateCompletion"]["decision"]

        eligible = [c["model"] for c in explained["candidates"] if c["isEligible"]]
        assert eligible == decision["candidates"]
        assert explained["ruleName"] == decision["ruleName"] == "accuracy-to-quality"
        assert explained["rulesTried"][-1] == {"ruleName": "accuracy-to-quality", "matched": True}
        reasons = {c["model"]: c["reason"] for c in explained["candidates"]}
        assert "ASSISTANT_OPENAI_API_KEY is not set" in reasons["openai/gpt-4o-mini"]
