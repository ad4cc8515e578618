"""The graphql-transport-ws protocol, stricter about messages and kinder about errors.

Source: https://github.com/enisdenjo/graphql-ws/blob/master/PROTOCOL.md
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from strawberry.asgi import ASGIWebSocketAdapter
from strawberry.http.exceptions import WebSocketDisconnected
from strawberry.subscriptions.protocols.graphql_transport_ws.handlers import (
    BaseGraphQLTransportWSHandler,
    Operation,
)

from assistant.api.context import Context
from assistant.api.errors import coded, describe, is_request_error
from assistant.api.event_stream import deliver
from assistant.errors import AssistantError, ErrorCode

if TYPE_CHECKING:
    from assistant.api.endpoint import GraphQLEndpoint

# Who a caller is, as a gateway says it beside its secret.
_IDENTITY: Final = frozenset({"x-tenant-id", "x-user-id", "x-service-id", "x-scopes"})
_SECRET: Final = "x-gateway-secret"  # noqa: S105 - a header's name
# Source: https://www.rfc-editor.org/rfc/rfc6455#section-5.5
_MAX_REASON_BYTES: Final = 123
# Source: https://www.iana.org/assignments/websocket/websocket.xhtml#close-code-number
_INTERNAL_ERROR: Final = 1011
_TRY_AGAIN_LATER: Final = 1013


class WebSocketAdapter(ASGIWebSocketAdapter):
    """A socket whose closing reasons fit the frame that carries them."""

    async def close(self, code: int, reason: str) -> None:
        encoded = reason.encode(errors="replace")[:_MAX_REASON_BYTES]
        await super().close(code, encoded.decode(errors="ignore"))


class TransportWSHandler(BaseGraphQLTransportWSHandler[Context, None]):
    """One connection."""

    view: GraphQLEndpoint

    async def handle_task_exception(self, error: Exception) -> None:
        # A client may leave at any moment; everything else is a defect.
        if not isinstance(error, WebSocketDisconnected):
            describe(error)

    async def handle_message(self, message: Any) -> None:
        problem = _problem(message)
        if problem is None:
            await super().handle_message(message)
        else:
            await self.handle_invalid_message(problem)

    async def handle_connection_init(self, message: Any) -> None:
        try:
            await super().handle_connection_init(message)
        except AssistantError:
            # Nobody was refused: we cannot tell now.
            await self.websocket.close(_TRY_AGAIN_LATER, "Try again later")
        except Exception as error:  # noqa: BLE001 - the edge: nothing of an unknown error leaves
            describe(error)
            await self.websocket.close(_INTERNAL_ERROR, "Internal error")

    async def handle_subscribe(self, message: Any) -> None:
        limit = self.max_subscriptions_per_connection
        if (
            self.connection_acknowledged
            and message["id"] not in self.operations
            and limit is not None
            and len(self.operations) >= limit
        ):
            error = coded(
                f"A connection may run {limit} operations at once: end one, or open another.",
                ErrorCode.RATE_LIMITED.value,
                isRetryable=True,
            )
            await self.send_message(
                {"id": message["id"], "type": "error", "payload": [error.formatted]}
            )
            return
        await super().handle_subscribe(message)

    async def _send_result_stream(
        self, operation: Operation[Context, None], result_source: Any
    ) -> None:
        async def take(result: Any) -> None:
            # What stands for no field ends its operation, and only that: Strawberry would close
            # the connection for a syntax error, and with it every other operation.
            try:
                if is_request_error(result):
                    await operation.send_initial_errors(result.errors or [])
                else:
                    await operation.send_next(result)
            except WebSocketDisconnected:
                # Nobody listens any more. Forgotten, or the end of the connection would cancel
                # what the resolver still has to do.
                operation.completed = True
                self.operations.pop(operation.id, None)
                raise

        with suppress(WebSocketDisconnected):
            await deliver(result_source, take, self.view.max_stream_s)


def merge_headers(handshake: Mapping[str, str], payload: Mapping[str, Any]) -> dict[str, str]:
    """The headers of a connection: the handshake's and those in ``connection_init``'s payload.

    The payload, itself or a ``headers`` object in it, wins. Identity headers count only from
    where the gateway's secret is, when there is one: a client must not add scopes to what a
    gateway said in the handshake.
    """
    nested = payload.get("headers")
    offered = {
        name.lower(): value
        for source in (payload, nested if isinstance(nested, Mapping) else {})
        for name, value in source.items()
        if isinstance(name, str) and isinstance(value, str)
    }
    given = dict(handshake)
    if _SECRET in given:
        offered = {name: offered[name] for name in offered.keys() - _IDENTITY - {_SECRET}}
    elif _SECRET in offered:
        given = {name: given[name] for name in given.keys() - _IDENTITY}
    return given | offered


def _problem(message: Any) -> str | None:
    """Why ``message`` is not one of the protocol's; None where it is."""
    if not isinstance(message, dict) or not isinstance(message.get("type"), str):
        return "A message must be an object with a type"
    if message["type"] not in ("subscribe", "complete"):
        return None
    if not isinstance(message.get("id"), str) or not message["id"]:
        return "id must be a text"
    if message["type"] == "complete":
        return None
    payload = message.get("payload")
    if not isinstance(payload, dict) or not isinstance(payload.get("query"), str):
        return "payload must be an object with a query"
    if not isinstance(payload.get("operationName"), str | None):
        return "operationName must be a text or null"
    if not isinstance(payload.get("variables"), dict | None):
        return "variables must be an object or null"
    return None
