"""Stopping lets running answers finish, for as long as was set."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sys
from pathlib import Path
from typing import Any

import aiohttp
import psutil
import pytest

from tests.api.test_main_job import COMPLETE, STREAM, as_user, usage
from tests.providers.fake_ollama import FakeOllama, Reply
from tests.running_service import RunningService, free_port, heed_signals, running_service

ALICE = as_user("alice")
ASK = {"input": {"text": "Go."}}


async def _over_sse(service: RunningService) -> list[dict[str, Any]]:
    return [
        result["data"]["completionStream"] async for result in service.subscribe(STREAM, ASK, ALICE)
    ]


async def _over_websocket(service: RunningService) -> list[dict[str, Any]]:
    events: list[dict[str, Any]] = []
    async with service.session.ws_connect(
        f"{service.url}/graphql", protocols=["graphql-transport-ws"]
    ) as socket:
        await socket.send_json({"type": "connection_init", "payload": ALICE})
        await socket.receive_json()
        payload = {"query": STREAM, "variables": ASK}
        await socket.send_json({"id": "1", "type": "subscribe", "payload": payload})
        async for message in socket:
            if message.type is not aiohttp.WSMsgType.TEXT:
                break
            body = message.json()
            if body["type"] == "complete":
                break
            events.append(body["payload"]["data"]["completionStream"])
    return events


@pytest.mark.parametrize("listen", [_over_sse, _over_websocket])
async def test_a_running_stream_is_finished_before_the_service_ends(
    tmp_path: Path, listen: Any
) -> None:
    async with (
        FakeOllama() as ollama,
        running_service(tmp_path, ollama_url=ollama.url, shutdown_grace_s="20") as service,
    ):
        ollama.enqueue(Reply(tokens=("word ",) * 20, token_delay_s=0.1))
        listening = asyncio.create_task(listen(service))
        await asyncio.sleep(0.7)
        stopping = asyncio.create_task(service.stop())

        events = await listening

        assert events[-1]["__typename"] == "CompletionFinished"
        assert events[-1]["response"]["text"] == "word " * 20
        assert await stopping == 0


async def test_an_answer_that_takes_longer_than_the_grace_is_cancelled_and_accounted(
    tmp_path: Path,
) -> None:
    async with FakeOllama() as ollama:
        settings = {"ollama_url": ollama.url, "shutdown_grace_s": "0.2"}
        async with running_service(tmp_path, **settings) as service:
            ollama.enqueue(Reply(tokens=("word ",) * 600, token_delay_s=0.1))
            asking = asyncio.create_task(service.graphql(COMPLETE, ASK, ALICE))
            await asyncio.sleep(0.7)
            assert await service.stop() == 0
            await asyncio.gather(asking, return_exceptions=True)

        async with running_service(tmp_path, **settings) as service:
            found = await usage(service, ALICE)
            assert found["requests"] == 1
            assert int(found["promptTokens"]) >= 0
            rows = await service.graphql(
                "{ myUsage(period: TODAY) { byModel { model requests } } }", headers=ALICE
            )
            assert rows["data"]["myUsage"]["byModel"] == [
                {"model": "ollama/llama3.2:3b", "requests": 1}
            ]


async def test_a_closed_terminal_ends_the_service_as_orderly_as_any_signal(tmp_path: Path) -> None:
    async with running_service(tmp_path) as service:
        assert await service.stop(signal.SIGHUP) == 0

    assert not (tmp_path / "data" / "postgres" / "postmaster.pid").exists()


async def test_a_data_folder_that_was_removed_does_not_keep_the_service_from_ending(
    tmp_path: Path,
) -> None:
    async with running_service(tmp_path) as service:
        shutil.rmtree(tmp_path / "data")
        assert await service.stop() == 0

    assert "Traceback" not in service.log.read_text()


@pytest.mark.parametrize(
    ("sent", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
async def test_a_service_that_is_stopped_while_it_starts_leaves_no_database_running(
    tmp_path: Path, sent: signal.Signals, code: int
) -> None:
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("ASSISTANT_")}
    settings = {
        "ASSISTANT_PORT": str(free_port()),
        "ASSISTANT_DATA_DIR": str(tmp_path / "data"),
        "ASSISTANT_AUTH_MODE": "dev",
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "assistant", "serve",
        env=inherited | settings, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE,
        preexec_fn=heed_signals,
    )  # fmt: skip
    async with asyncio.timeout(60):
        while not (tmp_path / "data" / "postgres.new").exists():
            await asyncio.sleep(0.005)
        process.send_signal(sent)
        _, said = await process.communicate()

    assert process.returncode == code
    assert "Traceback" not in said.decode()
    assert not [
        running.pid
        for running in psutil.process_iter(["cmdline"])
        if any(str(tmp_path) in word for word in running.info["cmdline"] or ())
    ]
