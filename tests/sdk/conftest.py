"""The TypeScript SDK, built, and a service with a model that counts how often it is asked."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tests.federation.conftest import chromium as chromium
from tests.node_packages import node_with_packages
from tests.providers.fake_ollama import FakeOllama
from tests.running_service import RunningService, free_port, running_service

ROOT = Path(__file__).parents[2]
SDK = ROOT / "sdk" / "typescript"
HERE = Path(__file__).parent

_TIMEOUT_S = 120.0


async def run(*command: str, folder: Path = SDK) -> str:
    """What a program wrote. Raises AssertionError with its complaint if it failed."""
    process = await asyncio.create_subprocess_exec(
        *command,
        cwd=folder,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(_TIMEOUT_S):
            output, complaint = await process.communicate()
    except TimeoutError:
        process.kill()
        await process.communicate()
        raise AssertionError(f"{command!r} took longer than {_TIMEOUT_S} s") from None
    assert process.returncode == 0, f"{command!r}:\n{output.decode()}{complaint.decode()}"
    return output.decode()


@dataclass(frozen=True, slots=True)
class Sdk:
    """The built SDK. ``node`` runs it, ``tsc`` checks what uses it."""

    node: Sequence[str]
    tsc: str

    async def perform(
        self, url: str, *tasks: Mapping[str, Any], **options: Any
    ) -> list[dict[str, Any]]:
        """What became of ``tasks``, done one after another by one client (client.mjs)."""
        given = {"url": url, "retry": {"baseDelayMs": 5}} | options
        told = json.dumps({"options": given, "tasks": tasks})
        reports: list[dict[str, Any]] = json.loads(
            await run(*self.node, "client.mjs", told, folder=HERE)
        )
        return reports


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def sdk() -> Sdk:
    node = node_with_packages(SDK)
    tsc = str(SDK / "node_modules" / ".bin" / "tsc")
    await run(tsc, "-p", "tsconfig.json")
    # Node 20 has a WebSocket only when it is asked for.
    has_socket = await run(node, "-p", "typeof WebSocket !== 'undefined'") == "true\n"
    flags = () if has_socket else ("--experimental-websocket", "--no-warnings")
    return Sdk((node, *flags), tsc)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def ollama() -> AsyncIterator[FakeOllama]:
    async with FakeOllama() as fake:
        yield fake


@dataclass(frozen=True, slots=True)
class Page:
    """Where the example page is going to be, for the service to let it in."""

    port: int

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@pytest.fixture(scope="session")
def page() -> Page:
    return Page(free_port())


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def service(
    ollama: FakeOllama, page: Page, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[RunningService]:
    async with running_service(
        tmp_path_factory.mktemp("service"),
        ollama_url=ollama.url,
        allowed_origins=page.origin,
        stream_grace_s="30",
    ) as running:
        yield running
