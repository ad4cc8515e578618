"""Test cases of prompts, and what became of their runs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from uuid import UUID

from sqlalchemy import text

from assistant.adapters.postgres.connection import Database
from assistant.adapters.postgres.prompt_test_rows import (
    CASE_COLUMNS,
    PUT_CASE,
    RUN_COLUMNS,
    case_of,
    case_row,
    run_of,
    run_row,
)
from assistant.domain.caller import PLATFORM_TENANT
from assistant.domain.prompt_test import PromptTestCase, PromptTestRun

# ruff: noqa: S608 - statements are put together from constants only; values are parameters

_LIST_CASES = text(
    f"""
    SELECT {CASE_COLUMNS} FROM prompt_test_cases
    WHERE tenant_id IN (:tenant_id, :platform) AND prompt_id = ANY(CAST(:prompt_ids AS uuid[]))
    ORDER BY name COLLATE "C"
    """
)
_DELETE_CASE = text("DELETE FROM prompt_test_cases WHERE tenant_id = :tenant_id AND id = :id")
_PUT_RUN = text(
    f"""
    INSERT INTO prompt_test_runs (tenant_id, {RUN_COLUMNS})
    VALUES (:tenant_id, :id, :prompt_id, :version_id, :model, :status, :cases,
            CAST(:results AS json), :started_at, :ended_at, :started_by)
    ON CONFLICT (tenant_id, id) DO UPDATE SET
        status = excluded.status, cases = excluded.cases, results = excluded.results,
        ended_at = excluded.ended_at
    """
)
_OF_VERSION = "FROM prompt_test_runs WHERE tenant_id = :tenant_id AND version_id = :version_id"
_KEEP_NEWEST = text(
    f"""
    DELETE {_OF_VERSION}
      AND id <= (SELECT id {_OF_VERSION} ORDER BY id DESC OFFSET :most LIMIT 1)
    """
)
_LIST_RUNS = text(
    f"""
    SELECT run.* FROM unnest(CAST(:version_ids AS uuid[])) AS wanted (version_id)
    CROSS JOIN LATERAL (
        SELECT {RUN_COLUMNS} FROM prompt_test_runs AS r
        WHERE r.tenant_id = :tenant_id AND r.version_id = wanted.version_id
        ORDER BY r.id DESC LIMIT :first
    ) AS run
    ORDER BY run.id DESC
    """
)


class PostgresPromptTests:
    """The PromptTestStore port. ``most`` cases are those of one prompt."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def list_cases(
        self, tenant_id: str, prompt_ids: Sequence[UUID]
    ) -> Mapping[UUID, Sequence[PromptTestCase]]:
        wanted = {
            "tenant_id": tenant_id,
            "platform": PLATFORM_TENANT,
            "prompt_ids": list(prompt_ids),
        }
        async with self._database.tenant(tenant_id) as connection:
            rows = await connection.execute(_LIST_CASES, wanted)
        cases: dict[UUID, list[PromptTestCase]] = defaultdict(list)
        for case in map(case_of, rows):
            cases[case.prompt_id].append(case)
        return {prompt_id: cases[prompt_id] for prompt_id in prompt_ids}

    async def put_case(
        self, tenant_id: str, case: PromptTestCase, most: int
    ) -> PromptTestCase | None:
        parameters = {"tenant_id": tenant_id, "most": most, **case_row(case)}
        async with self._database.tenant(tenant_id) as connection:
            row = (await connection.execute(PUT_CASE, parameters)).one_or_none()
        return None if row is None else case_of(row)

    async def delete_case(self, tenant_id: str, id_: UUID) -> bool:
        async with self._database.tenant(tenant_id) as connection:
            deleted = await connection.execute(_DELETE_CASE, {"tenant_id": tenant_id, "id": id_})
        return deleted.rowcount > 0

    async def put_run(self, tenant_id: str, run: PromptTestRun, most: int) -> None:
        parameters = {"tenant_id": tenant_id, "most": most, **run_row(run)}
        async with self._database.tenant(tenant_id) as connection:
            await connection.execute(_PUT_RUN, parameters)
            await connection.execute(_KEEP_NEWEST, parameters)

    async def list_runs(
        self, tenant_id: str, version_ids: Sequence[UUID], first: int
    ) -> Mapping[UUID, Sequence[PromptTestRun]]:
        wanted = {"tenant_id": tenant_id, "version_ids": list(version_ids), "first": first}
        async with self._database.tenant(tenant_id) as connection:
            rows = await connection.execute(_LIST_RUNS, wanted)
        runs: dict[UUID, list[PromptTestRun]] = defaultdict(list)
        for run in map(run_of, rows):
            runs[run.version_id].append(run)
        return {version_id: runs[version_id] for version_id in version_ids}
