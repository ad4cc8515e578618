"""Every query, named once, with the scope that it needs."""

from __future__ import annotations

from typing import Annotated

import strawberry

from assistant.api import (
    budget,
    cache,
    completion,
    model,
    prompt,
    prompt_listing,
    prompt_rendering,
    rate_limit,
    route_explanation,
    routing_rule,
    usage,
)
from assistant.api.budget import Budget
from assistant.api.cache import CacheStatistics
from assistant.api.completion import CompletionResponse
from assistant.api.completion_request import CompletionRequest
from assistant.api.connection import AFTER, FIRST
from assistant.api.context import Info
from assistant.api.federation import assumed_size, cost, list_size
from assistant.api.model import Model, ModelGroup, Provider
from assistant.api.prompt import Prompt
from assistant.api.prompt_listing import PromptConnection, PromptFilter, PromptOrder
from assistant.api.prompt_performance import PromptPerformance
from assistant.api.prompt_rendering import RenderedPrompt, RenderPromptInput
from assistant.api.prompt_version import READERS
from assistant.api.rate_limit import RateLimit
from assistant.api.route_explanation import RouteExplanation
from assistant.api.routing_rule import RoutingRule
from assistant.api.usage import Period, UsageSummary, UsageTrendPoint, UserUsage
from assistant.domain.caller import Scope
from assistant.domain.model import ModelCapability
from assistant.domain.usage import UsageGranularity, UsageMeasure, UsagePeriod


@strawberry.type(description="What can be asked.")
class Query:
    @strawberry.field(
        description="The prompts of the catalog. Needs assistant:complete or assistant:prompts:write.",
        directives=[list_size()],
    )
    async def prompts(
        self,
        info: Info,
        filter: Annotated[  # noqa: A002 - the argument's name in the schema
            PromptFilter | None, strawberry.argument(description="Which ones; all by default.")
        ] = None,
        order_by: Annotated[
            PromptOrder | None,
            strawberry.argument(description="In which order; by name by default."),
        ] = None,
        first: FIRST = 20,
        after: AFTER = None,
    ) -> PromptConnection:
        info.context.require(*READERS)
        return await prompt_listing.prompts(info, filter, order_by, first, after)

    @strawberry.field(
        description="A prompt by its id. Needs assistant:complete or assistant:prompts:write."
    )
    async def prompt(
        self,
        info: Info,
        id: Annotated[strawberry.ID, strawberry.argument(description="The prompt's id.")],  # noqa: A002
    ) -> Prompt | None:
        info.context.require(*READERS)
        return await prompt.prompt(info, id)

    @strawberry.field(
        description="A prompt by its name. Needs assistant:complete or assistant:prompts:write."
    )
    async def prompt_by_name(
        self,
        info: Info,
        name: Annotated[str, strawberry.argument(description="The prompt's name.")],
    ) -> Prompt | None:
        info.context.require(*READERS)
        return await prompt.prompt_by_name(info, name)

    @strawberry.field(
        description="Renders a prompt without calling a model: what would be sent, and how many "
        "tokens it is estimated at. Needs assistant:complete or assistant:prompts:write."
    )
    async def render_prompt(
        self,
        info: Info,
        input: Annotated[  # noqa: A002 - the argument's name in the schema
            RenderPromptInput, strawberry.argument(description="The prompt and its variables.")
        ],
    ) -> RenderedPrompt:
        info.context.require(*READERS)
        return await prompt_rendering.render_prompt(info, input)

    @strawberry.field(
        description="How a prompt did, all versions together and each; null where there is none of "
        "this name. Needs assistant:complete or assistant:prompts:write.",
        directives=[cost(10)],
    )
    async def prompt_performance(
        self,
        info: Info,
        prompt_name: Annotated[str, strawberry.argument(description="The prompt's name.")],
        period: Period = UsagePeriod.LAST_30_DAYS,
    ) -> PromptPerformance | None:
        info.context.require(*READERS)
        return await prompt.prompt_performance(info, prompt_name, period)

    @strawberry.field(
        description="The models that providers have now. Needs assistant:complete.",
        directives=[assumed_size(50)],
    )
    async def available_models(
        self,
        info: Info,
        capability: Annotated[
            ModelCapability | None, strawberry.argument(description="Only those that can do this.")
        ] = None,
    ) -> list[Model]:
        info.context.require(Scope.COMPLETE)
        return await model.available_models(info, capability)

    @strawberry.field(description="Every model group. Needs assistant:complete.")
    async def model_groups(self, info: Info) -> list[ModelGroup]:
        info.context.require(Scope.COMPLETE)
        return await model.model_groups(info)

    @strawberry.field(
        description="Every configured provider with its health and circuit state. Needs "
        "assistant:complete."
    )
    async def providers(self, info: Info) -> list[Provider]:
        info.context.require(Scope.COMPLETE)
        return await model.providers(info)

    @strawberry.field(
        description="The routing rules that the tenant's requests meet, in the order in which they "
        "are tried. Needs assistant:admin.",
        directives=[assumed_size(50)],
    )
    async def routing_rules(self, info: Info) -> list[RoutingRule]:
        info.context.require(Scope.ADMIN)
        return await routing_rule.routing_rules(info)

    @strawberry.field(
        description="What the router would do with this request, and why. Calls no model. Needs "
        "assistant:complete."
    )
    async def explain_route(
        self,
        info: Info,
        input: Annotated[  # noqa: A002 - the argument's name in the schema
            CompletionRequest, strawberry.argument(description="As for generateCompletion.")
        ],
    ) -> RouteExplanation:
        info.context.require(Scope.COMPLETE)
        return await route_explanation.explain_route(info, input)

    @strawberry.field(
        description="A finished or running completion of the caller; administrators see all of "
        "their tenant's. Needs any valid credential."
    )
    async def completion(
        self,
        info: Info,
        id: Annotated[strawberry.ID, strawberry.argument(description="The completion's id.")],  # noqa: A002
    ) -> CompletionResponse | None:
        return await completion.completion(info, id)

    @strawberry.field(
        description="What the caller used: the user with any valid credential, or, where no user is "
        "involved, the service with assistant:usage:read."
    )
    async def my_usage(self, info: Info, period: Period = UsagePeriod.THIS_MONTH) -> UsageSummary:
        return await usage.my_usage(info, period)

    @strawberry.field(
        description="What was used through a service, by whomever. Needs assistant:usage:read for "
        "the calling service itself, assistant:admin for others."
    )
    async def service_usage(
        self,
        info: Info,
        service_id: Annotated[strawberry.ID, strawberry.argument(description="Its id.")],
        period: Period = UsagePeriod.THIS_MONTH,
    ) -> UsageSummary:
        return await usage.service_usage(info, service_id, period)

    @strawberry.field(
        description="The tenant's users who used most, most first. Needs assistant:admin.",
        directives=[cost(10)],
    )
    async def top_users(
        self,
        info: Info,
        period: Period = UsagePeriod.THIS_MONTH,
        limit: Annotated[int, strawberry.argument(description="How many: 1 to 100.")] = 10,
        by: Annotated[
            UsageMeasure, strawberry.argument(description="What makes one use more.")
        ] = UsageMeasure.TOKENS,
    ) -> list[UserUsage]:
        info.context.require(Scope.ADMIN)
        return await usage.top_users(info, period, limit, by)

    @strawberry.field(
        description="Usage over time, without gaps: the tenant's with assistant:admin, otherwise "
        "the caller's own, as in myUsage.",
        directives=[cost(10)],
    )
    async def usage_trends(
        self,
        info: Info,
        period: Period = UsagePeriod.LAST_30_DAYS,
        granularity: Annotated[
            UsageGranularity, strawberry.argument(description="How long each point is.")
        ] = UsageGranularity.DAY,
    ) -> list[UsageTrendPoint]:
        return await usage.usage_trends(info, period, granularity)

    @strawberry.field(
        description="Budgets and how they stand: all with assistant:admin; else those that are "
        "about the caller, as a user, and with assistant:usage:read as a service. Needs any valid "
        "credential.",
        directives=[assumed_size(50)],
    )
    async def budgets(self, info: Info) -> list[Budget]:
        return await budget.budgets(info)

    @strawberry.field(
        description="Rate limits and what is left of them now: all with assistant:admin; else those "
        "that are about the caller, as a user or an API key, and with assistant:usage:read as a "
        "service. Needs any valid credential.",
        directives=[assumed_size(50)],
    )
    async def rate_limits(self, info: Info) -> list[RateLimit]:
        return await rate_limit.rate_limits(info)

    @strawberry.field(
        description="What the cache did for the caller's tenant. Needs assistant:usage:read."
    )
    async def cache_statistics(
        self, info: Info, period: Period = UsagePeriod.LAST_7_DAYS
    ) -> CacheStatistics:
        info.context.require(Scope.USAGE_READ)
        return await cache.cache_statistics(info, period)
