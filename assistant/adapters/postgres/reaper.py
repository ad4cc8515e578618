"""Settling what processes left open that are gone."""

from __future__ import annotations

import asyncio

import structlog
from sqlalchemy import text

from assistant.adapters.postgres.connection import Database

log = structlog.get_logger(__name__)

SILENCE_S = 30.0
"""Who was not heard of for so long is gone: six times as long as it takes to say that one lives."""

_AT_ONCE = 200
# A machine that slept, the database's or everybody's, was silent as well: who lives says so in this.
_PATIENCE_S = 10.0
_SILENT = text(
    "SELECT count(*) FROM ledger_instances "
    "WHERE heard_at < clock_timestamp() - make_interval(secs => :silence_s)"
)
_REAP = text("SELECT * FROM assistant_reap(make_interval(secs => :silence_s), :most)")
_TIDY = text("SELECT assistant_tidy_budgets()")


async def reap(
    database: Database, *, silence_s: float = SILENCE_S, patience_s: float = _PATIENCE_S
) -> str:
    """Charge what dead processes' completions may have cost at most; what was done, in one line.

    They are found failed from then on. Each is settled once: a process that was taken for dead and
    is not is told so when it settles.

    Raises: StorageUnavailable.
    """
    async with database.transaction() as connection:
        silent = (await connection.execute(_SILENT, {"silence_s": silence_s})).scalar_one()
    if silent:
        await asyncio.sleep(patience_s)
    reaped = 0
    is_over = False
    while not is_over:
        async with database.transaction() as connection:
            found = list(
                await connection.execute(_REAP, {"silence_s": silence_s, "most": _AT_ONCE})
            )
        for row in found:
            log.warning("completion_reaped", completion_id=str(row.id))
        reaped += len(found)
        is_over = len(found) < _AT_ONCE
    async with database.transaction() as connection:
        await connection.execute(_TIDY)
    return f"completions: {reaped} reaped"
