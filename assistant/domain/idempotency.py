"""What is asked once under a key of the client's choosing is done once."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

from assistant.domain.caller import Caller
from assistant.errors import BadUserInput

_KEY = re.compile(r"[\x21-\x7e]{8,64}")


def check_idempotency_key(key: str) -> None:
    """Raises BadUserInput."""
    if not _KEY.fullmatch(key):
        raise BadUserInput(
            "idempotencyKey must have 8 to 64 letters, digits or signs of ASCII, without spaces; a "
            "UUID does.",
            path=("idempotencyKey",),
        )


@dataclass(frozen=True, slots=True)
class IdempotencyKey:
    """A key, and whose it is: two callers may use the same without meeting."""

    tenant_id: str
    owner: str
    key: str

    @staticmethod
    def of(caller: Caller, key: str) -> IdempotencyKey:
        """A person's keys are theirs through whichever service they ask, as their completions are."""
        if caller.user_id is not None:
            owner = f"user:{caller.user_id}"
        else:
            owner = f"service:{caller.service_id or ''}"
        return IdempotencyKey(caller.tenant_id, owner, key)


class KeyOutcome(StrEnum):
    """What a request with a key was: the first, one that has its result, or another request."""

    FIRST = "first"
    REPEATED = "repeated"
    CONFLICT = "conflict"


@dataclass(frozen=True, slots=True)
class KeyHolder:
    """The completion that has a key, and of what request (``fingerprint``, SHA-256).

    ``error`` is what it ended with, as AssistantError.to_json has it, where that is its result.
    """

    completion_id: UUID
    fingerprint: bytes
    error: Mapping[str, object] | None = None
