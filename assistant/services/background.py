"""Work that goes on for as long as the service runs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import structlog

from assistant.errors import StorageUnavailable

log = structlog.get_logger(__name__)

_RESTART_DELAY_S = 1.0


@asynccontextmanager
async def kept_going(name: str, work: Callable[[], Awaitable[None]]) -> AsyncIterator[None]:
    """Keep ``work`` going beside the block; what stops it is logged, and it starts again."""
    task = asyncio.create_task(_forever(name, work), name=name)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


async def _forever(name: str, work: Callable[[], Awaitable[None]]) -> None:
    while True:
        try:
            await work()
        except StorageUnavailable as error:
            log.warning("background_work_waits", work=name, reason=error.message)
        except Exception:
            # Whatever happened, a service whose watchers have died is worse than a retry.
            log.exception("background_work_failed", work=name)
        await asyncio.sleep(_RESTART_DELAY_S)
