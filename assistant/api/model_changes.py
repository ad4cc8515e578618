"""Changes to providers, models and groups: what clients send, and what they get."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, cast

import strawberry

from assistant.api.context import Info
from assistant.api.model import Model, ModelGroup, Provider, model_of
from assistant.api.user_errors import DeletePayload, UserError, attempt
from assistant.domain import model as domain
from assistant.domain.model import ModelCapability, ProviderKind, RoutingStrategy, TaskType


@strawberry.input(description="A model group, whole: what is left out is not kept.")
class ModelGroupInput:
    name: str = strawberry.field(
        description="1 to 64 small letters, digits or hyphens; a group of that name is replaced."
    )
    models: list[str] = strawberry.field(
        description="1 to 32 model ids, or names without a provider, in the order to try."
    )
    fallback_group: str | None = strawberry.field(
        default=None, description="The group to try when no model of this one can serve."
    )
    strategy: RoutingStrategy | None = strawberry.field(
        default=None, description="How to order its models; as they are listed by default."
    )
    is_hedged: bool | None = strawberry.field(
        default=False,
        description="Whether a first token that is late makes a second model be asked as well.",
    )

    def to_domain(self) -> domain.ModelGroup:
        return domain.ModelGroup(
            name=self.name,
            models=tuple(self.models),
            fallback_group=self.fallback_group,
            strategy=self.strategy,
            is_hedged=bool(self.is_hedged),
        )


@strawberry.input(description="A provider, whole: what is left out is not kept.")
class ProviderInput:
    name: str = strawberry.field(
        description="1 to 64 small letters, digits or hyphens; a provider of that name is replaced."
    )
    kind: ProviderKind = strawberry.field(description="The wire protocol it speaks; not BUILTIN.")
    base_url: str = strawberry.field(
        description="As the vendor's own SDK takes it: OpenAI's with /v1, Anthropic's and Ollama's "
        "without."
    )
    api_key_variable: str | None = strawberry.field(
        default=None,
        description="Name of the environment variable that holds the key, ending in _API_KEY. A "
        "tenant acme may name ACME_API_KEY and what begins with ACME__.",
    )
    is_local: bool = strawberry.field(
        default=False, description="Whether text stays on our own machines."
    )
    max_concurrency: int | None = strawberry.field(
        default=None,
        description="Calls at once, 1 to 100,000; what the service is set to by default.",
    )
    is_enabled: bool = strawberry.field(default=True, description="Whether it is called at all.")

    def to_domain(self) -> domain.ProviderConfig:
        return domain.ProviderConfig(
            name=self.name,
            kind=self.kind,
            base_url=self.base_url,
            api_key_variable=self.api_key_variable,
            is_local=self.is_local,
            is_enabled=self.is_enabled,
            max_concurrency=self.max_concurrency,
        )


@strawberry.input(
    description="What changes of a model; absent fields stay as they are. Null is as good as "
    "absent, but for tasks, maxOutputTokens and cachedInputPricePer1MTokens: there it takes away "
    "what was said."
)
class ModelInput:
    id: strawberry.ID = strawberry.field(description="provider/name, as in ollama/llama3.2:3b.")
    capabilities: list[ModelCapability] | None = strawberry.field(
        default=strawberry.UNSET, description="What it can do; not empty."
    )
    tasks: list[TaskType] | None = strawberry.field(
        default=strawberry.UNSET,
        description="The only tasks it serves; null for a model that generates freely.",
    )
    context_window: int | None = strawberry.field(
        default=strawberry.UNSET, description="In tokens, 1 to 10,000,000."
    )
    max_output_tokens: int | None = strawberry.field(
        default=strawberry.UNSET,
        description="The longest answer, in tokens; null where only the window limits it.",
    )
    input_price_per_1m_tokens: Decimal | None = strawberry.field(
        name="inputPricePer1MTokens",
        default=strawberry.UNSET,
        description="USD for a million prompt tokens, 0 to 1,000,000.",
    )
    output_price_per_1m_tokens: Decimal | None = strawberry.field(
        name="outputPricePer1MTokens",
        default=strawberry.UNSET,
        description="USD for a million answer tokens, 0 to 1,000,000.",
    )
    cached_input_price_per_1m_tokens: Decimal | None = strawberry.field(
        name="cachedInputPricePer1MTokens",
        default=strawberry.UNSET,
        description="USD for a million prompt tokens that the provider had in its cache; null "
        "where they cost as much as others.",
    )
    is_allowed: bool | None = strawberry.field(
        default=strawberry.UNSET, description="Whether callers may use it."
    )

    def to_domain(self) -> domain.ModelChanges:
        given = {
            "capabilities": self.capabilities and frozenset(self.capabilities),
            "tasks": self.tasks and frozenset(self.tasks),
            "context_window": self.context_window,
            "max_output_tokens": self.max_output_tokens,
            "input_price": self.input_price_per_1m_tokens,
            "output_price": self.output_price_per_1m_tokens,
            "cached_input_price": self.cached_input_price_per_1m_tokens,
            "is_allowed": self.is_allowed,
        }
        return cast("domain.ModelChanges", {k: v for k, v in given.items() if _is_said(k, v)})


@strawberry.type(description="A model group that was written, or why not.")
class ModelGroupPayload:
    model_group: ModelGroup | None = strawberry.field(
        description="The group as it is now; null where it was refused."
    )
    user_errors: list[UserError] = strawberry.field(description="Empty where all went well.")


@strawberry.type(description="A provider that was written, or why not.")
class ProviderPayload:
    provider: Provider | None = strawberry.field(
        description="The provider as it is now; null where it was refused."
    )
    user_errors: list[UserError] = strawberry.field(description="Empty where all went well.")


@strawberry.type(description="A model that was written, or why not.")
class ModelPayload:
    model: Model | None = strawberry.field(
        description="The model as it is now; null where it was refused."
    )
    user_errors: list[UserError] = strawberry.field(description="Empty where all went well.")


async def set_model_group(info: Info, given: ModelGroupInput) -> ModelGroupPayload:
    context = info.context
    change = context.services.administration.set_group(context.caller, given.to_domain())
    group, user_errors = await attempt(change, "input")
    return ModelGroupPayload(
        model_group=ModelGroup.of(group) if group else None, user_errors=user_errors
    )


async def set_provider(info: Info, given: ProviderInput) -> ProviderPayload:
    context = info.context
    change = context.services.administration.set_provider(context.caller, given.to_domain())
    provider, user_errors = await attempt(change, "input")
    return ProviderPayload(
        provider=await Provider.named(info, provider.name) if provider else None,
        user_errors=user_errors,
    )


async def delete_provider(info: Info, name: str) -> DeletePayload:
    context = info.context
    change = context.services.administration.delete_provider(context.caller, name)
    _, user_errors = await attempt(change)
    return DeletePayload.of(name, user_errors)


async def set_model(info: Info, given: ModelInput) -> ModelPayload:
    context = info.context
    change = context.services.administration.set_model(context.caller, given.id, given.to_domain())
    model, user_errors = await attempt(change, "input")
    return ModelPayload(
        model=await model_of(info, model.id) if model else None, user_errors=user_errors
    )


_NULLABLE = ("tasks", "max_output_tokens", "cached_input_price")


def _is_said(field: str, value: Any) -> bool:
    return value is not strawberry.UNSET and (value is not None or field in _NULLABLE)
