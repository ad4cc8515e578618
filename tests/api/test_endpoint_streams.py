"""Subscriptions over HTTP: framing, duration, and clients that leave."""

from __future__ import annotations

import asyncio
import json
import resource
import time
from collections.abc import Iterator
from typing import Any

import aiohttp
import pytest

from tests.api.graphql_clients import (
    Transport,
    acknowledged,
    over_multipart,
    over_sse,
    over_websocket,
    receive,
    send,
)
from tests.api.running_endpoint import TOKEN, Running, running_endpoint

SSE = TOKEN | {"accept": "text/event-stream"}
MULTIPART = TOKEN | {"accept": 'multipart/mixed;subscriptionSpec="1.0", application/json'}
STREAM = {"query": "subscription { completionStream }"}


@pytest.fixture(scope="module")
def endpoint() -> Iterator[Running]:
    with running_endpoint() as running:
        yield running


@pytest.fixture(scope="module")
def brief() -> Iterator[Running]:
    with running_endpoint(max_stream_s=0.3) as running:
        yield running


async def streamed(endpoint: Running, body: Any, headers: dict[str, str]) -> tuple[bytes, Any]:
    async with (
        aiohttp.ClientSession() as http,
        http.post(endpoint.url, json=body, headers=headers) as response,
    ):
        return await response.read(), response.headers


async def test_events_are_framed_with_line_feeds_alone(endpoint: Running) -> None:
    body, headers = await streamed(endpoint, STREAM, SSE)

    assert headers["content-type"] == "text/event-stream"
    assert headers["cache-control"] == "no-store, no-transform"
    assert headers["x-accel-buffering"] == "no"
    assert body == (
        b":\n\n"
        b'event: next\ndata: {"data":{"completionStream":"a"}}\n\n'
        b'event: next\ndata: {"data":{"completionStream":"b"}}\n\n'
        b'event: next\ndata: {"data":{"completionStream":"c"}}\n\n'
        b"event: complete\ndata: \n\n"
    )


async def test_parts_are_framed_as_apollo_reads_them(endpoint: Running) -> None:
    body, headers = await streamed(endpoint, STREAM, MULTIPART)

    assert headers["content-type"] == 'multipart/mixed;boundary="graphql";subscriptionSpec=1.0'
    assert body == (
        b"--graphql\r\ncontent-type: application/json\r\n\r\n"
        b'{"payload":{"data":{"completionStream":"a"}}}\r\n'
        b"--graphql\r\ncontent-type: application/json\r\n\r\n"
        b'{"payload":{"data":{"completionStream":"b"}}}\r\n'
        b"--graphql\r\ncontent-type: application/json\r\n\r\n"
        b'{"payload":{"data":{"completionStream":"c"}}}\r\n'
        b"--graphql--\r\n"
    )


@pytest.mark.parametrize("headers", [SSE, MULTIPART])
@pytest.mark.parametrize("text", ["Käse\u2028🧀", "a\\r\\n\\nb", "\\ud83d"])
async def test_events_are_ascii_so_that_no_packet_ends_inside_a_character(
    endpoint: Running, headers: dict[str, str], text: str
) -> None:
    query = f'subscription {{ completionStream(text: "{text}") }}'
    body, _ = await streamed(endpoint, {"query": query}, headers)

    assert body.isascii()
    assert b"\\u" in body or b"completionStream" in body


async def test_a_gateway_subscribes_by_get(endpoint: Running) -> None:
    async with (
        aiohttp.ClientSession() as http,
        http.get(endpoint.url, params=STREAM, headers=SSE) as response,
    ):
        assert response.status == 200
        assert (await response.read()).count(b"event: next") == 3


async def test_a_mutation_by_get_is_refused_in_a_stream_too(endpoint: Running) -> None:
    query = {"query": "mutation { generateCompletion }"}
    async with (
        aiohttp.ClientSession() as http,
        http.get(endpoint.url, params=query, headers=SSE) as response,
    ):
        body = await response.read()

    assert b"A mutation must be sent with POST." in body
    assert b'"data"' not in body


@pytest.mark.parametrize("accept", ["application/json", "*/*", "multipart/mixed"])
async def test_a_subscription_that_asks_for_no_stream_is_a_406_that_says_what_to_ask_for(
    endpoint: Running, accept: str
) -> None:
    body, _ = await streamed(endpoint, STREAM, TOKEN | {"accept": accept})

    message = json.loads(body)["errors"][0]["message"]
    assert "accept: text/event-stream" in message
    assert "graphql-transport-ws" in message


async def test_what_accepts_both_gets_a_query_as_json_and_a_subscription_as_events(
    endpoint: Running,
) -> None:
    headers = TOKEN | {"accept": "application/graphql-response+json, text/event-stream"}
    query, query_headers = await streamed(endpoint, {"query": "{ hello }"}, headers)
    stream, stream_headers = await streamed(endpoint, STREAM, headers)

    assert json.loads(query) == {"data": {"hello": "world"}}
    assert query_headers["content-type"].startswith("application/graphql-response+json")
    assert stream.count(b"event: next") == 3
    assert stream_headers["content-type"] == "text/event-stream"


async def test_the_first_event_arrives_before_the_second_exists(endpoint: Running) -> None:
    async with (
        aiohttp.ClientSession() as http,
        http.post(endpoint.url, json={"query": "subscription { hangs }"}, headers=SSE) as response,
    ):
        received = b""
        while b'{"hangs":1}' not in received:
            received += await asyncio.wait_for(response.content.readany(), 5)
    await asyncio.to_thread(endpoint.probe.wait, "finished")


async def ended_within_a_second_and_settled(endpoint: Running, left_at: float) -> None:
    assert await asyncio.to_thread(endpoint.probe.wait, "finished") - left_at < 1
    # What it awaits after that is not cut off.
    await asyncio.to_thread(endpoint.probe.wait, "settled")


@pytest.mark.parametrize("headers", [SSE, MULTIPART])
@pytest.mark.parametrize("field", ["hangs", "floods"])
async def test_a_resolver_is_ended_when_the_client_of_its_stream_leaves(
    endpoint: Running, headers: dict[str, str], field: str
) -> None:
    query = {"query": f"subscription {{ {field} }}"}
    async with (
        aiohttp.ClientSession() as http,
        http.post(endpoint.url, json=query, headers=headers) as response,
    ):
        await response.content.readany()
        await asyncio.to_thread(endpoint.probe.wait, "started")
        # A flood is stuck in the full buffers of the connection by now.
        await asyncio.sleep(0.2)
        left_at = time.monotonic()
        response.close()
    await ended_within_a_second_and_settled(endpoint, left_at)


@pytest.mark.parametrize("field", ["hangs", "floods"])
@pytest.mark.parametrize("is_abrupt", [False, True])
async def test_a_resolver_is_ended_when_the_client_of_its_websocket_leaves(
    endpoint: Running, field: str, is_abrupt: bool
) -> None:
    async with acknowledged(endpoint) as socket:
        query = {"query": f"subscription {{ {field} }}"}
        await send(socket, {"id": "1", "type": "subscribe", "payload": query})
        await receive(socket)
        left_at = time.monotonic()
        if is_abrupt:
            socket.transport.abort()
    await ended_within_a_second_and_settled(endpoint, left_at)


async def test_a_client_that_does_not_read_holds_its_stream_back(endpoint: Running) -> None:
    _, writer = await asyncio.open_connection("127.0.0.1", endpoint.port)
    body = json.dumps({"query": "subscription { floods }"}).encode()
    writer.write(
        b"POST / HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\n"
        b"accept: text/event-stream\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)
    )
    await asyncio.to_thread(endpoint.probe.wait, "started")
    await asyncio.sleep(0.5)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    await asyncio.sleep(1)
    grown_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before

    left_at = time.monotonic()
    writer.transport.abort()
    await ended_within_a_second_and_settled(endpoint, left_at)
    assert grown_kb < 10_000


@pytest.mark.parametrize("transport", [over_sse, over_multipart, over_websocket])
@pytest.mark.parametrize("field", ["counts", "hangs"])
async def test_a_stream_ends_with_an_error_when_it_has_lasted_long_enough(
    brief: Running, transport: Transport, field: str
) -> None:
    *events, last = await asyncio.wait_for(transport(brief, f"subscription {{ {field} }}", None), 5)

    assert all(event["data"][field] is not None for event in events)
    assert last["errors"][0]["extensions"] == {"code": "STREAM_INTERRUPTED", "isRetryable": True}
    assert "0.3 s" in last["errors"][0]["message"]
    if field == "hangs":
        await asyncio.to_thread(brief.probe.wait, "settled")
