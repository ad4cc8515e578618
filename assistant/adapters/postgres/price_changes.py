"""What models cost, and when that changed: written by the rows of models, only read here."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

from sqlalchemy import text

from assistant.adapters.postgres.connection import Database
from assistant.domain.caller import PLATFORM_TENANT
from assistant.domain.model import PriceChange

_LIST_CHANGES = text(
    """
    SELECT wanted.provider || '/' || wanted.name AS model_id, change.*
    FROM unnest(CAST(:providers AS text[]), CAST(:names AS text[])) AS wanted (provider, name)
    CROSS JOIN LATERAL (
        SELECT m.tenant_id FROM llm_models AS m
        WHERE m.tenant_id IN (:tenant_id, :platform)
          AND m.provider = wanted.provider AND m.name = wanted.name
        ORDER BY m.tenant_id = :tenant_id DESC LIMIT 1
    ) AS owner
    CROSS JOIN LATERAL (
        SELECT c.valid_from, c.input_price, c.output_price, c.cached_input_price
        FROM model_price_changes AS c
        WHERE c.tenant_id = owner.tenant_id
          AND c.provider = wanted.provider AND c.name = wanted.name
        ORDER BY c.valid_from DESC LIMIT :first
    ) AS change
    ORDER BY change.valid_from DESC
    """
)


class PostgresPriceChanges:
    """The PriceChangeStore port."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def list_changes(
        self, tenant_id: str, model_ids: Sequence[str], first: int
    ) -> Mapping[str, Sequence[PriceChange]]:
        keys = [id_.partition("/") for id_ in model_ids]
        wanted = {
            "tenant_id": tenant_id,
            "platform": PLATFORM_TENANT,
            "providers": [provider for provider, _, _ in keys],
            "names": [name for _, _, name in keys],
            "first": first,
        }
        changes: defaultdict[str, list[PriceChange]] = defaultdict(list)
        async with self._database.tenant(tenant_id) as connection:
            for row in await connection.execute(_LIST_CHANGES, wanted):
                changes[row.model_id].append(
                    PriceChange(
                        valid_from=row.valid_from,
                        input_price=row.input_price,
                        output_price=row.output_price,
                        cached_input_price=row.cached_input_price,
                    )
                )
        return changes
