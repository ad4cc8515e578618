"""Windows of budgets begin when somebody first spends in them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import text

from assistant.adapters.postgres.connection import Database

_BEGIN = text(
    "SELECT assistant_begin_windows(:tenant_id, CAST(:budget_ids AS uuid[]), "
    "CAST(:subjects AS text[]), CAST(:starts AS timestamptz[]))"
)

HOLD_LEDGER = text("SELECT pg_advisory_xact_lock(hashtextextended(:tenant_id, 4837201567))")
"""Until the transaction ends, nothing of the tenant's is opened or settled.

The first statement of whoever removes windows: its rows are locked in no order.
"""


class BudgetWindows:
    """Begins windows, those of a tenant one statement after the other.

    Each knows from the start what was spent in it before there was a budget, and what runs.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._locks: dict[str, asyncio.Lock] = {}

    async def begin(self, tenant_id: str, windows: Sequence[Mapping[str, Any]]) -> None:
        """Begin ``windows``, as the ledger's function names them; those that have begun stay.

        Raises: StorageUnavailable.
        """
        # The first of many who wait for the same window begins it: the others find it begun.
        lock = self._locks.setdefault(tenant_id, asyncio.Lock())
        async with lock, self._database.tenant(tenant_id) as connection:
            await connection.execute(
                _BEGIN,
                {
                    "tenant_id": tenant_id,
                    "budget_ids": [window["budget_id"] for window in windows],
                    "subjects": [window["subject"] for window in windows],
                    "starts": [window["starts_at"] for window in windows],
                },
            )
        if not lock.locked():
            self._locks.pop(tenant_id, None)
