"""Connections to PostgreSQL: pooled ones that act for a tenant, and single ones that listen or write."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from json import JSONDecoder
from typing import Any

import psycopg
from psycopg.types.json import set_json_loads
from sqlalchemy import TextClause, text
from sqlalchemy.exc import DBAPIError, ProgrammingError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from assistant.adapters.postgres.address import SERVICE_ROLE, connection_arguments
from assistant.adapters.postgres.errors import DatabaseStartError, storage_errors
from assistant.adapters.postgres.migrate import expected_revision
from assistant.errors import StorageUnavailable

_CHECK_TIMEOUT_S = 5.0
_SESSION = {
    "timezone": "UTC",
    "statement_timeout": "15s",
    "lock_timeout": "5s",
    "idle_in_transaction_session_timeout": "30s",
}

_ACT_FOR = text("SELECT set_config('assistant.tenant_id', :tenant_id, true)")
_ACT_FOR_NOBODY = text("SELECT set_config('assistant.tenant_id', '', true)")

_WHO_AM_I = text(
    """
    SELECT current_user::text AS name,
           me.rolsuper AS is_superuser,
           me.rolbypassrls AS bypasses_row_security,
           ARRAY(
               SELECT relname::text FROM pg_class
               WHERE relnamespace = 'public'::regnamespace
                 AND relrowsecurity
                 AND pg_has_role(relowner, 'MEMBER')
               ORDER BY relname
           ) AS owned
    FROM pg_roles AS me
    WHERE me.rolname = current_user
    """
)
_MAY_ACT_AS_SERVICE = """
    SELECT pg_has_role(session_user, oid, 'SET') AND rolname <> session_user
    FROM pg_roles WHERE rolname = %s
"""


_decode_json = JSONDecoder().decode


class Database:
    """The database as the service sees it: a role that owns nothing and passes no row security.

    ``url`` is the service's login, not the owner's. Connections are bounded by ``pool_size``;
    the group writer and each listener hold one more. A server that comes back is found again
    without help.
    """

    def __init__(self, url: str, *, pool_size: int = 10, acquire_timeout_s: float = 5.0) -> None:
        self._arguments = connection_arguments(url, **_SESSION)
        self._url = url
        self._engine: AsyncEngine = create_async_engine(
            "postgresql+psycopg://",
            async_creator=self._connect,
            pool_size=pool_size,
            max_overflow=0,
            pool_timeout=acquire_timeout_s,
            use_native_hstore=False,
            # An error's text must not carry a prompt. (PostgreSQL itself leaves a refused row
            # out of its message where row-level security applies: everywhere, here.)
            hide_parameters=True,
        )

    async def start(self) -> None:
        """Take the service's role where the login may, and make sure that it is a harmless one.

        Raises: StorageUnavailable where the database cannot be reached; DatabaseStartError
        where its role could see other tenants' rows.
        """
        with storage_errors():
            async with await self._connect() as connection:
                cursor = await connection.execute(_MAY_ACT_AS_SERVICE, (SERVICE_ROLE,))
                row = await cursor.fetchone()
        if row is not None and row[0]:
            self._arguments = connection_arguments(self._url, **_SESSION, role=SERVICE_ROLE)
        async with self.transaction() as connection:
            me = (await connection.execute(_WHO_AM_I)).one()
        if me.is_superuser or me.bypasses_row_security:
            reason = "is a superuser or bypasses row-level security"
        elif me.owned:
            reason = f"owns {', '.join(me.owned)}"
        else:
            return
        raise DatabaseStartError(
            f"the database role {me.name} {reason}, so tenants would not be apart; run "
            f"`assistant migrate` and connect as a member of {SERVICE_ROLE}"
        )

    async def close(self) -> None:
        """Close every pooled connection."""
        await self._engine.dispose()

    async def check(self) -> str | None:
        """What keeps the database from serving, in one line; None where nothing does."""
        checking = asyncio.create_task(self._check())
        done, _ = await asyncio.wait({checking}, timeout=_CHECK_TIMEOUT_S)
        if not done:
            # Not awaited: a server that does not answer does not consent to cancelling either.
            checking.cancel()
            return "The database does not answer."
        return checking.result()

    async def _check(self) -> str | None:
        try:
            async with self.transaction() as connection:
                statement = text("SELECT version_num FROM public.alembic_version")
                found = (await connection.execute(statement)).scalar()
        except StorageUnavailable as error:
            return error.message
        except ProgrammingError:
            return "The database has not been migrated. Run `assistant migrate`."
        if found != expected_revision():
            return f"The database is at revision {found}, this program needs {expected_revision()}."
        return None

    @asynccontextmanager
    async def tenant(self, tenant_id: str) -> AsyncIterator[AsyncConnection]:
        """A transaction that sees and writes as ``tenant_id``; committed where the block ends well.

        Raises: StorageUnavailable.
        """
        async with self._begin(_ACT_FOR.bindparams(tenant_id=tenant_id)) as connection:
            yield connection

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncConnection]:
        """A transaction without a tenant: row security shows it no tenant's rows.

        Raises: StorageUnavailable.
        """
        async with self._begin(_ACT_FOR_NOBODY) as connection:
            yield connection

    async def connect(self) -> psycopg.AsyncConnection:
        """A connection of one's own, outside the pool, in autocommit; the caller closes it.

        Raises: StorageUnavailable.
        """
        with storage_errors():
            connection = await self._connect()
            await connection.set_autocommit(True)
            return connection

    @asynccontextmanager
    async def _begin(self, first_statement: TextClause) -> AsyncIterator[AsyncConnection]:
        with storage_errors():
            for is_last_try in (False, True):
                async with self._engine.connect() as connection:
                    try:
                        await connection.execute(first_statement)
                    except DBAPIError as error:
                        # The pooled connection had died while it waited. Nothing was done on
                        # it yet, so the next one may try: this is also the pool's ping.
                        if error.connection_invalidated and not is_last_try:
                            continue
                        raise
                    yield connection
                    await connection.commit()
                    return

    async def _connect(self) -> psycopg.AsyncConnection:
        connection = await psycopg.AsyncConnection.connect(**self._arguments)
        set_json_loads(_read_json, connection)
        return connection


def _read_json(data: str | bytes) -> Any:
    """As ``json.loads``, which looks at every value for an encoding other than the one it has."""
    return _decode_json(data if isinstance(data, str) else str(data, "utf-8"))
