"""The platform's catalog, brought up to the seed without undoing what an admin did.

``seeds`` remembers the hash of every entry as it was seeded last. An entry is updated only
while its row still has that hash; a row that is gone was deleted on purpose and stays gone.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import Row, TextClause, text
from sqlalchemy.ext.asyncio import AsyncConnection
from uuid_utils.compat import uuid7

from assistant.adapters.postgres import seed_contents as contents
from assistant.adapters.postgres.connection import Database
from assistant.adapters.postgres.models import (
    GROUP_COLUMNS,
    MODEL_COLUMNS,
    PROVIDER_COLUMNS,
    group_of,
    model_of,
    provider_of,
)
from assistant.adapters.postgres.prompt_rows import (
    PROMPT_COLUMNS,
    VERSION_COLUMNS,
    parameters_json,
    prompt_of,
    variables_json,
    version_of,
)
from assistant.domain.caller import PLATFORM_TENANT
from assistant.domain.model import Model, ModelGroup, ProviderConfig
from assistant.domain.prompt import Prompt, PromptVersion, PromptVersionStatus
from assistant.domain.seed import Seed, SeedPrompt, SeedReport
from assistant.domain.values import JsonObject

# ruff: noqa: S608 - statements are put together from constants only; values are parameters

# Replicas that start together seed one after the other.
_LOCK = text("SELECT pg_advisory_xact_lock(4837201566)")
_REMEMBERED = text("SELECT kind, key, content_hash FROM seeds WHERE tenant_id = :tenant_id")
_REMEMBER = text(
    """
    INSERT INTO seeds (tenant_id, kind, key, content_hash)
    VALUES (:tenant_id, :kind, :key, :content_hash)
    ON CONFLICT (tenant_id, kind, key) DO UPDATE SET content_hash = excluded.content_hash
    """
)
_PROVIDERS = text(f"SELECT {PROVIDER_COLUMNS} FROM providers WHERE tenant_id = :tenant_id")
_MODELS = text(f"SELECT {MODEL_COLUMNS} FROM llm_models WHERE tenant_id = :tenant_id")
_GROUPS = text(f"SELECT {GROUP_COLUMNS} FROM model_groups WHERE tenant_id = :tenant_id")
# A left join, because a prompt may have no published version.
_PROMPTS = text(
    f"""
    SELECT {PROMPT_COLUMNS}, {VERSION_COLUMNS}
    FROM prompts AS p LEFT JOIN prompt_versions AS v
      ON v.tenant_id = p.tenant_id AND v.id = p.published_version_id
    WHERE p.tenant_id = :tenant_id
    """
)
_PUT_PROVIDER = text(
    """
    INSERT INTO providers (tenant_id, name, kind, base_url, api_key_variable, is_local, is_enabled)
    VALUES (:tenant_id, :name, :kind, :base_url, :api_key_variable, :is_local, :is_enabled)
    ON CONFLICT (tenant_id, name) DO UPDATE SET
        kind = excluded.kind, base_url = excluded.base_url,
        api_key_variable = excluded.api_key_variable, is_local = excluded.is_local,
        is_enabled = excluded.is_enabled
    """
)
_PUT_MODEL = text(
    """
    INSERT INTO llm_models (tenant_id, provider, name, capabilities, tasks, context_window,
                            max_output_tokens, input_price, output_price, is_allowed, preference)
    VALUES (:tenant_id, :provider, :name, CAST(:capabilities AS text[]), CAST(:tasks AS text[]),
            :context_window, :max_output_tokens, :input_price, :output_price, :is_allowed,
            :preference)
    ON CONFLICT (tenant_id, provider, name) DO UPDATE SET
        capabilities = excluded.capabilities, tasks = excluded.tasks,
        context_window = excluded.context_window, max_output_tokens = excluded.max_output_tokens,
        input_price = excluded.input_price, output_price = excluded.output_price,
        is_allowed = excluded.is_allowed, preference = excluded.preference
    """
)
_PUT_GROUP = text(
    """
    INSERT INTO model_groups (tenant_id, name, models, fallback_group)
    VALUES (:tenant_id, :name, CAST(:models AS text[]), :fallback_group)
    ON CONFLICT (tenant_id, name) DO UPDATE SET
        models = excluded.models, fallback_group = excluded.fallback_group
    """
)
_PUT_PROMPT = text(
    """
    INSERT INTO prompts (tenant_id, id, name, description, category, tags, created_at, updated_at)
    VALUES (:tenant_id, :id, :name, :description, :category, CAST(:tags AS text[]), :at, :at)
    ON CONFLICT (tenant_id, name) DO UPDATE SET
        description = excluded.description, category = excluded.category, tags = excluded.tags,
        updated_at = excluded.updated_at
    """
)
_ADD_VERSION = text(
    """
    INSERT INTO prompt_versions (tenant_id, id, prompt_id, version, status, template,
                                 system_template, variables, task, parameters, response_schema,
                                 change_note, created_at, published_at)
    SELECT :tenant_id, :id, :prompt_id, coalesce(max(version), 0) + 1, :status, :template,
           :system_template, CAST(:variables AS jsonb), :task, CAST(:parameters AS jsonb),
           CAST(:response_schema AS json), :change_note, :at, :published_at
    FROM prompt_versions WHERE tenant_id = :tenant_id AND prompt_id = :prompt_id
    """
)
_PUBLISH = text(
    """
    UPDATE prompts SET published_version_id = :version_id, updated_at = :at
    WHERE tenant_id = :tenant_id AND id = :prompt_id
    """
)


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
            seeding = _Seeding(connection, at)
            await seeding.recall()
            await seeding.entries(
                "provider",
                [_provider_entry(provider) for provider in seed.providers],
                {
                    row.name: contents.provider_content(provider_of(row))
                    for row in await seeding.fetch(_PROVIDERS)
                },
                _PUT_PROVIDER,
            )
            await seeding.entries(
                "model",
                [_model_entry(model) for model in seed.models],
                {
                    f"{row.provider}/{row.name}": contents.model_content(model_of(row, False))
                    for row in await seeding.fetch(_MODELS)
                },
                _PUT_MODEL,
            )
            await seeding.entries(
                "model_group",
                [_group_entry(group) for group in seed.groups],
                {
                    row.name: contents.group_content(group_of(row))
                    for row in await seeding.fetch(_GROUPS)
                },
                _PUT_GROUP,
            )
            prompts = {
                row.prompt_name: (prompt_of(row), version_of(row) if row.version_id else None)
                for row in await seeding.fetch(_PROMPTS)
            }
            for prompt in seed.prompts:
                await seeding.prompt(prompt, *prompts.get(prompt.name, (None, None)))
        return SeedReport(
            added=seeding.counts[_Verdict.ADD],
            updated=seeding.counts[_Verdict.UPDATE],
            unchanged=seeding.counts[_Verdict.LEAVE],
            kept=seeding.counts[_Verdict.KEEP],
        )


class _Verdict(StrEnum):
    """What to do with an entry."""

    ADD = "ADD"
    UPDATE = "UPDATE"
    LEAVE = "LEAVE"
    KEEP = "KEEP"


def _judge(wanted: bytes, remembered: bytes | None, current: bytes | None) -> _Verdict:
    if remembered is None:
        return _Verdict.ADD if current is None else _Verdict.KEEP
    if remembered == wanted:
        return _Verdict.LEAVE
    return _Verdict.UPDATE if current in (remembered, wanted) else _Verdict.KEEP


@dataclass(frozen=True, slots=True)
class _Entry:
    key: str
    content: JsonObject
    parameters: Mapping[str, object]


class _Seeding:
    """One run, inside one transaction."""

    def __init__(self, connection: AsyncConnection, at: datetime) -> None:
        self.counts: Counter[_Verdict] = Counter()
        self._connection = connection
        self._at = at
        self._remembered: dict[tuple[str, str], bytes] = {}

    async def recall(self) -> None:
        rows = await self.fetch(_REMEMBERED)
        self._remembered = {(row.kind, row.key): row.content_hash for row in rows}

    async def fetch(self, statement: TextClause) -> list[Row[Any]]:
        result = await self._connection.execute(statement, {"tenant_id": PLATFORM_TENANT})
        return list(result)

    async def entries(
        self,
        kind: str,
        wanted: list[_Entry],
        current: Mapping[str, JsonObject],
        put: TextClause,
    ) -> None:
        """Add or update rows that have one version only."""
        for entry in wanted:
            found = current.get(entry.key)
            verdict = self._verdict(kind, entry.key, entry.content, found)
            if verdict in (_Verdict.ADD, _Verdict.UPDATE):
                await self._execute(put, entry.parameters)
                await self._remember(kind, entry.key, entry.content)
            self.counts[verdict] += 1

    async def prompt(
        self, wanted: SeedPrompt, found: Prompt | None, published: PromptVersion | None
    ) -> None:
        """Add or update a prompt; a new wording is a new version, published over the old seed's."""
        about, wording = contents.prompt_content(wanted), contents.wording_content(wanted)
        describe = self._verdict(
            "prompt", wanted.name, about, contents.prompt_content(found) if found else None
        )
        reword = self._verdict(
            "prompt_version",
            wanted.name,
            wording,
            contents.wording_content(published) if published else None,
        )
        is_new = found is None and describe is _Verdict.ADD
        is_theirs = found is not None and ("prompt", wanted.name) not in self._remembered
        if not is_new and (found is None or found.is_archived or is_theirs):
            # Deleted, archived, or made by an admin: whatever the seed says, it stays so.
            is_same = describe is reword is _Verdict.LEAVE
            self.counts[_Verdict.LEAVE if is_same else _Verdict.KEEP] += 1
            return
        prompt_id = found.id if found else uuid7()
        if describe in (_Verdict.ADD, _Verdict.UPDATE):
            await self._execute(_PUT_PROMPT, _prompt_parameters(wanted, prompt_id))
            await self._remember("prompt", wanted.name, about)
        if reword is not _Verdict.LEAVE:
            # Where an admin has published a wording of their own, the seed's is only offered.
            await self._add_version(wanted, prompt_id, is_published=reword is not _Verdict.KEEP)
            await self._remember("prompt_version", wanted.name, wording)
        by_weight = (_Verdict.ADD, _Verdict.KEEP, _Verdict.UPDATE, _Verdict.LEAVE)
        self.counts[min(describe, reword, key=by_weight.index)] += 1

    async def _add_version(self, wanted: SeedPrompt, prompt_id: UUID, is_published: bool) -> None:
        status = PromptVersionStatus.PUBLISHED if is_published else PromptVersionStatus.DRAFT
        version_id = uuid7()
        parameters = _version_parameters(wanted) | {
            "id": version_id,
            "prompt_id": prompt_id,
            "status": status.value,
            "published_at": self._at if is_published else None,
        }
        await self._execute(_ADD_VERSION, parameters)
        if is_published:
            await self._execute(_PUBLISH, {"prompt_id": prompt_id, "version_id": version_id})

    def _verdict(
        self, kind: str, key: str, wanted: JsonObject, current: JsonObject | None
    ) -> _Verdict:
        return _judge(
            contents.content_hash(wanted),
            self._remembered.get((kind, key)),
            None if current is None else contents.content_hash(current),
        )

    async def _remember(self, kind: str, key: str, content: JsonObject) -> None:
        seeded = {"kind": kind, "key": key, "content_hash": contents.content_hash(content)}
        await self._execute(_REMEMBER, seeded)

    async def _execute(self, statement: TextClause, parameters: Mapping[str, object]) -> None:
        await self._connection.execute(
            statement, {"tenant_id": PLATFORM_TENANT, "at": self._at, **parameters}
        )


def _provider_entry(provider: ProviderConfig) -> _Entry:
    content = contents.provider_content(provider)
    return _Entry(provider.name, content, {"name": provider.name, **content})


def _model_entry(model: Model) -> _Entry:
    content = contents.model_content(model)
    prices = {"input_price": model.input_price, "output_price": model.output_price}
    names = {"provider": model.provider, "name": model.name}
    return _Entry(model.id, content, {**content, **prices, **names})


def _group_entry(group: ModelGroup) -> _Entry:
    parameters = {
        "name": group.name,
        "models": list(group.models),
        "fallback_group": group.fallback_group,
    }
    return _Entry(group.name, contents.group_content(group), parameters)


def _prompt_parameters(prompt: SeedPrompt, prompt_id: UUID) -> dict[str, object]:
    return {
        "id": prompt_id,
        "name": prompt.name,
        "description": prompt.description,
        "category": prompt.category,
        "tags": list(prompt.tags),
    }


def _version_parameters(prompt: SeedPrompt) -> dict[str, object]:
    schema = prompt.response_schema
    return {
        "template": prompt.template,
        "system_template": prompt.system_template,
        "variables": json.dumps(variables_json(prompt.variables)),
        "task": prompt.task.value,
        "parameters": json.dumps(parameters_json(prompt.parameters)),
        "response_schema": None if schema is None else json.dumps(schema),
        "change_note": "Comes with the service.",
    }
