-- What is decided by comes apart from the rows that are written, which are long and read only once.
CREATE FUNCTION public.assistant_record(
    opened json, opened_rows json, settled json, settled_rows json, tenants text[], instance uuid)
RETURNS TABLE (id uuid, verdict text, output_tokens integer, cost numeric,
               is_limited boolean, details json)
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp SET enable_seqscan = off SET jit = off AS $$
#variable_conflict use_column
DECLARE
    present   timestamptz := clock_timestamp();
    askers    integer := json_array_length(opened);
    enders    integer := json_array_length(settled);
    holds     boolean := false;    -- whether what is settled holds anything of a window
    drew      boolean := false;    -- or has drawn of a bucket
    claims    public.assistant_claim[] := '{}';
    draughts  public.assistant_draught[] := '{}';
    lefts     numeric[];     -- of each claim's window; of windows met twice the first counts
    taken     numeric[];
    levels    bigint[];
    drawn     bigint[];
    asked     record;
    each      integer;
    tightest  integer;
    granted   integer;
    held      numeric;
    wanted    numeric;
    free      numeric;
    needed    bigint;
    written   uuid[];
    ids       uuid[] := '{}';      -- of those who are admitted
    admitted  integer[] := '{}';   -- their places
    grants    integer[] := '{}';
    costs     numeric[] := '{}';
BEGIN
    IF instance IS NOT NULL THEN
        -- Locks the row, changed or not: statements of one process run one after the other, also
        -- those that it has given up and sent again.
        INSERT INTO public.ledger_instances AS i (id, heard_at) VALUES (instance, present)
        ON CONFLICT (id) DO UPDATE SET heard_at = excluded.heard_at
        WHERE i.heard_at < excluded.heard_at - interval '2 seconds';
    END IF;
    -- In the order in which they are given, which is that of their names.
    PERFORM pg_advisory_xact_lock_shared(hashtextextended(t, 4837201567))
    FROM unnest(tenants) AS t;
    IF enders > 0 THEN
        SELECT coalesce(bool_or(cardinality(r.budget_ids) > 0), false),
               coalesce(bool_or(cardinality(r.limit_ids) > 0), false)
        INTO holds, drew
        FROM json_to_recordset(settled) AS s (tenant_id text, id uuid)
        JOIN public.reservations AS r ON r.tenant_id = s.tenant_id AND r.id = s.id;
    END IF;

    -- Which windows an opened row is about: those that it holds, where it holds any.
    IF askers > 0 AND EXISTS (
        SELECT FROM public.budgets AS b WHERE b.tenant_id = ANY (tenants)
    ) THEN
        claims := ARRAY(
            SELECT (o.place - 1, o.tenant_id, b.id, o.member, o.starts_at,
                    public.assistant_window_end(b.period, o.starts_at, o.time_zone),
                    b.scope, b.period, b.amount + coalesce((
                        SELECT sum(x.extra) FROM public.budget_overrides AS x
                        WHERE x.tenant_id = b.tenant_id AND x.budget_id = b.id
                          AND x.starts_at = o.starts_at), 0)
                   )::public.assistant_claim
            FROM (
                SELECT DISTINCT ON (o.place, b.scope, b.period)
                       o.place, o.tenant_id, b.id AS budget_id, p.member, z.time_zone,
                       public.assistant_window_start(b.period, o.created_at, z.time_zone)
                           AS starts_at
                FROM ROWS FROM (
                    json_to_recordset(opened) AS (
                        tenant_id text, id uuid, created_at timestamptz, user_id text,
                        service_id text)
                ) WITH ORDINALITY AS o (
                    tenant_id, id, created_at, user_id, service_id, place)
                -- Whom it is about, in each scope: once by name, and once as any member.
                CROSS JOIN LATERAL (VALUES
                    ('GLOBAL', '', ''),
                    ('SERVICE', o.service_id, o.service_id), ('SERVICE', '', o.service_id),
                    ('USER', o.user_id, o.user_id), ('USER', '', o.user_id)
                ) AS p (scope, subject, member)
                JOIN public.budgets AS b
                  ON b.tenant_id = o.tenant_id AND b.scope = p.scope
                     AND b.subject = p.subject
                CROSS JOIN LATERAL (
                    SELECT coalesce((
                        SELECT t.time_zone FROM public.tenant_settings AS t
                        WHERE t.tenant_id = o.tenant_id), 'UTC') AS time_zone
                ) AS z
                WHERE p.member IS NOT NULL AND NOT EXISTS (
                    SELECT FROM public.reservations AS r
                    WHERE r.tenant_id = o.tenant_id AND r.id = o.id)
                ORDER BY o.place, b.scope, b.period, b.subject DESC
            ) AS o
            JOIN public.budgets AS b ON b.tenant_id = o.tenant_id AND b.id = o.budget_id
            UNION ALL
            SELECT (o.place - 1, o.tenant_id, b.id, h.subject, h.starts_at, w.ends_at,
                    b.scope, b.period, b.amount + coalesce((
                        SELECT sum(x.extra) FROM public.budget_overrides AS x
                        WHERE x.tenant_id = b.tenant_id AND x.budget_id = b.id
                          AND x.starts_at = h.starts_at), 0)
                   )::public.assistant_claim
            FROM ROWS FROM (
                json_to_recordset(opened) AS (tenant_id text, id uuid)
            ) WITH ORDINALITY AS o (tenant_id, id, place)
            JOIN public.reservations AS r ON r.tenant_id = o.tenant_id AND r.id = o.id
            CROSS JOIN LATERAL unnest(r.budget_ids, r.subjects, r.starts)
                AS h (budget_id, subject, starts_at)
            JOIN public.budgets AS b ON b.tenant_id = o.tenant_id AND b.id = h.budget_id
            LEFT JOIN public.budget_windows AS w
              ON w.tenant_id = o.tenant_id AND w.budget_id = b.id
                 AND w.subject = h.subject AND w.starts_at = h.starts_at
        );
    END IF;
    IF askers > 0 AND EXISTS (
        SELECT FROM public.rate_limits AS l
        WHERE l.tenant_id = ANY (tenants) AND l.measure = 'TOKENS'
    ) THEN
        draughts := ARRAY(
            SELECT (d.place - 1, d.tenant_id, d.limit_id, d.member, d.scope, d.capacity,
                    d.per_minute)::public.assistant_draught
            FROM (
                SELECT DISTINCT ON (o.place, l.scope)
                       o.place, o.tenant_id, l.id AS limit_id, p.member, l.scope,
                       l.capacity, l.per_minute
                FROM ROWS FROM (
                    json_to_recordset(opened) AS (
                        tenant_id text, id uuid, user_id text, service_id text,
                        api_key_id text)
                ) WITH ORDINALITY AS o (
                    tenant_id, id, user_id, service_id, api_key_id, place)
                CROSS JOIN LATERAL (VALUES
                    ('GLOBAL', '', ''),
                    ('SERVICE', o.service_id, o.service_id), ('SERVICE', '', o.service_id),
                    ('USER', o.user_id, o.user_id), ('USER', '', o.user_id),
                    ('API_KEY', o.api_key_id, o.api_key_id), ('API_KEY', '', o.api_key_id)
                ) AS p (scope, subject, member)
                JOIN public.rate_limits AS l
                  ON l.tenant_id = o.tenant_id AND l.scope = p.scope
                     AND l.subject = p.subject AND l.measure = 'TOKENS'
                WHERE p.member IS NOT NULL AND NOT EXISTS (
                    SELECT FROM public.reservations AS r
                    WHERE r.tenant_id = o.tenant_id AND r.id = o.id)
                ORDER BY o.place, l.scope, l.subject DESC
            ) AS d
        );
        INSERT INTO public.rate_buckets (tenant_id, limit_id, subject, level, refilled_at)
        SELECT DISTINCT d.tenant_id, d.limit_id, d.subject, d.capacity * 60000000::bigint,
               present
        FROM unnest(draughts) AS d
        ORDER BY 1, 2, 3
        ON CONFLICT DO NOTHING;
    END IF;

    -- In the order of their keys, windows before buckets.
    IF holds OR cardinality(claims) > 0 THEN
        PERFORM FROM public.budget_windows AS w
        WHERE (w.tenant_id, w.budget_id, w.subject, w.starts_at) IN (
            SELECT c.tenant_id, c.budget_id, c.subject, c.starts_at FROM unnest(claims) AS c
            UNION
            SELECT r.tenant_id, h.budget_id, h.subject, h.starts_at
            FROM json_to_recordset(settled) AS s (tenant_id text, id uuid)
            JOIN public.reservations AS r ON r.tenant_id = s.tenant_id AND r.id = s.id
            CROSS JOIN LATERAL unnest(r.budget_ids, r.subjects, r.starts)
                AS h (budget_id, subject, starts_at))
        ORDER BY w.tenant_id, w.budget_id, w.subject, w.starts_at
        FOR UPDATE;
    END IF;
    IF drew OR cardinality(draughts) > 0 THEN
        PERFORM FROM public.rate_buckets AS k
        WHERE (k.tenant_id, k.limit_id, k.subject) IN (
            SELECT d.tenant_id, d.limit_id, d.subject FROM unnest(draughts) AS d
            UNION
            SELECT r.tenant_id, h.limit_id, h.subject
            FROM json_to_recordset(settled) AS s (tenant_id text, id uuid)
            JOIN public.reservations AS r ON r.tenant_id = s.tenant_id AND r.id = s.id
            CROSS JOIN LATERAL unnest(r.limit_ids, r.limit_subjects) AS h (limit_id, subject))
        ORDER BY k.tenant_id, k.limit_id, k.subject
        FOR UPDATE;
    END IF;
    present := clock_timestamp();

    -- Give back what was held, charge what was used, and record it: all of it once.
    IF enders > 0 AND NOT holds AND NOT drew THEN
        DELETE FROM public.reservations AS r
        USING json_to_recordset(settled) AS s (tenant_id text, id uuid)
        WHERE r.tenant_id = s.tenant_id AND r.id = s.id;
    ELSIF enders > 0 THEN
        WITH ended AS MATERIALIZED (
            DELETE FROM public.reservations AS r
            USING json_to_recordset(settled) AS s (
                tenant_id text, id uuid, prompt_tokens integer, completion_tokens integer,
                cost numeric)
            WHERE r.tenant_id = s.tenant_id AND r.id = s.id
            RETURNING r.tenant_id, r.budget_ids, r.subjects, r.starts, r.limit_ids,
                      r.limit_subjects, r.taken_tokens, coalesce(r.cost, 0) AS held,
                      coalesce(s.cost, 0) AS cost,
                      s.prompt_tokens::bigint + s.completion_tokens AS tokens
        ), poured AS (
            UPDATE public.rate_buckets AS k SET
                level = least(
                    public.assistant_refilled(
                        k.level, k.refilled_at, l.capacity, l.per_minute, present) + d.back,
                    l.capacity * 60000000::bigint),
                refilled_at = greatest(k.refilled_at, present)
            FROM (
                SELECT e.tenant_id, h.limit_id, h.subject,
                       (sum(h.taken - e.tokens) * 60000000)::bigint AS back
                FROM ended AS e
                CROSS JOIN LATERAL unnest(e.limit_ids, e.limit_subjects, e.taken_tokens)
                    AS h (limit_id, subject, taken)
                GROUP BY 1, 2, 3
            ) AS d
            JOIN public.rate_limits AS l ON l.tenant_id = d.tenant_id AND l.id = d.limit_id
            WHERE k.tenant_id = d.tenant_id AND k.limit_id = d.limit_id AND k.subject = d.subject
        ), charged AS (
            UPDATE public.budget_windows AS w SET
                reserved = w.reserved - c.held, spent = w.spent + c.cost
            FROM (
                SELECT e.tenant_id, h.budget_id, h.subject, h.starts_at,
                       sum(e.held) AS held, sum(e.cost) AS cost
                FROM ended AS e
                CROSS JOIN LATERAL unnest(e.budget_ids, e.subjects, e.starts)
                    AS h (budget_id, subject, starts_at)
                GROUP BY 1, 2, 3, 4
            ) AS c
            WHERE w.tenant_id = c.tenant_id AND w.budget_id = c.budget_id
              AND w.subject = c.subject AND w.starts_at = c.starts_at
            RETURNING w.tenant_id, w.budget_id, w.subject, w.starts_at, w.ends_at, w.spent,
                      c.cost
        ), alerts AS (
            INSERT INTO public.budget_alerts (
                tenant_id, budget_id, subject, starts_at, step, scope, period, ends_at,
                spent, amount, created_at)
            SELECT a.tenant_id, a.budget_id, a.subject, a.starts_at, step, a.scope,
                   a.period, a.ends_at, a.spent, a.amount, present
            FROM (
                SELECT c.*, b.scope, b.period, b.alert_steps,
                       b.amount + coalesce((
                           SELECT sum(x.extra) FROM public.budget_overrides AS x
                           WHERE x.tenant_id = b.tenant_id AND x.budget_id = b.id
                             AND x.starts_at = c.starts_at), 0) AS amount
                FROM charged AS c
                JOIN public.budgets AS b
                  ON b.tenant_id = c.tenant_id AND b.id = c.budget_id
                WHERE c.cost > 0
            ) AS a
            CROSS JOIN LATERAL unnest(a.alert_steps) AS step
            WHERE a.amount > 0 AND a.spent >= step * a.amount
            ON CONFLICT DO NOTHING
            RETURNING tenant_id, budget_id, subject, scope, period, step, spent, amount,
                      starts_at, ends_at, created_at
        )
        SELECT count(pg_notify('assistant_budget_alerts', row_to_json(alerts)::text))
        INTO needed FROM alerts;
    END IF;
    IF enders > 0 THEN
        WITH ended AS MATERIALIZED (
            SELECT * FROM json_to_recordset(settled_rows) AS s (
                tenant_id text, id uuid, created_at timestamptz, status text, user_id text,
                service_id text, feature text, prompt_version_id uuid, model text, provider text,
                text text, finish_reason text, prompt_tokens integer, completion_tokens integer,
                cached_tokens integer, reasoning_tokens integer, is_estimated boolean,
                cost numeric, is_priced boolean, saved_cost numeric, cache text, decision jsonb,
                latency_ms integer, error_code text, json json, operation text,
                saved_tokens bigint, reaped boolean)
        ), recorded AS (
            INSERT INTO public.completions AS kept (
                tenant_id, id, created_at, settled_at, reaped_at, status, user_id, service_id,
                feature, prompt_version_id, model, text, finish_reason, prompt_tokens,
                completion_tokens, cached_tokens, reasoning_tokens, is_estimated, cost, is_priced,
                cache, decision, latency_ms, error_code, json, operation)
            SELECT
                tenant_id, id, created_at, present, CASE WHEN reaped THEN present END, status,
                user_id, service_id, feature, prompt_version_id, model, text, finish_reason,
                prompt_tokens, completion_tokens, cached_tokens, reasoning_tokens, is_estimated,
                cost, is_priced, cache, decision, latency_ms, error_code, json, operation
            FROM ended
            ON CONFLICT (tenant_id, id, created_at) DO UPDATE SET
                settled_at = excluded.settled_at,
                reaped_at = excluded.reaped_at,
                status = excluded.status,
                prompt_version_id = excluded.prompt_version_id,
                model = excluded.model,
                text = excluded.text,
                json = excluded.json,
                finish_reason = excluded.finish_reason,
                prompt_tokens = excluded.prompt_tokens,
                completion_tokens = excluded.completion_tokens,
                cached_tokens = excluded.cached_tokens,
                reasoning_tokens = excluded.reasoning_tokens,
                is_estimated = excluded.is_estimated,
                cost = excluded.cost,
                is_priced = excluded.is_priced,
                cache = excluded.cache,
                decision = excluded.decision,
                latency_ms = excluded.latency_ms,
                error_code = excluded.error_code
            WHERE kept.status = 'RUNNING'
            RETURNING kept.tenant_id, kept.id
        ), logged AS (
            INSERT INTO public.usage_logs (
                tenant_id, id, created_at, attempt, status, user_id, service_id, feature,
                prompt_version_id, model, provider, prompt_tokens, completion_tokens, cached_tokens, reasoning_tokens,
                is_estimated, cost, saved_cost, saved_tokens, cache, latency_ms,
                first_token_ms, error_code, operation)
            SELECT s.tenant_id, s.id, s.created_at, a.*, s.operation
            FROM ended AS s JOIN recorded AS r ON r.tenant_id = s.tenant_id AND r.id = s.id
            CROSS JOIN LATERAL (
                SELECT 0, s.status, s.user_id, s.service_id, s.feature, s.prompt_version_id,
                       s.model, s.provider, s.prompt_tokens, s.completion_tokens,
                       s.cached_tokens, s.reasoning_tokens, s.is_estimated,
                       CASE WHEN s.is_priced THEN s.cost END, s.saved_cost,
                       coalesce(s.saved_tokens, 0), s.cache, s.latency_ms,
                       (s.decision ->> 'first_token_ms')::integer, s.error_code
                UNION ALL
                SELECT a.place,
                       CASE a.outcome WHEN 'SUCCEEDED' THEN 'SUCCEEDED'
                            WHEN 'CANCELLED' THEN 'CANCELLED' ELSE 'FAILED' END,
                       s.user_id, s.service_id, s.feature, s.prompt_version_id, a.model,
                       a.provider, a.prompt_tokens, a.completion_tokens, a.cached_tokens,
                       a.reasoning_tokens, a.is_estimated,
                       CASE WHEN a.is_priced THEN a.cost END, 0, 0, s.cache, a.latency_ms,
                       a.first_token_ms, a.error_code
                FROM ROWS FROM (jsonb_to_recordset(s.decision -> 'attempts') AS (
                    provider text, model text, outcome text, latency_ms integer,
                    first_token_ms integer, error_code text, prompt_tokens integer,
                    completion_tokens integer, cached_tokens integer,
                    reasoning_tokens integer, is_estimated boolean, is_priced boolean,
                    cost numeric)
                ) WITH ORDINALITY AS a (
                    provider, model, outcome, latency_ms, first_token_ms, error_code,
                    prompt_tokens, completion_tokens, cached_tokens, reasoning_tokens,
                    is_estimated, is_priced, cost, place)
                WHERE a.prompt_tokens > 0 OR a.completion_tokens > 0 OR a.cost > 0
            ) AS a
            ON CONFLICT DO NOTHING
        )
        SELECT coalesce(array_agg(recorded.id), '{}') INTO written FROM recorded;
        -- Whoever was taken for dead, and is not, is told that it has been settled for it.
        IF cardinality(written) < enders THEN
            RETURN QUERY
                SELECT s.id, 'REAPED', NULL::integer, NULL::numeric, NULL::boolean, NULL::json
                FROM json_to_recordset(settled) AS s (
                    tenant_id text, id uuid, created_at timestamptz, reaped boolean)
                JOIN public.completions AS c
                  ON c.tenant_id = s.tenant_id AND c.id = s.id AND c.created_at = s.created_at
                WHERE s.id <> ALL (written) AND c.reaped_at IS NOT NULL AND s.reaped IS NULL;
        END IF;
    END IF;

    IF askers = 0 THEN
        RETURN;
    END IF;
    -- Where nothing limits anybody, all get what they ask for. What has ended holds nothing any more.
    IF cardinality(claims) = 0 AND cardinality(draughts) = 0 AND NOT EXISTS (
        SELECT FROM json_to_recordset(opened) AS o (is_more boolean) WHERE o.is_more
    ) THEN
        WITH recorded AS (
            INSERT INTO public.completions (
                tenant_id, id, created_at, status, user_id, service_id, feature, prompt_version_id, model,
                text, finish_reason, prompt_tokens, completion_tokens, cached_tokens, reasoning_tokens,
                is_estimated, cost, is_priced, cache, decision, latency_ms, error_code, json, operation)
            SELECT
                tenant_id, id, created_at, status, user_id, service_id, feature, prompt_version_id, model,
                text, finish_reason, prompt_tokens, completion_tokens, cached_tokens, reasoning_tokens,
                is_estimated, cost, is_priced, cache, decision, latency_ms, error_code, json, operation
            FROM json_to_recordset(opened_rows) AS o (
                tenant_id text, id uuid, created_at timestamptz, status text, user_id text,
                service_id text, feature text, prompt_version_id uuid, model text, text text,
                finish_reason text, prompt_tokens integer, completion_tokens integer,
                cached_tokens integer, reasoning_tokens integer, is_estimated boolean, cost numeric,
                is_priced boolean, cache text, decision jsonb, latency_ms integer, error_code text,
                json json, operation text)
            ON CONFLICT DO NOTHING
            RETURNING id
        )
        SELECT coalesce(array_agg(recorded.id), '{}') INTO ids FROM recorded;
        IF cardinality(ids) < askers THEN
            -- Those of a statement that is repeated run already.
            ids := ids || ARRAY(
                SELECT c.id
                FROM json_to_recordset(opened) AS o (
                    tenant_id text, id uuid, created_at timestamptz)
                JOIN public.completions AS c
                  ON c.tenant_id = o.tenant_id AND c.id = o.id AND c.created_at = o.created_at
                WHERE c.status = 'RUNNING' AND o.id <> ALL (ids));
        END IF;
        RETURN QUERY
            WITH asks AS MATERIALIZED (
                SELECT o.*, o.fixed_cost + o.stake_output * o.output_price * 0.000001 AS wanted
                FROM json_to_recordset(opened) AS o (
                    tenant_id text, id uuid, created_at timestamptz, user_id text,
                    service_id text, stake_prompt integer, stake_output integer,
                    fixed_cost numeric, output_price numeric)
            ), held AS (
                INSERT INTO public.reservations AS r (
                    tenant_id, id, created_at, instance_id, user_id, service_id, prompt_tokens,
                    output_tokens, cost, budget_ids, subjects, starts, limit_ids, limit_subjects,
                    taken_tokens)
                SELECT a.tenant_id, a.id, a.created_at, instance, a.user_id, a.service_id,
                       a.stake_prompt, a.stake_output, a.wanted, '{}', '{}', '{}', '{}', '{}', '{}'
                FROM asks AS a WHERE a.id = ANY (ids)
                ON CONFLICT DO NOTHING
            )
            SELECT a.id, CASE WHEN a.id = ANY (ids) THEN 'ADMITTED' ELSE 'REAPED' END,
                   a.stake_output, a.wanted, false, NULL::json
            FROM asks AS a;
        RETURN;
    END IF;
    -- Else hold what each may take, one after the other, and record those who get it.
    lefts := ARRAY(
        SELECT c.amount - w.spent - w.reserved
        FROM unnest(claims) WITH ORDINALITY AS c (
            place, tenant_id, budget_id, subject, starts_at, ends_at, scope, period,
            amount, number)
        LEFT JOIN public.budget_windows AS w
          ON w.tenant_id = c.tenant_id AND w.budget_id = c.budget_id AND w.subject = c.subject
             AND w.starts_at = c.starts_at
        ORDER BY c.number);
    taken := array_fill(0::numeric, ARRAY[cardinality(claims)]);
    levels := ARRAY(
        SELECT coalesce(
            public.assistant_refilled(
                k.level, k.refilled_at, d.capacity, d.per_minute, present),
            d.capacity * 60000000::bigint)
        FROM unnest(draughts) WITH ORDINALITY AS d (
            place, tenant_id, limit_id, subject, scope, capacity, per_minute, number)
        LEFT JOIN public.rate_buckets AS k
          ON k.tenant_id = d.tenant_id AND k.limit_id = d.limit_id AND k.subject = d.subject
        ORDER BY d.number);
    drawn := array_fill(0::bigint, ARRAY[cardinality(draughts)]);

    <<rows>>
    FOR asked IN
        SELECT o.*, r.cost AS held, r.id AS held_id, cs.claims, cs.firsts, ds.draughts,
               ds.firsts AS sources,
               EXISTS (
                   SELECT FROM public.completions AS c
                   WHERE c.tenant_id = o.tenant_id AND c.id = o.id
                     AND c.created_at = o.created_at AND c.status <> 'RUNNING'
               ) AS has_ended
        FROM ROWS FROM (
            json_to_recordset(opened) AS (
                tenant_id text, id uuid, created_at timestamptz, api_key_id text,
                stake_prompt integer, stake_output integer, least_output integer,
                fixed_cost numeric, output_price numeric, expected_tokens integer,
                may_be_unpriced boolean, is_more boolean)
        ) WITH ORDINALITY AS o (
            tenant_id, id, created_at, api_key_id, stake_prompt, stake_output, least_output,
            fixed_cost, output_price, expected_tokens, may_be_unpriced, is_more, place)
        LEFT JOIN public.reservations AS r ON r.tenant_id = o.tenant_id AND r.id = o.id
        LEFT JOIN (
            SELECT c.place, array_agg(c.number ORDER BY c.number) AS claims,
                   array_agg(c.first ORDER BY c.number) AS firsts
            FROM (
                SELECT c.place, c.number, min(c.number) OVER (
                    PARTITION BY c.tenant_id, c.budget_id, c.subject, c.starts_at) AS first
                FROM unnest(claims) WITH ORDINALITY AS c (
                    place, tenant_id, budget_id, subject, starts_at, ends_at, scope,
                    period, amount, number)
            ) AS c GROUP BY c.place
        ) AS cs ON cs.place = o.place - 1
        LEFT JOIN (
            SELECT d.place, array_agg(d.number ORDER BY d.number) AS draughts,
                   array_agg(d.first ORDER BY d.number) AS firsts
            FROM (
                SELECT d.place, d.number, min(d.number) OVER (
                    PARTITION BY d.tenant_id, d.limit_id, d.subject) AS first
                FROM unnest(draughts) WITH ORDINALITY AS d (
                    place, tenant_id, limit_id, subject, scope, capacity, per_minute,
                    number)
            ) AS d GROUP BY d.place
        ) AS ds ON ds.place = o.place - 1
        ORDER BY o.place
    LOOP
        id := asked.id;
        held := coalesce(asked.held, 0);
        granted := asked.stake_output;
        wanted := asked.fixed_cost + asked.stake_output * asked.output_price * 0.000001;
        is_limited := asked.claims IS NOT NULL;
        details := NULL;

        -- What has ended holds nothing any more, whoever ended it: nobody would give it back. That
        -- is seen here, as statements of one process run one after the other.
        IF asked.has_ended OR asked.is_more AND asked.held_id IS NULL THEN
            verdict := 'REAPED';
            RETURN NEXT;
            CONTINUE rows;
        END IF;
        IF is_limited AND EXISTS (
            SELECT FROM unnest(asked.firsts) AS f WHERE lefts[f] IS NULL
        ) THEN
            verdict := 'WINDOWS';
            details := (
                SELECT json_agg(json_build_object(
                    'budget_id', claims[f].budget_id, 'subject', claims[f].subject,
                    'starts_at', claims[f].starts_at))
                FROM unnest(asked.firsts) AS f WHERE lefts[f] IS NULL);
            RETURN NEXT;
            CONTINUE rows;
        END IF;
        IF is_limited AND wanted IS NULL AND NOT asked.may_be_unpriced THEN
            verdict := 'UNPRICED';
            RETURN NEXT;
            CONTINUE rows;
        END IF;
        -- What was used before stays held when it goes on with what has no price.
        IF wanted IS NULL AND held > 0 THEN
            wanted := held;
        END IF;
        -- What costs nothing is never in the way of a budget.
        IF is_limited AND wanted > held THEN
            SELECT f INTO tightest FROM unnest(asked.firsts) AS f ORDER BY lefts[f] LIMIT 1;
            free := lefts[tightest] + held;
            IF wanted > free AND asked.output_price > 0 THEN
                granted := greatest(
                    div((free - asked.fixed_cost) * 1000000, asked.output_price), -1)::integer;
                wanted := asked.fixed_cost + granted * asked.output_price * 0.000001;
            END IF;
            IF wanted > free OR granted < asked.least_output THEN
                SELECT c.number INTO each
                FROM unnest(asked.claims, asked.firsts) AS c (number, first)
                WHERE c.first = tightest LIMIT 1;
                verdict := 'BUDGET';
                details := json_build_object(
                    'scope', claims[each].scope, 'subject', claims[each].subject,
                    'period', claims[each].period, 'amount', trim_scale(claims[each].amount)::text,
                    'left', trim_scale(greatest(free, 0))::text, 'ends_at', claims[each].ends_at,
                    'retry_after_ms', greatest(ceil(extract(
                        epoch FROM claims[each].ends_at - present) * 1000), 1)::bigint);
                RETURN NEXT;
                CONTINUE rows;
            END IF;
        END IF;
        IF asked.draughts IS NOT NULL THEN
            SELECT d.number INTO each
            FROM unnest(asked.draughts, asked.sources) AS d (number, first)
            WHERE levels[d.first] < least(
                asked.expected_tokens, draughts[d.number].capacity) * 60000000::bigint
            ORDER BY (least(asked.expected_tokens, draughts[d.number].capacity)
                      * 60000000::numeric - levels[d.first])
                     / draughts[d.number].per_minute DESC
            LIMIT 1;
            IF FOUND THEN
                needed := least(asked.expected_tokens, draughts[each].capacity)
                          * 60000000::bigint;
                SELECT d.first INTO tightest
                FROM unnest(asked.draughts, asked.sources) AS d (number, first)
                WHERE d.number = each;
                verdict := 'RATE';
                details := json_build_object(
                    'scope', draughts[each].scope, 'subject', draughts[each].subject,
                    'capacity', draughts[each].capacity,
                    'per_minute', draughts[each].per_minute,
                    -- The first millisecond at which there is enough.
                    'retry_after_ms', div(
                        needed - levels[tightest] + draughts[each].per_minute * 1000::bigint - 1,
                        draughts[each].per_minute * 1000::bigint)::bigint);
                RETURN NEXT;
                CONTINUE rows;
            END IF;
            FOR each IN 1..cardinality(asked.draughts) LOOP
                needed := least(asked.expected_tokens,
                                draughts[asked.draughts[each]].capacity) * 60000000::bigint;
                tightest := asked.sources[each];
                levels[tightest] := levels[tightest] - needed;
                drawn[tightest] := drawn[tightest] + needed;
            END LOOP;
        END IF;
        IF is_limited THEN
            FOREACH each IN ARRAY asked.firsts LOOP
                lefts[each] := lefts[each] - (coalesce(wanted, 0) - held);
                taken[each] := taken[each] + (coalesce(wanted, 0) - held);
            END LOOP;
        END IF;
        verdict := 'ADMITTED';
        output_tokens := granted;
        cost := wanted;
        ids := ids || asked.id;
        admitted := admitted || asked.place::integer;
        grants := grants || granted;
        costs := costs || wanted;
        RETURN NEXT;
    END LOOP;

    INSERT INTO public.reservations AS r (
        tenant_id, id, created_at, instance_id, user_id, service_id, prompt_tokens,
        output_tokens, cost, budget_ids, subjects, starts, limit_ids, limit_subjects,
        taken_tokens)
    SELECT o.tenant_id, o.id, o.created_at, instance, o.user_id, o.service_id,
           o.stake_prompt, a.granted, a.cost, coalesce(c.budget_ids, '{}'),
           coalesce(c.subjects, '{}'), coalesce(c.starts, '{}'),
           coalesce(d.limit_ids, '{}'), coalesce(d.subjects, '{}'),
           ARRAY(SELECT least(o.expected_tokens, k) FROM unnest(d.capacities) AS k)
    FROM unnest(admitted, grants, costs) AS a (place, granted, cost)
    JOIN ROWS FROM (
        json_to_recordset(opened) AS (
            tenant_id text, id uuid, created_at timestamptz, user_id text,
            service_id text, stake_prompt integer, expected_tokens integer)
    ) WITH ORDINALITY AS o (
        tenant_id, id, created_at, user_id, service_id, stake_prompt, expected_tokens,
        place) ON o.place = a.place
    LEFT JOIN (
        SELECT c.place + 1 AS place, array_agg(c.budget_id) AS budget_ids,
               array_agg(c.subject) AS subjects, array_agg(c.starts_at) AS starts
        FROM unnest(claims) AS c GROUP BY c.place
    ) AS c ON c.place = a.place
    LEFT JOIN (
        SELECT d.place + 1 AS place, array_agg(d.limit_id) AS limit_ids,
               array_agg(d.subject) AS subjects,
               array_agg(d.capacity) AS capacities
        FROM unnest(draughts) AS d GROUP BY d.place
    ) AS d ON d.place = a.place
    ON CONFLICT (tenant_id, id) DO UPDATE SET
        prompt_tokens = excluded.prompt_tokens,
        output_tokens = excluded.output_tokens,
        cost = excluded.cost;
    UPDATE public.budget_windows AS w SET reserved = w.reserved + t.taken
    FROM (
        SELECT c.*, taken[c.number] AS taken
        FROM unnest(claims) WITH ORDINALITY AS c (
            place, tenant_id, budget_id, subject, starts_at, ends_at, scope, period,
            amount, number)
        WHERE taken[c.number] <> 0
    ) AS t
    WHERE w.tenant_id = t.tenant_id AND w.budget_id = t.budget_id
      AND w.subject = t.subject AND w.starts_at = t.starts_at;
    -- One that was full may have been removed meanwhile.
    INSERT INTO public.rate_buckets AS k (tenant_id, limit_id, subject, level, refilled_at)
    SELECT t.tenant_id, t.limit_id, t.subject, levels[t.number], present
    FROM unnest(draughts) WITH ORDINALITY AS t (
        place, tenant_id, limit_id, subject, scope, capacity, per_minute, number)
    WHERE drawn[t.number] <> 0
    ORDER BY 1, 2, 3
    ON CONFLICT (tenant_id, limit_id, subject) DO UPDATE SET
        level = excluded.level, refilled_at = greatest(k.refilled_at, excluded.refilled_at);
    INSERT INTO public.completions (
        tenant_id, id, created_at, status, user_id, service_id, feature, prompt_version_id, model,
        text, finish_reason, prompt_tokens, completion_tokens, cached_tokens, reasoning_tokens,
        is_estimated, cost, is_priced, cache, decision, latency_ms, error_code, json, operation)
    SELECT
        tenant_id, id, created_at, status, user_id, service_id, feature, prompt_version_id, model,
        text, finish_reason, prompt_tokens, completion_tokens, cached_tokens, reasoning_tokens,
        is_estimated, cost, is_priced, cache, decision, latency_ms, error_code, json, operation
    FROM json_to_recordset(opened_rows) AS o (
        tenant_id text, id uuid, created_at timestamptz, status text, user_id text,
        service_id text, feature text, prompt_version_id uuid, model text, text text,
        finish_reason text, prompt_tokens integer, completion_tokens integer,
        cached_tokens integer, reasoning_tokens integer, is_estimated boolean, cost numeric,
        is_priced boolean, cache text, decision jsonb, latency_ms integer, error_code text,
        json json, operation text)
    WHERE o.id = ANY (ids)
    ON CONFLICT DO NOTHING;
END
$$;
