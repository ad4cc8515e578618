"""Telling of budgets' steps: each has an id that is told to others, and is found by it.

The queue of background jobs holds that id, and so nothing of a tenant.
"""

from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

FUNCTIONS = ("assistant_unannounced(interval)", "assistant_budget_alert(uuid)")


def upgrade() -> None:
    op.execute(
        "ALTER TABLE public.budget_alerts ADD COLUMN id uuid NOT NULL DEFAULT gen_random_uuid()"
    )
    op.execute("CREATE INDEX ON public.budget_alerts (id)")
    op.execute(
        "COMMENT ON COLUMN public.budget_alerts.id IS "
        "'As the queue and the receiver of the webhook know it'"
    )
    op.execute("GRANT CREATE ON SCHEMA public TO assistant_ledger")
    op.execute("SET LOCAL ROLE assistant_ledger")
    op.execute(
        """
        CREATE FUNCTION public.assistant_unannounced(waited interval) RETURNS SETOF text
        LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
            SELECT DISTINCT tenant_id FROM public.budget_alerts
            WHERE announced_at IS NULL AND created_at <= now() - waited
            LIMIT 1000
        $$
        """
    )
    op.execute(
        """
        CREATE FUNCTION public.assistant_budget_alert(alert uuid)
        RETURNS TABLE (
            tenant_id text, budget_id uuid, subject text, starts_at timestamptz, step numeric,
            scope text, period text, ends_at timestamptz, spent numeric, amount numeric,
            created_at timestamptz)
        LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
            SELECT tenant_id, budget_id, subject, starts_at, step, scope, period, ends_at, spent,
                   amount, created_at
            FROM public.budget_alerts WHERE id = alert
        $$
        """
    )
    # Only their owner can: another role's REVOKE is a warning, and changes nothing.
    for function in FUNCTIONS:
        op.execute(f"REVOKE EXECUTE ON FUNCTION public.{function} FROM PUBLIC")
        op.execute(f"GRANT EXECUTE ON FUNCTION public.{function} TO assistant_service")
    op.execute("RESET ROLE")
    op.execute("REVOKE CREATE ON SCHEMA public FROM assistant_ledger")


def downgrade() -> None:
    for function in FUNCTIONS:
        op.execute(f"DROP FUNCTION public.{function}")
    op.execute("ALTER TABLE public.budget_alerts DROP COLUMN id")
