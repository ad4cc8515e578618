-- How many streams are gone: those that ended so long ago, and those that never did and whose maker
-- has been silent for as long.
CREATE FUNCTION public.assistant_clean_streams(kept interval, most integer) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    past timestamptz := clock_timestamp() - kept;
    gone integer;
BEGIN
    WITH picked AS MATERIALIZED (
        SELECT s.tenant_id, s.id FROM public.streams AS s
        LEFT JOIN public.stream_producers AS p ON p.id = s.instance_id
        WHERE CASE WHEN s.ended_at IS NOT NULL THEN s.ended_at < past
                   ELSE greatest(pg_postmaster_start_time(), p.heard_at) < past END
        LIMIT most
        FOR NO KEY UPDATE OF s SKIP LOCKED
    ), said AS (
        DELETE FROM public.stream_events AS e USING picked
        WHERE e.tenant_id = picked.tenant_id AND e.id = picked.id
    ), removed AS (
        DELETE FROM public.streams AS s USING picked
        WHERE s.tenant_id = picked.tenant_id AND s.id = picked.id
        RETURNING s.id
    )
    SELECT count(*) INTO gone FROM removed;
    DELETE FROM public.stream_producers WHERE id = ANY(ARRAY(
        SELECT p.id FROM public.stream_producers AS p WHERE p.heard_at < past
        FOR UPDATE SKIP LOCKED));
    RETURN gone;
END
$$;

CREATE FUNCTION public.assistant_clean_keys(most integer) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    gone integer;
BEGIN
    DELETE FROM public.idempotency_keys WHERE ctid = ANY(ARRAY(
        SELECT k.ctid FROM public.idempotency_keys AS k
        WHERE k.created_at < clock_timestamp() - interval '24 hours'
        ORDER BY k.created_at LIMIT most
        FOR UPDATE SKIP LOCKED));
    GET DIAGNOSTICS gone = ROW_COUNT;
    RETURN gone;
END
$$;
