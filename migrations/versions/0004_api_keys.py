"""API keys by the SHA-256 of their secret."""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

ME = "current_setting('assistant.tenant_id', true)"


def upgrade() -> None:
    op.execute(
        """
        CREATE TABLE public.api_keys (
            tenant_id   text        NOT NULL CHECK (char_length(tenant_id) BETWEEN 1 AND 128),
            id          uuid        NOT NULL,
            name        text        NOT NULL,
            prefix      text        NOT NULL,
            secret_hash bytea       NOT NULL CHECK (octet_length(secret_hash) = 32),
            user_id     text,
            service_id  text,
            scopes      text[]      NOT NULL,
            created_at  timestamptz NOT NULL,
            expires_at  timestamptz,
            revoked_at  timestamptz,
            PRIMARY KEY (tenant_id, id)
        )
        """
    )
    # Not unique: 256 random bits do not collide, and a unique index could not be distributed.
    op.execute("CREATE INDEX ON public.api_keys (secret_hash)")
    op.execute("ALTER TABLE public.api_keys ENABLE ROW LEVEL SECURITY")
    op.execute("ALTER TABLE public.api_keys FORCE ROW LEVEL SECURITY")
    mine = f"tenant_id = {ME}"
    op.execute(f"CREATE POLICY tenant ON public.api_keys USING ({mine}) WITH CHECK ({mine})")
    op.execute(
        "CREATE POLICY ledger ON public.api_keys FOR SELECT TO assistant_ledger USING (true)"
    )
    op.execute("GRANT SELECT, INSERT ON public.api_keys TO assistant_service")
    op.execute("GRANT UPDATE (revoked_at) ON public.api_keys TO assistant_service")
    op.execute("GRANT SELECT ON public.api_keys TO assistant_ledger")

    op.execute(
        """
        CREATE FUNCTION public.assistant_find_api_key(hash bytea)
        RETURNS SETOF public.api_keys
        LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
            SELECT * FROM public.api_keys WHERE secret_hash = hash LIMIT 1
        $$
        """
    )
    op.execute("GRANT CREATE ON SCHEMA public TO assistant_ledger")
    op.execute("REVOKE EXECUTE ON FUNCTION public.assistant_find_api_key(bytea) FROM PUBLIC")
    op.execute(
        "GRANT EXECUTE ON FUNCTION public.assistant_find_api_key(bytea) TO assistant_service"
    )
    op.execute("ALTER FUNCTION public.assistant_find_api_key(bytea) OWNER TO assistant_ledger")
    op.execute("REVOKE CREATE ON SCHEMA public FROM assistant_ledger")


def downgrade() -> None:
    op.execute("DROP FUNCTION public.assistant_find_api_key(bytea)")
    op.execute("DROP TABLE public.api_keys")
