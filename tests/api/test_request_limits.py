"""Limits of requests over real replicas and real HTTP: exact, and told so that clients can wait."""

from __future__ import annotations

import asyncio
import itertools
import math
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from assistant.adapters.clock import SystemClock
from assistant.adapters.postgres.api_keys import PostgresApiKeys
from assistant.adapters.postgres.connection import Database
from assistant.services.api_keys import ApiKeys
from tests.api.test_embeddings import EMBED
from tests.api.test_main_job import STREAM
from tests.postgres.rate_limits import REQUEST, buckets, microseconds, set_limit
from tests.postgres.server import DatabaseUrls, connect, running_server
from tests.providers.fake_ollama import FakeOllama, Reply
from tests.running_service import RunningService, running_service

pytestmark = pytest.mark.asyncio(loop_scope="session")

SECRET = "a-secret-that-only-gateways-know"
COMPLETE = "mutation { generateCompletion(input: {text: %s}) { text } }"
SLOWLY = 1
"""A minute for each: nothing is refilled while a test runs."""
_tenants = itertools.count(1)


@dataclass(frozen=True)
class Answer:
    """What came over HTTP."""

    status: int
    headers: Mapping[str, str]
    body: dict[str, Any]

    @property
    def extensions(self) -> dict[str, Any]:
        (error,) = self.body["errors"]
        found: dict[str, Any] = error["extensions"]
        return found


@dataclass(frozen=True)
class Limited:
    """A replica, and the database in which it finds its limits."""

    service: RunningService
    urls: DatabaseUrls
    ollama: FakeOllama


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def limited(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Limited]:
    async with (
        FakeOllama() as ollama,
        running_server() as server,
        server.database() as urls,
        running_service(
            tmp_path_factory.mktemp("limited"),
            ollama_url=ollama.url,
            database_url=urls.owner,
            gateway_secrets=SECRET,
        ) as service,
    ):
        yield Limited(service, urls, ollama)


def somebody() -> dict[str, str]:
    """A user of a tenant that no other test is of."""
    return {"x-tenant-id": f"tenant-{next(_tenants)}", "x-user-id": "alice"}


async def post(service: RunningService, query: str, headers: Mapping[str, str]) -> Answer:
    async with service.session.post(
        f"{service.url}/graphql", json={"query": query}, headers=dict(headers)
    ) as response:
        return Answer(response.status, response.headers, await response.json(content_type=None))


async def ask(service: RunningService, headers: Mapping[str, str], text: str = "hello") -> Answer:
    return await post(service, COMPLETE % f'"{text}"', headers)


async def test_three_replicas_admit_exactly_what_the_bucket_allows(tmp_path: Path) -> None:
    """Each is asked 100 times a second, for 4 s; the limit is 50 a second, 25 of them at once."""
    capacity, per_minute = 25, 3_000
    headers = somebody()
    async with AsyncExitStack() as stack:
        ollama = await stack.enter_async_context(FakeOllama())
        server = await stack.enter_async_context(running_server())
        urls = await stack.enter_async_context(server.database())
        replicas = [
            await stack.enter_async_context(
                running_service(tmp_path / name, ollama_url=ollama.url, database_url=urls.owner)
            )
            for name in ("first", "second", "third")
        ]
        for replica in replicas:
            assert (await ask(replica, somebody())).status == 200
        limit = await set_limit(
            urls, "USER", capacity, per_minute, tenant_id=headers["x-tenant-id"]
        )
        answers: list[Answer] = []

        async def one(replica: RunningService) -> None:
            answers.append(await ask(replica, headers))

        async def often(replica: RunningService) -> None:
            async with asyncio.TaskGroup() as group:
                for _ in range(400):
                    group.create_task(one(replica))
                    await asyncio.sleep(0.01)

        # Half of it first: from here on it is never full, so that nothing is lost at the rim.
        await asyncio.gather(*(one(replicas[0]) for _ in range(12)))
        assert [answer.status for answer in answers] == [200] * 12
        (before,) = (await buckets(urls, limit)).values()
        answers.clear()
        await asyncio.gather(*map(often, replicas))
        (after,) = (await buckets(urls, limit)).values()

    by_status = Counter(answer.status for answer in answers)
    refilled = per_minute * microseconds(before.refilled_at, after.refilled_at)
    assert set(by_status) == {200, 429}
    assert by_status[200] * REQUEST == before.level + refilled - after.level
    assert 0 <= after.level < REQUEST, "nobody was refused while there was one left"
    assert all(
        # Twenty milliseconds fill in one: nobody is told to wait for longer.
        0 < answer.extensions["retryAfterMs"] <= 20
        for answer in answers
        if answer.status == 429
    )


async def test_who_is_refused_over_http_gets_429_and_when_to_come_again(limited: Limited) -> None:
    headers = somebody()
    await set_limit(limited.urls, "USER", 1, 20, tenant_id=headers["x-tenant-id"])
    assert (await ask(limited.service, headers)).status == 200

    refused = await ask(limited.service, headers)

    assert refused.status == 429
    assert refused.body["data"] is None
    extensions = refused.extensions
    assert 0 < extensions["retryAfterMs"] <= 3_000
    assert refused.headers["retry-after"] == str(math.ceil(extensions["retryAfterMs"] / 1_000))
    assert {name: extensions[name] for name in ("code", "isRetryable", "scope", "subject")} == {
        "code": "RATE_LIMITED",
        "isRetryable": True,
        "scope": "USER",
        "subject": "alice",
    }
    assert extensions["measure"] == "REQUESTS"
    assert "requests at once and 20 per minute" in refused.body["errors"][0]["message"]
    assert (await ask(limited.service, headers | {"x-user-id": "bob"})).status == 200

    await asyncio.sleep(extensions["retryAfterMs"] / 1_000)

    assert (await ask(limited.service, headers)).status == 200
    assert (await ask(limited.service, headers)).status == 429


@pytest.mark.parametrize(
    ("sign", "status"),
    [
        ({}, 429),
        ({"accept": "application/graphql-response+json"}, 429),
        ({"accept": "application/json"}, 429),
        ({"x-gateway-secret": SECRET}, 200),
        ({"user-agent": "minipass-fetch/5.0.2 (+https://github.com/isaacs/minipass-fetch)"}, 200),
    ],
)
async def test_a_gateway_gets_the_same_errors_in_a_200(
    limited: Limited, sign: dict[str, str], status: int
) -> None:
    headers = somebody()
    await set_limit(limited.urls, "GLOBAL", 1, SLOWLY, tenant_id=headers["x-tenant-id"])
    assert (await ask(limited.service, headers)).status == 200

    refused = await ask(limited.service, headers | sign)

    assert (refused.status, refused.extensions["code"]) == (status, "RATE_LIMITED")
    assert ("retry-after" in refused.headers) is (status == 429)


async def test_a_stream_is_refused_with_an_event_in_a_stream(limited: Limited) -> None:
    headers = somebody()
    await set_limit(limited.urls, "GLOBAL", 1, SLOWLY, tenant_id=headers["x-tenant-id"])
    await ask(limited.service, headers)

    results = limited.service.subscribe(STREAM, {"input": {"text": "hello"}}, headers)
    (event,) = [result["data"]["completionStream"] async for result in results]

    assert (event["__typename"], event["code"]) == ("CompletionFailed", "RATE_LIMITED")
    assert event["isRetryable"]
    assert 0 < event["retryAfterMs"] <= 60_000


async def test_requests_for_embeddings_count_and_what_is_no_request_does_not(
    limited: Limited,
) -> None:
    headers = somebody()
    await set_limit(limited.urls, "GLOBAL", 2, SLOWLY, tenant_id=headers["x-tenant-id"])
    embed = {"input": {"texts": ["hello"]}}
    for _ in range(3):
        assert (await post(limited.service, "{ availableModels { id } }", headers)).status == 200

    answers = [await limited.service.graphql(EMBED, embed, headers) for _ in range(3)]

    codes = [answer["errors"][0]["extensions"]["code"] for answer in answers if "errors" in answer]
    assert codes == ["RATE_LIMITED"]
    assert (await ask(limited.service, headers)).status == 429


async def test_refusals_are_in_the_usage_and_reading_it_is_no_request(limited: Limited) -> None:
    headers = somebody()
    await set_limit(limited.urls, "GLOBAL", 1, SLOWLY, tenant_id=headers["x-tenant-id"])
    assert [(await ask(limited.service, headers)).status for _ in range(3)] == [200, 429, 429]

    answer = await post(limited.service, "{ myUsage { requests failedRequests } }", headers)

    assert (answer.status, answer.body["data"]["myUsage"]) == (
        200,
        {"requests": 3, "failedRequests": 2},
    )


async def test_each_api_key_has_a_bucket_and_the_refusal_names_the_key(limited: Limited) -> None:
    tenant_id = somebody()["x-tenant-id"]
    database = Database(limited.urls.service, pool_size=2)
    await database.start()
    keys = ApiKeys(PostgresApiKeys(database), SystemClock())
    try:
        made = [
            await keys.create(tenant_id, name, None, "reports", "assistant:complete", None)
            for name in ("first", "second")
        ]
        listed = [str(key.id) for key in await keys.list(tenant_id)]
    finally:
        await database.close()
    await set_limit(limited.urls, "API_KEY", 1, SLOWLY, tenant_id=tenant_id)

    for id_, (_, secret) in zip(listed, made, strict=True):
        headers = {"authorization": f"Bearer {secret}"}
        assert (await ask(limited.service, headers)).status == 200
        refused = await ask(limited.service, headers)
        assert (refused.status, refused.extensions["scope"]) == (429, "API_KEY")
        assert refused.extensions["subject"] == id_


async def test_a_limit_holds_and_ends_within_a_second_of_its_change(limited: Limited) -> None:
    headers = somebody()
    tenant_id = headers["x-tenant-id"]
    assert (await ask(limited.service, headers)).status == 200

    async def comes(status: int) -> None:
        # A second is the promise; the bound leaves room for a machine that does other things.
        async with asyncio.timeout(5):
            while (await ask(limited.service, headers)).status != status:
                await asyncio.sleep(0.02)

    await set_limit(limited.urls, "GLOBAL", 1, SLOWLY, tenant_id=tenant_id)
    await comes(429)
    async with await connect(limited.urls.superuser) as connection:
        await connection.execute("DELETE FROM rate_limits WHERE tenant_id = %s", (tenant_id,))
    await comes(200)


async def test_a_provider_that_takes_no_more_is_told_like_a_limit_of_ours(limited: Limited) -> None:
    headers = somebody()
    limited.ollama.reply = Reply(status=429, error="slow down")
    try:
        refused = await post(
            limited.service,
            'mutation { generateCompletion(input: {text: "x", model: "ollama/llama3.2:3b"}) '
            "{ text } }",
            headers,
        )
    finally:
        limited.ollama.reply = Reply()

    assert refused.extensions["code"] == "RATE_LIMITED"
    assert refused.status == 429
    known_ms = refused.extensions.get("retryAfterMs")
    assert refused.headers.get("retry-after") == (known_ms and str(math.ceil(known_ms / 1_000)))
