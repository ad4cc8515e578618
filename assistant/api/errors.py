"""The only map from what went wrong to what a client reads.

Every error of every transport (HTTP, SSE, multipart, WebSocket) passes ``present`` once, because
Strawberry hands each result's errors to ``Schema.process_errors`` before it sends them:

    AssistantError                   its code and message, isRetryable, retryAfterMs, inputPath
    syntax of a document             GRAPHQL_PARSE_FAILED
    rules of a document              GRAPHQL_VALIDATION_FAILED (coded where they are checked)
    variables, operation name        BAD_USER_INPUT
    anything else                    INTERNAL_SERVER_ERROR, a reference instead of the text

No message holds a value that a client sent: values are prompts, and errors end in logs.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final
from uuid import uuid4

import structlog
from graphql import GraphQLError, GraphQLSyntaxError, ValueNode, VariableDefinitionNode
from strawberry.exceptions import MissingQueryError
from strawberry.schema.exceptions import CannotGetOperationTypeError, InvalidOperationTypeError

from assistant.api.input_errors import explain_variables
from assistant.errors import (
    AdmissionRefused,
    AssistantError,
    BadUserInput,
    ErrorCode,
    ReaderTooSlow,
    StreamUnreadable,
)

if TYPE_CHECKING:
    from strawberry.types import ExecutionContext, ExecutionResult

PARSE_FAILED: Final = "GRAPHQL_PARSE_FAILED"
VALIDATION_FAILED: Final = "GRAPHQL_VALIDATION_FAILED"

# Names that a client made up are echoed, but not a megabyte of them.
_MAX_MESSAGE: Final = 400
# As graphql-core names a token that it did not expect: String 'the whole prompt'.
_QUOTED_TEXT: Final = re.compile(r"(?<=String) ['\"].*", re.DOTALL)

log = structlog.get_logger(__name__)


def present(errors: list[GraphQLError], context: ExecutionContext | None) -> None:
    """Replace every error in ``errors`` by what its client may see; presenting twice is harmless."""
    if context is not None and any(_is_about_variable(error) for error in errors):
        errors[:] = _variable_errors(errors, context)
    errors[:] = [_presentable(error) for error in errors]


def coded(message: str, code: str, **extensions: object) -> GraphQLError:
    """A GraphQL error that is presented as it is."""
    return GraphQLError(cut(message), extensions={"code": code, **extensions})


def extensions_of(error: AssistantError) -> dict[str, Any]:
    """What a client branches on, beside the message.

    ``retryAfterMs`` is how long to wait before the same call may succeed, ``inputPath`` the
    input field at fault; both only where known. Budgets and rate limits say which they are, and
    a stream that goes on without its reader says after which event to resume it.
    """
    extensions: dict[str, Any] = {"code": error.code.value, "isRetryable": error.is_retryable}
    if error.retry_after_ms is not None:
        extensions["retryAfterMs"] = error.retry_after_ms
    if isinstance(error, BadUserInput) and error.path:
        extensions["inputPath"] = list(error.path)
    if isinstance(error, AdmissionRefused):
        extensions |= error.details
    if isinstance(error, ReaderTooSlow | StreamUnreadable) and error.last_event_id is not None:
        extensions["lastEventId"] = error.last_event_id
    if error.completion_id is not None:
        extensions["completionId"] = str(error.completion_id)
    return extensions


def internal(cause: BaseException) -> tuple[str, dict[str, Any]]:
    """Log a defect of ours once and return the message and extensions that stand for it."""
    reference = structlog.contextvars.get_contextvars().get("request_id") or uuid4().hex[:16]
    log.error("unexpected error", reference=reference, exc_info=cause)
    return (
        f"Internal error. It is recorded under the reference {reference}.",
        {
            "code": ErrorCode.INTERNAL_SERVER_ERROR.value,
            "isRetryable": False,
            "reference": reference,
        },
    )


def describe(error: Exception) -> Mapping[str, Any]:
    """``error`` as one entry of a response's ``errors``, for what fails outside any operation."""
    if isinstance(error, AssistantError):
        return {"message": error.message, "extensions": extensions_of(error)}
    message, extensions = internal(error)
    return {"message": message, "extensions": extensions}


def is_request_error(result: ExecutionResult) -> bool:
    """Whether ``result`` tells why nothing was run, or runs any more, instead of what a field is.

    What fails while running has a field's path; where that field is non-null, ``data`` is null.
    """
    return result.data is None and all(error.path is None for error in result.errors or ())


def cut(message: str) -> str:
    """``message``, at most 400 characters."""
    return message if len(message) <= _MAX_MESSAGE else f"{message[:_MAX_MESSAGE]}..."


def _presentable(error: GraphQLError) -> GraphQLError:
    if error.extensions and "code" in error.extensions:
        return error
    cause = _cause(error)
    match cause:
        case AssistantError():
            return _with(error, cause.message, extensions_of(cause))
        case GraphQLSyntaxError():
            message = cut(_QUOTED_TEXT.sub("", cause.message))
            return _with(error, message, {"code": PARSE_FAILED})
        case MissingQueryError():
            return _with(error, "Send a GraphQL document as `query`.", _BAD_USER_INPUT)
        case InvalidOperationTypeError():
            return _with(error, "A mutation must be sent with POST.", _BAD_USER_INPUT)
        case CannotGetOperationTypeError():
            return _with(error, cut(error.message), _BAD_USER_INPUT)
        case GraphQLError() if error.path is None:
            return _with(error, cut(error.message), _BAD_USER_INPUT)
        case GraphQLError() if error.nodes and isinstance(error.nodes[0], ValueNode):
            # A variable that was left out or null where the argument cannot be.
            return _with(error, "The value of an argument does not fit its type.", _BAD_USER_INPUT)
        case _:
            message, extensions = internal(cause)
            return _with(error, message, extensions)


_BAD_USER_INPUT: Final[dict[str, Any]] = {"code": ErrorCode.BAD_USER_INPUT.value}


def _cause(error: GraphQLError) -> BaseException:
    cause: BaseException = error
    while isinstance(cause, GraphQLError) and cause.original_error is not None:
        cause = cause.original_error
    return cause


def _with(error: GraphQLError, message: str, extensions: dict[str, Any]) -> GraphQLError:
    """The same place in document and response, and nothing else of ``error``."""
    return GraphQLError(
        message, error.nodes, error.source, error.positions, error.path, extensions=extensions
    )


def _is_about_variable(error: GraphQLError) -> bool:
    # Rules of the document that are about variables carry their code already.
    return (
        error.path is None
        and not error.extensions
        and bool(error.nodes)
        and isinstance(error.nodes[0], VariableDefinitionNode)  # type: ignore[index]
    )


def _variable_errors(errors: list[GraphQLError], context: ExecutionContext) -> list[GraphQLError]:
    """The same problems, worded without the values."""
    nodes = [error.nodes[0] for error in errors if error.nodes]
    definitions = [node for node in nodes if isinstance(node, VariableDefinitionNode)]
    unique = list(dict.fromkeys(definitions))
    return [
        GraphQLError(cut(message), node, extensions={**_BAD_USER_INPUT, "inputPath": path})
        for node, path, message in explain_variables(
            context.schema._schema, unique, context.variables or {}
        )
    ]
