"""GraphQL over HTTP and WebSocket.

What is refused and why: docs/decisions/0006-graphql-over-http.md.
Source: https://graphql.github.io/graphql-over-http/draft/
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from starlette.requests import Request
from starlette.responses import Response
from starlette.websockets import WebSocket
from strawberry.asgi import GraphQL
from strawberry.exceptions import ConnectionRejectionError, MissingQueryError
from strawberry.schema.exceptions import CannotGetOperationTypeError, InvalidOperationTypeError
from strawberry.subscriptions import GRAPHQL_TRANSPORT_WS_PROTOCOL
from strawberry.types.graphql import OperationType
from strawberry.types.unset import UNSET, UnsetType

from assistant.api.body_limit import Disconnected
from assistant.api.context import Context
from assistant.api.cross_site import may_come_from_any_page
from assistant.api.event_stream import FRAMINGS, EventStream
from assistant.api.graphql_request import (
    GraphQLRequest,
    decode_json,
    request_of_body,
    request_of_url,
)
from assistant.api.graphql_response import (
    encode_event,
    encode_message,
    error_response,
    request_error_response,
    result_response,
)
from assistant.api.http_request import Refused, headers_of, read_json, unless_disconnected
from assistant.api.media_type import Accepted, read_accept
from assistant.api.websocket import TransportWSHandler, WebSocketAdapter, merge_headers
from assistant.domain.caller import Caller
from assistant.errors import AssistantError, BadUserInput, ErrorCode, Unauthenticated
from assistant.services.identity import GATEWAY_HEADER

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

    from assistant.api.federation import SubgraphSchema
    from assistant.services import Services

Authenticate: TypeAlias = Callable[[Mapping[str, str]], Awaitable[Caller]]


class GraphQLEndpoint(GraphQL[Context, None]):
    """The ASGI application at ``/graphql``.

    ``authenticate`` gets headers by lower-cased name and raises Unauthenticated; it is asked once
    per HTTP request or WebSocket connection. ``ide`` answers browsers that open the address.
    ``allowed_origins`` are other sites' pages that may use the service. ``max_stream_s`` ends a
    subscription however busy it is.
    """

    graphql_transport_ws_handler_class = TransportWSHandler
    websocket_adapter_class = WebSocketAdapter

    def __init__(
        self,
        schema: SubgraphSchema,
        *,
        services: Services,
        authenticate: Authenticate,
        ide: Callable[[], Response] | None = None,
        allowed_origins: Sequence[str] = (),
        max_body_bytes: int = 1_000_000,
        body_timeout_s: float = 30.0,
        max_stream_s: float = 3600.0,
        connection_init_timeout_s: float = 10.0,
        max_subscriptions_per_connection: int = 20,
    ) -> None:
        super().__init__(
            schema,
            graphql_ide=None,
            # Over HTTP this class speaks for itself; the legacy graphql-ws is left out on purpose.
            subscription_protocols=(GRAPHQL_TRANSPORT_WS_PROTOCOL,),
            connection_init_wait_timeout=timedelta(seconds=connection_init_timeout_s),
            max_subscriptions_per_connection=max_subscriptions_per_connection,
            allowed_origins=allowed_origins,
        )
        self.max_stream_s = max_stream_s
        self._services = services
        self._authenticate = authenticate
        self._ide = ide
        self._max_body_bytes = max_body_bytes
        self._body_timeout_s = body_timeout_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await self.run(WebSocket(scope, receive=receive, send=send))
            return
        request = Request(scope, receive)
        try:
            response = await self._respond(request)
        except Disconnected:
            return
        await response(scope, receive, send)

    # --- HTTP

    async def _respond(self, request: Request) -> ASGIApp:
        headers = headers_of(request)
        accepted = read_accept(headers.get("accept", ""))
        try:
            if request.method == "GET":
                if self._ide and accepted.page and "query" not in request.query_params:
                    return self._ide()
                asked = self._read_url(request, headers)
            elif request.method == "POST":
                asked = await self._read_body(request, headers)
            else:
                raise Refused(405, "GraphQL is spoken with GET and POST.", allow="GET, POST")
            return await self._run(request, headers, asked, accepted)
        except Refused as refused:
            return error_response(refused.error, refused.status, accepted, refused.headers)
        except BadUserInput as error:
            return error_response(error, 400, accepted, {})
        except Disconnected:
            raise
        except Exception as error:  # noqa: BLE001 - the edge: nothing of an unknown error leaves
            return error_response(error, 500, accepted, {})

    def _read_url(self, request: Request, headers: Mapping[str, str]) -> GraphQLRequest:
        if may_come_from_any_page(headers, self.allowed_origins):
            raise Refused(
                403,
                "A browser's GET needs the header apollo-require-preflight: true, "
                "so that no other site's page can send it. Or use POST.",
            )
        return request_of_url(request.query_params)

    async def _read_body(self, request: Request, headers: Mapping[str, str]) -> GraphQLRequest:
        body = await read_json(request, headers, self._max_body_bytes, self._body_timeout_s)
        return request_of_body(body)

    async def _run(
        self,
        request: Request,
        headers: dict[str, str],
        asked: GraphQLRequest,
        accepted: Accepted,
    ) -> ASGIApp:
        context = Context(self._services, await self._identify(headers), headers)
        if accepted.result or not accepted.stream:
            try:
                result = await unless_disconnected(
                    request.receive,
                    self.schema.execute(
                        asked.query,
                        variable_values=asked.variables,
                        context_value=context,
                        operation_name=asked.operation_name,
                        operation_extensions=asked.extensions,
                        allowed_operation_types=_RUN_AT_ONCE[request.method],
                    ),
                )
                return result_response(result, accepted, is_for_gateway=_is_gateway(headers))
            except InvalidOperationTypeError as error:
                self._refuse_operation(error.operation_type, accepted)
            except CannotGetOperationTypeError:
                return request_error_response(
                    BadUserInput("The document has no operation of this `operationName`."), accepted
                )
            except MissingQueryError:
                raise BadUserInput("Send a GraphQL document as `query`.") from None
            finally:
                # They refer to who refers to them: left so, all that was loaded would wait for the
                # garbage collector, which then holds up everybody.
                context.loaders.clear()
        results = await self.schema.stream(
            asked.query,
            variable_values=asked.variables,
            context_value=context,
            operation_name=asked.operation_name,
            operation_extensions=asked.extensions,
            allowed_operation_types=_STREAMED[request.method],
        )
        assert accepted.stream is not None
        return EventStream(results, self.max_stream_s, encode_event, FRAMINGS[accepted.stream])

    @staticmethod
    def _refuse_operation(kind: OperationType, accepted: Accepted) -> None:
        """Raises Refused unless the operation is a subscription that can be streamed."""
        if kind is OperationType.MUTATION:
            raise Refused(405, "A mutation must be sent with POST.", allow="POST")
        if accepted.stream is None:
            raise Refused(
                406,
                "A subscription needs accept: text/event-stream, or "
                "multipart/mixed;subscriptionSpec=1.0, or a WebSocket with graphql-transport-ws.",
            )

    async def _identify(self, headers: Mapping[str, str]) -> Caller | AssistantError:
        try:
            return await self._authenticate(headers)
        except AssistantError as error:
            return error

    # --- WebSocket: Strawberry asks for these

    async def get_context(
        self,
        request: Request | WebSocket,
        response: Response | WebSocket,  # noqa: ARG002
    ) -> Context:
        return Context(
            self._services,
            Unauthenticated("Send connection_init first."),
            headers_of(request),
            connection_params={},
        )

    async def on_ws_connect(self, context: Context) -> UnsetType:
        """Authenticate the connection. Unauthenticated and Forbidden close it with 4403."""
        context.headers = merge_headers(context.headers, context.connection_params or {})
        try:
            context.identity = await self._authenticate(context.headers)
        except AssistantError as error:
            if error.code in (ErrorCode.UNAUTHENTICATED, ErrorCode.FORBIDDEN):
                raise ConnectionRejectionError from None
            raise
        acknowledgement: UnsetType = UNSET  # without a payload
        return acknowledgement

    def decode_json(self, data: str | bytes) -> object:
        return decode_json(data)

    def encode_json(self, data: Any) -> str:
        return encode_message(data)


_RUN_AT_ONCE: Final = {
    "GET": frozenset({OperationType.QUERY}),
    "POST": frozenset({OperationType.QUERY, OperationType.MUTATION}),
}
_STREAMED: Final = {
    "GET": frozenset({OperationType.QUERY, OperationType.SUBSCRIPTION}),
    "POST": frozenset(OperationType),
}


def _is_gateway(headers: Mapping[str, str]) -> bool:
    """Whether a gateway asks, by its secret, or by what @apollo/gateway calls itself without one."""
    return GATEWAY_HEADER in headers or headers.get("user-agent", "").startswith("minipass-fetch/")
