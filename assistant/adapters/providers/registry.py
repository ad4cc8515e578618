"""Which adapter speaks which protocol: one line for each."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from assistant.domain.model import ProviderConfig, ProviderKind
from assistant.domain.ports import Provider
from assistant.errors import ProviderUnavailable


class ProviderRegistry:
    """The ProviderConnector port: makes each provider once, from its row."""

    def __init__(self, kinds: Mapping[ProviderKind, Callable[[ProviderConfig], Provider]]) -> None:
        self._kinds = kinds
        self._providers: dict[ProviderConfig, Provider] = {}

    def __call__(self, config: ProviderConfig) -> Provider:
        provider = self._providers.get(config)
        if provider is None:
            make = self._kinds.get(config.kind)
            if make is None:
                raise ProviderUnavailable(
                    f"This version cannot speak to {config.kind.value} providers ({config.name})."
                )
            provider = self._providers[config] = make(config)
        return provider
