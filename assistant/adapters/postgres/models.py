"""Rows of providers, models and groups."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Row, text

from assistant.adapters.postgres.connection import Database
from assistant.domain.caller import PLATFORM_TENANT
from assistant.domain.model import (
    Model,
    ModelCapability,
    ModelGroup,
    ProviderConfig,
    ProviderKind,
    TaskType,
)
from assistant.domain.ports import ModelCatalog

# ruff: noqa: S608 - statements are put together from constants only; values are parameters

PROVIDER_COLUMNS = "name, kind, base_url, api_key_variable, is_local, is_enabled"
MODEL_COLUMNS = (
    "provider, name, capabilities, tasks, context_window, max_output_tokens, input_price, "
    "output_price, is_allowed, preference"
)
GROUP_COLUMNS = "name, models, fallback_group"

# Ordered so that a tenant's own row comes last and takes the place of the platform's.
_VISIBLE = "tenant_id IN (:tenant_id, :platform) ORDER BY tenant_id = :tenant_id"
_PROVIDERS = text(f"SELECT {PROVIDER_COLUMNS} FROM providers WHERE {_VISIBLE}, name")
_MODELS = text(f"SELECT {MODEL_COLUMNS} FROM llm_models WHERE {_VISIBLE}, provider, name")
_GROUPS = text(f"SELECT {GROUP_COLUMNS} FROM model_groups WHERE {_VISIBLE}, name")


class PostgresModels:
    """The ModelStore port."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def load(self, tenant_id: str) -> ModelCatalog:
        visible = {"tenant_id": tenant_id, "platform": PLATFORM_TENANT}
        async with self._database.tenant(tenant_id) as connection:
            provider_rows = await connection.execute(_PROVIDERS, visible)
            model_rows = await connection.execute(_MODELS, visible)
            group_rows = await connection.execute(_GROUPS, visible)
        providers = {row.name: provider_of(row) for row in provider_rows}
        models = [
            model_of(row, row.provider in providers and providers[row.provider].is_local)
            for row in model_rows
        ]
        return ModelCatalog(
            providers=providers,
            models={model.id: model for model in models},
            groups={row.name: group_of(row) for row in group_rows},
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
    )


def model_of(row: Row[Any], is_local: bool) -> Model:
    """The model in a row with MODEL_COLUMNS; ``is_local`` is its provider's."""
    return Model(
        provider=row.provider,
        name=row.name,
        capabilities=frozenset(map(ModelCapability, row.capabilities)),
        context_window=row.context_window,
        tasks=None if row.tasks is None else frozenset(map(TaskType, row.tasks)),
        max_output_tokens=row.max_output_tokens,
        input_price=row.input_price,
        output_price=row.output_price,
        is_local=is_local,
        is_allowed=row.is_allowed,
        preference=row.preference,
    )


def group_of(row: Row[Any]) -> ModelGroup:
    """The group in a row with GROUP_COLUMNS."""
    return ModelGroup(row.name, tuple(row.models), row.fallback_group)
