"""Limits of requests: their buckets are taken of for many requests at once, and in order."""

from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

TAKE = "public.assistant_take_requests(json, integer[])"


def upgrade() -> None:
    # Whoever keeps in mind that a tenant has no limits is told when it has.
    op.execute(
        """
        CREATE TRIGGER announce AFTER INSERT OR UPDATE OR DELETE ON public.rate_limits
        FOR EACH ROW EXECUTE FUNCTION public.assistant_announce_catalog()
        """
    )
    op.execute("GRANT CREATE ON SCHEMA public TO assistant_ledger")
    op.execute("SET LOCAL ROLE assistant_ledger")
    # The requests of one tenant are one after the other, and so are those of many: a bucket is read
    # when it is locked, and what has been taken of it before counts.
    op.execute(
        """
        CREATE FUNCTION public.assistant_take_requests(callers json, turns integer[])
        RETURNS TABLE (turn integer, scope text, subject text, capacity integer,
                       per_minute integer, retry_after_ms bigint)
        LANGUAGE plpgsql SECURITY DEFINER
        SET search_path = pg_catalog, pg_temp SET enable_seqscan = off AS $$
        #variable_conflict use_column
        DECLARE
            request  constant bigint := 60000000;  -- in a bucket's units
            present  timestamptz := clock_timestamp();
            draughts public.assistant_draught[];
            buckets  integer;
            locked   integer;
            sources  integer[];  -- of each draught, the first of the same bucket
            ends     integer[];  -- of each caller, its last draught
            rates    integer[];
            levels   bigint[];   -- of each draught that is the first of its bucket
            taken    boolean[];
            first    integer;
            last     integer;
            tightest integer;
            lacking  numeric;    -- in microseconds
            longest  numeric;
        BEGIN
            draughts := ARRAY(
                SELECT (d.place, d.tenant_id, d.limit_id, d.member, d.scope, d.capacity,
                        d.per_minute)::public.assistant_draught
                FROM (
                    SELECT DISTINCT ON (c.place, l.scope)
                           c.place, c.tenant_id, l.id AS limit_id, p.member, l.scope,
                           l.capacity, l.per_minute
                    FROM ROWS FROM (
                        json_to_recordset(callers) AS (
                            tenant_id text, user_id text, service_id text, api_key_id text)
                    ) WITH ORDINALITY AS c (tenant_id, user_id, service_id, api_key_id, place)
                    -- Whom it is about, in each scope: once by name, and once as any member.
                    CROSS JOIN LATERAL (VALUES
                        ('GLOBAL', '', ''),
                        ('SERVICE', c.service_id, c.service_id), ('SERVICE', '', c.service_id),
                        ('USER', c.user_id, c.user_id), ('USER', '', c.user_id),
                        ('API_KEY', c.api_key_id, c.api_key_id), ('API_KEY', '', c.api_key_id)
                    ) AS p (scope, subject, member)
                    JOIN public.rate_limits AS l
                      ON l.tenant_id = c.tenant_id AND l.scope = p.scope
                         AND l.subject = p.subject AND l.measure = 'REQUESTS'
                    WHERE p.member IS NOT NULL
                    ORDER BY c.place, l.scope, l.subject DESC
                ) AS d
                ORDER BY d.place
            );
            IF cardinality(draughts) = 0 THEN
                RETURN;
            END IF;
            buckets := (
                SELECT count(DISTINCT (d.tenant_id, d.limit_id, d.subject))
                FROM unnest(draughts) AS d);
            -- One that is full may be tidied away between the two.
            LOOP
                INSERT INTO public.rate_buckets (tenant_id, limit_id, subject, level, refilled_at)
                SELECT DISTINCT d.tenant_id, d.limit_id, d.subject, d.capacity * request, present
                FROM unnest(draughts) AS d
                ORDER BY 1, 2, 3
                ON CONFLICT DO NOTHING;
                PERFORM FROM public.rate_buckets AS k
                WHERE (k.tenant_id, k.limit_id, k.subject) IN (
                    SELECT d.tenant_id, d.limit_id, d.subject FROM unnest(draughts) AS d)
                ORDER BY k.tenant_id, k.limit_id, k.subject
                FOR UPDATE;
                GET DIAGNOSTICS locked = ROW_COUNT;
                EXIT WHEN locked = buckets;
            END LOOP;
            present := clock_timestamp();

            SELECT array_agg(d.source ORDER BY d.number),
                   array_agg(d.per_minute ORDER BY d.number),
                   array_agg(public.assistant_refilled(
                       k.level, k.refilled_at, d.capacity, d.per_minute, present)
                       ORDER BY d.number)
            INTO sources, rates, levels
            FROM (
                SELECT d.*, min(d.number) OVER (
                    PARTITION BY d.tenant_id, d.limit_id, d.subject) AS source
                FROM unnest(draughts) WITH ORDINALITY AS d (
                    place, tenant_id, limit_id, subject, scope, capacity, per_minute, number)
            ) AS d
            JOIN public.rate_buckets AS k
              ON k.tenant_id = d.tenant_id AND k.limit_id = d.limit_id AND k.subject = d.subject;
            SELECT array_agg(c.draughts ORDER BY c.place) INTO ends FROM (
                SELECT c.place, sum(count(d.place)) OVER (ORDER BY c.place) AS draughts
                FROM generate_series(1, json_array_length(callers)) AS c (place)
                LEFT JOIN unnest(draughts) AS d ON d.place = c.place
                GROUP BY c.place
            ) AS c;
            taken := array_fill(false, ARRAY[cardinality(draughts)]);

            FOR number IN 1..cardinality(turns) LOOP
                last := ends[turns[number]];
                first := coalesce(ends[turns[number] - 1], 0) + 1;
                tightest := NULL;
                longest := 0;
                FOR each IN first..last LOOP
                    IF levels[sources[each]] < request THEN
                        lacking := ceil(
                            (request - levels[sources[each]])::numeric / rates[each]);
                        IF lacking > longest THEN
                            tightest := each;
                            longest := lacking;
                        END IF;
                    END IF;
                END LOOP;
                IF tightest IS NOT NULL THEN
                    turn := number;
                    scope := draughts[tightest].scope;
                    subject := draughts[tightest].subject;
                    capacity := draughts[tightest].capacity;
                    per_minute := rates[tightest];
                    retry_after_ms := ceil(longest / 1000);
                    RETURN NEXT;
                    CONTINUE;
                END IF;
                FOR each IN first..last LOOP
                    levels[sources[each]] := levels[sources[each]] - request;
                    taken[sources[each]] := true;
                END LOOP;
            END LOOP;

            UPDATE public.rate_buckets AS k SET
                level = levels[d.number], refilled_at = greatest(k.refilled_at, present)
            FROM unnest(draughts) WITH ORDINALITY AS d (
                place, tenant_id, limit_id, subject, scope, capacity, per_minute, number)
            WHERE taken[d.number] AND k.tenant_id = d.tenant_id
              AND k.limit_id = d.limit_id AND k.subject = d.subject;
        END
        $$
        """
    )
    # Only its owner can: another role's REVOKE is a warning, and changes nothing.
    op.execute(f"REVOKE EXECUTE ON FUNCTION {TAKE} FROM PUBLIC")
    op.execute(f"GRANT EXECUTE ON FUNCTION {TAKE} TO assistant_service")
    op.execute("RESET ROLE")
    op.execute("REVOKE CREATE ON SCHEMA public FROM assistant_ledger")


def downgrade() -> None:
    op.execute(f"DROP FUNCTION {TAKE}")
    op.execute("DROP TRIGGER announce ON public.rate_limits")
