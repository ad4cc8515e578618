"""Rows of what has been learnt about token counts."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import text

from assistant.adapters.postgres.connection import Database
from assistant.domain.model import ModelKey
from assistant.domain.tokens import TokenSums, TokenSumsChange

_MOST_ROWS = 2_000  # of a tenant; a model has two

# Replicas add to the same row in any order, so none of them writes a value that it has read.
_CHANGE = text(
    """
    INSERT INTO token_calibrations AS known
        (tenant_id, provider, model, basis, samples, sums, updated_at)
    VALUES (:tenant_id, :provider, :model, :basis, :samples, :added, clock_timestamp())
    ON CONFLICT (tenant_id, provider, model, basis) DO UPDATE SET
        samples = known.samples + excluded.samples,
        sums = (
            SELECT array_agg(before * kept + added ORDER BY place)
            FROM unnest(known.sums, CAST(:kept AS double precision[]), excluded.sums)
                WITH ORDINALITY AS element (before, kept, added, place)
        ),
        updated_at = excluded.updated_at
    """
)
_READ = text(
    """
    SELECT provider, model, basis, samples, sums FROM token_calibrations
    WHERE tenant_id = :tenant_id ORDER BY updated_at DESC LIMIT :most
    """
)


class PostgresTokenSums:
    """The TokenSumsStore port."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def exchange(
        self, tenant_id: str, changes: Sequence[TokenSumsChange]
    ) -> Sequence[TokenSums]:
        """Apply the changes, all or none, then read all that is known of the tenant's models."""
        # Always in the same order: two replicas must not wait for each other's rows.
        ordered = sorted(changes, key=lambda change: (_place(change.added), change.added.basis))
        async with self._database.tenant(tenant_id) as connection:
            for change in ordered:
                provider, model = _place(change.added)
                await connection.execute(
                    _CHANGE,
                    {
                        "tenant_id": tenant_id,
                        "provider": provider,
                        "model": model,
                        "basis": change.added.basis,
                        "samples": change.added.samples,
                        "added": list(change.added.sums),
                        "kept": list(change.kept),
                    },
                )
            rows = await connection.execute(_READ, {"tenant_id": tenant_id, "most": _MOST_ROWS})
            return [
                TokenSums(
                    ModelKey(tenant_id, row.provider, row.model),
                    row.basis,
                    row.samples,
                    tuple(row.sums),
                )
                for row in rows
            ]


def _place(sums: TokenSums) -> tuple[str, str]:
    return sums.key.provider, sums.key.model
