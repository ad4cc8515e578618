"""/api/stream: what goes over the wire, and what happens to clients that leave or do not read."""

from __future__ import annotations

import asyncio
import json
import resource
from typing import Any

import aiohttp
import pytest

from assistant.domain.completion import CompletionFailed, MessageRole, TextDelta
from assistant.domain.stream import EventId
from assistant.errors import ErrorCode, ReaderTooSlow
from tests.api.fake_runs import FINISHED, ID, NOT_FOUND, STARTED, FakeRuns, frames_of, streaming
from tests.api.running_endpoint import TOKEN

ASKED = {"text": "Hi"}


async def posted(
    url: str, body: Any = ASKED, headers: dict[str, str] | None = None
) -> tuple[str, Any]:
    async with (
        aiohttp.ClientSession() as http,
        http.post(url, json=body, headers=TOKEN | (headers or {})) as response,
    ):
        assert response.status == 200, await response.text()
        return await response.text(), response.headers


async def got(url: str, headers: dict[str, str] | None = None, **query: str) -> tuple[int, str]:
    async with (
        aiohttp.ClientSession() as http,
        http.get(url, params=query, headers=TOKEN | (headers or {})) as response,
    ):
        return response.status, await response.text()


# ------------------------------------------------------------------------------- the wire


async def test_a_completion_is_a_stream_of_numbered_named_events() -> None:
    async with streaming(FakeRuns()) as url:
        body, headers = await posted(url)

    assert headers["content-type"] == "text/event-stream; charset=utf-8"
    assert headers["cache-control"] == "no-store, no-transform"
    assert headers["x-accel-buffering"] == "no"
    assert body.startswith("retry: 1000\n\nid: ")
    assert "\r" not in body
    frames = frames_of(body)
    assert [frame["event"] for frame in frames] == [
        "CompletionStarted",
        "TokenDelta",
        "TokenDelta",
        "CompletionFinished",
    ]
    assert [frame["id"] for frame in frames] == [f"{ID}:{sequence}" for sequence in range(4)]
    assert [frame["data"]["eventId"] for frame in frames] == [frame["id"] for frame in frames]


async def test_every_field_of_a_request_arrives() -> None:
    runs = FakeRuns()
    request = {
        "messages": [{"role": "USER", "content": "Hi"}],
        "model": "builtin/extractive",
        "parameters": {"temperature": 1, "stop": "END", "maxTokens": 3},
        "cache": "BYPASS",
        "idempotencyKey": "key-number-1",
        "metadata": {"a": [1]},
    }
    async with streaming(runs) as url:
        await posted(url, request)

    [asked] = runs.asked
    assert asked.caller.tenant_id == "acme"
    assert asked.messages is not None
    assert asked.messages[0].role is MessageRole.USER
    assert asked.parameters.temperature == 1.0
    assert asked.parameters.stop == ("END",)  # GraphQL takes one for a list of one
    assert asked.idempotency_key == "key-number-1"
    assert asked.metadata == {"a": [1]}


async def test_a_get_asks_in_its_url() -> None:
    runs = FakeRuns()
    async with streaming(runs) as url:
        status, body = await got(url, request=json.dumps(ASKED))

    assert status == 200
    assert len(frames_of(body)) == 4
    assert runs.asked[0].text == "Hi"


async def test_the_header_idempotency_key_is_the_requests_key() -> None:
    runs = FakeRuns()
    async with streaming(runs) as url:
        await posted(url, headers={"idempotency-key": "key-number-1"})
        same = ASKED | {"idempotencyKey": "key-number-1"}
        await posted(url, same, headers={"idempotency-key": "key-number-1"})

    assert [asked.idempotency_key for asked in runs.asked] == ["key-number-1", "key-number-1"]


async def test_what_the_flow_refuses_is_an_event_under_200() -> None:
    limit = CompletionFailed(ID, ErrorCode.RATE_LIMITED, "Wait.", True, 1_500)
    async with streaming(FakeRuns([limit])) as url:
        body, _ = await posted(url)

    [frame] = frames_of(body)
    assert frame["event"] == "CompletionFailed"
    assert frame["data"]["code"] == "RATE_LIMITED"
    assert frame["data"]["retryAfterMs"] == 1_500


async def test_a_head_answers_as_a_get_would_and_runs_nothing() -> None:
    runs = FakeRuns()
    async with streaming(runs) as url, aiohttp.ClientSession() as http:
        query = {"request": json.dumps(ASKED)}
        async with http.head(url, params=query, headers=TOKEN) as response:
            assert response.status == 200
            assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
        async with http.head(url, params=query) as response:
            assert response.status == 401

    assert not runs.asked


async def test_options_says_what_may_be_sent() -> None:
    async with (
        streaming(FakeRuns()) as url,
        aiohttp.ClientSession() as http,
        http.options(url) as response,
    ):
        assert response.status == 204
        assert response.headers["allow"] == "GET, HEAD, POST, OPTIONS"


# ------------------------------------------------------------------------------- resuming


@pytest.mark.parametrize("door", ["body", "header", "header alone", "GET header", "GET query"])
async def test_a_stream_is_taken_up_after_any_event(door: str) -> None:
    runs = FakeRuns()
    last_id = f"{ID}:1"
    async with streaming(runs) as url:
        match door:
            case "body":
                resume = {"resume": {"completionId": str(ID), "lastEventId": last_id}}
                body, _ = await posted(url, resume)
            case "header":
                body, _ = await posted(url, headers={"last-event-id": last_id})
            case "header alone":
                async with (
                    aiohttp.ClientSession() as http,
                    http.post(url, headers=TOKEN | {"last-event-id": last_id}) as response,
                ):
                    body = await response.text()
            case "GET header":
                _, body = await got(url, {"last-event-id": last_id}, request=json.dumps(ASKED))
            case _:
                _, body = await got(url, lastEventId=last_id)

    assert [frame["id"] for frame in frames_of(body)] == [f"{ID}:2", f"{ID}:3"]
    assert not runs.asked
    assert {(id_, after) for _, id_, after in runs.resumed} == {(ID, EventId(ID, 1))}
    assert runs.resumed[0][0].tenant_id == "acme"


@pytest.mark.parametrize("resume", [{}, {"lastEventId": None}])
async def test_a_stream_is_taken_up_from_its_beginning(resume: dict[str, None]) -> None:
    runs = FakeRuns()
    async with streaming(runs) as url:
        body, _ = await posted(url, {"resume": {"completionId": str(ID), **resume}})

    assert len(frames_of(body)) == 4
    assert runs.resumed[0][1:] == (ID, None)


async def test_an_empty_last_event_id_is_none() -> None:
    runs = FakeRuns()
    async with streaming(runs) as url:
        await posted(url, headers={"last-event-id": ""})
        await got(url, lastEventId="", request=json.dumps(ASKED))

    assert len(runs.asked) == 2


async def test_an_event_source_that_has_had_everything_is_told_to_stop() -> None:
    async with streaming(FakeRuns()) as url:
        assert await got(url, {"last-event-id": f"{ID}:3"}) == (204, "")
        # A program that POSTs knows what an empty stream means.
        body, _ = await posted(url, headers={"last-event-id": f"{ID}:3"})
        assert frames_of(body) == []


async def test_an_event_source_reads_why_it_cannot_resume() -> None:
    async with streaming(FakeRuns([STARTED, NOT_FOUND])) as url:
        status, body = await got(url, {"last-event-id": f"{ID}:0"})

    assert status == 200
    assert frames_of(body)[0]["data"]["code"] == "NOT_FOUND"


# -------------------------------------------------- quiet streams, and connections that end


async def test_a_quiet_stream_is_kept_alive_by_comments() -> None:
    runs = FakeRuns([STARTED], hangs=True)
    async with (
        streaming(runs, keep_alive_s=0.05) as url,
        aiohttp.ClientSession() as http,
        http.post(url, json=ASKED, headers=TOKEN) as response,
    ):
        received = b""
        while received.count(b": keep-alive\n\n") < 3:
            more = await asyncio.wait_for(response.content.readany(), 5)
            assert more, f"It ended: {received!r}"
            received += more

    assert len(frames_of(received.decode())) == 1
    await runs.wait_until_left()


async def test_no_comment_comes_after_the_end() -> None:
    async with streaming(FakeRuns(), keep_alive_s=0.000_01) as url:
        for _ in range(50):
            body, _ = await posted(url)
            assert body.rpartition("\n\n")[0].rpartition("\n\n")[2].startswith(("id: ", ": keep"))
            assert len(frames_of(body)) == 4


async def test_the_first_event_arrives_before_there_is_a_second() -> None:
    runs = FakeRuns([STARTED, TextDelta("a")], hangs=True)
    async with (
        streaming(runs) as url,
        aiohttp.ClientSession() as http,
        http.post(url, json=ASKED, headers=TOKEN) as response,
    ):
        received = b""
        while b"TokenDelta" not in received:
            received += await asyncio.wait_for(response.content.readany(), 5)


@pytest.mark.parametrize("is_flooded", [False, True])
async def test_the_reader_is_gone_within_100_ms_of_its_client(is_flooded: bool) -> None:
    runs = FakeRuns([STARTED], hangs=True, floods=is_flooded)
    async with (
        streaming(runs) as url,
        aiohttp.ClientSession() as http,
        http.post(url, json=ASKED, headers=TOKEN) as response,
    ):
        await response.content.readany()
        # A flood is stuck in the full buffers of the connection by now.
        await asyncio.sleep(0.3)
        assert runs.open == 1
        left_at = asyncio.get_running_loop().time()
        response.close()
        await runs.wait_until_left()
        assert runs.left_at - left_at < 0.1


async def test_a_client_that_does_not_read_holds_its_stream_back() -> None:
    runs = FakeRuns(floods=True)
    async with streaming(runs) as url:
        port = int(url.rstrip("/").rpartition(":")[2])
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        body = json.dumps(ASKED).encode()
        writer.write(
            b"POST / HTTP/1.1\r\nhost: a\r\nauthorization: Bearer good\r\n"
            b"content-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)
        )
        async with asyncio.timeout(10):
            while not runs.told:
                await asyncio.sleep(0.01)
            told = -1
            while told != runs.told:
                told = runs.told
                await asyncio.sleep(0.2)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        await asyncio.sleep(0.5)
        assert runs.told == told
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 10_000
        writer.transport.abort()
        await runs.wait_until_left()


async def test_a_reader_that_is_dropped_is_told_where_to_resume() -> None:
    runs = FakeRuns([STARTED, TextDelta("a")], error=ReaderTooSlow(f"{ID}:1"))
    async with streaming(runs) as url:
        body, _ = await posted(url)

    last = frames_of(body)[-1]
    assert (last["id"], last["event"]) == (None, "error")
    assert last["data"]["code"] == "STREAM_INTERRUPTED"
    assert last["data"]["isRetryable"] is True
    assert last["data"]["lastEventId"] == f"{ID}:1"


async def test_a_connection_that_has_lasted_long_enough_says_where_to_resume() -> None:
    async with streaming(FakeRuns([STARTED], hangs=True), max_stream_s=0.2) as url:
        body, _ = await posted(url)
        resumed, _ = await posted(url, headers={"last-event-id": f"{ID}:0"})

    for each in (body, resumed):
        last = frames_of(each)[-1]
        assert (last["event"], last["data"]["code"]) == ("error", "STREAM_INTERRUPTED")
        assert last["data"]["lastEventId"] == f"{ID}:0"
        assert "0.2 s" in last["data"]["message"]


async def test_many_streams_at_once_are_each_whole() -> None:
    deltas = [TextDelta(f"{number} ") for number in range(200)]
    async with streaming(FakeRuns([STARTED, *deltas, FINISHED])) as url:
        bodies = await asyncio.gather(*(posted(url) for _ in range(20)))

    for body, _ in bodies:
        frames = frames_of(body)
        assert [frame["data"]["sequence"] for frame in frames] == list(range(202))
        assert "".join(frame["data"].get("text", "") for frame in frames) == "".join(
            delta.text for delta in deltas
        )
