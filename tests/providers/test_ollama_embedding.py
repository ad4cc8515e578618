"""The vectors that an Ollama makes of texts."""

from __future__ import annotations

import asyncio
import json
import math
import time
from collections.abc import Sequence

import pytest

from assistant.adapters.providers.http import HttpClient
from assistant.adapters.providers.ollama import OllamaProvider
from assistant.domain.ports import Embeddings, TimeLimits
from assistant.errors import (
    AssistantError,
    ContextLengthExceeded,
    InvalidResponse,
    ModelMissing,
    ProviderRejected,
    ProviderTimeout,
    ProviderUnavailable,
)
from tests.providers.fake_ollama import FakeOllama, Fault, Reply, context_overflow

MODEL = "nomic-embed-text:latest"
SECRET = "the secret recipe of the house"


@pytest.fixture
def provider(fake: FakeOllama, http: HttpClient) -> OllamaProvider:
    return OllamaProvider(fake.url, http)


async def embed(
    provider: OllamaProvider, texts: Sequence[str], model: str = MODEL, total_s: float = 5.0
) -> Embeddings:
    return await provider.embed(model, texts, TimeLimits(total_s=total_s))


async def test_every_text_has_a_vector_of_length_one(
    fake: FakeOllama, provider: OllamaProvider
) -> None:
    embeddings = await embed(provider, ["aaaa", "eeee", "naïve 日本語"])
    assert fake.requests[0].body == {
        "model": MODEL,
        "input": ["aaaa", "eeee", "naïve 日本語"],
        "truncate": False,
    }
    assert [math.hypot(*vector) for vector in embeddings.vectors] == pytest.approx([1.0] * 3)
    first, second, _ = embeddings.vectors
    # The fake counts vowels: the two texts have the same length and share no vowel.
    assert sum(a * b for a, b in zip(first, second, strict=True)) == pytest.approx(0.5)
    assert embeddings.prompt_tokens == 1 + 1 + 2


async def test_no_text_needs_no_request(fake: FakeOllama, provider: OllamaProvider) -> None:
    assert await embed(provider, []) == Embeddings([], 0)
    assert fake.requests == []


async def test_many_texts_go_in_several_requests_and_keep_their_order(
    fake: FakeOllama, provider: OllamaProvider
) -> None:
    texts = ["a" * (index % 7 + 1) + "e" * index for index in range(150)]
    embeddings = await embed(provider, texts)
    assert [len(request.body["input"]) for request in fake.requests] == [64, 64, 22]
    assert [vector[2] / vector[0] for vector in embeddings.vectors] == pytest.approx(
        [text.count("e") / len(text) for text in texts]
    )
    assert embeddings.prompt_tokens == sum(max(1, len(text) // 4) for text in texts)


async def test_long_texts_go_in_requests_of_a_bounded_size(
    fake: FakeOllama, provider: OllamaProvider
) -> None:
    fake.replies_by_path["/api/embed"] = vectors([[1.0]])
    await embed(provider, ["x" * 150_000, "y" * 60_000, "z" * 300_000])
    assert [len(request.body["input"]) for request in fake.requests] == [1, 1, 1]


@pytest.mark.parametrize("error", ["the input length exceeds the context length", None])
async def test_a_text_that_is_too_long_is_refused_and_not_cut(
    fake: FakeOllama, provider: OllamaProvider, error: str | None
) -> None:
    if error is None:
        fake.replies_by_path["/api/embed"] = Reply(status=400, error=context_overflow(2500, 2048))
    with pytest.raises(ContextLengthExceeded, match="too long for nomic") as caught:
        await embed(provider, ["short", SECRET * 400])
    assert ("2,500 tokens, and 2,048 fit" in caught.value.message) == (error is None)


async def test_what_llama_server_says_of_a_text_longer_than_its_batch_is_the_same(
    fake: FakeOllama, provider: OllamaProvider
) -> None:
    error = "input (600 tokens) is too large to process. increase the physical batch size"
    fake.replies_by_path["/api/embed"] = Reply(status=500, error=error)
    with pytest.raises(ContextLengthExceeded):
        await embed(provider, ["x"])


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (Reply(status=500, error=f"cannot embed {SECRET}"), ProviderUnavailable),
        (Reply(status=501, error="no embeddings"), ProviderRejected),
        (Reply(status=400, error="bad option"), ProviderRejected),
        (Reply(fault=Fault.HTML), InvalidResponse),
        (Reply(fault=Fault.NOT_HTTP), InvalidResponse),
        (Reply(fault=Fault.NO_ANSWER), ProviderUnavailable),
    ],
)
async def test_each_failure_has_its_error(
    fake: FakeOllama, provider: OllamaProvider, reply: Reply, kind: type[AssistantError]
) -> None:
    fake.replies_by_path["/api/embed"] = reply
    with pytest.raises(kind) as caught:
        await embed(provider, [SECRET])
    assert type(caught.value) is kind
    assert "secret" not in caught.value.message


async def test_a_model_that_was_not_pulled_is_missing(provider: OllamaProvider) -> None:
    with pytest.raises(ModelMissing, match="ollama pull bge"):
        await embed(provider, ["x"], "bge")


@pytest.mark.parametrize(
    "embeddings",
    [
        None,
        7,
        {},
        [],
        [[1.0]],
        [[1.0], [2.0], [3.0]],
        [[1.0], 2.0],
        [[1.0], []],
        [[], []],
        [[1.0, 2.0], [3.0]],
        [["1.0"], ["2.0"]],
        [[1.0], [None]],
        [[True], [False]],
        [[[1.0]], [[2.0]]],
        [[1.0], [0.0]],
        [[1.0], [math.nan]],
        [[1.0], [math.inf]],
        [[1e200, 1e200], [1.0, 1.0]],
    ],
)
async def test_what_is_no_vector_for_each_text_is_an_invalid_answer(
    fake: FakeOllama, provider: OllamaProvider, embeddings: object
) -> None:
    fake.replies_by_path["/api/embed"] = vectors(embeddings)
    with pytest.raises(InvalidResponse):
        await embed(provider, ["x", "y"])


@pytest.mark.parametrize("count", [None, 0, "many"])
async def test_a_count_that_is_absent_is_unknown(
    fake: FakeOllama, provider: OllamaProvider, count: object
) -> None:
    fake.replies_by_path["/api/embed"] = vectors([[3, 4]], count)
    assert await embed(provider, ["x"]) == Embeddings([[0.6, 0.8]], None)


async def test_the_total_limit_holds_for_all_requests_together(
    fake: FakeOllama, provider: OllamaProvider
) -> None:
    fake.replies_by_path["/api/embed"] = Reply(
        verbatim=vectors([[1.0]] * 64).verbatim, first_token_delay_s=0.1
    )
    started = time.monotonic()
    with pytest.raises(ProviderTimeout, match="limit: total"):
        await embed(provider, ["x"] * 6400, total_s=0.35)
    assert time.monotonic() - started < 1
    assert 2 <= len(fake.requests) <= 4


async def test_cancelling_closes_the_connection_within_100_ms(
    fake: FakeOllama, provider: OllamaProvider
) -> None:
    fake.replies_by_path["/api/embed"] = Reply(fault=Fault.SILENT)
    task = asyncio.create_task(embed(provider, ["x"]))
    await asyncio.sleep(0.1)
    cancelled_at = time.monotonic()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await fake.requests[0].wait_closed() - cancelled_at < 0.1


def vectors(embeddings: object, count: object = 5) -> Reply:
    """An answer of /api/embed with these vectors."""
    body = {"model": MODEL, "embeddings": embeddings, "prompt_eval_count": count}
    return Reply(verbatim=json.dumps(body).encode())
