"""Tenants are apart in the database itself: every table, every function, whatever the code does."""

from __future__ import annotations

from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
from sqlalchemy import text

from assistant.adapters.postgres import migrate
from assistant.adapters.postgres.connection import Database
from assistant.adapters.postgres.errors import DatabaseStartError
from assistant.adapters.postgres.ledger import PostgresLedger
from assistant.app import database as open_database
from assistant.domain.budget import Stake
from assistant.settings import Settings
from tests.postgres.completions import running, succeeded
from tests.postgres.server import DatabaseUrls, PostgresServer, connect
from tests.postgres.tenant_rows import CATALOG, PRIVATE, ROWS, insertion

# Nothing in these is a tenant's.
NOBODYS = [("alembic_version",), ("ledger_instances",), ("stream_producers",)]
# The service may not change these rows, or only what says where they stand.
NEVER_CHANGED = ("model_price_changes", "prompt_releases", "prompt_versions")


async def fill(urls: DatabaseUrls, *tenants: str) -> None:
    async with await connect(urls.superuser) as connection:
        for tenant in tenants:
            id_ = uuid4()
            for statement in ROWS.values():
                sql = statement.replace(":tenant", f"'{tenant}'").replace(":id", f"'{id_}'")
                await connection.execute(sql.encode())


async def fetch(urls: DatabaseUrls, sql: str) -> list[tuple[object, ...]]:
    async with await connect(urls.superuser) as connection:
        cursor = await connection.execute(sql.encode())
        return await cursor.fetchall()


# ------------------------------------------------------------------ what must hold for any table


async def test_every_table_has_row_security_that_binds_its_owner_too(urls: DatabaseUrls) -> None:
    unprotected = await fetch(
        urls,
        """
        SELECT relname FROM pg_class
        WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'v', 'm', 'f')
          AND NOT (relrowsecurity AND relforcerowsecurity)
          AND NOT (relkind = 'v' AND 'security_invoker=true' = ANY(reloptions))
        """,
    )

    assert sorted(unprotected) == NOBODYS


async def test_every_table_is_known_to_these_tests(urls: DatabaseUrls) -> None:
    tables = await fetch(
        urls,
        """
        SELECT relname FROM pg_class
        WHERE relnamespace = 'public'::regnamespace AND relrowsecurity AND NOT relispartition
        ORDER BY relname
        """,
    )

    assert [name for (name,) in tables] == sorted(CATALOG + PRIVATE)


async def test_every_primary_key_begins_with_the_tenant(urls: DatabaseUrls) -> None:
    others = await fetch(
        urls,
        """
        SELECT relname FROM pg_class JOIN pg_index ON indrelid = pg_class.oid AND indisprimary
        JOIN pg_attribute ON attrelid = indrelid AND attnum = indkey[0]
        WHERE relnamespace = 'public'::regnamespace AND attname <> 'tenant_id'
        """,
    )

    assert sorted(others) == NOBODYS


async def test_a_partition_cannot_be_reached_past_its_table(urls: DatabaseUrls) -> None:
    granted = await fetch(
        urls,
        """
        SELECT relname FROM pg_class WHERE relispartition
          AND has_table_privilege('assistant_service', oid, 'SELECT, INSERT, UPDATE, DELETE')
        """,
    )

    assert granted == []


async def test_every_function_that_runs_as_somebody_else_is_locked_down(
    urls: DatabaseUrls,
) -> None:
    functions = await fetch(
        urls,
        """
        SELECT proname, proowner::regrole::text,
               'search_path=pg_catalog, pg_temp' = ANY(proconfig),
               ARRAY(SELECT CASE grantee WHEN 0 THEN 'PUBLIC' ELSE grantee::regrole::text END
                     FROM aclexplode(proacl) WHERE grantee <> proowner)
        FROM pg_proc WHERE prosecdef AND pronamespace = 'public'::regnamespace
        ORDER BY proname
        """,
    )

    service = ["assistant_service"]
    assert functions == [
        ("assistant_abandon_stream", "assistant_ledger", True, service),
        ("assistant_alert_steps", "assistant_ledger", True, service),
        ("assistant_append_streams", "assistant_ledger", True, service),
        ("assistant_begin_windows", "assistant_ledger", True, service),
        ("assistant_budget_alert", "assistant_ledger", True, service),
        ("assistant_circuits", "assistant_ledger", True, service),
        ("assistant_clean_keys", "assistant_ledger", True, service),
        ("assistant_clean_streams", "assistant_ledger", True, service),
        ("assistant_evict_cached", "assistant_ledger", True, service),
        ("assistant_expire_cached", "assistant_ledger", True, service),
        ("assistant_expire_prompt_hours", "assistant_ledger", True, service),
        ("assistant_find_api_key", "assistant_ledger", True, service),
        ("assistant_leave", "assistant_ledger", True, service),
        ("assistant_list_cache_warming", "assistant_ledger", True, service),
        ("assistant_maintain_partitions", "assistant_owner", True, service),
        ("assistant_measure_cache", "assistant_ledger", True, service),
        ("assistant_read_streams", "assistant_ledger", True, service),
        ("assistant_reap", "assistant_ledger", True, service),
        ("assistant_record", "assistant_ledger", True, service),
        ("assistant_rollouts", "assistant_ledger", True, service),
        ("assistant_set_time_zone", "assistant_ledger", True, service),
        ("assistant_take_requests", "assistant_ledger", True, service),
        ("assistant_tidy_budgets", "assistant_ledger", True, service),
        ("assistant_unannounced", "assistant_ledger", True, service),
        ("assistant_version_totals", "assistant_ledger", True, service),
    ]


async def test_no_role_of_ours_is_above_row_security(urls: DatabaseUrls) -> None:
    above = await fetch(
        urls,
        "SELECT rolname FROM pg_roles WHERE rolname LIKE 'assistant_%' "
        "AND (rolsuper OR rolbypassrls)",
    )

    assert above == []


async def test_the_ledgers_role_sees_what_its_functions_need_and_nothing_else(
    urls: DatabaseUrls,
) -> None:
    seen = await fetch(
        urls,
        """
        SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace
          AND relkind IN ('r', 'p')
          AND has_table_privilege('assistant_ledger', oid, 'SELECT, INSERT, UPDATE, DELETE')
        ORDER BY relname
        """,
    )

    assert [name for (name,) in seen] == [
        "api_keys",
        "budget_alerts",
        "budget_overrides",
        "budget_windows",
        "budgets",
        "cache_entries",
        "cache_entry_uses",
        "cache_flights",
        "circuits",
        "completions",
        "idempotency_keys",
        "ledger_instances",
        "prompt_rollouts",
        "prompt_version_hours",
        "rate_buckets",
        "rate_limits",
        "reservations",
        "stream_events",
        "stream_producers",
        "streams",
        "tenant_settings",
        "usage_hours",
        "usage_logs",
        "usage_service_hours",
        "usage_user_days",
    ]


# ------------------------------------------------------------------ what a tenant sees and writes


@pytest.mark.parametrize("table", PRIVATE)
async def test_a_private_row_is_seen_by_its_own_tenant_only(
    urls: DatabaseUrls, database: Database, table: str
) -> None:
    await fill(urls, "acme", "globex", "platform")

    async with database.tenant("acme") as connection:
        rows = await connection.execute(text(f"SELECT DISTINCT tenant_id FROM {table}"))

    assert rows.all() == [("acme",)]


@pytest.mark.parametrize("table", CATALOG)
async def test_a_catalog_row_is_seen_by_its_tenant_and_the_platforms_by_all(
    urls: DatabaseUrls, database: Database, table: str
) -> None:
    await fill(urls, "acme", "globex", "platform")

    async with database.tenant("acme") as connection:
        rows = await connection.execute(text(f"SELECT tenant_id FROM {table} ORDER BY 1"))

    assert rows.all() == [("acme",), ("platform",)]


@pytest.mark.parametrize("table", PRIVATE)
async def test_without_a_tenant_there_is_nothing_to_see(
    urls: DatabaseUrls, database: Database, table: str
) -> None:
    await fill(urls, "acme")

    async with database.transaction() as connection:
        rows = await connection.execute(text(f"SELECT tenant_id FROM {table}"))

    assert rows.all() == []


async def test_the_tenant_of_one_transaction_is_gone_in_the_next(urls: DatabaseUrls) -> None:
    await fill(urls, "acme")
    database = Database(urls.service, pool_size=2)
    await database.start()
    async with database.tenant("acme") as connection:
        first = (await connection.execute(text("SELECT pg_backend_pid()"))).scalar()

    async with database.transaction() as connection:
        pid, seen = (
            await connection.execute(
                text("SELECT pg_backend_pid(), (SELECT count(*) FROM completions)")
            )
        ).one()

    await database.close()
    assert (pid, seen) == (first, 0)


@pytest.mark.parametrize("table", CATALOG + PRIVATE)
async def test_a_row_cannot_be_written_for_another_tenant(
    urls: DatabaseUrls, database: Database, table: str
) -> None:
    for tenant in ("globex", "platform"):
        with pytest.raises(Exception, match=r"row-level security|permission denied"):
            async with database.tenant("acme") as connection:
                await connection.exec_driver_sql(insertion(table, tenant))


@pytest.mark.parametrize("table", [name for name in CATALOG if name not in NEVER_CHANGED])
@pytest.mark.parametrize("victim", ["globex", "platform"])
async def test_another_tenants_row_cannot_be_changed(
    urls: DatabaseUrls, database: Database, table: str, victim: str
) -> None:
    await fill(urls, "acme", victim)

    async with database.tenant("acme") as connection:
        changed = await connection.execute(
            text(f"UPDATE {table} SET tenant_id = tenant_id WHERE tenant_id = :victim"),
            {"victim": victim},
        )

    assert changed.rowcount == 0


@pytest.mark.parametrize(
    "table",
    [
        "providers",
        "llm_models",
        "model_groups",
        "model_routing_rules",
        "prompt_rollouts",
        "prompt_test_cases",
        "prompt_test_runs",
        "cache_entries",
        "cache_entry_uses",
        "cache_flights",
        "idempotency_keys",
    ],
)
async def test_another_tenants_row_cannot_be_deleted(
    urls: DatabaseUrls, database: Database, table: str
) -> None:
    await fill(urls, "acme", "globex", "platform")

    async with database.tenant("acme") as connection:
        deleted = await connection.execute(text(f"DELETE FROM {table}"))

    assert deleted.rowcount == 1


@pytest.mark.parametrize("table", CATALOG + PRIVATE)
async def test_even_the_owner_writes_no_other_tenants_row(urls: DatabaseUrls, table: str) -> None:
    async with await connect(urls.owner) as connection:
        await connection.execute("SELECT set_config('assistant.tenant_id', 'acme', false)")
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="row-level security"):
            await connection.execute(insertion(table, "globex").encode())


@pytest.mark.parametrize(
    "table",
    [
        "completions",
        "reservations",
        "usage_logs",
        "usage_hours",
        "usage_service_hours",
        "usage_user_days",
        "prompt_version_hours",
    ],
)
@pytest.mark.parametrize("write", ["INSERT", "UPDATE", "DELETE"])
async def test_the_service_writes_the_ledger_through_its_functions_only(
    urls: DatabaseUrls, database: Database, table: str, write: str
) -> None:
    statements = {
        "INSERT": insertion(table, "acme"),
        "UPDATE": f"UPDATE {table} SET cost = 0",
        "DELETE": f"DELETE FROM {table}",
    }

    with pytest.raises(Exception, match="permission denied"):
        async with database.tenant("acme") as connection:
            await connection.exec_driver_sql(statements[write])


@pytest.mark.parametrize("table", ["streams", "stream_events"])
@pytest.mark.parametrize("write", ["INSERT", "UPDATE", "DELETE"])
async def test_the_service_writes_streams_through_their_functions_only(
    urls: DatabaseUrls, database: Database, table: str, write: str
) -> None:
    statements = {
        "INSERT": insertion(table, "acme"),
        "UPDATE": f"UPDATE {table} SET tenant_id = tenant_id",
        "DELETE": f"DELETE FROM {table}",
    }

    with pytest.raises(Exception, match="permission denied"):
        async with database.tenant("acme") as connection:
            await connection.exec_driver_sql(statements[write])


async def test_a_foreign_tenants_version_cannot_be_published(
    urls: DatabaseUrls, database: Database
) -> None:
    await fill(urls, "acme", "globex")
    ((foreign,),) = await fetch(urls, "SELECT id FROM prompt_versions WHERE tenant_id = 'globex'")

    with pytest.raises(Exception, match="prompts_published_version_fkey"):
        async with database.tenant("acme") as connection:
            await connection.execute(
                text("UPDATE prompts SET published_version_id = :id"), {"id": foreign}
            )


async def test_history_is_only_ever_added_to(urls: DatabaseUrls, database: Database) -> None:
    await fill(urls, "acme")

    for write in (
        "UPDATE prompt_releases SET reason = 'x'",
        "DELETE FROM prompt_releases",
        "UPDATE model_price_changes SET input_price = 0",
        "DELETE FROM model_price_changes",
    ):
        with pytest.raises(Exception, match="permission denied"):
            async with database.tenant("acme") as connection:
                await connection.exec_driver_sql(write)


async def test_figures_of_versions_are_the_tenants_own_also_through_the_view(
    urls: DatabaseUrls, database: Database
) -> None:
    await fill(urls, "acme", "globex", "platform")

    async with database.tenant("acme") as connection:
        rows = await connection.execute(text("SELECT tenant_id FROM prompt_version_metrics"))
    async with database.transaction() as connection:
        nobody = await connection.execute(text("SELECT tenant_id FROM prompt_version_metrics"))

    assert (rows.all(), nobody.all()) == ([("acme",)], [])


# ------------------------------------------------------------------ who the service may be


async def test_the_service_refuses_to_run_as_the_tables_owner(
    server: PostgresServer, fresh: DatabaseUrls
) -> None:
    await server.execute("CREATE ROLE stubborn LOGIN")
    async with await connect(fresh.superuser) as superuser:
        await superuser.execute("ALTER TABLE api_keys OWNER TO stubborn")
        database = Database(fresh.service.replace("assistant_service", "stubborn"))
        try:
            with pytest.raises(DatabaseStartError, match="stubborn owns api_keys"):
                await database.start()
        finally:
            await database.close()
            await superuser.execute("REASSIGN OWNED BY stubborn TO assistant_owner")
            await superuser.execute("DROP ROLE stubborn")


@pytest.mark.parametrize("right", ["SUPERUSER", "BYPASSRLS"])
async def test_the_service_refuses_a_role_above_row_security(
    server: PostgresServer, urls: DatabaseUrls, right: str
) -> None:
    await server.execute(f"ALTER ROLE assistant_service {right}")
    database = Database(urls.service)
    try:
        with pytest.raises(DatabaseStartError, match="superuser or bypasses"):
            await database.start()
    finally:
        await database.close()
        await server.execute("ALTER ROLE assistant_service NOSUPERUSER NOBYPASSRLS")


@pytest.mark.parametrize("login", [None, "service", "owner", "superuser"])
async def test_the_service_is_bound_by_row_security_however_it_was_given_its_database(
    urls: DatabaseUrls, short_folder: Path, login: str | None
) -> None:
    """As ``assistant serve`` opens it: the embedded database, or one by URL."""
    url = None if login is None else getattr(urls, login)
    settings = Settings(data_dir=short_folder, database_url=url, migration_database_url=urls.owner)
    who = """SELECT current_user::text, session_user::text, rolsuper OR rolbypassrls,
        EXISTS (SELECT FROM pg_class WHERE relrowsecurity AND pg_has_role(relowner, 'USAGE'))
        FROM pg_roles WHERE rolname = current_user"""
    async with open_database(settings) as opened:
        own = await opened.connect()  # as the ledger and the listener have
        found = [await (await own.execute(who.encode())).fetchone()]
        await own.close()
        for block in (opened.transaction(), opened.tenant("acme")):
            async with block as connection:
                found.append(tuple((await connection.execute(text(who))).one()))

    logins = {None: "assistant_service", "service": "assistant_service", "owner": "assistant_owner"}
    session_user = logins.get(login, "postgres")
    assert found == [("assistant_service", session_user, False, False)] * 3


@pytest.mark.parametrize("login", ["owner", "superuser"])
async def test_a_mightier_login_steps_down_on_every_connection(
    urls: DatabaseUrls, login: str
) -> None:
    database = Database(getattr(urls, login), pool_size=2)
    await database.start()
    ledger = PostgresLedger(database)
    await ledger.start()

    opened = running()
    await ledger.open(opened, Stake())
    await ledger.settle(succeeded(opened))
    own = await database.connect()
    cursor = await own.execute("SELECT current_user::text")
    assert await cursor.fetchone() == ("assistant_service",)
    await own.close()
    async with database.tenant("globex") as connection:
        row = (
            await connection.execute(
                text("SELECT current_user::text, (SELECT count(*) FROM completions)")
            )
        ).one()
    assert tuple(row) == ("assistant_service", 0)
    await ledger.close()
    await database.close()


async def test_a_superuser_of_an_unmigrated_database_is_told_to_migrate(
    server: PostgresServer,
) -> None:
    async with server.database("template1") as urls:
        database = Database(urls.superuser)
        await database.start()  # the role exists: another database of this server made it
        assert "Run `assistant migrate`" in str(await database.check())

        await migrate.upgrade(urls.owner)
        assert await database.check() is None
        await database.close()
