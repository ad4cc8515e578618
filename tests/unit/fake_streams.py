"""The replay log and the idempotency keys in memory, shared by replicas that are objects."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from uuid import UUID

from assistant.domain.completion import Completion
from assistant.domain.idempotency import IdempotencyKey, KeyHolder
from assistant.domain.ports import LoggedStream
from assistant.domain.stream import LoggedEvent, LogPage

# Looks are a second apart in life; here nobody has the time.
LOOK_S = 0.01


@dataclass
class FakeStreamLog:
    """``stop_writing`` is what a killed process does: its streams fall silent."""

    kept: dict[UUID, LoggedStream] = field(default_factory=dict)
    written: dict[UUID, list[LoggedEvent]] = field(default_factory=dict)
    owners: dict[UUID, tuple[str, str | None, str | None]] = field(default_factory=dict)
    ended: set[UUID] = field(default_factory=set)
    abandoned: dict[UUID, int] = field(default_factory=dict)
    """Which were ended by others, and the number of the first event of that end."""
    firsts: dict[UUID, int] = field(default_factory=dict)
    """From which event on it has a stream, where that is not the first."""
    silent: set[UUID] = field(default_factory=set)
    cancelled: list[tuple[str, UUID]] = field(default_factory=list)
    outage: Exception | None = None
    """What readers are told instead of anything."""
    deaf_to: int = 0
    """How many of the notices to stop something get lost."""
    is_followed: bool = True
    """Whether makers are told that somebody follows."""

    def keep(self, stream: LoggedStream) -> None:
        self.kept[stream.id] = stream

    def write(self) -> None:
        """What the real one does a few times a second."""
        for id_, stream in list(self.kept.items()):
            if id_ in self.silent:
                continue
            if id_ in self.abandoned:
                stream.was_abandoned()
                del self.kept[id_]
                continue
            caller = stream.caller
            self.owners[id_] = (caller.tenant_id, caller.user_id, caller.service_id)
            events = self.written.setdefault(id_, [])
            is_ended = stream.is_ended
            events += stream.unlogged(len(events))[1]
            stream.was_logged(len(events))
            if is_ended:
                self.ended.add(id_)
                del self.kept[id_]

    def stop_writing(self, id_: UUID) -> None:
        self.write()
        self.silent.add(id_)

    def forget(self, id_: UUID, count: int) -> None:
        """Lose the first ``count`` events, as a log that was lost and written anew."""
        self.firsts[id_] = count

    async def follow(
        self, tenant_id: str, completion_id: UUID, after: int
    ) -> AsyncGenerator[LogPage | None, None]:
        while True:
            if self.outage:
                raise self.outage
            self.write()
            owner = self.owners.get(completion_id)
            if owner is None or owner[0] != tenant_id:
                yield None
                await asyncio.sleep(LOOK_S)
                continue
            events = self.written[completion_id]
            first = max(after + 1, self.firsts.get(completion_id, 0))
            news = tuple(events[first:])
            is_ended = completion_id in self.ended
            yield LogPage(
                user_id=owner[1],
                service_id=owner[2],
                first=first,
                events=news,
                count=len(events),
                is_ended=is_ended,
                is_abandoned=completion_id in self.abandoned,
                is_torn=is_ended and self.abandoned.get(completion_id, after + 1) <= after,
                is_silent=completion_id in self.silent,
            )
            if is_ended:
                return
            # Who asks for more is its owner.
            if self.is_followed and completion_id in self.kept:
                self.kept[completion_id].was_followed()
            after = first + len(news) - 1
            await asyncio.sleep(LOOK_S)

    async def abandon(
        self, tenant_id: str, completion_id: UUID, first: int, events: Sequence[LoggedEvent]
    ) -> bool:
        written = self.written[completion_id]
        if completion_id in self.ended or len(written) != first:
            return False
        written += events
        self.ended.add(completion_id)
        self.abandoned[completion_id] = first
        return True

    async def cancel(self, tenant_id: str, completion_id: UUID) -> None:
        self.cancelled.append((tenant_id, completion_id))
        if completion_id in self.kept and len(self.cancelled) > self.deaf_to:
            self.kept[completion_id].cancel()


@dataclass
class FakeIdempotencyStore:
    """Keys that are never forgotten."""

    holders: dict[IdempotencyKey, KeyHolder] = field(default_factory=dict)

    async def claim(
        self,
        key: IdempotencyKey,
        completion_id: UUID,
        fingerprint: bytes,
        instead_of: UUID | None = None,
    ) -> KeyHolder:
        await asyncio.sleep(0)
        holder = self.holders.get(key)
        if holder is None or holder.completion_id == instead_of:
            holder = self.holders[key] = KeyHolder(completion_id, fingerprint)
        return holder

    async def keep_error(
        self, key: IdempotencyKey, completion_id: UUID, error: Mapping[str, object]
    ) -> None:
        holder = self.holders[key]
        if holder.completion_id == completion_id:
            self.holders[key] = replace(holder, error=error)

    async def release(self, key: IdempotencyKey, completion_id: UUID) -> None:
        if self.holders[key].completion_id == completion_id:
            del self.holders[key]


@dataclass
class RecordedCompletions:
    """What was settled, to be found; and what is said to run."""

    settled: list[Completion]
    running: list[Completion] = field(default_factory=list)

    async def find_completions(
        self, tenant_id: str, ids: Sequence[UUID]
    ) -> Mapping[UUID, Completion]:
        return {
            completion.id: completion
            for completion in [*self.running, *self.settled]
            if completion.id in ids and completion.caller.tenant_id == tenant_id
        }
