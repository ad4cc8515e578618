"""Which versions callers get: one transaction for each change, one after the other by prompt."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from assistant.adapters.postgres.connection import Database
from assistant.adapters.postgres.prompt_rows import PROMPT_COLUMNS, PROMPTS, prompt_of
from assistant.adapters.postgres.release_rows import (
    LOCK_PROMPT,
    RELEASE_COLUMNS,
    record_release,
    release_of,
)
from assistant.domain.caller import PLATFORM_TENANT
from assistant.domain.ports import WatchedVersion
from assistant.domain.prompt import Prompt, PromptVersion
from assistant.domain.rollout import PromptRelease, ReleaseFigures, Rollout
from assistant.errors import Conflict

# ruff: noqa: S608 - statements are put together from constants only; values are parameters

_NOW = text(
    f"""
    SELECT {PROMPT_COLUMNS}, v.version AS published
    FROM {PROMPTS} LEFT JOIN prompt_versions AS v
      ON v.tenant_id = p.tenant_id AND v.id = p.published_version_id
    WHERE p.tenant_id = :tenant_id AND p.id = :prompt_id
    """
)
# A version that nobody has used yet has no totals, and needs none.
_PUT_ROLLOUT = text(
    """
    INSERT INTO prompt_rollouts (tenant_id, prompt_id, points, error_rate_margin, cost_margin,
                                 min_samples, started_at, since)
    SELECT :tenant_id, :prompt_id, CAST(:points AS integer[]), :error_rate_margin, :cost_margin,
           :min_samples, :started_at, coalesce(jsonb_object_agg(v.version, jsonb_build_object(
               'requests', t.requests, 'failed', t.failed, 'cost', t.cost)), '{}')
    FROM (
        SELECT id, version FROM prompt_versions
        WHERE tenant_id = :tenant_id AND prompt_id = :prompt_id
          AND version = ANY(CAST(:numbers AS integer[]))
    ) AS v
    CROSS JOIN LATERAL assistant_version_totals(ARRAY[v.id], :started_at) AS t
    ON CONFLICT (tenant_id, prompt_id) DO UPDATE SET
        points = excluded.points, error_rate_margin = excluded.error_rate_margin,
        cost_margin = excluded.cost_margin, min_samples = excluded.min_samples,
        started_at = excluded.started_at, since = excluded.since
    """
)
_END_ROLLOUT = text(
    "DELETE FROM prompt_rollouts WHERE tenant_id = :tenant_id AND prompt_id = :prompt_id"
)
_ROLLOUTS = text("SELECT tenant_id, prompt_id FROM assistant_rollouts()")
_WATCH = text(
    f"""
    SELECT {PROMPT_COLUMNS}, v.version AS number, v.id = p.published_version_id AS is_published,
           coalesce(t.requests, 0)
               - coalesce((r.since->v.version::text->>'requests')::bigint, 0) AS requests,
           coalesce(t.failed, 0)
               - coalesce((r.since->v.version::text->>'failed')::bigint, 0) AS failed,
           coalesce(t.cost, 0)
               - coalesce((r.since->v.version::text->>'cost')::numeric, 0) AS cost
    FROM {PROMPTS} JOIN prompt_versions AS v
      ON v.tenant_id = p.tenant_id AND v.prompt_id = p.id
         AND (v.id = p.published_version_id OR v.version = ANY(r.points))
    LEFT JOIN LATERAL assistant_version_totals(ARRAY[v.id], r.started_at) AS t ON true
    WHERE p.tenant_id = :tenant_id AND p.id = :prompt_id AND r.points IS NOT NULL
    ORDER BY v.version
    """
)
_LIST_RELEASES = text(
    f"""
    SELECT release.* FROM unnest(CAST(:prompt_ids AS uuid[])) AS wanted (prompt_id)
    CROSS JOIN LATERAL (
        SELECT {RELEASE_COLUMNS} FROM prompt_releases AS r
        WHERE r.tenant_id IN (:tenant_id, :platform) AND r.prompt_id = wanted.prompt_id
          AND (CAST(:before AS uuid) IS NULL OR r.id < :before)
        ORDER BY r.id DESC LIMIT :first
    ) AS release
    ORDER BY release.id DESC
    """
)


class PostgresPromptReleases:
    """The ReleaseStore port."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def publish(
        self, tenant_id: str, version: PromptVersion, expected: int | None, release: PromptRelease
    ) -> None:
        async with self._database.tenant(tenant_id) as connection:
            _, published = await _lock(connection, tenant_id, version.prompt_id)
            if expected is not None and expected != (published or 0):
                raise Conflict(
                    f"{f'Version {published}' if published else 'No version'} is published now, but "
                    f"{f'version {expected}' if expected else 'none'} was expected. Look at what has "
                    "changed and decide anew."
                )
            await _end_rollout(connection, tenant_id, version.prompt_id)
            await record_release(connection, tenant_id, release, {version.version}, version.id)

    async def set_rollout(self, prompt: Prompt, rollout: Rollout, release: PromptRelease) -> None:
        async with self._database.tenant(prompt.tenant_id) as connection:
            now, published = await _lock(connection, prompt.tenant_id, prompt.id)
            if _has_changed(now, prompt):
                raise Conflict(
                    f"Who gets which version of {prompt.name} has been changed meanwhile. Read it "
                    "again and decide anew."
                )
            await _split(connection, prompt, rollout, published, release)

    async def roll_back(self, prompt: Prompt, number: int, release: PromptRelease) -> bool:
        async with self._database.tenant(prompt.tenant_id) as connection:
            now, published = await _lock(connection, prompt.tenant_id, prompt.id)
            if now.rollout is None or published is None or _has_changed(now, prompt):
                return False
            points = tuple(published if n == number else n for n in now.rollout.points)
            rollout = Rollout(points, release.at, now.rollout.guard)
            await _split(connection, prompt, rollout, published, release)
        return True

    async def list_rollouts(self) -> Sequence[tuple[str, UUID]]:
        async with self._database.transaction() as connection:
            rows = await connection.execute(_ROLLOUTS)
        return [(row.tenant_id, row.prompt_id) for row in rows]

    async def watch_rollout(
        self, tenant_id: str, prompt_id: UUID
    ) -> tuple[Prompt, Sequence[WatchedVersion]] | None:
        wanted = {"tenant_id": tenant_id, "prompt_id": prompt_id}
        async with self._database.tenant(tenant_id) as connection:
            rows = (await connection.execute(_WATCH, wanted)).all()
        if not rows:
            return None
        return prompt_of(rows[0]), [
            WatchedVersion(
                number=row.number,
                is_published=bool(row.is_published),
                figures=ReleaseFigures(row.requests, row.failed, row.cost),
            )
            for row in rows
        ]

    async def list_releases(
        self, tenant_id: str, prompt_ids: Sequence[UUID], first: int, before: UUID | None
    ) -> Mapping[UUID, Sequence[PromptRelease]]:
        wanted = {
            "tenant_id": tenant_id,
            "platform": PLATFORM_TENANT,
            "prompt_ids": list(prompt_ids),
            "first": first,
            "before": before,
        }
        async with self._database.tenant(tenant_id) as connection:
            rows = await connection.execute(_LIST_RELEASES, wanted)
        releases: dict[UUID, list[PromptRelease]] = defaultdict(list)
        for release in map(release_of, rows):
            releases[release.prompt_id].append(release)
        return {prompt_id: releases[prompt_id] for prompt_id in prompt_ids}


async def _lock(
    connection: AsyncConnection, tenant_id: str, prompt_id: UUID
) -> tuple[Prompt, int | None]:
    """The prompt and the number of its published version, as they stay until the transaction ends."""
    wanted = {"tenant_id": tenant_id, "prompt_id": prompt_id}
    await connection.execute(LOCK_PROMPT, wanted)
    row = (await connection.execute(_NOW, wanted)).one()
    return prompt_of(row), row.published


def _has_changed(now: Prompt, read: Prompt) -> bool:
    """Whether callers get something else than when the prompt was read."""
    return (now.published_version_id, now.rollout) != (read.published_version_id, read.rollout)


async def _split(
    connection: AsyncConnection,
    prompt: Prompt,
    rollout: Rollout,
    published: int | None,
    release: PromptRelease,
) -> None:
    """As the rollout says; one that gives all to the published version ends."""
    numbers = {*rollout.points} | ({published} if published else set())
    if numbers == {published}:
        await _end_rollout(connection, prompt.tenant_id, prompt.id)
        await record_release(connection, prompt.tenant_id, release, numbers)
        return
    put = {
        "tenant_id": prompt.tenant_id,
        "prompt_id": prompt.id,
        "points": list(rollout.points),
        "error_rate_margin": rollout.guard.error_rate_margin,
        "cost_margin": rollout.guard.cost_margin,
        "min_samples": rollout.guard.min_samples,
        "started_at": rollout.started_at,
        "numbers": sorted(numbers),
    }
    await connection.execute(_PUT_ROLLOUT, put)
    await record_release(connection, prompt.tenant_id, release, numbers)


async def _end_rollout(connection: AsyncConnection, tenant_id: str, prompt_id: UUID) -> None:
    await connection.execute(_END_ROLLOUT, {"tenant_id": tenant_id, "prompt_id": prompt_id})
