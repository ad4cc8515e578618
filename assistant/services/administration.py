"""Changes to the catalog of models: providers, models, groups and rules.

A tenant changes its own rows. What it has under a name hides what the platform has under it, so
nothing of the platform is ever changed for everybody by one tenant; only the operator, who stands
for the platform, may change or delete the platform's rows themselves.

A change is seen at once by this process, and by the others as soon as the database tells them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from uuid import UUID

from assistant.domain.caller import Caller
from assistant.domain.model import (
    Model,
    ModelCapability,
    ModelChanges,
    ModelGroup,
    ProviderConfig,
    ProviderKind,
    full_name,
    unsaid_price,
)
from assistant.domain.ports import CatalogStore, Clock, ModelCatalog
from assistant.domain.rule import RoutingRule, RuleDraft
from assistant.errors import BadUserInput, NotFound
from assistant.services.catalog_checks import (
    check_group,
    check_model,
    check_name,
    check_provider,
    check_rule,
    no_room,
    not_yours,
)
from assistant.services.models import Models
from assistant.services.rules import ordered

MAX_RULES = 200
MAX_PROVIDERS = 200
MAX_GROUPS = 200
MAX_MODELS = 1_000

_LARGEST_USUAL_WINDOW = 1_048_576


class Administration:
    """What administrators change. Callers have been found to be administrators before."""

    def __init__(self, store: CatalogStore, models: Models, clock: Clock) -> None:
        self._store = store
        self._models = models
        self._clock = clock

    async def list_rules(self, tenant_id: str) -> list[RoutingRule]:
        """The rules that the tenant's requests meet, in the order in which they are tried."""
        return ordered((await self._models.catalog(tenant_id)).rules)

    async def create_rule(self, caller: Caller, draft: RuleDraft) -> RoutingRule:
        """Add a rule of the tenant's own. Raises BadUserInput; Conflict for a name it has."""
        check_rule(draft, await self._current(caller.tenant_id))
        rule = _rule(draft, self._clock.new_id(), caller.tenant_id, self._clock.now())
        if not await self._store.add_rule(rule, MAX_RULES):
            raise no_room("rules", MAX_RULES)
        self._models.forget(caller.tenant_id)
        return rule

    async def update_rule(self, caller: Caller, id_: UUID, draft: RuleDraft) -> RoutingRule:
        """Say anew what a rule says; its id and its age stay.

        Raises: NotFound, Forbidden for one of the platform's, BadUserInput, Conflict.
        """
        found = await self._changeable_rule(caller, id_)
        check_rule(draft, await self._current(found.tenant_id))
        rule = _rule(draft, found.id, found.tenant_id, found.created_at)
        if not await self._store.update_rule(rule):
            raise _missing_rule()
        self._models.forget(found.tenant_id)
        return rule

    async def delete_rule(self, caller: Caller, id_: UUID) -> None:
        """Remove a rule for good. Raises NotFound; Forbidden for one of the platform's."""
        found = await self._changeable_rule(caller, id_)
        if not await self._store.delete_rule(found.tenant_id, id_):
            raise _missing_rule()
        self._models.forget(found.tenant_id)

    async def set_group(self, caller: Caller, group: ModelGroup) -> ModelGroup:
        """Add a group of the tenant's own or change it. Raises BadUserInput."""
        check_group(group, await self._current(caller.tenant_id))
        if not await self._store.put_group(caller.tenant_id, group, MAX_GROUPS):
            raise no_room("model groups", MAX_GROUPS)
        self._models.forget(caller.tenant_id)
        return group

    async def set_provider(self, caller: Caller, provider: ProviderConfig) -> ProviderConfig:
        """Add a provider of the tenant's own or change it. Raises BadUserInput."""
        own = replace(provider, tenant_id=caller.tenant_id)
        check_provider(own, is_operator=caller.is_operator)
        if not await self._store.put_provider(own, MAX_PROVIDERS):
            raise no_room("providers", MAX_PROVIDERS)
        self._models.forget(caller.tenant_id)
        return own

    async def delete_provider(self, caller: Caller, name: str) -> None:
        """Remove the tenant's own provider, else, for an operator, the platform's.

        The owner's models of it go with it, unless the platform has a provider of that name.

        Raises: BadUserInput, NotFound; Forbidden for one of the platform's.
        """
        check_name(name, "a provider")
        for tenant_id in caller.may_change:
            if await self._store.delete_provider(tenant_id, name):
                self._models.forget(tenant_id)
                return
        if name in (await self._store.load(caller.tenant_id)).providers:
            raise not_yours("provider")
        raise NotFound(f"There is no provider named '{name[:64]}'.")

    async def set_model(self, caller: Caller, id_: str, changes: ModelChanges) -> Model:
        """Say what is to hold of a model for the tenant; what is absent stays as it is now.

        A model that no row tells of yet begins as its provider reports it, and is allowed unless
        ``changes`` say otherwise. Raises BadUserInput.
        """
        rows = await self._store.load(caller.tenant_id)
        provider, _, name = id_.partition("/")
        if provider not in rows.providers:
            raise BadUserInput(
                f"id must be provider/name, and there is no provider named '{provider[:64]}'. "
                f"Known: {', '.join(sorted(rows.providers))}.",
                path=("id",),
            )
        if name and rows.providers[provider].kind is ProviderKind.OLLAMA:
            name = full_name(name)
            id_ = f"{provider}/{name}"
        found = rows.models.get(id_) or await self._reported(caller.tenant_id, id_)
        if found is None:
            found = _unknown(rows.providers[provider], name, changes)
        model = replace(found, **changes)
        check_model(model)
        if not await self._store.put_model(caller.tenant_id, model, MAX_MODELS):
            raise no_room("models", MAX_MODELS)
        self._models.forget(caller.tenant_id)
        return model

    async def _reported(self, tenant_id: str, id_: str) -> Model | None:
        """The model as its provider tells of it, allowed as a row of it would begin."""
        found = (await self._current(tenant_id)).models.get(id_)
        return None if found is None else replace(found, is_allowed=True)

    async def _current(self, tenant_id: str) -> ModelCatalog:
        """The catalog with what other replicas have just changed."""
        self._models.forget(tenant_id)
        return await self._models.catalog(tenant_id)

    async def _changeable_rule(self, caller: Caller, id_: UUID) -> RoutingRule:
        rule = await self._store.find_rule(caller.tenant_id, id_)
        if rule is None:
            raise _missing_rule()
        if rule.tenant_id not in caller.may_change:
            raise not_yours("rule")
        return rule


def _rule(draft: RuleDraft, id_: UUID, tenant_id: str, created_at: datetime) -> RoutingRule:
    assert isinstance(draft.conditions, Mapping), "check_rule comes first"
    return RoutingRule(
        id=id_,
        tenant_id=tenant_id,
        name=draft.name,
        priority=draft.priority,
        conditions=draft.conditions,
        models=draft.models,
        created_at=created_at,
        is_enabled=draft.is_enabled,
    )


def _unknown(provider: ProviderConfig, name: str, changes: ModelChanges) -> Model:
    """A model that nothing is known of but what ``changes`` say.

    Ollama tells the rest as soon as it has been pulled; of two windows the smaller counts.
    """
    if name and provider.kind is ProviderKind.OLLAMA:
        return _unpriced(provider, name, frozenset({ModelCapability.CHAT}), _LARGEST_USUAL_WINDOW)
    missing = [
        field
        for field, key in (("capabilities", "capabilities"), ("contextWindow", "context_window"))
        if key not in changes
    ]
    if missing:
        raise BadUserInput(
            f"{provider.name} does not report a model of this name now, so "
            f"{' and '.join(missing)} must be given.",
            path=(missing[0],),
        )
    return _unpriced(provider, name, changes["capabilities"], changes["context_window"])


def _unpriced(
    provider: ProviderConfig, name: str, capabilities: frozenset[ModelCapability], window: int
) -> Model:
    price = unsaid_price(is_local=provider.is_local)
    return Model(
        provider.name,
        name,
        capabilities,
        window,
        input_price=price,
        output_price=price,
        is_local=provider.is_local,
    )


def _missing_rule() -> NotFound:
    return NotFound("There is no rule of this id. The query `routingRules` lists what there is.")
