"""An answer that is nothing but a rate limit, told from every other one."""

from __future__ import annotations

from typing import Any

import pytest
from graphql import GraphQLError
from strawberry.types import ExecutionResult

from assistant.api.graphql_response import result_response
from assistant.api.media_type import GRAPHQL_JSON, JSON, read_accept


def limited(wait_ms: int | None = None) -> GraphQLError:
    wait = {} if wait_ms is None else {"retryAfterMs": wait_ms}
    return GraphQLError("Used up.", path=["a"], extensions={"code": "RATE_LIMITED"} | wait)


FORBIDDEN = GraphQLError("No.", path=["b"], extensions={"code": "FORBIDDEN"})


@pytest.mark.parametrize("accept", ["*/*", JSON, GRAPHQL_JSON])
@pytest.mark.parametrize(
    ("errors", "retry_after"),
    [
        ([limited(1)], "1"),
        ([limited(1_000)], "1"),
        ([limited(1_001)], "2"),
        ([limited(0)], "0"),
        ([limited(2_000), limited(61_000), limited()], "61"),
        ([limited()], None),
    ],
)
def test_nothing_but_a_rate_limit_is_a_429_with_the_longest_wait_in_whole_seconds(
    errors: list[GraphQLError], retry_after: str | None, accept: str
) -> None:
    result = ExecutionResult(data=None, errors=errors)
    response = result_response(result, read_accept(accept))
    assert (response.status_code, response.headers.get("retry-after")) == (429, retry_after)
    assert b'"data":null' in response.body

    response = result_response(result, read_accept(accept), is_for_gateway=True)
    assert (response.status_code, response.headers.get("retry-after")) == (200, None)


@pytest.mark.parametrize(
    ("data", "errors"),
    [
        (None, [limited(5), FORBIDDEN]),
        ({"a": None}, [limited(5)]),
        ({"a": 1}, None),
        (None, [GraphQLError("What?", path=["a"])]),
    ],
)
def test_whatever_else_came_of_an_operation_is_a_200(
    data: dict[str, Any] | None, errors: list[GraphQLError] | None
) -> None:
    response = result_response(ExecutionResult(data=data, errors=errors), read_accept(JSON))
    assert response.status_code == 200
    assert "retry-after" not in response.headers
