"""Starting, stopping, and starting again after the worst."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
import sys
import time
from pathlib import Path

import pytest

from assistant.adapters.postgres.embedded import EmbeddedPostgres
from assistant.settings import Settings
from tests.api.test_main_job import COMPLETE, TEXT, as_user, complete, usage
from tests.postgres.server import connect
from tests.providers.fake_ollama import FakeOllama
from tests.running_service import free_port, running_service

ROOT = Path(__file__).parents[2]
MAIN_JOB = {"promptName": "summarize-text", "variables": {"text": TEXT}}


async def refused_start(folder: Path, *, program: Path = ROOT, **settings: str) -> str:
    """What a service that cannot start says; it must be one line, and the exit code 1."""
    given = {
        "ASSISTANT_PORT": str(free_port()),
        "ASSISTANT_DATA_DIR": str(folder / "data"),
        "ASSISTANT_AUTH_MODE": "dev",
    } | {f"ASSISTANT_{name.upper()}": value for name, value in settings.items()}
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("ASSISTANT_")}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "assistant", "serve", cwd=program,
        env=inherited | given, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        async with asyncio.timeout(30):
            _, output = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
    said = [line for line in output.decode().splitlines() if line.startswith("assistant:")]
    assert process.returncode == 1, output.decode()
    assert "Traceback" not in output.decode()
    (line,) = said
    return line


async def test_a_port_in_use_is_said_in_one_line(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        line = await refused_start(tmp_path, port=str(other.getsockname()[1]))
    assert "ASSISTANT_PORT" in line


async def test_an_address_of_another_machine_is_said_in_one_line(tmp_path: Path) -> None:
    line = await refused_start(tmp_path, host="192.0.2.1", auth_mode="strict")
    assert "ASSISTANT_HOST" in line
    assert "ASSISTANT_PORT" not in line


async def test_an_unknown_variable_stops_the_start(tmp_path: Path) -> None:
    line = await refused_start(tmp_path, prot="8090")
    assert "ASSISTANT_PROT" in line
    assert "ASSISTANT_PORT" in line


async def test_a_wrong_value_is_named_but_not_repeated(tmp_path: Path) -> None:
    line = await refused_start(tmp_path, port="hunter2")
    assert "ASSISTANT_PORT" in line
    assert "hunter2" not in line


@pytest.mark.parametrize("url", ["notaurl", "ftp://host/x", "http://"])
async def test_an_address_that_is_none_is_named(tmp_path: Path, url: str) -> None:
    line = await refused_start(tmp_path, ollama_url=url)
    assert "ASSISTANT_OLLAMA_URL" in line


async def test_dev_mode_refuses_every_address_but_loopback(tmp_path: Path) -> None:
    line = await refused_start(tmp_path, host="0.0.0.0")
    assert "ASSISTANT_AUTH_MODE" in line


async def test_a_database_that_is_down_is_said_in_one_line(tmp_path: Path) -> None:
    url = f"postgresql://me:secret@127.0.0.1:{free_port()}/assistant"
    line = await refused_start(tmp_path, database_url=url)
    assert "database" in line
    assert "start it, or correct its URL" in line
    assert "secret" not in line


async def test_a_data_folder_that_is_a_file_is_said_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("not a folder")
    line = await refused_start(tmp_path)
    assert "data" in line


async def test_a_seed_file_that_is_wrong_is_said_in_one_line(tmp_path: Path) -> None:
    for part in ("assistant", "migrations", "seeds"):
        shutil.copytree(ROOT / part, tmp_path / "program" / part)
    (tmp_path / "program" / "seeds" / "prompts" / "mine.yaml").write_text("name: [mine\ntask: x")
    line = await refused_start(tmp_path, program=tmp_path / "program")
    assert "mine.yaml" in line


async def test_a_key_that_cannot_be_used_is_said_in_one_line(tmp_path: Path) -> None:
    line = await refused_start(tmp_path, jwt_key="short")
    assert "ASSISTANT_JWT_KEY" in line


@pytest.mark.parametrize("name", ["with spaces and ünïcödé", "long/" + "/".join(["x" * 60] * 4)])
async def test_a_data_folder_may_have_spaces_or_a_very_long_path(tmp_path: Path, name: str) -> None:
    async with running_service(tmp_path, data_dir=str(tmp_path / name)) as service:
        assert (await complete(service, **MAIN_JOB))["status"] == "SUCCEEDED"


@pytest.mark.parametrize("damage", ["missing", "cut off"])
async def test_without_the_embedding_model_only_what_needs_it_is_refused(
    tmp_path: Path, damage: str
) -> None:
    folder = tmp_path / "embedding"
    folder.mkdir()
    if damage == "cut off":
        shutil.copy(Settings().embedding_dir / "tokenizer.json", folder)
        model = (Settings().embedding_dir / "model.onnx").read_bytes()
        (folder / "model.onnx").write_bytes(model[:1_000_000])
    async with (
        FakeOllama() as ollama,
        running_service(
            tmp_path, probe="/health", embedding_dir=str(folder), ollama_url=ollama.url
        ) as service,
    ):
        status, report = await service.get("/health/ready")
        assert (status, "make setup" in report) == (503, True)
        assert (await complete(service, **MAIN_JOB))["model"]["id"] == "ollama/llama3.2:3b"

        request = MAIN_JOB | {"model": "builtin/extractive"}
        (error,) = (await service.graphql(COMPLETE, {"input": request}))["errors"]
        assert error["extensions"]["code"] == "PROVIDER_UNAVAILABLE"
        assert "make setup" in error["message"]


async def test_the_second_start_takes_seconds_and_finds_what_the_first_left(tmp_path: Path) -> None:
    alice = as_user("alice")
    async with running_service(tmp_path) as service:
        await complete(service, alice, **MAIN_JOB)

    started = time.monotonic()
    async with running_service(tmp_path) as service:
        assert time.monotonic() - started < 10
        assert (await usage(service, alice))["requests"] == 1


async def test_what_an_administrator_changed_outlives_a_restart(tmp_path: Path) -> None:
    """Every start seeds; none takes a change back, or brings back what was taken away."""
    query = '{ modelGroups { name models } promptByName(name: "generate-title") { isArchived } }'
    async with running_service(tmp_path) as service:
        before = (await service.graphql(query))["data"]
        assert before["promptByName"] == {"isArchived": False}

        server = EmbeddedPostgres(tmp_path / "data" / "postgres")
        owner = await server.start()
        async with await connect(owner) as connection:
            await connection.execute("SELECT set_config('assistant.tenant_id', 'platform', false)")
            await connection.execute(
                "UPDATE model_groups SET models = '{ollama/mine}' WHERE name = 'fast'"
            )
            await connection.execute("DELETE FROM model_groups WHERE name = 'quality'")
            await connection.execute(
                "UPDATE prompts SET is_archived = true WHERE name = 'generate-title'"
            )
        await server.stop()
        changed = {
            "modelGroups": [{"name": "fast", "models": ["ollama/mine"]}],
            "promptByName": {"isArchived": True},
        }
        # A running service hears of it. The promise is one second.
        async with asyncio.timeout(3):
            while (await service.graphql(query))["data"] != changed:
                await asyncio.sleep(0.05)

    async with running_service(tmp_path) as service:
        assert (await service.graphql(query))["data"] == changed


async def test_a_killed_service_starts_again_and_has_lost_nothing(tmp_path: Path) -> None:
    alice = as_user("alice")
    async with running_service(tmp_path) as service:
        answered = [await complete(service, alice, **MAIN_JOB) for _ in range(3)]
        assert await service.stop(signal.SIGKILL) == -signal.SIGKILL

    async with running_service(tmp_path) as service:
        found = await usage(service, alice)
        assert found["requests"] == 3
        assert int(found["totalTokens"]) == sum(one["usage"]["totalTokens"] for one in answered)


async def test_two_services_share_one_data_folder(tmp_path: Path) -> None:
    alice = as_user("alice")
    async with running_service(tmp_path) as one, running_service(tmp_path) as two:
        await complete(one, alice, **MAIN_JOB)
        assert (await usage(two, alice))["requests"] == 1
        await one.stop()
        await complete(two, alice, **MAIN_JOB)
        assert (await usage(two, alice))["requests"] == 2
