"""Routing rules as clients see them and change them."""

from __future__ import annotations

from datetime import datetime
from typing import cast
from uuid import UUID

import strawberry
from strawberry.scalars import JSON

from assistant.api.context import Info
from assistant.api.user_errors import DeletePayload, UserError, attempt
from assistant.domain import rule as domain
from assistant.domain.rule import RuleDraft
from assistant.domain.values import JsonValue
from assistant.errors import NotFound


@strawberry.type(
    description="Rules are tried by ascending priority; the first whose every condition holds decides."
)
class RoutingRule:
    id: strawberry.ID = strawberry.field(description="Names it in changes.")
    name: str = strawberry.field(description="Unique; what a decision names it by.")
    priority: int = strawberry.field(description="Lower ones are tried first.")
    conditions: JSON = strawberry.field(
        description="An object of conditions that must all hold; {} holds always."
    )
    models: list[str] = strawberry.field(
        description="Ids, names without a provider, or groups of models, in the order to try."
    )
    is_enabled: bool = strawberry.field(description="Whether it is tried at all.")
    created_at: datetime = strawberry.field(description="When it was made.")

    @classmethod
    def of(cls, rule: domain.RoutingRule) -> RoutingRule:
        return cls(
            id=strawberry.ID(str(rule.id)),
            name=rule.name,
            priority=rule.priority,
            conditions=cast("JSON", rule.conditions),
            models=list(rule.models),
            is_enabled=rule.is_enabled,
            created_at=rule.created_at,
        )


@strawberry.input(description="What a routing rule says.")
class RoutingRuleInput:
    name: str = strawberry.field(description="1 to 64 small letters, digits or hyphens.")
    priority: int = strawberry.field(description="Lower ones are tried first.")
    conditions: JSON = strawberry.field(
        description='What must hold, as in {promptCategory: "code", maxTokens: {lt: 500}}. '
        "Conditions: promptCategory, promptName, task, tags, maxTokens, estimatedPromptTokens, "
        "requiresAccuracy, serviceId, userId, feature, language, hasResponseSchema, hour, "
        "metadata.<key>. Operators: eq, in, lt, lte, gt, gte, matches, not."
    )
    models: list[str] = strawberry.field(
        description="1 to 32 model ids, names without a provider, or groups, in the order to try."
    )
    is_enabled: bool = strawberry.field(default=True, description="Whether it is tried at all.")

    def to_domain(self) -> RuleDraft:
        return RuleDraft(
            name=self.name,
            priority=self.priority,
            conditions=cast("JsonValue", self.conditions),
            models=tuple(self.models),
            is_enabled=self.is_enabled,
        )


@strawberry.type(description="A routing rule that was written, or why not.")
class RoutingRulePayload:
    routing_rule: RoutingRule | None = strawberry.field(
        description="The rule as it is now; null where it was refused."
    )
    user_errors: list[UserError] = strawberry.field(description="Empty where all went well.")

    @classmethod
    def of(
        cls, rule: domain.RoutingRule | None, user_errors: list[UserError]
    ) -> RoutingRulePayload:
        return cls(routing_rule=RoutingRule.of(rule) if rule else None, user_errors=user_errors)


async def routing_rules(info: Info) -> list[RoutingRule]:
    context = info.context
    rules = await context.services.administration.list_rules(context.caller.tenant_id)
    return [RoutingRule.of(rule) for rule in rules]


async def create_routing_rule(info: Info, given: RoutingRuleInput) -> RoutingRulePayload:
    context = info.context
    change = context.services.administration.create_rule(context.caller, given.to_domain())
    return RoutingRulePayload.of(*await attempt(change, "input"))


async def update_routing_rule(
    info: Info, id_: strawberry.ID, given: RoutingRuleInput
) -> RoutingRulePayload:
    return RoutingRulePayload.of(*await attempt(_update(info, id_, given), "input"))


async def delete_routing_rule(info: Info, id_: strawberry.ID) -> DeletePayload:
    _, user_errors = await attempt(_delete(info, id_), "id")
    return DeletePayload.of(id_, user_errors)


async def _update(info: Info, id_: str, given: RoutingRuleInput) -> domain.RoutingRule:
    context = info.context
    return await context.services.administration.update_rule(
        context.caller, _uuid(id_), given.to_domain()
    )


async def _delete(info: Info, id_: str) -> None:
    context = info.context
    await context.services.administration.delete_rule(context.caller, _uuid(id_))


def _uuid(id_: str) -> UUID:
    try:
        return UUID(id_)
    except ValueError:
        raise NotFound(
            "There is no rule of this id. The query `routingRules` lists what there is."
        ) from None
