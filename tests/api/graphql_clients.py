"""One way to run an operation over each transport, so that a test can speak all of them."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
from websockets.asyncio.client import ClientConnection, connect

from tests.api.running_endpoint import TOKEN, Running

Results = list[dict[str, Any]]
Transport = Callable[[Running, str, Mapping[str, Any] | None], Awaitable[Results]]


async def over_http(
    endpoint: Running, query: str, variables: Mapping[str, Any] | None = None
) -> Results:
    async with (
        aiohttp.ClientSession() as http,
        http.post(
            endpoint.url, json={"query": query, "variables": variables}, headers=TOKEN
        ) as response,
    ):
        return [await response.json()]


async def over_sse(
    endpoint: Running, query: str, variables: Mapping[str, Any] | None = None
) -> Results:
    text = await _streamed(endpoint, query, variables, "text/event-stream")
    events = [dict(_fields(event)) for event in text.split("\n\n") if event not in ("", ":")]
    assert events[-1] == {"event": "complete", "data": ""}
    assert all(event["event"] == "next" for event in events[:-1])
    return [json.loads(event["data"]) for event in events[:-1]]


async def over_multipart(
    endpoint: Running, query: str, variables: Mapping[str, Any] | None = None
) -> Results:
    text = await _streamed(endpoint, query, variables, "multipart/mixed;subscriptionSpec=1.0")
    opening, *parts, closing = text.split("--graphql")
    assert (opening, closing) == ("", "--\r\n")
    answers = []
    for part in parts:
        headers, _, body = part.removeprefix("\r\n").partition("\r\n\r\n")
        assert headers == "content-type: application/json"
        assert body.endswith("\r\n")
        answers.append(json.loads(body))
    return [answer["payload"] for answer in answers if answer]


async def over_websocket(
    endpoint: Running, query: str, variables: Mapping[str, Any] | None = None
) -> Results:
    """What ``error`` reports comes as a result with only errors, as over the other transports."""
    results: Results = []
    async with acknowledged(endpoint) as socket:
        await send(
            socket,
            {"id": "1", "type": "subscribe", "payload": {"query": query, "variables": variables}},
        )
        while True:
            message = await receive(socket)
            assert message["id"] == "1"
            match message["type"]:
                case "next":
                    results.append(message["payload"])
                case "error":
                    return [*results, {"errors": message["payload"]}]
                case "complete":
                    return results


@asynccontextmanager
async def acknowledged(
    endpoint: Running,
    payload: Mapping[str, Any] | None = None,
    headers: Mapping[str, str] | None = None,
) -> AsyncIterator[ClientConnection]:
    """A connection that has been initialised; with the good token where no payload is given."""
    async with connect(
        endpoint.ws_url,
        subprotocols=["graphql-transport-ws"],  # type: ignore[list-item]
        additional_headers=headers,
        max_queue=None,
    ) as socket:
        await send(
            socket,
            {"type": "connection_init", "payload": dict(TOKEN if payload is None else payload)},
        )
        assert await receive(socket) == {"type": "connection_ack"}
        yield socket


async def send(socket: ClientConnection, message: object) -> None:
    await socket.send(json.dumps(message))


async def receive(socket: ClientConnection) -> Any:
    return json.loads(await socket.recv())


async def _streamed(
    endpoint: Running, query: str, variables: Mapping[str, Any] | None, accept: str
) -> str:
    async with (
        aiohttp.ClientSession() as http,
        http.post(
            endpoint.url,
            json={"query": query, "variables": variables},
            headers=TOKEN | {"accept": accept},
        ) as response,
    ):
        assert response.status == 200, await response.text()
        assert response.content_type == accept.partition(";")[0]
        return (await response.read()).decode()


def _fields(event: str) -> list[tuple[str, str]]:
    lines = [line.partition(": ") for line in event.split("\n")]
    return [(name, value) for name, _, value in lines]
