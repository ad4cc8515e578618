"""What the router would do with a request, and why."""

from __future__ import annotations

from decimal import Decimal
from typing import Self

import strawberry

from assistant.api.cache import CacheVerdict
from assistant.api.completion_request import CompletionRequest
from assistant.api.context import Info
from assistant.api.money import Money, usd
from assistant.domain import route as domain
from assistant.domain.tokens import TokenMethod


@strawberry.type(description="A model that was considered.")
class RouteCandidate:
    model: str = strawberry.field(description="Model id.")
    is_eligible: bool = strawberry.field(description="Whether it would be called.")
    reason: str = strawberry.field(description="Why, or why not.")
    estimated_cost: Money = strawberry.field(
        description="What the request would cost, with an answer as long as it may be, or of 512 "
        "tokens; 0 also where nobody has said what the model costs: then the reason says so."
    )
    estimated_tokens: int = strawberry.field(description="The prompt in this model's tokens.")
    token_count_method: TokenMethod = strawberry.field(description="How they were counted.")

    @classmethod
    def of(cls, weighed: domain.WeighedModel) -> Self:
        return cls(
            model=weighed.model.id,
            is_eligible=weighed.is_eligible,
            reason=weighed.reason,
            estimated_cost=usd(weighed.estimated_cost or Decimal(0)),
            estimated_tokens=weighed.count.tokens,
            token_count_method=weighed.count.method,
        )


@strawberry.type(description="Whether a routing rule held.")
class RuleVerdict:
    rule_name: str = strawberry.field(description="The rule.")
    matched: bool = strawberry.field(description="Whether all its conditions held.")
    failed_condition: str | None = strawberry.field(
        description="The first condition that did not hold, in words."
    )


@strawberry.type(description="What the router would do with a request, and why.")
class RouteExplanation:
    rule_name: str | None = strawberry.field(
        description="The rule that decides; null for a named model or group, or where none holds."
    )
    candidates: list[RouteCandidate] = strawberry.field(
        description="Every model considered, in the order of trying."
    )
    rules_tried: list[RuleVerdict] = strawberry.field(
        description="The rules up to the one that held, in the order of trying."
    )
    cache: CacheVerdict | None = strawberry.field(
        description="What the cache would say before a model is asked; null where it is not asked."
    )

    @classmethod
    def of(cls, explanation: domain.RouteExplanation) -> Self:
        return cls(
            rule_name=explanation.rule_name,
            candidates=[RouteCandidate.of(weighed) for weighed in explanation.considered],
            rules_tried=[
                RuleVerdict(
                    rule_name=verdict.rule_name,
                    matched=verdict.matched,
                    failed_condition=verdict.failed_condition,
                )
                for verdict in explanation.rules_tried
            ],
            cache=CacheVerdict.of(explanation.cache),
        )


async def explain_route(info: Info, wanted: CompletionRequest) -> RouteExplanation:
    """What generateCompletion would do with the same input."""
    context = info.context
    request = wanted.to_domain(context)
    return RouteExplanation.of(await context.services.completions.explain(request))
