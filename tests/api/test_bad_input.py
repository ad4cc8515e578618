"""Bad input gets a typed error that says what to do, and the service goes on."""

from __future__ import annotations

import io
import json
from typing import Any
from uuid import UUID

import pytest

from assistant.api.connection import encode_cursor
from tests.api.test_main_job import COMPLETE, STREAM, TEXT, complete, somebody, usage
from tests.running_service import RunningService

pytestmark = pytest.mark.asyncio(loop_scope="session")

SUMMARIZE = {"promptName": "summarize-text", "variables": {"text": TEXT}}

CASES: list[tuple[dict[str, Any], str, str]] = [
    ({"promptName": "nope", "variables": {}}, "NOT_FOUND", "nope"),
    (SUMMARIZE | {"promptVersion": 99}, "NOT_FOUND", "version 99"),
    ({"promptName": "summarize-text"}, "BAD_USER_INPUT", "text"),
    (
        {"promptName": "summarize-text", "variables": {"text": "a", "txt": "b"}},
        "BAD_USER_INPUT",
        "txt",
    ),
    ({"promptName": "summarize-text", "variables": [1, 2]}, "BAD_USER_INPUT", "object"),
    ({"promptName": "summarize-text", "variables": "text"}, "BAD_USER_INPUT", "object"),
    ({"promptName": "summarize-text", "variables": {"text": {"a": 1}}}, "BAD_USER_INPUT", "text"),
    ({"promptName": "summarize-text", "variables": {"text": None}}, "BAD_USER_INPUT", "text"),
    ({"promptName": "summarize-text", "variables": {"text": "  "}}, "BAD_USER_INPUT", "text"),
    (
        SUMMARIZE | {"variables": {"text": TEXT, "max_sentences": "many"}},
        "BAD_USER_INPUT",
        "max_sentences",
    ),
    (SUMMARIZE | {"text": "both"}, "BAD_USER_INPUT", "exactly one"),
    ({}, "BAD_USER_INPUT", "exactly one"),
    ({"text": ""}, "BAD_USER_INPUT", "text"),
    ({"messages": []}, "BAD_USER_INPUT", "messages"),
    ({"messages": [{"role": "USER", "content": ""}]}, "BAD_USER_INPUT", "content"),
    ({"text": "nul \x00 byte"}, "BAD_USER_INPUT", "NUL"),
    ({"text": "half \ud800 pair"}, "BAD_USER_INPUT", "Unicode"),
    ({"promptName": "nul\x00"}, "BAD_USER_INPUT", "NUL"),
    ({"text": "x", "feature": "\udfff"}, "BAD_USER_INPUT", "feature"),
    ({"text": "x", "metadata": {"k": "\x00"}}, "BAD_USER_INPUT", "metadata"),
    ({"text": "x", "metadata": [1]}, "BAD_USER_INPUT", "metadata"),
    ({"text": "x", "model": "ollama/nope"}, "NOT_FOUND", "builtin/extractive"),
    ({"text": "x", "model": "builtin/extractive"}, "BAD_USER_INPUT", "task"),
    (SUMMARIZE | {"parameters": {"temperature": 3}}, "BAD_USER_INPUT", "temperature"),
    (SUMMARIZE | {"parameters": {"topP": -1}}, "BAD_USER_INPUT", "topP"),
    (SUMMARIZE | {"parameters": {"maxTokens": 0}}, "BAD_USER_INPUT", "maxTokens"),
    (SUMMARIZE | {"parameters": {"maxTokens": -5}}, "BAD_USER_INPUT", "maxTokens"),
    (SUMMARIZE | {"parameters": {"maxTokens": 2**40}}, "BAD_USER_INPUT", "maxTokens"),
    (SUMMARIZE | {"parameters": {"timeoutMs": 0}}, "BAD_USER_INPUT", "timeoutMs"),
    (SUMMARIZE | {"parameters": {"stop": ["x"] * 17}}, "BAD_USER_INPUT", "stop"),
    ({"text": "x"}, "PROVIDER_UNAVAILABLE", "ollama pull"),
    ({"text": "x", "model": "ollama/llama3.2:3b"}, "PROVIDER_UNAVAILABLE", "ollama"),
]


@pytest.mark.parametrize(("request_", "code", "says"), CASES)
async def test_a_bad_request_is_refused_with_a_code_and_a_sentence_that_helps(
    service: RunningService, request_: dict[str, Any], code: str, says: str
) -> None:
    answer = await service.graphql(COMPLETE, {"input": request_})

    (error,) = answer["errors"]
    assert error["extensions"]["code"] == code, error
    assert says in error["message"], error
    assert "Traceback" not in error["message"]


@pytest.mark.parametrize(
    ("request_", "code"), [(request, code) for request, code, _ in CASES if code != "NOT_FOUND"]
)
async def test_a_stream_carries_the_same_refusals(
    service: RunningService, request_: dict[str, Any], code: str
) -> None:
    (result,) = [r async for r in service.subscribe(STREAM, {"input": request_})]

    if "errors" in result:  # what GraphQL itself refuses never becomes a completion
        assert result["errors"][0]["extensions"]["code"] == code
    else:
        event = result["data"]["completionStream"]
        assert (event["__typename"], event["code"], event["sequence"]) == (
            "CompletionFailed",
            code,
            0,
        )


async def test_two_megabytes_of_text_are_refused_and_the_service_goes_on(
    service: RunningService,
) -> None:
    body = json.dumps({"query": COMPLETE, "variables": {"input": {"text": "x" * 2_000_000}}})
    async with service.session.post(
        f"{service.url}/graphql",
        data=io.BytesIO(body.encode()),
        headers={"content-type": "application/json"},
    ) as response:
        answer = await response.json(content_type=None)

    assert response.status == 413
    assert answer["errors"][0]["extensions"]["code"] == "BAD_USER_INPUT"
    assert (await complete(service, **SUMMARIZE))["status"] == "SUCCEEDED"


async def test_usage_is_right_after_refusals_of_every_kind(service: RunningService) -> None:
    alice = somebody()
    for request in (
        {"text": ""},
        {"promptName": "nope"},
        {"text": "x", "model": "no/model"},
        {"text": "x", "feature": "nul \x00"},
    ):
        await service.graphql(COMPLETE, {"input": request}, alice)
    done = await complete(service, alice, **SUMMARIZE)

    found = await usage(service, alice)

    assert (found["requests"], found["failedRequests"]) == (5, 4)
    assert int(found["totalTokens"]) == done["usage"]["totalTokens"]
    assert [share["model"] for share in found["byModel"]] == ["builtin/extractive"]


async def test_two_completions_in_one_operation_are_refused(service: RunningService) -> None:
    answer = await service.graphql(
        'mutation { a: generateCompletion(input: {text: "x"}) { id } '
        'b: generateCompletion(input: {text: "x"}) { id } }'
    )

    assert {error["extensions"]["code"] for error in answer["errors"]} == {
        "GRAPHQL_VALIDATION_FAILED"
    }


@pytest.mark.parametrize("value", ["nul \x00", "half \ud800 pair"], ids=["nul", "surrogate"])
@pytest.mark.parametrize(
    "query",
    [
        "query($value: String!) { promptByName(name: $value) { id } }",
        "query($value: String!) { prompts(filter: {nameContains: $value}) { nodes { id } } }",
        "query($value: String!) { prompts(filter: {category: $value}) { nodes { id } } }",
        "query($value: String!) { prompts(filter: {tag: $value}) { nodes { id } } }",
        "query($value: String!) { renderPrompt(input: {promptName: $value}) { estimatedTokens } }",
        """query($value: String!) {
             _entities(representations: [{__typename: "Prompt", name: $value}]) { __typename }
           }""",
        """query($value: String!) {
             _entities(representations: [{__typename: "User", id: $value}]) {
               ... on User { assistantUsage { requests } }
             }
           }""",
    ],
)
async def test_a_lookup_by_a_text_that_nothing_can_have_is_refused(
    service: RunningService, query: str, value: str
) -> None:
    answer = await service.graphql(query, {"value": value})

    (error,) = answer["errors"]
    assert error["extensions"]["code"] == "BAD_USER_INPUT", error


@pytest.mark.parametrize(
    ("value", "order"),
    [
        ("summarize-text", "CREATED_AT"),
        ("infinity", "UPDATED_AT"),
        ("0001-01-01T00:00:00+23:00", "CREATED_AT"),
    ],
)
async def test_the_cursor_of_another_order_is_refused(
    service: RunningService, value: str, order: str
) -> None:
    answer = await service.graphql(
        f"query($after: String) {{ prompts(after: $after, orderBy: {{field: {order}}}) "
        "{ nodes { name } } }",
        {"after": encode_cursor(value, UUID(int=1))},
    )

    assert answer["errors"][0]["extensions"]["code"] == "BAD_USER_INPUT"


async def test_a_cursor_to_a_version_that_no_prompt_can_have_is_refused(
    service: RunningService,
) -> None:
    answer = await service.graphql(
        "query($after: String) { prompts(first: 1) { nodes { versions(after: $after) "
        "{ nodes { id } } } } }",
        {"after": encode_cursor(str(2**40), UUID(int=1))},
    )

    assert answer["errors"][0]["extensions"]["code"] == "BAD_USER_INPUT"


async def test_the_cursor_of_another_list_is_refused(service: RunningService) -> None:
    answer = await service.graphql('{ prompts(after: "bm9uc2Vuc2U") { nodes { name } } }')

    assert answer["errors"][0]["extensions"]["code"] == "BAD_USER_INPUT"
