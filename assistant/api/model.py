"""Models, providers and groups as clients see them."""

from __future__ import annotations

from typing import Self

import strawberry
import strawberry.federation as fed

from assistant.api.context import Info
from assistant.api.money import Money, usd
from assistant.api.scalars import BigInt
from assistant.domain import model as domain
from assistant.domain.caller import Scope
from assistant.domain.model import (
    CircuitState,
    ModelCapability,
    ModelKey,
    ProviderKind,
    RoutingStrategy,
    TaskType,
)
from assistant.domain.ports import ModelCatalog


@fed.type(keys=["id"], description="A model that completions can run on.")
class Model:
    id: strawberry.ID = strawberry.field(description="provider/name, as in ollama/llama3.2:3b.")
    name: str = strawberry.field(description="The provider's own name for it.")
    capabilities: list[ModelCapability] = strawberry.field(description="What it can do.")
    tasks: list[TaskType] | None = strawberry.field(
        description="The only tasks it serves; null for a model that generates freely."
    )
    context_window: int = strawberry.field(description="In tokens, prompt and answer together.")
    max_output_tokens: int | None = strawberry.field(
        description="The longest answer, in tokens; null where only the window limits it."
    )
    input_price_per_1m_tokens: Money = strawberry.field(
        name="inputPricePer1MTokens", description="Price of a million prompt tokens."
    )
    output_price_per_1m_tokens: Money = strawberry.field(
        name="outputPricePer1MTokens", description="Price of a million answer tokens."
    )
    cached_input_price_per_1m_tokens: Money | None = strawberry.field(
        name="cachedInputPricePer1MTokens",
        description="Price of a million prompt tokens that the provider had in its cache; null "
        "where they cost as much as others.",
    )
    size_bytes: BigInt | None = strawberry.field(
        description="Size on disk, where its provider says."
    )
    is_available: bool = strawberry.field(description="Whether its provider has it now.")
    is_allowed: bool = strawberry.field(description="Whether callers may use it.")
    provider_name: strawberry.Private[str]

    @strawberry.field(description="Who runs it.")
    async def provider(self, info: Info) -> Provider:
        return await Provider.named(info, self.provider_name)

    @strawberry.field(description="Whether it is called, or held back after failures.")
    async def circuit(self, info: Info) -> CircuitState:
        config = (await _catalog(info)).providers.get(self.provider_name)
        if config is None:
            return CircuitState.CLOSED
        key = ModelKey(config.tenant_id, config.name, self.name)
        return info.context.services.circuits.state(key)

    @classmethod
    def of(cls, model: domain.Model) -> Self:
        return cls(
            id=strawberry.ID(model.id),
            name=model.name,
            capabilities=sorted(model.capabilities),
            tasks=None if model.tasks is None else sorted(model.tasks),
            context_window=model.context_window,
            max_output_tokens=model.max_output_tokens,
            input_price_per_1m_tokens=usd(model.input_price),
            output_price_per_1m_tokens=usd(model.output_price),
            cached_input_price_per_1m_tokens=(
                None if model.cached_input_price is None else usd(model.cached_input_price)
            ),
            size_bytes=None if model.size_bytes is None else BigInt(model.size_bytes),
            is_available=model.is_available,
            is_allowed=model.is_allowed,
            provider_name=model.provider,
        )

    @classmethod
    async def resolve_reference(cls, info: Info, id: strawberry.ID) -> Self | None:  # noqa: A002 - the key's name
        info.context.require(Scope.COMPLETE)
        found = (await _catalog(info)).models.get(id)
        return cls.of(found) if found else None


async def model_of(info: Info, id_: str) -> Model:
    """The model that a record names, even when its row is gone since."""
    catalog = await _catalog(info)
    found = catalog.models.get(id_)
    if found is None:
        provider, _, name = id_.partition("/")
        found = domain.Model(provider, name, frozenset(), context_window=0, is_allowed=False)
    return Model.of(found)


@strawberry.type(description="Who runs models.")
class Provider:
    name: str = strawberry.field(description="Unique name, the first part of its models' ids.")
    kind: ProviderKind = strawberry.field(description="The wire protocol it speaks.")
    is_local: bool = strawberry.field(description="Whether text stays on our own machines.")
    is_healthy: bool = strawberry.field(description="Whether it answered when it was last asked.")
    circuit: CircuitState = strawberry.field(
        description="Whether its models are called: OPEN where one of them is held back, HALF_OPEN "
        "where one is tried again."
    )
    models: list[Model] = strawberry.field(description="Its models, allowed or not, there or not.")

    @classmethod
    async def named(cls, info: Info, name: str) -> Provider:
        catalog = await _catalog(info)
        config = catalog.providers.get(name)
        # A model can outlive its provider's row in old records.
        config = config or domain.ProviderConfig(name, ProviderKind.BUILTIN, is_enabled=False)
        return cls.of(info, config, catalog)

    @classmethod
    def of(cls, info: Info, config: domain.ProviderConfig, catalog: ModelCatalog) -> Provider:
        return cls(
            name=config.name,
            kind=config.kind,
            is_local=config.is_local,
            is_healthy=info.context.services.models.state(config).is_healthy,
            circuit=info.context.services.circuits.worst(config),
            models=[Model.of(m) for m in catalog.models.values() if m.provider == config.name],
        )


@strawberry.type(description="Models that stand in for one another, tried in order.")
class ModelGroup:
    name: str = strawberry.field(description="What requests name it by.")
    models: list[str] = strawberry.field(description="Model ids, best first.")
    fallback_group: str | None = strawberry.field(
        description="The group to try when no model of this one can serve."
    )
    strategy: RoutingStrategy | None = strawberry.field(
        description="How its models are ordered; null: as they are listed."
    )
    is_hedged: bool = strawberry.field(
        description="Whether a first token that is late makes a second model be asked as well."
    )

    @classmethod
    def of(cls, group: domain.ModelGroup) -> ModelGroup:
        return cls(
            name=group.name,
            models=list(group.models),
            fallback_group=group.fallback_group,
            strategy=group.strategy,
            is_hedged=group.is_hedged,
        )


async def _catalog(info: Info) -> ModelCatalog:
    return await info.context.services.models.catalog(info.context.caller.tenant_id)


async def available_models(info: Info, capability: ModelCapability | None) -> list[Model]:
    """Every model that its provider has now, with ``capability`` where one is asked for."""
    catalog = await _catalog(info)
    return [
        Model.of(model)
        for model in sorted(catalog.models.values(), key=lambda model: model.id)
        if model.is_available and (capability is None or capability in model.capabilities)
    ]


async def model_groups(info: Info) -> list[ModelGroup]:
    catalog = await _catalog(info)
    return [ModelGroup.of(catalog.groups[name]) for name in sorted(catalog.groups)]


async def providers(info: Info) -> list[Provider]:
    catalog = await _catalog(info)
    return [
        Provider.of(info, catalog.providers[name], catalog) for name in sorted(catalog.providers)
    ]
