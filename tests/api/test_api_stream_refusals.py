"""/api/stream: what is refused before anything runs, and how that is said."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any
from uuid import UUID

import aiohttp
import pytest
from structlog.testing import capture_logs

from tests.api.fake_runs import ID, FakeRuns, streaming
from tests.api.running_endpoint import TOKEN

JSON_TYPE = {"content-type": "application/json"}
ASKED = b'{"text": "Hi"}'
OTHER = UUID(int=1)


async def asked(
    runs: FakeRuns | None = None,
    method: str = "POST",
    body: bytes = ASKED,
    headers: Mapping[str, str] = TOKEN | JSON_TYPE,
    query: Mapping[str, str] | None = None,
    **arguments: Any,
) -> tuple[int, dict[str, Any], Mapping[str, str]]:
    """Status, ``error`` and headers of the answer to a request that runs nothing."""
    runs = runs or FakeRuns()
    async with (
        streaming(runs, **arguments) as url,
        aiohttp.ClientSession() as http,
        http.request(method, url, data=body, headers=headers, params=query) as response,
    ):
        text = await response.text()
        assert response.headers["content-type"] == "application/json"
        assert response.headers["cache-control"] == "no-store"
        assert not runs.asked and not runs.resumed
        error = json.loads(text)["error"]
        assert isinstance(error, dict)
        return response.status, error, response.headers


async def test_who_is_not_identified_is_a_401_that_says_how() -> None:
    status, error, headers = await asked(headers=JSON_TYPE)

    assert (status, error["code"]) == (401, "UNAUTHENTICATED")
    assert error["message"] == "Send a token."
    assert error["isRetryable"] is False
    assert headers["www-authenticate"] == "Bearer"


async def test_who_cannot_be_identified_now_is_a_503_that_says_when() -> None:
    status, error, headers = await asked(headers={"authorization": "Bearer storage"} | JSON_TYPE)

    assert (status, error["isRetryable"], error["retryAfterMs"]) == (503, True, 1_000)
    assert headers["retry-after"] == "1"


async def test_a_defect_is_a_500_that_tells_nothing_of_it() -> None:
    with capture_logs() as logs:
        status, error, _ = await asked(headers={"authorization": "Bearer defect"} | JSON_TYPE)

    assert (status, error["code"]) == (500, "INTERNAL_SERVER_ERROR")
    assert error["reference"] == logs[0]["reference"]
    assert "secret" not in json.dumps(error)


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH"])
async def test_another_method_is_a_405_that_names_those_there_are(method: str) -> None:
    status, _, headers = await asked(method=method)

    assert (status, headers["allow"]) == (405, "GET, HEAD, POST, OPTIONS")


@pytest.mark.parametrize("accept", ["application/json", "text/event-stream;q=0, */*", "text/html"])
async def test_who_does_not_take_a_stream_is_a_406(accept: str) -> None:
    status, error, _ = await asked(headers=TOKEN | JSON_TYPE | {"accept": accept})

    assert status == 406
    assert "text/event-stream" in error["message"]


@pytest.mark.parametrize("type_", ["text/plain", "application/x-www-form-urlencoded", ""])
async def test_what_any_page_can_post_is_a_415(type_: str) -> None:
    status, _, _ = await asked(headers=TOKEN | {"content-type": type_})

    assert status == 415


async def test_too_much_is_a_413() -> None:
    status, error, _ = await asked(body=b'{"text": "%s"}' % (b"x" * 1_000), max_body_bytes=1_000)

    assert status == 413
    assert "1000 bytes" in error["message"]


async def test_a_url_that_is_too_long_is_a_414() -> None:
    query = {"request": json.dumps({"text": "x" * 17_000})}
    status, error, _ = await asked(method="GET", body=b"", query=query)

    assert status == 414
    assert "by POST" in error["message"]


async def test_a_body_that_does_not_come_is_a_408() -> None:
    async with streaming(FakeRuns(), body_timeout_s=0.2) as url:
        port = int(url.rstrip("/").rpartition(":")[2])
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(
            b"POST / HTTP/1.1\r\nhost: a\r\nauthorization: Bearer good\r\n"
            b"content-type: application/json\r\ncontent-length: 100\r\n\r\n{"
        )
        answer = await asyncio.wait_for(reader.read(), 5)
        writer.close()

    assert answer.startswith(b"HTTP/1.1 408")


# ------------------------------------------------------------------------- what is no request


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b'"a"', b"null", b'{"text": NaN}', b"\xff", b"[" * 100_000]
)
async def test_what_is_no_json_object_is_a_400(body: bytes) -> None:
    status, error, _ = await asked(body=body)

    assert (status, error["code"]) == (400, "BAD_USER_INPUT")
    assert error["message"].startswith("The request body must be")


async def test_a_get_without_a_request_is_a_400() -> None:
    status, error, _ = await asked(method="GET", body=b"")

    assert status == 400
    assert "`request`" in error["message"]


async def test_everything_that_has_the_wrong_type_is_named_with_its_path() -> None:
    body = {
        "text": 1,
        "messages": [{"role": "NOBODY", "content": "Hi"}, {"role": "USER"}],
        "parameters": {"maxTokens": "3", "stop": [None]},
        "cache": "NEVER",
        "extra": "the-secret-prompt",
    }
    status, error, _ = await asked(body=json.dumps(body).encode())

    assert (status, error["code"]) == (400, "BAD_USER_INPUT")
    paths = [problem["path"] for problem in error["problems"]]
    assert sorted(paths) == [
        [],
        ["cache"],
        ["messages", "0", "role"],
        ["messages", "1", "content"],
        ["parameters", "maxTokens"],
        ["parameters", "stop", "0"],
        ["text"],
    ]
    assert error["message"] == error["problems"][0]["message"]
    messages = " ".join(problem["message"] for problem in error["problems"])
    assert "has no field 'extra'" in messages
    assert "parameters.maxTokens must be of type Int." in messages
    assert "the-secret-prompt" not in json.dumps(error)


async def test_a_part_that_must_be_an_object_is_named() -> None:
    status, error, _ = await asked(body=b'{"promptName": "a", "variables": []}')

    assert status == 400
    assert error["inputPath"] == ["variables"]


async def test_two_idempotency_keys_are_a_400() -> None:
    status, error, _ = await asked(
        body=b'{"text": "Hi", "idempotencyKey": "key-number-1"}',
        headers=TOKEN | JSON_TYPE | {"idempotency-key": "key-number-2"},
    )

    assert (status, error["inputPath"]) == (400, ["idempotencyKey"])


@pytest.mark.parametrize(
    ("resume", "paths"),
    [
        ("all", [["resume"]]),
        ({"completionId": str(ID), "extra": 1}, [["resume"]]),
        ({}, [["resume", "completionId"]]),
        ({"completionId": 1}, [["resume", "completionId"]]),
        ({"completionId": str(ID), "lastEventId": "7"}, [["resume", "lastEventId"]]),
        ({"completionId": str(ID), "lastEventId": f"{OTHER}:1"}, [["resume", "lastEventId"]]),
        (
            {"completionId": "a", "lastEventId": 1},
            [["resume", "completionId"], ["resume", "lastEventId"]],
        ),
    ],
)
async def test_a_resume_that_names_no_event_is_a_400(resume: Any, paths: list[list[str]]) -> None:
    status, error, _ = await asked(body=json.dumps({"resume": resume}).encode())

    assert status == 400
    assert [problem["path"] for problem in error["problems"]] == paths


async def test_a_resume_and_a_request_in_one_body_are_a_400() -> None:
    body = {"resume": {"completionId": str(ID)}, "text": "Hi"}
    status, error, _ = await asked(body=json.dumps(body).encode())

    assert (status, error["inputPath"]) == (400, ["resume"])


@pytest.mark.parametrize("last_id", ["7", f"{ID}", f"{ID}:-1", f"{ID}:1 ", "x" * 5_000])
async def test_a_last_event_id_that_is_none_of_ours_is_a_400(last_id: str) -> None:
    for method in ("POST", "GET"):
        status, error, _ = await asked(
            method=method, body=b"", headers=TOKEN | {"last-event-id": f"a{last_id}"}
        )
        assert (status, error["inputPath"]) == (400, ["lastEventId"])


# ------------------------------------------------------------------------- other sites' pages


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"origin": "https://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"user-agent": "Mozilla/5.0"}, 403),
        ({"origin": "https://evil.example", "apollo-require-preflight": "true"}, 401),
        ({"origin": "https://friend.example"}, 401),
        ({"sec-fetch-site": "same-origin"}, 401),
        ({"user-agent": "curl/8"}, 401),
    ],
)
async def test_a_get_that_any_page_could_have_sent_is_a_403(
    headers: dict[str, str], status: int
) -> None:
    """Those that pass get to be asked who they are."""
    query = {"request": ASKED.decode()}
    refused, _, _ = await asked(method="GET", body=b"", query=query, headers=headers)

    assert refused == status
