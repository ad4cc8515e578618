"""Which models an OpenAI or a host like it has, and the vectors that they make."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import AsyncIterator
from typing import Any

import pytest

from assistant.adapters.providers.http import HttpClient
from assistant.adapters.providers.openai import OpenAiProvider
from assistant.domain.model import DiscoveredModel
from assistant.domain.ports import Embeddings, TimeLimits
from assistant.errors import (
    AssistantError,
    ContextLengthExceeded,
    InvalidResponse,
    ModelMissing,
    ProviderRejected,
    ProviderTimeout,
    ProviderUnavailable,
    RateLimited,
)
from tests.providers.fake_openai import FakeOpenAi, Reply
from tests.providers.fake_server import Fault, closed_url

LIMITS = TimeLimits(connect_s=2, first_event_s=5, between_events_s=5, total_s=5)
EMBEDDER = "text-embedding-3-small"


@pytest.fixture
async def fake() -> AsyncIterator[FakeOpenAi]:
    async with FakeOpenAi() as server:
        yield server


@pytest.fixture
def provider(fake: FakeOpenAi, http: HttpClient) -> OpenAiProvider:
    return OpenAiProvider(fake.url, "sk-test", http)


# ------------------------------------------------------------------------ models


async def test_models_are_listed_by_name(fake: FakeOpenAi, provider: OpenAiProvider) -> None:
    fake.models = ("gpt-4o-mini", "gpt-5")
    assert await provider.list_models() == [
        DiscoveredModel("gpt-4o-mini"),
        DiscoveredModel("gpt-5"),
    ]
    assert fake.requests[0].headers["authorization"] == "Bearer sk-test"


async def test_hosts_that_know_windows_tell_them(
    fake: FakeOpenAi, provider: OpenAiProvider
) -> None:
    fake.entries = [
        {"id": "openrouter", "context_length": 131_072},
        {"id": "vllm", "max_model_len": 32_768},
        {"id": "groq", "context_window": 8192},
        {"id": "lm-studio", "max_context_length": 4096},
        {"id": "odd", "context_length": "long", "max_model_len": True},
    ]
    assert await provider.list_models() == [
        DiscoveredModel("openrouter", context_window=131_072),
        DiscoveredModel("vllm", context_window=32_768),
        DiscoveredModel("groq", context_window=8192),
        DiscoveredModel("lm-studio", context_window=4096),
        DiscoveredModel("odd"),
    ]


async def test_entries_that_are_not_models_are_passed_over(
    fake: FakeOpenAi, provider: OpenAiProvider
) -> None:
    fake.entries = [7, {}, {"id": 7}, {"id": ""}, {"id": "tiny\x00"}]  # type: ignore[list-item]
    assert await provider.list_models() == [DiscoveredModel("tiny\ufffd")]


async def test_a_list_without_a_wrapping_is_a_list(
    fake: FakeOpenAi, provider: OpenAiProvider
) -> None:
    fake.replies_by_path["/v1/models"] = Reply(verbatim=b'[{"id":"a"},{"id":"b"}]')
    assert await provider.list_models() == [DiscoveredModel("a"), DiscoveredModel("b")]


@pytest.mark.parametrize("status", [404, 405, 501])
async def test_a_host_may_keep_no_list(
    fake: FakeOpenAi, provider: OpenAiProvider, status: int
) -> None:
    fake.replies_by_path["/v1/models"] = Reply(status=status, verbatim=b"not here")
    assert await provider.list_models() is None


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (Reply(status=401), ProviderRejected),
        (Reply(status=403), ProviderRejected),
        (Reply(status=429), RateLimited),
        (Reply(status=500), ProviderUnavailable),
        (Reply(fault=Fault.HTML), InvalidResponse),
        (Reply(fault=Fault.REDIRECT), InvalidResponse),
        (Reply(fault=Fault.TRUNCATE), ProviderUnavailable),
        (Reply(verbatim=b"{}"), InvalidResponse),
        (Reply(verbatim=b'{"data":7}'), InvalidResponse),
        (Reply(verbatim=b"\xff"), InvalidResponse),
        (Reply(verbatim=b"Ollama is running"), InvalidResponse),
        (Reply(verbatim=b'{"error":{"message":"oops"}}'), ProviderUnavailable),
    ],
)
async def test_a_host_that_cannot_list_says_so(
    fake: FakeOpenAi, provider: OpenAiProvider, reply: Reply, kind: type[AssistantError]
) -> None:
    fake.replies_by_path["/v1/models"] = reply
    with pytest.raises(kind) as caught:
        await provider.list_models()
    assert type(caught.value) is kind


async def test_a_host_that_is_down_says_so(http: HttpClient) -> None:
    with pytest.raises(ProviderUnavailable, match="cannot be reached"):
        await OpenAiProvider(closed_url(), None, http).list_models()


# --------------------------------------------------------------------- embeddings


async def test_vectors_come_in_the_order_of_their_texts_and_are_normalised(
    fake: FakeOpenAi, provider: OpenAiProvider
) -> None:
    fake.dimensions = 2
    found = await provider.embed(EMBEDDER, ["a", "two words", "xyz"], LIMITS)
    expected = [(n / math.hypot(n, n + 1), (n + 1) / math.hypot(n, n + 1)) for n in (1, 9, 3)]
    assert [tuple(vector) for vector in found.vectors] == [pytest.approx(pair) for pair in expected]
    assert found.prompt_tokens == 4
    assert fake.requests[0].body == {
        "model": EMBEDDER,
        "input": ["a", "two words", "xyz"],
        "encoding_format": "float",
    }


async def test_no_texts_need_no_request(fake: FakeOpenAi, provider: OpenAiProvider) -> None:
    assert await provider.embed(EMBEDDER, [], LIMITS) == Embeddings([], 0)
    assert not fake.requests


@pytest.mark.parametrize(
    ("texts", "sizes"),
    [
        (["word"] * 300, [128, 128, 44]),
        (["x" * 100_000] * 4, [3, 1]),
        (["x" * 400_000, "y"], [1, 1]),
        (["日" * 40_000] * 3, [2, 1]),
    ],
)
async def test_many_texts_become_several_requests(
    fake: FakeOpenAi, provider: OpenAiProvider, texts: list[str], sizes: list[int]
) -> None:
    found = await provider.embed(EMBEDDER, texts, LIMITS)
    assert [len(request.body["input"]) for request in fake.requests] == sizes
    assert len(found.vectors) == len(texts)
    assert found.prompt_tokens == len(texts)


async def test_vectors_as_large_as_they_come_are_read(
    fake: FakeOpenAi, provider: OpenAiProvider
) -> None:
    row = [0.123456789012345678] * 4096
    data = [{"index": index, "embedding": row} for index in range(128)]
    fake.replies_by_path["/v1/embeddings"] = Reply(verbatim=json.dumps({"data": data}).encode())
    found = await provider.embed(EMBEDDER, ["text"] * 128, LIMITS)
    assert found.vectors[127][4095] == pytest.approx(1 / 64)
    assert found.prompt_tokens is None


def answer_of(*vectors: Any, **usage: Any) -> bytes:
    data = [{"index": index, "embedding": vector} for index, vector in enumerate(vectors)]
    return json.dumps({"data": data, "usage": usage}).encode()


@pytest.mark.parametrize(
    "body",
    [
        answer_of([1.0]),
        answer_of([1.0], [1.0], [1.0]),
        answer_of([1.0], [1.0, 2.0]),
        answer_of([], []),
        answer_of([0.0], [0.0]),
        answer_of([1.0], ["1"]),
        answer_of([1.0], [None]),
        answer_of([1.0], [[1.0]]),
        answer_of([1.0], None),
        answer_of([1.0], "AACAPw=="),
        answer_of([1.0], [float("nan")]),
        answer_of([1.0], [float("inf")]),
        answer_of([1.0], [10**400]),
        b'{"data":[{"index":0,"embedding":[1.0]},{"index":0,"embedding":[1.0]}]}',
        b'{"data":[{"index":0,"embedding":[1.0]},{"index":7,"embedding":[1.0]}]}',
        b'{"data":[{"index":0,"embedding":[1.0]},{"index":"1","embedding":[1.0]}]}',
        b'{"data":[7,8]}',
        b'{"data":7}',
        b"{}",
        b"[]",
        b"\xff",
    ],
)
async def test_what_are_not_the_vectors_of_the_texts_is_refused(
    fake: FakeOpenAi, provider: OpenAiProvider, body: bytes
) -> None:
    fake.replies_by_path["/v1/embeddings"] = Reply(verbatim=body)
    with pytest.raises(InvalidResponse):
        await provider.embed(EMBEDDER, ["a", "b"], LIMITS)


async def test_entries_that_are_not_numbered_are_in_order(
    fake: FakeOpenAi, provider: OpenAiProvider
) -> None:
    body = b'{"data":[{"embedding":[1,0]},{"embedding":[0,2]}],"usage":{"prompt_tokens":3}}'
    fake.replies_by_path["/v1/embeddings"] = Reply(verbatim=body)
    assert await provider.embed(EMBEDDER, ["a", "b"], LIMITS) == Embeddings([[1, 0], [0, 1]], 3)


TOO_LONG = (
    "This model's maximum context length is 8192 tokens, however you requested 10000 tokens "
    "(10000 in your prompt; 0 for the completion). Please reduce your prompt."
)


@pytest.mark.parametrize(
    ("reply", "kind", "told"),
    [
        (Reply(status=400, error=TOO_LONG), ContextLengthExceeded, "8,192 tokens fit"),
        (Reply(status=400, error="'$.input' is invalid."), ProviderRejected, "is invalid"),
        (Reply(status=400, error="bad: my private text"), ProviderRejected, "refused the call."),
        (Reply(status=401), ProviderRejected, "variable that holds"),
        (Reply(status=429, retry_after="3"), RateLimited, "no more calls"),
        (Reply(status=500), ProviderUnavailable, "failed to answer"),
        (Reply(fault=Fault.HTML), InvalidResponse, "is not what answered"),
        (Reply(fault=Fault.RESET), ProviderUnavailable, "broke off"),
        (Reply(fault=Fault.TRUNCATE), ProviderUnavailable, "broke off"),
    ],
)
async def test_each_failure_has_its_error(
    fake: FakeOpenAi,
    provider: OpenAiProvider,
    reply: Reply,
    kind: type[AssistantError],
    told: str,
) -> None:
    fake.replies_by_path["/v1/embeddings"] = reply
    with pytest.raises(kind) as caught:
        await provider.embed(EMBEDDER, ["my private text"], LIMITS)
    assert type(caught.value) is kind
    assert told in caught.value.message
    assert "private" not in caught.value.message


async def test_a_model_that_is_not_there_is_missing(provider: OpenAiProvider) -> None:
    with pytest.raises(ModelMissing, match="no-such-model"):
        await provider.embed("no-such-model", ["text"], LIMITS)


async def test_the_total_limit_bounds_all_requests_together(
    fake: FakeOpenAi, provider: OpenAiProvider
) -> None:
    fake.replies_by_path["/v1/embeddings"] = Reply(
        verbatim=answer_of(*[[1.0]] * 128), first_token_delay_s=0.15
    )
    limits = TimeLimits(total_s=0.4)
    with pytest.raises(ProviderTimeout):
        await provider.embed(EMBEDDER, ["text"] * 1280, limits)
    # Of ten that it would take: a machine that is busy makes fewer in the time.
    assert 1 <= len(fake.requests) < 10


async def test_cancelling_closes_the_connection(fake: FakeOpenAi, provider: OpenAiProvider) -> None:
    fake.replies_by_path["/v1/embeddings"] = Reply(fault=Fault.SILENT)
    task = asyncio.create_task(provider.embed(EMBEDDER, ["text"], LIMITS))
    await asyncio.sleep(0.1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await fake.requests[0].wait_closed(0.1)
