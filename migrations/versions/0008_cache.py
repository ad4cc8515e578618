"""The cache: kept answers, found by key or by meaning, and questions that are being asked.

An entry's time is that in its id, which is the id of the completion that made it. It lives for 30
days at most, so a month's partition goes a month after the month has ended.

Requests of many tenants share statements here as in the ledger, but none of them is above row-level
security: the functions act as whoever calls them and take on, row by row, the tenant that the row
names. Only what looks after every tenant's cache in turn belongs to `assistant_ledger`.
"""

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

ME = "current_setting('assistant.tenant_id', true)"
TENANT = "tenant_id text NOT NULL CHECK (char_length(tenant_id) BETWEEN 1 AND 128)"
TABLES = ("cache_entries", "cache_entry_uses", "cache_flights")
INVOKER_FUNCTIONS = (
    "assistant_find_cached(text[], bytea[], uuid[], bytea[])",
    "assistant_find_similar(text[], bytea[], text[], boolean[], integer)",
    "assistant_keep_cached(json)",
    "assistant_count_cache_hits(text[], uuid[], bigint[])",
    "assistant_tell_flights(json)",
    "assistant_land_flights(json)",
    "assistant_read_flights(text[], bytea[], uuid[], integer[])",
)
DEFINER_FUNCTIONS = (
    "assistant_expire_cached(integer)",
    "assistant_evict_cached(bigint, integer)",
    "assistant_measure_cache()",
    "assistant_list_cache_warming(timestamptz, integer, integer)",
)
# What a reader gets of an entry: all but its vector.
ENTRY = """
    tenant_id text, id uuid, created_at timestamptz, key bytea, scope bytea, wording text,
    min_similarity double precision, rejected bytea[], answer json, prompt_name text,
    prompt_version_id uuid, request json, fresh_until timestamptz, expires_at timestamptz
"""
ENTRY_COLUMNS = """
    e.tenant_id, e.id, e.created_at, e.key, e.scope, e.wording, e.min_similarity, e.rejected,
    e.answer, e.prompt_name, e.prompt_version_id, e.request, e.fresh_until, e.expires_at
"""
# So many entries of a scope are compared one by one, at a microsecond each. Among a million of other
# scopes' entries the index of vectors takes longer than that to come upon five of so few.
FEW = 8_000
# A leader that was not heard of for so long is nobody's.
SILENCE = "interval '3 seconds'"
# Which usage rows are a prompt's: as in 0007.
COUNTS = (
    "prompt_version_id IS NOT NULL AND operation = 'chat' "
    "AND feature IS DISTINCT FROM 'prompt-tests'"
)


def upgrade() -> None:
    op.execute("CREATE EXTENSION IF NOT EXISTS vector WITH SCHEMA public")
    # Before 0.8 a search in a filtered index stops with what it has come upon.
    op.execute(
        """
        DO $$ BEGIN
            IF EXISTS (
                SELECT FROM pg_extension WHERE extname = 'vector'
                  AND string_to_array(extversion, '.')::integer[] < ARRAY[0, 8]
            ) THEN
                RAISE EXCEPTION 'pgvector 0.8 or newer is needed; update the extension vector';
            END IF;
        END $$
        """
    )
    op.execute(
        "ALTER TABLE public.prompts ADD COLUMN cache json CHECK (json_typeof(cache) = 'object')"
    )
    op.execute(
        "COMMENT ON COLUMN public.prompts.cache IS "
        "'How its answers are kept; null where that is as usual'"
    )
    _entries()
    _flights()
    for table in TABLES:
        _secure(table)
    _reading()
    _writing()
    _telling()
    _upkeep()
    _ledger(saved_tokens=", saved_tokens", cost="cost + saved_cost")
    _partitions(
        "('completions', retention_months), ('usage_logs', retention_months), ('cache_entries', 1)"
    )


def _entries() -> None:
    op.execute(
        f"""
        CREATE TABLE public.cache_entries (
            {TENANT},
            id                uuid        NOT NULL,
            created_at        timestamptz NOT NULL,
            key               bytea       NOT NULL CHECK (octet_length(key) = 32),
            scope             bytea       CHECK (octet_length(scope) = 32),
            wording           text,
            embedding         public.vector(384) STORAGE PLAIN,
            min_similarity    double precision NOT NULL CHECK (min_similarity BETWEEN 0 AND 2),
            rejected          bytea[]     NOT NULL DEFAULT '{{}}',
            answer            json        NOT NULL CHECK (json_typeof(answer) = 'object'),
            model             text        NOT NULL,
            prompt_name       text,
            prompt_version_id uuid,
            request           json        CHECK (json_typeof(request) = 'object'),
            tokens            bigint      NOT NULL CHECK (tokens >= 0),
            cost              numeric     NOT NULL CHECK (cost >= 0),
            size_bytes        integer     NOT NULL CHECK (size_bytes > 0),
            fresh_until       timestamptz NOT NULL,
            expires_at        timestamptz NOT NULL
                              CHECK (expires_at <= created_at + interval '31 days'),
            CHECK ((scope IS NULL) = (wording IS NULL)),
            PRIMARY KEY (tenant_id, id, created_at)
        ) PARTITION BY RANGE (created_at)
        """
    )
    for column, meaning in (
        ("created_at", "The time in id (UUIDv7), so that a lookup by id finds its partition"),
        (
            "embedding",
            "L2-normalised; never moved out of the row, or each comparison would fetch it",
        ),
        ("tokens", "What the answer took; cost likewise, in USD"),
        ("size_bytes", "What it takes in all, its place in the index of vectors included"),
    ):
        op.execute(f"COMMENT ON COLUMN public.cache_entries.{column} IS '{meaning}'")
    # In the order of time, so that the newest is the first that is met; with the size, so that
    # adding up sizes reads no entries.
    op.execute(
        "CREATE INDEX ON public.cache_entries (tenant_id, key, created_at) INCLUDE (size_bytes)"
    )
    op.execute("CREATE INDEX ON public.cache_entries (tenant_id, scope) WHERE scope IS NOT NULL")
    op.execute("CREATE INDEX ON public.cache_entries (expires_at)")
    # Of vectors of length 1 the inner product is the cosine, and the quickest to compute.
    op.execute(
        "CREATE INDEX cache_entries_embedding ON public.cache_entries "
        "USING hnsw (embedding public.vector_ip_ops) WITH (m = 24, ef_construction = 128)"
    )
    # Apart from the entries: a change of an entry that finds no room on its page takes a new place
    # in each index, that of vectors included, which costs a hundred times the change.
    op.execute(
        f"""
        CREATE UNLOGGED TABLE public.cache_entry_uses (
            {TENANT},
            id      uuid        NOT NULL,
            hits    bigint      NOT NULL CHECK (hits > 0),
            used_at timestamptz NOT NULL,
            PRIMARY KEY (tenant_id, id)
        ) WITH (fillfactor = 70)
        """
    )
    op.execute(
        "COMMENT ON TABLE public.cache_entry_uses IS "
        "'How often and when last an entry was of use; none where it never was'"
    )


def _flights() -> None:
    op.execute(
        f"""
        CREATE UNLOGGED TABLE public.cache_flights (
            {TENANT},
            key         bytea       NOT NULL CHECK (octet_length(key) = 32),
            id          uuid        NOT NULL,
            heard_at    timestamptz NOT NULL,
            is_followed boolean     NOT NULL DEFAULT false,
            events      json[]      NOT NULL DEFAULT '{{}}',
            landing     json        CHECK (json_typeof(landing) = 'object'),
            PRIMARY KEY (tenant_id, key, id)
        )
        """
    )
    op.execute(
        "COMMENT ON TABLE public.cache_flights IS "
        "'Questions that are being asked, and for a while those that were while others listened'"
    )
    # At any time at most one of all replicas asks; what has landed is still there to be read.
    op.execute(
        "CREATE UNIQUE INDEX cache_flights_leader ON public.cache_flights (tenant_id, key) "
        "WHERE landing IS NULL"
    )


def _secure(table: str) -> None:
    mine = f"tenant_id = {ME}"
    op.execute(f"ALTER TABLE public.{table} ENABLE ROW LEVEL SECURITY")
    op.execute(f"ALTER TABLE public.{table} FORCE ROW LEVEL SECURITY")
    op.execute(f"CREATE POLICY tenant ON public.{table} USING ({mine}) WITH CHECK ({mine})")
    op.execute(
        f"CREATE POLICY ledger ON public.{table} TO assistant_ledger USING (true) WITH CHECK (true)"
    )
    op.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON public.{table} TO assistant_service")
    # It changes none of them, but takes locks that only who may change a row can take.
    op.execute(f"GRANT SELECT, UPDATE, DELETE ON public.{table} TO assistant_ledger")


def _act_for(row: str) -> str:
    """Take on the tenant of ``row``: from here on row-level security shows that one's rows only."""
    return f"PERFORM set_config('assistant.tenant_id', {row}.tenant_id, true);"


def _announced(row: str, key: str = "key") -> str:
    """What listeners are told of ``row``'s key."""
    return (
        f"json_build_object('tenant_id', {row}.tenant_id, 'key', encode({row}.{key}, 'hex'))::text"
    )


def _reading() -> None:
    # Rows are taken in the order of their keys, here and in all that follows: no deadlock.
    op.execute(
        f"""
        CREATE FUNCTION public.assistant_find_cached(
            tenant_ids text[], keys bytea[], flight_ids uuid[] DEFAULT '{{}}',
            flight_keys bytea[] DEFAULT '{{}}')
        RETURNS TABLE (place bigint, lead text, {ENTRY})
        LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET enable_seqscan = off AS $$
        #variable_conflict use_column
        DECLARE
            asked record;
            tries integer;
            is_ours boolean;
        BEGIN
            FOR asked IN
                SELECT * FROM unnest(tenant_ids, keys, flight_ids, flight_keys)
                    WITH ORDINALITY AS a (tenant_id, key, flight_id, flight_key, place)
                ORDER BY a.tenant_id, a.flight_key
            LOOP
                {_act_for("asked")}
                is_ours := false;
                FOR tries IN 1..5 LOOP
                    RETURN QUERY
                        SELECT asked.place, NULL::text, {ENTRY_COLUMNS}
                        FROM public.cache_entries AS e
                        WHERE e.tenant_id = asked.tenant_id AND e.key = asked.key
                          AND e.expires_at > clock_timestamp()
                        ORDER BY e.created_at DESC LIMIT 1;
                    IF FOUND THEN
                        -- Whoever led before has landed since it was looked for the first time.
                        IF is_ours THEN
                            DELETE FROM public.cache_flights AS f
                            WHERE f.tenant_id = asked.tenant_id AND f.key = asked.flight_key
                              AND f.id = asked.flight_id;
                        END IF;
                        EXIT;
                    END IF;
                    EXIT WHEN asked.flight_id IS NULL;
                    IF is_ours THEN
                        place := asked.place;
                        lead := 'OURS';
                        RETURN NEXT;
                        EXIT;
                    END IF;
                    INSERT INTO public.cache_flights AS f (tenant_id, key, id, heard_at)
                    VALUES (asked.tenant_id, asked.flight_key, asked.flight_id, clock_timestamp())
                    ON CONFLICT (tenant_id, key) WHERE landing IS NULL DO UPDATE SET
                        id = excluded.id, heard_at = excluded.heard_at, is_followed = false,
                        events = excluded.events
                    WHERE f.heard_at < clock_timestamp() - {SILENCE} OR f.id = excluded.id;
                    is_ours := FOUND;
                    CONTINUE WHEN is_ours;
                    UPDATE public.cache_flights AS f SET is_followed = true
                    WHERE f.tenant_id = asked.tenant_id AND f.key = asked.flight_key
                      AND f.landing IS NULL AND NOT f.is_followed;
                    IF FOUND THEN
                        PERFORM pg_notify('assistant_flights', {_announced("asked", "flight_key")});
                    ELSE
                        PERFORM FROM public.cache_flights AS f
                        WHERE f.tenant_id = asked.tenant_id AND f.key = asked.flight_key
                          AND f.landing IS NULL;
                        CONTINUE WHEN NOT FOUND; -- it has landed just now
                    END IF;
                    place := asked.place;
                    lead := 'ANOTHERS';
                    RETURN NEXT;
                    EXIT;
                END LOOP;
            END LOOP;
        END
        $$
        """  # noqa: S608 - constants
    )
    # A few entries are compared one by one, which is exact. How many there are is counted anew each
    # time, because no planner knows it of a scope; who asks may remember that they are many.
    op.execute(
        f"""
        CREATE FUNCTION public.assistant_find_similar(
            tenant_ids text[], scopes bytea[], vectors text[], are_large boolean[], most integer)
        RETURNS TABLE (place bigint, similarity double precision, is_large boolean, {ENTRY})
        LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
        SET enable_seqscan = off SET enable_bitmapscan = off SET enable_sort = off
        SET hnsw.iterative_scan = strict_order SET hnsw.ef_search = 200
        SET hnsw.max_scan_tuples = 5000 AS $$
        #variable_conflict use_column
        DECLARE
            asked   record;
            target  public.vector;
            found   bigint;
            nearest uuid[];
        BEGIN
            FOR asked IN
                SELECT * FROM unnest(tenant_ids, scopes, vectors, are_large)
                    WITH ORDINALITY AS a (tenant_id, scope, vector, is_large, place)
            LOOP
                {_act_for("asked")}
                target := asked.vector::public.vector;
                IF NOT asked.is_large THEN
                    SELECT count(*), (array_agg(few.id ORDER BY few.distance))[1:most]
                    INTO found, nearest
                    FROM (
                        SELECT e.id, e.embedding OPERATOR(public.<#>) target AS distance
                        FROM public.cache_entries AS e
                        WHERE e.tenant_id = asked.tenant_id AND e.scope = asked.scope
                          AND e.expires_at > clock_timestamp() AND e.embedding IS NOT NULL
                        LIMIT {FEW} + 1
                    ) AS few;
                END IF;
                IF asked.is_large OR found > {FEW} THEN
                    RETURN QUERY
                        SELECT asked.place, -(e.embedding OPERATOR(public.<#>) target), true,
                               {ENTRY_COLUMNS}
                        FROM public.cache_entries AS e
                        WHERE e.tenant_id = asked.tenant_id AND e.scope = asked.scope
                          AND e.expires_at > clock_timestamp()
                        ORDER BY e.embedding OPERATOR(public.<#>) target
                        LIMIT most;
                ELSE
                    RETURN QUERY
                        SELECT asked.place, -(e.embedding OPERATOR(public.<#>) target), false,
                               {ENTRY_COLUMNS}
                        FROM public.cache_entries AS e
                        WHERE e.tenant_id = asked.tenant_id AND e.id = ANY(nearest)
                          AND e.embedding IS NOT NULL;
                END IF;
            END LOOP;
        END
        $$
        """  # noqa: S608 - constants
    )


def _writing() -> None:
    # Answers, questions and events come as text that is JSON: as JSON they would be read as part of
    # the whole, which what a model may answer (a NUL, half of a surrogate pair) does not survive.
    # Rows of use that are being counted at this moment are not waited for, but left behind.
    op.execute(
        f"""
        CREATE FUNCTION public.assistant_keep_cached(entries json) RETURNS void
        LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET enable_seqscan = off AS $$
        DECLARE
            kept        record;
            is_replaced boolean;
            learnt      double precision;
            given       bytea[];
            parted      bytea[];
        BEGIN
            FOR kept IN
                SELECT k.*, decode(k.key_hex, 'hex') AS key
                FROM json_to_recordset(entries) AS k (
                    tenant_id text, id uuid, created_at timestamptz, key_hex text, scope_hex text,
                    wording text, embedding text, min_similarity double precision,
                    rejected_hex json, answer text, model text, prompt_name text,
                    prompt_version_id uuid, request text, tokens bigint, cost numeric,
                    size_bytes integer, fresh_until timestamptz, expires_at timestamptz)
                ORDER BY k.tenant_id, k.key_hex, k.id
            LOOP
                {_act_for("kept")}
                given := ARRAY(
                    SELECT decode(hex, 'hex') FROM json_array_elements_text(kept.rejected_hex) AS hex);
                WITH gone AS (
                    DELETE FROM public.cache_entries AS e
                    WHERE e.tenant_id = kept.tenant_id AND e.key = kept.key
                      AND e.created_at <= kept.created_at
                    RETURNING e.id, e.min_similarity, e.rejected
                ), free AS (
                    SELECT u.id FROM public.cache_entry_uses AS u
                    WHERE u.tenant_id = kept.tenant_id AND u.id IN (SELECT gone.id FROM gone)
                    FOR UPDATE SKIP LOCKED
                ), used AS (
                    DELETE FROM public.cache_entry_uses AS u USING free
                    WHERE u.tenant_id = kept.tenant_id AND u.id = free.id
                    RETURNING u.hits, u.used_at
                ), uses AS (
                    INSERT INTO public.cache_entry_uses (tenant_id, id, hits, used_at)
                    SELECT kept.tenant_id, kept.id, sum(used.hits), max(used.used_at)
                    FROM used HAVING count(*) > 0
                    ON CONFLICT DO NOTHING
                )
                -- What was learnt of the old answer's questions is as true of the new one's.
                SELECT count(*) > 0, max(gone.min_similarity),
                       ARRAY(SELECT r FROM gone, unnest(gone.rejected) WITH ORDINALITY AS u (r, place)
                             WHERE r <> ALL (given) GROUP BY r ORDER BY max(place))
                INTO is_replaced, learnt, parted FROM gone;
                parted := parted || given;
                INSERT INTO public.cache_entries (
                    tenant_id, id, created_at, key, scope, wording, embedding, min_similarity,
                    rejected, answer, model, prompt_name, prompt_version_id, request, tokens,
                    cost, size_bytes, fresh_until, expires_at)
                VALUES (
                    kept.tenant_id, kept.id, kept.created_at, kept.key,
                    decode(kept.scope_hex, 'hex'), kept.wording, kept.embedding::public.vector,
                    greatest(kept.min_similarity, learnt),
                    parted[greatest(cardinality(parted) - 31, 1):],
                    kept.answer::json, kept.model, kept.prompt_name, kept.prompt_version_id,
                    kept.request::json, kept.tokens, kept.cost, kept.size_bytes, kept.fresh_until,
                    kept.expires_at);
                IF is_replaced THEN
                    PERFORM pg_notify('assistant_cache', {_announced("kept")});
                END IF;
            END LOOP;
        END
        $$
        """  # noqa: S608 - constants
    )
    op.execute(
        f"""
        CREATE FUNCTION public.assistant_count_cache_hits(
            tenant_ids text[], ids uuid[], hits bigint[])
        RETURNS void
        LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET enable_seqscan = off AS $$
        DECLARE
            used record;
        BEGIN
            FOR used IN
                SELECT * FROM unnest(tenant_ids, ids, hits) AS a (tenant_id, id, times)
                ORDER BY a.tenant_id, a.id
            LOOP
                {_act_for("used")}
                INSERT INTO public.cache_entry_uses AS u (tenant_id, id, hits, used_at)
                SELECT used.tenant_id, used.id, used.times, clock_timestamp()
                WHERE EXISTS (
                    SELECT FROM public.cache_entries AS e
                    WHERE e.tenant_id = used.tenant_id AND e.id = used.id)
                ON CONFLICT (tenant_id, id) DO UPDATE SET
                    hits = u.hits + excluded.hits, used_at = excluded.used_at;
            END LOOP;
        END
        $$
        """  # noqa: S608 - constants
    )


def _telling() -> None:
    told = """
        SELECT t.*, decode(t.key_hex, 'hex') AS key
        FROM json_to_recordset(flights) AS t (
            tenant_id text, key_hex text, id uuid, told integer, events json, landing text)
        ORDER BY t.tenant_id, t.key_hex
    """
    # What was told before is named again, so that a statement may be repeated.
    events = """
        f.events[1:told.told]
        || ARRAY(SELECT event::json FROM json_array_elements_text(told.events) AS event)
    """
    op.execute(
        f"""
        CREATE FUNCTION public.assistant_tell_flights(flights json)
        RETURNS TABLE (id uuid, is_followed boolean)
        LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET enable_seqscan = off AS $$
        #variable_conflict use_column
        DECLARE
            told record;
        BEGIN
            FOR told IN {told} LOOP
                {_act_for("told")}
                IF json_array_length(told.events) = 0 THEN
                    RETURN QUERY
                        UPDATE public.cache_flights AS f SET heard_at = clock_timestamp()
                        WHERE f.tenant_id = told.tenant_id AND f.key = told.key
                          AND f.id = told.id AND f.landing IS NULL
                        RETURNING f.id, f.is_followed;
                    CONTINUE;
                END IF;
                RETURN QUERY
                    UPDATE public.cache_flights AS f SET
                        heard_at = clock_timestamp(), events = {events}
                    WHERE f.tenant_id = told.tenant_id AND f.key = told.key
                      AND f.id = told.id AND f.landing IS NULL
                    RETURNING f.id, f.is_followed;
                IF FOUND THEN
                    PERFORM pg_notify('assistant_flights', {_announced("told")});
                END IF;
            END LOOP;
        END
        $$
        """  # noqa: S608 - constants
    )
    op.execute(
        f"""
        CREATE FUNCTION public.assistant_land_flights(flights json)
        RETURNS TABLE (id uuid)
        LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET enable_seqscan = off AS $$
        #variable_conflict use_column
        DECLARE
            told record;
        BEGIN
            FOR told IN {told} LOOP
                {_act_for("told")}
                DELETE FROM public.cache_flights AS f
                WHERE f.tenant_id = told.tenant_id AND f.key = told.key AND f.id = told.id
                  AND NOT f.is_followed;
                CONTINUE WHEN FOUND;
                IF told.landing IS NULL THEN
                    -- Somebody has to be told how it ended, if it is still its leader's.
                    RETURN QUERY
                        SELECT f.id FROM public.cache_flights AS f
                        WHERE f.tenant_id = told.tenant_id AND f.key = told.key
                          AND f.id = told.id AND f.landing IS NULL;
                    CONTINUE;
                END IF;
                UPDATE public.cache_flights AS f SET
                    heard_at = clock_timestamp(), landing = told.landing::json, events = {events}
                WHERE f.tenant_id = told.tenant_id AND f.key = told.key AND f.id = told.id
                  AND f.landing IS NULL;
                IF FOUND THEN
                    PERFORM pg_notify('assistant_flights', {_announced("told")});
                END IF;
            END LOOP;
        END
        $$
        """  # noqa: S608 - constants
    )
    op.execute(
        f"""
        CREATE FUNCTION public.assistant_read_flights(
            tenant_ids text[], keys bytea[], ids uuid[], told integer[])
        RETURNS TABLE (
            place bigint, id uuid, is_silent boolean, events json[], landing json)
        LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET enable_seqscan = off AS $$
        #variable_conflict use_column
        DECLARE
            asked record;
            flight public.cache_flights;
        BEGIN
            FOR asked IN
                SELECT * FROM unnest(tenant_ids, keys, ids, told)
                    WITH ORDINALITY AS a (tenant_id, key, id, told, place)
                ORDER BY a.tenant_id, a.key
            LOOP
                {_act_for("asked")}
                -- Who does not know yet whom to follow follows who asks now, or has just asked.
                SELECT f.* INTO flight FROM public.cache_flights AS f
                WHERE f.tenant_id = asked.tenant_id AND f.key = asked.key
                  AND (f.id = asked.id OR asked.id IS NULL
                       AND f.heard_at > clock_timestamp() - {SILENCE})
                ORDER BY f.landing IS NULL DESC, f.heard_at DESC LIMIT 1;
                CONTINUE WHEN NOT FOUND;
                IF NOT flight.is_followed THEN
                    UPDATE public.cache_flights AS f SET is_followed = true
                    WHERE f.tenant_id = asked.tenant_id AND f.key = asked.key
                      AND f.id = flight.id AND f.landing IS NULL;
                    CONTINUE WHEN NOT FOUND; -- it has landed just now
                    PERFORM pg_notify('assistant_flights', {_announced("asked")});
                END IF;
                place := asked.place;
                id := flight.id;
                is_silent := flight.landing IS NULL
                    AND flight.heard_at < clock_timestamp() - {SILENCE};
                events := flight.events[asked.told + 1:];
                landing := flight.landing;
                RETURN NEXT;
            END LOOP;
        END
        $$
        """  # noqa: S608 - constants
    )


def _upkeep() -> None:
    op.execute("GRANT CREATE ON SCHEMA public TO assistant_ledger")
    op.execute("SET LOCAL ROLE assistant_ledger")
    # Rows of use go with their entries, but for those that are being counted at this moment: they
    # go when no entry can be that old.
    uses = """
        uses AS (
            SELECT u.tenant_id, u.id FROM public.cache_entry_uses AS u
            JOIN gone ON gone.tenant_id = u.tenant_id AND gone.id = u.id
            FOR UPDATE OF u SKIP LOCKED
        ), unused AS (
            DELETE FROM public.cache_entry_uses AS u USING uses
            WHERE u.tenant_id = uses.tenant_id AND u.id = uses.id
        )
    """
    gone = """
        gone AS (
            DELETE FROM public.cache_entries AS e USING picked
            WHERE e.tenant_id = picked.tenant_id AND e.id = picked.id
              AND e.created_at = picked.created_at
            RETURNING e.tenant_id, e.id
        )
    """
    op.execute(
        f"""
        CREATE FUNCTION public.assistant_expire_cached(most integer) RETURNS integer
        LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
        DECLARE
            expired integer;
        BEGIN
            DELETE FROM public.cache_flights WHERE ctid = ANY(ARRAY(
                SELECT f.ctid FROM public.cache_flights AS f
                WHERE f.heard_at < clock_timestamp() - interval '1 minute'
                FOR UPDATE SKIP LOCKED));
            DELETE FROM public.cache_entry_uses WHERE ctid = ANY(ARRAY(
                SELECT u.ctid FROM public.cache_entry_uses AS u
                WHERE u.used_at < clock_timestamp() - interval '32 days' LIMIT most
                FOR UPDATE SKIP LOCKED));
            WITH picked AS MATERIALIZED (
                SELECT e.tenant_id, e.id, e.created_at FROM public.cache_entries AS e
                WHERE e.expires_at <= clock_timestamp() LIMIT most
                FOR UPDATE SKIP LOCKED
            ), {gone}, {uses}
            SELECT count(*) INTO expired FROM gone;
            RETURN expired;
        END
        $$
        """  # noqa: S608 - constants
    )
    # What an entry is worth, byte for byte: how much its uses saved, halved with every day in
    # which it was of none. Source: GreedyDual-Size with Frequency (L. Cherkasova, "Improving WWW
    # Proxies Performance with Greedy-Dual-Size-Frequency Caching Policy", HPL-98-69R1, 1998), with
    # its ageing by evictions replaced by time. Logarithms, or what is old would all be worth 0.
    op.execute(
        f"""
        CREATE FUNCTION public.assistant_evict_cached(max_bytes bigint, most integer)
        RETURNS integer
        LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
        DECLARE
            tenant  text;
            evicted integer := 0;
            of_one  integer;
        BEGIN
            IF NOT pg_try_advisory_xact_lock(4837201566) THEN
                RETURN 0; -- somebody is at it
            END IF;
            FOR tenant IN
                SELECT e.tenant_id FROM public.cache_entries AS e
                GROUP BY e.tenant_id HAVING sum(e.size_bytes) > max_bytes
            LOOP
                WITH ranked AS (
                    SELECT e.tenant_id, e.id, e.created_at, sum(e.size_bytes) OVER (
                        ORDER BY ln((coalesce(u.hits, 0) + 1.0::float8) * greatest(e.tokens, 1)
                                    / e.size_bytes)
                            - ln(2::float8) / 86400 * extract(epoch FROM
                                clock_timestamp() - coalesce(u.used_at, e.created_at))::float8
                            DESC, e.id DESC) AS taken
                    FROM public.cache_entries AS e LEFT JOIN public.cache_entry_uses AS u
                      ON u.tenant_id = e.tenant_id AND u.id = e.id
                    WHERE e.tenant_id = tenant
                ), worst AS MATERIALIZED (
                    SELECT r.tenant_id, r.id, r.created_at FROM ranked AS r
                    WHERE r.taken > max_bytes LIMIT most - evicted
                ), picked AS MATERIALIZED (
                    SELECT e.tenant_id, e.id, e.created_at FROM public.cache_entries AS e
                    JOIN worst AS w ON w.tenant_id = e.tenant_id AND w.id = e.id
                      AND w.created_at = e.created_at
                    FOR UPDATE OF e SKIP LOCKED
                ), {gone}, {uses}
                SELECT count(*) INTO of_one FROM gone;
                evicted := evicted + of_one;
                EXIT WHEN evicted >= most;
            END LOOP;
            RETURN evicted;
        END
        $$
        """  # noqa: S608 - constants
    )
    op.execute(
        """
        CREATE FUNCTION public.assistant_measure_cache(
            OUT entries bigint, OUT size_bytes bigint)
        LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
            SELECT count(*), coalesce(sum(e.size_bytes), 0)::bigint FROM public.cache_entries AS e
        $$
        """
    )
    op.execute(
        """
        CREATE FUNCTION public.assistant_list_cache_warming(
            before timestamptz, prompts integer, entries integer)
        RETURNS TABLE (tenant_id text, id uuid, request json)
        LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
            WITH expiring AS MATERIALIZED (
                SELECT e.tenant_id, e.id, e.prompt_name, e.prompt_version_id, u.hits,
                       row_number() OVER (
                           PARTITION BY e.tenant_id, e.prompt_name ORDER BY u.hits DESC, e.id
                       ) AS place
                FROM public.cache_entries AS e JOIN public.cache_entry_uses AS u
                  ON u.tenant_id = e.tenant_id AND u.id = e.id
                WHERE e.expires_at > now() AND e.expires_at < before
                  AND e.expires_at >= e.created_at + interval '1 hour'
                  AND e.prompt_name IS NOT NULL AND e.request IS NOT NULL
            ), used AS (
                SELECT x.tenant_id, x.prompt_name,
                       row_number() OVER (
                           PARTITION BY x.tenant_id
                           ORDER BY coalesce(sum(h.requests), 0) DESC, x.prompt_name
                       ) AS place
                FROM (
                    SELECT DISTINCT tenant_id, prompt_name, prompt_version_id FROM expiring
                ) AS x LEFT JOIN public.prompt_version_hours AS h
                  ON h.tenant_id = x.tenant_id AND h.prompt_version_id = x.prompt_version_id
                     AND h.hour > now() - interval '1 day'
                GROUP BY x.tenant_id, x.prompt_name
            )
            SELECT e.tenant_id, e.id, e.request
            FROM used JOIN expiring AS x USING (tenant_id, prompt_name)
            JOIN public.cache_entries AS e ON e.tenant_id = x.tenant_id AND e.id = x.id
            WHERE used.place <= prompts AND x.place <= entries
            ORDER BY e.tenant_id, used.place, x.place
        $$
        """
    )
    # Only their owner can: another role's REVOKE is a warning, and changes nothing.
    for function in DEFINER_FUNCTIONS:
        op.execute(f"REVOKE EXECUTE ON FUNCTION public.{function} FROM PUBLIC")
        op.execute(f"GRANT EXECUTE ON FUNCTION public.{function} TO assistant_service")
    op.execute("RESET ROLE")
    op.execute("REVOKE CREATE ON SCHEMA public FROM assistant_ledger")


def _ledger(saved_tokens: str, cost: str) -> None:
    """What usage rows say of answers that were kept; empty and plain, as before there were any."""
    if saved_tokens:
        op.execute(
            "ALTER TABLE public.usage_logs ADD COLUMN saved_tokens bigint NOT NULL DEFAULT 0"
        )
    row = f"""
        tenant_id text, id uuid, created_at timestamptz, status text, user_id text,
        service_id text, feature text, prompt_version_id uuid, model text, provider text,
        text text, finish_reason text, prompt_tokens integer, completion_tokens integer,
        cached_tokens integer, is_estimated boolean, cost numeric, saved_cost numeric, cache text,
        decision jsonb, latency_ms integer, error_code text, json json, operation text
        {saved_tokens and ", saved_tokens bigint"}
    """
    who = "tenant_id, id, created_at"
    what = """
        status, user_id, service_id, feature, prompt_version_id, model, text, finish_reason,
        prompt_tokens, completion_tokens, cached_tokens, is_estimated, cost, cache, decision,
        latency_ms, error_code, json, operation
    """
    usage = f"""
        {who}, status, user_id, service_id, feature, prompt_version_id, model, provider,
        prompt_tokens, completion_tokens, cached_tokens, is_estimated, cost, saved_cost, cache,
        latency_ms, error_code, operation
    """
    op.execute("GRANT CREATE ON SCHEMA public TO assistant_ledger")
    op.execute("SET LOCAL ROLE assistant_ledger")
    op.execute(
        f"""
        CREATE OR REPLACE FUNCTION public.assistant_settle(rows json) RETURNS void
        LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
        BEGIN
            WITH settled AS MATERIALIZED (
                SELECT * FROM json_to_recordset(rows) AS settled ({row})
            ), recorded AS (
                INSERT INTO public.completions AS kept ({who}, settled_at, {what})
                SELECT {who}, clock_timestamp(), {what} FROM settled
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
            INSERT INTO public.usage_logs ({usage} {saved_tokens})
            SELECT {usage} {saved_tokens and ", coalesce(saved_tokens, 0)"} FROM settled
            ON CONFLICT DO NOTHING;
        END
        $$
        """  # noqa: S608 - constants
    )
    op.execute("RESET ROLE")
    op.execute("REVOKE CREATE ON SCHEMA public FROM assistant_ledger")
    # A version that has more answers from the cache is no cheaper: what is compared between
    # versions is what the answers have cost when they were made.
    op.execute(
        f"""
        CREATE OR REPLACE FUNCTION public.assistant_count_prompt_usage() RETURNS trigger
        LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
        BEGIN
            INSERT INTO public.prompt_version_hours AS kept (
                tenant_id, prompt_version_id, hour, slot, requests, succeeded, failed,
                total_tokens, cost, ended_cost, latency_ms)
            SELECT tenant_id, prompt_version_id, date_trunc('hour', created_at, 'UTC'),
                   pg_backend_pid() % 16,
                   count(*),
                   count(*) FILTER (WHERE status = 'SUCCEEDED'),
                   count(*) FILTER (WHERE status = 'FAILED'),
                   sum(prompt_tokens) + sum(completion_tokens),
                   sum(cost),
                   coalesce(sum({cost}) FILTER (WHERE status <> 'CANCELLED'), 0),
                   coalesce(sum(latency_ms) FILTER (WHERE status = 'SUCCEEDED'), 0)
            FROM logged
            WHERE {COUNTS}
            GROUP BY 1, 2, 3
            ORDER BY 1, 2, 3
            ON CONFLICT (tenant_id, prompt_version_id, hour, slot) DO UPDATE SET
                requests = kept.requests + excluded.requests,
                succeeded = kept.succeeded + excluded.succeeded,
                failed = kept.failed + excluded.failed,
                total_tokens = kept.total_tokens + excluded.total_tokens,
                cost = kept.cost + excluded.cost,
                ended_cost = kept.ended_cost + excluded.ended_cost,
                latency_ms = kept.latency_ms + excluded.latency_ms;
            RETURN NULL;
        END
        $$
        """  # noqa: S608 - constants
    )
    op.execute(
        "COMMENT ON COLUMN public.prompt_version_hours.ended_cost IS 'Of those that were not "
        f"cancelled{saved_tokens and ', as if each had been made anew'}'"
    )


def _partitions(kept: str) -> None:
    """The function of 0003 for other tables, each with the months for which its rows are kept."""
    op.execute(
        f"""
        CREATE OR REPLACE FUNCTION public.assistant_maintain_partitions(
            months_ahead integer,
            retention_months integer,
            as_of timestamptz DEFAULT now(),
            OUT created integer,
            OUT dropped integer
        )
        LANGUAGE plpgsql SECURITY DEFINER
        SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' SET lock_timeout = '5s' AS $$
        DECLARE
            parent      text;
            kept_months integer;
            partition   text;
            newest      timestamptz;
            month       timestamptz;
            present     timestamptz := date_trunc('month', as_of, 'UTC');
        BEGIN
            IF months_ahead NOT BETWEEN 0 AND 120 OR retention_months < 1 THEN
                RAISE EXCEPTION 'months_ahead must be 0 to 120 and retention_months at least 1'
                    USING ERRCODE = 'invalid_parameter_value';
            END IF;
            PERFORM pg_advisory_xact_lock(4837201565);
            created := 0;
            dropped := 0;
            FOR parent, kept_months IN VALUES {kept} LOOP
                SELECT max(to_date(right(child.relname, 7), 'YYYY_MM')) INTO newest
                FROM pg_inherits JOIN pg_class AS child ON child.oid = inhrelid
                WHERE inhparent = format('public.%I', parent)::regclass;

                -- From the month before, because clocks differ and orphans are settled late;
                -- from the newest one, because the service may have been off for months.
                FOR month IN
                    SELECT generate_series(
                        least(present - interval '1 month', newest + interval '1 month'),
                        present + make_interval(months => months_ahead),
                        interval '1 month')
                LOOP
                    partition := parent || to_char(month, '_YYYY_MM');
                    CONTINUE WHEN to_regclass(format('public.%I', partition)) IS NOT NULL;
                    EXECUTE format(
                        'CREATE TABLE public.%I (LIKE public.%I INCLUDING DEFAULTS '
                        'INCLUDING CONSTRAINTS INCLUDING STORAGE)', partition, parent);
                    EXECUTE format('ALTER TABLE public.%I ENABLE ROW LEVEL SECURITY', partition);
                    EXECUTE format('ALTER TABLE public.%I FORCE ROW LEVEL SECURITY', partition);
                    -- Attaching, unlike PARTITION OF, does not stop readers and writers.
                    EXECUTE format(
                        'ALTER TABLE public.%I ATTACH PARTITION public.%I '
                        'FOR VALUES FROM (%L) TO (%L)',
                        parent, partition, month, month + interval '1 month');
                    created := created + 1;
                END LOOP;

                FOR partition IN
                    SELECT child.relname
                    FROM pg_inherits JOIN pg_class AS child ON child.oid = inhrelid
                    WHERE inhparent = format('public.%I', parent)::regclass
                      AND to_date(right(child.relname, 7), 'YYYY_MM')
                          < present - make_interval(months => kept_months)
                LOOP
                    -- While it waits for its lock, every reader and writer waits behind it.
                    PERFORM set_config('lock_timeout', '200ms', true);
                    BEGIN
                        EXECUTE format('DROP TABLE public.%I', partition);
                        dropped := dropped + 1;
                    EXCEPTION WHEN lock_not_available THEN
                        NULL; -- a long report reads it; the next run will do
                    END;
                END LOOP;
            END LOOP;
        END
        $$
        """  # noqa: S608 - constants
    )


def downgrade() -> None:
    _partitions("('completions', retention_months), ('usage_logs', retention_months)")
    _ledger(saved_tokens="", cost="cost")
    op.execute("ALTER TABLE public.usage_logs DROP COLUMN saved_tokens")
    for function in INVOKER_FUNCTIONS + DEFINER_FUNCTIONS:
        op.execute(f"DROP FUNCTION public.{function}")
    op.execute(f"DROP TABLE {', '.join(f'public.{table}' for table in TABLES)}")
    op.execute("ALTER TABLE public.prompts DROP COLUMN cache")
