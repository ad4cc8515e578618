"""What has been learnt about the number of tokens that a model makes of a prompt.

Sums of numbers of prompts, never a text; each replica adds to them what it has seen.
"""

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

ME = "current_setting('assistant.tenant_id', true)"


def upgrade() -> None:
    op.execute(
        """
        CREATE TABLE public.token_calibrations (
            tenant_id  text        NOT NULL CHECK (char_length(tenant_id) BETWEEN 1 AND 128),
            provider   text        COLLATE "C" NOT NULL CHECK (provider ~ '^[a-z0-9-]{1,64}$'),
            model      text        COLLATE "C" NOT NULL
                       CHECK (char_length(model) BETWEEN 1 AND 256),
            basis      text        COLLATE "C" NOT NULL
                       CHECK (char_length(basis) BETWEEN 1 AND 64),
            samples    bigint      NOT NULL CHECK (samples > 0),
            sums       double precision[] NOT NULL
                       CHECK (cardinality(sums) <= 2000 AND array_position(sums, NULL) IS NULL),
            updated_at timestamptz NOT NULL,
            PRIMARY KEY (tenant_id, provider, model, basis)
        )
        """
    )
    op.execute(
        "COMMENT ON COLUMN public.token_calibrations.basis IS "
        "'What the sums are over; says their order and number'"
    )
    op.execute("ALTER TABLE public.token_calibrations ENABLE ROW LEVEL SECURITY")
    op.execute("ALTER TABLE public.token_calibrations FORCE ROW LEVEL SECURITY")
    mine = f"tenant_id = {ME}"
    op.execute(
        f"CREATE POLICY tenant ON public.token_calibrations USING ({mine}) WITH CHECK ({mine})"
    )
    op.execute("GRANT SELECT, INSERT, UPDATE ON public.token_calibrations TO assistant_service")


def downgrade() -> None:
    op.execute("DROP TABLE public.token_calibrations")
