"""Routing and resilience: rules, circuits, and what providers, models and groups say of both.

`circuits` is how replicas share which models are held back. A change is announced with all that
a listener needs, so nobody has to read it then; a listener that starts reads them once, of every
tenant, through a function.
"""

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

ME = "current_setting('assistant.tenant_id', true)"
STRATEGIES = "'LOCAL_FIRST', 'LOCAL_ONLY', 'CLOUD_FIRST', 'CLOUD_ONLY', 'FASTEST', 'CHEAPEST'"


def upgrade() -> None:
    op.execute(
        "ALTER TABLE public.providers ADD COLUMN max_concurrency integer "
        "CHECK (max_concurrency BETWEEN 1 AND 100000)"
    )
    op.execute(
        "COMMENT ON COLUMN public.providers.max_concurrency IS "
        "'Calls at once; NULL: the default of its kind'"
    )
    op.execute(
        "ALTER TABLE public.llm_models "
        "ADD COLUMN cached_input_price numeric CHECK (cached_input_price >= 0)"
    )
    op.execute(
        "COMMENT ON COLUMN public.llm_models.cached_input_price IS "
        "'USD per million tokens; NULL: as much as others'"
    )
    op.execute(
        f"""
        ALTER TABLE public.model_groups
            ADD COLUMN strategy text CHECK (strategy IN ({STRATEGIES})),
            ADD COLUMN is_hedged boolean NOT NULL DEFAULT false
        """
    )
    op.execute(
        "ALTER TABLE public.prompt_versions ADD COLUMN on_interruption text NOT NULL "
        "DEFAULT 'ERROR' CHECK (on_interruption IN ('ERROR', 'RESTART', 'CONTINUE'))"
    )
    op.execute(
        """
        CREATE TABLE public.model_routing_rules (
            tenant_id  text        NOT NULL CHECK (char_length(tenant_id) BETWEEN 1 AND 128),
            id         uuid        NOT NULL,
            name       text        COLLATE "C" NOT NULL CHECK (name ~ '^[a-z0-9-]{1,64}$'),
            priority   integer     NOT NULL,
            conditions jsonb       NOT NULL CHECK (jsonb_typeof(conditions) = 'object'),
            models     text[]      NOT NULL CHECK (cardinality(models) BETWEEN 1 AND 32),
            is_enabled boolean     NOT NULL DEFAULT true,
            created_at timestamptz NOT NULL,
            PRIMARY KEY (tenant_id, id),
            UNIQUE (tenant_id, name)
        )
        """
    )
    mine = f"tenant_id = {ME}"
    op.execute("ALTER TABLE public.model_routing_rules ENABLE ROW LEVEL SECURITY")
    op.execute("ALTER TABLE public.model_routing_rules FORCE ROW LEVEL SECURITY")
    op.execute(
        "CREATE POLICY reads ON public.model_routing_rules FOR SELECT "
        f"USING (tenant_id IN ({ME}, 'platform'))"
    )
    op.execute(
        f"CREATE POLICY inserts ON public.model_routing_rules FOR INSERT WITH CHECK ({mine})"
    )
    op.execute(
        "CREATE POLICY updates ON public.model_routing_rules FOR UPDATE "
        f"USING ({mine}) WITH CHECK ({mine})"
    )
    op.execute(f"CREATE POLICY deletes ON public.model_routing_rules FOR DELETE USING ({mine})")
    op.execute(
        """
        CREATE TRIGGER announce AFTER INSERT OR UPDATE OR DELETE ON public.model_routing_rules
        FOR EACH ROW EXECUTE FUNCTION public.assistant_announce_catalog()
        """
    )
    op.execute(
        "GRANT SELECT, INSERT, UPDATE, DELETE ON public.model_routing_rules TO assistant_service"
    )
    op.execute("ALTER TABLE public.seeds DROP CONSTRAINT seeds_kind_check")
    op.execute(
        "ALTER TABLE public.seeds ADD CONSTRAINT seeds_kind_check CHECK (kind IN ("
        "'provider', 'model', 'model_group', 'routing_rule', 'prompt', 'prompt_version'))"
    )
    _circuits(mine)
    _ledger()


def _circuits(mine: str) -> None:
    op.execute(
        """
        CREATE TABLE public.circuits (
            tenant_id   text        NOT NULL CHECK (char_length(tenant_id) BETWEEN 1 AND 128),
            provider    text        COLLATE "C" NOT NULL,
            model       text        COLLATE "C" NOT NULL CHECK (char_length(model) <= 256),
            open_until  timestamptz NOT NULL,
            probe_until timestamptz,
            PRIMARY KEY (tenant_id, provider, model)
        )
        """
    )
    op.execute(
        "COMMENT ON TABLE public.circuits IS 'Models that are held back; none where all is well'"
    )
    op.execute(
        "COMMENT ON COLUMN public.circuits.probe_until IS "
        "'Until when the one call that tries again may take; NULL: nobody tries'"
    )
    op.execute("ALTER TABLE public.circuits ENABLE ROW LEVEL SECURITY")
    op.execute("ALTER TABLE public.circuits FORCE ROW LEVEL SECURITY")
    op.execute(f"CREATE POLICY tenant ON public.circuits USING ({mine}) WITH CHECK ({mine})")
    op.execute(
        "CREATE POLICY ledger ON public.circuits FOR SELECT TO assistant_ledger USING (true)"
    )
    op.execute("GRANT SELECT, INSERT, UPDATE, DELETE ON public.circuits TO assistant_service")
    op.execute("GRANT SELECT ON public.circuits TO assistant_ledger")
    op.execute(
        """
        CREATE FUNCTION public.assistant_announce_circuit() RETURNS trigger
        LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
        DECLARE
            circuit public.circuits := coalesce(NEW, OLD);
        BEGIN
            PERFORM pg_notify('assistant_circuits', json_build_object(
                'tenant_id', circuit.tenant_id,
                'provider', circuit.provider,
                'model', circuit.model,
                'open_for_s', CASE WHEN TG_OP = 'DELETE' THEN NULL
                    ELSE extract(epoch FROM circuit.open_until - clock_timestamp()) END,
                'probe_for_s', CASE WHEN TG_OP = 'DELETE' THEN NULL
                    ELSE extract(epoch FROM circuit.probe_until - clock_timestamp()) END
            )::text);
            RETURN NULL;
        END
        $$
        """
    )
    op.execute(
        """
        CREATE TRIGGER announce AFTER INSERT OR UPDATE OR DELETE ON public.circuits
        FOR EACH ROW EXECUTE FUNCTION public.assistant_announce_circuit()
        """
    )
    op.execute(
        """
        CREATE FUNCTION public.assistant_circuits() RETURNS TABLE (
            tenant_id text, provider text, model text, open_for_s double precision,
            probe_for_s double precision)
        LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
            SELECT tenant_id, provider, model,
                   extract(epoch FROM open_until - clock_timestamp())::double precision,
                   extract(epoch FROM probe_until - clock_timestamp())::double precision
            FROM public.circuits
        $$
        """
    )
    op.execute("GRANT CREATE ON SCHEMA public TO assistant_ledger")
    op.execute("REVOKE EXECUTE ON FUNCTION public.assistant_circuits() FROM PUBLIC")
    op.execute("GRANT EXECUTE ON FUNCTION public.assistant_circuits() TO assistant_service")
    op.execute("ALTER FUNCTION public.assistant_circuits() OWNER TO assistant_ledger")
    op.execute("REVOKE CREATE ON SCHEMA public FROM assistant_ledger")


def _ledger() -> None:
    """What an answer's text is parsed as, and embeddings beside completions."""
    op.execute("ALTER TABLE public.completions ADD COLUMN json json")
    op.execute(
        "COMMENT ON COLUMN public.completions.json IS "
        "'The parsed answer, where a response schema was given and is satisfied'"
    )
    for table in ("completions", "usage_logs"):
        op.execute(
            f"ALTER TABLE public.{table} ADD COLUMN operation text NOT NULL DEFAULT 'chat' "
            "CHECK (operation IN ('chat', 'embeddings'))"
        )
    _replace_ledger_functions(json=", json", operation=", operation")


def _replace_ledger_functions(json: str, operation: str) -> None:
    """The functions of 0003 with more columns, or without them."""
    row = f"""
        tenant_id text, id uuid, created_at timestamptz, status text, user_id text,
        service_id text, feature text, prompt_version_id uuid, model text, provider text,
        text text, finish_reason text, prompt_tokens integer, completion_tokens integer,
        cached_tokens integer, is_estimated boolean, cost numeric, saved_cost numeric, cache text,
        decision jsonb, latency_ms integer, error_code text
        {json and ", json json"} {operation and ", operation text"}
    """
    who = "tenant_id, id, created_at"
    what = f"""
        status, user_id, service_id, feature, prompt_version_id, model, text, finish_reason,
        prompt_tokens, completion_tokens, cached_tokens, is_estimated, cost, cache, decision,
        latency_ms, error_code {json} {operation}
    """
    usage = f"""
        {who}, status, user_id, service_id, feature, prompt_version_id, model, provider,
        prompt_tokens, completion_tokens, cached_tokens, is_estimated, cost, saved_cost, cache,
        latency_ms, error_code {operation}
    """
    op.execute("GRANT CREATE ON SCHEMA public TO assistant_ledger")
    op.execute("SET LOCAL ROLE assistant_ledger")
    op.execute(
        f"""
        CREATE OR REPLACE FUNCTION public.assistant_open(rows json) RETURNS void
        LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
        BEGIN
            INSERT INTO public.completions ({who}, {what})
            SELECT {who}, {what} FROM json_to_recordset(rows) AS opened ({row})
            ON CONFLICT DO NOTHING;
        END
        $$
        """  # noqa: S608 - constants
    )
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
                    {json and "json = excluded.json,"}
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
            INSERT INTO public.usage_logs ({usage})
            SELECT {usage} FROM settled
            ON CONFLICT DO NOTHING;
        END
        $$
        """  # noqa: S608 - constants
    )
    op.execute("RESET ROLE")
    op.execute("REVOKE CREATE ON SCHEMA public FROM assistant_ledger")


def downgrade() -> None:
    _replace_ledger_functions(json="", operation="")
    for table in ("completions", "usage_logs"):
        op.execute(f"ALTER TABLE public.{table} DROP COLUMN operation")
    op.execute("ALTER TABLE public.completions DROP COLUMN json")
    op.execute("DROP FUNCTION public.assistant_circuits()")
    op.execute("DROP TABLE public.circuits")
    op.execute("DROP FUNCTION public.assistant_announce_circuit()")
    op.execute("DELETE FROM public.seeds WHERE kind = 'routing_rule'")
    op.execute("ALTER TABLE public.seeds DROP CONSTRAINT seeds_kind_check")
    op.execute(
        "ALTER TABLE public.seeds ADD CONSTRAINT seeds_kind_check CHECK (kind IN ("
        "'provider', 'model', 'model_group', 'prompt', 'prompt_version'))"
    )
    op.execute("DROP TABLE public.model_routing_rules")
    op.execute("ALTER TABLE public.prompt_versions DROP COLUMN on_interruption")
    op.execute("ALTER TABLE public.model_groups DROP COLUMN strategy, DROP COLUMN is_hedged")
    op.execute("ALTER TABLE public.llm_models DROP COLUMN cached_input_price")
    op.execute("ALTER TABLE public.providers DROP COLUMN max_concurrency")
