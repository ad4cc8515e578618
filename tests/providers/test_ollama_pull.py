"""How a model comes to an Ollama, and how it goes."""

from __future__ import annotations

import asyncio
import json
import time
from contextlib import aclosing

import pytest

from assistant.adapters.providers.http import HttpClient
from assistant.adapters.providers.ollama import OllamaProvider
from assistant.domain.model import PullProgress
from assistant.domain.ports import ModelHost
from assistant.errors import (
    AssistantError,
    InvalidResponse,
    NotFound,
    ProviderRejected,
    ProviderUnavailable,
)
from tests.providers.fake_ollama import (
    LAYERS,
    FakeOllama,
    Fault,
    Reply,
    closed_url,
    pull_lines,
)

BIG, SMALL = LAYERS
SIZE = sum(LAYERS.values())


@pytest.fixture
def provider(fake: FakeOllama, http: HttpClient) -> OllamaProvider:
    return OllamaProvider(fake.url, http)


async def fetch(
    provider: OllamaProvider, model: str = "gemma3:1b", into: list[PullProgress] | None = None
) -> list[PullProgress]:
    told = [] if into is None else into
    async with aclosing(provider.pull(model)) as events:
        async for progress in events:
            told.append(progress)
    return told


def test_an_ollama_is_a_host_of_models(provider: OllamaProvider) -> None:
    assert isinstance(provider, ModelHost)


async def test_bytes_are_those_of_all_layers_that_are_known_so_far(
    fake: FakeOllama, provider: OllamaProvider
) -> None:
    # Slower than progress is passed on, so most lines are told.
    fake.replies_by_path["/api/pull"] = Reply(lines=pull_lines(LAYERS), token_delay_s=0.11)
    told = await fetch(provider)
    sums = [(one.digest, one.completed_bytes, one.total_bytes) for one in told]
    assert sums[0] == (None, None, None)
    assert sums[-3:] == [(None, SIZE, SIZE)] * 3
    of_layers = [
        (BIG, 0, 2_000_000),
        (SMALL, 0, 2_010_000),
        (BIG, 1_000_000, 2_010_000),
        (SMALL, 1_005_000, 2_010_000),
        (BIG, 2_005_000, 2_010_000),
        (SMALL, SIZE, SIZE),
    ]
    assert len(sums) >= 7
    assert sums[1:-3] == [told for told in of_layers if told in sums]
    assert told[0].status == "pulling manifest"
    assert told[1].status == "pulling aaaaaaaaaaaa"
    assert [one.status for one in told if one.is_done] == ["success"]
    assert told[-1].is_done


async def test_progress_is_told_ten_times_a_second_and_its_end_always(
    fake: FakeOllama, provider: OllamaProvider
) -> None:
    lines = pull_lines(LAYERS, steps=200)
    fake.replies_by_path["/api/pull"] = Reply(lines=lines, token_delay_s=0.001)
    started = time.monotonic()
    told = await fetch(provider)
    of_layers = [one for one in told if one.digest is not None]
    assert 1 <= len(of_layers) <= 10 * (time.monotonic() - started) + 1
    assert [one.status for one in told if one.digest is None] == [
        "pulling manifest",
        "verifying sha256 digest",
        "writing manifest",
        "success",
    ]
    assert told[-1] == PullProgress("success", None, SIZE, SIZE, is_done=True)


async def test_a_model_that_was_pulled_is_listed(
    fake: FakeOllama, provider: OllamaProvider
) -> None:
    await fetch(provider, "mistral")
    assert fake.requests[0].body == {"model": "mistral:latest", "stream": True}
    listed = await provider.list_models()
    assert listed is not None
    assert "mistral:latest" in {model.name for model in listed}


async def test_a_model_that_is_nowhere_is_not_found(provider: OllamaProvider) -> None:
    told: list[PullProgress] = []
    with pytest.raises(NotFound, match="no model nothing-like-it:latest"):
        await fetch(provider, "nothing-like-it", into=told)
    assert [one.status for one in told] == ["pulling manifest"]


@pytest.mark.parametrize(
    ("reply", "kind", "says"),
    [
        (Reply(status=500, error="pull model manifest: file does not exist"), NotFound, "no model"),
        (Reply(status=404, error="model 'x' not found"), NotFound, "no model"),
        (Reply(status=400, error="invalid model name"), ProviderRejected, "invalid model name"),
        (Reply(status=500, error="no space left on device"), ProviderUnavailable, "no space left"),
        (
            Reply(lines=pull_lines(LAYERS), fault=Fault.ERROR_LINE, fault_after=3, error="EOF"),
            ProviderUnavailable,
            "could not fetch gemma3:1b. It says: EOF",
        ),
        (
            Reply(lines=pull_lines(LAYERS), fault=Fault.NO_DONE, fault_after=3),
            ProviderUnavailable,
            "without saying that it is there",
        ),
        (
            Reply(lines=pull_lines(LAYERS), fault=Fault.RESET, fault_after=3),
            ProviderUnavailable,
            "broke off",
        ),
        (
            Reply(lines=pull_lines(LAYERS), fault=Fault.MALFORMED, fault_after=3),
            InvalidResponse,
            "not JSON",
        ),
        (Reply(lines=(b'{"total":7}\n',)), InvalidResponse, "without a status"),
        (Reply(fault=Fault.HTML), InvalidResponse, "not what answered"),
        (Reply(fault=Fault.HTML, status=404), InvalidResponse, "not what answered"),
    ],
)
async def test_a_pull_that_does_not_end_with_success_is_a_failure(
    fake: FakeOllama,
    provider: OllamaProvider,
    reply: Reply,
    kind: type[AssistantError],
    says: str,
) -> None:
    fake.replies_by_path["/api/pull"] = reply
    with pytest.raises(kind) as caught:
        await fetch(provider)
    assert type(caught.value) is kind
    assert says in caught.value.message


async def test_numbers_that_are_none_are_passed_over(
    fake: FakeOllama, provider: OllamaProvider
) -> None:
    lines = [
        {"status": "pulling a", "digest": "a", "total": "big", "completed": -1},
        {"status": "pulling a", "digest": 7, "total": 5},
        {"status": "success", "total": None},
    ]
    fake.replies_by_path["/api/pull"] = Reply(
        lines=tuple(json.dumps(line).encode() + b"\n" for line in lines)
    )
    assert await fetch(provider) == [
        PullProgress("pulling a", "a", 0, 0),
        PullProgress("pulling a", None, 0, 0),
        PullProgress("success", None, 0, 0, is_done=True),
    ]


async def test_progress_of_a_long_download_is_read_to_its_end(
    fake: FakeOllama, provider: OllamaProvider
) -> None:
    line = {"status": "pulling a", "digest": "a", "total": 7, "padding": "x" * 900_000}
    long = json.dumps(line).encode() + b"\n"
    fake.replies_by_path["/api/pull"] = Reply(lines=(long,) * 80 + pull_lines({}))
    assert (await fetch(provider))[-1].is_done


async def test_closing_the_iterator_stops_the_download_within_100_ms(
    fake: FakeOllama, provider: OllamaProvider
) -> None:
    fake.replies_by_path["/api/pull"] = Reply(
        lines=pull_lines(LAYERS, steps=500), token_delay_s=0.01
    )
    async with aclosing(provider.pull("gemma3:1b")) as events:
        await anext(events)
        await anext(events)
        closed_at = time.monotonic()
    assert await fake.requests[0].wait_closed() - closed_at < 0.1


async def test_cancelling_the_task_stops_the_download_within_100_ms(
    fake: FakeOllama, provider: OllamaProvider
) -> None:
    fake.replies_by_path["/api/pull"] = Reply(
        lines=pull_lines(LAYERS), fault=Fault.STALL, fault_after=2
    )
    task = asyncio.create_task(fetch(provider))
    await asyncio.sleep(0.1)
    cancelled_at = time.monotonic()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await fake.requests[0].wait_closed() - cancelled_at < 0.1


async def test_nothing_is_pulled_where_nobody_listens(http: HttpClient) -> None:
    with pytest.raises(ProviderUnavailable, match="ollama serve"):
        await fetch(OllamaProvider(closed_url(), http))


# ---------------------------------------------------------------------- removal


async def test_a_model_that_was_deleted_is_not_listed(
    fake: FakeOllama, provider: OllamaProvider
) -> None:
    await provider.delete("nomic-embed-text")
    assert (fake.requests[0].method, fake.requests[0].body) == (
        "DELETE",
        {"model": "nomic-embed-text:latest"},
    )
    listed = await provider.list_models()
    assert listed is not None
    assert "nomic-embed-text:latest" not in {model.name for model in listed}


async def test_a_model_that_is_not_there_is_as_good_as_deleted(provider: OllamaProvider) -> None:
    await provider.delete("nothing-like-it")


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (Reply(status=500, error="blob not found"), ProviderUnavailable),
        (Reply(status=403, error="forbidden"), ProviderRejected),
        (Reply(status=404, fault=Fault.HTML), InvalidResponse),
    ],
)
async def test_a_model_that_could_not_be_deleted_is_not_taken_for_gone(
    fake: FakeOllama, provider: OllamaProvider, reply: Reply, kind: type[AssistantError]
) -> None:
    fake.replies_by_path["/api/delete"] = reply
    with pytest.raises(kind):
        await provider.delete("llama3.2:3b")
