"""The platform's catalog, brought up to the seed without undoing what an admin did."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import text
from uuid_utils.compat import uuid7

from assistant.adapters.postgres import catalog_rows as rows
from assistant.adapters.postgres import seed_contents as contents
from assistant.adapters.postgres.connection import Database
from assistant.adapters.postgres.seed_prompts import seed_prompts
from assistant.adapters.postgres.seeding import Entry, Seeding
from assistant.domain.caller import PLATFORM_TENANT
from assistant.domain.model import Model, ModelGroup, ProviderConfig
from assistant.domain.rule import RoutingRule
from assistant.domain.seed import Seed, SeedReport, SeedRule

# ruff: noqa: S608 - statements are put together from constants only; values are parameters

# Replicas that start together seed one after the other.
_LOCK = text("SELECT pg_advisory_xact_lock(4837201566)")
_OURS = "WHERE tenant_id = :tenant_id"
_PROVIDERS = text(f"SELECT {rows.PROVIDER_COLUMNS} FROM providers {_OURS}")
_MODELS = text(f"SELECT {rows.MODEL_COLUMNS} FROM llm_models {_OURS}")
_GROUPS = text(f"SELECT {rows.GROUP_COLUMNS} FROM model_groups {_OURS}")
_RULES = text(f"SELECT {rows.RULE_COLUMNS} FROM model_routing_rules {_OURS}")
_NO_LIMIT = {"most": None}


class PostgresSeeds:
    """Brings the platform's catalog up to the seed."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def apply(self, seed: Seed, at: datetime) -> SeedReport:
        """Add what is new and update what changed, except for what an admin has changed.

        Deleting and archiving are changes too. Applying the same seed again changes nothing.

        Raises: StorageUnavailable.
        """
        async with self._database.tenant(PLATFORM_TENANT) as connection:
            await connection.execute(_LOCK)
            seeding = Seeding(connection, at)
            await seeding.recall()
            await seeding.entries(
                "provider",
                map(_provider_entry, seed.providers),
                {
                    row.name: contents.provider_content(rows.provider_of(row))
                    for row in await seeding.fetch(_PROVIDERS)
                },
                rows.PUT_PROVIDER,
            )
            await seeding.entries(
                "model",
                map(_model_entry, seed.models),
                {
                    f"{row.provider}/{row.name}": contents.model_content(rows.model_of(row, False))
                    for row in await seeding.fetch(_MODELS)
                },
                rows.PUT_MODEL,
            )
            await seeding.entries(
                "model_group",
                map(_group_entry, seed.groups),
                {
                    row.name: contents.group_content(rows.group_of(row))
                    for row in await seeding.fetch(_GROUPS)
                },
                rows.PUT_GROUP,
            )
            await seeding.entries(
                "routing_rule",
                [_rule_entry(rule, at) for rule in seed.rules],
                {
                    row.name: contents.rule_content(rows.rule_of(row))
                    for row in await seeding.fetch(_RULES)
                },
                rows.PUT_RULE,
            )
            await seed_prompts(seeding, seed.prompts, seed.partials)
        return seeding.report()


def _provider_entry(provider: ProviderConfig) -> Entry:
    content = contents.provider_content(provider)
    return Entry(provider.name, content, rows.provider_row(provider) | _NO_LIMIT)


def _model_entry(model: Model) -> Entry:
    content = contents.model_content(model)
    return Entry(model.id, content, rows.model_row(PLATFORM_TENANT, model) | _NO_LIMIT)


def _group_entry(group: ModelGroup) -> Entry:
    content = contents.group_content(group)
    return Entry(group.name, content, rows.group_row(PLATFORM_TENANT, group) | _NO_LIMIT)


def _rule_entry(rule: SeedRule, at: datetime) -> Entry:
    row = RoutingRule(
        uuid7(), PLATFORM_TENANT, rule.name, rule.priority, rule.conditions, rule.models, at
    )
    return Entry(rule.name, contents.rule_content(rule), rows.rule_row(row) | _NO_LIMIT)
