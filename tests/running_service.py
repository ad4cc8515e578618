"""The service as a real process on a real port, for tests that must see it whole."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

START_TIMEOUT_S = 60.0
NO_OLLAMA = "http://127.0.0.1:9"
"""The discard port: nothing listens there, so a call is refused at once."""


def free_port() -> int:
    """A port that was free a moment ago."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


def heed_signals() -> None:
    """Let a process that is about to start end by signals, also where pytest runs under nohup."""
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)


@dataclass
class RunningService:
    """A started service. ``log`` is the file that its output goes to."""

    url: str
    process: asyncio.subprocess.Process
    log: Path
    session: aiohttp.ClientSession

    async def graphql(
        self,
        query: str,
        variables: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> dict[str, Any]:
        """POST an operation and return the response's body, whatever its status."""
        body = {"query": query, "variables": variables or {}}
        async with self.session.post(
            f"{self.url}/graphql", json=body, headers=headers or {}
        ) as response:
            answer: dict[str, Any] = await response.json(content_type=None)
            return answer

    async def subscribe(
        self,
        query: str,
        variables: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> AsyncIterator[dict[str, Any]]:
        """POST a subscription and yield the results of its SSE stream; close it to disconnect."""
        body = {"query": query, "variables": variables or {}}
        accept = {"accept": "text/event-stream"} | dict(headers or {})
        async with self.session.post(f"{self.url}/graphql", json=body, headers=accept) as response:
            assert response.status == 200, await response.text()
            event = ""
            async for raw in response.content:
                line = raw.decode().rstrip("\n")
                if line.startswith("event:"):
                    event = line.removeprefix("event:").strip()
                elif line.startswith("data:") and event == "next":
                    yield json.loads(line.removeprefix("data:"))
                elif event == "complete" and not line:
                    return

    async def get(self, path: str) -> tuple[int, str]:
        async with self.session.get(f"{self.url}{path}") as response:
            return response.status, await response.text()

    async def stop(self, sent: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal and wait for the end; the exit code."""
        if self.process.returncode is None:
            self.process.send_signal(sent)
        async with asyncio.timeout(60):
            return await self.process.wait()


@asynccontextmanager
async def running_service(
    folder: Path, *, port: int | None = None, probe: str = "/health/ready", **settings: str
) -> AsyncIterator[RunningService]:
    """A service with its data in ``folder``; ``settings`` are ASSISTANT_* without the prefix.

    Dev identity, no Ollama, no cache and no grace for streams unless told otherwise: who asks the
    same twice wants the model to be asked twice, and who leaves wants it to stop, but for tests of
    the cache and of streams that are resumed. Ready when the block begins (``probe``
    answers 200), stopped when it ends.
    """
    port = port or free_port()
    given = {
        "host": "127.0.0.1",
        "port": str(port),
        "data_dir": str(folder / "data"),
        "auth_mode": "dev",
        "ollama_url": NO_OLLAMA,
        "cache_enabled": "false",
        "stream_grace_s": "0",
        "shutdown_grace_s": "5",
        "log_format": "json",
    } | settings
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("ASSISTANT_")},
        **{f"ASSISTANT_{name.upper()}": value for name, value in given.items()},
    }
    log = folder / f"service-{port}.log"
    folder.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "assistant", "serve",
            env=environment, stdin=asyncio.subprocess.DEVNULL, stdout=output, stderr=output,
            preexec_fn=heed_signals,
        )  # fmt: skip
    # Shorter than the service keeps an idle connection: no request meets one that is closing.
    connector = aiohttp.TCPConnector(keepalive_timeout=2)
    async with aiohttp.ClientSession(connector=connector) as session:
        service = RunningService(f"http://127.0.0.1:{port}", process, log, session)
        try:
            await _ready(service, probe)
            yield service
        finally:
            await service.stop()


async def _ready(service: RunningService, probe: str) -> None:
    async with asyncio.timeout(START_TIMEOUT_S):
        while True:
            if service.process.returncode is not None:
                raise AssertionError(f"the service ended:\n{service.log.read_text()[-4000:]}")
            try:
                status, _ = await service.get(probe)
                if status == 200:
                    return
            except aiohttp.ClientError:
                pass
            await asyncio.sleep(0.05)
