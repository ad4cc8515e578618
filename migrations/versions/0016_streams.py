"""Streams that outlive their connection: what they said, for every replica to read; and which key
asked for which completion.

What is said is written down a few times a second, for the streams of many tenants in one statement,
and may be lost when the server crashes: those who make the streams write it anew. Which key has which
completion may not be lost.

Appending locks the row of each stream, in the order of their keys, and so does ending a stream for
somebody who is gone: nothing is ever said after an end.
"""

from pathlib import Path

from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

ME = "current_setting('assistant.tenant_id', true)"
TENANT = "tenant_id text NOT NULL CHECK (char_length(tenant_id) BETWEEN 1 AND 128)"
TABLES = ("streams", "stream_events", "idempotency_keys")
CLAIM = "assistant_claim_keys(json)"
DEFINER_FUNCTIONS = (
    "assistant_append_streams(uuid, json, json)",
    "assistant_read_streams(text[], uuid[], integer[], boolean[])",
    "assistant_abandon_stream(text, uuid, integer, integer, json)",
    "assistant_clean_streams(interval, integer)",
    "assistant_clean_keys(integer)",
)


def upgrade() -> None:
    _streams()
    _keys()
    op.execute("GRANT SELECT ON public.streams, public.stream_events TO assistant_service")
    op.execute("GRANT UPDATE (cancel_asked) ON public.streams TO assistant_service")
    op.execute(
        "GRANT SELECT, INSERT, UPDATE, DELETE ON public.idempotency_keys TO assistant_service"
    )
    for table in (*TABLES, "stream_producers"):
        op.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON public.{table} TO assistant_ledger")
    _run("claim")
    op.execute("GRANT CREATE ON SCHEMA public TO assistant_ledger")
    op.execute("SET LOCAL ROLE assistant_ledger")
    for part in ("append", "read", "clean"):
        _run(part)
    # Only their owner can: another role's REVOKE is a warning, and changes nothing.
    for function in DEFINER_FUNCTIONS:
        op.execute(f"REVOKE EXECUTE ON FUNCTION public.{function} FROM PUBLIC")
        op.execute(f"GRANT EXECUTE ON FUNCTION public.{function} TO assistant_service")
    op.execute("RESET ROLE")
    op.execute("REVOKE CREATE ON SCHEMA public FROM assistant_ledger")


def _streams() -> None:
    op.execute(
        """
        CREATE UNLOGGED TABLE public.stream_producers (
            id       uuid        PRIMARY KEY,
            heard_at timestamptz NOT NULL
        ) WITH (fillfactor = 50)
        """
    )
    op.execute(
        "COMMENT ON TABLE public.stream_producers IS "
        "'Processes that make streams, and when each was heard of last'"
    )
    op.execute(
        f"""
        CREATE UNLOGGED TABLE public.streams (
            {TENANT},
            id           uuid        NOT NULL,
            user_id      text,
            service_id   text,
            instance_id  uuid        NOT NULL,
            followed_at  timestamptz,
            cancel_asked boolean     NOT NULL DEFAULT false,
            ended_at     timestamptz,
            is_abandoned boolean     NOT NULL DEFAULT false,
            PRIMARY KEY (tenant_id, id)
        ) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.0,
                autovacuum_vacuum_threshold = 5000)
        """
    )
    for column, meaning in (
        ("id", "Of the completion"),
        ("instance_id", "Of the process that makes it"),
        ("followed_at", "When a process that does not make it has last read of it"),
        ("is_abandoned", "Ended by others, because its process had not been heard of"),
    ):
        op.execute(f"COMMENT ON COLUMN public.streams.{column} IS '{meaning}'")
    op.execute(
        f"""
        CREATE UNLOGGED TABLE public.stream_events (
            {TENANT},
            id     uuid    NOT NULL,
            first  integer NOT NULL CHECK (first >= 0),
            next   integer NOT NULL CHECK (next > first),
            events json    NOT NULL,
            PRIMARY KEY (tenant_id, id, first)
        )
        """
    )
    op.execute(
        "COMMENT ON COLUMN public.stream_events.first IS "
        "'The number of the first of the events; next is that of the one after them'"
    )
    for table in ("streams", "stream_events"):
        _secure(table)


def _keys() -> None:
    op.execute(
        f"""
        CREATE TABLE public.idempotency_keys (
            {TENANT},
            owner         text        NOT NULL,
            key           text        NOT NULL CHECK (char_length(key) BETWEEN 1 AND 255),
            fingerprint   bytea       NOT NULL CHECK (octet_length(fingerprint) = 32),
            completion_id uuid        NOT NULL,
            created_at    timestamptz NOT NULL,
            error         json        CHECK (json_typeof(error) = 'object'),
            PRIMARY KEY (tenant_id, owner, key)
        )
        """
    )
    for column, meaning in (
        ("owner", "Who chose the key: others may choose the same"),
        ("fingerprint", "SHA-256 of what was asked"),
        ("error", "What it ended with, where that is its result"),
    ):
        op.execute(f"COMMENT ON COLUMN public.idempotency_keys.{column} IS '{meaning}'")
    op.execute("CREATE INDEX ON public.idempotency_keys (created_at)")
    _secure("idempotency_keys")


def _secure(table: str) -> None:
    mine = f"tenant_id = {ME}"
    op.execute(f"ALTER TABLE public.{table} ENABLE ROW LEVEL SECURITY")
    op.execute(f"ALTER TABLE public.{table} FORCE ROW LEVEL SECURITY")
    op.execute(f"CREATE POLICY tenant ON public.{table} USING ({mine}) WITH CHECK ({mine})")
    op.execute(
        f"CREATE POLICY ledger ON public.{table} TO assistant_ledger USING (true) WITH CHECK (true)"
    )


def _run(part: str) -> None:
    path = Path(__file__).with_name(f"{revision}_{part}.sql")
    op.get_bind().exec_driver_sql(
        path.read_text("utf-8"), execution_options={"no_parameters": True}
    )


def downgrade() -> None:
    for function in (*DEFINER_FUNCTIONS, CLAIM):
        op.execute(f"DROP FUNCTION public.{function}")
    for table in (*TABLES, "stream_producers"):
        op.execute(f"DROP TABLE public.{table}")
