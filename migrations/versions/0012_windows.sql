CREATE FUNCTION public.assistant_begin_windows(
    tenant text, window_budgets uuid[], window_subjects text[], window_starts timestamptz[])
RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
-- What is asked for depends on the scope: each kind has an index of its own.
SET plan_cache_mode = force_custom_plan AS $$
DECLARE
    b              public.budgets;
    begun          record;
    window_subject text;
    ends           timestamptz;
    first_hour     timestamptz;
    last_hour      timestamptz;
    used           numeric;
    cut_off        numeric;
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

        -- What has been used in it, by whole hours and by what it cuts off of others.
        first_hour := date_trunc(
            'hour', begun.starts_at + interval '1 hour' - interval '1 microsecond', 'UTC');
        last_hour := date_trunc('hour', ends, 'UTC');
        IF b.scope = 'USER' THEN
            SELECT sum(h.cost) INTO used FROM public.usage_hours AS h
            WHERE h.tenant_id = tenant AND h.user_id = window_subject
              AND h.hour >= first_hour AND h.hour < last_hour;
        ELSE
            SELECT sum(h.cost) INTO used FROM public.usage_service_hours AS h
            WHERE h.tenant_id = tenant AND (b.scope = 'GLOBAL' OR h.service_id = window_subject)
              AND h.hour >= first_hour AND h.hour < last_hour;
        END IF;
        SELECT sum(r.cost) INTO cut_off FROM public.usage_logs AS r
        WHERE r.tenant_id = tenant AND r.attempt > 0
          AND (b.scope = 'GLOBAL' OR b.scope = 'SERVICE' AND r.service_id = window_subject
               OR b.scope = 'USER' AND r.user_id = window_subject)
          AND (r.id >= public.assistant_first_id(begun.starts_at)
               AND r.id < public.assistant_first_id(first_hour + interval '1 ms')
               AND r.created_at >= begun.starts_at AND r.created_at < first_hour
               OR r.id >= public.assistant_first_id(last_hour)
               AND r.id < public.assistant_first_id(ends + interval '1 ms')
               AND r.created_at >= last_hour AND r.created_at < ends);

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
        SET spent = coalesce(used, 0) + coalesce(cut_off, 0), reserved = coalesce(held, 0)
        WHERE w.tenant_id = tenant AND w.budget_id = b.id
          AND w.subject = window_subject AND w.starts_at = begun.starts_at;
    END LOOP;
END
$$;
