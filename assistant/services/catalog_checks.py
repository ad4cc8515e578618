"""What an administrator may write into the catalog, and what is said of anything else.

Every check raises BadUserInput, with the path of what is wrong inside the input.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from ipaddress import ip_address
from urllib.parse import urlsplit

from assistant.domain.model import Model, ModelGroup, ProviderConfig, ProviderKind
from assistant.domain.ports import ModelCatalog
from assistant.domain.rule import RuleDraft
from assistant.domain.values import check_text
from assistant.errors import BadUserInput, Forbidden
from assistant.services.rules import check_conditions

MAX_TARGETS = 32
MAX_TOKENS = 10_000_000
MAX_CONCURRENCY = 100_000
MAX_PRICE = Decimal(1_000_000)

_NAME = re.compile(r"[a-z0-9-]{1,64}")
_MAX_MODEL_NAME = 256
_MAX_URL = 2_048
_KEY_VARIABLE = re.compile(r"(?=[A-Z][A-Z0-9_]{0,127}\Z)[A-Z0-9_]*_API_KEY")
_PRINTABLE = re.compile(r"[!-~]+")
_MAX_PRIORITY = 2**31
_NANO = Decimal("1e-9")


def check_name(name: str, what: str, path: tuple[str, ...] = ("name",)) -> None:
    """Refuse what could not be the name of a rule, a group or a provider."""
    if not _NAME.fullmatch(name):
        raise BadUserInput(
            f"The name of {what} must be 1 to 64 small letters, digits or hyphens.", path=path
        )


def check_rule(draft: RuleDraft, catalog: ModelCatalog) -> None:
    """Refuse a rule that could not be read, or that names what does not exist."""
    check_name(draft.name, "a rule")
    if not -_MAX_PRIORITY <= draft.priority < _MAX_PRIORITY:
        raise BadUserInput("priority must fit into 32 bits.", path=("priority",))
    check_conditions(draft.conditions)
    _check_targets(draft.models, catalog, with_groups=True)


def check_group(group: ModelGroup, catalog: ModelCatalog) -> None:
    """Refuse a group of unknown models, and one whose fallbacks lead back to it."""
    check_name(group.name, "a group")
    _check_targets(group.models, catalog, with_groups=False)
    if group.fallback_group is None:
        return
    groups = {**catalog.groups, group.name: group}
    if group.fallback_group not in groups:
        raise BadUserInput(
            f"There is no group named '{group.fallback_group[:64]}' to fall back to. "
            f"Known: {_listed(catalog.groups)}.",
            path=("fallbackGroup",),
        )
    met = [group.name]
    following: str | None = group.fallback_group
    while following is not None and following in groups:
        met.append(following)
        if following in met[:-1]:
            raise BadUserInput(
                f"The fallbacks form a circle: {' -> '.join(met)}.", path=("fallbackGroup",)
            )
        following = groups[following].fallback_group


def check_provider(provider: ProviderConfig, *, is_operator: bool) -> None:
    """Refuse an address that is none, and a key that is not the administrator's to send."""
    check_name(provider.name, "a provider")
    if provider.kind is ProviderKind.BUILTIN:
        raise BadUserInput(
            "A provider of the kind BUILTIN is part of this service and cannot be added or "
            "changed.",
            path=("kind",),
        )
    _check_url(provider.base_url or "")
    if provider.api_key_variable is not None:
        tenant_id = None if is_operator else provider.tenant_id
        _check_key_variable(provider.api_key_variable, tenant_id)
    if provider.max_concurrency is not None:
        _check_range(provider.max_concurrency, MAX_CONCURRENCY, "maxConcurrency")


def check_model(model: Model) -> None:
    """Refuse a model that could not be called, or whose prices are none."""
    path = ("id",)
    check_text(model.name, path)
    if not 1 <= len(model.name) <= _MAX_MODEL_NAME:
        raise BadUserInput(
            f"id must be provider/name, the name of 1 to {_MAX_MODEL_NAME} characters.", path=path
        )
    if not model.capabilities:
        raise BadUserInput("capabilities must not be empty.", path=("capabilities",))
    if model.tasks is not None and not model.tasks:
        raise BadUserInput(
            "tasks must not be empty; null is for a model that serves all.", path=("tasks",)
        )
    _check_range(model.context_window, MAX_TOKENS, "contextWindow")
    if model.max_output_tokens is not None:
        _check_range(model.max_output_tokens, MAX_TOKENS, "maxOutputTokens")
    for price, field in (
        (model.input_price, "inputPricePer1MTokens"),
        (model.output_price, "outputPricePer1MTokens"),
        (model.cached_input_price, "cachedInputPricePer1MTokens"),
    ):
        if price is not None:
            _check_price(price, field)


def check_target(
    name: str, catalog: ModelCatalog, path: tuple[str, ...], *, with_groups: bool = True
) -> None:
    """Refuse a model, or a group, that the catalog does not have."""
    known = {*catalog.models, *(model.name for model in catalog.models.values())}
    known |= {known_name.removesuffix(":latest") for known_name in known}
    if with_groups:
        known |= catalog.groups.keys()
    if name not in known:
        groups = f" Groups: {_listed(catalog.groups)}." if with_groups else ""
        what = "model or group" if with_groups else "model"
        raise BadUserInput(
            f"There is no {what} named '{name[:80]}'. Models: {_listed(catalog.models)}.{groups}",
            path=path,
        )


def _check_targets(names: Sequence[str], catalog: ModelCatalog, *, with_groups: bool) -> None:
    if not 1 <= len(names) <= MAX_TARGETS:
        raise BadUserInput(f"models must name 1 to {MAX_TARGETS}.", path=("models",))
    for index, name in enumerate(names):
        check_target(name, catalog, ("models", str(index)), with_groups=with_groups)


def _check_url(url: str) -> None:
    path = ("baseUrl",)
    if len(url) > _MAX_URL or not _PRINTABLE.fullmatch(url):
        raise BadUserInput(
            f"baseUrl must be 1 to {_MAX_URL:,} printable ASCII characters.", path=path
        )
    try:
        parts = urlsplit(url)
        is_address = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        is_address = False
    if not is_address:
        raise BadUserInput(
            "baseUrl must be http:// or https:// with a host, as in https://api.openai.com/v1.",
            path=path,
        )
    if _is_link_local(parts.hostname or ""):
        raise BadUserInput(
            "baseUrl must not be a link-local address: that is where clouds keep credentials.",
            path=path,
        )
    if "@" in parts.netloc:
        raise BadUserInput(
            "baseUrl must not hold a user or a password: apiKeyVariable names where the key is.",
            path=path,
        )
    if "?" in url or "#" in url:
        raise BadUserInput("baseUrl must have no query and no fragment.", path=path)


def _is_link_local(host: str) -> bool:
    try:
        return ip_address(host).is_link_local
    except ValueError:
        return False


def _check_key_variable(name: str, tenant_id: str | None) -> None:
    """``tenant_id`` is None for the operator, who may send any key anywhere."""
    path = ("apiKeyVariable",)
    if not _KEY_VARIABLE.fullmatch(name):
        raise BadUserInput(
            "apiKeyVariable must be the name of an environment variable (capital letters, digits "
            "and _, at most 128) that ends in _API_KEY. It is never the key itself.",
            path=path,
        )
    if tenant_id is None:
        return
    own = re.sub(r"[^A-Z0-9]", "_", tenant_id.upper())
    # Two underscores: ACME_EU_API_KEY is the tenant acme-eu's, and not acme's.
    if name != f"{own}_API_KEY" and not name.startswith(f"{own}__"):
        raise BadUserInput(
            f"apiKeyVariable must be {own}_API_KEY, or begin with {own}__: the keys of others, the "
            "operator's too, are not sent to an address that a tenant chooses. Ask the operator "
            "for a variable of yours.",
            path=path,
        )


def _check_range(value: int, most: int, field: str) -> None:
    if not 1 <= value <= most:
        raise BadUserInput(f"{field} must be 1 to {most:,}.", path=(field,))


def _check_price(price: Decimal, field: str) -> None:
    if not 0 <= price <= MAX_PRICE or price != price.quantize(_NANO):
        raise BadUserInput(
            f"{field} must be 0 to {MAX_PRICE:,} USD with at most 9 decimals.", path=(field,)
        )


def _listed(names: Mapping[str, object]) -> str:
    shown = sorted(names)
    return ", ".join([*shown[:20], "..."] if len(shown) > 20 else shown) or "none"


def no_room(what: str, most: int) -> BadUserInput:
    """For a tenant that has ``most`` of them."""
    return BadUserInput(f"A tenant has at most {most:,} {what} of its own. Delete some first.")


def not_yours(what: str) -> Forbidden:
    """For who may read what belongs to the platform, but not change it."""
    return Forbidden(
        f"This {what} belongs to the platform: every tenant has it, and only the operator changes "
        f"or deletes it. A {what} of your own with the same name takes its place for you."
    )
