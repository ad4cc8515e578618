"""Which models an Ollama has, and what they can do."""

from __future__ import annotations

import asyncio

import pytest

from assistant.adapters.providers.http import HttpClient
from assistant.adapters.providers.ollama import OllamaProvider
from assistant.domain.model import DiscoveredModel, ModelCapability, full_name
from assistant.errors import InvalidResponse, ProviderUnavailable
from tests.providers.fake_ollama import DEFAULT_MODELS, FakeModel, FakeOllama, closed_url

CHAT = {ModelCapability.CHAT, ModelCapability.STRUCTURED_OUTPUT}


@pytest.fixture
def provider(fake: FakeOllama, http: HttpClient) -> OllamaProvider:
    return OllamaProvider(fake.url, http)


@pytest.mark.parametrize("in_tags", [True, False], ids=["newer-server", "older-server"])
async def test_models_are_listed_with_what_they_can_do(
    fake: FakeOllama, provider: OllamaProvider, *, in_tags: bool
) -> None:
    fake.tags_have_capabilities = in_tags
    fake.models = (
        FakeModel("llama3.2:3b", ("completion", "tools"), 131_072, 2_019_393_189),
        FakeModel("qwen3-vl:8b", ("completion", "vision", "thinking"), 262_144, 6, "qwen3vl"),
        FakeModel("nomic-embed-text:latest", ("embedding",), 2048, 7, "nomic-bert"),
        FakeModel("starcoder:1b", ("insert", "something new"), 16_384, 8),
    )
    assert await provider.list_models() == [
        DiscoveredModel(
            "llama3.2:3b", frozenset({*CHAT, ModelCapability.TOOLS}), 131_072, 2_019_393_189
        ),
        DiscoveredModel(
            "qwen3-vl:8b",
            frozenset({*CHAT, ModelCapability.VISION, ModelCapability.REASONING}),
            262_144,
            6,
        ),
        DiscoveredModel("nomic-embed-text:latest", frozenset({ModelCapability.EMBEDDING}), 2048, 7),
        DiscoveredModel("starcoder:1b", frozenset(), 16_384, 8),
    ]


async def test_details_are_asked_for_once_per_digest(
    fake: FakeOllama, provider: OllamaProvider
) -> None:
    await provider.list_models()
    await provider.list_models()
    assert len(shown(fake)) == len(DEFAULT_MODELS)
    fake.models = (*DEFAULT_MODELS[1:], FakeModel(digest="f" * 64))
    await provider.list_models()
    assert shown(fake)[len(DEFAULT_MODELS) :] == ["llama3.2:3b"]


async def test_details_of_models_that_were_removed_are_forgotten(
    fake: FakeOllama, provider: OllamaProvider
) -> None:
    await provider.list_models()
    fake.models = ()
    assert await provider.list_models() == []
    fake.models = DEFAULT_MODELS[:1]
    await provider.list_models()
    assert shown(fake).count("llama3.2:3b") == 2


async def test_at_most_four_details_are_asked_for_at_once(
    fake: FakeOllama, provider: OllamaProvider
) -> None:
    fake.models = tuple(FakeModel(f"model:{number}b") for number in range(40))
    assert len(await provider.list_models()) == 40
    assert len(fake.connections) <= 4


async def test_a_model_whose_details_cannot_be_had_is_listed_without_them(
    fake: FakeOllama, provider: OllamaProvider
) -> None:
    fake.unshowable = frozenset({"llama3.2:1b"})
    listed = {model.name: model for model in await provider.list_models()}
    assert listed["llama3.2:1b"].context_window is None
    assert listed["llama3.2:1b"].capabilities is not None
    assert listed["llama3.2:3b"].context_window == 131_072


async def test_a_server_that_is_down_says_so(http: HttpClient) -> None:
    with pytest.raises(ProviderUnavailable, match="ollama serve"):
        await OllamaProvider(closed_url(), http).list_models()


@pytest.mark.parametrize(
    "body", [b"{}", b"[]", b"Ollama is running", b'{"models":7}', b"\xff", b"<html></html>"]
)
async def test_something_else_that_listens_there_is_no_ollama(
    http: HttpClient, body: bytes
) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(InvalidResponse):
            await OllamaProvider(f"http://127.0.0.1:{port}", http).list_models()


async def test_entries_that_are_not_models_are_passed_over(http: HttpClient) -> None:
    body = b'{"models":[7,{"size":1},{"name":"tiny","size":"big","digest":null}]}'

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        found = body if b"/api/tags" in head else b'{"model_info":[],"capabilities":"all"}'
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(found), found))
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        listed = await OllamaProvider(f"http://127.0.0.1:{port}", http).list_models()
    assert listed == [DiscoveredModel("tiny:latest")]


@pytest.mark.parametrize(
    ("name", "full"),
    [
        ("llama3.2", "llama3.2:latest"),
        ("llama3.2:3b", "llama3.2:3b"),
        ("hub.example.com:5000/team/model", "hub.example.com:5000/team/model:latest"),
        ("hf.co/team/model:Q4_K_M", "hf.co/team/model:Q4_K_M"),
    ],
)
def test_a_name_without_a_tag_means_latest(name: str, full: str) -> None:
    assert full_name(name) == full


def shown(fake: FakeOllama) -> list[str]:
    return [request.body["model"] for request in fake.requests if request.path == "/api/show"]
