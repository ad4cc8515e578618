"""Processes of the service that start in a fraction of a second, to be killed in numbers.

Everything is imported once, by a process of its own that is asked on its standard input: a line of
JSON, ``{"environment": {...}, "log": "..."}``, makes it fork one that serves, and answer with its
process id.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from tests.running_service import NO_OLLAMA, free_port, heed_signals


@dataclass
class Born:
    """A process that serves, or is about to."""

    pid: int
    url: str
    log: Path

    def kill(self) -> None:
        """SIGKILL."""
        with suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)

    @property
    def is_there(self) -> bool:
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return False
        return True

    async def is_ready(self, session: aiohttp.ClientSession) -> bool:
        with suppress(aiohttp.ClientError, TimeoutError):
            timeout = aiohttp.ClientTimeout(total=2)
            async with session.get(f"{self.url}/health/ready", timeout=timeout) as response:
                return response.status == 200
        return False


class Nursery:
    """Bears processes of the service on one database."""

    def __init__(self, process: asyncio.subprocess.Process, folder: Path, settings: dict[str, str]):
        self._process = process
        self._folder = folder
        self._settings = settings
        self._born: list[Born] = []
        self._asking = asyncio.Lock()

    async def bear(self) -> Born:
        """A new process on a port of its own; not ready yet."""
        port = free_port()
        settings = self._settings | {"port": str(port), "data_dir": str(self._folder / str(port))}
        log = self._folder / f"service-{port}.log"
        told = {
            "environment": {f"ASSISTANT_{name.upper()}": v for name, v in settings.items()},
            "log": str(log),
        }
        assert self._process.stdin is not None and self._process.stdout is not None
        async with self._asking:
            self._process.stdin.write(json.dumps(told).encode() + b"\n")
            pid = int(await self._process.stdout.readline())
        born = Born(pid, f"http://127.0.0.1:{port}", log)
        self._born.append(born)
        return born

    async def close(self) -> None:
        for born in self._born:
            born.kill()
        assert self._process.stdin is not None
        self._process.stdin.close()
        await self._process.wait()


@asynccontextmanager
async def nursery(folder: Path, database_url: str, **settings: str) -> AsyncIterator[Nursery]:
    """A nursery; all that it has borne is gone when the block ends."""
    folder.mkdir(parents=True, exist_ok=True)
    given = {
        "host": "127.0.0.1",
        "auth_mode": "dev",
        "ollama_url": NO_OLLAMA,
        "cache_enabled": "false",
        "stream_grace_s": "0",
        "log_format": "json",
        "log_level": "warning",
        "database_url": database_url,
    } | settings
    environment = {k: v for k, v in os.environ.items() if not k.startswith("ASSISTANT_")}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.nursery"),
        env=environment,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        preexec_fn=heed_signals,
    )
    found = Nursery(process, folder, given)
    try:
        yield found
    finally:
        await found.close()


def main() -> None:
    # Imported for those who are borne: all that serving needs.
    import assistant.__main__
    import assistant.adapters.postgres.migrate

    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    for line in sys.stdin:
        told = json.loads(line)
        pid = os.fork()
        if pid:
            print(pid, flush=True)
            continue
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.environ.update(told["environment"])
        log = os.open(told["log"], os.O_CREAT | os.O_APPEND | os.O_WRONLY)
        nothing = os.open(os.devnull, os.O_RDONLY)
        for source, target in ((nothing, 0), (log, 1), (log, 2)):
            os.dup2(source, target)
        sys.argv = ["assistant", "serve"]
        assistant.__main__.main()
        os._exit(0)


if __name__ == "__main__":
    main()
