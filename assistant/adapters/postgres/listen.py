"""Notifications from the database, through whatever happens to the connection."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import psycopg
import structlog
from psycopg import sql

from assistant.adapters.postgres.connection import Database
from assistant.errors import StorageUnavailable

log = structlog.get_logger(__name__)

CATALOG_CHANNEL = "assistant_catalog"
"""Carries the tenant whose providers, models, groups or prompts have changed."""

CIRCUIT_CHANNEL = "assistant_circuits"
"""Carries the circuits that have opened, are tried, or have closed."""

CACHE_CHANNEL = "assistant_cache"
"""Carries the keys of kept answers that were removed, replaced or judged; or a tenant, for all."""

FLIGHT_CHANNEL = "assistant_flights"
"""Carries the keys of questions that somebody follows, and those of which there is news."""

BUDGET_ALERT_CHANNEL = "assistant_budget_alerts"
"""Carries the steps of budgets that were reached."""

STREAM_CHANNEL = "assistant_streams"
"""Carries the streams of which there is news, that somebody follows, or that are to be stopped."""

EVERYTHING = ""
"""Stands for "anything may have changed": yielded whenever notifications may have been missed."""

_PING_INTERVAL_S = 15.0
_RECONNECT_PAUSE_S = 0.5


async def listen(database: Database, channel: str) -> AsyncIterator[str]:
    """Yield the payloads of ``channel``, on a connection of its own, for ever.

    Begins with EVERYTHING once it listens, and yields it again after each reconnection, so
    that who loads anew on every payload never misses a change. Never raises for want of a
    database: it tries until there is one.
    """
    while True:
        try:
            connection = await database.connect()
        except StorageUnavailable:
            await asyncio.sleep(_RECONNECT_PAUSE_S)
            continue
        try:
            async with connection:
                await connection.execute(sql.SQL("LISTEN {}").format(sql.Identifier(channel)))
                yield EVERYTHING
                while True:
                    async for notification in connection.notifies(timeout=_PING_INTERVAL_S):
                        yield notification.payload
                    # A peer that vanished without a word says nothing; only asking finds out.
                    await connection.execute("SELECT 1")
        except psycopg.OperationalError as error:
            log.warning(
                "listener_reconnects",
                channel=channel,
                reason=type(error).__name__,
                meanwhile="what was known last serves",
            )
            await asyncio.sleep(_RECONNECT_PAUSE_S)
