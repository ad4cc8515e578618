"""The example page in a real browser, its network cut before one's eyes."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from tests.cutting_proxy import CuttingProxy, cutting_proxy
from tests.node_packages import node_with_packages
from tests.providers.fake_ollama import FakeOllama, Reply
from tests.running_service import RunningService
from tests.sdk.conftest import HERE, ROOT, Page, Sdk

pytestmark = pytest.mark.asyncio(loop_scope="session")

TALE = (
    "The keeper of the Varde light wrote a letter to every ship that passed. None of them ever "
    "stopped, but each captain slowed down to read it, and flashed a lamp in answer."
)
STORY = tuple(f"{word} " for word in TALE.split() * 6)
_VISIT_TIMEOUT_S = 120.0


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def address(sdk: Sdk, page: Page) -> AsyncIterator[str]:
    """The page, served as its README says."""
    server = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "http.server", str(page.port)),
        *("--bind", "127.0.0.1", "--directory", str(ROOT / "examples")),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    address = f"{page.origin}/stream.html"
    try:
        async with aiohttp.ClientSession() as session, asyncio.timeout(20):
            while True:
                try:
                    async with session.get(address) as response:
                        assert response.status == 200
                        break
                except aiohttp.ClientConnectionError:
                    await asyncio.sleep(0.05)
        yield address
    finally:
        server.terminate()
        await server.wait()


@pytest.fixture(scope="module")
def node() -> str:
    """The Node that has what drives a browser."""
    return node_with_packages(ROOT / "tests" / "federation")


@pytest.mark.parametrize("transport", ["sse", "websocket"])
async def test_a_person_sees_the_stream_survive_and_cancels_another(
    node: str,
    chromium: str,
    address: str,
    service: RunningService,
    ollama: FakeOllama,
    transport: str,
    tmp_path: Path,
) -> None:
    ollama.reply = Reply(tokens=STORY, token_delay_s=0.04, completion_tokens=len(STORY))
    asked = len(ollama.chats)
    # Screenshots are left in the folder that TEST_ARTIFACTS names.
    screenshots = Path(os.environ.get("TEST_ARTIFACTS", tmp_path))
    async with cutting_proxy(service.url) as proxy:
        url = f"{address}?service={proxy.url}"
        report = await visit(proxy, node, "visit.mjs", url, chromium, str(screenshots), transport)

    finished, cancelled = report["finished"], report["cancelled"]
    assert finished["text"] == "".join(STORY)
    assert finished["sums"]["model"] == "ollama/llama3.2:3b"
    assert finished["sums"]["tokens"] == f"12 + {len(STORY)}"
    assert finished["sums"]["cache"] == "BYPASSED: not asked"
    assert int(finished["sums"]["connections"]) >= 3
    assert sum(line.startswith("Resumed after event") for line in finished["log"]) >= 2
    assert 0 < len(cancelled["text"]) < len("".join(STORY))
    assert "".join(STORY).startswith(cancelled["text"])
    await ollama.chats[-1].wait_closed(timeout_s=5)
    assert len(ollama.chats) == asked + 2
    assert report["refused"] == []
    assert report["problems"] == []


async def visit(proxy: CuttingProxy, *command: str) -> dict[str, Any]:
    """What a person saw; the network fails where the script says so."""
    process = await asyncio.create_subprocess_exec(
        *command,
        cwd=HERE,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None and process.stderr is not None
    report: dict[str, Any] = {}
    try:
        async with asyncio.timeout(_VISIT_TIMEOUT_S):
            async for line in process.stdout:
                report = json.loads(line)
                if report["step"] == "cut the network":
                    proxy.is_down = True
                    assert proxy.cut() >= 1
                elif report["step"] == "mend the network":
                    proxy.is_down = False
            complaint = (await process.stderr.read()).decode()
            assert await process.wait() == 0, complaint
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return report
