"""API keys: shown once, stored as a hash."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from assistant.domain.caller import Caller


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A stored key. ``prefix`` is its readable beginning; the secret itself is nowhere."""

    id: UUID
    caller: Caller
    name: str
    prefix: str
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
