"""A request's identity and its line in the log, over a real socket."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from typing import Any
from uuid import UUID

import httpx
import pytest
import structlog
import websockets
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from assistant.adapters.logging import configure_logging
from assistant.api.request_log import RequestLog
from assistant.settings import Settings
from tests.api.serving import serving

TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = "00f067aa0ba902b7"

# Computed, because a traceback rightly quotes the source lines of this file.
WISH = "secret wish".upper()

log = structlog.get_logger(__name__)


class Lines(io.StringIO):
    def of(self, event: str) -> list[dict[str, Any]]:
        lines = [json.loads(line) for line in self.getvalue().splitlines()]
        return [line for line in lines if line["event"] == event]

    async def one(self, event: str) -> dict[str, Any]:
        """The only line of ``event``, which may come just after the response."""
        async with asyncio.timeout(5):
            while not self.of(event):
                await asyncio.sleep(0.01)
        (line,) = self.of(event)
        return line


@pytest.fixture(params=["debug"])
def lines(request: pytest.FixtureRequest) -> Iterator[Lines]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    stream = Lines()
    configure_logging(Settings(log_format="json", log_level=request.param), stream)
    yield stream
    root.handlers[:], root.level = handlers, level
    logging.captureWarnings(False)
    structlog.reset_defaults()


async def hello(_: Request) -> Response:
    log.info("working")
    return PlainTextResponse("hello")


async def fail(_: Request) -> Response:
    raise RuntimeError(WISH)


def application(*routes: Route | WebSocketRoute) -> RequestLog:
    return RequestLog(Starlette(routes=[Route("/", hello), Route("/fail", fail), *routes]))


async def get(path: str = "/", **headers: str) -> httpx.Response:
    async with serving(application()) as address, httpx.AsyncClient() as client:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return await client.get(f"http://{address}{path}", headers=named)


async def test_a_request_is_one_line_with_what_happened_and_no_query_string(lines: Lines) -> None:
    response = await get("/?token=hunter2")
    line = await lines.one("request")
    assert line["level"] == "info"
    assert (line["method"], line["path"], line["status"]) == ("GET", "/", 200)
    assert 0 <= line["duration_ms"] < 5_000
    assert line["request_id"] == response.headers["x-request-id"]
    assert "hunter2" not in lines.getvalue()


async def test_everything_logged_for_a_request_has_its_identity(lines: Lines) -> None:
    await get(x_request_id="r-1", traceparent=f"00-{TRACE_ID}-{PARENT}-01")
    for line in (await lines.one("working"), await lines.one("request")):
        assert (line["request_id"], line["trace_id"]) == ("r-1", TRACE_ID)


async def test_requests_on_one_connection_have_identities_of_their_own(lines: Lines) -> None:
    async with serving(application()) as address, httpx.AsyncClient() as client:
        responses = [await client.get(f"http://{address}/") for _ in range(3)]
    ids = {response.headers["x-request-id"] for response in responses}
    assert len(ids) == 3
    assert {line["request_id"] for line in lines.of("working")} == ids
    assert len({line["trace_id"] for line in lines.of("working")}) == 3


@pytest.mark.parametrize("given", ["r-1", "a" * 128, "3f/1|x=y+z.w_v:u@t"])
async def test_a_safe_request_id_is_kept(lines: Lines, given: str) -> None:
    assert (await get(x_request_id=given)).headers["x-request-id"] == given


@pytest.mark.parametrize("given", ["", "a" * 129, "two words", 'quo"te', "héllo", "{json}"])
async def test_an_unsafe_request_id_is_replaced(lines: Lines, given: str) -> None:
    async with serving(application()) as address, httpx.AsyncClient() as client:
        headers = [(b"x-request-id", given.encode())]
        response = await client.get(f"http://{address}/", headers=headers)
    assert UUID(response.headers["x-request-id"]).version == 7


@pytest.mark.parametrize(
    ("traceparent", "is_continued"),
    [
        (f"00-{TRACE_ID}-{PARENT}-01", True),
        (f"00-{TRACE_ID}-{PARENT}-00", True),
        (f"cc-{TRACE_ID}-{PARENT}-01-what-a-later-version-adds", True),
        (f"00-{TRACE_ID}-{PARENT}-01-extra", False),
        (f"ff-{TRACE_ID}-{PARENT}-01", False),
        (f"00-{'0' * 32}-{PARENT}-01", False),
        (f"00-{TRACE_ID}-{'0' * 16}-01", False),
        (f"00-{TRACE_ID.upper()}-{PARENT}-01", False),
        (TRACE_ID, False),
    ],
)
async def test_a_valid_trace_is_continued_and_any_other_begun(
    lines: Lines, traceparent: str, is_continued: bool
) -> None:
    await get(traceparent=traceparent)
    trace_id = (await lines.one("request"))["trace_id"]
    assert (trace_id == TRACE_ID) is is_continued
    assert re.fullmatch(r"[0-9a-f]{32}", trace_id)


async def test_an_exception_that_escapes_is_a_500_that_can_be_traced(lines: Lines) -> None:
    response = await get("/fail")
    assert response.status_code == 500
    request_id = response.headers["x-request-id"]
    assert (await lines.one("request"))["status"] == 500
    defect = await lines.one("Exception in ASGI application")
    assert defect["request_id"] == request_id == (await lines.one("request"))["request_id"]
    assert defect["exception"].endswith("RuntimeError")
    assert WISH not in lines.getvalue()


async def test_it_also_works_inside_of_starlette(lines: Lines) -> None:
    app = Starlette(routes=[Route("/fail", fail)], middleware=[Middleware(RequestLog)])
    async with serving(app) as address, httpx.AsyncClient() as client:
        assert (await client.get(f"http://{address}/fail")).status_code == 500
    assert (await lines.one("request"))["status"] == 500


@pytest.mark.parametrize("path", ["/health", "/health/ready", "/metrics"])
async def test_probes_are_lines_for_debugging(lines: Lines, path: str) -> None:
    await get(path)
    assert (await lines.one("request"))["level"] == "debug"


@pytest.mark.parametrize("lines", ["info"], indirect=True)
async def test_probes_are_not_logged_otherwise(lines: Lines) -> None:
    async with serving(application()) as address, httpx.AsyncClient() as client:
        await client.get(f"http://{address}/health")
        await client.get(f"http://{address}/")
    assert [line["path"] for line in lines.of("request")] == ["/"]


async def test_a_stream_arrives_piece_by_piece_and_is_logged_at_its_end(lines: Lines) -> None:
    proceed = asyncio.Event()

    async def stream(_: Request) -> Response:
        async def pieces() -> AsyncIterator[str]:
            yield "one"
            await proceed.wait()
            yield "two"

        return StreamingResponse(pieces())

    async with serving(application(Route("/stream", stream))) as address:
        url = f"http://{address}/stream"
        async with httpx.AsyncClient() as client, client.stream("GET", url) as response:
            received = response.aiter_text()
            assert await anext(received) == "one"
            assert lines.of("request") == []
            proceed.set()
            assert await anext(received) == "two"
        assert (await lines.one("request"))["status"] == 200


async def test_the_application_still_learns_that_the_client_went_away(lines: Lines) -> None:
    noticed = asyncio.Event()

    async def wait(request: Request) -> Response:
        while not await request.is_disconnected():
            await asyncio.sleep(0.01)
        noticed.set()
        return PlainTextResponse("too late")

    async with serving(application(Route("/wait", wait))) as address:
        async with httpx.AsyncClient() as client:
            call = asyncio.create_task(client.get(f"http://{address}/wait"))
            await asyncio.sleep(0.1)
            call.cancel()
        async with asyncio.timeout(5):
            await noticed.wait()


async def test_a_websocket_has_an_identity_and_one_line_when_it_closes(lines: Lines) -> None:
    async def chat(socket: WebSocket) -> None:
        await socket.accept()
        log.info("working")
        await socket.send_text("hello")
        await socket.close(4401)

    async with serving(application(WebSocketRoute("/ws", chat))) as address:
        async with websockets.connect(f"ws://{address}/ws?token=hunter2") as client:
            assert client.response is not None
            request_id = client.response.headers["x-request-id"]
            assert await client.recv() == "hello"
        line = await lines.one("request")
    assert (line["method"], line["path"]) == ("WEBSOCKET", "/ws")
    assert (line["status"], line["close_code"]) == (101, 4401)
    assert line["request_id"] == request_id == (await lines.one("working"))["request_id"]
    assert "hunter2" not in lines.getvalue()


async def test_a_refused_websocket_is_logged_as_forbidden(lines: Lines) -> None:
    async def refuse(socket: WebSocket) -> None:
        await socket.close()

    async with serving(application(WebSocketRoute("/ws", refuse))) as address:
        with pytest.raises(websockets.InvalidStatus):
            async with websockets.connect(f"ws://{address}/ws"):
                pass
        assert (await lines.one("request"))["status"] == 403


FAILING_START = """
import uvicorn
from starlette.applications import Starlette
from assistant.adapters.logging import configure_logging
from assistant.api.request_log import RequestLog
from assistant.settings import Settings

async def lifespan(app):
    raise RuntimeError("post" "gresql://app:hunter2@db")
    yield

configure_logging(Settings())
uvicorn.run(RequestLog(Starlette(lifespan=lifespan)), port=0, log_config=None)
"""


def test_a_start_that_fails_ends_the_process_and_is_logged_with_its_kind_and_place() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", FAILING_START],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 3
    assert done.stdout == ""
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    (failure,) = [line for line in lines if "exception" in line]
    assert failure["event"] == "start_or_shutdown_failed"
    assert "in lifespan" in failure["exception"]
    assert failure["exception"].endswith("RuntimeError")
    assert "hunter2" not in done.stderr
    assert lines[-1]["event"] == "Application startup failed. Exiting."
