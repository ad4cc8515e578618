"""Kept answers: found by key or by meaning, kept, judged and removed."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import text

from assistant.adapters.postgres.cache_lookups import Lookups
from assistant.adapters.postgres.cache_rows import (
    ENTRY_COLUMNS,
    LAND_FLIGHTS,
    entry_of,
    entry_row,
    flight_row,
    vector_text,
)
from assistant.adapters.postgres.connection import Database
from assistant.adapters.postgres.group_commit import GroupCommit
from assistant.adapters.postgres.own_connection import OwnConnection
from assistant.domain.cache import (
    CacheEntry,
    CacheKey,
    CacheSelection,
    CacheUpkeep,
    FlightKey,
    Landing,
    Lead,
)
from assistant.domain.caller import PLATFORM_TENANT
from assistant.domain.identifier import find_time
from assistant.domain.ports import Vector
from assistant.errors import StorageUnavailable

# ruff: noqa: S608 - statements are put together from constants only; values are parameters

_MOST_REJECTED = 32

# A scope that was large a minute ago is searched as one, whatever has become of it.
_LARGE_FOR_S = 60.0
_MOST_LARGE_SCOPES = 1_000

# Whoever looks for an answer would rather ask a model than wait for so long.
_READ_TIMEOUT_S = 1.0
_WRITE_TIMEOUT_S = 15.0

_FIND = "SELECT * FROM assistant_find_cached(%s::text[], %s::bytea[], %s::uuid[], %s::bytea[])"
_FIND_SIMILAR = """
    SELECT * FROM assistant_find_similar(%s::text[], %s::bytea[], %s::text[], %s::boolean[], %s)
    ORDER BY place, similarity DESC
"""
_KEEP = "SELECT assistant_keep_cached(%s)"
_COUNT_HITS = text(
    "SELECT assistant_count_cache_hits("
    "CAST(:tenant_ids AS text[]), CAST(:ids AS uuid[]), CAST(:hits AS bigint[]))"
)

_ONE = "tenant_id = :tenant_id AND id = :id AND created_at = :created_at"
_ANNOUNCE = """
    pg_notify('assistant_cache',
              json_build_object('tenant_id', tenant_id, 'key', encode(key, 'hex'))::text)
"""
_GET = text(f"SELECT {ENTRY_COLUMNS} FROM cache_entries WHERE {_ONE} AND expires_at > now()")
# The oldest of what is rejected gives way.
_JUDGE = text(
    f"""
    WITH judged AS (
        UPDATE cache_entries SET
            min_similarity = :min_similarity,
            rejected = CASE
                WHEN CAST(:rejected AS bytea) IS NULL OR CAST(:rejected AS bytea) = ANY(rejected)
                THEN rejected
                ELSE rejected[greatest(cardinality(rejected) - {_MOST_REJECTED} + 2, 1):]
                     || CAST(:rejected AS bytea)
            END
        WHERE {_ONE} RETURNING tenant_id, key
    )
    SELECT {_ANNOUNCE} FROM judged
    """
)
_REMOVE = text(
    f"""
    WITH gone AS (
        DELETE FROM cache_entries WHERE {_ONE} RETURNING tenant_id, id, key
    ), unused AS (
        DELETE FROM cache_entry_uses AS used USING gone
        WHERE used.tenant_id = gone.tenant_id AND used.id = gone.id
    )
    SELECT {_ANNOUNCE} FROM gone
    """
)
# Locked in the order in which others lock them.
_CLEAR = text(
    """
    WITH selected AS MATERIALIZED (
        SELECT tenant_id, id, created_at FROM cache_entries
        WHERE tenant_id = :tenant_id
          AND (CAST(:prompt_name AS text) IS NULL OR prompt_name = :prompt_name)
          AND (CAST(:model AS text) IS NULL OR model = :model)
          AND (CAST(:older_than AS timestamptz) IS NULL OR created_at < :older_than)
        ORDER BY key, id FOR UPDATE
    ), uses AS (
        SELECT u.tenant_id, u.id FROM cache_entry_uses AS u JOIN selected USING (tenant_id, id)
        FOR UPDATE OF u SKIP LOCKED
    ), unused AS (
        DELETE FROM cache_entry_uses AS u USING uses
        WHERE u.tenant_id = uses.tenant_id AND u.id = uses.id
    )
    DELETE FROM cache_entries AS e USING selected AS s
    WHERE e.tenant_id = s.tenant_id AND e.id = s.id AND e.created_at = s.created_at
    """
)
_ANNOUNCE_TENANT = text(
    "SELECT pg_notify('assistant_cache', "
    "json_build_object('tenant_id', CAST(:tenant_id AS text))::text)"
)


@dataclass(frozen=True, slots=True)
class CacheNotice:
    """What was removed, replaced or judged; ``key`` None: it may be anything of the tenant's."""

    tenant_id: str
    key: bytes | None


def notice_of(payload: str) -> CacheNotice | CacheUpkeep:
    """The notice in a payload of the channel ``assistant_cache``: or what was counted."""
    row = json.loads(payload)
    if "entries" in row:
        return CacheUpkeep(entries=row["entries"], size_bytes=row["size_bytes"])
    return CacheNotice(row["tenant_id"], bytes.fromhex(row["key"]) if "key" in row else None)


@dataclass(frozen=True, slots=True)
class _Lookup:
    """``flight`` None: where there is no answer, none is to be asked for."""

    key: CacheKey
    flight: FlightKey | None = None


@dataclass(frozen=True, slots=True)
class _Search:
    key: CacheKey
    vector: Vector
    most: int


class _LargeScopes:
    """Scopes that have too many entries to be counted each time; each is counted again in time."""

    def __init__(self) -> None:
        self._until: dict[tuple[str, bytes | None], float] = {}

    def knows(self, key: CacheKey) -> bool:
        return time.monotonic() < self._until.get(_scope(key), 0.0)

    def note(self, key: CacheKey) -> None:
        if self.knows(key):
            return
        while len(self._until) >= _MOST_LARGE_SCOPES:
            del self._until[next(iter(self._until))]
        self._until[_scope(key)] = time.monotonic() + _LARGE_FOR_S


class PostgresCache:
    """The CacheStore port.

    Lookups by key, searches by meaning and writes have a connection each, so that none of them
    waits for the others.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._reader = OwnConnection(database, timeout_s=_READ_TIMEOUT_S)
        self._searcher = OwnConnection(database, timeout_s=_READ_TIMEOUT_S)
        self._writer = OwnConnection(database, timeout_s=_WRITE_TIMEOUT_S)
        self._large = _LargeScopes()
        self._lookups = Lookups(self._look_up, if_abandoned=self._give_back)
        # A search takes as long as dozens of lookups, and nobody is to wait for many others.
        self._searches = Lookups(self._search, max_group=8)
        self._keeping = GroupCommit(self._write, max_group=32)
        self._giving_back: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Connect and have the statements planned: the first who asks would find it too late."""
        with suppress(StorageUnavailable):
            nothing = CacheKey(PLATFORM_TENANT, exact=bytes(32), scope=bytes(32))
            await self._look_up([_Lookup(nothing)])
            await self._search([_Search(nothing, [1.0] + [0.0] * 383, 1)])
            await self._write([])

    async def close(self) -> None:
        """Write what waits, then disconnect."""
        await self._lookups.close()
        await self._searches.close()
        await self._keeping.flush()
        if self._giving_back:
            await asyncio.wait(self._giving_back)
        for connection in (self._reader, self._searcher, self._writer):
            await connection.close()

    # ------------------------------------------------------------------------------ reading

    async def find(self, key: CacheKey) -> CacheEntry | None:
        found = await self._lookups.ask(_Lookup(key))
        return found if isinstance(found, CacheEntry) else None

    async def find_or_lead(self, key: CacheKey, flight: FlightKey) -> CacheEntry | Lead:
        found = await self._lookups.ask(_Lookup(key, flight))
        # Answers that come and go quicker than they can be looked at: whoever asks again sees.
        return Lead.ANOTHERS if found is None else found

    async def find_similar(
        self, key: CacheKey, vector: Vector, most: int
    ) -> Sequence[tuple[CacheEntry, float]]:
        return await self._searches.ask(_Search(key, vector, most))

    async def get_entry(self, tenant_id: str, id_: UUID) -> CacheEntry | None:
        parameters = _one(tenant_id, id_)
        if parameters is None:
            return None
        async with self._database.tenant(tenant_id) as connection:
            row = (await connection.execute(_GET, parameters)).one_or_none()
        return None if row is None else entry_of(row)

    async def _look_up(self, lookups: Sequence[_Lookup]) -> Sequence[CacheEntry | Lead | None]:
        rows = await self._reader.fetch(
            _FIND,
            (
                [lookup.key.tenant_id for lookup in lookups],
                [lookup.key.exact for lookup in lookups],
                [None if lookup.flight is None else lookup.flight.id for lookup in lookups],
                [None if lookup.flight is None else lookup.flight.key for lookup in lookups],
            ),
        )
        found: list[CacheEntry | Lead | None] = [None] * len(lookups)
        for row in rows:
            found[row.place - 1] = entry_of(row) if row.lead is None else Lead(row.lead)
        return found

    async def _search(
        self, searches: Sequence[_Search]
    ) -> Sequence[Sequence[tuple[CacheEntry, float]]]:
        rows = await self._searcher.fetch(
            _FIND_SIMILAR,
            (
                [search.key.tenant_id for search in searches],
                [search.key.scope for search in searches],
                [vector_text(search.vector) for search in searches],
                [self._large.knows(search.key) for search in searches],
                max(search.most for search in searches),
            ),
        )
        found: list[list[tuple[CacheEntry, float]]] = [[] for _ in searches]
        for row in rows:
            search, nearest = searches[row.place - 1], found[row.place - 1]
            if row.is_large:
                self._large.note(search.key)
            if len(nearest) < search.most:
                nearest.append((entry_of(row), row.similarity))
        return found

    def _give_back(self, lookup: _Lookup, found: CacheEntry | Lead | None) -> None:
        if found is Lead.OURS and lookup.flight is not None:
            task = asyncio.create_task(self._land(lookup.flight))
            self._giving_back.add(task)
            task.add_done_callback(self._giving_back.discard)

    async def _land(self, flight: FlightKey) -> None:
        # Where it cannot be given back now, it is anybody's soon: nobody keeps it alive.
        with suppress(StorageUnavailable):
            row = flight_row(flight, landing=Landing())
            await self._writer.fetch(LAND_FLIGHTS, (json.dumps([row]),))

    # ------------------------------------------------------------------------------ writing

    async def keep(self, entry: CacheEntry) -> None:
        await self._keeping.submit(entry)

    async def _write(self, entries: Sequence[CacheEntry]) -> None:
        await self._writer.fetch(_KEEP, (json.dumps([entry_row(entry) for entry in entries]),))

    async def count_hits(self, hits: Mapping[tuple[str, UUID], int]) -> None:
        if not hits:
            return
        parameters = {
            "tenant_ids": [tenant_id for tenant_id, _ in hits],
            "ids": [id_ for _, id_ in hits],
            "hits": list(hits.values()),
        }
        async with self._database.transaction() as connection:
            await connection.execute(_COUNT_HITS, parameters)

    async def judge(
        self, tenant_id: str, id_: UUID, min_similarity: float, rejected: bytes | None = None
    ) -> None:
        parameters = _one(tenant_id, id_)
        if parameters is None:
            return
        judged = {"min_similarity": min_similarity, "rejected": rejected}
        async with self._database.tenant(tenant_id) as connection:
            await connection.execute(_JUDGE, parameters | judged)

    async def remove(self, tenant_id: str, id_: UUID) -> bool:
        parameters = _one(tenant_id, id_)
        if parameters is None:
            return False
        async with self._database.tenant(tenant_id) as connection:
            removed = (await connection.execute(_REMOVE, parameters)).first() is not None
            if not removed:
                # It may be remembered elsewhere all the same: one that made room, say.
                await connection.execute(_ANNOUNCE_TENANT, {"tenant_id": tenant_id})
        return removed

    async def clear(self, tenant_id: str, selection: CacheSelection) -> int:
        selected = {
            "tenant_id": tenant_id,
            "prompt_name": selection.prompt_name,
            "model": selection.model,
            "older_than": selection.older_than,
        }
        async with self._database.tenant(tenant_id) as connection:
            cleared = (await connection.execute(_CLEAR, selected)).rowcount
            await connection.execute(_ANNOUNCE_TENANT, {"tenant_id": tenant_id})
        return cleared


def _scope(key: CacheKey) -> tuple[str, bytes | None]:
    return key.tenant_id, key.scope


def _one(tenant_id: str, id_: UUID) -> dict[str, object] | None:
    """The parameters of _ONE; None where no entry can have that id."""
    created_at = find_time(id_)
    if created_at is None:
        return None
    return {"tenant_id": tenant_id, "id": id_, "created_at": created_at}
