"""The replay log: what streams said, written by the replica that makes them, read by the others.

Notifications make it quick and nothing depends on them: who makes a stream finds what is asked of it
whenever it writes or looks, and who reads looks by themselves every quarter of a second.
"""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, LiteralString
from uuid import UUID

from sqlalchemy import text

from assistant.adapters.postgres.cache_lookups import Lookups
from assistant.adapters.postgres.connection import Database
from assistant.adapters.postgres.listen import EVERYTHING, STREAM_CHANNEL, listen
from assistant.adapters.postgres.own_connection import OwnConnection
from assistant.adapters.postgres.stream_rows import logged_rows, page_of
from assistant.adapters.postgres.stream_writer import StreamWriter
from assistant.domain.ports import LoggedStream
from assistant.domain.stream import LoggedEvent, LogPage
from assistant.errors import StorageUnavailable

_READ: LiteralString = """
    SELECT * FROM assistant_read_streams(%s::text[], %s::uuid[], %s::integer[], %s::boolean[])
"""
_ABANDON = text(
    "SELECT assistant_abandon_stream(:tenant_id, :id, :first, :next, CAST(:events AS json))"
)
# The notice also reaches who makes a completion that is not in the log.
_CANCEL = text(
    """
    WITH asked AS (
        UPDATE streams SET cancel_asked = true
        WHERE tenant_id = :tenant_id AND id = :id AND ended_at IS NULL AND NOT cancel_asked
    )
    SELECT pg_notify('assistant_streams', json_build_object(
        'about', 'CANCEL', 'tenant_id', CAST(:tenant_id AS text), 'id', CAST(:id AS uuid))::text)
    """
)
_CLEAN = text("SELECT assistant_clean_streams(make_interval(secs => :kept_s), :most)")
_CLEANED_AT_ONCE = 500
_KEPT_S = 600.0

# When a replica has died, all its readers come at once, and each for a page of up to 256 KB.
_READ_TIMEOUT_S = 3.0
# Who reads has nowhere else to go, and comes again a second after it could not.
_LONGEST_PAUSE_S = 1.0
_LOOK_INTERVAL_S = 0.25
_PAGE_INTERVAL_S = 1.0
# For how long who reads bears with a server that starts anew, and with a log that it has lost.
_PATIENCE_S = 10.0

_Key = tuple[str, UUID]


@dataclass(frozen=True, slots=True)
class _Read:
    key: _Key
    after: int
    follows: bool


class PostgresStreamLog:
    """The StreamLog port. ``keep_streams`` and ``watch_streams`` have to run beside it."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._writer = StreamWriter(database)
        self._reader = OwnConnection(database, timeout_s=_READ_TIMEOUT_S, whose="The replay log")
        self._reads = Lookups(
            self._look_up, patience_s=_READ_TIMEOUT_S, longest_pause_s=_LONGEST_PAUSE_S
        )
        self._followers: defaultdict[_Key, set[asyncio.Event]] = defaultdict(set)

    async def close(self) -> None:
        """Write what there is, then disconnect."""
        await self._writer.close()
        await self._reads.close()
        await self._reader.close()

    def keep(self, stream: LoggedStream) -> None:
        self._writer.keep(stream)

    async def keep_streams(self) -> None:
        """Write down what is said in the streams of this process; for ever."""
        await self._writer.keep_streams()

    async def follow(
        self, tenant_id: str, completion_id: UUID, after: int
    ) -> AsyncGenerator[LogPage | None, None]:
        """Raises StorageUnavailable at once where it begins with that, else after ten seconds.

        So long it also bears with a log that has lost the stream: a crash of the server empties it,
        and who makes the stream writes it anew. Only who asks for more than the first page follows
        it: that page says whose it is, and for nobody else it goes on.
        """
        key, news = (tenant_id, completion_id), asyncio.Event()
        loop = asyncio.get_running_loop()
        seen_at: float | None = None
        given_at = float("-inf")
        follows = has_more = False
        self._followers[key].add(news)
        try:
            while True:
                news.clear()
                row, failure = None, None
                try:
                    row = await self._reads.ask(_Read(key, after, follows))
                except StorageUnavailable as error:
                    failure = error
                now = loop.time()
                is_due = now >= given_at + _PAGE_INTERVAL_S
                if row is not None:
                    is_due = is_due or seen_at is None
                    seen_at = now
                    page, has_more = page_of(row, after)
                    after = page.first + len(page.events) - 1
                    if page.events or page.is_ended or page.is_silent or is_due:
                        given_at = now
                        yield page
                    if page.is_ended:
                        return
                    if not follows:
                        follows = True
                        continue
                elif seen_at is None or now - seen_at > _PATIENCE_S:
                    if failure is not None:
                        raise failure
                    if is_due:
                        given_at = now
                        yield None
                if row is None or not has_more:
                    with suppress(TimeoutError):
                        async with asyncio.timeout(_LOOK_INTERVAL_S):
                            await news.wait()
        finally:
            self._followers[key].discard(news)
            if not self._followers[key]:
                del self._followers[key]

    async def abandon(
        self, tenant_id: str, completion_id: UUID, first: int, events: Sequence[LoggedEvent]
    ) -> bool:
        parameters = {
            "tenant_id": tenant_id,
            "id": completion_id,
            "first": first,
            "next": first + len(events),
            "events": json.dumps(logged_rows(events)),
        }
        async with self._database.transaction() as connection:
            return bool((await connection.execute(_ABANDON, parameters)).scalar_one())

    async def cancel(self, tenant_id: str, completion_id: UUID) -> None:
        async with self._database.tenant(tenant_id) as connection:
            await connection.execute(_CANCEL, {"tenant_id": tenant_id, "id": completion_id})

    async def watch_streams(self, on_cancel: Callable[[str, UUID], None]) -> None:
        """Pass on what the replicas announce; for ever.

        ``on_cancel`` is told the tenant and the id of every completion that is to be stopped.
        """
        async for payload in listen(self._database, STREAM_CHANNEL):
            if payload == EVERYTHING:
                self._writer.check_all()
                for followers in self._followers.values():
                    _wake(followers)
                continue
            notice = json.loads(payload)
            key = notice["tenant_id"], UUID(notice["id"])
            match notice["about"]:
                case "NEWS":
                    _wake(self._followers.get(key, ()))
                case "FOLLOWED":
                    self._writer.was_followed(key[1])
                case "CANCEL":
                    on_cancel(*key)

    async def _look_up(self, reads: Sequence[_Read]) -> Sequence[Any]:
        rows = await self._reader.fetch(
            _READ,
            (
                [read.key[0] for read in reads],
                [read.key[1] for read in reads],
                [read.after for read in reads],
                [read.follows for read in reads],
            ),
        )
        found: list[Any] = [None] * len(reads)
        for row in rows:
            found[row.place - 1] = row
        return found


async def clean_streams(database: Database, *, kept_s: float = _KEPT_S) -> str:
    """Forget streams so long after their end; how many, in one line.

    Also those that never ended, once who makes them has been silent for as long. Safe when several
    workers do it at once.

    Raises: StorageUnavailable.
    """
    cleaned = 0
    while True:
        async with database.transaction() as connection:
            batch: int = (
                await connection.execute(_CLEAN, {"kept_s": kept_s, "most": _CLEANED_AT_ONCE})
            ).scalar_one()
        cleaned += batch
        if batch < _CLEANED_AT_ONCE:
            return f"streams: {cleaned} forgotten"


def _wake(followers: Iterable[asyncio.Event]) -> None:
    for news in followers:
        news.set()
