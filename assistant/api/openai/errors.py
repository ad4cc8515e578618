"""What OpenAI's clients read of a failure, and what makes their own retries do the right thing.

    UNAUTHENTICATED            401   FORBIDDEN, NOT_FOUND        403, 404
    BAD_USER_INPUT and the like 400  CONFLICT, CANCELLED         409, which a client would repeat
    RATE_LIMITED               429   BUDGET_EXCEEDED             429, which a client would repeat
    a provider's failures      502, 503, 504
    ours                       503 where it may pass, else 500 with a reference

Clients repeat every 408, 409, 429 and 5xx unless ``x-should-retry`` says otherwise, so it is said.
Source: https://platform.openai.com/docs/guides/error-codes
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from starlette.responses import Response

from assistant.api.errors import cut, internal
from assistant.api.http_request import Refused
from assistant.domain.completion import CompletionFailed
from assistant.errors import AssistantError, BadUserInput, ErrorCode

# A client that is told to wait longer waits as long and says nothing, or comes back too early.
_LONGEST_WAIT_MS: Final = 60_000

_INVALID: Final = "invalid_request_error"
_UPSTREAM: Final = "upstream_error"
_OURS: Final = "server_error"

# Status, type, code.
_WORDS: Final[Mapping[ErrorCode, tuple[int, str, str | None]]] = {
    ErrorCode.BAD_USER_INPUT: (400, _INVALID, None),
    ErrorCode.UNAUTHENTICATED: (401, "authentication_error", "invalid_api_key"),
    ErrorCode.FORBIDDEN: (403, "permission_error", "insufficient_permissions"),
    ErrorCode.NOT_FOUND: (404, _INVALID, "not_found"),
    ErrorCode.CONFLICT: (409, _INVALID, "idempotency_conflict"),
    ErrorCode.RATE_LIMITED: (429, "rate_limit_error", "rate_limit_exceeded"),
    ErrorCode.BUDGET_EXCEEDED: (429, "insufficient_quota", "insufficient_quota"),
    ErrorCode.CONTENT_FILTERED: (400, _INVALID, "content_filter"),
    ErrorCode.CONTEXT_LENGTH_EXCEEDED: (400, _INVALID, "context_length_exceeded"),
    ErrorCode.PROVIDER_UNAVAILABLE: (503, _UPSTREAM, "provider_unavailable"),
    ErrorCode.PROVIDER_REJECTED: (502, _UPSTREAM, "provider_rejected"),
    ErrorCode.PROVIDER_TIMEOUT: (504, _UPSTREAM, "provider_timeout"),
    ErrorCode.STREAM_INTERRUPTED: (502, _UPSTREAM, "stream_interrupted"),
    ErrorCode.INVALID_RESPONSE: (502, _UPSTREAM, "invalid_response"),
    ErrorCode.TOOL_FAILED: (502, _UPSTREAM, "tool_failed"),
    ErrorCode.RESUME_EXPIRED: (410, _INVALID, "resume_expired"),
    ErrorCode.CANCELLED: (409, _INVALID, "cancelled"),
    ErrorCode.INTERNAL_SERVER_ERROR: (500, _OURS, "internal_error"),
}
MODEL_NOT_FOUND: Final = "model_not_found"

# Our fields by the names that OpenAI's clients know them by; the others are in `assistant`.
_NAMES: Final[Mapping[str, str]] = {
    "maxTokens": "max_tokens",
    "topP": "top_p",
    "toolCallId": "tool_call_id",
    "responseSchema": "response_format",
    "texts": "input",
}
_TOP_LEVEL: Final = frozenset(
    {"messages", "model", "temperature", "stop", "seed", *_NAMES.values()}
)


class InvalidRequest(BadUserInput):
    """The request breaks a rule of this door.

    ``param`` is the field at fault in OpenAI's spelling, as in ``messages[0].content``; ``reason``
    is its code for that.
    """

    def __init__(self, message: str, param: str, reason: str | None = None) -> None:
        super().__init__(message, path=(param,))
        self.param = param
        self.reason = reason


def unsupported(param: str, what: str | None = None) -> InvalidRequest:
    """What would change the answer, and cannot be had here."""
    said = what or f"{param} is not supported here. Leave it out."
    return InvalidRequest(said, param, "unsupported_parameter")


@dataclass(frozen=True, slots=True)
class Failure:
    """A failure in OpenAI's words. ``retry_after_ms`` is None where nobody knows."""

    status: int
    type: str
    code: str | None
    message: str
    param: str | None = None
    is_retryable: bool | None = None
    retry_after_ms: int | None = None
    completion_id: UUID | None = None

    @property
    def body(self) -> Mapping[str, object]:
        error = {
            "message": self.message,
            "type": self.type,
            "param": self.param,
            "code": self.code,
        }
        return {"error": error}

    @property
    def headers(self) -> dict[str, str]:
        headers: dict[str, str] = {}
        wait_ms = self.retry_after_ms
        if self.is_retryable is not None:
            is_worth_it = self.is_retryable and (wait_ms or 0) <= _LONGEST_WAIT_MS
            headers["x-should-retry"] = str(is_worth_it).lower()
        if wait_ms is not None:
            headers["retry-after"] = str(-(-wait_ms // 1000))
            headers["retry-after-ms"] = str(wait_ms)
        if self.status == 401:
            headers["www-authenticate"] = "Bearer"
        if self.completion_id is not None:
            headers["x-assistant-completion-id"] = str(self.completion_id)
        return headers


def failure_of(error: Exception) -> Failure:
    """``error`` as it is told; a defect of ours is logged and masked."""
    match error:
        case InvalidRequest():
            return Failure(
                400, _INVALID, error.reason, error.message, error.param, is_retryable=False
            )
        case BadUserInput():
            return _bad_input(error)
        case Refused():
            return Failure(error.status, _INVALID, None, error.error.message)
        case AssistantError():
            return _failure(
                error.code,
                error.message,
                error.is_retryable,
                error.retry_after_ms,
                error.completion_id,
            )
        case _:
            message, _extensions = internal(error)
            return _failure(ErrorCode.INTERNAL_SERVER_ERROR, message, False, None, None)


def failure_of_stream(failed: CompletionFailed) -> Failure:
    """The end of a stream that failed."""
    return _failure(
        failed.code,
        failed.message,
        failed.is_retryable,
        failed.retry_after_ms,
        failed.completion_id,
    )


def cancelled(completion_id: UUID) -> Failure:
    """Somebody stopped the completion on purpose: repeating it would not be what they want."""
    message = "The completion was cancelled."
    return _failure(ErrorCode.CANCELLED, message, False, None, completion_id)


def encode(payload: object) -> bytes:
    """JSON in ASCII: half a surrogate pair has no UTF-8."""
    return _ENCODER.encode(payload).encode()


_ENCODER: Final = json.JSONEncoder(allow_nan=False, separators=(",", ":"))


def json_response(
    payload: object, status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    """An answer that is somebody's, and no cache's."""
    every = {"cache-control": "no-store", **(headers or {})}
    return Response(encode(payload), status, every, "application/json")


def error_response(failure: Failure, headers: Mapping[str, str] | None = None) -> Response:
    """The answer that is a failure."""
    return json_response(failure.body, failure.status, {**failure.headers, **(headers or {})})


def _failure(
    code: ErrorCode,
    message: str,
    is_retryable: bool,
    retry_after_ms: int | None,
    completion_id: UUID | None,
) -> Failure:
    status, type_, word = _WORDS[code]
    if code is ErrorCode.INTERNAL_SERVER_ERROR and is_retryable:
        status = 503  # our own database, which will be back
    param = "messages" if code is ErrorCode.CONTEXT_LENGTH_EXCEEDED else None
    return Failure(status, type_, word, message, param, is_retryable, retry_after_ms, completion_id)


def _bad_input(error: BadUserInput) -> Failure:
    """Every problem, its fields by OpenAI's names; the first one's is ``param``."""
    told = [_renamed(each) for each in error.every]
    param = _param(error.path)
    return Failure(
        400,
        _INVALID,
        None,
        cut(" ".join(told)),
        param or None,
        is_retryable=False,
        completion_id=error.completion_id,
    )


def _renamed(error: BadUserInput) -> str:
    """The message; where it begins with a field of ours, with that field's name here instead."""
    if error.path:
        for ours in (".".join(error.path), _bracketed(error.path)):
            if error.message.startswith((f"{ours} ", f"{ours}:")):
                return _param(error.path) + error.message[len(ours) :]
    return error.message


def _param(path: tuple[str, ...]) -> str:
    """The field at ``path`` in OpenAI's spelling; ours alone are in its ``assistant``."""
    if not path:
        return ""
    if path[0] == "parameters" and len(path) > 1:
        path = path[1:]
    renamed = tuple(_NAMES.get(part, part) for part in path)
    return _bracketed(renamed if renamed[0] in _TOP_LEVEL else ("assistant", *renamed))


def _bracketed(path: tuple[str, ...]) -> str:
    return path[0] + "".join(f"[{part}]" if part.isdecimal() else f".{part}" for part in path[1:])
