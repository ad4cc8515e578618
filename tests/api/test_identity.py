"""Who may do what, over the whole service in strict mode."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import jwt
import pytest
import pytest_asyncio

from tests.api.test_main_job import COMPLETE, TEXT
from tests.running_service import RunningService, running_service

pytestmark = pytest.mark.asyncio(loop_scope="session")

JWT_KEY = "a-secret-of-at-least-thirty-two-bytes!"
SECRETS = ("gateway-secret-number-one", "gateway-secret-number-two")
ASK = {"input": {"promptName": "generate-title", "variables": {"text": TEXT}}}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def strict(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RunningService]:
    async with running_service(
        tmp_path_factory.mktemp("strict"),
        auth_mode="strict",
        gateway_secrets=",".join(SECRETS),
        jwt_key=JWT_KEY,
        jwt_issuer="https://issuer.example",
        jwt_audience="assistant",
    ) as service:
        yield service


def token(**claims: Any) -> dict[str, str]:
    given = {
        "iss": "https://issuer.example",
        "aud": "assistant",
        "exp": int(time.time()) + 300,
        "sub": "alice",
        "tenant_id": "acme",
        "scope": "assistant:complete",
    } | claims
    return {"authorization": f"Bearer {jwt.encode(given, JWT_KEY, 'HS256')}"}


def vouched(secret: str = SECRETS[0], **headers: str) -> dict[str, str]:
    given = {
        "x-gateway-secret": secret,
        "x-tenant-id": "acme",
        "x-user-id": "alice",
        "x-scopes": "assistant:complete",
    }
    return given | {name.replace("_", "-"): value for name, value in headers.items()}


async def ask(service: RunningService, headers: dict[str, str]) -> str:
    """The answer's text, or the code of the refusal."""
    answer = await service.graphql(COMPLETE, ASK, headers)
    if "errors" in answer:
        code: str = answer["errors"][0]["extensions"]["code"]
        return code
    return "answered" if answer["data"]["generateCompletion"]["text"] else "empty"


async def cli(service: RunningService, *arguments: str) -> tuple[int, str, str]:
    """Run the command line beside the service, on the same data folder."""
    folder: Path = service.log.parent / "data"
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "assistant", *arguments,
        env=os.environ | {"ASSISTANT_DATA_DIR": str(folder)},
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    output, errors = await process.communicate()
    assert process.returncode is not None
    return process.returncode, output.decode(), errors.decode()


async def test_nobody_is_unauthenticated(strict: RunningService) -> None:
    assert await ask(strict, {}) == "UNAUTHENTICATED"


async def test_identity_headers_count_for_nothing_without_the_secret(
    strict: RunningService,
) -> None:
    headers = vouched()
    del headers["x-gateway-secret"]
    assert await ask(strict, headers) == "UNAUTHENTICATED"


@pytest.mark.parametrize("secret", SECRETS)
async def test_either_live_secret_vouches(strict: RunningService, secret: str) -> None:
    assert await ask(strict, vouched(secret)) == "answered"


async def test_a_wrong_secret_is_refused(strict: RunningService) -> None:
    assert await ask(strict, vouched("wrong")) == "UNAUTHENTICATED"


async def test_a_vouched_caller_has_only_the_scopes_that_were_sent(strict: RunningService) -> None:
    assert await ask(strict, vouched(x_scopes="assistant:usage:read")) == "FORBIDDEN"


@pytest.mark.parametrize(
    ("claims", "outcome"),
    [
        ({}, "answered"),
        ({"exp": 1}, "UNAUTHENTICATED"),
        ({"iss": "https://elsewhere.example"}, "UNAUTHENTICATED"),
        ({"aud": "billing"}, "UNAUTHENTICATED"),
        ({"tenant_id": None}, "UNAUTHENTICATED"),
        ({"scope": ""}, "FORBIDDEN"),
        ({"tenant_id": "platform"}, "FORBIDDEN"),
    ],
)
async def test_a_token_is_checked_in_every_claim(
    strict: RunningService, claims: dict[str, Any], outcome: str
) -> None:
    assert await ask(strict, token(**claims)) == outcome


async def test_a_malformed_token_is_refused_without_repeating_it(strict: RunningService) -> None:
    answer = await strict.graphql(COMPLETE, ASK, {"authorization": "Bearer not.a.token"})
    assert answer["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"
    assert "not.a.token" not in answer["errors"][0]["message"]


async def test_an_api_key_is_made_used_listed_and_revoked_by_the_command_line(
    strict: RunningService,
) -> None:
    code, secret, note = await cli(
        strict, "keys", "create", "--tenant", "acme", "--name", "nightly", "--service", "reports"
    )
    assert code == 0, note
    headers = {"authorization": f"Bearer {secret.strip()}"}
    assert await ask(strict, headers) == "answered"
    assert await ask(strict, {"x-api-key": secret.strip()}) == "answered"

    _, listed, _ = await cli(strict, "keys", "list", "--tenant", "acme")
    assert "nightly" in listed
    assert secret.strip() not in listed

    id_ = listed.split()[0]
    assert (await cli(strict, "keys", "revoke", "--tenant", "acme", id_))[0] == 0
    async with asyncio.timeout(10):
        while await ask(strict, headers) != "UNAUTHENTICATED":
            await asyncio.sleep(0.2)


async def test_a_key_with_an_unknown_scope_is_not_made(strict: RunningService) -> None:
    code, _, said = await cli(
        strict,
        "keys",
        "create",
        "--tenant",
        "acme",
        "--name",
        "x",
        "--user",
        "u",
        "--scopes",
        "root",
    )
    assert code == 1
    assert "root" in said
    assert "Traceback" not in said


async def test_the_sdl_and_introspection_are_for_callers_only(strict: RunningService) -> None:
    for query in ("{ _service { sdl } }", "{ __schema { queryType { name } } }"):
        refused = await strict.graphql(query)
        assert refused["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"
        assert (await strict.graphql(query, headers=vouched()))["data"]


async def test_refusals_are_counted(strict: RunningService) -> None:
    await ask(strict, {})
    _, metrics = await strict.get("/metrics")
    assert "UNAUTHENTICATED" in metrics


async def test_a_websocket_is_identified_by_its_first_message(strict: RunningService) -> None:
    async def close_code(payload: dict[str, str]) -> int | None:
        async with strict.session.ws_connect(
            f"{strict.url}/graphql", protocols=["graphql-transport-ws"]
        ) as socket:
            await socket.send_json({"type": "connection_init", "payload": payload})
            message = await socket.receive()
            return None if message.type is aiohttp.WSMsgType.TEXT else socket.close_code

    assert await close_code(token()) is None
    assert await close_code(vouched()) is None
    assert await close_code({}) == 4403
