-- A row of `streams` says which events of which stream are next, and the array at its place in
-- `events` has them. No text of theirs is looked into: what a model may say (a NUL, half of a
-- surrogate pair) is JSON, but no text of PostgreSQL's.
--
-- It may be repeated, also with more events after the same first one. Given back are those streams
-- that their maker has to know something of.
CREATE FUNCTION public.assistant_append_streams(instance uuid, streams json, events json)
RETURNS TABLE (
    place bigint, is_known boolean, is_followed boolean, cancel_asked boolean,
    is_abandoned boolean)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
#variable_conflict use_column
DECLARE
    present timestamptz := clock_timestamp();
    found   record;
BEGIN
    INSERT INTO public.stream_producers AS p (id, heard_at) VALUES (instance, present)
    ON CONFLICT (id) DO UPDATE SET heard_at = excluded.heard_at;
    IF json_array_length(streams) = 0 THEN
        RETURN;
    END IF;
    INSERT INTO public.streams (tenant_id, id, user_id, service_id, instance_id)
    SELECT b.tenant_id, b.id, b.user_id, b.service_id, instance
    FROM json_to_recordset(streams) AS b (
        tenant_id text, id uuid, user_id text, service_id text, begins boolean)
    WHERE b.begins
    ORDER BY b.tenant_id, b.id
    ON CONFLICT DO NOTHING;
    FOR found IN
        WITH told AS MATERIALIZED (
            SELECT * FROM ROWS FROM (
                json_to_recordset(streams) AS (
                    tenant_id text, id uuid, first integer, next integer, ends boolean),
                json_array_elements(events)
            ) WITH ORDINALITY AS t (tenant_id, id, first, next, ends, events, place)
        ), held AS MATERIALIZED (
            SELECT t.*, s.followed_at, s.cancel_asked, s.ended_at, s.is_abandoned
            FROM told AS t JOIN public.streams AS s ON s.tenant_id = t.tenant_id AND s.id = t.id
            WHERE t.next > t.first
            ORDER BY t.tenant_id, t.id, t.place
            FOR NO KEY UPDATE OF s
        ), written AS (
            INSERT INTO public.stream_events AS e (tenant_id, id, first, next, events)
            SELECT h.tenant_id, h.id, h.first, h.next, h.events FROM held AS h
            WHERE h.ended_at IS NULL
            ON CONFLICT (tenant_id, id, first) DO UPDATE SET
                next = excluded.next, events = excluded.events
            WHERE excluded.next > e.next
        ), ended AS (
            UPDATE public.streams AS s SET ended_at = present FROM held AS h
            WHERE h.ends AND h.ended_at IS NULL AND s.tenant_id = h.tenant_id AND s.id = h.id
        ), met AS MATERIALIZED (
            SELECT h.place, h.tenant_id, h.id, true AS is_news, h.followed_at, h.cancel_asked,
                   h.is_abandoned
            FROM held AS h
            UNION ALL
            -- Who only asks takes no locks.
            SELECT t.place, t.tenant_id, t.id, false, s.followed_at, s.cancel_asked, s.is_abandoned
            FROM told AS t JOIN public.streams AS s ON s.tenant_id = t.tenant_id AND s.id = t.id
            WHERE t.next = t.first
        )
        SELECT m.place, m.tenant_id, m.id, true AS is_known, m.is_news,
               coalesce(m.followed_at > present - interval '10 seconds', false) AS is_followed,
               m.cancel_asked, m.is_abandoned
        FROM met AS m
        WHERE m.followed_at > present - interval '10 seconds' OR m.cancel_asked OR m.is_abandoned
        UNION ALL
        SELECT t.place, t.tenant_id, t.id, false, false, false, false, false
        FROM told AS t WHERE t.place NOT IN (SELECT m.place FROM met AS m)
    LOOP
        IF found.is_followed AND found.is_news AND NOT found.is_abandoned THEN
            PERFORM pg_notify('assistant_streams', json_build_object(
                'about', 'NEWS', 'tenant_id', found.tenant_id, 'id', found.id)::text);
        END IF;
        place := found.place;
        is_known := found.is_known;
        is_followed := found.is_followed;
        cancel_asked := found.cancel_asked;
        is_abandoned := found.is_abandoned;
        RETURN NEXT;
    END LOOP;
END
$$;

CREATE FUNCTION public.assistant_abandon_stream(
    tenant text, stream uuid, first_number integer, next_number integer, told json)
RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    held public.streams;
BEGIN
    SELECT s.* INTO held FROM public.streams AS s
    WHERE s.tenant_id = tenant AND s.id = stream
    FOR NO KEY UPDATE;
    IF held.id IS NULL OR held.ended_at IS NOT NULL THEN
        RETURN false;
    END IF;
    -- While the server was away nobody could be heard.
    IF greatest(pg_postmaster_start_time(), (
        SELECT p.heard_at FROM public.stream_producers AS p WHERE p.id = held.instance_id
    )) >= clock_timestamp() - interval '3 seconds' THEN
        RETURN false;
    END IF;
    IF first_number <> coalesce((
        SELECT e.next FROM public.stream_events AS e
        WHERE e.tenant_id = tenant AND e.id = stream
        ORDER BY e.first DESC LIMIT 1
    ), 0) THEN
        RETURN false;
    END IF;
    INSERT INTO public.stream_events (tenant_id, id, first, next, events)
    VALUES (tenant, stream, first_number, next_number, told);
    UPDATE public.streams AS s SET ended_at = clock_timestamp(), is_abandoned = true
    WHERE s.tenant_id = tenant AND s.id = stream;
    PERFORM pg_notify('assistant_streams', json_build_object(
        'about', 'NEWS', 'tenant_id', tenant, 'id', stream)::text);
    RETURN true;
END
$$;
