"""Where the database is, as people write it and as the client library takes it."""

from __future__ import annotations

from typing import Any

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from assistant.adapters.postgres.errors import DatabaseStartError

SERVICE_ROLE = "assistant_service"
"""The role that the service acts as. It owns nothing and passes no row-level security."""

_CONNECT_TIMEOUT_S = 5


def parse_url(url: str) -> URL:
    """Read ``postgresql://``, ``postgres://`` or ``postgresql+psycopg://``.

    Raises DatabaseStartError; the message never repeats the URL, which may hold a password.
    """
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        raise DatabaseStartError(
            "the database URL cannot be read; write postgresql://user:password@host:5432/database"
        ) from None
    if parsed.drivername not in ("postgresql", "postgres", "postgresql+psycopg"):
        raise DatabaseStartError(
            f"the database URL begins with {parsed.drivername}://; only postgresql:// is supported"
        )
    return parsed.set(drivername="postgresql+psycopg")


def connection_arguments(url: str, **options: str) -> dict[str, Any]:
    """The client library's keyword arguments for ``url``.

    ``options`` are server settings of the session, as in ``timezone="UTC"``; what the URL
    itself says under ``options`` comes after them and wins.
    """
    parsed = parse_url(url)
    arguments: dict[str, Any] = {
        "connect_timeout": _CONNECT_TIMEOUT_S,
        "application_name": "assistant",
        # A peer that vanished without a word is noticed after seconds, not after hours.
        "keepalives_idle": 10,
        "keepalives_interval": 5,
        "keepalives_count": 3,
        "tcp_user_timeout": 20_000,
    }
    arguments.update(parsed.query)
    arguments.update(parsed.translate_connect_args(username="user", database="dbname"))
    settings = [f"-c {name}={value}" for name, value in options.items()]
    arguments["options"] = " ".join([*settings, arguments.get("options", "")]).strip()
    return arguments
