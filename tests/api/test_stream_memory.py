"""A thousand streams on one worker, idle ones and slow ones: what they take is bounded."""

from __future__ import annotations

import asyncio

from tests.bench.idle_streams import GOAL_MB, IDLE, SLOW, STREAMS, memory_of

DOOR = "POST /api/stream"


async def test_a_thousand_idle_or_slow_streams_take_less_than_300_mb_of_one_worker() -> None:
    """Above what the worker has without any, most of which is the embedding model."""
    idle, slow = await asyncio.gather(
        memory_of(IDLE, DOOR, reads=True, watched_s=3.0),
        memory_of(SLOW, DOOR, reads=False, watched_s=3.0),
    )

    for name, found in (("idle", idle), ("slow", slow)):
        print(f"{name}: {found.before_mb:.0f} MB before, at most {found.most_mb:.0f} MB")
        assert found.streams == STREAMS
        assert found.most_mb - found.before_mb < GOAL_MB
    assert idle.kept == STREAMS, "who is idle is kept"
