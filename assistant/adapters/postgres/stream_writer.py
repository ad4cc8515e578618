"""Writing down what is said in the streams of this process: for all of them in one statement."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, LiteralString
from uuid import UUID, uuid4

import structlog

from assistant.adapters.postgres.connection import Database
from assistant.adapters.postgres.own_connection import OwnConnection
from assistant.adapters.postgres.stream_rows import LoggedRow, logged_rows
from assistant.domain.ports import LoggedStream
from assistant.errors import InternalError, StorageUnavailable

log = structlog.get_logger(__name__)

_APPEND: LiteralString = "SELECT * FROM assistant_append_streams(%s, %s, %s)"
# With the second that is allowed beside it, less than the silence after which one is taken for dead.
_TIMEOUT_S = 1.5

_TICK_S = 0.05
# A stream that nobody follows has its turn every fourth tick.
_TICKS = 4
_LIFE_SIGN_INTERVAL_S = 0.5
_CHECK_INTERVAL_S = 1.0
# Renewed with every statement that still finds it followed.
_FOLLOWED_S = 2.0
_OUTAGE_PAUSE_S = 0.25
# So many streams that began and ended while nothing could be written are written down later.
_MOST_MISSED = 1_000

# Events to a row, rows of a stream and events of all to a statement. More comes up only where the
# log was lost, or could not be written for a while.
_ROW_EVENTS = 64
_MOST_ROWS = 16
_MOST_EVENTS = 8_192

_encode = json.JSONEncoder(separators=(",", ":")).encode


@dataclass(slots=True, eq=False)
class _Kept:
    """A stream of this process. The log has its first ``logged`` events, if it knows of it at all."""

    stream: LoggedStream
    turn: int
    logged: int = 0
    is_known: bool = False
    is_cancelled: bool = False
    followed_until: float = 0.0
    check_at: float = 0.0


@dataclass(frozen=True, slots=True)
class _News:
    """What is to be written of one stream: for each row the number of its first event, and them."""

    kept: _Kept
    rows: Sequence[tuple[int, Sequence[LoggedRow]]]
    next: int
    ends: bool


class StreamWriter:
    """Keeps the log of each stream until its end is written. ``keep_streams`` has to run beside it."""

    def __init__(self, database: Database) -> None:
        self._connection = OwnConnection(database, timeout_s=_TIMEOUT_S, whose="The replay log")
        self._instance = uuid4()
        self._kept: dict[UUID, _Kept] = {}
        self._keeps = asyncio.Event()
        self._is_out = False

    def keep(self, stream: LoggedStream) -> None:
        # By chance, so that no tick has all of them to write.
        self._kept[stream.id] = _Kept(stream, turn=stream.id.int % _TICKS)
        self._keeps.set()

    def was_followed(self, completion_id: UUID) -> None:
        """Another replica has begun to read it: from now on it is told of whatever comes."""
        if (kept := self._kept.get(completion_id)) is not None:
            kept.followed_until = asyncio.get_running_loop().time() + _FOLLOWED_S
            kept.stream.was_followed()

    def check_all(self) -> None:
        """Find out soon what the log says of every stream: notices may have been missed."""
        for kept in self._kept.values():
            kept.check_at = 0.0

    async def close(self) -> None:
        """Write what there is, then disconnect."""
        try:
            while await self._write_due(turn=None):
                if not any(kept.stream.is_ended for kept in self._kept.values()):
                    break
        except StorageUnavailable as error:
            log.warning("streams_not_logged", streams=len(self._kept), reason=error.message)
        await self._connection.close()

    async def keep_streams(self) -> None:
        """Write news down, and say that this process lives while it makes streams; for ever.

        What cannot be written waits.
        """
        loop = asyncio.get_running_loop()
        signs_at, tick = 0.0, 0
        while True:
            if not self._kept:
                self._keeps.clear()
                await self._keeps.wait()
            await asyncio.sleep(_TICK_S)
            tick += 1
            try:
                if await self._write_due(turn=tick % _TICKS):
                    signs_at = loop.time() + _LIFE_SIGN_INTERVAL_S
                elif self._kept and loop.time() >= signs_at:
                    await self._append(())
                    signs_at = loop.time() + _LIFE_SIGN_INTERVAL_S
            except StorageUnavailable as error:
                if not self._is_out:
                    log.warning("streams_not_logged", streams=len(self._kept), reason=error.message)
                self._is_out = True
                self._forget_missed()
                # It may be that only so much takes too long: who is silent is taken for dead.
                with suppress(StorageUnavailable):
                    await self._connection.fetch(_APPEND, (self._instance, "[]", "[]"))
                await asyncio.sleep(_OUTAGE_PAUSE_S)

    async def _write_due(self, *, turn: int | None) -> bool:
        """Write the news of those whose turn it is, None for all; whether there were any."""
        now = asyncio.get_running_loop().time()
        news: list[_News] = []
        room = _MOST_EVENTS
        for kept in self._kept.values():
            if (
                turn in (None, kept.turn)
                or not kept.is_known
                or kept.followed_until > now
                or kept.stream.is_ended
            ) and (found := _news(kept, now)) is not None:
                news.append(found)
                room -= found.next - kept.logged
                if room <= 0:
                    break
        if news:
            await self._write(news)
        return bool(news)

    async def _write(self, news: Sequence[_News]) -> None:
        try:
            answers = await self._append(news)
        except InternalError as error:
            if len(news) > 1:
                half = len(news) // 2
                await self._write(news[:half])
                await self._write(news[half:])
                return
            # It goes on, but nobody can read of it elsewhere.
            (refused,) = news
            log.error(
                "stream_refused",
                completion_id=str(refused.kept.stream.id),
                reason=error.message,
            )
            self._forget(refused.kept)
            return
        now = asyncio.get_running_loop().time()
        for each in news:
            answer = answers.get(each.kept.stream.id)
            self._note(each, answer, now)

    async def _append(self, news: Sequence[_News]) -> dict[UUID, Any]:
        """What the log says of some of the streams, by their ids."""
        heads: list[dict[str, Any]] = []
        events: list[Sequence[LoggedRow]] = []
        ids: list[UUID] = []
        for each in news:
            stream = each.kept.stream
            for first, rows in each.rows:
                head = {
                    "tenant_id": stream.caller.tenant_id,
                    "id": str(stream.id),
                    "first": first,
                    "next": first + len(rows),
                }
                heads.append(head)
                events.append(rows)
                ids.append(stream.id)
            head["ends"] = each.ends
            if not each.kept.is_known:
                head["begins"] = True
                head["user_id"] = stream.caller.user_id
                head["service_id"] = stream.caller.service_id
        answers = await self._connection.fetch(
            _APPEND, (self._instance, _encode(heads), _encode(events))
        )
        self._is_out = False
        return {ids[answer.place - 1]: answer for answer in answers}

    def _note(self, news: _News, answer: Any, now: float) -> None:
        kept, stream = news.kept, news.kept.stream
        kept.check_at = now + _CHECK_INTERVAL_S
        if answer is not None and not answer.is_known:
            # The server has crashed and lost it, with all that was written.
            kept.is_known, kept.logged = False, 0
            return
        if answer is not None and answer.is_abandoned:
            self._forget(kept)
            stream.was_abandoned()
            return
        kept.is_known, kept.logged = True, news.next
        stream.was_logged(news.next)
        if news.ends:
            self._forget(kept)
            return
        if answer is not None and answer.is_followed:
            kept.followed_until = now + _FOLLOWED_S
            stream.was_followed()
        if answer is not None and answer.cancel_asked and not kept.is_cancelled:
            kept.is_cancelled = True
            stream.cancel()

    def _forget_missed(self) -> None:
        """Bound what an outage leaves behind: each request that it fails is a stream."""
        missed = [
            kept for kept in self._kept.values() if kept.stream.is_ended and not kept.is_known
        ]
        for kept in missed[:-_MOST_MISSED]:
            self._forget(kept)

    def _forget(self, kept: _Kept) -> None:
        if self._kept.get(kept.stream.id) is kept:
            del self._kept[kept.stream.id]


def _news(kept: _Kept, now: float) -> _News | None:
    """None where there is nothing to say or to ask."""
    stream = kept.stream
    first, events = stream.unlogged(kept.logged)
    if not events:
        if kept.is_known and now < kept.check_at and not stream.is_ended:
            return None
        return _News(kept, [(first, ())], first, ends=stream.is_ended)
    written = logged_rows(events[: _ROW_EVENTS * _MOST_ROWS])
    return _News(
        kept,
        [
            (first + start, written[start : start + _ROW_EVENTS])
            for start in range(0, len(written), _ROW_EVENTS)
        ],
        next=first + len(written),
        ends=stream.is_ended and len(written) == len(events),
    )
