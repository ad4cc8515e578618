"""Makes the months' partitions before they are needed and drops those that have expired."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import text

from assistant.adapters.postgres.connection import Database
from assistant.adapters.postgres.migrate import MONTHS_AHEAD

_MAINTAIN = text(
    "SELECT created, dropped FROM assistant_maintain_partitions(:months_ahead, :retention_months)"
)
# Bit by bit, as each goes a month after the rows that it sums up.
_EXPIRE_HOURS = text("SELECT assistant_expire_prompt_hours(:retention_months)")


@dataclass(frozen=True, slots=True)
class PartitionChanges:
    """How many partitions were made and how many were dropped."""

    created: int
    dropped: int


async def maintain_partitions(
    database: Database, retention_months: int, months_ahead: int = MONTHS_AHEAD
) -> PartitionChanges:
    """Make what is missing up to ``months_ahead`` and drop what ended ``retention_months`` ago.

    Figures of prompts by the hour expire with the rows that they sum up.

    Safe when many replicas do it at once; neither stops readers or writers.

    Raises: StorageUnavailable.
    """
    async with database.transaction() as connection:
        result = await connection.execute(
            _MAINTAIN, {"months_ahead": months_ahead, "retention_months": retention_months}
        )
        row = result.one()
    async with database.transaction() as connection:
        await connection.execute(_EXPIRE_HOURS, {"retention_months": retention_months})
    return PartitionChanges(row.created, row.dropped)


async def keep_partitions(database: Database, retention_months: int) -> str:
    """Maintain the partitions; what has changed, in one line.

    A month's partition that cannot be made now is made later: there are others.

    Raises: StorageUnavailable.
    """
    changes = await maintain_partitions(database, retention_months)
    return f"partitions: {changes.created} made, {changes.dropped} dropped"
