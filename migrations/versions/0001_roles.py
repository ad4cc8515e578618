"""Two roles: the service acts as one, the other owns the few functions that see every tenant.

Neither can log in or own a table here, neither is a superuser, neither bypasses row-level
security. Roles belong to the whole server, so another database's migration may have made them.
"""

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        """
        DO $$
        DECLARE
            role name;
        BEGIN
            FOREACH role IN ARRAY ARRAY['assistant_service', 'assistant_ledger'] LOOP
                IF to_regrole(role) IS NULL THEN
                    BEGIN
                        EXECUTE format('CREATE ROLE %I NOLOGIN', role);
                    EXCEPTION WHEN duplicate_object OR unique_violation THEN
                        NULL; -- another database's migration was quicker
                    END;
                END IF;
                IF NOT pg_has_role(role, 'SET') THEN
                    EXECUTE format(
                        'GRANT %I TO CURRENT_USER WITH SET TRUE, INHERIT FALSE', role
                    );
                END IF;
            END LOOP;
        END
        $$
        """
    )
    op.execute("GRANT USAGE ON SCHEMA public TO assistant_service, assistant_ledger")
    op.execute("GRANT SELECT ON public.alembic_version TO assistant_service")


def downgrade() -> None:
    op.execute("REVOKE SELECT ON public.alembic_version FROM assistant_service")
    op.execute("REVOKE USAGE ON SCHEMA public FROM assistant_service, assistant_ledger")
    op.execute(
        """
        DO $$
        BEGIN
            DROP ROLE assistant_service, assistant_ledger;
        EXCEPTION WHEN dependent_objects_still_exist OR insufficient_privilege THEN
            NULL; -- another database of this server still uses them
        END
        $$
        """
    )
