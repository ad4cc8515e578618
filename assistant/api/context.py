"""What every resolver can reach: who asks, the services, and this operation's loaders."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, TypeAlias

import strawberry

from assistant.domain.caller import Caller, Scope
from assistant.errors import AssistantError, ErrorCode
from assistant.services import Services


@dataclass(slots=True)
class Context:
    """One HTTP request's or one WebSocket connection's context.

    ``identity`` is the caller, or why there is none: a refusal is raised where a field asks
    who is calling, so that it becomes a GraphQL error with a code like any other.
    ``loaders`` belong to one operation: a WebSocket runs many on one connection.
    """

    services: Services
    identity: Caller | AssistantError
    headers: dict[str, str] = field(default_factory=dict)
    connection_params: dict[str, Any] | None = None
    loaders: dict[str, Any] = field(default_factory=dict)

    @property
    def caller(self) -> Caller:
        """Who asks. Raises Unauthenticated."""
        if isinstance(self.identity, AssistantError):
            raise self.identity
        return self.identity

    def require(self, *scopes: Scope) -> Caller:
        """The caller, if they hold one of ``scopes``. Raises Unauthenticated, Forbidden (counted)."""
        caller = self.caller
        if not any(caller.may(scope) for scope in scopes):
            self.services.telemetry.request_refused(ErrorCode.FORBIDDEN)
            caller.require(scopes[0])
        return caller


Info: TypeAlias = strawberry.Info[Context, None]
