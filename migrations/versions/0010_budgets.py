"""Budgets and rate limits: what may be spent and how often, by whom, and how much of it is left.

A row with an empty subject is about every member of its scope, each with a window or a bucket of
their own. One that names a subject is about that one, and stands in for the other.
"""

from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

ME = "current_setting('assistant.tenant_id', true)"
TENANT = "tenant_id text NOT NULL CHECK (char_length(tenant_id) BETWEEN 1 AND 128)"
SUBJECT = "subject text NOT NULL DEFAULT '' CHECK (char_length(subject) <= 128)"
MANAGED = ("tenant_settings", "budgets", "budget_overrides", "rate_limits")
COUNTED = ("budget_windows", "budget_alerts", "rate_buckets")


def upgrade() -> None:
    op.execute(
        f"""
        CREATE TABLE public.tenant_settings (
            {TENANT},
            time_zone text NOT NULL DEFAULT 'UTC' CHECK (char_length(time_zone) BETWEEN 1 AND 64),
            PRIMARY KEY (tenant_id)
        )
        """
    )
    _budgets()
    _rate_limits()
    _windows()
    for table in MANAGED + COUNTED:
        _secure(table)
    for table in MANAGED:
        op.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON public.{table} TO assistant_service")
        op.execute(f"GRANT SELECT ON public.{table} TO assistant_ledger")
    for table in COUNTED:
        op.execute(f"GRANT SELECT, DELETE ON public.{table} TO assistant_service")
        op.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON public.{table} TO assistant_ledger")
    # An alert is claimed by whoever announces it.
    op.execute("GRANT UPDATE (announced_at) ON public.budget_alerts TO assistant_service")


def _budgets() -> None:
    op.execute(
        f"""
        CREATE TABLE public.budgets (
            {TENANT},
            id          uuid        NOT NULL,
            scope       text        NOT NULL CHECK (scope IN ('GLOBAL', 'SERVICE', 'USER')),
            {SUBJECT}   CHECK (subject = '' OR scope <> 'GLOBAL'),
            period      text        NOT NULL CHECK (period IN ('DAY', 'WEEK', 'MONTH')),
            amount      numeric     NOT NULL CHECK (amount >= 0 AND amount < 1e15),
            alert_steps numeric[]   NOT NULL
                        CHECK (cardinality(alert_steps) <= 10 AND 0 < ALL (alert_steps)),
            created_at  timestamptz NOT NULL,
            updated_at  timestamptz NOT NULL,
            PRIMARY KEY (tenant_id, id),
            UNIQUE (tenant_id, scope, subject, period)
        )
        """
    )
    op.execute(
        f"""
        CREATE TABLE public.budget_overrides (
            {TENANT},
            id         uuid        NOT NULL,
            budget_id  uuid        NOT NULL,
            starts_at  timestamptz NOT NULL,
            extra      numeric     NOT NULL CHECK (extra > 0 AND extra < 1e15),
            reason     text        NOT NULL CHECK (char_length(reason) BETWEEN 1 AND 1000),
            created_by text        NOT NULL,
            created_at timestamptz NOT NULL,
            PRIMARY KEY (tenant_id, id)
        )
        """
    )
    op.execute("CREATE INDEX ON public.budget_overrides (tenant_id, budget_id, starts_at)")
    op.execute(
        f"""
        CREATE TABLE public.budget_windows (
            {TENANT},
            budget_id uuid        NOT NULL,
            {SUBJECT},
            starts_at timestamptz NOT NULL,
            ends_at   timestamptz NOT NULL CHECK (ends_at > starts_at),
            spent     numeric     NOT NULL DEFAULT 0 CHECK (spent >= 0),
            reserved  numeric     NOT NULL DEFAULT 0 CHECK (reserved >= 0),
            PRIMARY KEY (tenant_id, budget_id, starts_at, subject)
        ) WITH (fillfactor = 50)
        """
    )
    op.execute(
        f"""
        CREATE TABLE public.budget_alerts (
            {TENANT},
            budget_id    uuid        NOT NULL,
            {SUBJECT},
            starts_at    timestamptz NOT NULL,
            step         numeric     NOT NULL CHECK (step > 0),
            scope        text        NOT NULL,
            period       text        NOT NULL,
            ends_at      timestamptz NOT NULL,
            spent        numeric     NOT NULL,
            amount       numeric     NOT NULL,
            created_at   timestamptz NOT NULL,
            announced_at timestamptz,
            PRIMARY KEY (tenant_id, budget_id, subject, starts_at, step)
        )
        """
    )
    op.execute("CREATE INDEX ON public.budget_alerts (created_at) WHERE announced_at IS NULL")
    for table, column, meaning in (
        ("budgets", "subject", "Whose it is; empty: of every member of the scope, each"),
        ("budgets", "amount", "In USD, as all money"),
        ("budgets", "alert_steps", "Shares of the amount, as in 0.8"),
        ("budget_overrides", "starts_at", "Of the window for which it is; it ends with it"),
        ("budget_windows", "spent", "What usage rows of the window have cost"),
        ("budget_windows", "reserved", "What running completions may cost at most"),
        ("budget_alerts", "amount", "What could be spent, overrides included"),
        ("budget_alerts", "announced_at", "When somebody took it on to tell of it"),
    ):
        op.execute(f"COMMENT ON COLUMN public.{table}.{column} IS '{meaning}'")


def _rate_limits() -> None:
    op.execute(
        f"""
        CREATE TABLE public.rate_limits (
            {TENANT},
            id         uuid        NOT NULL,
            scope      text        NOT NULL
                       CHECK (scope IN ('GLOBAL', 'SERVICE', 'USER', 'API_KEY')),
            {SUBJECT}  CHECK (subject = '' OR scope <> 'GLOBAL'),
            measure    text        NOT NULL CHECK (measure IN ('REQUESTS', 'TOKENS')),
            capacity   integer     NOT NULL CHECK (capacity > 0),
            per_minute integer     NOT NULL CHECK (per_minute > 0),
            created_at timestamptz NOT NULL,
            updated_at timestamptz NOT NULL,
            PRIMARY KEY (tenant_id, id),
            UNIQUE (tenant_id, scope, subject, measure)
        )
        """
    )
    op.execute(
        f"""
        CREATE UNLOGGED TABLE public.rate_buckets (
            {TENANT},
            limit_id    uuid        NOT NULL,
            {SUBJECT},
            level       bigint      NOT NULL,
            refilled_at timestamptz NOT NULL,
            PRIMARY KEY (tenant_id, limit_id, subject)
        ) WITH (fillfactor = 50)
        """
    )
    # One unit per microsecond is one token per minute: refilling needs no fractions.
    op.execute(
        "COMMENT ON COLUMN public.rate_buckets.level IS "
        "'In units of 1/60,000,000; below zero where more was taken than was thought'"
    )
    op.execute(
        """
        CREATE FUNCTION public.assistant_refilled(
            level bigint, refilled_at timestamptz, capacity integer, per_minute integer,
            at timestamptz)
        RETURNS bigint
        LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
            SELECT least(
                capacity * 60000000::numeric,
                level + per_minute * greatest(
                    extract(epoch FROM at - refilled_at) * 1000000, 0)::numeric
            )::bigint
        $$
        """
    )


def _windows() -> None:
    # Where clocks are put back over midnight, that has two beginnings: the later one counts, and
    # what is before it still belongs to the window before.
    op.execute(
        """
        CREATE FUNCTION public.assistant_window_start(
            period text, at timestamptz, time_zone text)
        RETURNS timestamptz
        LANGUAGE sql STABLE PARALLEL SAFE AS $$
            SELECT CASE
                WHEN date_trunc(period, at, time_zone) <= at
                THEN date_trunc(period, at, time_zone)
                ELSE (date_trunc(period, at AT TIME ZONE time_zone) - ('1 ' || period)::interval)
                     AT TIME ZONE time_zone
            END
        $$
        """
    )
    op.execute(
        """
        CREATE FUNCTION public.assistant_window_end(
            period text, starts_at timestamptz, time_zone text)
        RETURNS timestamptz
        LANGUAGE sql STABLE PARALLEL SAFE AS $$
            SELECT (date_trunc(period, starts_at AT TIME ZONE time_zone)
                    + ('1 ' || period)::interval) AT TIME ZONE time_zone
        $$
        """
    )


def _secure(table: str) -> None:
    mine = f"tenant_id = {ME}"
    op.execute(f"ALTER TABLE public.{table} ENABLE ROW LEVEL SECURITY")
    op.execute(f"ALTER TABLE public.{table} FORCE ROW LEVEL SECURITY")
    op.execute(f"CREATE POLICY tenant ON public.{table} USING ({mine}) WITH CHECK ({mine})")
    op.execute(
        f"CREATE POLICY ledger ON public.{table} TO assistant_ledger USING (true) WITH CHECK (true)"
    )


def downgrade() -> None:
    op.execute(
        "DROP FUNCTION public.assistant_window_start(text, timestamptz, text), "
        "public.assistant_window_end(text, timestamptz, text), "
        "public.assistant_refilled(bigint, timestamptz, integer, integer, timestamptz)"
    )
    op.execute(f"DROP TABLE {', '.join(f'public.{table}' for table in MANAGED + COUNTED)}")
