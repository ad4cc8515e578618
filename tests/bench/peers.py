"""Other gateways, as their own documentation runs them: one worker, no database, no cache.

They are installed when they are first measured, the newest that there is, into ``PEERS``; nothing
that this project locks or ships knows of them. Where one cannot be had, it is left out.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from tests.bench.programs import Program, reachable, started_on
from tests.running_service import free_port

PEERS = Path(sys.prefix) / "peers"
PEER_MODEL = "m"
"""What LiteLLM calls the one model that it has."""

_INSTALL_TIMEOUT_S = 600.0
_START_TIMEOUT_S = 90.0
_PORTKEY_SERVER = "node_modules/@portkey-ai/gateway/build/start-server.js"
_PORTKEY_PACKAGES: dict[str, Any] = {
    "private": True,
    # Newer ones of the server below it answer every stream with a 500.
    "dependencies": {"@portkey-ai/gateway": "*", "@hono/node-server": "~1.13.0"},
    "overrides": {"@hono/node-server": "$@hono/node-server"},
}


def litellm_executable() -> Path | None:
    """Where LiteLLM is, installed now if need be; None, having said why, where it cannot be."""
    home = PEERS / "litellm"
    executable = home / "bin" / "litellm"
    if not executable.exists() and not (
        _done("LiteLLM", [sys.executable, "-m", "venv", home])
        and _done("LiteLLM", [home / "bin" / "pip", "install", "--quiet", "litellm[proxy]"])
    ):
        return None
    return executable


def portkey_server() -> Path | None:
    """Where Portkey's server is, as with ``litellm_executable``."""
    home = PEERS / "portkey"
    server = home / _PORTKEY_SERVER
    if not server.exists():
        home.mkdir(parents=True, exist_ok=True)
        (home / "package.json").write_text(json.dumps(_PORTKEY_PACKAGES))
        npm = ["npm", "install", "--no-audit", "--no-fund", "--loglevel=error", "--prefix", home]
        if not _done("Portkey", npm):
            return None
    return server


def _done(who: str, command: Sequence[str | Path]) -> bool:
    try:
        subprocess.run(
            command, check=True, capture_output=True, text=True, timeout=_INSTALL_TIMEOUT_S
        )
    except (OSError, subprocess.SubprocessError) as error:
        said = str(getattr(error, "stderr", "") or error).strip().splitlines()
        print(f"{who} is not measured, because it cannot be installed: {said[-1]}")
        return False
    return True


@asynccontextmanager
async def litellm(
    executable: Path, upstream: str, cores: set[int] | None, folder: Path, **settings: object
) -> AsyncIterator[Program]:
    """In front of the OpenAI at ``upstream``, which PEER_MODEL leads to.

    Source: https://docs.litellm.ai/docs/proxy/configs; ``settings`` are its ``litellm_settings``.
    """
    model = {"model": "openai/gpt-4o-mini", "api_base": upstream, "api_key": "none"}
    config = folder / "litellm.json"  # JSON is YAML
    config.write_text(
        json.dumps(
            {
                "model_list": [{"model_name": PEER_MODEL, "litellm_params": model}],
                "litellm_settings": settings,
            }
        )
    )
    port = free_port()
    command = [
        executable, "--config", config, "--port", str(port), "--host", "127.0.0.1",
        "--num_workers", "1",
    ]  # fmt: skip
    # It insists on a key otherwise, and would check it with every request.
    environment = {"LITELLM_DANGEROUSLY_PERMIT_WEAK_OR_UNSET_MASTER_KEY": "true"}
    async with _running("LiteLLM", command, port, cores, folder, environment) as program:
        yield program


@asynccontextmanager
async def portkey(server: Path, cores: set[int] | None, folder: Path) -> AsyncIterator[Program]:
    """Requests say by their headers (``portkey_headers``) what it leads to.

    Source: https://github.com/Portkey-AI/gateway/blob/main/docs/installation-deployments.md
    """
    port = free_port()
    command = ["node", server, f"--port={port}", "--headless"]
    async with _running("Portkey", command, port, cores, folder, {}) as program:
        yield program


def portkey_headers(upstream: str) -> dict[str, str]:
    return {
        "x-portkey-provider": "openai",
        "x-portkey-custom-host": upstream,
        "authorization": "Bearer none",
    }


@asynccontextmanager
async def _running(
    name: str,
    command: Sequence[str | Path],
    port: int,
    cores: set[int] | None,
    folder: Path,
    environment: dict[str, str],
) -> AsyncIterator[Program]:
    with (folder / f"{name}.log").open("wb") as log:
        with started_on(cores):
            running = await asyncio.create_subprocess_exec(
                *command, stdout=log, stderr=log, env=os.environ | environment
            )
        try:
            url = f"http://127.0.0.1:{port}"
            await reachable(url, _START_TIMEOUT_S)
            yield Program(name, running.pid, url)
        finally:
            with suppress(ProcessLookupError):
                running.terminate()
            await running.wait()
