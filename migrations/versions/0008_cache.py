"""The cache: kept answers, found by key or by meaning, and questions that are being asked.

An entry's time is that in its id, which is the id of the completion that made it. It lives for 30
days at most, so a month's partition goes a month after the month has ended.
"""

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

ME = "current_setting('assistant.tenant_id', true)"
TENANT = "tenant_id text NOT NULL CHECK (char_length(tenant_id) BETWEEN 1 AND 128)"


def upgrade() -> None:
    op.execute("CREATE EXTENSION IF NOT EXISTS vector WITH SCHEMA public")
    op.execute(
        "ALTER TABLE public.prompts ADD COLUMN cache json CHECK (json_typeof(cache) = 'object')"
    )
    op.execute(
        "COMMENT ON COLUMN public.prompts.cache IS "
        "'How its answers are kept; null where that is as usual'"
    )
    _entries()
    _flights()
    _ledger()


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
            embedding         public.vector(384),
            min_similarity    double precision NOT NULL CHECK (min_similarity BETWEEN 0 AND 2),
            rejected          bytea[]     NOT NULL DEFAULT '{{}}',
            answer            json        NOT NULL CHECK (json_typeof(answer) = 'object'),
            model             text        NOT NULL,
            prompt_name       text,
            prompt_version_id uuid,
            request           json,
            tokens            bigint      NOT NULL CHECK (tokens >= 0),
            cost              numeric     NOT NULL CHECK (cost >= 0),
            size_bytes        integer     NOT NULL CHECK (size_bytes > 0),
            fresh_until       timestamptz NOT NULL,
            expires_at        timestamptz NOT NULL
                              CHECK (expires_at <= created_at + interval '31 days'),
            hits              bigint      NOT NULL DEFAULT 0,
            used_at           timestamptz NOT NULL,
            CHECK ((scope IS NULL) = (wording IS NULL)),
            PRIMARY KEY (tenant_id, id, created_at)
        ) PARTITION BY RANGE (created_at)
        """
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
            landing     json,
            PRIMARY KEY (tenant_id, key)
        )
        """
    )


def _ledger() -> None:
    op.execute("ALTER TABLE public.usage_logs ADD COLUMN saved_tokens bigint NOT NULL DEFAULT 0")


def downgrade() -> None:
    op.execute("ALTER TABLE public.usage_logs DROP COLUMN saved_tokens")
    op.execute("DROP TABLE public.cache_flights, public.cache_entries")
    op.execute("ALTER TABLE public.prompts DROP COLUMN cache")
    op.execute("DROP EXTENSION vector")
