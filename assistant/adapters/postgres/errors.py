"""What PostgreSQL's errors mean to the service; the only place that reads them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from assistant.errors import StorageUnavailable


class DatabaseStartError(Exception):
    """The database cannot be used as it is; the message says in one line why and what to do."""


# SQLSTATE codes and classes that say "not now" and not "not like this".
# Source: https://www.postgresql.org/docs/current/errcodes-appendix.html
_UNAVAILABLE = {
    "08": ("The connection to the database was lost.", 1.0),
    "25006": ("The database takes no writes at the moment: it is read-only.", 5.0),
    "40": ("The database was busy with a conflicting write.", 0.1),
    "53": ("The database has run out of resources.", 5.0),
    "53100": ("The database's disk is full; its operator must make room.", 30.0),
    "53300": ("The database has too many connections.", 1.0),
    "55P03": ("The database was busy with a conflicting write.", 0.1),
    "57014": ("The database took too long to answer.", 1.0),
    "57P": ("The database is shutting down or starting up.", 1.0),
    "58": ("The database's disk failed.", 30.0),
}


def find_unavailable(error: BaseException) -> StorageUnavailable | None:
    """What to tell the caller where ``error`` means that the database cannot serve now.

    None for every other error: it is a defect of ours, and hiding it would not mend it.
    """
    if isinstance(error, PoolTimeout):
        return StorageUnavailable(
            "All connections to the database are in use. Try again.", retry_after_s=1.0
        )
    if isinstance(error, DBAPIError) and error.orig is not None:
        error = error.orig
    if not isinstance(error, psycopg.Error):
        return None
    state = error.sqlstate
    if state is None:
        # The client library's own: refused, timed out or broken connections carry no code.
        if not isinstance(error, psycopg.OperationalError):
            return None
        state = "08000"
    for length in (5, 3, 2):
        if (found := _UNAVAILABLE.get(state[:length])) is not None:
            message, retry_after_s = found
            return StorageUnavailable(f"{message} Try again.", retry_after_s=retry_after_s)
    return None


@contextmanager
def storage_errors() -> Iterator[None]:
    """Let a block raise StorageUnavailable where the database cannot serve now."""
    try:
        yield
    except (SQLAlchemyError, psycopg.Error) as error:
        unavailable = find_unavailable(error)
        if unavailable is None:
            raise
        raise unavailable from error
