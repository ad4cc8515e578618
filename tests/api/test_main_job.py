"""The main job, as a client sees it over a real socket: a prompt in, a real answer out."""

from __future__ import annotations

import json
import uuid
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.running_service import RunningService

pytestmark = pytest.mark.asyncio(loop_scope="session")

TEXT = (
    "The harbour of Varde was closed to ships on Monday. "
    "A storm had torn two cranes from their rails during the night. "
    "Nobody was hurt, but one crane fell across the only road to the ferry. "
    "The harbour master expects the road to be clear by Thursday. "
    "Until then, ferries leave from the old pier at Skallen, four kilometres to the north. "
    "The company that runs the harbour says that new cranes will take a year to build."
)

COMPLETE = """
mutation ($input: CompletionRequest!) {
  generateCompletion(input: $input) {
    id text json status finishReason latencyMs createdAt cache
    model { id isAvailable provider { name kind circuit isHealthy } }
    promptVersion { version task prompt { name } }
    usage { promptTokens completionTokens cachedTokens totalTokens isEstimated cost { amount currency } }
    decision {
      ruleName candidates similarity overheadMs savedCost { amount }
      attempts { provider model outcome errorCode latencyMs promptTokens completionTokens cost { amount } }
    }
  }
}
"""

STREAM = """
subscription ($input: CompletionRequest!) {
  completionStream(input: $input) {
    __typename eventId completionId sequence
    ... on CompletionStarted { createdAt model { id } promptVersion { version } }
    ... on TokenDelta { text }
    ... on ReasoningDelta { text }
    ... on CompletionFinished { response { id text status usage { totalTokens } } }
    ... on CompletionFailed { code message isRetryable retryAfterMs }
  }
}
"""


def as_user(name: str) -> dict[str, str]:
    return {"x-tenant-id": "acme", "x-user-id": name}


def somebody() -> dict[str, str]:
    """A user that no other test is."""
    return as_user(f"user-{uuid.uuid4().hex[:8]}")


async def complete(
    service: RunningService, headers: dict[str, str] | None = None, /, **request: Any
) -> dict[str, Any]:
    """The completion; a refusal fails the test."""
    answer = await service.graphql(COMPLETE, {"input": request}, headers)
    assert "errors" not in answer, answer
    completion: dict[str, Any] = answer["data"]["generateCompletion"]
    return completion


async def usage(service: RunningService, headers: dict[str, str]) -> dict[str, Any]:
    query = """{ myUsage(period: TODAY) {
        requests failedRequests cachedRequests totalTokens promptTokens completionTokens
        cost { amount currency } byModel { model requests totalTokens } byFeature { feature requests }
    } }"""
    answer = await service.graphql(query, headers=headers)
    found: dict[str, Any] = answer["data"]["myUsage"]
    return found


async def test_a_summary_is_sentences_of_the_text_on_a_machine_without_any_model(
    service: RunningService,
) -> None:
    completion = await complete(
        service, promptName="summarize-text", variables={"text": TEXT, "max_sentences": 2}
    )

    sentences = [part.strip(" .") for part in completion["text"].split(". ")]
    assert len(sentences) == 2
    assert all(sentence in TEXT for sentence in sentences)
    assert completion["model"]["id"] == "builtin/extractive"
    assert completion["model"]["provider"]["kind"] == "BUILTIN"
    assert (completion["status"], completion["finishReason"]) == ("SUCCEEDED", "STOP")
    assert completion["promptVersion"] == {
        "version": 1,
        "task": "SUMMARIZATION",
        "prompt": {"name": "summarize-text"},
    }
    assert completion["decision"]["candidates"] == ["builtin/extractive"]
    assert [a["outcome"] for a in completion["decision"]["attempts"]] == ["SUCCEEDED"]
    assert completion["usage"]["cost"] == {"amount": "0", "currency": "USD"}


@pytest.mark.parametrize(
    ("prompt", "variables", "expected"),
    [
        ("generate-title", {"text": TEXT}, ""),
        ("extract-keywords", {"text": TEXT, "max_keywords": 5}, ""),
        (
            "classify-sentiment",
            {"text": "What a wonderful, friendly and helpful team!"},
            "positive",
        ),
        (
            "answer-from-context",
            {"context": TEXT, "question": "Where do ferries leave from?"},
            "Skallen",
        ),
    ],
)
async def test_every_seeded_prompt_answers_without_any_model(
    service: RunningService, prompt: str, variables: dict[str, Any], expected: str
) -> None:
    completion = await complete(service, promptName=prompt, variables=variables)

    assert completion["text"].strip()
    assert expected in completion["text"]


async def test_a_stream_starts_carries_the_answer_and_ends_with_the_settled_completion(
    service: RunningService,
) -> None:
    request = {"promptName": "summarize-text", "variables": {"text": TEXT}}

    results = [result async for result in service.subscribe(STREAM, {"input": request})]

    events = [result["data"]["completionStream"] for result in results]
    assert [event["sequence"] for event in events] == list(range(len(events)))
    assert len({event["eventId"] for event in events}) == len(events)
    first, *deltas, last = events
    assert first["__typename"] == "CompletionStarted"
    assert first["model"]["id"] == "builtin/extractive"
    assert {event["__typename"] for event in deltas} == {"TokenDelta"}
    assert last["__typename"] == "CompletionFinished"
    assert "".join(event["text"] for event in deltas) == last["response"]["text"]
    assert last["response"]["status"] == "SUCCEEDED"


async def test_usage_counts_what_was_asked_by_the_user_who_asked(service: RunningService) -> None:
    alice, bob = somebody(), somebody()

    first = await complete(service, alice, promptName="generate-title", variables={"text": TEXT})
    second = await complete(
        service, alice, promptName="generate-title", variables={"text": TEXT}, feature="inbox"
    )

    found = await usage(service, alice)
    tokens = first["usage"]["totalTokens"] + second["usage"]["totalTokens"]
    assert (found["requests"], found["failedRequests"]) == (2, 0)
    assert int(found["totalTokens"]) == tokens
    assert found["byModel"] == [
        {"model": "builtin/extractive", "requests": 2, "totalTokens": str(tokens)}
    ]
    assert found["byFeature"] == [{"feature": "inbox", "requests": 1}]
    assert (await usage(service, bob))["requests"] == 0


async def test_refusals_are_counted_too(service: RunningService) -> None:
    alice = somebody()

    answer = await service.graphql(COMPLETE, {"input": {"promptName": "no-such-prompt"}}, alice)

    (error,) = answer["errors"]
    assert error["extensions"]["code"] == "NOT_FOUND"
    found = await usage(service, alice)
    assert (found["requests"], found["failedRequests"]) == (1, 1)


async def test_a_completion_can_be_read_again_by_its_owner_and_by_nobody_else(
    service: RunningService,
) -> None:
    alice = somebody() | {"x-scopes": "assistant:complete"}
    bob = somebody() | {"x-scopes": "assistant:complete"}
    stranger = alice | {"x-tenant-id": "other", "x-scopes": "assistant:admin"}
    made = await complete(service, alice, promptName="generate-title", variables={"text": TEXT})
    query = "query ($id: ID!) { completion(id: $id) { id text model { id } } }"

    def found(answer: dict[str, Any]) -> Any:
        return answer["data"]["completion"]

    id_ = {"id": made["id"]}
    assert found(await service.graphql(query, id_, alice)) == {
        "id": made["id"],
        "text": made["text"],
        "model": {"id": "builtin/extractive"},
    }
    assert found(await service.graphql(query, id_, bob)) is None
    assert found(await service.graphql(query, id_, stranger)) is None
    assert found(await service.graphql(query, {"id": "not-an-id"}, alice)) is None


async def test_the_catalog_lists_the_seeds_in_pages(service: RunningService) -> None:
    query = """query ($after: String) { prompts(first: 2, after: $after) {
        nodes { name category tags publishedVersion { version status variables { name isRequired defaultValue } }
                versions(first: 5) { nodes { version } pageInfo { hasNextPage } } }
        pageInfo { hasNextPage endCursor } } }"""
    names: list[str] = []
    after, has_more = None, True
    while has_more:
        page = (await service.graphql(query, {"after": after}))["data"]["prompts"]
        names += [node["name"] for node in page["nodes"]]
        assert all(node["publishedVersion"]["status"] == "PUBLISHED" for node in page["nodes"])
        after, has_more = page["pageInfo"]["endCursor"], page["pageInfo"]["hasNextPage"]

    assert names == sorted(names)
    assert {
        "summarize-text",
        "generate-title",
        "extract-keywords",
        "classify-sentiment",
        "answer-from-context",
    } <= set(names)


async def test_a_prompt_can_be_rendered_without_a_model(service: RunningService) -> None:
    query = """query ($input: RenderPromptInput!) { renderPrompt(input: $input) {
        messages { role content } estimatedTokens promptVersion { version } } }"""
    variables = {"input": {"promptName": "summarize-text", "variables": {"text": "<b>&</b> {{x}}"}}}

    rendered = (await service.graphql(query, variables))["data"]["renderPrompt"]

    assert [message["role"] for message in rendered["messages"]] == ["SYSTEM", "USER"]
    assert "<b>&</b> {{x}}" in rendered["messages"][1]["content"]
    assert "at most 3 sentences" in rendered["messages"][1]["content"]
    assert rendered["estimatedTokens"] > 20


async def test_providers_groups_and_models_say_what_there_is(service: RunningService) -> None:
    answer = await service.graphql(
        """{ providers { name isHealthy circuit models { id isAvailable isAllowed contextWindow } }
             modelGroups { name models fallbackGroup }
             availableModels(capability: CHAT) { id isAvailable } }"""
    )

    data = answer["data"]
    providers = {provider["name"]: provider for provider in data["providers"]}
    assert providers["builtin"]["isHealthy"] and not providers["ollama"]["isHealthy"]
    assert {model["id"] for model in providers["ollama"]["models"]} == {
        "ollama/llama3.2:3b",
        "ollama/mistral:7b",
        "ollama/gemma:7b",
    }
    assert {group["name"]: group["fallbackGroup"] for group in data["modelGroups"]} == {
        "fast": None,
        "quality": "fast",
    }
    assert data["availableModels"] == [{"id": "builtin/extractive", "isAvailable": True}]


async def test_the_metrics_count_what_was_done(service: RunningService) -> None:
    async def sample(name: str, **labels: str) -> float:
        _, text = await service.get("/metrics")
        samples = (
            one
            for family in text_string_to_metric_families(text)
            for one in family.samples
            if one.name == name and labels.items() <= one.labels.items()
        )
        return sum(one.value for one in samples)

    model = {"model": "builtin/extractive"}
    counted = [
        ("assistant_requests_total", model | {"outcome": "SUCCEEDED", "prompt": "generate-title"}),
        ("assistant_requests_total", {"outcome": "NOT_FOUND"}),
        ("assistant_tokens_total", model | {"kind": "prompt"}),
        ("assistant_tokens_total", model | {"kind": "completion"}),
        ("assistant_cost_total", model),
        ("assistant_overhead_seconds_count", {"outcome": "SUCCEEDED"}),
    ]
    before = [await sample(name, **labels) for name, labels in counted]

    done = await complete(service, promptName="generate-title", variables={"text": TEXT})
    await service.graphql(COMPLETE, {"input": {"promptName": "no-such-prompt"}})

    after = [await sample(name, **labels) for name, labels in counted]
    tokens = done["usage"]
    assert [now - then for now, then in zip(after, before, strict=True)] == [
        *(1, 1, tokens["promptTokens"], tokens["completionTokens"], 0, 1)
    ]
    # A model that costs nothing has no series of its own.
    assert "# TYPE assistant_cost_total counter" in (await service.get("/metrics"))[1]


async def test_readiness_says_what_is_needed_and_lists_the_providers(
    service: RunningService,
) -> None:
    status, body = await service.get("/health/ready")

    report = json.loads(body)
    assert (status, report["status"]) == (200, "ready")
    assert report["checks"] == {"database": {"ok": True}, "embedder": {"ok": True}}
    assert report["providers"]["builtin"] == {"ok": True}
    assert not report["providers"]["ollama"]["ok"]
    assert "127.0.0.1:9" in report["providers"]["ollama"]["reason"]


async def test_every_entity_is_found_by_each_of_its_keys_beside_bad_references(
    service: RunningService,
) -> None:
    alice = somebody()
    made = await complete(service, alice, promptName="generate-title", variables={"text": TEXT})
    lookup = 'promptByName(name: "generate-title") { id publishedVersion { id } }'
    prompt = (await service.graphql(f"{{ {lookup} }}"))["data"]["promptByName"]
    references = [
        {"__typename": "CompletionResponse", "id": made["id"]},
        {"__typename": "Prompt", "id": prompt["id"]},
        {"__typename": "Prompt", "name": "generate-title"},
        {"__typename": "PromptVersion", "id": prompt["publishedVersion"]["id"]},
        {"__typename": "Model", "id": "builtin/extractive"},
        {"__typename": "User", "id": alice["x-user-id"]},
        {"__typename": "Model", "id": "no/model"},
        {"__typename": "Prompt", "id": "no-uuid"},
        {"__typename": "Nonsense", "id": "1"},
    ]
    query = """query ($r: [_Any!]!) { _entities(representations: $r) { __typename
        ... on CompletionResponse { text } ... on Prompt { name } ... on Model { contextWindow }
        ... on PromptVersion { version prompt { name } } ... on User { id } } }"""

    answer = await service.graphql(query, {"r": references}, alice)
    too_many = await service.graphql(query, {"r": references[4:5] * 501}, alice)

    named = {"__typename": "Prompt", "name": "generate-title"}
    assert answer["data"]["_entities"] == [
        {"__typename": "CompletionResponse", "text": made["text"]},
        named,
        named,
        {"__typename": "PromptVersion", "version": 1, "prompt": {"name": "generate-title"}},
        {"__typename": "Model", "contextWindow": 262_144},
        {"__typename": "User", "id": alice["x-user-id"]},
        *(None, None, None),
    ]
    (error,) = answer["errors"]
    assert (error["path"], error["extensions"]["code"]) == (["_entities", 8], "BAD_USER_INPUT")
    assert [error["extensions"]["code"] for error in too_many["errors"]] == ["BAD_USER_INPUT"]


async def test_users_usage_is_one_entity_lookup_and_hidden_from_those_who_may_not_see_it(
    service: RunningService,
) -> None:
    alice, bob = somebody(), somebody()
    await complete(service, alice, promptName="generate-title", variables={"text": TEXT})
    query = """query ($r: [_Any!]!) { _entities(representations: $r) {
        ... on User { id assistantUsage(period: TODAY) { requests } } } }"""
    users = [{"__typename": "User", "id": who["x-user-id"]} for who in (alice, bob)]

    seen = await service.graphql(query, {"r": users}, alice | {"x-scopes": "assistant:admin"})
    hidden = await service.graphql(query, {"r": users}, bob | {"x-scopes": "assistant:complete"})

    assert [user["assistantUsage"] for user in seen["data"]["_entities"]] == [
        {"requests": 1},
        {"requests": 0},
    ]
    assert [user["assistantUsage"] for user in hidden["data"]["_entities"]] == [
        None,
        {"requests": 0},
    ]


async def test_the_bare_address_leads_to_graphiql(service: RunningService) -> None:
    async with service.session.get(f"{service.url}/", headers={"accept": "text/html"}) as response:
        assert response.url.path == "/graphql"
        assert "GraphiQL" in await response.text()
