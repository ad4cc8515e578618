"""The ledger: completions and usage, partitioned by month of UTC, and the functions that write it.

The service reads its tenant's rows and writes none by itself: grouped writes mix tenants, so
they go through functions of `assistant_ledger`, the only code outside row-level security.
"""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

ME = "current_setting('assistant.tenant_id', true)"

# One row of JSON, the same for opening and settling.
ROW = """
    tenant_id text, id uuid, created_at timestamptz, status text, user_id text, service_id text,
    feature text, prompt_version_id uuid, model text, provider text, text text,
    finish_reason text, prompt_tokens integer, completion_tokens integer, cached_tokens integer,
    is_estimated boolean, cost numeric, saved_cost numeric, cache text, decision jsonb,
    latency_ms integer, error_code text
"""


def upgrade() -> None:
    op.execute(
        """
        CREATE TABLE public.completions (
            tenant_id         text        NOT NULL
                              CHECK (char_length(tenant_id) BETWEEN 1 AND 128),
            id                uuid        NOT NULL,
            created_at        timestamptz NOT NULL,
            settled_at        timestamptz,
            status            text        NOT NULL
                              CHECK (status IN ('RUNNING', 'SUCCEEDED', 'FAILED', 'CANCELLED')),
            user_id           text,
            service_id        text,
            feature           text,
            prompt_version_id uuid,
            model             text        NOT NULL,
            text              text        NOT NULL,
            finish_reason     text        CHECK (finish_reason IN (
                                  'STOP', 'LENGTH', 'TOOL_CALLS', 'CONTENT_FILTER', 'CANCELLED',
                                  'ERROR')),
            prompt_tokens     integer     NOT NULL CHECK (prompt_tokens >= 0),
            completion_tokens integer     NOT NULL CHECK (completion_tokens >= 0),
            cached_tokens     integer     NOT NULL CHECK (cached_tokens >= 0),
            is_estimated      boolean     NOT NULL,
            cost              numeric     NOT NULL CHECK (cost >= 0),
            cache             text        NOT NULL CHECK (cache IN (
                                  'MISS', 'EXACT', 'SEMANTIC', 'COALESCED', 'BYPASSED')),
            decision          jsonb       NOT NULL CHECK (jsonb_typeof(decision) = 'object'),
            latency_ms        integer     NOT NULL CHECK (latency_ms >= 0),
            error_code        text        CHECK (error_code ~ '^[A-Z_]{1,64}$'),
            CHECK ((settled_at IS NULL) = (status = 'RUNNING')),
            PRIMARY KEY (tenant_id, id, created_at)
        ) PARTITION BY RANGE (created_at)
        """
    )
    op.execute(
        "COMMENT ON COLUMN public.completions.created_at IS "
        "'The time in id (UUIDv7), so that a lookup by id finds its partition'"
    )
    op.execute(
        """
        CREATE TABLE public.usage_logs (
            tenant_id         text        NOT NULL
                              CHECK (char_length(tenant_id) BETWEEN 1 AND 128),
            id                uuid        NOT NULL,
            created_at        timestamptz NOT NULL,
            status            text        NOT NULL
                              CHECK (status IN ('SUCCEEDED', 'FAILED', 'CANCELLED')),
            user_id           text,
            service_id        text,
            feature           text,
            prompt_version_id uuid,
            model             text        NOT NULL,
            provider          text        NOT NULL,
            prompt_tokens     integer     NOT NULL CHECK (prompt_tokens >= 0),
            completion_tokens integer     NOT NULL CHECK (completion_tokens >= 0),
            cached_tokens     integer     NOT NULL CHECK (cached_tokens >= 0),
            is_estimated      boolean     NOT NULL,
            cost              numeric     NOT NULL CHECK (cost >= 0),
            saved_cost        numeric     NOT NULL CHECK (saved_cost >= 0),
            cache             text        NOT NULL CHECK (cache IN (
                                  'MISS', 'EXACT', 'SEMANTIC', 'COALESCED', 'BYPASSED')),
            latency_ms        integer     NOT NULL CHECK (latency_ms >= 0),
            error_code        text        CHECK (error_code ~ '^[A-Z_]{1,64}$'),
            PRIMARY KEY (tenant_id, id, created_at)
        ) PARTITION BY RANGE (created_at)
        """
    )
    op.execute("COMMENT ON TABLE public.usage_logs IS 'One row per completion, with its id'")
    op.execute("CREATE INDEX ON public.usage_logs (tenant_id, user_id, created_at)")
    op.execute("CREATE INDEX ON public.usage_logs (tenant_id, service_id, created_at)")

    for table in ("completions", "usage_logs"):
        op.execute(f"ALTER TABLE public.{table} ENABLE ROW LEVEL SECURITY")
        op.execute(f"ALTER TABLE public.{table} FORCE ROW LEVEL SECURITY")
        mine = f"tenant_id = {ME}"
        op.execute(f"CREATE POLICY tenant ON public.{table} USING ({mine}) WITH CHECK ({mine})")
        op.execute(
            f"CREATE POLICY ledger ON public.{table} TO assistant_ledger "
            "USING (true) WITH CHECK (true)"
        )
    op.execute("GRANT SELECT ON public.completions, public.usage_logs TO assistant_service")
    op.execute("GRANT SELECT, INSERT, UPDATE ON public.completions TO assistant_ledger")
    op.execute("GRANT SELECT, INSERT ON public.usage_logs TO assistant_ledger")

    op.execute(
        f"""
        CREATE FUNCTION public.assistant_open(rows json) RETURNS void
        LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
        BEGIN
            INSERT INTO public.completions (
                tenant_id, id, created_at, status, user_id, service_id, feature,
                prompt_version_id, model, text, finish_reason, prompt_tokens, completion_tokens,
                cached_tokens, is_estimated, cost, cache, decision, latency_ms, error_code)
            SELECT
                tenant_id, id, created_at, status, user_id, service_id, feature,
                prompt_version_id, model, text, finish_reason, prompt_tokens, completion_tokens,
                cached_tokens, is_estimated, cost, cache, decision, latency_ms, error_code
            FROM json_to_recordset(rows) AS opened ({ROW})
            ON CONFLICT DO NOTHING;
        END
        $$
        """  # noqa: S608 - constants
    )
    op.execute(
        f"""
        CREATE FUNCTION public.assistant_settle(rows json) RETURNS void
        LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
        BEGIN
            WITH settled AS MATERIALIZED (
                SELECT * FROM json_to_recordset(rows) AS settled ({ROW})
            ), recorded AS (
                INSERT INTO public.completions AS kept (
                    tenant_id, id, created_at, settled_at, status, user_id, service_id, feature,
                    prompt_version_id, model, text, finish_reason, prompt_tokens,
                    completion_tokens, cached_tokens, is_estimated, cost, cache, decision,
                    latency_ms, error_code)
                SELECT
                    tenant_id, id, created_at, clock_timestamp(), status, user_id, service_id,
                    feature, prompt_version_id, model, text, finish_reason, prompt_tokens,
                    completion_tokens, cached_tokens, is_estimated, cost, cache, decision,
                    latency_ms, error_code
                FROM settled
                ON CONFLICT (tenant_id, id, created_at) DO UPDATE SET
                    settled_at = excluded.settled_at,
                    status = excluded.status,
                    prompt_version_id = excluded.prompt_version_id,
                    model = excluded.model,
                    text = excluded.text,
                    finish_reason = excluded.finish_reason,
                    prompt_tokens = excluded.prompt_tokens,
                    completion_tokens = excluded.completion_tokens,
                    cached_tokens = excluded.cached_tokens,
                    is_estimated = excluded.is_estimated,
                    cost = excluded.cost,
                    cache = excluded.cache,
                    decision = excluded.decision,
                    latency_ms = excluded.latency_ms,
                    error_code = excluded.error_code
                WHERE kept.status = 'RUNNING'
            )
            INSERT INTO public.usage_logs (
                tenant_id, id, created_at, status, user_id, service_id, feature,
                prompt_version_id, model, provider, prompt_tokens, completion_tokens,
                cached_tokens, is_estimated, cost, saved_cost, cache, latency_ms, error_code)
            SELECT
                tenant_id, id, created_at, status, user_id, service_id, feature,
                prompt_version_id, model, provider, prompt_tokens, completion_tokens,
                cached_tokens, is_estimated, cost, saved_cost, cache, latency_ms, error_code
            FROM settled
            ON CONFLICT DO NOTHING;
        END
        $$
        """  # noqa: S608 - constants
    )
    # To give a function to a role, that role must be able to create in the schema at that moment.
    op.execute("GRANT CREATE ON SCHEMA public TO assistant_ledger")
    for function in ("assistant_open", "assistant_settle"):
        op.execute(f"REVOKE EXECUTE ON FUNCTION public.{function}(json) FROM PUBLIC")
        op.execute(f"GRANT EXECUTE ON FUNCTION public.{function}(json) TO assistant_service")
        op.execute(f"ALTER FUNCTION public.{function}(json) OWNER TO assistant_ledger")
    op.execute("REVOKE CREATE ON SCHEMA public FROM assistant_ledger")

    # Belongs to the tables' owner, because only an owner can add and drop partitions.
    op.execute(
        """
        CREATE FUNCTION public.assistant_maintain_partitions(
            months_ahead integer,
            retention_months integer,
            as_of timestamptz DEFAULT now(),
            OUT created integer,
            OUT dropped integer
        )
        LANGUAGE plpgsql SECURITY DEFINER
        SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' SET lock_timeout = '5s' AS $$
        DECLARE
            parent    text;
            partition text;
            newest    timestamptz;
            month     timestamptz;
            present   timestamptz := date_trunc('month', as_of, 'UTC');
        BEGIN
            IF months_ahead NOT BETWEEN 0 AND 120 OR retention_months < 1 THEN
                RAISE EXCEPTION 'months_ahead must be 0 to 120 and retention_months at least 1'
                    USING ERRCODE = 'invalid_parameter_value';
            END IF;
            PERFORM pg_advisory_xact_lock(4837201565);
            created := 0;
            dropped := 0;
            FOREACH parent IN ARRAY ARRAY['completions', 'usage_logs'] LOOP
                SELECT max(to_date(right(child.relname, 7), 'YYYY_MM')) INTO newest
                FROM pg_inherits JOIN pg_class AS child ON child.oid = inhrelid
                WHERE inhparent = format('public.%I', parent)::regclass;

                -- From the month before, because clocks differ and orphans are settled late;
                -- from the newest one, because the service may have been off for months.
                FOR month IN
                    SELECT generate_series(
                        least(present - interval '1 month', newest + interval '1 month'),
                        present + make_interval(months => months_ahead),
                        interval '1 month')
                LOOP
                    partition := parent || to_char(month, '_YYYY_MM');
                    CONTINUE WHEN to_regclass(format('public.%I', partition)) IS NOT NULL;
                    EXECUTE format(
                        'CREATE TABLE public.%I (LIKE public.%I INCLUDING DEFAULTS '
                        'INCLUDING CONSTRAINTS INCLUDING STORAGE)', partition, parent);
                    EXECUTE format('ALTER TABLE public.%I ENABLE ROW LEVEL SECURITY', partition);
                    EXECUTE format('ALTER TABLE public.%I FORCE ROW LEVEL SECURITY', partition);
                    -- Attaching, unlike PARTITION OF, does not stop readers and writers.
                    EXECUTE format(
                        'ALTER TABLE public.%I ATTACH PARTITION public.%I '
                        'FOR VALUES FROM (%L) TO (%L)',
                        parent, partition, month, month + interval '1 month');
                    created := created + 1;
                END LOOP;

                FOR partition IN
                    SELECT child.relname
                    FROM pg_inherits JOIN pg_class AS child ON child.oid = inhrelid
                    WHERE inhparent = format('public.%I', parent)::regclass
                      AND to_date(right(child.relname, 7), 'YYYY_MM')
                          < present - make_interval(months => retention_months)
                LOOP
                    -- While it waits for its lock, every reader and writer waits behind it.
                    PERFORM set_config('lock_timeout', '200ms', true);
                    BEGIN
                        EXECUTE format('DROP TABLE public.%I', partition);
                        dropped := dropped + 1;
                    EXCEPTION WHEN lock_not_available THEN
                        NULL; -- a long report reads it; the next run will do
                    END;
                END LOOP;
            END LOOP;
        END
        $$
        """
    )
    signature = "public.assistant_maintain_partitions(integer, integer, timestamptz)"
    op.execute(f"REVOKE EXECUTE ON FUNCTION {signature} FROM PUBLIC")
    op.execute(f"GRANT EXECUTE ON FUNCTION {signature} TO assistant_service")


def downgrade() -> None:
    op.execute("DROP FUNCTION public.assistant_maintain_partitions(integer, integer, timestamptz)")
    op.execute("DROP FUNCTION public.assistant_settle(json), public.assistant_open(json)")
    op.execute("DROP TABLE public.usage_logs, public.completions")
