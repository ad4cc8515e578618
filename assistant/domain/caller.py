"""Who is asking, and what they may do."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

from assistant.errors import BadUserInput, Forbidden

PLATFORM_TENANT = "platform"
"""Owns the catalog that every tenant can read: seeded prompts, providers, models, groups."""

_IDENTIFIER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:@|/+-]{0,127}")


class Scope(StrEnum):
    """What a caller may do; ``ADMIN`` includes the others."""

    COMPLETE = "assistant:complete"
    PROMPTS_WRITE = "assistant:prompts:write"
    USAGE_READ = "assistant:usage:read"
    ADMIN = "assistant:admin"


EVERY_SCOPE = frozenset(Scope)
_BY_NAME = {scope.value: scope for scope in Scope}


@dataclass(frozen=True, slots=True)
class Caller:
    """An authenticated caller. ``user_id`` and ``service_id`` are None where there is no such party.

    ``is_developer``: at their own machine, in dev mode, and so the operator of it. ``api_key_id`` is
    that of the key that they came with, None where they showed something else.
    """

    tenant_id: str
    user_id: str | None
    service_id: str | None
    scopes: frozenset[Scope]
    is_developer: bool = False
    api_key_id: str | None = None

    @property
    def is_operator(self) -> bool:
        """Whether they may change what belongs to the platform, where their scopes let them."""
        return self.is_developer or self.tenant_id == PLATFORM_TENANT

    @property
    def may_change(self) -> tuple[str, ...]:
        """The tenants whose part of the catalog they may change with the right scope, their own first."""
        if self.is_operator and self.tenant_id != PLATFORM_TENANT:
            return (self.tenant_id, PLATFORM_TENANT)
        return (self.tenant_id,)

    def owns(self, user_id: str | None, service_id: str | None) -> bool:
        """Whether what these two of their tenant asked for is the caller's own.

        A person's is theirs through whichever service they asked. What a service asked for itself
        is not that of the people who come through it.
        """
        if user_id is not None:
            return user_id == self.user_id
        return self.user_id is None and service_id == self.service_id

    def may(self, scope: Scope) -> bool:
        """Whether the caller holds ``scope``, directly or as an admin."""
        return scope in self.scopes or Scope.ADMIN in self.scopes

    def require(self, scope: Scope) -> None:
        """Let the caller pass. Raises Forbidden, naming the scope that is missing."""
        if not self.may(scope):
            raise Forbidden(
                f"This needs the scope {scope.value}. Ask an administrator to grant it."
            )


def check_identifier(value: str, what: str) -> str:
    """Return ``value`` as it is: 1 to 128 letters, digits or ``._:@|/+-``. Raises BadUserInput."""
    if not _IDENTIFIER.fullmatch(value):
        raise BadUserInput(
            f"{what} must be 1 to 128 letters, digits or any of . _ : @ | / + - "
            "and start with a letter or digit."
        )
    return value


def check_platform_access(caller: Caller) -> None:
    """Let nobody but an admin act for the platform: what is written there, every tenant sees.

    Raises Forbidden.
    """
    if caller.tenant_id == PLATFORM_TENANT and Scope.ADMIN not in caller.scopes:
        raise Forbidden(
            f"The tenant {PLATFORM_TENANT} is the operator's own and needs the scope "
            f"{Scope.ADMIN.value}. Use your own tenant."
        )


def parse_scopes(text: str) -> frozenset[Scope]:
    """Read scopes separated by spaces or commas. Unknown ones are other services': ignored."""
    words = text.replace(",", " ").split()
    return frozenset(_BY_NAME[word] for word in words if word in _BY_NAME)
