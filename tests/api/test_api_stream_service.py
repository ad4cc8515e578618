"""/api/stream of the whole service: the same completions as GraphQL's, for pages as well."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest
import pytest_asyncio

from tests.api.fake_runs import frames_of
from tests.providers.fake_ollama import FakeOllama, Reply, words
from tests.running_service import RunningService, running_service

pytestmark = pytest.mark.asyncio(loop_scope="module")

FRIEND = "https://friend.example"
STRANGER = "https://stranger.example"
ASKED = {"text": "Tell me a story.", "model": "ollama/llama3.2:3b"}
RESUME = """
    subscription ($resume: ResumeCompletion!) {
      completionStream(resume: $resume) {
        __typename eventId completionId sequence
        ... on CompletionStarted { model { id } promptVersion { id } createdAt }
        ... on TokenDelta { text }
        ... on ReasoningDelta { text }
        ... on CompletionFinished {
          response {
            id text json status finishReason model { id } promptVersion { id }
            usage {
              promptTokens completionTokens totalTokens cachedTokens reasoningTokens
              isEstimated isPriced cost { amount currency }
            }
            cache latencyMs createdAt
          }
        }
        ... on CompletionFailed { code message isRetryable retryAfterMs }
      }
    }
"""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def ollama() -> AsyncIterator[FakeOllama]:
    async with FakeOllama() as fake:
        yield fake


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def service(
    tmp_path_factory: pytest.TempPathFactory, ollama: FakeOllama
) -> AsyncIterator[RunningService]:
    folder = tmp_path_factory.mktemp("streams")
    async with running_service(
        folder, ollama_url=ollama.url, allowed_origins=FRIEND, stream_grace_s="30"
    ) as running:
        yield running


async def streamed(
    service: RunningService, body: Any = ASKED, headers: Mapping[str, str] | None = None
) -> list[dict[str, Any]]:
    async with service.session.post(
        f"{service.url}/api/stream", json=body, headers=headers or {}
    ) as response:
        assert response.status == 200, await response.text()
        return frames_of(await response.text())


def resume(frame: dict[str, Any]) -> dict[str, Any]:
    event = frame["data"]
    return {"completionId": event["completionId"], "lastEventId": event["eventId"]}


def text_of(frames: list[dict[str, Any]]) -> str:
    return "".join(frame["data"]["text"] for frame in frames if frame["event"] == "TokenDelta")


async def test_every_event_is_what_graphql_says_of_it(
    service: RunningService, ollama: FakeOllama
) -> None:
    ollama.enqueue(Reply(tokens=("Es ", "war 🧀\n", "einmal"), thinking=("Hm",), cached_tokens=2))
    frames = await streamed(
        service, {"promptName": "generate-title", "variables": {"text": "A cheese."}}
    )

    whole = {"resume": {"completionId": frames[0]["data"]["completionId"]}}
    told = [result["data"]["completionStream"] async for result in service.subscribe(RESUME, whole)]
    assert [{"__typename": frame["event"], **frame["data"]} for frame in frames] == told
    assert [frame["id"] for frame in frames] == [event["eventId"] for event in told]
    assert {frame["event"] for frame in frames} == {
        "CompletionStarted",
        "ReasoningDelta",
        "TokenDelta",
        "CompletionFinished",
    }
    assert told[0]["promptVersion"] is not None


async def test_a_stream_that_is_cut_after_any_event_is_taken_up_without_loss_or_repetition(
    service: RunningService, ollama: FakeOllama
) -> None:
    text = words(40)
    ollama.enqueue(Reply(tokens=text, token_delay_s=0.01))
    called = len(ollama.chats)
    frames: list[dict[str, Any]] = []
    body: dict[str, Any] = ASKED
    while not frames or frames[-1]["event"] != "CompletionFinished":
        async with service.session.post(f"{service.url}/api/stream", json=body) as response:
            received = ""
            while not frames_of(received):
                received += (
                    await asyncio.wait_for(response.content.readuntil(b"\n\n"), 5)
                ).decode()
            frames += frames_of(received)
            response.close()
        body = {"resume": resume(frames[-1])}

    assert [frame["data"]["sequence"] for frame in frames] == list(range(len(frames)))
    assert len(frames) > 10
    assert text_of(frames) == "".join(text) == frames[-1]["data"]["response"]["text"]
    assert len(ollama.chats) == called + 1


async def test_what_was_streamed_is_told_again_after_each_of_its_events(
    service: RunningService, ollama: FakeOllama
) -> None:
    ollama.enqueue(Reply(tokens=words(10), token_delay_s=0.01))
    frames = await streamed(service)

    for position, frame in enumerate(frames):
        again = await streamed(service, headers={"last-event-id": frame["id"]})
        assert again == frames[position + 1 :]
    url = f"{service.url}/api/stream"
    async with service.session.get(url, headers={"last-event-id": frames[-1]["id"]}) as response:
        assert response.status == 204


async def test_somebody_elses_stream_is_not_found(
    service: RunningService, ollama: FakeOllama
) -> None:
    ollama.enqueue(Reply(tokens=words(3)))
    frames = await streamed(service, headers={"x-user-id": "alice"})

    for stranger in ({"x-user-id": "mallory"}, {"x-tenant-id": "other", "x-user-id": "alice"}):
        [failed] = await streamed(service, {"resume": resume(frames[0])}, stranger)
        assert (failed["event"], failed["data"]["code"]) == ("CompletionFailed", "NOT_FOUND")


async def test_one_idempotency_key_is_one_completion(
    service: RunningService, ollama: FakeOllama
) -> None:
    ollama.enqueue(Reply(tokens=words(10), token_delay_s=0.02))
    called = len(ollama.chats)
    key = {"idempotency-key": "a-key-of-this-test"}
    first, *others = await asyncio.gather(*(streamed(service, headers=key) for _ in range(5)))

    assert all(text_of(other) == text_of(first) for other in others)
    assert len({frames[0]["data"]["completionId"] for frames in (first, *others)}) == 1
    assert len(ollama.chats) == called + 1
    [conflict] = await streamed(service, ASKED | {"text": "Another one."}, key)
    assert conflict["data"]["code"] == "CONFLICT"


async def test_a_refusal_has_the_request_id_of_the_log(service: RunningService) -> None:
    async with service.session.post(
        f"{service.url}/api/stream", json={"text": 1}, headers={"x-request-id": "mine"}
    ) as response:
        assert response.status == 400
        assert response.headers["x-request-id"] == "mine"


# ----------------------------------------------------------------------- other sites' pages


def preflight(origin: str, method: str = "POST") -> dict[str, str]:
    return {
        "origin": origin,
        "access-control-request-method": method,
        "access-control-request-headers": "authorization,content-type,idempotency-key,last-event-id",
    }


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_page_of_an_allowed_origin_may_send_every_header_of_ours(
    service: RunningService, method: str
) -> None:
    async with service.session.options(
        f"{service.url}/api/stream", headers=preflight(FRIEND, method)
    ) as response:
        allowed = response.headers["access-control-allow-headers"].lower()
        assert response.status == 200
        assert response.headers["access-control-allow-origin"] == FRIEND
        assert method in response.headers["access-control-allow-methods"]
    for name in ("authorization", "content-type", "idempotency-key", "last-event-id"):
        assert name in allowed


async def test_a_page_of_an_allowed_origin_reads_its_stream(
    service: RunningService, ollama: FakeOllama
) -> None:
    ollama.enqueue(Reply(tokens=words(3)))
    async with service.session.post(
        f"{service.url}/api/stream", json=ASKED, headers={"origin": FRIEND}
    ) as response:
        frames = frames_of(await response.text())
        exposed = response.headers["access-control-expose-headers"].lower()

        assert response.headers["access-control-allow-origin"] == FRIEND
        assert frames[-1]["event"] == "CompletionFinished"
    assert {name.strip() for name in exposed.split(",")} >= {"retry-after", "x-request-id"}


async def test_a_get_that_cannot_be_resumed_is_a_404_which_stops_an_event_source(
    service: RunningService,
) -> None:
    url = f"{service.url}/api/stream"
    async with service.session.get(
        url, params={"lastEventId": "018f0000-0000-7000-8000-000000000001:4"}
    ) as response:
        assert response.status == 404
        assert (await response.json())["error"]["code"] == "NOT_FOUND"


async def test_a_page_of_any_other_origin_spends_nothing(
    service: RunningService, ollama: FakeOllama
) -> None:
    called = len(ollama.chats)
    url = f"{service.url}/api/stream"
    page = {"origin": STRANGER}
    async with service.session.options(url, headers=preflight(STRANGER)) as response:
        assert response.status == 400
        assert "access-control-allow-origin" not in response.headers
    # What a browser sends without asking first:
    async with service.session.get(
        url, params={"request": json.dumps(ASKED)}, headers=page
    ) as response:
        assert response.status == 403
        assert "access-control-allow-origin" not in response.headers
    simple = page | {"content-type": "text/plain"}
    async with service.session.post(url, data=json.dumps(ASKED), headers=simple) as response:
        assert response.status == 415
        assert "access-control-allow-origin" not in response.headers

    assert len(ollama.chats) == called
