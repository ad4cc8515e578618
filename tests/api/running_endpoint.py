"""The endpoint over the small schema, on a real socket, in a thread of its own."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, cast

import uvicorn
from starlette.responses import HTMLResponse, Response

from assistant.api.endpoint import GraphQLEndpoint
from assistant.domain.caller import Caller, Scope
from assistant.errors import StorageUnavailable, Unauthenticated
from tests.api.small_schema import Probe, create_small_schema

TOKEN = {"authorization": "Bearer good"}


async def authenticate(headers: Mapping[str, str]) -> Caller:
    """Knows one token, and the gateway's secret beside a tenant."""
    match headers.get("authorization", ""):
        case "Bearer good":
            return Caller("acme", None, None, frozenset(Scope))
        case "Bearer storage":
            raise StorageUnavailable("The database cannot be reached.", retry_after_s=1)
        case "Bearer defect":
            raise RuntimeError("the-secret-token")
    if headers.get("x-gateway-secret") == "secret" and (tenant := headers.get("x-tenant-id")):
        return Caller(tenant, None, None, frozenset())
    raise Unauthenticated("Send a token.")


def page() -> Response:
    return HTMLResponse("<!doctype html><title>GraphiQL</title>")


@dataclass(frozen=True)
class Running:
    port: int
    probe: Probe

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/"

    @property
    def ws_url(self) -> str:
        return f"ws://127.0.0.1:{self.port}/"


@contextmanager
def running_endpoint(**arguments: Any) -> Iterator[Running]:
    """Serve the endpoint until the block ends; ``arguments`` go to GraphQLEndpoint."""
    probe = Probe()
    endpoint = GraphQLEndpoint(
        create_small_schema(),
        **{
            "services": cast(Any, probe),
            "authenticate": authenticate,
            "ide": page,
            "allowed_origins": ("https://friend.example",),
        }
        | arguments,
    )
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = uvicorn.Server(
            uvicorn.Config(
                endpoint, log_level="warning", lifespan="off", timeout_graceful_shutdown=1
            )
        )
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        while not server.started:
            assert thread.is_alive()
            time.sleep(0.01)
        try:
            yield Running(listener.getsockname()[1], probe)
        finally:
            server.should_exit = True
            thread.join(10)
            assert not thread.is_alive()
