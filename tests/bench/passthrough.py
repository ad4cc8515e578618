"""The least that a proxy can do: Starlette takes the request, aiohttp passes it on.

The yardstick of ``tests.bench.completions`` and ``tests.bench.streams``: what it serves on one core
is the most that a service of this kind could. Run as `python -m tests.bench.passthrough PORT URL`.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route


def create_app(upstream: str) -> Starlette:
    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(connector=connector) as app.state.session:
            yield

    async def whole(request: Request) -> Response:
        body = await request.body()
        async with request.app.state.session.post(upstream, data=body) as response:
            return Response(await response.read(), media_type="application/json")

    async def streamed(request: Request) -> Response:
        body = await request.body()

        async def pieces() -> AsyncIterator[bytes]:
            async with request.app.state.session.post(upstream, data=body) as response:
                async for piece in response.content.iter_any():
                    yield piece

        return StreamingResponse(pieces(), media_type="application/x-ndjson")

    routes = [
        Route("/whole", whole, methods=["POST"]),
        Route("/streamed", streamed, methods=["POST"]),
    ]
    return Starlette(routes=routes, lifespan=lifespan)


if __name__ == "__main__":
    uvicorn.run(
        create_app(sys.argv[2]),
        port=int(sys.argv[1]),
        loop="uvloop",
        http="httptools",
        log_level="warning",
    )
