-- As whoever calls, who takes on the tenant of each row in turn. In the order of the keys: those who
-- claim the same ones wait for each other, and never both.
CREATE FUNCTION public.assistant_claim_keys(claims json)
RETURNS TABLE (place integer, completion_id uuid, fingerprint bytea, error json)
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET enable_seqscan = off AS $$
#variable_conflict use_column
DECLARE
    claim record;
BEGIN
    FOR claim IN
        SELECT * FROM json_to_recordset(claims) AS c (
            place integer, tenant_id text, owner text, key text, fingerprint_hex text,
            completion_id uuid, instead_of uuid)
        ORDER BY c.tenant_id, c.owner, c.key, c.place
    LOOP
        PERFORM set_config('assistant.tenant_id', claim.tenant_id, true);
        INSERT INTO public.idempotency_keys AS k (
            tenant_id, owner, key, fingerprint, completion_id, created_at)
        VALUES (claim.tenant_id, claim.owner, claim.key, decode(claim.fingerprint_hex, 'hex'),
                claim.completion_id, clock_timestamp())
        ON CONFLICT (tenant_id, owner, key) DO UPDATE SET
            fingerprint = excluded.fingerprint, completion_id = excluded.completion_id,
            created_at = excluded.created_at, error = NULL
        WHERE k.completion_id = claim.instead_of
           OR k.created_at <= clock_timestamp() - interval '24 hours';
        -- It is there, and locked: what is in conflict is locked even where it stays as it is.
        RETURN QUERY
            SELECT claim.place, k.completion_id, k.fingerprint, k.error
            FROM public.idempotency_keys AS k
            WHERE k.tenant_id = claim.tenant_id AND k.owner = claim.owner AND k.key = claim.key;
    END LOOP;
END
$$;
