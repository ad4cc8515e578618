"""What is written into the prompt catalog: new prompts, new versions, what describes them."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

import psycopg
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from assistant.adapters.postgres.connection import Database
from assistant.adapters.postgres.prompt_rows import (
    ADD_VERSION,
    PROMPT_COLUMNS,
    cache_column,
    prompt_of,
    version_of,
    version_row,
)
from assistant.adapters.postgres.release_rows import LOCK_PROMPT, record_release
from assistant.domain.prompt import Prompt, PromptChanges, PromptVersion
from assistant.domain.rollout import PromptRelease
from assistant.errors import Conflict

# ruff: noqa: S608 - statements are put together from constants only; values are parameters

_ADD_PROMPT = text(
    """
    INSERT INTO prompts (tenant_id, id, name, description, category, tags, is_archived, created_by,
                         created_at, updated_at, publish_requires_tests, cache)
    SELECT :tenant_id, :id, :name, :description, :category, CAST(:tags AS text[]), :is_archived,
           :created_by, :created_at, :updated_at, :publish_requires_tests, CAST(:cache AS json)
    WHERE (SELECT count(*) FROM prompts WHERE tenant_id = :tenant_id) < :most
    """
)
# What the changes do not name stays, and so may what they name be set to NULL. Those of the cache
# are put over what is there, so that two who change different ones at once both do.
_UPDATE_PROMPT = text(
    f"""
    WITH p AS (
        UPDATE prompts SET
            description = CASE WHEN 'description' = ANY(CAST(:changed AS text[]))
                               THEN :description ELSE description END,
            category = coalesce(:category, category),
            tags = coalesce(CAST(:tags AS text[]), tags),
            is_archived = coalesce(:is_archived, is_archived),
            publish_requires_tests = coalesce(:publish_requires_tests, publish_requires_tests),
            cache = CASE WHEN 'cache' = ANY(CAST(:changed AS text[]))
                         THEN CAST(jsonb_strip_nulls(
                             coalesce(CAST(cache AS jsonb), '{{}}') || CAST(:cache AS jsonb)
                         ) AS json) ELSE cache END,
            updated_at = :at
        WHERE tenant_id = :tenant_id AND id = :id
        RETURNING *
    )
    SELECT {PROMPT_COLUMNS}
    FROM p LEFT JOIN prompt_rollouts AS r ON r.tenant_id = p.tenant_id AND r.prompt_id = p.id
    """
)


class PostgresPromptChanges:
    """The PromptChangeStore port."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add_prompt(
        self, prompt: Prompt, first: PromptVersion, release: PromptRelease | None, most: int
    ) -> bool:
        try:
            return await self._add_prompt(prompt, first, release, most)
        except IntegrityError as error:
            if not isinstance(error.orig, psycopg.errors.UniqueViolation):
                raise
            raise Conflict(
                f"There is a prompt named '{prompt.name}' already, perhaps an archived one. Add a "
                "version to it, or choose another name."
            ) from error

    async def _add_prompt(
        self, prompt: Prompt, first: PromptVersion, release: PromptRelease | None, most: int
    ) -> bool:
        async with self._database.tenant(prompt.tenant_id) as connection:
            added = await connection.execute(_ADD_PROMPT, _prompt_row(prompt) | {"most": most})
            if added.rowcount == 0:
                return False
            row = {"tenant_id": prompt.tenant_id, "most": 1, **version_row(first)}
            await connection.execute(ADD_VERSION, row)
            if release is not None:
                await record_release(connection, prompt.tenant_id, release, {1}, first.id)
        return True

    async def update_prompt(
        self, tenant_id: str, id_: UUID, changes: PromptChanges, at: datetime
    ) -> Prompt | None:
        tags = changes.get("tags")
        parameters = {
            "tenant_id": tenant_id,
            "id": id_,
            "at": at,
            "changed": list(changes),
            "description": changes.get("description"),
            "category": changes.get("category"),
            "tags": None if tags is None else list(tags),
            "is_archived": changes.get("is_archived"),
            "publish_requires_tests": changes.get("publish_requires_tests"),
            "cache": cache_column(changes.get("cache")),
        }
        async with self._database.tenant(tenant_id) as connection:
            row = (await connection.execute(_UPDATE_PROMPT, parameters)).one_or_none()
        return None if row is None else prompt_of(row)

    async def add_version(
        self, tenant_id: str, version: PromptVersion, most: int
    ) -> PromptVersion | None:
        parameters = {"tenant_id": tenant_id, "most": most, **version_row(version)}
        async with self._database.tenant(tenant_id) as connection:
            await connection.execute(LOCK_PROMPT, parameters)
            row = (await connection.execute(ADD_VERSION, parameters)).one_or_none()
        return None if row is None else version_of(row)


def _prompt_row(prompt: Prompt) -> dict[str, object]:
    return {
        "tenant_id": prompt.tenant_id,
        "id": prompt.id,
        "name": prompt.name,
        "description": prompt.description,
        "category": prompt.category,
        "tags": list(prompt.tags),
        "is_archived": prompt.is_archived,
        "created_by": prompt.created_by,
        "created_at": prompt.created_at,
        "updated_at": prompt.updated_at,
        "publish_requires_tests": prompt.publish_requires_tests,
        "cache": cache_column(prompt.cache),
    }
