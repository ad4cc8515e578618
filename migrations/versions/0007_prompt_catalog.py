"""The prompt catalog: partials, rollouts and their history, tests, and figures per version.

Figures are kept in the statement that settles completions, from exactly the usage rows that it
adds: a total per version (`performance_metrics`) and one row per version and hour. They are the
asking tenant's, also where the version is the platform's. Versions themselves never change, so
their figures have tables of their own, and no change of figures is announced.
"""

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

ME = "current_setting('assistant.tenant_id', true)"
TENANT = "tenant_id text NOT NULL CHECK (char_length(tenant_id) BETWEEN 1 AND 128)"
CATALOG = ("prompt_rollouts", "prompt_releases", "prompt_test_cases")
FIGURES = ("prompt_version_metrics", "prompt_version_hours")


def upgrade() -> None:
    op.execute(
        """
        ALTER TABLE public.prompts
            ADD COLUMN publish_requires_tests boolean NOT NULL DEFAULT false
        """
    )
    op.execute(
        "ALTER TABLE public.prompt_versions ADD COLUMN partials json NOT NULL DEFAULT '[]' "
        "CHECK (json_typeof(partials) = 'array')"
    )
    op.execute(
        "COMMENT ON COLUMN public.prompt_versions.partials IS "
        "'The texts that its templates include, as they were when it was made'"
    )
    # From now on PUBLISHED are those that callers get; only the platform has versions so far.
    op.execute("SELECT set_config('assistant.tenant_id', 'platform', true)")
    op.execute(
        """
        UPDATE public.prompt_versions AS v SET status = 'ARCHIVED'
        FROM public.prompts AS p
        WHERE p.tenant_id = v.tenant_id AND p.id = v.prompt_id AND v.status = 'PUBLISHED'
          AND p.published_version_id IS DISTINCT FROM v.id
        """
    )
    op.execute("SELECT set_config('assistant.tenant_id', '', true)")
    _releases()
    _tests()
    _figures()
    op.execute("ALTER TABLE public.seeds DROP CONSTRAINT seeds_kind_check")
    op.execute(
        "ALTER TABLE public.seeds ADD CONSTRAINT seeds_kind_check CHECK (kind IN ("
        "'provider', 'model', 'model_group', 'prompt', 'prompt_version', 'routing_rule', "
        "'prompt_test'))"
    )


def _releases() -> None:
    op.execute(
        f"""
        CREATE TABLE public.prompt_rollouts (
            {TENANT},
            prompt_id         uuid        NOT NULL,
            points            integer[]   NOT NULL
                              CHECK (cardinality(points) = 100 AND 0 < ALL (points)),
            error_rate_margin double precision CHECK (error_rate_margin BETWEEN 0 AND 1),
            cost_margin       double precision CHECK (cost_margin BETWEEN 0 AND 1000),
            min_samples       integer     NOT NULL CHECK (min_samples > 0),
            started_at        timestamptz NOT NULL,
            since             jsonb       NOT NULL CHECK (jsonb_typeof(since) = 'object'),
            PRIMARY KEY (tenant_id, prompt_id),
            FOREIGN KEY (tenant_id, prompt_id) REFERENCES public.prompts (tenant_id, id)
                ON DELETE CASCADE
        )
        """
    )
    op.execute(
        "COMMENT ON TABLE public.prompt_rollouts IS "
        "'Prompts whose callers are split between versions; none where all get the published one'"
    )
    op.execute(
        "COMMENT ON COLUMN public.prompt_rollouts.points IS 'The version number of each point'"
    )
    op.execute(
        "COMMENT ON COLUMN public.prompt_rollouts.since IS "
        "'What each version, by its number, had done when the shares were last changed'"
    )
    op.execute(
        f"""
        CREATE TABLE public.prompt_releases (
            {TENANT},
            id         uuid        NOT NULL,
            prompt_id  uuid        NOT NULL,
            at         timestamptz NOT NULL,
            kind       text        NOT NULL
                       CHECK (kind IN ('PUBLISHED', 'ROLLOUT', 'ROLLED_BACK')),
            weights    jsonb       NOT NULL CHECK (jsonb_typeof(weights) = 'object'),
            user_id    text,
            service_id text,
            reason     text,
            PRIMARY KEY (tenant_id, id),
            FOREIGN KEY (tenant_id, prompt_id) REFERENCES public.prompts (tenant_id, id)
                ON DELETE CASCADE
        )
        """
    )
    op.execute("CREATE INDEX ON public.prompt_releases (tenant_id, prompt_id, id)")
    op.execute(
        "GRANT SELECT, INSERT, UPDATE, DELETE ON public.prompt_rollouts TO assistant_service"
    )
    # History is only ever added to.
    op.execute("GRANT SELECT, INSERT ON public.prompt_releases TO assistant_service")
    op.execute(
        """
        CREATE TRIGGER announce AFTER INSERT OR UPDATE OR DELETE ON public.prompt_rollouts
        FOR EACH ROW EXECUTE FUNCTION public.assistant_announce_catalog()
        """
    )


def _tests() -> None:
    op.execute(
        f"""
        CREATE TABLE public.prompt_test_cases (
            {TENANT},
            id         uuid        NOT NULL,
            prompt_id  uuid        NOT NULL,
            name       text        NOT NULL CHECK (char_length(name) BETWEEN 1 AND 128),
            variables  json        NOT NULL CHECK (json_typeof(variables) = 'object'),
            assertions json        NOT NULL CHECK (json_typeof(assertions) = 'array'),
            updated_at timestamptz NOT NULL,
            PRIMARY KEY (tenant_id, id),
            UNIQUE (tenant_id, prompt_id, name),
            FOREIGN KEY (tenant_id, prompt_id) REFERENCES public.prompts (tenant_id, id)
                ON DELETE CASCADE
        )
        """
    )
    op.execute(
        "GRANT SELECT, INSERT, UPDATE, DELETE ON public.prompt_test_cases TO assistant_service"
    )
    for table in CATALOG:
        _secure(table)
        mine = f"tenant_id = {ME}"
        op.execute(
            f"CREATE POLICY reads ON public.{table} FOR SELECT "
            f"USING (tenant_id IN ({ME}, 'platform'))"
        )
        op.execute(f"CREATE POLICY inserts ON public.{table} FOR INSERT WITH CHECK ({mine})")
        op.execute(
            f"CREATE POLICY updates ON public.{table} FOR UPDATE USING ({mine}) WITH CHECK ({mine})"
        )
        op.execute(f"CREATE POLICY deletes ON public.{table} FOR DELETE USING ({mine})")

    # A run is the tenant's who made it, also where the prompt is the platform's.
    op.execute(
        f"""
        CREATE TABLE public.prompt_test_runs (
            {TENANT},
            id         uuid        NOT NULL,
            prompt_id  uuid        NOT NULL,
            version_id uuid        NOT NULL,
            model      text,
            status     text        NOT NULL
                       CHECK (status IN ('RUNNING', 'PASSED', 'FAILED', 'CANCELLED')),
            cases      integer     NOT NULL CHECK (cases >= 0),
            results    json        NOT NULL CHECK (json_typeof(results) = 'array'),
            started_at timestamptz NOT NULL,
            ended_at   timestamptz,
            started_by text,
            CHECK ((ended_at IS NULL) = (status = 'RUNNING')),
            PRIMARY KEY (tenant_id, id)
        )
        """
    )
    op.execute("CREATE INDEX ON public.prompt_test_runs (tenant_id, version_id, id)")
    _secure("prompt_test_runs")
    mine = f"tenant_id = {ME}"
    op.execute(
        f"CREATE POLICY tenant ON public.prompt_test_runs USING ({mine}) WITH CHECK ({mine})"
    )
    op.execute(
        "GRANT SELECT, INSERT, UPDATE, DELETE ON public.prompt_test_runs TO assistant_service"
    )


def _figures() -> None:
    # Room beside each row for its next version: they are updated in place, commit by commit.
    op.execute(
        f"""
        CREATE TABLE public.prompt_version_metrics (
            {TENANT},
            prompt_version_id   uuid  NOT NULL,
            performance_metrics jsonb NOT NULL CHECK (jsonb_typeof(performance_metrics) = 'object'),
            PRIMARY KEY (tenant_id, prompt_version_id)
        ) WITH (fillfactor = 50)
        """
    )
    op.execute("CREATE INDEX ON public.prompt_version_metrics (prompt_version_id)")
    op.execute(
        f"""
        CREATE TABLE public.prompt_version_hours (
            {TENANT},
            prompt_version_id uuid        NOT NULL,
            hour              timestamptz NOT NULL,
            requests          bigint      NOT NULL CHECK (requests > 0),
            succeeded         bigint      NOT NULL,
            failed            bigint      NOT NULL,
            total_tokens      bigint      NOT NULL,
            cost              numeric     NOT NULL,
            latency_ms        bigint      NOT NULL,
            PRIMARY KEY (tenant_id, prompt_version_id, hour)
        ) WITH (fillfactor = 70)
        """
    )
    op.execute(
        "COMMENT ON COLUMN public.prompt_version_hours.latency_ms IS "
        "'Sum over those that succeeded'"
    )
    mine = f"tenant_id = {ME}"
    for table in FIGURES:
        _secure(table)
        op.execute(f"CREATE POLICY tenant ON public.{table} FOR SELECT USING ({mine})")
        op.execute(
            f"CREATE POLICY ledger ON public.{table} TO assistant_ledger "
            "USING (true) WITH CHECK (true)"
        )
        op.execute(f"GRANT SELECT ON public.{table} TO assistant_service")
        op.execute(f"GRANT SELECT, INSERT, UPDATE ON public.{table} TO assistant_ledger")
    op.execute(
        "CREATE POLICY ledger ON public.prompt_rollouts FOR SELECT TO assistant_ledger USING (true)"
    )
    op.execute("GRANT SELECT ON public.prompt_rollouts TO assistant_ledger")
    op.execute(
        "CREATE INDEX usage_logs_prompt_version ON public.usage_logs "
        "(tenant_id, prompt_version_id, created_at) INCLUDE (latency_ms) "
        "WHERE prompt_version_id IS NOT NULL"
    )

    op.execute("GRANT CREATE ON SCHEMA public TO assistant_ledger")
    op.execute("SET LOCAL ROLE assistant_ledger")
    # A platform's version is used by many tenants: whether it is to be taken back is judged by all.
    op.execute(
        """
        CREATE FUNCTION public.assistant_version_totals(version_ids uuid[]) RETURNS TABLE (
            prompt_version_id uuid, requests bigint, failed bigint, cost numeric)
        LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
            SELECT prompt_version_id,
                   sum((performance_metrics->>'succeeded')::bigint
                       + (performance_metrics->>'failed')::bigint)::bigint,
                   sum((performance_metrics->>'failed')::bigint)::bigint,
                   sum((performance_metrics->>'cost')::numeric)
            FROM public.prompt_version_metrics
            WHERE prompt_version_id = ANY(version_ids)
            GROUP BY prompt_version_id
        $$
        """
    )
    op.execute(
        """
        CREATE FUNCTION public.assistant_rollouts() RETURNS TABLE (tenant_id text, prompt_id uuid)
        LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
            SELECT tenant_id, prompt_id FROM public.prompt_rollouts
        $$
        """
    )
    _settle(logged=FIGURES_OF_LOGGED)
    op.execute("RESET ROLE")
    for function in ("assistant_version_totals(uuid[])", "assistant_rollouts()"):
        op.execute(f"REVOKE EXECUTE ON FUNCTION public.{function} FROM PUBLIC")
        op.execute(f"GRANT EXECUTE ON FUNCTION public.{function} TO assistant_service")
    op.execute("REVOKE CREATE ON SCHEMA public FROM assistant_ledger")


# Rows are locked in the order of their keys, in every replica's statement alike: no deadlock.
FIGURES_OF_LOGGED = """
    RETURNING tenant_id, prompt_version_id, created_at, status, operation, feature,
              prompt_tokens, completion_tokens, cost, latency_ms
), counted AS MATERIALIZED (
    SELECT tenant_id, prompt_version_id, date_trunc('hour', created_at, 'UTC') AS hour,
           count(*) AS requests,
           count(*) FILTER (WHERE status = 'SUCCEEDED') AS succeeded,
           count(*) FILTER (WHERE status = 'FAILED') AS failed,
           sum(prompt_tokens + completion_tokens) AS total_tokens,
           sum(cost) AS cost,
           coalesce(sum(latency_ms) FILTER (WHERE status = 'SUCCEEDED'), 0) AS latency_ms
    FROM logged
    WHERE prompt_version_id IS NOT NULL AND operation = 'chat'
      AND feature IS DISTINCT FROM 'prompt-tests'
    GROUP BY 1, 2, 3
    ORDER BY 1, 2, 3
), hours AS (
    INSERT INTO public.prompt_version_hours AS kept (
        tenant_id, prompt_version_id, hour, requests, succeeded, failed, total_tokens, cost,
        latency_ms)
    SELECT tenant_id, prompt_version_id, hour, requests, succeeded, failed, total_tokens, cost,
           latency_ms
    FROM counted
    ON CONFLICT (tenant_id, prompt_version_id, hour) DO UPDATE SET
        requests = kept.requests + excluded.requests,
        succeeded = kept.succeeded + excluded.succeeded,
        failed = kept.failed + excluded.failed,
        total_tokens = kept.total_tokens + excluded.total_tokens,
        cost = kept.cost + excluded.cost,
        latency_ms = kept.latency_ms + excluded.latency_ms
)
INSERT INTO public.prompt_version_metrics AS kept (
    tenant_id, prompt_version_id, performance_metrics)
SELECT tenant_id, prompt_version_id, jsonb_build_object(
    'requests', sum(requests), 'succeeded', sum(succeeded), 'failed', sum(failed),
    'total_tokens', sum(total_tokens), 'cost', sum(cost), 'latency_ms', sum(latency_ms))
FROM counted
GROUP BY 1, 2
ORDER BY 1, 2
ON CONFLICT (tenant_id, prompt_version_id) DO UPDATE SET
    performance_metrics = (
        SELECT jsonb_object_agg(key, value::numeric
                   + (excluded.performance_metrics->>key)::numeric)
        FROM jsonb_each_text(kept.performance_metrics))
"""


def _settle(logged: str) -> None:
    """The function of 0005, with what comes of the usage rows that were added."""
    row = """
        tenant_id text, id uuid, created_at timestamptz, status text, user_id text,
        service_id text, feature text, prompt_version_id uuid, model text, provider text,
        text text, finish_reason text, prompt_tokens integer, completion_tokens integer,
        cached_tokens integer, is_estimated boolean, cost numeric, saved_cost numeric, cache text,
        decision jsonb, latency_ms integer, error_code text, json json, operation text
    """
    who = "tenant_id, id, created_at"
    what = """
        status, user_id, service_id, feature, prompt_version_id, model, text, finish_reason,
        prompt_tokens, completion_tokens, cached_tokens, is_estimated, cost, cache, decision,
        latency_ms, error_code, json, operation
    """
    usage = f"""
        {who}, status, user_id, service_id, feature, prompt_version_id, model, provider,
        prompt_tokens, completion_tokens, cached_tokens, is_estimated, cost, saved_cost, cache,
        latency_ms, error_code, operation
    """
    op.execute(
        f"""
        CREATE OR REPLACE FUNCTION public.assistant_settle(rows json) RETURNS void
        LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
        BEGIN
            WITH settled AS MATERIALIZED (
                SELECT * FROM json_to_recordset(rows) AS settled ({row})
            ), recorded AS (
                INSERT INTO public.completions AS kept ({who}, settled_at, {what})
                SELECT {who}, clock_timestamp(), {what} FROM settled
                ON CONFLICT (tenant_id, id, created_at) DO UPDATE SET
                    settled_at = excluded.settled_at,
                    status = excluded.status,
                    prompt_version_id = excluded.prompt_version_id,
                    model = excluded.model,
                    text = excluded.text,
                    json = excluded.json,
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
            ){", logged AS (" if logged else ""}
            INSERT INTO public.usage_logs ({usage})
            SELECT {usage} FROM settled
            ON CONFLICT DO NOTHING
            {logged};
        END
        $$
        """  # noqa: S608 - constants
    )


def _secure(table: str) -> None:
    op.execute(f"ALTER TABLE public.{table} ENABLE ROW LEVEL SECURITY")
    op.execute(f"ALTER TABLE public.{table} FORCE ROW LEVEL SECURITY")


def downgrade() -> None:
    op.execute("SELECT set_config('assistant.tenant_id', 'platform', true)")
    op.execute("DELETE FROM public.seeds WHERE kind = 'prompt_test'")
    op.execute("SELECT set_config('assistant.tenant_id', '', true)")
    op.execute("ALTER TABLE public.seeds DROP CONSTRAINT seeds_kind_check")
    op.execute(
        "ALTER TABLE public.seeds ADD CONSTRAINT seeds_kind_check CHECK (kind IN ("
        "'provider', 'model', 'model_group', 'prompt', 'prompt_version', 'routing_rule'))"
    )
    op.execute("GRANT CREATE ON SCHEMA public TO assistant_ledger")
    op.execute("SET LOCAL ROLE assistant_ledger")
    _settle(logged="")
    op.execute("DROP FUNCTION public.assistant_rollouts(), public.assistant_version_totals(uuid[])")
    op.execute("RESET ROLE")
    op.execute("REVOKE CREATE ON SCHEMA public FROM assistant_ledger")
    op.execute("DROP INDEX public.usage_logs_prompt_version")
    op.execute(
        "DROP TABLE public.prompt_version_hours, public.prompt_version_metrics, "
        "public.prompt_test_runs, public.prompt_test_cases, public.prompt_releases, "
        "public.prompt_rollouts"
    )
    op.execute("ALTER TABLE public.prompt_versions DROP COLUMN partials")
    op.execute("ALTER TABLE public.prompts DROP COLUMN publish_requires_tests")
