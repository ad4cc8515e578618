"""Completions, to read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from uuid import UUID

from sqlalchemy import text

from assistant.adapters.postgres.completion_rows import completion_of
from assistant.adapters.postgres.connection import Database
from assistant.domain.completion import Completion
from assistant.domain.identifier import find_time

# The times come from the ids and let PostgreSQL skip every other month's partition.
_FIND = text(
    """
    SELECT tenant_id, id, created_at, status, user_id, service_id, feature, prompt_version_id,
           model, text, finish_reason, prompt_tokens, completion_tokens, cached_tokens,
           reasoning_tokens, is_estimated, cost, is_priced, cache, decision, latency_ms, error_code,
           json
    FROM completions
    WHERE tenant_id = :tenant_id AND operation = 'chat'
      AND id = ANY(CAST(:ids AS uuid[]))
      AND created_at = ANY(CAST(:times AS timestamptz[]))
    """
)


class PostgresCompletions:
    """The CompletionStore port."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def find_completions(
        self, tenant_id: str, ids: Sequence[UUID]
    ) -> Mapping[UUID, Completion]:
        found = {id_: made_at for id_ in ids if (made_at := find_time(id_)) is not None}
        if not found:
            return {}
        async with self._database.tenant(tenant_id) as connection:
            rows = await connection.execute(
                _FIND,
                {"tenant_id": tenant_id, "ids": list(found), "times": list(found.values())},
            )
        completions = [completion_of(dict(row)) for row in rows.mappings()]
        return {completion.id: completion for completion in completions}
