"""The graphql-transport-ws protocol, its refusals included."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import pytest
from structlog.testing import capture_logs
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.api.graphql_clients import acknowledged, over_websocket, receive, send
from tests.api.running_endpoint import TOKEN, Running, running_endpoint


@pytest.fixture(scope="module")
def endpoint() -> Iterator[Running]:
    with running_endpoint(
        connection_init_timeout_s=0.5, max_subscriptions_per_connection=2
    ) as running:
        yield running


@asynccontextmanager
async def opened(
    endpoint: Running,
    protocols: tuple[str, ...] = ("graphql-transport-ws",),
    headers: Mapping[str, str] | None = None,
) -> AsyncIterator[ClientConnection]:
    async with connect(
        endpoint.ws_url,
        subprotocols=protocols,  # type: ignore[arg-type]
        additional_headers=headers,
    ) as socket:
        yield socket


async def closing(socket: ClientConnection) -> tuple[int, str]:
    """With which code and reason the server closes, whatever it says before."""
    with pytest.raises(ConnectionClosed):
        while True:
            await asyncio.wait_for(socket.recv(), 5)
    assert socket.close_code is not None
    return socket.close_code, socket.close_reason or ""


def subscribe(id_: str, query: str, **payload: Any) -> dict[str, Any]:
    return {"id": id_, "type": "subscribe", "payload": {"query": query, **payload}}


# --- opening


async def test_the_protocol_that_was_asked_for_is_confirmed(endpoint: Running) -> None:
    async with opened(endpoint, ("graphql-ws", "graphql-transport-ws")) as socket:
        assert socket.subprotocol == "graphql-transport-ws"


@pytest.mark.parametrize("protocols", [("graphql-ws",), ("soap",)])
async def test_other_protocols_the_legacy_one_included_are_closed_with_4406(
    endpoint: Running, protocols: tuple[str, ...]
) -> None:
    async with connect(
        endpoint.ws_url,
        subprotocols=protocols,  # type: ignore[arg-type]
    ) as socket:
        assert (await closing(socket))[0] == 4406


async def test_a_connection_that_does_not_introduce_itself_is_closed_with_4408(
    endpoint: Running,
) -> None:
    async with opened(endpoint) as socket:
        assert await closing(socket) == (4408, "Connection initialisation timeout")


async def test_subscribing_before_the_acknowledgement_is_closed_with_4401(
    endpoint: Running,
) -> None:
    async with opened(endpoint) as socket:
        await send(socket, subscribe("1", "{ hello }"))
        assert (await closing(socket))[0] == 4401


async def test_introducing_itself_twice_is_closed_with_4429(endpoint: Running) -> None:
    async with acknowledged(endpoint) as socket:
        await send(socket, {"type": "connection_init", "payload": TOKEN})
        assert (await closing(socket))[0] == 4429


@pytest.mark.parametrize("payload", [{}, {"authorization": "Bearer bad"}, {"authorization": 1}])
async def test_a_connection_without_identity_is_closed_with_4403(
    endpoint: Running, payload: dict[str, Any]
) -> None:
    async with opened(endpoint) as socket:
        await send(socket, {"type": "connection_init", "payload": payload})
        assert await closing(socket) == (4403, "Forbidden")


async def test_a_connection_that_cannot_be_judged_now_is_asked_to_come_again(
    endpoint: Running,
) -> None:
    async with opened(endpoint) as socket:
        await send(
            socket, {"type": "connection_init", "payload": {"authorization": "Bearer storage"}}
        )
        assert (await closing(socket))[0] == 1013


async def test_a_defect_while_authenticating_is_logged_and_closed_with_1011(
    endpoint: Running,
) -> None:
    with capture_logs() as logs:
        async with opened(endpoint) as socket:
            await send(
                socket, {"type": "connection_init", "payload": {"authorization": "Bearer defect"}}
            )
            assert await closing(socket) == (1011, "Internal error")
    assert len(logs) == 1


@pytest.mark.parametrize("origin", ["https://evil.example", "null"])
async def test_another_sites_page_cannot_open_a_connection(endpoint: Running, origin: str) -> None:
    with pytest.raises(InvalidStatus) as refused:
        async with opened(endpoint, headers={"origin": origin}):
            pass
    assert refused.value.response.status_code == 403


async def test_an_allowed_sites_page_can(endpoint: Running) -> None:
    async with acknowledged(endpoint, headers={"origin": "https://friend.example"}) as socket:
        await send(socket, {"type": "ping"})
        assert await receive(socket) == {"type": "pong"}


# --- who is calling


@pytest.mark.parametrize(
    ("handshake", "payload", "tenant"),
    [
        ({}, {"authorization": "Bearer good"}, "acme"),
        ({}, {"Authorization": "Bearer good"}, "acme"),
        ({}, {"headers": {"Authorization": "Bearer good"}}, "acme"),
        ({"authorization": "Bearer good"}, {}, "acme"),
        ({"authorization": "Bearer bad"}, {"authorization": "Bearer good"}, "acme"),
        ({"x-gateway-secret": "secret", "x-tenant-id": "reef"}, {}, "reef"),
        ({}, {"X-Gateway-Secret": "secret", "X-Tenant-Id": "reef"}, "reef"),
        # The proxy that knows the secret says who it is, not the client behind it.
        ({"x-gateway-secret": "secret", "x-tenant-id": "reef"}, {"x-tenant-id": "other"}, "reef"),
        ({"x-tenant-id": "other"}, {"x-gateway-secret": "secret", "x-tenant-id": "reef"}, "reef"),
    ],
)
async def test_the_caller_comes_from_the_handshake_or_the_payload(
    endpoint: Running, handshake: dict[str, str], payload: dict[str, Any], tenant: str
) -> None:
    async with acknowledged(endpoint, payload, handshake) as socket:
        await send(socket, subscribe("1", "{ whoami }"))
        assert (await receive(socket))["payload"] == {"data": {"whoami": tenant}}


@pytest.mark.parametrize(
    ("handshake", "payload"),
    [
        ({"x-gateway-secret": "secret"}, {"x-tenant-id": "other"}),
        ({"x-tenant-id": "other"}, {"x-gateway-secret": "secret"}),
        ({"x-gateway-secret": "wrong", "x-tenant-id": "a"}, {"x-gateway-secret": "secret"}),
    ],
)
async def test_an_identity_counts_only_beside_the_secret_that_it_came_with(
    endpoint: Running, handshake: dict[str, str], payload: dict[str, str]
) -> None:
    async with opened(endpoint, headers=handshake) as socket:
        await send(socket, {"type": "connection_init", "payload": payload})
        assert (await closing(socket))[0] == 4403


# --- messages


@pytest.mark.parametrize(
    "message",
    [
        "no json",
        "{",
        "[" * 50_000,
        '{"type": NaN}',
        "3",
        "null",
        "[]",
        "{}",
        '{"type": 1}',
        '{"type": "unknown"}',
        '{"type": "complete"}',
        '{"type": "complete", "id": []}',
        '{"type": "subscribe"}',
        '{"type": "subscribe", "id": "1"}',
        '{"type": "subscribe", "id": 1, "payload": {"query": "{ hello }"}}',
        '{"type": "subscribe", "id": "", "payload": {"query": "{ hello }"}}',
        '{"type": "subscribe", "id": "1", "payload": 5}',
        '{"type": "subscribe", "id": "1", "payload": {}}',
        '{"type": "subscribe", "id": "1", "payload": {"query": 1}}',
        '{"type": "subscribe", "id": "1", "payload": {"query": "{ a }", "variables": "{}"}}',
        '{"type": "subscribe", "id": "1", "payload": {"query": "{ a }", "operationName": 1}}',
    ],
)
async def test_what_is_no_message_of_the_protocol_is_closed_with_4400(
    endpoint: Running, message: str
) -> None:
    async with acknowledged(endpoint) as socket:
        await socket.send(message)
        assert (await closing(socket))[0] == 4400


async def test_a_binary_message_is_closed_with_4400(endpoint: Running) -> None:
    async with acknowledged(endpoint) as socket:
        await socket.send(b'{"type": "ping"}')
        assert (await closing(socket))[0] == 4400


@pytest.mark.parametrize("payload", ["text", 3, []])
async def test_an_introduction_that_is_no_object_is_closed_with_4400(
    endpoint: Running, payload: object
) -> None:
    async with opened(endpoint) as socket:
        await send(socket, {"type": "connection_init", "payload": payload})
        assert (await closing(socket))[0] == 4400


async def test_a_ping_is_answered_and_a_pong_is_not(endpoint: Running) -> None:
    async with opened(endpoint) as socket:
        await send(socket, {"type": "pong"})
        await send(socket, {"type": "ping", "payload": {"a": 1}})
        assert await receive(socket) == {"type": "pong"}


# --- operations


async def test_an_id_that_is_in_use_is_closed_with_4409(endpoint: Running) -> None:
    async with acknowledged(endpoint) as socket:
        await send(socket, subscribe("1", "subscription { hangs }"))
        await receive(socket)
        await send(socket, subscribe("1", "subscription { hangs }"))
        assert await closing(socket) == (4409, "Subscriber for 1 already exists")
    await asyncio.to_thread(endpoint.probe.wait, "finished")


async def test_an_id_is_free_again_once_its_operation_is_complete(endpoint: Running) -> None:
    async with acknowledged(endpoint) as socket:
        for _ in range(2):
            await send(socket, subscribe("1", "{ hello }"))
            assert (await receive(socket))["payload"] == {"data": {"hello": "world"}}
            assert await receive(socket) == {"id": "1", "type": "complete"}


async def test_too_many_operations_at_once_are_an_error_of_the_last(endpoint: Running) -> None:
    async with acknowledged(endpoint) as socket:
        for id_ in ("1", "2"):
            await send(socket, subscribe(id_, "subscription { counts }"))
        await send(socket, subscribe("3", "{ hello }"))
        while (message := await receive(socket))["id"] != "3":
            assert message["type"] == "next"

        assert message["type"] == "error"
        assert message["payload"][0]["extensions"]["code"] == "RATE_LIMITED"
        await send(socket, {"id": "1", "type": "complete"})
        await send(socket, subscribe("4", "{ hello }"))
        while (message := await receive(socket))["id"] != "4":
            pass
        assert message["payload"] == {"data": {"hello": "world"}}


async def test_a_client_ends_an_operation_and_its_resolver_with_complete(
    endpoint: Running,
) -> None:
    async with acknowledged(endpoint) as socket:
        await send(socket, subscribe("1", "subscription { hangs }"))
        await receive(socket)
        await send(socket, {"id": "1", "type": "complete"})
        await asyncio.to_thread(endpoint.probe.wait, "finished")
        await send(socket, {"type": "ping"})
        assert await receive(socket) == {"type": "pong"}


@pytest.mark.parametrize("query", ["{", "{ nope }", "query($t: String!) { echo(text: $t) }"])
async def test_an_operation_that_cannot_run_leaves_the_others_running(
    endpoint: Running, query: str
) -> None:
    async with acknowledged(endpoint) as socket:
        await send(socket, subscribe("1", "subscription { counts }"))
        assert (await receive(socket))["type"] == "next"
        await send(socket, subscribe("2", query))
        while (message := await receive(socket))["id"] != "2":
            pass
        assert message["type"] == "error"
        assert (await receive(socket))["id"] == "1"


async def test_mutations_and_variables_work_as_over_http(endpoint: Running) -> None:
    query = "mutation M($t: String!) { generateCompletion(text: $t) } query Q { hello }"
    async with acknowledged(endpoint) as socket:
        await send(socket, subscribe("1", query, variables={"t": "\ud83d"}, operationName="M"))
        assert (await receive(socket))["payload"] == {"data": {"generateCompletion": "\ud83d"}}


async def test_every_operation_of_a_connection_has_loaders_of_its_own(endpoint: Running) -> None:
    endpoint.probe.batches.clear()
    async with acknowledged(endpoint) as socket:
        for id_ in ("1", "2"):
            await send(socket, subscribe(id_, "{ shelf { title } }"))
            assert len((await receive(socket))["payload"]["data"]["shelf"]) == 3
            await receive(socket)

    assert endpoint.probe.batches == [["0", "1", "2"], ["0", "1", "2"]]


async def test_a_subscription_reaches_its_caller_and_loaders(endpoint: Running) -> None:
    assert await over_websocket(endpoint, "subscription { whoami }") == [
        {"data": {"whoami": "acme"}}
    ]
    assert await over_websocket(endpoint, "subscription { shelf }") == [
        {"data": {"shelf": "Book 1"}}
    ]


@pytest.mark.parametrize("text", ["x" * 10_000, "\u20ac" * 100, "\ud800"])
async def test_a_closing_reason_fits_its_frame_whatever_the_client_sent(
    endpoint: Running, text: str
) -> None:
    async with acknowledged(endpoint) as socket:
        await send(socket, {"type": text})
        assert (await closing(socket))[0] == 4400
    async with acknowledged(endpoint) as socket:
        for _ in range(2):
            await send(socket, subscribe(text, "subscription { counts }"))
        assert (await closing(socket))[0] == 4409
