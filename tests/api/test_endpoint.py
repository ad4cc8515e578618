"""GraphQL over HTTP as the specification and a careful operator want it."""

from __future__ import annotations

import asyncio
import io
import json
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from tests.api.running_endpoint import TOKEN, Running, running_endpoint

GRAPHQL_JSON = "application/graphql-response+json"
JSON = "application/json"


@pytest.fixture(scope="module")
def endpoint() -> Iterator[Running]:
    with running_endpoint(max_body_bytes=100_000) as running:
        yield running


@pytest_asyncio.fixture
async def http(endpoint: Running) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(endpoint.url) as session:
        yield session


async def post(
    http: aiohttp.ClientSession, body: object, headers: dict[str, str] | None = None
) -> tuple[int, dict[str, Any], str]:
    """Status, answer and media type; ``body`` is sent as it is where it is bytes."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    sent = {"content-type": JSON, "accept": JSON} | TOKEN | (headers or {})
    async with http.post("", data=data, headers=sent) as response:
        return response.status, await response.json(content_type=None), response.content_type


async def get(
    http: aiohttp.ClientSession, query: dict[str, str], headers: dict[str, str] | None = None
) -> tuple[int, dict[str, Any]]:
    async with http.get(
        "", params=query, headers=TOKEN if headers is None else headers
    ) as response:
        return response.status, await response.json(content_type=None)


# --- media types


@pytest.mark.parametrize(
    ("accept", "answered"),
    [
        (None, JSON),
        ("*/*", JSON),
        ("application/*", JSON),
        (JSON, JSON),
        (GRAPHQL_JSON, GRAPHQL_JSON),
        (f"{GRAPHQL_JSON}, {JSON}", GRAPHQL_JSON),
        (f"{JSON}, {GRAPHQL_JSON}", GRAPHQL_JSON),
        (f"{GRAPHQL_JSON};q=0.5, {JSON};q=0.9", JSON),
        (f"{GRAPHQL_JSON};q=0, */*", JSON),
        (f"{GRAPHQL_JSON}, {JSON}, text/event-stream, multipart/mixed", GRAPHQL_JSON),
        (f"{JSON};q=high", JSON),
        ("image/png", JSON),
    ],
)
async def test_the_answer_has_the_media_type_that_the_client_prefers(
    endpoint: Running, accept: str | None, answered: str
) -> None:
    async with aiohttp.ClientSession(skip_auto_headers=["accept"]) as http:
        headers = TOKEN | ({"accept": accept} if accept else {})
        async with http.post(endpoint.url, json={"query": "{ hello }"}, headers=headers) as answer:
            assert answer.status == 200
            assert answer.content_type == answered
            assert answer.charset == "utf-8"
            assert answer.headers["cache-control"] == "no-store"
            assert await answer.json(content_type=None) == {"data": {"hello": "world"}}


REQUEST_ERRORS = [
    ({"query": "{"}, "GRAPHQL_PARSE_FAILED"),
    ({"query": "{ nope }"}, "GRAPHQL_VALIDATION_FAILED"),
    (
        {"query": "query($t: String!) { echo(text: $t) }", "variables": {"t": None}},
        "BAD_USER_INPUT",
    ),
    ({"query": "query A { hello }", "operationName": "B"}, "BAD_USER_INPUT"),
    ({"query": "query A { hello } query B { hello }"}, "BAD_USER_INPUT"),
    ({"query": "fragment F on Query { hello }"}, "BAD_USER_INPUT"),
]


@pytest.mark.parametrize(("body", "code"), REQUEST_ERRORS)
async def test_an_operation_that_cannot_run_is_a_400_without_data_in_the_new_media_type(
    http: aiohttp.ClientSession, body: dict[str, Any], code: str
) -> None:
    status, answer, media_type = await post(http, body, {"accept": GRAPHQL_JSON})

    assert (status, media_type) == (400, GRAPHQL_JSON)
    assert "data" not in answer
    assert answer["errors"][0]["extensions"]["code"] == code


@pytest.mark.parametrize(("body", "code"), REQUEST_ERRORS)
async def test_an_operation_that_cannot_run_is_a_200_in_the_old_media_type(
    http: aiohttp.ClientSession, body: dict[str, Any], code: str
) -> None:
    status, answer, media_type = await post(http, body)

    assert (status, media_type) == (200, JSON)
    assert "data" not in answer
    assert answer["errors"][0]["extensions"]["code"] == code


@pytest.mark.parametrize("accept", [JSON, GRAPHQL_JSON])
async def test_a_field_that_fails_is_a_200_with_data_in_both_media_types(
    http: aiohttp.ClientSession, accept: str
) -> None:
    status, answer, _ = await post(http, {"query": "{ hello refuses }"}, {"accept": accept})

    assert status == 200
    assert answer["data"] == {"hello": "world", "refuses": None}
    assert answer["errors"][0]["path"] == ["refuses"]


async def test_a_non_null_field_that_fails_answers_data_null(http: aiohttp.ClientSession) -> None:
    status, answer, _ = await post(http, {"query": "{ breaksNonNull }"}, {"accept": GRAPHQL_JSON})

    assert status == 200
    assert answer["data"] is None


# --- what a request may be


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b'{"query": "{ hello }"',
        b'{"query": "{ hello }", "variables": {"a": NaN}}',
        b'{"query": "{ hello }", "variables": {"a": -Infinity}}',
        b'{"query": "\xff\xfe"}',
        '{"query": "{ hello }"}'.encode("utf-16"),
        b'{"query": "{ hello }", "variables": {"a": ' + b"[" * 40_000 + b"]" * 40_000 + b"}}",
        b"[" * 90_000,
        b'{"query": "{ hello }", "variables": {"a": 1' + b"0" * 5_000 + b"}}",
        b"null",
        b"3",
        b'"{ hello }"',
        b"{}",
        b'{"query": null}',
        b'{"query": ""}',
        b'{"query": {"a": 1}}',
        b'{"query": "{ hello }", "variables": []}',
        b'{"query": "{ hello }", "variables": "{}"}',
        b'{"query": "{ hello }", "operationName": 1}',
        b'{"query": "{ hello }", "extensions": []}',
    ],
)
@pytest.mark.parametrize("accept", [JSON, GRAPHQL_JSON])
async def test_a_body_that_is_no_request_is_a_400_with_a_sentence(
    http: aiohttp.ClientSession, body: bytes, accept: str
) -> None:
    status, answer, media_type = await post(http, body, {"accept": accept})

    assert (status, media_type) == (400, accept)
    assert answer["errors"][0]["extensions"]["code"] == "BAD_USER_INPUT"
    assert answer["errors"][0]["message"].endswith(".")
    assert "data" not in answer


async def test_a_batch_is_refused_with_what_to_do_instead(http: aiohttp.ClientSession) -> None:
    status, answer, _ = await post(http, [{"query": "{ hello }"}, {"query": "{ hello }"}])

    assert status == 400
    assert "each operation in a request of its own" in answer["errors"][0]["message"]


async def test_a_byte_order_mark_is_ignored(http: aiohttp.ClientSession) -> None:
    status, answer, _ = await post(http, b'\xef\xbb\xbf{"query": "{ hello }"}')

    assert (status, answer) == (200, {"data": {"hello": "world"}})


@pytest.mark.parametrize("text", ["\ud83d", "\x00", "a\udc00b", "Käse 🧀", " \r\n"])
async def test_any_text_that_json_can_carry_comes_back_as_it_was(
    http: aiohttp.ClientSession, text: str
) -> None:
    query = "query($text: String!) { echo(text: $text) }"
    status, answer, _ = await post(http, {"query": query, "variables": {"text": text}})

    assert (status, answer) == (200, {"data": {"echo": text}})


async def test_text_is_sent_as_utf_8_and_not_as_escapes(http: aiohttp.ClientSession) -> None:
    async with http.post("", json={"query": '{ echo(text: "Käse 🧀") }'}, headers=TOKEN) as answer:
        assert "Käse 🧀".encode() in await answer.read()


async def test_an_answer_that_is_not_json_is_an_internal_error(http: aiohttp.ClientSession) -> None:
    status, answer, _ = await post(http, {"query": "{ notANumber }"})

    assert status == 500
    assert answer["errors"][0]["extensions"]["code"] == "INTERNAL_SERVER_ERROR"


# --- size


@pytest.mark.parametrize("chunked", [False, True])
async def test_a_body_over_the_limit_is_a_413(http: aiohttp.ClientSession, chunked: bool) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        yield b'{"query": "{ hello }", "variables": {"a": "'
        for _ in range(20_000):
            yield b"x" * 1_000

    body = chunks() if chunked else io.BytesIO(b"x" * 20_000_000)
    async with http.post("", data=body, headers={"content-type": JSON} | TOKEN) as response:
        answer = await response.json()

    assert response.status == 413
    assert (
        answer["errors"][0]["message"] == "The request body is longer than 100000 bytes. Send less."
    )
    assert answer["errors"][0]["extensions"]["code"] == "BAD_USER_INPUT"


async def test_a_body_that_is_announced_too_long_is_refused_before_it_is_sent(
    endpoint: Running,
) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", endpoint.port)
    writer.write(
        b"POST /graphql HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\n"
        b"content-length: 20000000\r\n\r\n{"
    )
    answer = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)
    writer.close()
    await writer.wait_closed()

    assert answer.startswith(b"HTTP/1.1 413")


async def test_a_body_of_exactly_the_limit_passes(http: aiohttp.ClientSession) -> None:
    body = b'{"query": "{ hello }"}'
    status, _, _ = await post(http, body + b" " * (100_000 - len(body)))

    assert status == 200


# --- methods and other sites


async def test_a_mutation_by_get_is_a_405_that_names_post(http: aiohttp.ClientSession) -> None:
    async with http.get(
        "", params={"query": "mutation { generateCompletion }"}, headers=TOKEN
    ) as response:
        answer = await response.json()

    assert (response.status, response.headers["allow"]) == (405, "POST")
    assert "POST" in answer["errors"][0]["message"]


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS"])
async def test_other_methods_are_a_405(http: aiohttp.ClientSession, method: str) -> None:
    async with http.request(method, "") as response:
        assert (response.status, response.headers["allow"]) == (405, "GET, POST")


async def test_a_get_carries_variables_as_json(http: aiohttp.ClientSession) -> None:
    status, answer = await get(
        http,
        {"query": "query E($t: String!) { echo(text: $t) }", "variables": '{"t": "a"}',
         "operationName": "E", "extensions": "{}"},
    )  # fmt: skip

    assert (status, answer) == (200, {"data": {"echo": "a"}})


@pytest.mark.parametrize("variables", ["{", "[]", "1"])
async def test_a_get_whose_variables_are_no_object_is_a_400(
    http: aiohttp.ClientSession, variables: str
) -> None:
    status, answer = await get(http, {"query": "{ hello }", "variables": variables})

    assert status == 400
    assert "`variables`" in answer["errors"][0]["message"]


BROWSER = {"user-agent": "Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0"}


@pytest.mark.parametrize(
    "headers",
    [
        BROWSER,  # an image element, over plain HTTP
        BROWSER | {"sec-fetch-site": "cross-site"},
        BROWSER | {"sec-fetch-site": "same-site"},
        BROWSER | {"sec-fetch-site": "none"},
        {"origin": "https://evil.example"},
        {"origin": "null"},
        BROWSER | {"accept": "text/event-stream", "origin": "https://evil.example"},
    ],
)
async def test_a_get_that_another_sites_page_can_cause_is_refused(
    http: aiohttp.ClientSession, headers: dict[str, str]
) -> None:
    status, answer = await get(http, {"query": "{ hello }"}, headers)

    assert status == 403
    assert "apollo-require-preflight" in answer["errors"][0]["message"]


@pytest.mark.parametrize(
    "headers",
    [
        {},  # a program
        BROWSER | {"apollo-require-preflight": "true"},
        BROWSER | {"x-apollo-operation-name": "Hello"},
        BROWSER | {"sec-fetch-site": "cross-site", "authorization": "Bearer good"},
        BROWSER | {"sec-fetch-site": "same-origin"},
        BROWSER | {"sec-fetch-site": "cross-site", "origin": "https://friend.example"},
        {"sec-fetch-mode": "cors", "user-agent": "node"},
        {"x-gateway-secret": "secret", "accept": "*/*"},
    ],
)
async def test_a_get_that_no_other_sites_page_can_cause_is_answered(
    http: aiohttp.ClientSession, headers: dict[str, str]
) -> None:
    status, answer = await get(http, {"query": "{ hello }"}, headers)

    assert (status, answer) == (200, {"data": {"hello": "world"}})


@pytest.mark.parametrize(
    "content_type",
    [
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "text/plain;application/json",
        "application/graphql",
        "application/json; charset=iso-8859-1",
    ],
)
async def test_a_post_of_anything_but_json_is_a_415(
    http: aiohttp.ClientSession, content_type: str
) -> None:
    status, answer, _ = await post(http, {"query": "{ hello }"}, {"content-type": content_type})

    assert status == 415
    assert answer["errors"][0]["message"].startswith("Send the request ")


@pytest.mark.parametrize(
    "content_type", ["application/json; Charset=UTF-8; a=b", "Application/JSON"]
)
async def test_json_may_be_declared_in_other_words(
    http: aiohttp.ClientSession, content_type: str
) -> None:
    status, _, _ = await post(http, {"query": "{ hello }"}, {"content-type": content_type})

    assert status == 200


async def test_a_header_that_is_sent_twice_identifies_nobody(endpoint: Running) -> None:
    async with aiohttp.ClientSession() as http:
        headers = [("authorization", "Bearer bad"), ("authorization", "Bearer good")]
        async with http.post(
            endpoint.url, json={"query": "{ whoami }"}, headers=headers
        ) as response:
            answer = await response.json()

    assert answer["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"


# --- the page


async def test_a_browser_that_opens_the_address_gets_the_page(http: aiohttp.ClientSession) -> None:
    headers = BROWSER | {"accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
    async with http.get("", headers=headers) as response:
        assert (response.status, response.content_type) == (200, "text/html")
        assert "GraphiQL" in await response.text()


async def test_a_program_that_forgets_the_query_gets_a_sentence(
    http: aiohttp.ClientSession,
) -> None:
    status, answer = await get(http, {})

    assert status == 400
    assert answer["errors"][0]["message"] == "Send a GraphQL document as `query`."


# --- who asks


async def test_without_identity_fields_fail_that_need_one_and_others_do_not(
    http: aiohttp.ClientSession,
) -> None:
    status, answer, _ = await post(
        http, {"query": "{ hello whoami }"}, {"authorization": "", "accept": GRAPHQL_JSON}
    )

    assert status == 200
    assert answer["data"] is None
    assert answer["errors"][0]["extensions"] == {"code": "UNAUTHENTICATED", "isRetryable": False}


async def test_a_database_that_is_down_is_told_from_a_wrong_token(
    http: aiohttp.ClientSession,
) -> None:
    _, answer, _ = await post(http, {"query": "{ whoami }"}, {"authorization": "Bearer storage"})

    assert answer["errors"][0]["message"] == "The database cannot be reached."
    assert answer["errors"][0]["extensions"] == {
        "code": "INTERNAL_SERVER_ERROR",
        "isRetryable": True,
        "retryAfterMs": 1000,
    }


async def test_a_defect_while_authenticating_is_masked(http: aiohttp.ClientSession) -> None:
    status, answer, _ = await post(http, {"query": "{ hello }"}, {"authorization": "Bearer defect"})

    assert status == 500
    assert "the-secret-token" not in json.dumps(answer)


@pytest.mark.parametrize(
    "query", ["{ __schema { queryType { name } } }", '{ __type(name: "Book") { name } }',
              "{ _service { sdl } }", "{ ...F } fragment F on Query { _service { sdl } }"]
)  # fmt: skip
async def test_the_schema_is_shown_to_authenticated_callers_only(
    http: aiohttp.ClientSession, query: str
) -> None:
    status, answer, _ = await post(
        http, {"query": query}, {"authorization": "", "accept": GRAPHQL_JSON}
    )
    assert (status, answer["errors"][0]["extensions"]["code"]) == (401, "UNAUTHENTICATED")
    assert "data" not in answer

    _, answer, _ = await post(http, {"query": query})
    assert "errors" not in answer


# --- clients that leave


@pytest.mark.parametrize("operation", ["query", "mutation"])
async def test_an_operation_ends_when_its_client_leaves(endpoint: Running, operation: str) -> None:
    body = json.dumps({"query": f"{operation} {{ waits }}"}).encode()
    _, writer = await asyncio.open_connection("127.0.0.1", endpoint.port)
    writer.write(
        b"POST /graphql HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\n"
        b"content-length: %d\r\n\r\n%b" % (len(body), body)
    )
    await writer.drain()
    await asyncio.to_thread(endpoint.probe.wait, "started")

    left_at = time.monotonic()
    writer.close()
    await writer.wait_closed()
    finished_at = await asyncio.to_thread(endpoint.probe.wait, "finished")

    assert finished_at - left_at < 1
    await asyncio.to_thread(endpoint.probe.wait, "settled")


async def test_a_client_that_leaves_while_it_sends_disturbs_nobody(endpoint: Running) -> None:
    _, writer = await asyncio.open_connection("127.0.0.1", endpoint.port)
    writer.write(
        b"POST /graphql HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\n"
        b"content-length: 100\r\n\r\n{"
    )
    await writer.drain()
    writer.close()
    await writer.wait_closed()

    async with aiohttp.ClientSession(endpoint.url) as http:
        status, _, _ = await post(http, {"query": "{ hello }"})
    assert status == 200
