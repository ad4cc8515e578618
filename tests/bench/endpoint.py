"""What the GraphQL machinery itself costs, on a schema whose resolvers do nothing.

    .venv/bin/python -m tests.bench.endpoint

In process: one operation through ``Schema.execute``, and through the whole ASGI application. Over
HTTP: requests per second of one worker beside those of a plain Starlette route, and events per
second of one subscription.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import socket
import time
from collections.abc import Awaitable, Callable
from multiprocessing.queues import Queue
from typing import Any, cast

import uvicorn
import uvloop
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from assistant.api.context import Context
from assistant.api.endpoint import GraphQLEndpoint
from assistant.domain.caller import Caller
from tests.api.running_endpoint import authenticate
from tests.api.small_schema import Probe, create_small_schema

BODY = b'{"query":"{ hello }"}'
HEADERS = {"content-type": "application/json", "authorization": "Bearer good", "host": "bench"}
SECONDS = 3.0


def endpoint() -> GraphQLEndpoint:
    return GraphQLEndpoint(
        create_small_schema(), services=cast(Any, Probe()), authenticate=authenticate
    )


async def best_of(
    call: Callable[[], Awaitable[object]], runs: int = 5, calls: int = 2_000
) -> float:
    """Microseconds of one call in the quickest of several runs: the others shared the machine."""
    best = float("inf")
    for _ in range(runs):
        started = time.perf_counter()
        for _ in range(calls):
            await call()
        best = min(best, (time.perf_counter() - started) / calls)
    return best * 1e6


async def in_process() -> None:
    app = endpoint()
    context = Context(cast(Any, Probe()), Caller("acme", None, None, frozenset()))
    scope = {
        "type": "http",
        "method": "POST",
        "path": "/graphql",
        "query_string": b"",
        "headers": [(name.encode(), value.encode()) for name, value in HEADERS.items()],
    }

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": BODY, "more_body": False}

    async def send(_message: object) -> None:
        pass

    executed = await best_of(lambda: app.schema.execute("{ hello }", context_value=context))
    answered = await best_of(lambda: app(dict(scope), receive, cast(Any, send)))
    print(f"{'Schema.execute':34}{executed:8.0f} us")
    print(f"{'whole application':34}{answered:8.0f} us")


def serve(ports: Queue[int]) -> None:
    async def plain(_request: Request) -> Response:
        return JSONResponse({"data": {"hello": "world"}})

    app = Starlette(
        routes=[Route("/plain", plain, methods=["POST"]), Route("/graphql", endpoint())]
    )
    listener = socket.create_server(("127.0.0.1", 0))
    ports.put(listener.getsockname()[1])
    config = uvicorn.Config(app, log_level="warning", access_log=False, lifespan="off")
    uvicorn.Server(config).run(sockets=[listener])


def request_bytes(path: str, body: bytes, **headers: str) -> bytes:
    sent = HEADERS | headers | {"content-length": str(len(body))}
    head = "".join(f"{name}: {value}\r\n" for name, value in sent.items())
    return f"POST {path} HTTP/1.1\r\n{head}\r\n".encode() + body


async def over_http(port: int) -> None:
    async def keep_asking(request: bytes, until: float) -> int:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        answers = 0
        while time.perf_counter() < until:
            writer.write(request)
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            length = int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0])
            await reader.readexactly(length)
            answers += 1
        writer.close()
        return answers

    for connections in (1, 16):
        for path in ("/plain", "/graphql"):
            until = time.perf_counter() + SECONDS
            request = request_bytes(path, BODY)
            counts = await asyncio.gather(
                *(keep_asking(request, until) for _ in range(connections))
            )
            label = f"{path}, {connections} connections"
            print(f"{label:34}{sum(counts) / SECONDS:8.0f} /s")

    events = 50_000
    words = "a " * events
    body = b'{"query":"subscription($t:String!){completionStream(text:$t)}","variables":{"t":"%b"}}'
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request_bytes("/graphql", body % words.encode(), accept="text/event-stream"))
    started = time.perf_counter()
    received = 0
    tail = b""
    while b"event: complete" not in tail:
        chunk = await reader.read(1 << 16)
        received += chunk.count(b"event: next")
        tail = tail[-20:] + chunk
    took_s = time.perf_counter() - started
    writer.close()
    print(f"{'events of one stream':34}{received / took_s:8.0f} /s")


def main() -> None:
    uvloop.run(in_process())
    processes = multiprocessing.get_context("spawn")
    ports: Queue[int] = processes.Queue()
    server = processes.Process(target=serve, args=(ports,))
    server.start()
    try:
        port = ports.get(timeout=30)
        time.sleep(2)
        uvloop.run(over_http(port))
    finally:
        server.terminate()
        server.join()


if __name__ == "__main__":
    main()
