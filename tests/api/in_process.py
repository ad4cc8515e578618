"""Runs operations on the small schema without a socket, where the transport does not matter."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from strawberry.types import ExecutionResult

from assistant.api.context import Context
from assistant.api.federation import SubgraphSchema
from assistant.domain.caller import Caller
from assistant.errors import Unauthenticated
from tests.api.small_schema import Probe


async def run(
    schema: SubgraphSchema,
    query: str,
    variables: Mapping[str, Any] | None = None,
    *,
    probe: Probe | None = None,
    authenticated: bool = True,
) -> ExecutionResult:
    """The result for a caller of the tenant acme, or for nobody."""
    identity = Caller("acme", None, None, frozenset()) if authenticated else Unauthenticated("Who?")
    return await schema.execute(
        query,
        variable_values=dict(variables or {}),
        context_value=Context(cast(Any, probe or Probe()), identity),
    )


def codes(result: ExecutionResult) -> list[str]:
    """The code of each error."""
    return [(error.extensions or {})["code"] for error in result.errors or ()]


def messages(result: ExecutionResult) -> list[str]:
    """The message of each error."""
    return [error.message for error in result.errors or ()]
