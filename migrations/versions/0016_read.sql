-- Of each stream what there is from the row on that has the event after `afters`: at most 256 rows
-- or so many as have 256 KB, but one in any case. All that is said of a stream was true at one time.
-- `follows`: whether the reader is known to be its owner, for whom it goes on.
CREATE FUNCTION public.assistant_read_streams(
    tenant_ids text[], ids uuid[], afters integer[], follows boolean[])
RETURNS TABLE (
    place bigint, user_id text, service_id text, count integer, firsts integer[], events json[],
    has_more boolean, is_ended boolean, is_abandoned boolean, is_silent boolean)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
#variable_conflict use_column
DECLARE
    present timestamptz := clock_timestamp();
    stream  record;
BEGIN
    -- Who reads waits for nobody: a row that is locked at this moment is marked at the next look.
    FOR stream IN
        SELECT s.tenant_id, s.id, s.followed_at
        FROM unnest(tenant_ids, ids, follows) AS a (tenant_id, id, follows)
        JOIN public.streams AS s ON s.tenant_id = a.tenant_id AND s.id = a.id
        WHERE a.follows AND s.ended_at IS NULL
          AND (s.followed_at IS NULL OR s.followed_at < present - interval '3 seconds')
        FOR NO KEY UPDATE OF s SKIP LOCKED
    LOOP
        UPDATE public.streams AS s SET followed_at = present
        WHERE s.tenant_id = stream.tenant_id AND s.id = stream.id;
        IF coalesce(stream.followed_at < present - interval '10 seconds', true) THEN
            PERFORM pg_notify('assistant_streams', json_build_object(
                'about', 'FOLLOWED', 'tenant_id', stream.tenant_id, 'id', stream.id)::text);
        END IF;
    END LOOP;
    RETURN QUERY
        SELECT a.place, s.user_id, s.service_id, coalesce((
                   SELECT e.next FROM public.stream_events AS e
                   WHERE e.tenant_id = a.tenant_id AND e.id = a.id
                   ORDER BY e.first DESC LIMIT 1
               ), 0),
               page.firsts, page.events,
               coalesce(page.has_more, false),
               s.ended_at IS NOT NULL, s.is_abandoned,
               s.ended_at IS NULL AND greatest(pg_postmaster_start_time(), p.heard_at)
                   < clock_timestamp() - interval '3 seconds'
        FROM unnest(tenant_ids, ids, afters)
            WITH ORDINALITY AS a (tenant_id, id, after, place)
        JOIN public.streams AS s ON s.tenant_id = a.tenant_id AND s.id = a.id
        LEFT JOIN public.stream_producers AS p ON p.id = s.instance_id
        CROSS JOIN LATERAL (
            SELECT array_agg(r.first ORDER BY r.first) FILTER (WHERE r.fits) AS firsts,
                   array_agg(r.events ORDER BY r.first) FILTER (WHERE r.fits) AS events,
                   bool_or(NOT r.fits) AS has_more
            FROM (
                SELECT e.first, e.events,
                       row_number() OVER before = 1
                       OR row_number() OVER before <= 256
                          AND sum(octet_length(e.events::text)) OVER before <= 262144 AS fits
                FROM (
                    SELECT e.first, e.events FROM public.stream_events AS e
                    WHERE e.tenant_id = a.tenant_id AND e.id = a.id AND e.next > a.after + 1
                      -- Rows before this one end before it begins.
                      AND e.first >= coalesce((
                          SELECT max(f.first) FROM public.stream_events AS f
                          WHERE f.tenant_id = a.tenant_id AND f.id = a.id
                            AND f.first <= a.after + 1
                      ), 0)
                    ORDER BY e.first LIMIT 257
                ) AS e
                WINDOW before AS (ORDER BY e.first)
            ) AS r
        ) AS page;
END
$$;
