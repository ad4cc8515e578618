"""Usage by the attempt, and its sums by the hour.

A request has one row, its attempt 0, with all that it took; each attempt that used anything has one
more, by the model that was asked. Requests are counted by the former, tokens and money by the latter:
what fell over from one model to another is shared out as it was used.
"""

from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

ME = "current_setting('assistant.tenant_id', true)"
# By the hour: of users, and of all who call through a service. By the day: of users as a whole, so
# that the most active ones are found without reading what each of them used each model for.
KEYS = {
    "usage_hours": ("user_id", "hour", "feature", "model"),
    "usage_service_hours": ("service_id", "hour", "feature", "model"),
    "usage_user_days": ("user_id", "day"),
}
PARTS = {
    "user_id": "coalesce(user_id, '')",
    "service_id": "coalesce(service_id, '')",
    "feature": "coalesce(feature, '')",
    "model": "model",
    "hour": "date_trunc('hour', created_at, 'UTC')",
    "day": "date_trunc('day', created_at, 'UTC')",
}
USED = "FILTER (WHERE attempt > 0)"
ASKED = "FILTER (WHERE attempt = 0)"
SUMS = {
    "requests": f"count(*) {ASKED}",
    "failed_requests": "count(*) FILTER (WHERE attempt = 0 AND status = 'FAILED')",
    "cached_requests": (
        "count(*) FILTER (WHERE attempt = 0 AND cache IN ('EXACT', 'SEMANTIC', 'COALESCED'))"
    ),
    "prompt_tokens": f"coalesce(sum(prompt_tokens) {USED}, 0)",
    "completion_tokens": f"coalesce(sum(completion_tokens) {USED}, 0)",
    "cached_tokens": f"coalesce(sum(cached_tokens) {USED}, 0)",
    "reasoning_tokens": f"coalesce(sum(reasoning_tokens) {USED}, 0)",
    "saved_tokens": f"coalesce(sum(saved_tokens) {ASKED}, 0)",
    "unpriced_attempts": "count(*) FILTER (WHERE attempt > 0 AND cost IS NULL)",
    "cost": f"coalesce(sum(cost) {USED}, 0)",
    "saved_cost": f"coalesce(sum(saved_cost) {ASKED}, 0)",
}
# Of days no more than what users are compared by: every row is written again with each request.
OF_DAYS = ("requests", "prompt_tokens", "completion_tokens", "cost")
# Which usage rows are a prompt's: as in 0007, of requests.
COUNTS = (
    "prompt_version_id IS NOT NULL AND operation = 'chat' "
    "AND feature IS DISTINCT FROM 'prompt-tests'"
)
OF_REQUESTS = f"{COUNTS} AND attempt = 0"


def upgrade() -> None:
    # In the order in which programs that run now lock them.
    op.execute("LOCK TABLE public.usage_logs, public.completions IN ACCESS EXCLUSIVE MODE")
    op.execute(
        """
        ALTER TABLE public.completions
            ADD COLUMN reasoning_tokens integer NOT NULL DEFAULT 0 CHECK (reasoning_tokens >= 0),
            ADD COLUMN is_priced boolean NOT NULL DEFAULT true,
            ADD COLUMN reaped_at timestamptz
        """
    )
    op.execute(
        """
        ALTER TABLE public.usage_logs
            ADD COLUMN attempt smallint NOT NULL DEFAULT 0 CHECK (attempt >= 0),
            ADD COLUMN reasoning_tokens integer NOT NULL DEFAULT 0 CHECK (reasoning_tokens >= 0),
            ADD COLUMN first_token_ms integer CHECK (first_token_ms >= 0),
            ALTER COLUMN cost DROP NOT NULL,
            DROP CONSTRAINT usage_logs_pkey,
            ADD PRIMARY KEY (tenant_id, id, created_at, attempt)
        """
    )
    for table, column, meaning in (
        ("completions", "is_priced", "Whether cost is all; else an attempt had no price"),
        ("completions", "reaped_at", "When it was found that the process that ran it was gone"),
        ("usage_logs", "attempt", "0: the request as a whole; from 1 on what each attempt used"),
        ("usage_logs", "cost", "Null where the model had no price at that time"),
        ("usage_logs", "first_token_ms", "From the call to the first event; null where none came"),
    ):
        op.execute(f"COMMENT ON COLUMN public.{table}.{column} IS '{meaning}'")
    op.execute(
        "COMMENT ON TABLE public.usage_logs IS "
        "'One row per completion, with its id, and one per attempt that used anything'"
    )
    _prompts("attempt = 0 AND ", OF_REQUESTS)
    # Reports read the hours; what a time cuts off of an hour is found by id, which begins with it.
    op.execute("DROP INDEX public.usage_logs_tenant_id_user_id_created_at_idx")
    op.execute("DROP INDEX public.usage_logs_tenant_id_service_id_created_at_idx")
    op.execute(
        """
        CREATE FUNCTION public.assistant_first_id(at timestamptz) RETURNS uuid
        LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
            SELECT (lpad(to_hex(floor(extract(epoch FROM at) * 1000)::bigint), 12, '0')
                    || '00000000000000000000')::uuid
        $$
        """
    )
    op.execute(
        "COMMENT ON FUNCTION public.assistant_first_id IS "
        "'The least UUIDv7 of a time: no row of then or later has a lesser one'"
    )
    for table in KEYS:
        _table(table)
    op.execute("CREATE INDEX ON public.usage_hours (tenant_id, hour)")
    op.execute("CREATE INDEX ON public.usage_service_hours (tenant_id, hour)")
    op.execute("CREATE INDEX ON public.usage_user_days (tenant_id, day)")

    # Rows are locked in the order of their keys, in every replica's statement alike: no deadlock.
    op.execute(
        f"""
        CREATE FUNCTION public.assistant_count_usage() RETURNS trigger
        LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
        BEGIN
            {" ".join(_counted(table, "logged", "pg_backend_pid() % 16") + ";" for table in KEYS)}
            RETURN NULL;
        END
        $$
        """
    )
    op.execute("GRANT CREATE ON SCHEMA public TO assistant_ledger")
    op.execute("SET LOCAL ROLE assistant_ledger")
    # What each of their attempts used was not recorded: the last one is taken to have used it all.
    op.execute(
        """
        INSERT INTO public.usage_logs (
            tenant_id, id, created_at, attempt, status, user_id, service_id, feature,
            prompt_version_id, model, provider, prompt_tokens, completion_tokens, cached_tokens,
            is_estimated, cost, saved_cost, saved_tokens, cache, latency_ms, error_code, operation)
        SELECT tenant_id, id, created_at, 1, status, user_id, service_id, feature,
               prompt_version_id, model, provider, prompt_tokens, completion_tokens, cached_tokens,
               is_estimated, cost, 0, 0, cache, latency_ms, error_code, operation
        FROM public.usage_logs
        WHERE attempt = 0 AND (prompt_tokens > 0 OR completion_tokens > 0 OR cost > 0)
        """
    )
    for table in KEYS:
        op.execute(_counted(table, "public.usage_logs", "0"))
    op.execute("RESET ROLE")
    op.execute("REVOKE CREATE ON SCHEMA public FROM assistant_ledger")
    op.execute(
        """
        CREATE TRIGGER count_usage AFTER INSERT ON public.usage_logs
        REFERENCING NEW TABLE AS logged
        FOR EACH STATEMENT EXECUTE FUNCTION public.assistant_count_usage()
        """
    )


def _table(name: str) -> None:
    """A table of sums, which the ledger's trigger adds to and the service reads."""
    columns = [
        *(f"{part} {'timestamptz' if part in ('hour', 'day') else 'text'}" for part in KEYS[name]),
        "slot smallint",
        *(f"{sum_} {'numeric' if 'cost' in sum_ else 'bigint'}" for sum_ in _sums(name)),
    ]
    op.execute(
        f"""
        CREATE TABLE public.{name} (
            tenant_id text NOT NULL CHECK (char_length(tenant_id) BETWEEN 1 AND 128),
            {", ".join(f"{column} NOT NULL" for column in columns)},
            PRIMARY KEY (tenant_id, {", ".join(KEYS[name])}, slot)
        ) WITH (fillfactor = 70)
        """
    )
    op.execute(
        f"COMMENT ON COLUMN public.{name}.slot IS "
        "'Who writes at the same time adds to different rows'"
    )
    op.execute(f"ALTER TABLE public.{name} ENABLE ROW LEVEL SECURITY")
    op.execute(f"ALTER TABLE public.{name} FORCE ROW LEVEL SECURITY")
    mine = f"tenant_id = {ME}"
    op.execute(f"CREATE POLICY tenant ON public.{name} USING ({mine}) WITH CHECK ({mine})")
    op.execute(
        f"CREATE POLICY ledger ON public.{name} TO assistant_ledger USING (true) WITH CHECK (true)"
    )
    op.execute(f"GRANT SELECT ON public.{name} TO assistant_service")
    op.execute(f"GRANT SELECT, INSERT, UPDATE ON public.{name} TO assistant_ledger")


def _counted(table: str, rows: str, slot: str) -> str:
    """Add ``rows`` up into ``table``."""
    key = ", ".join(("tenant_id", *KEYS[table], "slot"))
    parts = ", ".join(PARTS[part] for part in KEYS[table])
    places = ", ".join(str(place) for place in range(1, len(KEYS[table]) + 2))
    sums = _sums(table)
    return f"""
        INSERT INTO public.{table} AS kept ({key}, {", ".join(sums)})
        SELECT tenant_id, {parts}, {slot}, {", ".join(SUMS[name] for name in sums)}
        FROM {rows}
        GROUP BY {places}
        ORDER BY {places}
        ON CONFLICT ({key}) DO UPDATE SET
            {", ".join(f"{name} = kept.{name} + excluded.{name}" for name in sums)}
    """  # noqa: S608 - constants


def _sums(table: str) -> tuple[str, ...]:
    return OF_DAYS if table == "usage_user_days" else tuple(SUMS)


def _prompts(of_requests: str, indexed: str) -> None:
    """What is counted of prompts, and found for them: requests, not attempts."""
    op.execute(
        f"""
        CREATE OR REPLACE FUNCTION public.assistant_count_prompt_usage() RETURNS trigger
        LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
        BEGIN
            INSERT INTO public.prompt_version_hours AS kept (
                tenant_id, prompt_version_id, hour, slot, requests, succeeded, failed,
                total_tokens, cost, ended_cost, latency_ms)
            SELECT tenant_id, prompt_version_id, date_trunc('hour', created_at, 'UTC'),
                   pg_backend_pid() % 16,
                   count(*),
                   count(*) FILTER (WHERE status = 'SUCCEEDED'),
                   count(*) FILTER (WHERE status = 'FAILED'),
                   sum(prompt_tokens) + sum(completion_tokens),
                   coalesce(sum(cost), 0),
                   coalesce(sum(cost + saved_cost) FILTER (WHERE status <> 'CANCELLED'), 0),
                   coalesce(sum(latency_ms) FILTER (WHERE status = 'SUCCEEDED'), 0)
            FROM logged
            WHERE {of_requests}{COUNTS}
            GROUP BY 1, 2, 3
            ORDER BY 1, 2, 3
            ON CONFLICT (tenant_id, prompt_version_id, hour, slot) DO UPDATE SET
                requests = kept.requests + excluded.requests,
                succeeded = kept.succeeded + excluded.succeeded,
                failed = kept.failed + excluded.failed,
                total_tokens = kept.total_tokens + excluded.total_tokens,
                cost = kept.cost + excluded.cost,
                ended_cost = kept.ended_cost + excluded.ended_cost,
                latency_ms = kept.latency_ms + excluded.latency_ms;
            RETURN NULL;
        END
        $$
        """  # noqa: S608 - constants
    )
    op.execute("DROP INDEX public.usage_logs_prompt_version")
    op.execute(
        f"""
        CREATE INDEX usage_logs_prompt_version
        ON public.usage_logs (tenant_id, prompt_version_id, created_at)
        INCLUDE (status, latency_ms) WHERE {indexed}
        """
    )


def downgrade() -> None:
    op.execute("DROP TRIGGER count_usage ON public.usage_logs")
    op.execute("DROP FUNCTION public.assistant_count_usage()")
    op.execute(f"DROP TABLE {', '.join(f'public.{table}' for table in KEYS)}")
    op.execute("DROP FUNCTION public.assistant_first_id(timestamptz)")
    # The owner is bound by row security as well, and would find no rows.
    op.execute("ALTER TABLE public.usage_logs NO FORCE ROW LEVEL SECURITY")
    op.execute("DELETE FROM public.usage_logs WHERE attempt > 0")
    op.execute("UPDATE public.usage_logs SET cost = 0 WHERE cost IS NULL")
    op.execute("ALTER TABLE public.usage_logs FORCE ROW LEVEL SECURITY")
    _prompts("", COUNTS)
    op.execute(
        """
        ALTER TABLE public.usage_logs
            DROP CONSTRAINT usage_logs_pkey,
            ADD PRIMARY KEY (tenant_id, id, created_at),
            DROP COLUMN attempt, DROP COLUMN reasoning_tokens, DROP COLUMN first_token_ms,
            ALTER COLUMN cost SET NOT NULL
        """
    )
    op.execute("COMMENT ON TABLE public.usage_logs IS 'One row per completion, with its id'")
    op.execute("CREATE INDEX ON public.usage_logs (tenant_id, user_id, created_at)")
    op.execute("CREATE INDEX ON public.usage_logs (tenant_id, service_id, created_at)")
    op.execute(
        "ALTER TABLE public.completions "
        "DROP COLUMN reasoning_tokens, DROP COLUMN is_priced, DROP COLUMN reaped_at"
    )
