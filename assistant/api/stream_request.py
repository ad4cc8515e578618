"""What a client of ``/api/stream`` asks for: a completion, or to go on with one."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, cast
from uuid import UUID

from assistant.api.graphql_request import decode_json
from assistant.api.http_request import Refused, read_json
from assistant.api.request_json import RequestReader
from assistant.domain.stream import EventId
from assistant.errors import BadUserInput

if TYPE_CHECKING:
    from starlette.requests import Request

    from assistant.api.context import Context
    from assistant.api.federation import SubgraphSchema
    from assistant.domain.completion import CompletionRequest

_MAX_QUERY_BYTES: Final = 16_000
_POSITION: Final = frozenset({"completionId", "lastEventId"})


@dataclass(frozen=True, slots=True)
class Position:
    """Where in which stream to go on; ``after`` is None for its beginning."""

    completion_id: UUID
    after: EventId | None


class StreamRequests:
    """Reads requests. All raise BadUserInput, with every problem that was found, and Refused."""

    def __init__(
        self, schema: SubgraphSchema, *, max_body_bytes: int, body_timeout_s: float
    ) -> None:
        self._reader = RequestReader(schema)
        self._max_body_bytes = max_body_bytes
        self._body_timeout_s = body_timeout_s

    async def read(self, request: Request, context: Context) -> CompletionRequest | Position:
        """Raises: Disconnected as well."""
        is_post = request.method == "POST"
        # Who has lost the connection sends the same request again, with this added to it.
        last_id = context.headers.get("last-event-id", "")
        if not is_post:
            _check_length(request)
            last_id = last_id or request.query_params.get("lastEventId", "")
        if last_id:
            after = EventId.parse(last_id, path=("lastEventId",))
            return Position(after.completion_id, after)
        if is_post:
            body = await read_json(
                request, context.headers, self._max_body_bytes, self._body_timeout_s
            )
            document = _object(body, "The request body")
            if "resume" in document:
                return _position(document)
        else:
            text = request.query_params.get("request", "")
            document = _object(text, "The parameter `request` of the URL")
        return self._completion_request(document, context)

    def _completion_request(
        self, document: Mapping[str, Any], context: Context
    ) -> CompletionRequest:
        asked = self._reader.read(document).to_domain(context)
        key = context.headers.get("idempotency-key")
        if not key:
            return asked
        if asked.idempotency_key not in (None, key):
            raise BadUserInput(
                "The header Idempotency-Key and idempotencyKey are two keys; send one of them.",
                path=("idempotencyKey",),
            )
        return replace(asked, idempotency_key=key)


def _check_length(request: Request) -> None:
    if len(request.scope["query_string"]) > _MAX_QUERY_BYTES:
        raise Refused(
            414, f"The query is longer than {_MAX_QUERY_BYTES:,} bytes. Send the request by POST."
        )


def _object(text: str | bytes, what: str) -> Mapping[str, Any]:
    try:
        document = decode_json(text)
    except json.JSONDecodeError:
        document = None
    if not isinstance(document, dict):
        raise BadUserInput(
            f'{what} must be a CompletionRequest as a JSON object in UTF-8, as in {{"text": "Hi"}}.'
        )
    return document


def _position(document: Mapping[str, Any]) -> Position:
    """Of ``{"resume": {"completionId", "lastEventId"}}``, which is GraphQL's ``resume``."""
    resume = document["resume"]
    if not isinstance(resume, dict) or len(document) > 1 or not resume.keys() <= _POSITION:
        raise BadUserInput(
            "resume must be an object with completionId and lastEventId, alone in the body.",
            path=("resume",),
        )
    problems: list[BadUserInput] = []
    completion_id, after = None, None
    try:
        completion_id = UUID(cast("str", resume.get("completionId")))
    except (ValueError, TypeError, AttributeError):
        problems.append(
            BadUserInput("completionId must be the id of a completion.", path=("completionId",))
        )
    if (last_id := resume.get("lastEventId")) is not None:
        path = ("lastEventId",)
        try:
            after = EventId.parse(str(last_id), path=path)
        except BadUserInput as problem:
            problems.append(problem)
        if after and completion_id and after.completion_id != completion_id:
            problems.append(BadUserInput("lastEventId is of another completion.", path=path))
    if problems or completion_id is None:
        raise BadUserInput.joined(problems).within("resume")
    return Position(completion_id, after)
