"""The addresses that OpenAI's clients know.

Source: https://platform.openai.com/docs/api-reference
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, NoReturn, TypeAlias

from starlette.requests import Request
from starlette.routing import Route

from assistant.api.body_limit import Disconnected
from assistant.api.context import Context
from assistant.api.event_stream import EventStream
from assistant.api.graphql_request import decode_json
from assistant.api.http_request import Refused, headers_of, read_json, unless_disconnected
from assistant.api.openai.chat_request import ChatRequest, read_chat
from assistant.api.openai.chat_response import chunks, error_event, whole_answer
from assistant.api.openai.embeddings import embeddings_answer, read_embeddings
from assistant.api.openai.errors import (
    Failure,
    cancelled,
    error_response,
    failure_of,
    failure_of_stream,
    json_response,
)
from assistant.api.openai.extensions import CACHE_HEADER, COMPLETION_HEADER
from assistant.api.openai.models import model_answer, model_not_found, models_answer
from assistant.api.request_json import RequestReader
from assistant.api.stream_events import NAMED_EVENTS
from assistant.domain.completion import (
    Completion,
    CompletionFailed,
    CompletionFinished,
    CompletionRequest,
    CompletionStatus,
    StreamEvent,
)
from assistant.errors import AssistantError, BadUserInput, ErrorCode, NotFound
from assistant.services.completion import check_request

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

    from assistant.api.endpoint import Authenticate
    from assistant.api.federation import SubgraphSchema
    from assistant.domain.caller import Caller
    from assistant.services import Services

_Answer: TypeAlias = "Callable[[Request, dict[str, str], Caller], Awaitable[ASGIApp]]"

# Nothing to say of when to connect again: OpenAI's clients do not.
_CHUNKS: Final = replace(NAMED_EVENTS, opening=b"")


def openai_routes(
    schema: SubgraphSchema,
    *,
    services: Services,
    authenticate: Authenticate,
    max_body_bytes: int = 1_000_000,
    body_timeout_s: float = 30.0,
    max_stream_s: float = 3600.0,
    keep_alive_s: float = 15.0,
) -> list[Route]:
    """``/v1/...``. ``authenticate`` gets headers by lower-cased name.

    ``max_stream_s`` ends a stream however busy it is; ``keep_alive_s`` is how often a comment says
    that it is alive.
    """
    chat = _Chat(schema, services, max_body_bytes, body_timeout_s, max_stream_s, keep_alive_s)
    others = _Others(services, max_body_bytes, body_timeout_s)
    return [
        Route("/v1/chat/completions", _Address("POST", chat.answer, authenticate)),
        Route("/v1/embeddings", _Address("POST", others.embed, authenticate)),
        Route("/v1/models", _Address("GET", others.list_models, authenticate)),
        Route("/v1/models/{id:path}", _Address("GET", others.get_model, authenticate)),
        Route("/v1/{rest:path}", _Address(None, _refuse, authenticate)),
    ]


class _Told(Exception):
    """What is answered is this failure."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message)
        self.failure = failure


class _Address:
    """The ASGI application at one address: knows the caller, and tells what fails as clients read it.

    ``method`` is the only one that is taken; None takes all.
    """

    def __init__(self, method: str | None, answer: _Answer, authenticate: Authenticate) -> None:
        self._method = method
        self._answer = answer
        self._authenticate = authenticate

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        try:
            response = await self._respond(request)
        except Disconnected:
            return
        await response(scope, receive, send)

    async def _respond(self, request: Request) -> ASGIApp:
        try:
            if self._method not in (None, request.method):
                raise Refused(405, f"Send it with {self._method}.", allow=self._method or "")
            headers = headers_of(request)
            return await self._answer(request, headers, await self._authenticate(headers))
        except _Told as told:
            return error_response(told.failure)
        except Refused as refused:
            return error_response(failure_of(refused), refused.headers)
        except Disconnected:
            raise
        except Exception as error:  # noqa: BLE001 - the edge: nothing of an unknown error leaves
            return error_response(failure_of(error))


class _Chat:
    """``/v1/chat/completions``."""

    def __init__(
        self,
        schema: SubgraphSchema,
        services: Services,
        max_body_bytes: int,
        body_timeout_s: float,
        max_stream_s: float,
        keep_alive_s: float,
    ) -> None:
        self._reader = RequestReader(schema)
        self._services = services
        self._max_body_bytes = max_body_bytes
        self._body_timeout_s = body_timeout_s
        self._max_stream_s = max_stream_s
        self._framing = replace(_CHUNKS, heartbeat_s=keep_alive_s)

    async def answer(self, request: Request, headers: dict[str, str], caller: Caller) -> ASGIApp:
        body = await _object(request, headers, self._max_body_bytes, self._body_timeout_s)
        context = Context(self._services, caller, headers)
        asked = read_chat(body, headers, self._reader, context)
        if asked.is_streamed:
            return await self._stream(request, asked)
        completion = await self._complete(request, asked.request)
        return json_response(
            whole_answer(completion),
            headers={
                COMPLETION_HEADER: str(completion.id),
                CACHE_HEADER: completion.cache.lower(),
            },
        )

    async def _complete(self, request: Request, asked: CompletionRequest) -> Completion:
        try:
            completion = await unless_disconnected(
                request.receive, self._services.runs.complete(asked)
            )
        except AssistantError as error:
            raise _Told(_with_model(failure_of(error), error.code, asked)) from error
        if completion.status is CompletionStatus.CANCELLED:
            raise _Told(cancelled(completion.id))
        return completion

    async def _stream(self, request: Request, asked: ChatRequest) -> ASGIApp:
        """The response; where the stream fails before it has begun, its status says so."""
        events = self._services.runs.stream(asked.request, survives=False)
        first = await unless_disconnected(request.receive, anext(events))
        failure = _failure_of_first(first.event, asked.request)
        if failure is not None:
            await events.aclose()
            raise _Told(failure)
        return EventStream(
            chunks(events, first, includes_usage=asked.includes_usage),
            self._max_stream_s,
            bytes,
            self._framing,
            lambda error: error_event(failure_of(error)),
        )


class _Others:
    """``/v1/embeddings`` and ``/v1/models``."""

    def __init__(self, services: Services, max_body_bytes: int, body_timeout_s: float) -> None:
        self._services = services
        self._max_body_bytes = max_body_bytes
        self._body_timeout_s = body_timeout_s

    async def embed(self, request: Request, headers: dict[str, str], caller: Caller) -> ASGIApp:
        body = await _object(request, headers, self._max_body_bytes, self._body_timeout_s)
        asked, as_base64 = read_embeddings(body, caller)
        try:
            found = await unless_disconnected(
                request.receive, self._services.embeddings.embed(asked)
            )
        except NotFound as error:
            raise _Told(model_not_found(error.message)) from error
        return json_response(embeddings_answer(found, as_base64=as_base64))

    async def list_models(
        self, _request: Request, _headers: dict[str, str], caller: Caller
    ) -> ASGIApp:
        return json_response(models_answer(await self._services.models.catalog(caller.tenant_id)))

    async def get_model(
        self, request: Request, _headers: dict[str, str], caller: Caller
    ) -> ASGIApp:
        catalog = await self._services.models.catalog(caller.tenant_id)
        answer = model_answer(catalog, request.path_params["id"])
        if isinstance(answer, Failure):
            raise _Told(answer)
        return json_response(answer)


async def _refuse(request: Request, _headers: dict[str, str], _caller: Caller) -> NoReturn:
    """What else OpenAI has."""
    raise Refused(
        404,
        f"There is no {request.method} {request.url.path[:200]} here. There are /v1/chat/completions, "
        "/v1/embeddings and /v1/models.",
    )


async def _object(
    request: Request, headers: Mapping[str, str], max_bytes: int, timeout_s: float
) -> Mapping[str, Any]:
    """The body, which is a JSON object. Raises Refused, BadUserInput, Disconnected."""
    try:
        body = decode_json(await read_json(request, headers, max_bytes, timeout_s))
    except json.JSONDecodeError:
        raise BadUserInput("The request body must be JSON in UTF-8.") from None
    if not isinstance(body, dict):
        raise BadUserInput("The request body must be a JSON object.")
    return body


def _failure_of_first(event: StreamEvent, asked: CompletionRequest) -> Failure | None:
    """Why there is nothing to stream; None where there is."""
    match event:
        case CompletionFailed():
            failure = failure_of_stream(event)
            if event.code is ErrorCode.BAD_USER_INPUT:
                failure = _pointed(failure, asked)
            return _with_model(failure, event.code, asked)
        case CompletionFinished(completion) if completion.status is CompletionStatus.CANCELLED:
            return cancelled(completion.id)
        case _:
            return None


def _pointed(failure: Failure, asked: CompletionRequest) -> Failure:
    """An event does not say which field is wrong; the request does, where it is by itself."""
    try:
        check_request(asked)
    except BadUserInput as error:
        error.completion_id = failure.completion_id
        return failure_of(error)
    return failure


def _with_model(failure: Failure, code: ErrorCode, asked: CompletionRequest) -> Failure:
    """Where no prompt is named, only a model can be missing."""
    if code is not ErrorCode.NOT_FOUND or asked.prompt_name is not None:
        return failure
    return replace(model_not_found(failure.message), completion_id=failure.completion_id)
