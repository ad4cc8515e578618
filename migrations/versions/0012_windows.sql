CREATE FUNCTION public.assistant_begin_windows(
    tenant text, window_budgets uuid[], window_subjects text[], window_starts timestamptz[])
RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    b              public.budgets;
    begun          record;
    window_subject text;
    ends           timestamptz;
    first_hour     timestamptz;
    last_hour      timestamptz;
    used           numeric;
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
INSERT INTO public.budget_windows (
    tenant_id, budget_id, subject, starts_at, ends_at)
VALUES (tenant, b.id, window_subject, begun.starts_at, ends)
ON CONFLICT DO NOTHING;
CONTINUE WHEN NOT FOUND;
-- What has been used in it, by whole hours and by what it cuts off of others.
first_hour := date_trunc(
    'hour', begun.starts_at + interval '1 hour' - interval '1 microsecond', 'UTC');
last_hour := date_trunc('hour', ends, 'UTC');
SELECT coalesce(sum(u.cost), 0) INTO used FROM (
    SELECT h.cost FROM public.usage_hours AS h
    WHERE h.tenant_id = tenant AND h.hour >= first_hour AND h.hour < last_hour

AND (b.scope = 'GLOBAL' OR b.scope = 'SERVICE' AND h.service_id = window_subject
     OR b.scope = 'USER' AND h.user_id = window_subject)

    UNION ALL
    SELECT r.cost FROM public.usage_logs AS r
    WHERE r.tenant_id = tenant AND r.attempt > 0
AND (b.scope = 'GLOBAL' OR b.scope = 'SERVICE' AND r.service_id = window_subject
     OR b.scope = 'USER' AND r.user_id = window_subject)

      AND (r.id >= public.assistant_first_id(begun.starts_at)
           AND r.id < public.assistant_first_id(first_hour + interval '1 ms')
           AND r.created_at >= begun.starts_at AND r.created_at < first_hour
           OR r.id >= public.assistant_first_id(last_hour)
           AND r.id < public.assistant_first_id(ends + interval '1 ms')
           AND r.created_at >= last_hour AND r.created_at < ends)
) AS u;
-- What runs now holds its part of it as well.
WITH holders AS (
    UPDATE public.reservations AS r SET
        budget_ids = r.budget_ids || b.id,
        subjects = r.subjects || window_subject,
        starts = r.starts || begun.starts_at
    WHERE r.tenant_id = tenant
AND (b.scope = 'GLOBAL' OR b.scope = 'SERVICE' AND r.service_id = window_subject
     OR b.scope = 'USER' AND r.user_id = window_subject)

      AND r.created_at >= begun.starts_at AND r.created_at < ends
      AND b.id <> ALL (r.budget_ids)
    RETURNING r.cost
)
SELECT coalesce(sum(h.cost), 0) INTO held FROM holders AS h;
UPDATE public.budget_windows AS w SET spent = used, reserved = held
WHERE w.tenant_id = tenant AND w.budget_id = b.id
  AND w.subject = window_subject AND w.starts_at = begun.starts_at;
    END LOOP;
END
$$;
