"""Releases as rows and as values, and the statements that change which versions callers get."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import replace
from typing import Any
from uuid import UUID

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from assistant.domain.rollout import PromptRelease, ReleaseKind

RELEASE_COLUMNS = "id, prompt_id, at, kind, weights, user_id, service_id, reason"

LOCK_PROMPT = text(
    "SELECT FROM prompts WHERE tenant_id = :tenant_id AND id = :prompt_id FOR NO KEY UPDATE"
)
"""Who changes a prompt does so one after the other; what is read afterwards is what holds."""

# Says who gets what from now on: the statuses follow, and nothing else of a version changes.
_SET_STATUSES = text(
    """
    UPDATE prompt_versions SET
        status = CASE WHEN version = ANY(CAST(:numbers AS integer[]))
                      THEN 'PUBLISHED' ELSE 'ARCHIVED' END,
        published_at = CASE WHEN version = ANY(CAST(:numbers AS integer[]))
                            THEN coalesce(published_at, :at) ELSE published_at END
    WHERE tenant_id = :tenant_id AND prompt_id = :prompt_id
      AND (status = 'PUBLISHED') <> (version = ANY(CAST(:numbers AS integer[])))
    """
)
_SET_PUBLISHED = text(
    """
    UPDATE prompts
    SET published_version_id = coalesce(:published_version_id, published_version_id),
        updated_at = :at
    WHERE tenant_id = :tenant_id AND id = :prompt_id
    """
)
_NEWEST = text(
    "SELECT id, at FROM prompt_releases WHERE tenant_id = :tenant_id AND prompt_id = :prompt_id "
    "ORDER BY id DESC LIMIT 1"
)
_ADD_RELEASE = text(
    f"""
    INSERT INTO prompt_releases (tenant_id, {RELEASE_COLUMNS})
    VALUES (:tenant_id, :id, :prompt_id, :at, :kind, CAST(:weights AS jsonb), :user_id,
            :service_id, :reason)
    """  # noqa: S608 - constants
)


async def record_release(
    connection: AsyncConnection,
    tenant_id: str,
    release: PromptRelease,
    numbers: Collection[int],
    published_version_id: UUID | None = None,
) -> None:
    """Let callers get the versions ``numbers`` and no others, and add ``release`` to the history.

    ``published_version_id`` None leaves the published version as it is. The prompt is locked.
    """
    key = {"tenant_id": tenant_id, "prompt_id": release.prompt_id}
    newest = (await connection.execute(_NEWEST, key)).first()
    if newest is not None and release.id <= newest.id:
        # Made before the lock was had, or by a clock that is behind: history is what happened.
        id_, at = UUID(int=newest.id.int + 1), max(release.at, newest.at)
        release = replace(release, id=id_, at=at)
    changed = key | {"at": release.at}
    await connection.execute(_SET_STATUSES, changed | {"numbers": sorted(numbers)})
    await connection.execute(
        _SET_PUBLISHED, changed | {"published_version_id": published_version_id}
    )
    await connection.execute(_ADD_RELEASE, {"tenant_id": tenant_id, **_release_row(release)})


def release_of(row: Row[Any]) -> PromptRelease:
    """The release in a row with RELEASE_COLUMNS."""
    return PromptRelease(
        id=row.id,
        prompt_id=row.prompt_id,
        at=row.at,
        kind=ReleaseKind(row.kind),
        weights={int(number): row.weights[number] for number in sorted(row.weights, key=int)},
        user_id=row.user_id,
        service_id=row.service_id,
        reason=row.reason,
    )


def _release_row(release: PromptRelease) -> dict[str, object]:
    return {
        "id": release.id,
        "prompt_id": release.prompt_id,
        "at": release.at,
        "kind": release.kind.value,
        "weights": json.dumps(dict(release.weights)),
        "user_id": release.user_id,
        "service_id": release.service_id,
        "reason": release.reason,
    }
