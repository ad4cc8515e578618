"""The ledger with reservations: what may be used is held before, and given back with what was used.

`assistant_record` is the one function that writes it, for the requests of many tenants at once. What
it holds on to of budgets and limits is in `reservations`, a row for each completion that runs: it is
there from before a provider is called until what was used is settled, by whom it belongs to or, where
that process is gone, by whoever notices.

Locks are taken in one order everywhere, so that there are no deadlocks: tenants (shared, so that no
window can begin meanwhile), windows, buckets, and then rows that only one process touches.
"""

from pathlib import Path

from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

FUNCTIONS = (
    "assistant_record(json, json, json, json, text[], uuid)",
    "assistant_begin_windows(text, uuid[], text[], timestamptz[])",
    "assistant_alert_steps(text, uuid, text)",
    "assistant_set_time_zone(text, text)",
    "assistant_reap(interval, integer)",
    "assistant_tidy_budgets()",
    "assistant_leave(uuid)",
)


def upgrade() -> None:
    op.execute("DROP FUNCTION public.assistant_open(json), public.assistant_settle(json)")
    op.execute(
        """
        CREATE TABLE public.ledger_instances (
            id       uuid        PRIMARY KEY,
            heard_at timestamptz NOT NULL
        ) WITH (fillfactor = 50)
        """
    )
    op.execute(
        "COMMENT ON TABLE public.ledger_instances IS "
        "'Processes that run completions, and when each was heard of last'"
    )
    op.execute(
        "GRANT SELECT, INSERT, UPDATE, DELETE ON public.ledger_instances TO assistant_ledger"
    )
    op.execute("GRANT SELECT ON public.ledger_instances TO assistant_service")
    op.execute(
        """
        CREATE TABLE public.reservations (
            tenant_id      text        NOT NULL
                           CHECK (char_length(tenant_id) BETWEEN 1 AND 128),
            id             uuid        NOT NULL,
            created_at     timestamptz NOT NULL,
            instance_id    uuid        NOT NULL,
            user_id        text,
            service_id     text,
            prompt_tokens  integer     NOT NULL CHECK (prompt_tokens >= 0),
            output_tokens  integer     NOT NULL CHECK (output_tokens >= 0),
            cost           numeric     CHECK (cost >= 0),
            budget_ids     uuid[]        NOT NULL,
            subjects       text[]        NOT NULL,
            starts         timestamptz[] NOT NULL,
            limit_ids      uuid[]        NOT NULL,
            limit_subjects text[]        NOT NULL,
            taken_tokens   integer[]     NOT NULL,
            PRIMARY KEY (tenant_id, id)
        ) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.0,
                autovacuum_vacuum_threshold = 5000)
        """
    )
    for column, meaning in (
        ("id", "Of the completion"),
        ("cost", "Held in each window, in USD; null where the model has no price"),
        ("budget_ids", "With subjects and starts: the windows in which the cost is held"),
        ("limit_ids", "With limit_subjects and taken_tokens: what was taken of which buckets"),
    ):
        op.execute(f"COMMENT ON COLUMN public.reservations.{column} IS '{meaning}'")
    op.execute("ALTER TABLE public.reservations ENABLE ROW LEVEL SECURITY")
    op.execute("ALTER TABLE public.reservations FORCE ROW LEVEL SECURITY")
    mine = "tenant_id = current_setting('assistant.tenant_id', true)"
    op.execute(f"CREATE POLICY tenant ON public.reservations USING ({mine}) WITH CHECK ({mine})")
    op.execute(
        "CREATE POLICY ledger ON public.reservations TO assistant_ledger "
        "USING (true) WITH CHECK (true)"
    )
    op.execute("GRANT SELECT ON public.reservations TO assistant_service")
    op.execute("GRANT SELECT, INSERT, UPDATE, DELETE ON public.reservations TO assistant_ledger")
    op.execute(
        """
        CREATE TYPE public.assistant_claim AS (
            place integer, tenant_id text, budget_id uuid, subject text, starts_at timestamptz,
            ends_at timestamptz, scope text, period text, amount numeric)
        """
    )
    op.execute(
        """
        CREATE TYPE public.assistant_draught AS (
            place integer, tenant_id text, limit_id uuid, subject text, scope text,
            capacity integer, per_minute integer)
        """
    )
    op.execute("GRANT INSERT, UPDATE ON public.tenant_settings TO assistant_ledger")
    op.execute("GRANT UPDATE (starts_at) ON public.budget_overrides TO assistant_ledger")
    op.execute("GRANT CREATE ON SCHEMA public TO assistant_ledger")
    op.execute("SET LOCAL ROLE assistant_ledger")
    for part in ("record", "windows", "reap"):
        _run(part)
    # Only their owner can: another role's REVOKE is a warning, and changes nothing.
    for function in FUNCTIONS:
        op.execute(f"REVOKE EXECUTE ON FUNCTION public.{function} FROM PUBLIC")
        op.execute(f"GRANT EXECUTE ON FUNCTION public.{function} TO assistant_service")
    op.execute("RESET ROLE")
    op.execute("REVOKE CREATE ON SCHEMA public FROM assistant_ledger")


def _run(part: str) -> None:
    path = Path(__file__).with_name(f"{revision}_{part}.sql")
    op.get_bind().exec_driver_sql(
        path.read_text("utf-8"), execution_options={"no_parameters": True}
    )


def downgrade() -> None:
    for function in FUNCTIONS:
        op.execute(f"DROP FUNCTION public.{function}")
    op.execute("DROP TYPE public.assistant_claim, public.assistant_draught")
    op.execute("DROP TABLE public.reservations, public.ledger_instances")
    op.execute("GRANT CREATE ON SCHEMA public TO assistant_ledger")
    op.execute("SET LOCAL ROLE assistant_ledger")
    _run("before")
    op.execute("RESET ROLE")
    op.execute("REVOKE CREATE ON SCHEMA public FROM assistant_ledger")
