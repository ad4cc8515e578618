"""Rows of providers, models, groups and rules: how they read, and how they are written."""

from __future__ import annotations

import json
from typing import Any

from sqlalchemy import Row, TextClause, text

from assistant.domain.model import (
    Model,
    ModelCapability,
    ModelGroup,
    ProviderConfig,
    ProviderKind,
    RoutingStrategy,
    TaskType,
    unsaid_price,
)
from assistant.domain.rule import RoutingRule

# ruff: noqa: S608 - statements are put together from constants only; values are parameters

PROVIDER_COLUMNS = (
    "tenant_id, name, kind, base_url, api_key_variable, is_local, is_enabled, max_concurrency"
)
MODEL_COLUMNS = (
    "provider, name, capabilities, tasks, context_window, max_output_tokens, input_price, "
    "output_price, cached_input_price, is_allowed, preference"
)
GROUP_COLUMNS = "name, models, fallback_group, strategy, is_hedged"
RULE_COLUMNS = "tenant_id, id, name, priority, conditions, models, is_enabled, created_at"


def _room(table: str, own: str = "false") -> str:
    """Holds while the tenant has less than ``:most`` rows; for a row that it has, ``own``, too."""
    return (
        f"WHERE CAST(:most AS integer) IS NULL OR ({own}) "
        f"OR (SELECT count(*) FROM {table} WHERE tenant_id = :tenant_id) < :most"
    )


_OWN = "EXISTS (SELECT FROM {table} WHERE tenant_id = :tenant_id AND {key})"
_BY_NAME = "name = :name"

# Each writes one row or, where the tenant has :most already, none. NULL is no limit.
PUT_PROVIDER = text(
    f"""
    INSERT INTO providers ({PROVIDER_COLUMNS})
    SELECT :tenant_id, :name, :kind, :base_url, :api_key_variable, :is_local, :is_enabled,
           :max_concurrency
    {_room("providers", _OWN.format(table="providers", key=_BY_NAME))}
    ON CONFLICT (tenant_id, name) DO UPDATE SET
        kind = excluded.kind, base_url = excluded.base_url,
        api_key_variable = excluded.api_key_variable, is_local = excluded.is_local,
        is_enabled = excluded.is_enabled, max_concurrency = excluded.max_concurrency
    """
)
PUT_MODEL = text(
    f"""
    INSERT INTO llm_models (tenant_id, {MODEL_COLUMNS})
    SELECT :tenant_id, :provider, :name, CAST(:capabilities AS text[]), CAST(:tasks AS text[]),
           :context_window, :max_output_tokens, :input_price, :output_price, :cached_input_price,
           :is_allowed, :preference
    {_room("llm_models", _OWN.format(table="llm_models", key="provider = :provider AND " + _BY_NAME))}
    ON CONFLICT (tenant_id, provider, name) DO UPDATE SET
        capabilities = excluded.capabilities, tasks = excluded.tasks,
        context_window = excluded.context_window, max_output_tokens = excluded.max_output_tokens,
        input_price = excluded.input_price, output_price = excluded.output_price,
        cached_input_price = excluded.cached_input_price, is_allowed = excluded.is_allowed,
        preference = excluded.preference
    """
)
PUT_GROUP = text(
    f"""
    INSERT INTO model_groups (tenant_id, {GROUP_COLUMNS})
    SELECT :tenant_id, :name, CAST(:models AS text[]), :fallback_group, :strategy, :is_hedged
    {_room("model_groups", _OWN.format(table="model_groups", key=_BY_NAME))}
    ON CONFLICT (tenant_id, name) DO UPDATE SET
        models = excluded.models, fallback_group = excluded.fallback_group,
        strategy = excluded.strategy, is_hedged = excluded.is_hedged
    """
)
_ADD_RULE = f"""
    INSERT INTO model_routing_rules ({RULE_COLUMNS})
    SELECT :tenant_id, :id, :name, :priority, CAST(:conditions AS jsonb), CAST(:models AS text[]),
           :is_enabled, :created_at
    {_room("model_routing_rules")}
"""
ADD_RULE = text(_ADD_RULE)
PUT_RULE = text(
    f"""
    {_ADD_RULE}
    ON CONFLICT (tenant_id, name) DO UPDATE SET
        priority = excluded.priority, conditions = excluded.conditions, models = excluded.models,
        is_enabled = excluded.is_enabled
    """
)
UPDATE_RULE = text(
    """
    UPDATE model_routing_rules SET
        name = :name, priority = :priority, conditions = CAST(:conditions AS jsonb),
        models = CAST(:models AS text[]), is_enabled = :is_enabled
    WHERE tenant_id = :tenant_id AND id = :id
    """
)


def select(columns: str, table: str, order: str) -> TextClause:
    """What a tenant sees of a table; its own rows come last and take the place of the platform's."""
    return text(
        f"SELECT {columns} FROM {table} WHERE tenant_id IN (:tenant_id, :platform) "
        f"ORDER BY tenant_id = :tenant_id, {order}"
    )


def provider_of(row: Row[Any]) -> ProviderConfig:
    """The provider in a row with PROVIDER_COLUMNS."""
    return ProviderConfig(
        name=row.name,
        kind=ProviderKind(row.kind),
        base_url=row.base_url,
        api_key_variable=row.api_key_variable,
        is_local=row.is_local,
        is_enabled=row.is_enabled,
        max_concurrency=row.max_concurrency,
        tenant_id=row.tenant_id,
    )


def provider_row(provider: ProviderConfig) -> dict[str, object]:
    return {
        "tenant_id": provider.tenant_id,
        "name": provider.name,
        "kind": provider.kind.value,
        "base_url": provider.base_url,
        "api_key_variable": provider.api_key_variable,
        "is_local": provider.is_local,
        "is_enabled": provider.is_enabled,
        "max_concurrency": provider.max_concurrency,
    }


def model_of(row: Row[Any], is_local: bool) -> Model:
    """The model in a row with MODEL_COLUMNS; ``is_local`` is its provider's."""
    unsaid = unsaid_price(is_local=is_local)
    return Model(
        provider=row.provider,
        name=row.name,
        capabilities=frozenset(map(ModelCapability, row.capabilities)),
        context_window=row.context_window,
        tasks=None if row.tasks is None else frozenset(map(TaskType, row.tasks)),
        max_output_tokens=row.max_output_tokens,
        input_price=unsaid if row.input_price is None else row.input_price,
        output_price=unsaid if row.output_price is None else row.output_price,
        cached_input_price=row.cached_input_price,
        is_local=is_local,
        is_allowed=row.is_allowed,
        preference=row.preference,
    )


def model_row(tenant_id: str, model: Model) -> dict[str, object]:
    """Only what the row holds: not what the provider reports."""
    return {
        "tenant_id": tenant_id,
        "provider": model.provider,
        "name": model.name,
        "capabilities": sorted(model.capabilities),
        "tasks": None if model.tasks is None else sorted(model.tasks),
        "context_window": model.context_window,
        "max_output_tokens": model.max_output_tokens,
        "input_price": model.input_price,
        "output_price": model.output_price,
        "cached_input_price": model.cached_input_price,
        "is_allowed": model.is_allowed,
        "preference": model.preference,
    }


def group_of(row: Row[Any]) -> ModelGroup:
    """The group in a row with GROUP_COLUMNS."""
    return ModelGroup(
        name=row.name,
        models=tuple(row.models),
        fallback_group=row.fallback_group,
        strategy=None if row.strategy is None else RoutingStrategy(row.strategy),
        is_hedged=row.is_hedged,
    )


def group_row(tenant_id: str, group: ModelGroup) -> dict[str, object]:
    return {
        "tenant_id": tenant_id,
        "name": group.name,
        "models": list(group.models),
        "fallback_group": group.fallback_group,
        "strategy": None if group.strategy is None else group.strategy.value,
        "is_hedged": group.is_hedged,
    }


def rule_of(row: Row[Any]) -> RoutingRule:
    """The rule in a row with RULE_COLUMNS."""
    return RoutingRule(
        id=row.id,
        tenant_id=row.tenant_id,
        name=row.name,
        priority=row.priority,
        conditions=row.conditions,
        models=tuple(row.models),
        created_at=row.created_at,
        is_enabled=row.is_enabled,
    )


def rule_row(rule: RoutingRule) -> dict[str, object]:
    return {
        "tenant_id": rule.tenant_id,
        "id": rule.id,
        "name": rule.name,
        "priority": rule.priority,
        "conditions": json.dumps(rule.conditions),
        "models": list(rule.models),
        "is_enabled": rule.is_enabled,
        "created_at": rule.created_at,
    }
