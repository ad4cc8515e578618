"""Embeddings over a real socket: vectors, what they cost, and what is refused."""

from __future__ import annotations

import math
from typing import Any

import pytest

from tests.api.test_main_job import somebody, usage
from tests.providers.fake_ollama import FakeOllama
from tests.running_service import RunningService

pytestmark = pytest.mark.asyncio(loop_scope="session")

EMBED = """
mutation ($input: EmbeddingsInput!) {
  createEmbeddings(input: $input) {
    model { id } dimensions vectors
    usage { promptTokens completionTokens totalTokens isEstimated cost { amount currency } }
  }
}
"""


async def embed(
    service: RunningService, headers: dict[str, str] | None = None, /, **fields: Any
) -> dict[str, Any]:
    answer = await service.graphql(EMBED, {"input": fields}, headers)
    assert "errors" not in answer, answer
    found: dict[str, Any] = answer["data"]["createEmbeddings"]
    return found


async def test_texts_of_like_meaning_have_like_vectors_on_a_machine_without_any_model(
    service: RunningService,
) -> None:
    found = await embed(
        service,
        texts=["The ferry is late.", "The boat comes too late.", "Two cups of flour and an egg."],
    )

    assert found["model"]["id"] == "builtin/all-minilm-l6-v2"
    vectors = found["vectors"]
    assert [len(vector) for vector in vectors] == [found["dimensions"]] * 3 == [384] * 3
    assert all(math.hypot(*vector) == pytest.approx(1, abs=1e-4) for vector in vectors)
    near, far = (
        sum(a * b for a, b in zip(vectors[0], other, strict=True)) for other in vectors[1:]
    )
    assert near > 0.5 > far


async def test_embeddings_are_in_the_books_of_who_asked(service: RunningService) -> None:
    somebody_else = somebody()

    found = await embed(service, somebody_else, texts=["The ferry is late."])

    assert found["usage"]["promptTokens"] > 0
    assert found["usage"]["completionTokens"] == 0
    books = await usage(service, somebody_else)
    assert (books["requests"], books["failedRequests"]) == (1, 0)
    assert int(books["totalTokens"]) == found["usage"]["totalTokens"]
    assert books["byModel"][0]["model"] == "builtin/all-minilm-l6-v2"


@pytest.mark.parametrize(
    ("fields", "code", "path"),
    [
        ({"texts": []}, "BAD_USER_INPUT", ["texts"]),
        ({"texts": ["a", " "]}, "BAD_USER_INPUT", ["texts", "1"]),
        ({"texts": ["a"], "model": "builtin/extractive"}, "BAD_USER_INPUT", ["model"]),
        ({"texts": ["a"], "model": "nobody/nothing"}, "NOT_FOUND", None),
    ],
)
async def test_what_cannot_be_embedded_is_refused_and_counted(
    service: RunningService, fields: dict[str, Any], code: str, path: list[str] | None
) -> None:
    somebody_else = somebody()

    answer = await service.graphql(EMBED, {"input": fields}, somebody_else)

    extensions = answer["errors"][0]["extensions"]
    assert (extensions["code"], extensions.get("inputPath")) == (code, path)
    assert (await usage(service, somebody_else))["failedRequests"] == 1


async def test_a_model_of_ollama_embeds_once_it_is_allowed(
    generating: RunningService, ollama: FakeOllama
) -> None:
    headers = {"x-tenant-id": "embedders"}
    fields = {"texts": ["aaa", "eee"], "model": "nomic-embed-text:latest"}

    refused = await generating.graphql(EMBED, {"input": fields}, headers)
    assert refused["errors"][0]["extensions"]["code"] == "FORBIDDEN"
    allow = """mutation { setModel(input: {id: "ollama/nomic-embed-text:latest", isAllowed: true})
        { userErrors { message } } }"""
    allowed = await generating.graphql(allow, headers=headers)
    assert allowed["data"]["setModel"]["userErrors"] == []
    found = await embed(generating, headers, **fields)

    assert found["model"]["id"] == "ollama/nomic-embed-text:latest"
    assert found["dimensions"] == 6
    assert all(math.hypot(*vector) == pytest.approx(1) for vector in found["vectors"])
    assert not found["usage"]["isEstimated"]
