"""The catalog of models: what a tenant sees of it, and changes to what is its own."""

from __future__ import annotations

from collections.abc import Mapping
from uuid import UUID

from sqlalchemy import TextClause, text
from sqlalchemy.exc import IntegrityError

from assistant.adapters.postgres import catalog_rows as rows
from assistant.adapters.postgres.connection import Database
from assistant.domain.caller import PLATFORM_TENANT
from assistant.domain.model import Model, ModelGroup, ProviderConfig
from assistant.domain.ports import ModelCatalog
from assistant.domain.rule import RoutingRule
from assistant.errors import Conflict

# ruff: noqa: S608 - statements are put together from constants only; values are parameters

_PROVIDERS = rows.select(rows.PROVIDER_COLUMNS, "providers", "name")
_MODELS = rows.select(rows.MODEL_COLUMNS, "llm_models", "provider, name")
_GROUPS = rows.select(rows.GROUP_COLUMNS, "model_groups", "name")
_RULES = rows.select(rows.RULE_COLUMNS, "model_routing_rules", "name")
_FIND_RULE = text(
    f"SELECT {rows.RULE_COLUMNS} FROM model_routing_rules "
    "WHERE tenant_id IN (:tenant_id, :platform) AND id = :id"
)
_DELETE_RULE = text("DELETE FROM model_routing_rules WHERE tenant_id = :tenant_id AND id = :id")
_DELETE_PROVIDER = text("DELETE FROM providers WHERE tenant_id = :tenant_id AND name = :provider")
_DELETE_MODELS = text(
    """
    DELETE FROM llm_models WHERE tenant_id = :tenant_id AND provider = :provider
      AND NOT EXISTS (
          SELECT FROM providers WHERE tenant_id IN (:tenant_id, :platform) AND name = :provider)
    """
)
_DELETE_MODEL = text(
    "DELETE FROM llm_models WHERE tenant_id = :tenant_id AND provider = :provider AND name = :name"
)


class PostgresModels:
    """The CatalogStore port."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def load(self, tenant_id: str) -> ModelCatalog:
        visible = {"tenant_id": tenant_id, "platform": PLATFORM_TENANT}
        async with self._database.tenant(tenant_id) as connection:
            provider_rows = await connection.execute(_PROVIDERS, visible)
            model_rows = await connection.execute(_MODELS, visible)
            group_rows = await connection.execute(_GROUPS, visible)
            rule_rows = await connection.execute(_RULES, visible)
        providers = {row.name: rows.provider_of(row) for row in provider_rows}
        models = [
            rows.model_of(row, row.provider in providers and providers[row.provider].is_local)
            for row in model_rows
        ]
        return ModelCatalog(
            providers=providers,
            models={model.id: model for model in models},
            groups={row.name: rows.group_of(row) for row in group_rows},
            rules=tuple({row.name: rows.rule_of(row) for row in rule_rows}.values()),
        )

    async def find_rule(self, tenant_id: str, id_: UUID) -> RoutingRule | None:
        visible = {"tenant_id": tenant_id, "platform": PLATFORM_TENANT, "id": id_}
        async with self._database.tenant(tenant_id) as connection:
            row = (await connection.execute(_FIND_RULE, visible)).one_or_none()
        return None if row is None else rows.rule_of(row)

    async def add_rule(self, rule: RoutingRule, most: int) -> bool:
        parameters = rows.rule_row(rule) | {"most": most}
        return await self._write_rule(rows.ADD_RULE, rule, parameters)

    async def update_rule(self, rule: RoutingRule) -> bool:
        return await self._write_rule(rows.UPDATE_RULE, rule, rows.rule_row(rule))

    async def delete_rule(self, tenant_id: str, id_: UUID) -> bool:
        return await self._write(_DELETE_RULE, {"tenant_id": tenant_id, "id": id_})

    async def put_group(self, tenant_id: str, group: ModelGroup, most: int) -> bool:
        return await self._write(rows.PUT_GROUP, rows.group_row(tenant_id, group) | {"most": most})

    async def put_provider(self, provider: ProviderConfig, most: int) -> bool:
        return await self._write(rows.PUT_PROVIDER, rows.provider_row(provider) | {"most": most})

    async def delete_provider(self, tenant_id: str, name: str) -> bool:
        deleted = {"tenant_id": tenant_id, "provider": name}
        async with self._database.tenant(tenant_id) as connection:
            found = await connection.execute(_DELETE_PROVIDER, deleted)
            await connection.execute(_DELETE_MODELS, deleted | {"platform": PLATFORM_TENANT})
        return found.rowcount > 0

    async def put_model(self, tenant_id: str, model: Model, most: int) -> bool:
        return await self._write(rows.PUT_MODEL, rows.model_row(tenant_id, model) | {"most": most})

    async def delete_model(self, tenant_id: str, provider: str, name: str) -> bool:
        return await self._write(
            _DELETE_MODEL, {"tenant_id": tenant_id, "provider": provider, "name": name}
        )

    async def _write_rule(
        self, statement: TextClause, rule: RoutingRule, parameters: Mapping[str, object]
    ) -> bool:
        try:
            return await self._write(statement, parameters)
        except IntegrityError as error:
            raise Conflict(
                f"There is a rule named '{rule.name}' already. Change that one, or choose "
                "another name."
            ) from error

    async def _write(self, statement: TextClause, parameters: Mapping[str, object]) -> bool:
        """Whether a row was written or deleted. ``parameters`` name the tenant."""
        async with self._database.tenant(str(parameters["tenant_id"])) as connection:
            result = await connection.execute(statement, parameters)
        return result.rowcount > 0
