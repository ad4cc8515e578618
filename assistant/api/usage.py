"""Reports of usage, and the users and services of other subgraphs that they belong to."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import strawberry
import strawberry.federation as fed

from assistant.api import loaders
from assistant.api.context import Info
from assistant.api.federation import cost
from assistant.api.money import Money, usd
from assistant.api.scalars import BigInt
from assistant.domain import usage as domain
from assistant.domain.usage import UsageGranularity, UsageMeasure, UsagePeriod
from assistant.domain.values import check_text

Period = Annotated[UsagePeriod, strawberry.argument(description="The period, seen from now.")]


@strawberry.type(description="A span of time.")
class UsageWindow:
    from_: datetime = strawberry.field(name="from", description="Inclusive.")
    to: datetime = strawberry.field(description="Exclusive.")


@strawberry.type(description="The part of a summary that one model has.")
class ModelUsage:
    model: str = strawberry.field(description="Model id.")
    requests: int = strawberry.field(
        description="Completions that it answered, or was the last to fail."
    )
    total_tokens: BigInt = strawberry.field(
        description="Prompt and answer tokens, of attempts that failed as well."
    )
    cost: Money = strawberry.field(description="What they cost.")


@strawberry.type(description="The part of a summary that one feature of a calling service has.")
class FeatureUsage:
    feature: str = strawberry.field(description="As the requests named it.")
    requests: int = strawberry.field(description="Completions asked for it.")
    total_tokens: BigInt = strawberry.field(description="Prompt and answer tokens.")
    cost: Money = strawberry.field(description="What they cost.")


@strawberry.type(description="What was used within a window.")
class UsageSummary:
    period: UsageWindow = strawberry.field(description="The window.")
    requests: int = strawberry.field(description="Completions asked for, refused ones included.")
    failed_requests: int = strawberry.field(
        description="Those that ended in an error; stopped ones are not among them."
    )
    cached_requests: int = strawberry.field(description="Those answered from the cache.")
    prompt_tokens: BigInt = strawberry.field(description="Tokens sent to models.")
    completion_tokens: BigInt = strawberry.field(description="Tokens that models answered.")
    total_tokens: BigInt = strawberry.field(description="Both together.")
    cached_tokens: BigInt = strawberry.field(
        description="Those of promptTokens that providers had in their own caches."
    )
    reasoning_tokens: BigInt = strawberry.field(
        description="Those of completionTokens that models thought with."
    )
    unpriced_attempts: int = strawberry.field(
        description="Calls of models without a price: where there are any, the cost is more than "
        "this, and nobody knows how much."
    )
    cost: Money = strawberry.field(description="What they cost.")
    saved_cost: Money = strawberry.field(description="What cached answers would have cost.")
    by_model: list[ModelUsage] = strawberry.field(
        description="By model, dearest first; refusals that reached none are left out."
    )
    by_feature: list[FeatureUsage] = strawberry.field(
        description="By feature, dearest first; requests that named none are left out."
    )

    @classmethod
    def of(cls, summary: domain.UsageSummary) -> UsageSummary:
        return cls(
            period=UsageWindow(from_=summary.window.start, to=summary.window.end),
            requests=summary.requests,
            failed_requests=summary.failed_requests,
            cached_requests=summary.cached_requests,
            prompt_tokens=BigInt(summary.prompt_tokens),
            completion_tokens=BigInt(summary.completion_tokens),
            total_tokens=BigInt(summary.prompt_tokens + summary.completion_tokens),
            cached_tokens=BigInt(summary.cached_tokens),
            reasoning_tokens=BigInt(summary.reasoning_tokens),
            unpriced_attempts=summary.unpriced_attempts,
            cost=usd(summary.cost),
            saved_cost=usd(summary.saved_cost),
            by_model=[
                ModelUsage(
                    model=share.key,
                    requests=share.requests,
                    total_tokens=BigInt(share.total_tokens),
                    cost=usd(share.cost),
                )
                for share in summary.by_model
                if share.key
            ],
            by_feature=[
                FeatureUsage(
                    feature=share.key,
                    requests=share.requests,
                    total_tokens=BigInt(share.total_tokens),
                    cost=usd(share.cost),
                )
                for share in summary.by_feature
                if share.key
            ],
        )


@fed.type(keys=["id"], description="A person, known to another subgraph.")
class User:
    id: strawberry.ID = strawberry.field(description="As the identity provider names them.")

    @strawberry.field(
        description="What they used of the assistant; null where the caller may not see it. "
        "Everybody sees their own, administrators see all.",
        directives=[cost(10)],
    )
    async def assistant_usage(
        self, info: Info, period: Period = UsagePeriod.THIS_MONTH
    ) -> UsageSummary | None:
        check_text(self.id, ("id",))
        summary = await loaders.user_usage(info, period).load(self.id)
        return UsageSummary.of(summary) if summary else None

    @classmethod
    def of(cls, user_id: str | None) -> User | None:
        return cls(id=strawberry.ID(user_id)) if user_id else None

    @classmethod
    async def resolve_reference(cls, id: strawberry.ID) -> User:  # noqa: A002 - the key's name
        return cls(id=id)


@fed.type(keys=["id"], description="A service that calls the assistant, known to another subgraph.")
class Service:
    id: strawberry.ID = strawberry.field(description="As its credentials name it.")

    @strawberry.field(
        description="What was used through it, by whomever; null where the caller may not see it. "
        "It sees its own with `assistant:usage:read`, administrators see all.",
        directives=[cost(10)],
    )
    async def assistant_usage(
        self, info: Info, period: Period = UsagePeriod.THIS_MONTH
    ) -> UsageSummary | None:
        check_text(self.id, ("id",))
        summary = await loaders.service_usage(info, period).load(self.id)
        return UsageSummary.of(summary) if summary else None

    @classmethod
    async def resolve_reference(cls, id: strawberry.ID) -> Service:  # noqa: A002 - the key's name
        return cls(id=id)


@strawberry.type(description="What one of the users who used most did.")
class UserUsage:
    rank: int = strawberry.field(description="From 1 on, without gaps.")
    user: User = strawberry.field(description="Who.")
    requests: int = strawberry.field(description="Completions asked for.")
    total_tokens: BigInt = strawberry.field(description="Prompt and answer tokens.")
    cost: Money = strawberry.field(description="What they cost.")

    @classmethod
    def of(cls, rank: int, used: domain.UserUsage) -> UserUsage:
        return cls(
            rank=rank,
            user=User(id=strawberry.ID(used.user_id)),
            requests=used.requests,
            total_tokens=BigInt(used.total_tokens),
            cost=usd(used.cost),
        )


@strawberry.type(
    description="What was used in one step of a trend; in the first and the last, of what of them "
    "lies in the period."
)
class UsageTrendPoint:
    at: datetime = strawberry.field(description="When the hour, day, week or month begins.")
    requests: int = strawberry.field(description="Completions asked for.")
    total_tokens: BigInt = strawberry.field(description="Prompt and answer tokens.")
    cost: Money = strawberry.field(description="What they cost.")

    @classmethod
    def of(cls, point: domain.UsagePoint) -> UsageTrendPoint:
        return cls(
            at=point.at,
            requests=point.requests,
            total_tokens=BigInt(point.total_tokens),
            cost=usd(point.cost),
        )


async def my_usage(info: Info, period: Period = UsagePeriod.THIS_MONTH) -> UsageSummary:
    """The caller's own usage."""
    return UsageSummary.of(await info.context.services.usage.mine(info.context.caller, period))


async def service_usage(info: Info, service_id: strawberry.ID, period: UsagePeriod) -> UsageSummary:
    """What was used through a service."""
    context = info.context
    check_text(service_id, ("serviceId",))
    return UsageSummary.of(
        await context.services.usage.of_service(context.caller, service_id, period)
    )


async def top_users(
    info: Info, period: UsagePeriod, limit: int, by: UsageMeasure
) -> list[UserUsage]:
    """The users who used most."""
    context = info.context
    found = await context.services.usage.top_users(context.caller, period, limit, by)
    return [UserUsage.of(rank, used) for rank, used in enumerate(found, 1)]


async def usage_trends(
    info: Info, period: UsagePeriod, granularity: UsageGranularity
) -> list[UsageTrendPoint]:
    """Usage over time."""
    context = info.context
    found = await context.services.usage.trend(context.caller, period, granularity)
    return [UsageTrendPoint.of(point) for point in found]
