-- What wrote the ledger before there were reservations.

CREATE FUNCTION public.assistant_open(rows json) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    INSERT INTO public.completions (
        tenant_id, id, created_at, status, user_id, service_id, feature, prompt_version_id, model,
        text, finish_reason, prompt_tokens, completion_tokens, cached_tokens, is_estimated, cost,
        cache, decision, latency_ms, error_code, json, operation)
    SELECT
        tenant_id, id, created_at, status, user_id, service_id, feature, prompt_version_id, model,
        text, finish_reason, prompt_tokens, completion_tokens, cached_tokens, is_estimated, cost,
        cache, decision, latency_ms, error_code, json, operation
    FROM json_to_recordset(rows) AS opened (
        tenant_id text, id uuid, created_at timestamptz, status text, user_id text,
        service_id text, feature text, prompt_version_id uuid, model text, text text,
        finish_reason text, prompt_tokens integer, completion_tokens integer,
        cached_tokens integer, is_estimated boolean, cost numeric, cache text, decision jsonb,
        latency_ms integer, error_code text, json json, operation text)
    ON CONFLICT DO NOTHING;
END
$$;

CREATE FUNCTION public.assistant_settle(rows json) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    WITH settled AS MATERIALIZED (
        SELECT * FROM json_to_recordset(rows) AS settled (
            tenant_id text, id uuid, created_at timestamptz, status text, user_id text,
            service_id text, feature text, prompt_version_id uuid, model text, provider text,
            text text, finish_reason text, prompt_tokens integer, completion_tokens integer,
            cached_tokens integer, is_estimated boolean, cost numeric, saved_cost numeric,
            cache text, decision jsonb, latency_ms integer, error_code text, json json,
            operation text, saved_tokens bigint)
    ), recorded AS (
        INSERT INTO public.completions AS kept (
            tenant_id, id, created_at, settled_at, status, user_id, service_id, feature,
            prompt_version_id, model, text, finish_reason, prompt_tokens, completion_tokens,
            cached_tokens, is_estimated, cost, cache, decision, latency_ms, error_code, json,
            operation)
        SELECT
            tenant_id, id, created_at, clock_timestamp(), status, user_id, service_id, feature,
            prompt_version_id, model, text, finish_reason, prompt_tokens, completion_tokens,
            cached_tokens, is_estimated, cost, cache, decision, latency_ms, error_code, json,
            operation
        FROM settled
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
    )
    INSERT INTO public.usage_logs (
        tenant_id, id, created_at, status, user_id, service_id, feature, prompt_version_id, model,
        provider, prompt_tokens, completion_tokens, cached_tokens, is_estimated, cost, saved_cost,
        cache, latency_ms, error_code, operation, saved_tokens)
    SELECT
        tenant_id, id, created_at, status, user_id, service_id, feature, prompt_version_id, model,
        provider, prompt_tokens, completion_tokens, cached_tokens, is_estimated, cost, saved_cost,
        cache, latency_ms, error_code, operation, coalesce(saved_tokens, 0)
    FROM settled
    ON CONFLICT DO NOTHING;
END
$$;

REVOKE EXECUTE ON FUNCTION public.assistant_open(json), public.assistant_settle(json) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION public.assistant_open(json), public.assistant_settle(json)
    TO assistant_service;
