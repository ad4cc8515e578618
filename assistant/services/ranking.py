"""In which order models are tried that may all serve: what each strategy sorts by."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from itertools import groupby
from typing import TypeAlias

from assistant.domain.model import Model, ModelCapability, RoutingStrategy
from assistant.domain.ports import ModelCatalog
from assistant.domain.route import key_of
from assistant.services.bounded_cache import BoundedCache
from assistant.services.latencies import Latencies

_Key: TypeAlias = tuple[object, ...]
_Runs: TypeAlias = tuple[tuple[Model, ...], ...]  # models of equal rank, but for their latency


class Ranking:
    """Sorts models. What does not change with every answer is sorted once for a catalog."""

    def __init__(self, latencies: Latencies) -> None:
        self._latencies = latencies
        self._kept: BoundedCache[tuple[str, RoutingStrategy, bool], tuple[ModelCatalog, _Runs]] = (
            BoundedCache(5_000)
        )

    def key(self, model: Model, strategy: RoutingStrategy, catalog: ModelCatalog) -> _Key:
        """What a strategy sorts by."""
        return (*rank_of(model, strategy), *self._moving(model, catalog))

    def every(
        self, tenant_id: str, catalog: ModelCatalog, strategy: RoutingStrategy, *, usable: bool
    ) -> list[Model]:
        """The catalog's models, best first; ``usable``: only those that may generate at all."""
        key = (tenant_id, strategy, usable)
        kept = self._kept.get(key)
        if kept is None or kept[0] is not catalog:
            models = (m for m in catalog.models.values() if not usable or _is_usable(m))
            kept = (catalog, _runs(models, strategy))
            self._kept.put(key, kept)
        ranked: list[Model] = []
        for run in kept[1]:
            if len(run) == 1:
                ranked.append(run[0])
            else:
                ranked.extend(sorted(run, key=lambda model: self._moving(model, catalog)))
        return ranked

    def _moving(self, model: Model, catalog: ModelCatalog) -> _Key:
        mean_s = self._latencies.mean_s(key_of(model, catalog.providers[model.provider]))
        latency_s = float("inf") if mean_s is None else mean_s
        return (latency_s, _price(model), model.preference, model.id)


def rank_of(model: Model, strategy: RoutingStrategy) -> _Key:
    """What comes before latency: of equal ones the quickest is tried first, whichever that is.

    Models that serve only some tasks always come last.
    """
    price = _price(model)
    limited = model.tasks is not None
    match strategy:
        case RoutingStrategy.CLOUD_FIRST | RoutingStrategy.CLOUD_ONLY:
            return (limited, model.is_local, price, model.preference)
        case RoutingStrategy.FASTEST:
            return (limited,)
        case RoutingStrategy.CHEAPEST:
            return (limited, price, model.preference)
        case RoutingStrategy.LOCAL_FIRST | RoutingStrategy.LOCAL_ONLY:
            return (limited, not model.is_local, price, model.preference)


def _price(model: Model) -> Decimal:
    """Of both kinds of tokens; what nobody knows is taken to be dearer than anything."""
    if model.input_price is None or model.output_price is None:
        return Decimal("Infinity")
    return model.input_price + model.output_price


def _runs(models: Iterable[Model], strategy: RoutingStrategy) -> _Runs:
    def rank(model: Model) -> _Key:
        return rank_of(model, strategy)

    return tuple(tuple(run) for _, run in groupby(sorted(models, key=rank), key=rank))


def _is_usable(model: Model) -> bool:
    return model.is_allowed and ModelCapability.CHAT in model.capabilities
