"""Circuits that are not closed, as all replicas share them. Times are the database's."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Row, text

from assistant.adapters.postgres.connection import Database
from assistant.domain.model import ModelKey
from assistant.domain.ports import CircuitNotice

_KEY = "tenant_id = :tenant_id AND provider = :provider AND model = :model"

_OPEN = text(
    """
    INSERT INTO circuits AS circuit (tenant_id, provider, model, open_until)
    VALUES (:tenant_id, :provider, :model, clock_timestamp() + make_interval(secs => :open_s))
    ON CONFLICT (tenant_id, provider, model) DO UPDATE SET
        open_until = greatest(circuit.open_until, excluded.open_until), probe_until = NULL
    """
)
# A row lock lets one of all replicas' calls through; the others then see its lease.
_TAKE_PROBE = text(
    f"""
    UPDATE circuits SET probe_until = clock_timestamp() + make_interval(secs => :lease_s)
    WHERE {_KEY} AND open_until <= clock_timestamp()
      AND coalesce(probe_until, '-infinity') <= clock_timestamp()
    RETURNING true
    """  # noqa: S608 - constants
)
_FIND = text(
    f"""
    SELECT tenant_id, provider, model,
           extract(epoch FROM open_until - clock_timestamp())::float8 AS open_for_s,
           extract(epoch FROM probe_until - clock_timestamp())::float8 AS probe_for_s
    FROM circuits WHERE {_KEY}
    """  # noqa: S608 - constants
)
_RELEASE_PROBE = text(f"UPDATE circuits SET probe_until = NULL WHERE {_KEY}")  # noqa: S608 - constants
_CLOSE = text(f"DELETE FROM circuits WHERE {_KEY}")  # noqa: S608 - constants
_LIST = text("SELECT * FROM assistant_circuits()")


class PostgresCircuits:
    """The CircuitStore port."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def open(self, key: ModelKey, open_s: float) -> None:
        async with self._database.tenant(key.tenant_id) as connection:
            await connection.execute(_OPEN, {**_parameters(key), "open_s": open_s})

    async def take_probe(self, key: ModelKey, lease_s: float) -> CircuitNotice | None:
        async with self._database.tenant(key.tenant_id) as connection:
            leased = {**_parameters(key), "lease_s": lease_s}
            if (await connection.execute(_TAKE_PROBE, leased)).scalar():
                return None
            row = (await connection.execute(_FIND, _parameters(key))).one_or_none()
        # Without a row another replica has closed it, and the news is on its way.
        return CircuitNotice(key, None) if row is None else _notice(row)

    async def release_probe(self, key: ModelKey) -> None:
        async with self._database.tenant(key.tenant_id) as connection:
            await connection.execute(_RELEASE_PROBE, _parameters(key))

    async def close(self, key: ModelKey) -> None:
        async with self._database.tenant(key.tenant_id) as connection:
            await connection.execute(_CLOSE, _parameters(key))

    async def list_circuits(self) -> Sequence[CircuitNotice]:
        async with self._database.transaction() as connection:
            return [_notice(row) for row in await connection.execute(_LIST)]


def notice_of(payload: str) -> CircuitNotice:
    """The notice in a payload of the channel ``assistant_circuits``."""
    row = json.loads(payload)
    return CircuitNotice(
        ModelKey(row["tenant_id"], row["provider"], row["model"]),
        row["open_for_s"],
        row["probe_for_s"],
    )


def _parameters(key: ModelKey) -> dict[str, object]:
    return {"tenant_id": key.tenant_id, "provider": key.provider, "model": key.model}


def _notice(row: Row[Any]) -> CircuitNotice:
    return CircuitNotice(
        ModelKey(row.tenant_id, row.provider, row.model), row.open_for_s, row.probe_for_s
    )
