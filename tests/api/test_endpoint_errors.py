"""What a client reads when something goes wrong is the same over every transport."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from structlog.testing import capture_logs

from tests.api.graphql_clients import (
    Transport,
    over_http,
    over_multipart,
    over_sse,
    over_websocket,
)
from tests.api.running_endpoint import Running, running_endpoint
from tests.api.small_schema import SECRET

EVERY = pytest.mark.parametrize("transport", [over_http, over_sse, over_multipart, over_websocket])
STREAMS = pytest.mark.parametrize("transport", [over_sse, over_multipart, over_websocket])


@pytest.fixture(scope="module")
def endpoint() -> Iterator[Running]:
    with running_endpoint() as running:
        yield running


def only_error(results: list[dict[str, Any]]) -> dict[str, Any]:
    [error] = results[-1]["errors"]
    assert isinstance(error, dict)
    return error


@EVERY
async def test_a_failure_of_ours_keeps_its_code_message_and_waiting_time(
    endpoint: Running, transport: Transport
) -> None:
    results = await transport(endpoint, "{ hello refuses }", None)

    assert results[0]["data"] == {"hello": "world", "refuses": None}
    assert only_error(results) == {
        "message": "No provider can serve this now.",
        "locations": [{"line": 1, "column": 9}],
        "path": ["refuses"],
        "extensions": {"code": "PROVIDER_UNAVAILABLE", "isRetryable": True, "retryAfterMs": 1235},
    }


@EVERY
async def test_a_bad_input_names_its_field(endpoint: Running, transport: Transport) -> None:
    error = only_error(await transport(endpoint, "{ refusesInput }", None))

    assert error["message"] == "text is too long."
    assert error["extensions"] == {
        "code": "BAD_USER_INPUT",
        "isRetryable": False,
        "inputPath": ["input", "text"],
    }


@EVERY
@pytest.mark.parametrize("field", ["breaks", "breaksNonNull", "overflows"])
async def test_a_defect_is_masked_and_logged_once_under_the_reference_that_the_client_reads(
    endpoint: Running, transport: Transport, field: str
) -> None:
    with capture_logs() as logs:
        results = await transport(endpoint, f"{{ {field} }}", None)

    error = only_error(results)
    reference = error["extensions"].pop("reference")
    assert error["extensions"] == {"code": "INTERNAL_SERVER_ERROR", "isRetryable": False}
    assert error["message"] == f"Internal error. It is recorded under the reference {reference}."
    assert error["path"] == [field]
    [entry] = logs
    assert entry["reference"] == reference
    assert isinstance(entry.pop("exc_info"), Exception)
    assert SECRET not in json.dumps(results) + json.dumps(entry)


@EVERY
@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("{", "GRAPHQL_PARSE_FAILED"),
        ("{ hello(", "GRAPHQL_PARSE_FAILED"),
        ("{ nope }", "GRAPHQL_VALIDATION_FAILED"),
        ("query A { hello } query B { hello }", "BAD_USER_INPUT"),
        ("fragment F on Query { hello }", "BAD_USER_INPUT"),
        ("query($t: String!) { echo(text: $t) }", "BAD_USER_INPUT"),
        ("{ books(first: 101) { nodes { id } } }", "BAD_USER_INPUT"),
    ],
)
async def test_an_operation_that_cannot_run_is_one_error_with_a_code(
    endpoint: Running, transport: Transport, query: str, code: str
) -> None:
    with capture_logs() as logs:
        [result] = await transport(endpoint, query, None)

    assert only_error([result])["extensions"]["code"] == code
    assert "data" not in result
    assert not logs


@STREAMS
async def test_a_stream_that_is_refused_says_why(endpoint: Running, transport: Transport) -> None:
    results = await transport(endpoint, "subscription { refuses }", None)

    error = only_error(results)
    assert error["message"] == "There is no such stream."
    assert error["extensions"] == {"code": "NOT_FOUND", "isRetryable": False}


@STREAMS
async def test_a_stream_that_fails_later_keeps_what_came_before(
    endpoint: Running, transport: Transport
) -> None:
    first, last = await transport(endpoint, "subscription { refusesLater }", None)

    assert first == {"data": {"refusesLater": 1}}
    assert only_error([last])["extensions"] == {
        "code": "PROVIDER_UNAVAILABLE",
        "isRetryable": True,
        "retryAfterMs": 2000,
    }


@STREAMS
async def test_a_reader_that_is_too_slow_is_told_where_to_resume(
    endpoint: Running, transport: Transport
) -> None:
    first, last = await transport(endpoint, "subscription { lags }", None)

    assert first == {"data": {"lags": 1}}
    assert only_error([last])["extensions"] == {
        "code": "STREAM_INTERRUPTED",
        "isRetryable": True,
        "lastEventId": "an-id:1",
    }


@STREAMS
async def test_a_defect_in_a_stream_is_masked_and_logged_once(
    endpoint: Running, transport: Transport
) -> None:
    with capture_logs() as logs:
        results = await transport(endpoint, "subscription { breaks }", None)

    assert results[0] == {"data": {"breaks": 1}}
    assert only_error(results)["extensions"]["code"] == "INTERNAL_SERVER_ERROR"
    assert SECRET not in json.dumps(results)
    assert len(logs) == 1


@STREAMS
async def test_an_answer_that_is_not_json_is_masked_in_streams_too(
    endpoint: Running, transport: Transport
) -> None:
    with capture_logs() as logs:
        [result] = await transport(endpoint, "{ notANumber }", None)

    assert only_error([result])["extensions"]["code"] == "INTERNAL_SERVER_ERROR"
    assert len(logs) == 1


@EVERY
@pytest.mark.parametrize(
    ("variables", "message", "path"),
    [
        ({}, "Variable $input is required and must be of type Greeting!.", ["input"]),
        ({"input": SECRET}, "Variable $input must be an object of type Greeting.", ["input"]),
        (
            {"input": {"times": 1, "colour": "RED"}},
            "Variable $input.name is required and must be of type String!.",
            ["input", "name"],
        ),
        (
            {"input": {"name": {"text": SECRET}}},
            "Variable $input.name must be of type String.",
            ["input", "name"],
        ),
        (
            {"input": {"name": "a", "times": SECRET}},
            "Variable $input.times must be of type Int.",
            ["input", "times"],
        ),
        (
            {"input": {"name": "a", "colour": SECRET}},
            "Variable $input.colour must be one of RED, GREEN.",
            ["input", "colour"],
        ),
        (
            {"input": {"name": "a", "tags": ["a", None]}},
            "Variable $input.tags[1] is required and must be of type String!.",
            ["input", "tags", 1],
        ),
        (
            {"input": {"name": "a", "tags": [["a"]]}},
            "Variable $input.tags[0] must be of type String.",
            ["input", "tags", 0],
        ),
        (
            {"input": {"name": "a", "nam": SECRET}},
            "Variable $input has no field 'nam', "
            "Greeting has name, times, colour, tags, other, data.",
            ["input"],
        ),
        (
            {"input": {"name": "a", "other": {"name": SECRET, "other": {"name": 1}}}},
            "Variable $input.other.other.name must be of type String.",
            ["input", "other", "other", "name"],
        ),
    ],
)
async def test_a_variable_of_the_wrong_shape_is_explained_without_its_value(
    endpoint: Running,
    transport: Transport,
    variables: dict[str, Any],
    message: str,
    path: list[str | int],
) -> None:
    query = "query($input: Greeting!) { greet(input: $input) }"
    results = await transport(endpoint, query, variables)

    error = only_error(results)
    assert error["message"] == message
    assert error["extensions"] == {"code": "BAD_USER_INPUT", "inputPath": path}
    assert SECRET not in json.dumps(results)


@pytest.mark.parametrize(
    ("query", "message"),
    [
        (f'{{ greet(input: {{name: "a", times: "{SECRET}"}}) }}', "times must be of type Int."),
        (f'{{ greet(input: {{name: "a", colour: {SECRET.replace("-", "_")}}}) }}',
         "colour must be one of RED, GREEN."),
        ('{ greet(input: {name: "a", colour: "RED"}) }', "The value must be written as Greeting!."),
        (f'{{ greet(input: """{SECRET}""") }}', "The value must be an object of type Greeting."),
        (f'{{ greet(input: {{tags: ["{SECRET}"]}}) }}',
         "name is required and must be of type String!."),
        ("query($t: Int!) { greet(input: {times: $t}) }",
         "name is required and must be of type String!."),
    ],
)  # fmt: skip
async def test_a_literal_of_the_wrong_type_is_explained_without_its_value(
    endpoint: Running, query: str, message: str
) -> None:
    results = await over_http(endpoint, query, {"t": 1})

    error = only_error(results)
    assert error["message"] == message
    assert error["extensions"]["code"] == "GRAPHQL_VALIDATION_FAILED"
    assert SECRET not in json.dumps(results)


@pytest.mark.parametrize(
    "query",
    [
        f'{{ hello "{SECRET}" }}',
        f'{{ hello """{SECRET}\n{SECRET}""" }}',
        f'query($a: String = "{SECRET}" "{SECRET}") {{ hello }}',
    ],
)
async def test_a_syntax_error_does_not_quote_texts(endpoint: Running, query: str) -> None:
    results = await over_http(endpoint, query)

    assert only_error(results)["extensions"]["code"] == "GRAPHQL_PARSE_FAILED"
    assert SECRET not in json.dumps(results)


async def test_a_null_where_an_argument_takes_none_is_explained_without_its_value(
    endpoint: Running,
) -> None:
    query = 'query($id: ID = "2") { identified(id: $id) }'
    error = only_error(await over_http(endpoint, query, {"id": None}))

    assert error["message"] == "The value of an argument does not fit its type."
    assert error["extensions"]["code"] == "BAD_USER_INPUT"


@pytest.mark.parametrize(
    ("query", "variables"),
    [
        ("{ " + "a" * 50_000 + " }", None),
        ("query($t: Int!) { tree { trees(first: $t) { depth } } }", {"t": "x" * 900_000}),
        ("query($i: Greeting!) { greet(input: $i) }", {"i": {"x" * 900_000: 1}}),
        ("query($i: Greeting!) { greet(input: $i) }", {"i": {f"x{n}": 1 for n in range(50_000)}}),
        ("query($i: Greeting!) { greet(input: $i) }", {"i": {"name": "", "tags": [1] * 100_000}}),
    ],
)
async def test_a_large_mistake_gets_a_small_answer(
    endpoint: Running, query: str, variables: dict[str, Any] | None
) -> None:
    results = await over_http(endpoint, query, variables)

    assert len(json.dumps(results)) < 10_000
