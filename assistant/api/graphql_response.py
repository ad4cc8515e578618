"""What a GraphQL answer looks like: its JSON, its status, its headers.

Source: https://graphql.github.io/graphql-over-http/draft/#sec-Response
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from starlette.responses import Response
from strawberry.types import ExecutionResult

from assistant.api.errors import describe, is_request_error
from assistant.api.media_type import GRAPHQL_JSON, JSON, Accepted
from assistant.errors import AssistantError, ErrorCode

TOO_MANY_REQUESTS: Final = 429

# Under application/graphql-response+json an operation that never ran says so in its status.
_REQUEST_ERROR_STATUS: Final = {
    ErrorCode.UNAUTHENTICATED.value: 401,
    ErrorCode.INTERNAL_SERVER_ERROR.value: 500,
}
_encode_text = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode
_encode_ascii = json.JSONEncoder(allow_nan=False, separators=(",", ":")).encode


def result_response(
    result: ExecutionResult, accepted: Accepted, *, is_for_gateway: bool = False
) -> Response:
    """The answer to an operation. Raises ValueError, TypeError if its data is not JSON.

    What is refused for its rate is a 429, but to a gateway, which may take that for a failure of
    ours and keep the errors to itself: docs/decisions/0016-rate-limits-over-http.md.
    """
    status, headers = 200, {}
    if not is_for_gateway and is_rate_limited(result):
        status, headers = TOO_MANY_REQUESTS, _retry_after(result)
    elif accepted.result == GRAPHQL_JSON and is_request_error(result):
        code = (result.errors or [])[0].extensions["code"]  # type: ignore[index]
        status = _REQUEST_ERROR_STATUS.get(code, 400)
        headers = {"www-authenticate": "Bearer"} if status == 401 else {}
    return _json_response(_payload(result), status, accepted, headers)


def is_rate_limited(result: ExecutionResult) -> bool:
    """Whether nothing has come of an operation but that there were too many, ours or a provider's."""
    errors = result.errors or []
    codes = {(error.extensions or {}).get("code") for error in errors}
    return result.data is None and codes == {ErrorCode.RATE_LIMITED.value}


def _retry_after(result: ExecutionResult) -> dict[str, str]:
    """In whole seconds, the header's unit, rounded up; nothing where nobody knows.

    Source: https://www.rfc-editor.org/rfc/rfc9110#section-10.2.3
    """
    waits_ms = [(error.extensions or {}).get("retryAfterMs") for error in result.errors or []]
    known_ms = [wait_ms for wait_ms in waits_ms if wait_ms is not None]
    return {"retry-after": str(-(-max(known_ms) // 1000))} if known_ms else {}


def request_error_response(error: AssistantError, accepted: Accepted) -> Response:
    """The answer to an operation that cannot be run."""
    return error_response(error, 400 if accepted.result == GRAPHQL_JSON else 200, accepted, {})


def error_response(
    error: Exception, status: int, accepted: Accepted, headers: Mapping[str, str]
) -> Response:
    """The answer to what is no operation, or to a defect of ours, which is logged and masked."""
    return _json_response({"errors": [describe(error)]}, status, accepted, headers)


def encode_event(result: ExecutionResult) -> bytes:
    """One result of a stream over HTTP, in ASCII.

    Gateways decode packets one by one, and break a character that a packet ends in.
    """
    try:
        return _encode_ascii(_payload(result)).encode()
    except (ValueError, TypeError, RecursionError) as error:  # a JSON scalar that is not JSON
        return _encode_ascii({"errors": [describe(error)]}).encode()


def encode_message(message: Mapping[str, Any]) -> str:
    """One message of a WebSocket."""
    try:
        return _encode_ascii(message)
    except (ValueError, TypeError, RecursionError) as error:  # a JSON scalar that is not JSON
        return _encode_ascii({**message, "payload": {"errors": [describe(error)]}})


def _payload(result: ExecutionResult) -> dict[str, Any]:
    """A result as GraphQL specifies it: no ``data`` where nothing was run.

    Source: https://spec.graphql.org/draft/#sec-Response-Format
    """
    payload: dict[str, Any] = {}
    if result.errors:
        payload["errors"] = [error.formatted for error in result.errors]
    if not is_request_error(result):
        payload["data"] = result.data
    if result.extensions:
        payload["extensions"] = result.extensions
    return payload


def _json_response(
    payload: object, status: int, accepted: Accepted, headers: Mapping[str, str]
) -> Response:
    response = Response(_encode(payload), status)
    response.raw_headers += [
        (b"content-type", f"{accepted.result or JSON}; charset=utf-8".encode()),
        # Answers are somebody's; a GET's would otherwise be fair game for any cache.
        (b"cache-control", b"no-store"),
        *((name.encode(), value.encode()) for name, value in headers.items()),
    ]
    return response


def _encode(payload: object) -> bytes:
    try:
        return _encode_text(payload).encode()
    except UnicodeEncodeError:
        # Half a surrogate pair, which UTF-8 cannot hold and a JSON escape can.
        return _encode_ascii(payload).encode()
