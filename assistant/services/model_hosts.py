"""Providers whose models come and go on demand, and which of them a name means."""

from __future__ import annotations

from dataclasses import dataclass

from assistant.domain.model import ProviderConfig, full_name
from assistant.domain.ports import ModelCatalog, ModelHost, ProviderConnector
from assistant.domain.values import check_text
from assistant.errors import AssistantError, BadUserInput, ProviderUnavailable

_PREFERRED = "ollama"
_PATH = ("name",)


@dataclass(frozen=True, slots=True)
class HostedModel:
    """A model on a host, there or not. ``name`` is the host's own, with its tag."""

    config: ProviderConfig
    host: ModelHost
    name: str

    @property
    def id(self) -> str:
        return f"{self.config.name}/{self.name}"


def find_host(config: ProviderConfig, connect: ProviderConnector) -> ModelHost | None:
    """The provider, where it is one that models can be fetched to and deleted from."""
    provider = connect(config)
    return provider if isinstance(provider, ModelHost) else None


def get_hosted_model(name: str, catalog: ModelCatalog, connect: ProviderConnector) -> HostedModel:
    """What ``name`` means: a model's id, or a host's own name for it.

    A name without a provider is one of the local host's: of the one called ``ollama``, else of
    the first by name. Raises: BadUserInput, ProviderUnavailable.
    """
    if not 1 <= len(name) <= 256:
        raise BadUserInput("name must have 1 to 256 characters.", path=_PATH)
    check_text(name, _PATH)
    provider, _, rest = name.partition("/")
    config = catalog.providers.get(provider)
    if config is None:
        return _local(name, catalog, connect)
    if not config.is_enabled:
        raise ProviderUnavailable(f"Provider '{config.name}' is disabled. Enable it first.")
    host = find_host(config, connect)
    if host is None or not rest:
        raise BadUserInput(
            f"No models can be fetched to '{config.name}'. Name one of a host that runs them "
            "itself, as in ollama/llama3.2:3b.",
            path=_PATH,
        )
    return HostedModel(config, host, full_name(rest))


def _local(name: str, catalog: ModelCatalog, connect: ProviderConnector) -> HostedModel:
    configs = [c for c in catalog.providers.values() if c.is_local and c.is_enabled]
    for config in sorted(configs, key=lambda c: (c.name != _PREFERRED, c.name)):
        try:
            host = find_host(config, connect)
        except AssistantError:
            continue  # one whose settings are incomplete is none that was meant
        if host is not None:
            return HostedModel(config, host, full_name(name))
    raise ProviderUnavailable(
        "There is no local provider that models can be fetched to. Add one with setProvider, of "
        "the kind OLLAMA."
    )
