"""Rate limits as clients see them and change them."""

from __future__ import annotations

from typing import Self
from uuid import UUID

import strawberry

from assistant.api.context import Info
from assistant.api.user_errors import DeletePayload, UserError, attempt
from assistant.domain.budget import LimitScope
from assistant.domain.rate_limit import LimitMeasure, RateLimitDraft, RateLimitLevel
from assistant.errors import NotFound


@strawberry.type(
    description="A token bucket: `capacity` at once, refilled at `perMinute`. One without a subject "
    "gives every member of the scope such a bucket, each."
)
class RateLimit:
    id: strawberry.ID = strawberry.field(description="Names it in changes.")
    scope: LimitScope = strawberry.field(description="Whom it is about.")
    subject: strawberry.ID | None = strawberry.field(
        description="Null for every member of the scope. One that names a subject stands in for "
        "that of every member."
    )
    measure: LimitMeasure = strawberry.field(description="What it counts.")
    capacity: int = strawberry.field(description="How many there can be at once.")
    per_minute: int = strawberry.field(description="How many come back in a minute.")
    available: int = strawberry.field(
        description="How many there are now, never below 0; of one for every member in the bucket "
        "that holds least, or the caller's own where they see no others."
    )

    @classmethod
    def of(cls, level: RateLimitLevel) -> Self:
        limit = level.limit
        return cls(
            id=strawberry.ID(str(limit.id)),
            scope=limit.scope,
            subject=None if limit.subject is None else strawberry.ID(limit.subject),
            measure=limit.measure,
            capacity=limit.capacity,
            per_minute=limit.per_minute,
            available=level.available,
        )


@strawberry.input(
    description="A rate limit, whole. The one of the same scope, subject and measure is changed; "
    "what was taken of its buckets stays taken."
)
class RateLimitInput:
    scope: LimitScope = strawberry.field(description="Whom it is about.")
    subject: strawberry.ID | None = strawberry.field(
        default=None,
        description="Whose it is: the id of a service, a user or an API key. Null for every member "
        "of the scope, each; always null for GLOBAL.",
    )
    measure: LimitMeasure = strawberry.field(
        default=LimitMeasure.REQUESTS, description="What it counts."
    )
    capacity: int = strawberry.field(
        description="How many there can be at once: 1 to 1,000,000,000."
    )
    per_minute: int = strawberry.field(
        description="How many come back in a minute: 1 to 1,000,000,000."
    )

    def to_domain(self) -> RateLimitDraft:
        return RateLimitDraft(
            scope=self.scope,
            subject=self.subject,
            measure=self.measure,
            capacity=self.capacity,
            per_minute=self.per_minute,
        )


@strawberry.type(description="A rate limit that was written, or why not.")
class RateLimitPayload:
    rate_limit: RateLimit | None = strawberry.field(
        description="The limit as it is now; null where it was refused."
    )
    user_errors: list[UserError] = strawberry.field(description="Empty where all went well.")

    @classmethod
    def of(cls, level: RateLimitLevel | None, user_errors: list[UserError]) -> Self:
        return cls(rate_limit=RateLimit.of(level) if level else None, user_errors=user_errors)


async def rate_limits(info: Info) -> list[RateLimit]:
    context = info.context
    levels = await context.services.rate_limits.list_limits(context.caller)
    return [RateLimit.of(level) for level in levels]


async def set_rate_limit(info: Info, given: RateLimitInput) -> RateLimitPayload:
    context = info.context
    change = context.services.rate_limits.set_limit(context.caller, given.to_domain())
    return RateLimitPayload.of(*await attempt(change, "input"))


async def delete_rate_limit(info: Info, id_: strawberry.ID) -> DeletePayload:
    _, user_errors = await attempt(_delete(info, id_), "id")
    return DeletePayload.of(id_, user_errors)


async def _delete(info: Info, id_: str) -> None:
    context = info.context
    await context.services.rate_limits.delete_limit(context.caller, _uuid(id_))


def _uuid(id_: str) -> UUID:
    try:
        return UUID(id_)
    except ValueError:
        raise NotFound(
            "There is no rate limit of this id. The query `rateLimits` lists what there is."
        ) from None
