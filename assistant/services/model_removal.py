"""Removing models: what the catalog says of them, and the models themselves from their hosts."""

from __future__ import annotations

from assistant.domain.caller import PLATFORM_TENANT, Caller, Scope
from assistant.domain.model import ProviderConfig, ProviderKind, full_name
from assistant.domain.ports import CatalogStore, ProviderConnector
from assistant.errors import BadUserInput, Forbidden, NotFound
from assistant.services.model_hosts import find_host
from assistant.services.models import Models


class ModelRemoval:
    """Removes models as far as they are the caller's to remove."""

    def __init__(self, store: CatalogStore, models: Models, connect: ProviderConnector) -> None:
        self._store = store
        self._models = models
        self._connect = connect

    async def remove(self, caller: Caller, id_: str) -> None:
        """Remove the caller's row of a model, and from a local host of theirs the model too.

        Operators remove the platform's row where they have none of their own, and the model from
        the platform's hosts. Everybody else's row of it stays, and then tells of a model that is
        not there.

        Raises: BadUserInput for a builtin model, NotFound, Forbidden for what is the platform's,
        UpstreamError where the host does not remove it; then the row is still there.
        """
        caller.require(Scope.ADMIN)
        provider, _, name = id_.partition("/")
        self._models.forget(caller.tenant_id)
        catalog = await self._models.catalog(caller.tenant_id)
        config = catalog.providers.get(provider)
        if config is not None and config.kind is ProviderKind.OLLAMA and id_ not in catalog.models:
            name = full_name(name)
            id_ = f"{provider}/{name}"
        if config is not None and config.kind is ProviderKind.BUILTIN:
            raise BadUserInput(
                "Builtin models are part of this service and cannot be deleted. "
                f'setModel(input: {{id: "{id_[:80]}", isAllowed: false}}) closes one off.',
                path=("id",),
            )
        is_removed = False
        if config is not None and id_ in catalog.models and _owns(caller, config):
            is_removed = await self._remove_from_host(config, name)
        is_removed |= await self._remove_row(caller, provider, name)
        if is_removed:
            return
        if id_ in catalog.models:
            raise Forbidden(
                f"Model '{id_[:80]}' belongs to the platform: only the operator deletes it. "
                f'setModel(input: {{id: "{id_[:80]}", isAllowed: false}}) closes it off for you.'
            )
        raise NotFound(f"There is no model '{id_[:80]}'. The query `availableModels` lists some.")

    async def _remove_from_host(self, config: ProviderConfig, name: str) -> bool:
        """Whether there was a host to remove it from."""
        host = find_host(config, self._connect) if config.is_local and config.is_enabled else None
        if host is None:
            return False
        await host.delete(name)
        await self._models.refresh(config)
        return True

    async def _remove_row(self, caller: Caller, provider: str, name: str) -> bool:
        """Whether the caller had a row of it, or may delete the platform's and has."""
        owners = [caller.tenant_id]
        if caller.is_operator and caller.tenant_id != PLATFORM_TENANT:
            owners.append(PLATFORM_TENANT)
        for tenant_id in owners:
            if await self._store.delete_model(tenant_id, provider, name):
                self._models.forget(tenant_id)
                return True
        return False


def _owns(caller: Caller, config: ProviderConfig) -> bool:
    return config.tenant_id == caller.tenant_id or (
        config.tenant_id == PLATFORM_TENANT and caller.is_operator
    )
