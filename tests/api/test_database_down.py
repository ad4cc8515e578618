"""The database goes away while the service runs, and comes back."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from assistant.adapters.postgres.embedded import EmbeddedPostgres
from tests.api.test_main_job import COMPLETE, STREAM, TEXT, as_user, complete, usage
from tests.providers.fake_ollama import FakeOllama, Reply
from tests.running_service import running_service

ALICE = as_user("alice")
SUMMARIZE: dict[str, Any] = {"promptName": "summarize-text", "variables": {"text": TEXT}}


async def test_without_its_database_the_service_refuses_typed_stays_up_and_recovers(
    tmp_path: Path,
) -> None:
    server = EmbeddedPostgres(tmp_path / "server")
    url = await server.start()
    async with running_service(tmp_path, database_url=url) as service:
        await complete(service, ALICE, **SUMMARIZE)

        await server.stop()
        answer = await service.graphql(COMPLETE, {"input": SUMMARIZE}, ALICE)
        status, report = await service.get("/health/ready")

        (error,) = answer["errors"]
        assert error["extensions"]["code"] == "INTERNAL_SERVER_ERROR"
        assert error["extensions"]["isRetryable"]
        assert "database" in error["message"]
        assert status == 503
        assert "database" in report
        assert (await service.get("/health"))[0] == 200

        await server.start()
        async with asyncio.timeout(15):
            while (await service.get("/health/ready"))[0] != 200:
                await asyncio.sleep(0.1)
        await complete(service, ALICE, **SUMMARIZE)
        assert (await usage(service, ALICE))["requests"] == 2
    await server.stop()

    said = service.log.read_text()
    assert "usage_not_recorded" in said
    assert "Traceback" not in said


async def test_an_answer_whose_usage_cannot_be_written_is_not_called_finished(
    tmp_path: Path,
) -> None:
    server = EmbeddedPostgres(tmp_path / "server")
    url = await server.start()
    async with (
        FakeOllama() as ollama,
        running_service(tmp_path, database_url=url, ollama_url=ollama.url) as service,
    ):
        ollama.enqueue(Reply(tokens=("a", "b", "c"), token_delay_s=0.5))
        events: list[dict[str, Any]] = []
        async for result in service.subscribe(STREAM, {"input": {"text": "Go."}}, ALICE):
            events.append(result["data"]["completionStream"])
            if len(events) == 2:
                await server.stop()

        assert events[-1]["__typename"] == "CompletionFailed"
        assert events[-1]["code"] == "INTERNAL_SERVER_ERROR"
        assert events[-1]["isRetryable"]
    await server.stop()
