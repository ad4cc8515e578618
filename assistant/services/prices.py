"""What models have cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from assistant.domain.model import PriceChange
from assistant.domain.ports import PriceChangeStore


class Prices:
    """The prices of models as they were. A change holds for what is used after it."""

    def __init__(self, store: PriceChangeStore) -> None:
        self._store = store

    async def list_changes(
        self, tenant_id: str, model_ids: Sequence[str], first: int
    ) -> Mapping[str, Sequence[PriceChange]]:
        """The newest changes of each model, as the port has it."""
        return await self._store.list_changes(tenant_id, model_ids, first)
