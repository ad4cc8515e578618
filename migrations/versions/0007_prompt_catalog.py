"""The prompt catalog: partials, rollouts and their history, tests, and figures per version.

Figures of versions are kept by the hour, in the transaction that writes the usage rows and from
exactly those that it adds; `performance_metrics` are their sums. They are the asking tenant's, also
where the version is the platform's. Versions themselves never change, so their figures have a table
of their own, and no change of figures is announced.
"""

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

ME = "current_setting('assistant.tenant_id', true)"
TENANT = "tenant_id text NOT NULL CHECK (char_length(tenant_id) BETWEEN 1 AND 128)"
CATALOG = ("prompt_rollouts", "prompt_releases", "prompt_test_cases")
FUNCTIONS = (
    "assistant_version_totals(uuid[], timestamptz)",
    "assistant_rollouts()",
    "assistant_expire_prompt_hours(integer)",
)
# Which usage rows are a prompt's; an index is used only where a query says it just so.
COUNTS = (
    "prompt_version_id IS NOT NULL AND operation = 'chat' "
    "AND feature IS DISTINCT FROM 'prompt-tests'"
)


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
        CREATE TABLE public.prompt_version_hours (
            {TENANT},
            prompt_version_id uuid        NOT NULL,
            hour              timestamptz NOT NULL,
            slot              smallint    NOT NULL,
            requests          bigint      NOT NULL CHECK (requests > 0),
            succeeded         bigint      NOT NULL,
            failed            bigint      NOT NULL,
            total_tokens      bigint      NOT NULL,
            cost              numeric     NOT NULL,
            ended_cost        numeric     NOT NULL,
            latency_ms        bigint      NOT NULL,
            PRIMARY KEY (tenant_id, prompt_version_id, hour, slot)
        ) WITH (fillfactor = 70)
        """
    )
    for column, meaning in (
        ("slot", "Keeps replicas from waiting for one another; what counts is the sum"),
        ("ended_cost", "Of those that were not cancelled"),
        ("latency_ms", "Sum over those that succeeded"),
    ):
        op.execute(f"COMMENT ON COLUMN public.prompt_version_hours.{column} IS '{meaning}'")
    op.execute("CREATE INDEX ON public.prompt_version_hours (prompt_version_id, hour)")
    op.execute("CREATE INDEX ON public.prompt_version_hours USING brin (hour)")
    mine = f"tenant_id = {ME}"
    _secure("prompt_version_hours")
    op.execute(f"CREATE POLICY tenant ON public.prompt_version_hours FOR SELECT USING ({mine})")
    op.execute(
        "CREATE POLICY ledger ON public.prompt_version_hours TO assistant_ledger "
        "USING (true) WITH CHECK (true)"
    )
    op.execute("GRANT SELECT ON public.prompt_version_hours TO assistant_service")
    op.execute(
        "GRANT SELECT, INSERT, UPDATE, DELETE ON public.prompt_version_hours TO assistant_ledger"
    )
    op.execute(
        "CREATE POLICY ledger ON public.prompt_rollouts FOR SELECT TO assistant_ledger USING (true)"
    )
    op.execute("GRANT SELECT ON public.prompt_rollouts TO assistant_ledger")
    op.execute(
        """
        CREATE VIEW public.prompt_version_metrics WITH (security_invoker = true) AS
        SELECT tenant_id, prompt_version_id, jsonb_build_object(
                   'requests', sum(requests), 'succeeded', sum(succeeded), 'failed', sum(failed),
                   'total_tokens', sum(total_tokens), 'cost', sum(cost),
                   'latency_ms', sum(latency_ms)) AS performance_metrics
        FROM public.prompt_version_hours
        GROUP BY tenant_id, prompt_version_id
        """
    )
    op.execute("GRANT SELECT ON public.prompt_version_metrics TO assistant_service")

    # Rows are locked in the order of their keys, in every replica's statement alike: no deadlock.
    op.execute(
        f"""
        CREATE FUNCTION public.assistant_count_prompt_usage() RETURNS trigger
        LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
        BEGIN
            {_counted("logged", "pg_backend_pid() % 16")}
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
        """
    )
    op.execute(
        """
        CREATE TRIGGER count_prompt_usage AFTER INSERT ON public.usage_logs
        REFERENCING NEW TABLE AS logged
        FOR EACH STATEMENT EXECUTE FUNCTION public.assistant_count_prompt_usage()
        """
    )
    # All that reports of prompts read of a row where no totals are kept: percentiles.
    op.execute(
        f"""
        CREATE INDEX usage_logs_prompt_version
        ON public.usage_logs (tenant_id, prompt_version_id, created_at)
        INCLUDE (status, latency_ms) WHERE {COUNTS}
        """
    )

    op.execute("GRANT CREATE ON SCHEMA public TO assistant_ledger")
    op.execute("SET LOCAL ROLE assistant_ledger")
    # Whoever writes waits for the trigger above to be there: no row is left out or counted twice.
    op.execute(_counted("public.usage_logs", "0"))
    # A platform's version is used by many tenants: whether it is to be taken back is judged by all.
    op.execute(
        """
        CREATE FUNCTION public.assistant_version_totals(version_ids uuid[], since timestamptz)
        RETURNS TABLE (prompt_version_id uuid, requests bigint, failed bigint, cost numeric)
        LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
            SELECT prompt_version_id, sum(succeeded + failed)::bigint, sum(failed)::bigint,
                   sum(ended_cost)
            FROM public.prompt_version_hours
            WHERE prompt_version_id = ANY(version_ids)
              AND hour >= date_trunc('hour', since, 'UTC')
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
    op.execute(
        """
        CREATE FUNCTION public.assistant_expire_prompt_hours(retention_months integer)
        RETURNS void
        LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
            DELETE FROM public.prompt_version_hours
            WHERE hour < now() - make_interval(months => retention_months + 1)
        $$
        """
    )
    # Only their owner can: another role's REVOKE is a warning, and changes nothing.
    for function in FUNCTIONS:
        op.execute(f"REVOKE EXECUTE ON FUNCTION public.{function} FROM PUBLIC")
        op.execute(f"GRANT EXECUTE ON FUNCTION public.{function} TO assistant_service")
    op.execute("RESET ROLE")
    op.execute("REVOKE CREATE ON SCHEMA public FROM assistant_ledger")


def _counted(logged: str, slot: str) -> str:
    """Adds rows of usage, which are in ``logged``, to those of their hours."""
    return f"""
        INSERT INTO public.prompt_version_hours AS kept (
            tenant_id, prompt_version_id, hour, slot, requests, succeeded, failed, total_tokens,
            cost, ended_cost, latency_ms)
        SELECT tenant_id, prompt_version_id, date_trunc('hour', created_at, 'UTC'), {slot},
               count(*),
               count(*) FILTER (WHERE status = 'SUCCEEDED'),
               count(*) FILTER (WHERE status = 'FAILED'),
               sum(prompt_tokens) + sum(completion_tokens),
               sum(cost),
               coalesce(sum(cost) FILTER (WHERE status <> 'CANCELLED'), 0),
               coalesce(sum(latency_ms) FILTER (WHERE status = 'SUCCEEDED'), 0)
        FROM {logged}
        WHERE {COUNTS}
        GROUP BY 1, 2, 3
        ORDER BY 1, 2, 3
    """  # noqa: S608 - constants


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
    for function in FUNCTIONS:
        op.execute(f"DROP FUNCTION public.{function}")
    op.execute("DROP TRIGGER count_prompt_usage ON public.usage_logs")
    op.execute("DROP FUNCTION public.assistant_count_prompt_usage()")
    op.execute("DROP INDEX public.usage_logs_prompt_version")
    op.execute("DROP VIEW public.prompt_version_metrics")
    op.execute(
        "DROP TABLE public.prompt_version_hours, public.prompt_test_runs, "
        "public.prompt_test_cases, public.prompt_releases, public.prompt_rollouts"
    )
    op.execute("ALTER TABLE public.prompt_versions DROP COLUMN partials")
    op.execute("ALTER TABLE public.prompts DROP COLUMN publish_requires_tests")
