-- The steps that a running window has reached already: where a budget begins in the middle of one, or
-- is lowered. What is spent after that is told of when it is settled.
CREATE FUNCTION public.assistant_alert_steps(
    tenant text, budget uuid, window_subject text DEFAULT NULL)
RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    WITH alerts AS (
        INSERT INTO public.budget_alerts (
            tenant_id, budget_id, subject, starts_at, step, scope, period, ends_at, spent, amount,
            created_at)
        SELECT w.tenant_id, w.budget_id, w.subject, w.starts_at, step, b.scope, b.period,
               w.ends_at, w.spent, l.amount, clock_timestamp()
        FROM public.budgets AS b
        JOIN public.budget_windows AS w ON w.tenant_id = b.tenant_id AND w.budget_id = b.id
        CROSS JOIN LATERAL (
            SELECT b.amount + coalesce((
                SELECT sum(x.extra) FROM public.budget_overrides AS x
                WHERE x.tenant_id = b.tenant_id AND x.budget_id = b.id
                  AND x.starts_at = w.starts_at), 0) AS amount
        ) AS l
        CROSS JOIN LATERAL unnest(b.alert_steps) AS step
        WHERE b.tenant_id = tenant AND b.id = budget AND w.ends_at > now()
          AND (window_subject IS NULL OR w.subject = window_subject)
          AND w.spent > 0 AND l.amount > 0 AND w.spent >= step * l.amount
        ON CONFLICT DO NOTHING
        RETURNING tenant_id, budget_id, subject, scope, period, step, spent, amount, starts_at,
                  ends_at, created_at
    )
    SELECT pg_notify('assistant_budget_alerts', row_to_json(alerts)::text) FROM alerts
$$;

CREATE FUNCTION public.assistant_begin_windows(
    tenant text, window_budgets uuid[], window_subjects text[], window_starts timestamptz[])
RETURNS void
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp SET enable_seqscan = off SET jit = off AS $$
DECLARE
    b              public.budgets;
    begun          record;
    window_subject text;
    ends           timestamptz;
    first_hour     timestamptz;
    last_hour      timestamptz;
    used           numeric;
    cut_off        numeric;
    edge           record;
    held           numeric;
BEGIN
    -- Nothing of the tenant's is being opened or settled now, and what has been is seen.
    PERFORM pg_advisory_xact_lock(hashtextextended(tenant, 4837201567));
    FOR begun IN
        SELECT * FROM unnest(window_budgets, window_subjects, window_starts)
            AS w (budget_id, subject, starts_at)
    LOOP
        SELECT * INTO b FROM public.budgets AS k
        WHERE k.tenant_id = tenant AND k.id = begun.budget_id;
        CONTINUE WHEN NOT FOUND;
        window_subject := begun.subject;
        ends := public.assistant_window_end(b.period, begun.starts_at, coalesce((
            SELECT t.time_zone FROM public.tenant_settings AS t
            WHERE t.tenant_id = tenant), 'UTC'));
        INSERT INTO public.budget_windows (tenant_id, budget_id, subject, starts_at, ends_at)
        VALUES (tenant, b.id, window_subject, begun.starts_at, ends)
        ON CONFLICT DO NOTHING;
        CONTINUE WHEN NOT FOUND;

        -- What has been used in it, by whole hours and by what it cuts off of others. Each scope has an
        -- index of its own.
        first_hour := date_trunc(
            'hour', begun.starts_at + interval '1 hour' - interval '1 microsecond', 'UTC');
        last_hour := date_trunc('hour', ends, 'UTC');
        IF b.scope = 'USER' THEN
            SELECT sum(h.cost) INTO used FROM public.usage_hours AS h
            WHERE h.tenant_id = tenant AND h.user_id = window_subject
              AND h.hour >= first_hour AND h.hour < last_hour;
        ELSIF b.scope = 'SERVICE' THEN
            SELECT sum(h.cost) INTO used FROM public.usage_service_hours AS h
            WHERE h.tenant_id = tenant AND h.service_id = window_subject
              AND h.hour >= first_hour AND h.hour < last_hour;
        ELSE
            SELECT sum(h.cost) INTO used FROM public.usage_service_hours AS h
            WHERE h.tenant_id = tenant AND h.hour >= first_hour AND h.hour < last_hour;
        END IF;
        cut_off := 0;
        FOR edge IN
            SELECT * FROM (VALUES (begun.starts_at, first_hour), (last_hour, ends)) AS e (a, z)
            WHERE e.a < e.z AND e.a < now()
        LOOP
            SELECT cut_off + coalesce(sum(r.cost), 0) INTO cut_off FROM public.usage_logs AS r
            WHERE r.tenant_id = tenant AND r.attempt > 0
              AND (b.scope = 'GLOBAL' OR b.scope = 'SERVICE' AND r.service_id = window_subject
                   OR b.scope = 'USER' AND r.user_id = window_subject)
              AND r.id >= public.assistant_first_id(edge.a)
              AND r.id < public.assistant_first_id(edge.z + interval '1 ms')
              AND r.created_at >= edge.a AND r.created_at < edge.z;
        END LOOP;

        -- What runs now holds its part of it as well. Some may do so already: of a window that was
        -- removed in order to begin anew.
        UPDATE public.reservations AS r SET
            budget_ids = r.budget_ids || b.id,
            subjects = r.subjects || window_subject,
            starts = r.starts || begun.starts_at
        WHERE r.tenant_id = tenant
          AND (b.scope = 'GLOBAL' OR b.scope = 'SERVICE' AND r.service_id = window_subject
               OR b.scope = 'USER' AND r.user_id = window_subject)
          AND r.created_at >= begun.starts_at AND r.created_at < ends
          AND NOT EXISTS (
              SELECT FROM unnest(r.budget_ids, r.starts) AS h (budget_id, starts_at)
              WHERE h.budget_id = b.id AND h.starts_at = begun.starts_at);
        SELECT sum(r.cost) INTO held FROM public.reservations AS r
        WHERE r.tenant_id = tenant AND EXISTS (
            SELECT FROM unnest(r.budget_ids, r.subjects, r.starts)
                AS h (budget_id, subject, starts_at)
            WHERE h.budget_id = b.id AND h.subject = window_subject
              AND h.starts_at = begun.starts_at);
        UPDATE public.budget_windows AS w
        SET spent = coalesce(used, 0) + cut_off, reserved = coalesce(held, 0)
        WHERE w.tenant_id = tenant AND w.budget_id = b.id
          AND w.subject = window_subject AND w.starts_at = begun.starts_at;
        PERFORM public.assistant_alert_steps(tenant, b.id, window_subject);
    END LOOP;
END
$$;

-- A time zone moves the borders of all windows: those that run begin anew, with all that was spent in
-- them by now and what runs. What was added to them by hand stays added.
CREATE FUNCTION public.assistant_set_time_zone(tenant text, zone text) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    zone_before text;
    moved       record;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended(tenant, 4837201567));
    PERFORM FROM pg_timezone_names AS z WHERE z.name = zone;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    zone_before := coalesce((
        SELECT t.time_zone FROM public.tenant_settings AS t WHERE t.tenant_id = tenant), 'UTC');
    INSERT INTO public.tenant_settings AS t (tenant_id, time_zone) VALUES (tenant, zone)
    ON CONFLICT (tenant_id) DO UPDATE SET time_zone = excluded.time_zone;
    UPDATE public.budget_overrides AS x
    SET starts_at = public.assistant_window_start(b.period, now(), zone)
    FROM public.budgets AS b
    WHERE x.tenant_id = tenant AND b.tenant_id = tenant AND b.id = x.budget_id
      AND x.starts_at = public.assistant_window_start(b.period, now(), zone_before);

    WITH members AS MATERIALIZED (
        SELECT w.budget_id, w.subject FROM public.budget_windows AS w
        WHERE w.tenant_id = tenant AND (w.ends_at > now() OR w.reserved > 0)
        UNION
        SELECT h.budget_id, h.subject FROM public.reservations AS r
        CROSS JOIN LATERAL unnest(r.budget_ids, r.subjects) AS h (budget_id, subject)
        WHERE r.tenant_id = tenant
    ), times AS MATERIALIZED (
        SELECT now() AS at
        UNION
        SELECT date_trunc('minute', r.created_at) FROM public.reservations AS r
        WHERE r.tenant_id = tenant
    ), windows AS (
        SELECT DISTINCT m.budget_id, m.subject,
               public.assistant_window_start(b.period, t.at, zone) AS starts_at
        FROM members AS m JOIN public.budgets AS b ON b.tenant_id = tenant AND b.id = m.budget_id
        CROSS JOIN times AS t
    )
    SELECT array_agg(w.budget_id) AS budget_ids, array_agg(w.subject) AS subjects,
           array_agg(w.starts_at) AS starts
    INTO moved FROM windows AS w;
    DELETE FROM public.budget_windows AS w
    WHERE w.tenant_id = tenant AND (w.ends_at > now() OR w.reserved > 0);
    UPDATE public.reservations AS r SET budget_ids = '{}', subjects = '{}', starts = '{}'
    WHERE r.tenant_id = tenant;
    IF moved.budget_ids IS NOT NULL THEN
        PERFORM public.assistant_begin_windows(
            tenant, moved.budget_ids, moved.subjects, moved.starts);
    END IF;
    RETURN true;
END
$$;
