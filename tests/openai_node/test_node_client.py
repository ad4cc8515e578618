"""OpenAI's own package for Node, pointed at this service."""

from __future__ import annotations

import asyncio
import json
import uuid
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tests.api.test_main_job import as_user, usage
from tests.cutting_proxy import ANSWERS, cutting_proxy
from tests.node_packages import node_with_packages
from tests.providers.fake_openai import FakeOpenAi, Reply
from tests.providers.fake_server import words
from tests.running_service import RunningService, running_service

pytestmark = pytest.mark.asyncio(loop_scope="module")

HERE = Path(__file__).parent
WORDS = words(50)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def report(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the program reports, and what the service says of it."""
    node = node_with_packages(HERE)
    user = f"user-{uuid.uuid4().hex[:8]}"
    async with (
        FakeOpenAi(reply=Reply(tokens=WORDS, token_delay_s=0.01)) as provider,
        running_service(
            tmp_path_factory.mktemp("door"),
            openai_api_key="sk-x",
            openai_base_url=provider.url,
            stream_grace_s="30",
        ) as service,
        cutting_proxy(service.url, ANSWERS) as proxy,
    ):
        await _limit(service, user)
        proxy.plan.extend([0, None, 30])
        process = await asyncio.create_subprocess_exec(
            *(node, "client.mjs", f"{service.url}/v1", f"{proxy.url}/v1", user),
            cwd=HERE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        output, complaint = await process.communicate()
        assert process.returncode == 0, complaint.decode()
        found: dict[str, Any] = json.loads(output)
        await provider.chats[-1].wait_closed(timeout_s=5)  # by who left
        found["cut"] = proxy.cuts
        found["requests of who was cut"] = (await usage(service, as_user(f"{user}-cut")))[
            "requests"
        ]
        return found


async def _limit(service: RunningService, user: str) -> None:
    """One request, and then one every two seconds; and a budget that is too small for any."""
    mutation = """mutation ($limit: RateLimitInput!, $budget: BudgetInput!) {
        setRateLimit(input: $limit) { userErrors { message } }
        setBudget(input: $budget) { userErrors { message } } }"""
    limit = {"scope": "USER", "subject": f"{user}-hasty", "capacity": 1, "perMinute": 30}
    budget = {"scope": "USER", "subject": f"{user}-poor", "window": "DAY", "limit": "0.0000001"}
    given = {"limit": limit, "budget": budget}
    answer = await service.graphql(mutation, given, as_user("root"))
    assert all(payload["userErrors"] == [] for payload in answer["data"].values())


async def test_answers_are_what_the_package_expects(report: dict[str, Any]) -> None:
    found = report["answers"]
    assert found["whole"]["text"] == found["streamed"]["text"] == found["helped"] == "".join(WORDS)
    assert found["whole"]["usage"]["total_tokens"] == 16
    assert found["whole"]["assistant"]["cache"] == "BYPASSED"
    assert found["streamed"]["usage"] == found["whole"]["usage"]
    assert found["streamed"]["finish"] == "stop"
    assert found["prompted"]


async def test_embeddings_and_models_are_what_the_package_expects(report: dict[str, Any]) -> None:
    found = report["others"]
    assert len(found["differences"]) == 2 * 384
    assert max(found["differences"]) < 1e-6
    assert "builtin/extractive" in found["models"]
    assert found["one"] == "openai/gpt-4o-mini"


@pytest.mark.parametrize(
    ("name", "error", "status", "code"),
    [
        ("badRequest", "BadRequestError", 400, None),
        ("notFound", "NotFoundError", 404, "model_not_found"),
        ("unauthenticated", "AuthenticationError", 401, "invalid_api_key"),
        ("forbidden", "PermissionDeniedError", 403, "insufficient_permissions"),
        ("conflict", "ConflictError", 409, "idempotency_conflict"),
        ("budget", "RateLimitError", 429, "insufficient_quota"),
    ],
)
async def test_a_refusal_is_the_error_that_users_of_the_package_catch(
    report: dict[str, Any], name: str, error: str, status: int, code: str | None
) -> None:
    found = report["refusals"][name]
    assert (found["is"], found["status"], found["code"] or None) == (error, status, code)
    assert found["requestID"]


async def test_what_it_repeats_succeeds_and_is_paid_once(report: dict[str, Any]) -> None:
    found = report["retries"]
    assert found["limited"]["code"] == "rate_limit_exceeded"
    assert found["waited"] == found["repeated"] == found["again"] == "".join(WORDS)
    assert found["broken"]
    assert report["cut"] == 2
    assert report["requests of who was cut"] == 2
