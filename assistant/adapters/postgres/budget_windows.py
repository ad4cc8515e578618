"""Windows of budgets begin when somebody first spends in them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from sqlalchemy import text

from assistant.adapters.postgres.connection import Database
from assistant.adapters.postgres.group_commit import GroupCommit

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

    Each knows from the start what was spent in it before there was a budget, and what runs. Whatever
    is asked for while a statement runs is in the next one: at midnight all windows begin.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._beginnings: dict[str, GroupCommit[Sequence[Mapping[str, Any]]]] = {}

    async def begin(self, tenant_id: str, windows: Sequence[Mapping[str, Any]]) -> None:
        """Begin ``windows``, as the ledger's function names them; those that have begun stay.

        Raises: StorageUnavailable.
        """
        group = self._beginnings.get(tenant_id)
        if group is None:
            group = self._beginnings[tenant_id] = GroupCommit(partial(self._begin, tenant_id))
        try:
            await group.submit(windows)
        finally:
            if not group.is_busy:
                self._beginnings.pop(tenant_id, None)

    async def _begin(self, tenant_id: str, asked: Sequence[Sequence[Mapping[str, Any]]]) -> None:
        windows = {
            (window["budget_id"], window["subject"], window["starts_at"])
            for each in asked
            for window in each
        }
        budget_ids, subjects, starts = zip(*sorted(windows), strict=True)
        async with self._database.tenant(tenant_id) as connection:
            await connection.execute(
                _BEGIN,
                {
                    "tenant_id": tenant_id,
                    "budget_ids": list(budget_ids),
                    "subjects": list(subjects),
                    "starts": list(starts),
                },
            )
