"""Where the database is, as people write it and as the client library takes it."""

from __future__ import annotations

from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict

from assistant.adapters.postgres.errors import DatabaseStartError

SERVICE_ROLE = "assistant_service"
"""The role that the service acts as. It owns nothing and passes no row-level security."""

# A peer that vanished without a word is noticed after seconds, not after hours.
_DEFAULTS: dict[str, Any] = {
    "connect_timeout": 5,
    "application_name": "assistant",
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 20_000,
}


def connection_arguments(url: str, **settings: str) -> dict[str, Any]:
    """The client library's keyword arguments for ``url``.

    ``url`` begins with ``postgresql://``, ``postgres://`` or ``postgresql+psycopg://`` and may
    hold whatever libpq understands: several hosts, ``sslmode``, ``options``. ``settings`` are the
    session's, as in ``timezone="UTC"``; what the URL says under ``options`` comes after and wins.

    Raises DatabaseStartError; the message never repeats the URL, which may hold a password.

    Source: https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNSTRING-URIS
    """
    scheme, separator, rest = url.partition("://")
    if not separator or scheme not in ("postgresql", "postgres", "postgresql+psycopg"):
        raise DatabaseStartError(
            "the database URL cannot be used; it must begin with postgresql://, as in "
            "postgresql://user:password@host:5432/database"
        )
    try:
        given = conninfo_to_dict(f"postgresql://{rest}")
    except psycopg.ProgrammingError:
        raise DatabaseStartError(
            "the database URL cannot be read; write postgresql://user:password@host:5432/database "
            "and percent-encode special characters of the password"
        ) from None
    options = [f"-c {name}={value}" for name, value in settings.items()]
    options.append(str(given.pop("options", "")))
    return {**_DEFAULTS, **given, "options": " ".join(options).strip()}
