"""One run of seeding: what becomes of each entry, and what is remembered of it.

``seeds`` remembers the hash of every entry as it was seeded last. An entry is updated only
while its row still has that hash; a row that is gone was deleted on purpose and stays gone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Row, TextClause, text
from sqlalchemy.ext.asyncio import AsyncConnection

from assistant.adapters.postgres.seed_contents import content_hash
from assistant.domain.caller import PLATFORM_TENANT
from assistant.domain.seed import SeedReport
from assistant.domain.values import JsonObject

_REMEMBERED = text("SELECT kind, key, content_hash FROM seeds WHERE tenant_id = :tenant_id")
_REMEMBER = text(
    """
    INSERT INTO seeds (tenant_id, kind, key, content_hash)
    VALUES (:tenant_id, :kind, :key, :content_hash)
    ON CONFLICT (tenant_id, kind, key) DO UPDATE SET content_hash = excluded.content_hash
    """
)


class Verdict(StrEnum):
    """What to do with an entry."""

    ADD = "ADD"
    UPDATE = "UPDATE"
    LEAVE = "LEAVE"
    KEEP = "KEEP"


@dataclass(frozen=True, slots=True)
class Entry:
    """A row that is seeded: its key, what it says, and what its statement is given."""

    key: str
    content: JsonObject
    parameters: Mapping[str, object]


class Seeding:
    """One run, inside one transaction."""

    def __init__(self, connection: AsyncConnection, at: datetime) -> None:
        self.connection = connection
        self.at = at
        self._counts: Counter[Verdict] = Counter()
        self._remembered: dict[tuple[str, str], bytes] = {}

    async def recall(self) -> None:
        """Read what was seeded before; needed before anything else."""
        rows = await self.fetch(_REMEMBERED)
        self._remembered = {(row.kind, row.key): row.content_hash for row in rows}

    def report(self) -> SeedReport:
        return SeedReport(
            added=self._counts[Verdict.ADD],
            updated=self._counts[Verdict.UPDATE],
            unchanged=self._counts[Verdict.LEAVE],
            kept=self._counts[Verdict.KEEP],
        )

    async def entries(
        self,
        kind: str,
        wanted: Iterable[Entry],
        current: Mapping[str, JsonObject],
        put: TextClause,
    ) -> None:
        """Add or update rows that have one version only; ``current`` is what each key says now."""
        for entry in wanted:
            verdict = self.judge(kind, entry.key, entry.content, current.get(entry.key))
            if verdict in (Verdict.ADD, Verdict.UPDATE):
                await self.execute(put, entry.parameters)
                await self.remember(kind, entry.key, entry.content)
            self.count(verdict)

    def judge(self, kind: str, key: str, wanted: JsonObject, current: JsonObject | None) -> Verdict:
        """What to do with an entry whose row says ``current``; None where there is no row."""
        seeded, hash_ = self._remembered.get((kind, key)), content_hash(wanted)
        if seeded is None:
            return Verdict.ADD if current is None else Verdict.KEEP
        if seeded == hash_:
            return Verdict.LEAVE
        is_untouched = current is not None and content_hash(current) in (seeded, hash_)
        return Verdict.UPDATE if is_untouched else Verdict.KEEP

    def keep(self, kind: str, entry: Entry, current: JsonObject | None) -> None:
        """Leave an entry as it is, or gone, whatever the seed says of it."""
        verdict = self.judge(kind, entry.key, entry.content, current)
        self.count(Verdict.LEAVE if verdict is Verdict.LEAVE else Verdict.KEEP)

    def was_seeded(self, kind: str, key: str) -> bool:
        return (kind, key) in self._remembered

    def count(self, verdict: Verdict) -> None:
        self._counts[verdict] += 1

    async def fetch(self, statement: TextClause) -> list[Row[Any]]:
        """The platform's rows."""
        result = await self.connection.execute(statement, {"tenant_id": PLATFORM_TENANT})
        return list(result)

    async def remember(self, kind: str, key: str, content: JsonObject) -> None:
        seeded = {"kind": kind, "key": key, "content_hash": content_hash(content)}
        await self.execute(_REMEMBER, seeded)

    async def execute(self, statement: TextClause, parameters: Mapping[str, object]) -> None:
        """Write as the platform, at the time of this run."""
        await self.connection.execute(
            statement, {"tenant_id": PLATFORM_TENANT, "at": self.at, **parameters}
        )
