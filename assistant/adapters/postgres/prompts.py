"""Rows of prompts and their versions."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Row, TextClause, text

from assistant.adapters.postgres.connection import Database
from assistant.adapters.postgres.prompt_rows import (
    PROMPT_COLUMNS,
    PROMPTS,
    VERSION_COLUMNS,
    prompt_of,
    version_of,
)
from assistant.domain.caller import PLATFORM_TENANT
from assistant.domain.prompt import (
    Prompt,
    PromptOrderField,
    PromptQuery,
    PromptVersion,
    ServedPrompt,
)

# ruff: noqa: S608 - statements are put together from constants only; values are parameters

# A tenant sees its own prompts and those platform prompts whose name it does not use itself.
# An archived prompt still hides: its name must not silently turn into another prompt.
_VISIBLE = """
    p.tenant_id IN (:tenant_id, :platform)
    AND (p.tenant_id = :tenant_id OR NOT EXISTS (
        SELECT FROM prompts AS own WHERE own.tenant_id = :tenant_id AND own.name = p.name))
"""
# Callers are not left with nothing while a prompt of their own is being written.
_SERVED = _VISIBLE.replace(
    "own.name = p.name",
    "own.name = p.name AND (own.published_version_id IS NOT NULL OR own.is_archived)",
)
_WITH_VERSION = f"""
    SELECT {PROMPT_COLUMNS}, {VERSION_COLUMNS}
    FROM {PROMPTS} JOIN prompt_versions AS v ON v.tenant_id = p.tenant_id AND v.prompt_id = p.id
    WHERE p.name = :name AND NOT p.is_archived
"""
_FIND_SERVED = text(
    f"{_WITH_VERSION} AND {_SERVED} "
    "AND (v.id = p.published_version_id OR v.version = ANY(r.points))"
)
_FIND_VERSION = text(f"{_WITH_VERSION} AND {_VISIBLE} AND v.version = :number")
_PROMPTS = f"SELECT {PROMPT_COLUMNS} FROM {PROMPTS}"
_BY_ID = text(
    f"{_PROMPTS} WHERE p.tenant_id IN (:tenant_id, :platform) AND p.id = ANY(CAST(:ids AS uuid[]))"
)
_BY_NAME = text(f"{_PROMPTS} WHERE {_VISIBLE} AND p.name = ANY(CAST(:names AS text[]))")
_VERSIONS = f"SELECT {VERSION_COLUMNS} FROM prompt_versions AS v"
_VERSIONS_BY_ID = text(
    f"{_VERSIONS} WHERE v.tenant_id IN (:tenant_id, :platform) AND v.id = ANY(CAST(:ids AS uuid[]))"
)
_VERSIONS_BY_NUMBER = text(
    f"""
    {_VERSIONS}
    JOIN unnest(CAST(:prompt_ids AS uuid[]), CAST(:numbers AS integer[])) AS key (prompt_id, number)
      ON v.prompt_id = key.prompt_id AND v.version = key.number
    WHERE v.tenant_id IN (:tenant_id, :platform)
    """
)
_LIST_VERSIONS = text(
    f"""
    SELECT v.* FROM unnest(CAST(:prompt_ids AS uuid[])) AS wanted (prompt_id)
    CROSS JOIN LATERAL (
        {_VERSIONS}
        WHERE v.tenant_id IN (:tenant_id, :platform) AND v.prompt_id = wanted.prompt_id
          AND (CAST(:before AS integer) IS NULL OR v.version < :before)
        ORDER BY v.version DESC LIMIT :first
    ) AS v
    """
)
# The sort value of a cursor is text; the casts read it back as what it was.
_ORDERS = {
    PromptOrderField.NAME: ("p.name", "text"),
    PromptOrderField.CREATED_AT: ("p.created_at", "timestamptz"),
    PromptOrderField.UPDATED_AT: ("p.updated_at", "timestamptz"),
}


def _list_in(order_by: PromptOrderField, is_descending: bool) -> TextClause:
    column, kind = _ORDERS[order_by]
    direction, beyond = ("DESC", "<") if is_descending else ("ASC", ">")
    return text(
        f"""
        {_PROMPTS} WHERE {_VISIBLE}
          AND (:include_archived OR NOT p.is_archived)
          AND (CAST(:name_contains AS text) IS NULL
               OR position(lower(:name_contains) IN p.name) > 0)
          AND (CAST(:category AS text) IS NULL OR p.category = :category)
          AND (CAST(:tag AS text) IS NULL OR :tag = ANY(p.tags))
          AND (CAST(:after_id AS uuid) IS NULL
               OR ({column}, p.id) {beyond} (CAST(:after_value AS {kind}), :after_id))
        ORDER BY {column} {direction}, p.id {direction}
        LIMIT :first
        """
    )


_LISTS = {
    (order_by, is_descending): _list_in(order_by, is_descending)
    for order_by in PromptOrderField
    for is_descending in (False, True)
}


class PostgresPrompts:
    """The PromptStore port; every method is one statement."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def find_served(self, tenant_id: str, name: str) -> ServedPrompt | None:
        rows = await self._fetch(_FIND_SERVED, tenant_id, name=name)
        if not rows:
            return None
        prompt, versions = prompt_of(rows[0]), [version_of(row) for row in rows]
        numbers = {version.id: version.version for version in versions}
        published = (
            numbers.get(prompt.published_version_id) if prompt.published_version_id else None
        )
        return ServedPrompt(prompt, published, {version.version: version for version in versions})

    async def find_version(
        self, tenant_id: str, name: str, number: int
    ) -> tuple[Prompt, PromptVersion] | None:
        rows = await self._fetch(_FIND_VERSION, tenant_id, name=name, number=number)
        return (prompt_of(rows[0]), version_of(rows[0])) if rows else None

    async def prompts_by_id(self, tenant_id: str, ids: Sequence[UUID]) -> Mapping[UUID, Prompt]:
        rows = await self._fetch(_BY_ID, tenant_id, ids=list(ids))
        return {row.prompt_id: prompt_of(row) for row in rows}

    async def prompts_by_name(self, tenant_id: str, names: Sequence[str]) -> Mapping[str, Prompt]:
        rows = await self._fetch(_BY_NAME, tenant_id, names=list(names))
        return {row.prompt_name: prompt_of(row) for row in rows}

    async def versions_by_id(
        self, tenant_id: str, ids: Sequence[UUID]
    ) -> Mapping[UUID, PromptVersion]:
        rows = await self._fetch(_VERSIONS_BY_ID, tenant_id, ids=list(ids))
        return {row.version_id: version_of(row) for row in rows}

    async def versions_by_number(
        self, tenant_id: str, keys: Sequence[tuple[UUID, int]]
    ) -> Mapping[tuple[UUID, int], PromptVersion]:
        rows = await self._fetch(
            _VERSIONS_BY_NUMBER,
            tenant_id,
            prompt_ids=[prompt_id for prompt_id, _ in keys],
            numbers=[number for _, number in keys],
        )
        return {(row.version_prompt_id, row.version_number): version_of(row) for row in rows}

    async def list_versions(
        self, tenant_id: str, prompt_ids: Sequence[UUID], first: int, before: int | None
    ) -> Mapping[UUID, Sequence[PromptVersion]]:
        rows = await self._fetch(
            _LIST_VERSIONS, tenant_id, prompt_ids=list(prompt_ids), first=first, before=before
        )
        versions: dict[UUID, list[PromptVersion]] = defaultdict(list)
        for version in sorted(map(version_of, rows), key=lambda v: v.version, reverse=True):
            versions[version.prompt_id].append(version)
        return {prompt_id: versions[prompt_id] for prompt_id in prompt_ids}

    async def list_prompts(self, tenant_id: str, query: PromptQuery) -> Sequence[Prompt]:
        after_value, after_id = query.after or (None, None)
        rows = await self._fetch(
            _LISTS[query.order_by, query.is_descending],
            tenant_id,
            include_archived=query.include_archived,
            name_contains=query.name_contains,
            category=query.category,
            tag=query.tag,
            after_value=after_value,
            after_id=after_id,
            first=query.first,
        )
        return [prompt_of(row) for row in rows]

    async def _fetch(
        self, statement: TextClause, tenant_id: str, **parameters: object
    ) -> Sequence[Row[Any]]:
        async with self._database.tenant(tenant_id) as connection:
            rows = await connection.execute(
                statement, {"tenant_id": tenant_id, "platform": PLATFORM_TENANT, **parameters}
            )
        return rows.all()
