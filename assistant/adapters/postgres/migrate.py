"""Brings the database to the schema that this program was written for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import TypeVar

import psycopg
from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util.exc import CommandError
from sqlalchemy import Connection, create_engine, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

import assistant
from assistant.adapters.postgres.address import connection_arguments
from assistant.adapters.postgres.errors import DatabaseStartError, find_unavailable

MONTHS_AHEAD = 3
"""How many months' partitions exist before they are needed."""

_MIGRATIONS = Path(assistant.__file__).parent.parent / "migrations"
_LOWEST_VERSION = 16

# Any fixed number will do: replicas that start together wait for one another on it.
_LOCK = text("SELECT pg_advisory_xact_lock(4837201564)")
_MAKE_PARTITIONS = text("SELECT assistant_maintain_partitions(:months_ahead, NULL)")


_Result = TypeVar("_Result")


@cache
def expected_revision() -> str:
    """The revision that this program was written for."""
    revision = ScriptDirectory.from_config(_config()).get_current_head()
    assert revision is not None
    return revision


async def current_revision(owner_url: str) -> str | None:
    """The revision that the database is at; None before the first migration.

    Raises DatabaseStartError.
    """
    return await asyncio.to_thread(_run, owner_url, _revision_of)


async def upgrade(owner_url: str) -> None:
    """Migrate to the expected revision and make the partitions of the months ahead.

    All or nothing, and safe when many replicas do it at once. ``owner_url`` is a role that
    owns the database and may create roles; it need not be a superuser.

    Raises DatabaseStartError.
    """

    def migrate(connection: Connection) -> None:
        command.upgrade(_config(connection), "head")
        connection.execute(_MAKE_PARTITIONS, {"months_ahead": MONTHS_AHEAD})

    await asyncio.to_thread(_run, owner_url, migrate)


async def downgrade(owner_url: str, revision: str = "base") -> None:
    """Go back to ``revision``; "base" leaves nothing of ours, data included.

    Raises DatabaseStartError.
    """

    def migrate(connection: Connection) -> None:
        command.downgrade(_config(connection), revision)
        if _revision_of(connection) is None:
            connection.execute(text("DROP TABLE IF EXISTS public.alembic_version"))

    await asyncio.to_thread(_run, owner_url, migrate)


def _run(owner_url: str, work: Callable[[Connection], _Result]) -> _Result:
    arguments = connection_arguments(owner_url, timezone="UTC", lock_timeout="10min")
    engine = create_engine(
        "postgresql+psycopg://",
        creator=lambda: psycopg.connect(**arguments),
        poolclass=NullPool,
        use_native_hstore=False,
    )
    try:
        with engine.begin() as connection:
            version = (
                int(connection.execute(text("SHOW server_version_num")).scalar_one()) // 10_000
            )
            if version < _LOWEST_VERSION:
                raise DatabaseStartError(
                    f"the database is PostgreSQL {version}; {_LOWEST_VERSION} or newer is needed"
                )
            connection.execute(_LOCK)
            # From here on it is tables that are locked, with requests waiting behind.
            connection.execute(text("SET LOCAL lock_timeout = '10s'"))
            return work(connection)
    except CommandError as error:
        raise DatabaseStartError(
            f"the database cannot be migrated: {error}; was it migrated by a newer program?"
        ) from error
    except (DBAPIError, psycopg.Error) as error:
        cause = error.orig if isinstance(error, DBAPIError) else error
        reason = str(cause).strip().partition("\n")[0]
        if find_unavailable(error):
            raise DatabaseStartError(
                f"the database cannot be reached: {reason}; start it, or correct its URL"
            ) from error
        raise DatabaseStartError(f"the database cannot be migrated: {reason}") from error
    finally:
        engine.dispose()


def _revision_of(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()


def _config(connection: Connection | None = None) -> Config:
    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config
