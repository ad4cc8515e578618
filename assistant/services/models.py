"""Models as they are now: our rows joined with what the providers report."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from types import MappingProxyType

import structlog

from assistant.domain.caller import PLATFORM_TENANT
from assistant.domain.model import (
    DiscoveredModel,
    Model,
    ModelCapability,
    ProviderConfig,
    unsaid_price,
)
from assistant.domain.ports import ModelCatalog, ModelStore, ProviderConnector
from assistant.errors import AssistantError, ProviderRejected, RateLimited, StorageUnavailable
from assistant.services.bounded_cache import BoundedCache
from assistant.services.last_known import LastKnown

log = structlog.get_logger(__name__)

# A provider that is down is asked often, so that it serves soon after it comes up.
_RETRY_INTERVAL_S = 2.0
_LIST_TIMEOUT_S = 5.0
_UNKNOWN_CONTEXT_WINDOW = 4096


@dataclass(frozen=True, slots=True)
class ProviderState:
    """What a provider said last. ``reason`` tells why it is unhealthy; None while it is healthy.

    ``models`` is None where it keeps no list: then those of our rows are taken to be there.
    """

    models: tuple[DiscoveredModel, ...] | None = ()
    reason: str | None = "not asked yet"

    @property
    def is_healthy(self) -> bool:
        return self.reason is None


_NOT_ASKED = ProviderState()


class Models:
    """The catalog of each tenant, kept in memory; refreshed by notice and by asking providers."""

    def __init__(
        self, store: ModelStore, connect: ProviderConnector, poll_interval_s: float
    ) -> None:
        self._store = store
        self._connect = connect
        self._poll_interval_s = poll_interval_s
        self._rows: LastKnown[str, ModelCatalog] = LastKnown("models", 1_000)
        self._joined: BoundedCache[str, ModelCatalog] = BoundedCache(1_000)
        self._states: dict[ProviderConfig, ProviderState] = {}
        self._asking: dict[ProviderConfig, asyncio.Task[ProviderState]] = {}
        # What each tenant's rows say, for as long as nobody has read them anew.
        self._configured: dict[str, frozenset[ProviderConfig]] = {}
        self._changes = 0

    def forget(self, tenant_id: str) -> None:
        """Read the tenant's rows anew from now on; the platform's are every tenant's."""
        self._changes += 1
        every = tenant_id == PLATFORM_TENANT
        self._rows.forget(lambda key: every or key == tenant_id)
        self._joined.discard(lambda key: every or key == tenant_id)

    async def catalog(self, tenant_id: str) -> ModelCatalog:
        """What the tenant can see, availability included; as it was last while the database is away.

        Raises: StorageUnavailable where it was never known.
        """
        joined = self._joined.get(tenant_id)
        if joined is None:
            changes = self._changes
            rows = await self._rows.get(tenant_id, lambda: self._store.load(tenant_id))
            assert rows is not None  # a tenant without any has an empty catalog
            self._configured[tenant_id] = frozenset(rows.providers.values())
            await self._ask([c for c in rows.providers.values() if c not in self._states])
            joined = _join(rows, self._states)
            # What changed while it was being read may not be in it, and what could not be read is not:
            # then the next caller reads again.
            if changes == self._changes and self._rows.is_fresh(tenant_id):
                self._joined.put(tenant_id, joined)
        return joined

    def state(self, config: ProviderConfig) -> ProviderState:
        """What the provider said when it was last asked."""
        return self._states.get(config, _NOT_ASKED)

    def unhealthy_reasons(self, tenant_id: str) -> Mapping[str, str | None]:
        """What keeps each of the tenant's providers from serving; None for those that serve."""
        configured = sorted(self._configured.get(tenant_id, ()), key=lambda config: config.name)
        return {config.name: self.state(config).reason for config in configured}

    async def refresh(self, config: ProviderConfig) -> None:
        """Ask a provider now, because what it has was changed."""
        await self._ask([config])

    async def watch(self) -> None:
        """Keep asking the providers what they have, until cancelled."""
        asked_at: dict[ProviderConfig, float] = {}
        step_s = min(_RETRY_INTERVAL_S, self._poll_interval_s)
        elapsed_s = 0.0
        while True:
            await asyncio.sleep(step_s)
            elapsed_s += step_s
            with suppress(StorageUnavailable):  # then what was known is kept
                await self.catalog(PLATFORM_TENANT)
            configured = frozenset[ProviderConfig]().union(*self._configured.values())
            for config in self._states.keys() - configured:
                del self._states[config]  # its row was changed or deleted
            due = [
                config
                for config, state in self._states.items()
                if elapsed_s - asked_at.get(config, 0.0) >= self._interval_s(config, state)
            ]
            asked_at |= dict.fromkeys(due, elapsed_s)
            await self._ask(due)

    def _interval_s(self, config: ProviderConfig, state: ProviderState) -> float:
        """Models are pulled on our own machines; elsewhere they change rarely.

        One that is away is asked more often, so that it serves soon after it comes back; one that
        answers and refuses to list, a bad key say, is not.
        """
        if config.is_local:
            away_s = min(_RETRY_INTERVAL_S, self._poll_interval_s)
            return self._poll_interval_s if state.is_healthy else away_s
        is_away = state.models == () and not state.is_healthy
        return self._poll_interval_s if is_away else 6 * self._poll_interval_s

    async def _ask(self, configs: Sequence[ProviderConfig]) -> None:
        """Ask each provider what it has; what changed is seen by the next ``catalog``."""
        answers = await asyncio.gather(*(self._state_of(config) for config in configs))
        for config, state in zip(configs, answers, strict=True):
            if self._states.get(config) == state:
                continue
            self._states[config] = state
            self._joined.discard(lambda _tenant: True)
            log.info(
                "provider_state",
                provider=config.name,
                healthy=state.is_healthy,
                reason=state.reason,
                models=None if state.models is None else len(state.models),
            )

    async def _state_of(self, config: ProviderConfig) -> ProviderState:
        """What the provider says; however many want to know, it is asked once at a time."""
        asking = self._asking.get(config)
        if asking is None:
            asking = self._asking[config] = asyncio.create_task(self._list(config))
            asking.add_done_callback(lambda _: self._asking.pop(config, None))
        return await asyncio.shield(asking)

    async def _list(self, config: ProviderConfig) -> ProviderState:
        if not config.is_enabled:
            return ProviderState(reason="disabled")
        try:
            async with asyncio.timeout(_LIST_TIMEOUT_S):
                models = await self._connect(config).list_models()
                return ProviderState(None if models is None else tuple(models), None)
        except (ProviderRejected, RateLimited) as error:
            # It answers, but lists nothing to this key, or not now: calls may work all the same.
            return ProviderState(self.state(config).models or None, error.message)
        except AssistantError as error:
            return ProviderState(reason=error.message)
        except TimeoutError:
            return ProviderState(reason=f"did not list its models within {_LIST_TIMEOUT_S:g} s")


def _join(rows: ModelCatalog, states: Mapping[ProviderConfig, ProviderState]) -> ModelCatalog:
    """Rows say what is allowed and what it costs; providers say what is there."""
    models: dict[str, Model] = {}
    reported = {
        (config.name, model.name): model
        for config in rows.providers.values()
        for model in states.get(config, _NOT_ASKED).models or ()
    }
    keeps_no_list = {
        config.name
        for config in rows.providers.values()
        if states.get(config, _NOT_ASKED).models is None
    }
    for id_, row in rows.models.items():
        if row.provider not in rows.providers:
            continue  # nobody runs it any more
        found = reported.pop((row.provider, row.name), None)
        window = found.context_window if found else None
        models[id_] = replace(
            row,
            is_available=found is not None or row.provider in keeps_no_list,
            size_bytes=found.size_bytes if found else row.size_bytes,
            capabilities=(found.capabilities if found and found.capabilities else row.capabilities),
            # What we ask for cannot exceed what the server's copy of the model can take.
            context_window=min(row.context_window, window or row.context_window),
        )
    for (provider, name), found in reported.items():
        # There, but nobody has allowed it yet: seen by administrators, used by nobody.
        is_local = rows.providers[provider].is_local
        model = Model(
            provider=provider,
            name=name,
            capabilities=found.capabilities or frozenset({ModelCapability.CHAT}),
            context_window=found.context_window or _UNKNOWN_CONTEXT_WINDOW,
            size_bytes=found.size_bytes,
            input_price=unsaid_price(is_local=is_local),
            output_price=unsaid_price(is_local=is_local),
            is_local=is_local,
            is_allowed=False,
            is_available=True,
        )
        models[model.id] = model
    return ModelCatalog(rows.providers, MappingProxyType(models), rows.groups, rows.rules)
