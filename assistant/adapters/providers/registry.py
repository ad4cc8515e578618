"""Which adapter speaks which protocol: one line for each."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping

from assistant.adapters.providers.anthropic import ANTHROPIC_URL, AnthropicProvider
from assistant.adapters.providers.builtin import ExtractiveProvider
from assistant.adapters.providers.http import HttpClient
from assistant.adapters.providers.ollama import OllamaProvider
from assistant.adapters.providers.openai import OPENAI_URL, OpenAiProvider
from assistant.domain.model import ProviderConfig, ProviderKind
from assistant.domain.ports import Embedder, Provider
from assistant.errors import ProviderUnavailable
from assistant.settings import Settings


def provider_kinds(
    settings: Settings, http: HttpClient, embedder: Embedder
) -> Mapping[ProviderKind, Callable[[ProviderConfig], Provider]]:
    """How to make a provider of each kind from its row. Where a row names no URL, settings do."""
    return {
        ProviderKind.OLLAMA: lambda row: OllamaProvider(row.base_url or settings.ollama_url, http),
        ProviderKind.OPENAI: lambda row: OpenAiProvider(
            row.base_url or settings.openai_base_url or OPENAI_URL,
            # A host of one's own may want no key; the vendor's always does.
            api_key(row, is_optional=bool(row.base_url is None and settings.openai_base_url)),
            http,
            row.name,
        ),
        ProviderKind.ANTHROPIC: lambda row: AnthropicProvider(
            row.base_url or settings.anthropic_base_url or ANTHROPIC_URL,
            api_key(row, is_optional=bool(row.base_url is None and settings.anthropic_base_url)),
            http,
            row.name,
        ),
        ProviderKind.BUILTIN: lambda _row: ExtractiveProvider(embedder),
    }


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
