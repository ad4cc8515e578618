"""Rate limits: token buckets of requests and of tokens."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

from assistant.domain.budget import LimitScope


class LimitMeasure(StrEnum):
    """What a rate limit counts."""

    REQUESTS = "REQUESTS"
    TOKENS = "TOKENS"


@dataclass(frozen=True, slots=True)
class RateLimit:
    """A token bucket: ``capacity`` at once, refilled at ``per_minute``.

    ``subject`` is a user's, a service's or an API key's id; None: every member of the scope has
    a bucket like this. One that names a subject stands in for the one of every member.
    """

    id: UUID
    tenant_id: str
    scope: LimitScope
    subject: str | None
    measure: LimitMeasure
    capacity: int
    per_minute: int


@dataclass(frozen=True, slots=True)
class RateLimitDraft:
    """What an administrator says of a limit. A tenant has one of a scope, subject and measure."""

    scope: LimitScope
    subject: str | None
    measure: LimitMeasure
    capacity: int
    per_minute: int


@dataclass(frozen=True, slots=True)
class RateLimitLevel:
    """A rate limit, and how many whole tokens its bucket holds now; never below 0.

    Of one of every member it is the bucket that holds least.
    """

    limit: RateLimit
    available: int
