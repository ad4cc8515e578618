"""Models, providers and groups as clients see them."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Self

import strawberry
import strawberry.federation as fed

from assistant.api import loaders
from assistant.api.connection import FIRST
from assistant.api.context import Info
from assistant.api.federation import slice_size
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


@strawberry.type(description="Prices of a model from some time on, until the next change.")
class PriceChange:
    valid_from: datetime = strawberry.field(description="When they became those of the model.")
    input_price_per_1m_tokens: Money | None = strawberry.field(
        name="inputPricePer1MTokens",
        description="Price of a million prompt tokens; null where nobody had said it.",
    )
    output_price_per_1m_tokens: Money | None = strawberry.field(
        name="outputPricePer1MTokens",
        description="Price of a million answer tokens; null where nobody had said it.",
    )
    cached_input_price_per_1m_tokens: Money | None = strawberry.field(
        name="cachedInputPricePer1MTokens",
        description="Price of a million prompt tokens that the provider had in its cache; null "
        "where they cost as much as others.",
    )

    @classmethod
    def of(cls, change: domain.PriceChange) -> Self:
        return cls(
            valid_from=change.valid_from,
            input_price_per_1m_tokens=_usd_or_none(change.input_price),
            output_price_per_1m_tokens=_usd_or_none(change.output_price),
            cached_input_price_per_1m_tokens=_usd_or_none(change.cached_input_price),
        )


def _usd_or_none(amount: Decimal | None) -> Money | None:
    return None if amount is None else usd(amount)


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
        name="inputPricePer1MTokens",
        description="Price of a million prompt tokens; 0 also where nobody has said it, see "
        "isPriceKnown.",
    )
    output_price_per_1m_tokens: Money = strawberry.field(
        name="outputPricePer1MTokens",
        description="Price of a million answer tokens; 0 also where nobody has said it, see "
        "isPriceKnown.",
    )
    cached_input_price_per_1m_tokens: Money | None = strawberry.field(
        name="cachedInputPricePer1MTokens",
        description="Price of a million prompt tokens that the provider had in its cache; null "
        "where they cost as much as others.",
    )
    is_price_known: bool = strawberry.field(
        description="Whether it is known what a call costs. False: nobody has said it (setModel "
        "does), so usage is recorded without its cost, and under a budget the model is not called, "
        "unless the service is set to."
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

    @strawberry.field(
        description="Its prices so far, the newest first; none of a model that no row tells of. "
        "What was used before a change keeps the cost that it had.",
        directives=[slice_size()],
    )
    async def price_changes(self, info: Info, first: FIRST = 10) -> list[PriceChange]:
        changes = await loaders.price_changes(info, first).load(self.id)
        return [PriceChange.of(change) for change in changes or ()]

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
            input_price_per_1m_tokens=usd(model.input_price or Decimal(0)),
            output_price_per_1m_tokens=usd(model.output_price or Decimal(0)),
            cached_input_price_per_1m_tokens=_usd_or_none(model.cached_input_price),
            is_price_known=model.is_price_known,
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
        config = catalog.providers.get(provider)
        price = domain.unsaid_price(is_local=config is not None and config.is_local)
        found = domain.Model(
            provider,
            name,
            frozenset(),
            context_window=0,
            input_price=price,
            output_price=price,
            is_allowed=False,
        )
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
