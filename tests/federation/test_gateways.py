"""Apollo Gateway and Hive Gateway in front of the service: queries, joins, identity, streams."""

from __future__ import annotations

import re
import time
import uuid
from collections.abc import Callable

import httpx
import pytest

from tests.federation.client import GraphQLClient
from tests.federation.conftest import Gateway
from tests.federation.processes import ROOT

APOLLO = "apollo"
HIVE_SSE = "hive over SSE"
HIVE_WS = "hive over WebSocket"

TEXT = (
    "The harbour of Varde was closed to ships on Monday. A storm had torn two cranes from their "
    "rails during the night. Nobody was hurt, but one crane fell across the only road to the ferry."
)
INPUT = {
    "promptName": "summarize-text",
    "variables": {"text": TEXT},
    "model": "builtin/extractive",
}

COMPLETE = """
    mutation Complete($input: CompletionRequest!) {
      generateCompletion(input: $input) {
        id
        text
        status
        model { id }
        promptVersion { id prompt { id } }
      }
    }
"""
STREAM = """
    subscription Stream($input: CompletionRequest!) {
      completionStream(input: $input) {
        __typename
        completionId
        sequence
        ... on CompletionStarted { model { id name } }
        ... on TokenDelta { text }
        ... on CompletionFinished { response { id text model { name } } }
        ... on CompletionFailed { code message retryAfterMs }
      }
    }
"""
MY_REQUESTS = "{ me { assistantUsage(period: TODAY) { requests } } }"


@pytest.fixture(params=[APOLLO, HIVE_SSE])
def gateway(request: pytest.FixtureRequest, start_gateway: Callable[[str], Gateway]) -> Gateway:
    return start_gateway(request.param)


@pytest.fixture(params=[HIVE_SSE, HIVE_WS])
def streaming_gateway(
    request: pytest.FixtureRequest, start_gateway: Callable[[str], Gateway]
) -> Gateway:
    return start_gateway(request.param)


def requests_of(gateway: Gateway, user: str) -> int:
    requests: int = gateway.client(user).execute(MY_REQUESTS)["me"]["assistantUsage"]["requests"]
    return requests


def slow_request() -> dict[str, str]:
    """One that nobody made before, and that the model takes a second for."""
    return {"text": f"Tell me about {uuid.uuid4()}.", "model": "ollama/llama3.2:3b"}


def eventually(holds: Callable[[], bool], within_s: float = 5) -> None:
    """Wait until ``holds``. Raises AssertionError where it never does."""
    deadline = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_the_first_query_of_the_readme_runs_through_a_gateway(gateway: Gateway) -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    query = re.findall(r"```graphql\n(.*?)```", readme, re.DOTALL)[0]
    answer = gateway.client("ada").execute(query)["generateCompletion"]
    assert answer["text"]
    assert answer["model"]["id"] == "ollama/llama3.2:3b"


def test_a_gateway_joins_each_entity_by_each_of_its_keys(gateway: Gateway) -> None:
    client = gateway.client("operator")
    made = client.execute(COMPLETE, input=INPUT)["generateCompletion"]
    data = client.execute(
        """
        query Join($completion: ID!, $model: ID!, $prompt: ID!, $promptVersion: ID!) {
          me { favouritePrompt { id name } }
          ticket(
            completionId: $completion
            modelId: $model
            promptId: $prompt
            promptVersionId: $promptVersion
            reporterId: "grace"
            serviceId: "web"
          ) {
            completion { text status }
            model { name }
            prompt { name publishedVersion { id } }
            promptVersion { version prompt { name } }
            reporter { name assistantUsage(period: TODAY) { failedRequests } }
            service { id assistantUsage(period: TODAY) { requests } }
          }
        }
        """,
        completion=made["id"],
        model=made["model"]["id"],
        prompt=made["promptVersion"]["prompt"]["id"],
        promptVersion=made["promptVersion"]["id"],
    )
    assert data == {
        "me": {
            "favouritePrompt": {
                "id": made["promptVersion"]["prompt"]["id"],
                "name": "summarize-text",
            }
        },
        "ticket": {
            "completion": {"text": made["text"], "status": "SUCCEEDED"},
            "model": {"name": "extractive"},
            "prompt": {
                "name": "summarize-text",
                "publishedVersion": {"id": made["promptVersion"]["id"]},
            },
            "promptVersion": {"version": 1, "prompt": {"name": "summarize-text"}},
            "reporter": {"name": "Grace Hopper", "assistantUsage": {"failedRequests": 0}},
            "service": {"id": "web", "assistantUsage": {"requests": 0}},
        },
    }


def test_a_wide_query_with_arguments_left_out_runs_through_a_gateway(gateway: Gateway) -> None:
    """Hive Gateway renames every field of it and moves every argument into a variable."""
    data = gateway.client("ada").execute(
        """
        {
          prompts { nodes { name versions { nodes { version } } } pageInfo { hasNextPage } }
          sorted: prompts(filter: { nameContains: "summarize-t" }, orderBy: { field: NAME }, first: 1) {
            edges { cursor node { name createdBy { name } } }
          }
          promptByName(name: "summarize-text") { version(number: 1) { variables { name } } }
          renderPrompt(input: { promptName: "summarize-text", variables: { text: "Hi." } }) {
            messages { role }
          }
          availableModels { id provider { name } }
          modelGroups { name }
          myUsage { totalTokens cost { amount } }
          me { name assistantUsage { totalTokens } }
        }
        """
    )
    assert "summarize-text" in {prompt["name"] for prompt in data["prompts"]["nodes"]}
    assert [edge["node"]["name"] for edge in data["sorted"]["edges"]] == ["summarize-text"]
    assert "builtin/extractive" in {model["id"] for model in data["availableModels"]}
    assert data["myUsage"]["totalTokens"] == data["me"]["assistantUsage"]["totalTokens"]


def test_a_list_of_users_joined_with_their_usage_costs_one_entities_call(gateway: Gateway) -> None:
    before = len(gateway.subgraph_requests())
    data = gateway.client("operator").execute(
        "{ users { nodes { name assistantUsage(period: TODAY) { requests } } "
        "pageInfo { hasNextPage } } }"
    )
    assert [user["name"] for user in data["users"]["nodes"]] == [
        "Ada Lovelace",
        "Grace Hopper",
        "Alan Turing",
    ]
    assert all(user["assistantUsage"] is not None for user in data["users"]["nodes"])
    [request] = gateway.subgraph_requests()[before:]
    assert "_entities" in request["query"]


def test_who_is_no_administrator_sees_their_own_usage_in_a_list_of_users(gateway: Gateway) -> None:
    data = gateway.client("ada").execute("{ users { nodes { id assistantUsage { requests } } } }")
    seen = {user["id"] for user in data["users"]["nodes"] if user["assistantUsage"] is not None}
    assert seen == {"ada"}


def test_a_completion_is_accounted_to_the_user_that_the_gateway_names(gateway: Gateway) -> None:
    ada, grace = requests_of(gateway, "ada"), requests_of(gateway, "grace")
    client = gateway.client("ada")
    pretender = GraphQLClient(client.url, {**client.headers, "x-user-id": "grace"})
    assert pretender.execute(COMPLETE, input=INPUT)["generateCompletion"]["status"] == "SUCCEEDED"
    assert requests_of(gateway, "ada") == ada + 1
    assert requests_of(gateway, "grace") == grace


def test_identity_headers_without_the_secret_of_a_gateway_count_for_nothing(subgraph: str) -> None:
    intruder = GraphQLClient(
        subgraph, {"x-tenant-id": "acme", "x-user-id": "ada", "x-gateway-secret": "guessed"}
    )
    [error] = intruder.result(COMPLETE, input=INPUT)["errors"]
    assert error["extensions"]["code"] == "UNAUTHENTICATED"


def test_errors_of_the_subgraph_keep_their_code_behind_a_gateway(gateway: Gateway) -> None:
    result = gateway.client("ada").result(COMPLETE, input={"promptName": "no-such-prompt"})
    assert [error["extensions"]["code"] for error in result["errors"]] == ["NOT_FOUND"]


@pytest.mark.parametrize(("name", "user"), [(APOLLO, "busy-at-apollo"), (HIVE_SSE, "busy-at-hive")])
def test_who_asks_too_often_is_told_so_and_when_to_come_again_behind_a_gateway(
    start_gateway: Callable[[str], Gateway], name: str, user: str
) -> None:
    client = start_gateway(name).client(user)
    assert "errors" not in client.result(COMPLETE, input=INPUT)
    [error] = client.result(COMPLETE, input=INPUT)["errors"]
    assert error["extensions"]["code"] == "RATE_LIMITED"
    assert 0 < error["extensions"]["retryAfterMs"] <= 60_000
    assert "per minute is used up" in error["message"]


@pytest.mark.parametrize(
    ("name", "user"), [(HIVE_SSE, "busy-over-sse"), (HIVE_WS, "busy-over-websocket")]
)
def test_who_streams_too_often_is_told_so_in_an_event_behind_a_gateway(
    start_gateway: Callable[[str], Gateway], name: str, user: str
) -> None:
    client = start_gateway(name).client(user)
    list(client.subscribe(STREAM, input=INPUT))
    [result] = client.subscribe(STREAM, input=INPUT)
    event = result["data"]["completionStream"]
    assert (event["__typename"], event["code"]) == ("CompletionFailed", "RATE_LIMITED")
    assert 0 < event["retryAfterMs"] <= 60_000


def test_a_stream_arrives_whole_through_hive_gateway(streaming_gateway: Gateway) -> None:
    client = streaming_gateway.client("ada")
    results = list(client.subscribe(STREAM, input=INPUT))
    assert not [result for result in results if "errors" in result]
    events = [result["data"]["completionStream"] for result in results]
    started, *deltas, finished = events
    assert started["__typename"] == "CompletionStarted"
    assert {delta["__typename"] for delta in deltas} == {"TokenDelta"}
    assert finished["__typename"] == "CompletionFinished"
    assert [event["sequence"] for event in events] == list(range(len(events)))
    assert {event["completionId"] for event in events} == {finished["response"]["id"]}
    assert "".join(delta["text"] for delta in deltas) == finished["response"]["text"]


def test_a_stream_is_accounted_to_the_user_that_hive_gateway_names(
    streaming_gateway: Gateway,
) -> None:
    alan, grace = requests_of(streaming_gateway, "alan"), requests_of(streaming_gateway, "grace")
    list(streaming_gateway.client("alan").subscribe(STREAM, input=INPUT))
    assert requests_of(streaming_gateway, "alan") == alan + 1
    assert requests_of(streaming_gateway, "grace") == grace


def test_tokens_pass_hive_gateway_while_the_model_still_answers(streaming_gateway: Gateway) -> None:
    arrivals = [
        time.monotonic()
        for result in streaming_gateway.client("ada").subscribe(STREAM, input=slow_request())
        if result["data"]["completionStream"]["__typename"] == "TokenDelta"
    ]
    assert len(arrivals) > 10
    assert arrivals[-1] - arrivals[0] > 0.5


def test_a_client_that_leaves_hive_gateway_stops_the_model_and_is_accounted(
    streaming_gateway: Gateway, ollama: str
) -> None:
    def answers_cut() -> int:
        count: int = httpx.get(f"{ollama}/fake/state").json()["cut"]
        return count

    grace, cut = requests_of(streaming_gateway, "grace"), answers_cut()
    results = streaming_gateway.client("grace").subscribe(STREAM, input=slow_request())
    for _ in range(4):
        next(results)
    results.close()
    eventually(lambda: answers_cut() == cut + 1)
    eventually(lambda: requests_of(streaming_gateway, "grace") == grace + 1)


@pytest.mark.parametrize(("name", "methods"), [(HIVE_SSE, ["GET"]), (HIVE_WS, [])])
def test_hive_gateway_subscribes_by_get_or_over_a_websocket(
    start_gateway: Callable[[str], Gateway], name: str, methods: list[str]
) -> None:
    """What the two gateways above are for: each really takes its own way to the service."""
    gateway = start_gateway(name)
    before = len(gateway.subgraph_requests())
    list(gateway.client("ada").subscribe(STREAM, input=INPUT))
    assert [request["method"] for request in gateway.subgraph_requests()[before:]] == methods
