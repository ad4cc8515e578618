"""Which adapter speaks which protocol: one line for each."""

from __future__ import annotations

import os
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


def api_key(
    row: ProviderConfig, *, is_optional: bool = False, environment: Mapping[str, str] | None = None
) -> str | None:
    """The key in the environment variable that ``row`` names; None where it names none.

    Raises ProviderUnavailable where the variable is not set, unless it ``is_optional``.
    """
    if row.api_key_variable is None:
        return None
    environment = os.environ if environment is None else environment
    key = environment.get(row.api_key_variable, "").strip()
    if not key and not is_optional:
        raise ProviderUnavailable(
            f"The provider {row.name} is not configured: {row.api_key_variable} is not set."
        )
    return key or None
