CREATE FUNCTION public.assistant_leave(instance uuid) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    DELETE FROM public.ledger_instances AS i WHERE i.id = instance
$$;

-- All that was held is charged: nobody knows how much of it was used.
CREATE FUNCTION public.assistant_reap(silence interval, most integer)
RETURNS TABLE (tenant_id text, id uuid)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
    started timestamptz := clock_timestamp();
    dead    json;
BEGIN
    -- While the server was away nobody could be heard.
    IF pg_postmaster_start_time() > started - silence THEN
        RETURN;
    END IF;
    PERFORM pg_advisory_xact_lock(4837201568);
    DELETE FROM public.ledger_instances AS i WHERE i.heard_at < started - silence;
    SELECT json_agg(json_build_object(
        'tenant_id', d.tenant_id, 'id', d.id, 'created_at', d.created_at,
        'status', 'FAILED', 'user_id', d.user_id, 'service_id', d.service_id,
        'feature', d.feature, 'prompt_version_id', d.prompt_version_id,
        'model', d.model, 'provider', split_part(d.model, '/', 1), 'text', '',
        'finish_reason', 'ERROR', 'prompt_tokens', d.held_prompt,
        'completion_tokens', d.held_output, 'cached_tokens', 0, 'reasoning_tokens', 0,
        'is_estimated', true, 'cost', coalesce(d.held, 0), 'is_priced', d.held IS NOT NULL,
        'saved_cost', 0, 'cache', d.cache, 'latency_ms', d.took_ms,
        'error_code', 'STREAM_INTERRUPTED', 'operation', d.operation, 'saved_tokens', 0,
        'reaped', true,
        'decision', d.decision || jsonb_build_object('attempts', json_build_array(
            json_build_object(
                'provider', split_part(d.model, '/', 1), 'model', d.model,
                'outcome', 'FAILED', 'latency_ms', d.took_ms, 'first_token_ms', NULL,
                'error_code', 'STREAM_INTERRUPTED', 'prompt_tokens', d.held_prompt,
                'completion_tokens', d.held_output, 'cached_tokens', 0,
                'reasoning_tokens', 0, 'is_estimated', true,
                'is_priced', d.held IS NOT NULL, 'cost', coalesce(d.held, 0)::text)))))
    INTO dead
    FROM (
        SELECT c.*, r.prompt_tokens AS held_prompt, r.output_tokens AS held_output,
               r.cost AS held,
               least(greatest(extract(epoch FROM started - c.created_at) * 1000, 0),
                     2147483647)::integer AS took_ms
        FROM public.reservations AS r
        JOIN public.completions AS c
          ON c.tenant_id = r.tenant_id AND c.id = r.id AND c.created_at = r.created_at
        WHERE NOT EXISTS (SELECT FROM public.ledger_instances AS i WHERE i.id = r.instance_id)
        LIMIT most
    ) AS d;
    IF dead IS NULL THEN
        RETURN;
    END IF;
    PERFORM public.assistant_record('[]', '[]', dead, dead, ARRAY(
        SELECT DISTINCT d.tenant_id FROM json_to_recordset(dead) AS d (tenant_id text) ORDER BY 1
    ), NULL);
    -- But for those that settled by themselves at this very moment.
    RETURN QUERY
        SELECT c.tenant_id, c.id
        FROM json_to_recordset(dead) AS d (tenant_id text, id uuid, created_at timestamptz)
        JOIN public.completions AS c
          ON c.tenant_id = d.tenant_id AND c.id = d.id AND c.created_at = d.created_at
        WHERE c.reaped_at >= started;
END
$$;

-- What is told of a budget's past is told by usage; these only say what may still be spent.
CREATE FUNCTION public.assistant_tidy_budgets() RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    -- Nobody who is about to take of a bucket shall find it gone.
    LOCK TABLE public.rate_buckets IN SHARE ROW EXCLUSIVE MODE;
    DELETE FROM public.rate_buckets AS k
    WHERE k.refilled_at < now() - interval '1 hour' AND NOT EXISTS (
        SELECT FROM public.rate_limits AS l
        WHERE l.tenant_id = k.tenant_id AND l.id = k.limit_id
          AND public.assistant_refilled(
              k.level, k.refilled_at, l.capacity, l.per_minute, now())
              < l.capacity * 60000000::bigint);
    DELETE FROM public.budget_windows
    WHERE ends_at < now() - interval '90 days' AND reserved = 0;
    DELETE FROM public.budget_alerts WHERE ends_at < now() - interval '90 days';
$$;
