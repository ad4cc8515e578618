"""The queue of background jobs: procrastinate's tables, in a schema of their own.

They hold names, times and states of jobs, never anything of a tenant, so there is no tenant in
their keys and no row-level security. They are those of one version of the package, copied beside
this file: what a later version wants is another migration.
"""

from pathlib import Path

from alembic import op
from sqlalchemy import text

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

SCHEMA = Path(__file__).with_suffix(".sql")


def upgrade() -> None:
    connection = op.get_bind()
    op.execute("CREATE SCHEMA assistant_jobs")
    # The statements name no schema: they make, and later find, what is in the path.
    path = connection.exec_driver_sql("SHOW search_path").scalar_one()
    set_path = text("SELECT set_config('search_path', :path, true)")
    connection.execute(set_path, {"path": "assistant_jobs"})
    connection.exec_driver_sql(SCHEMA.read_text("utf-8"), execution_options={"no_parameters": True})
    connection.execute(set_path, {"path": path})

    op.execute("GRANT USAGE ON SCHEMA assistant_jobs TO assistant_service")
    # Events go with their jobs, which the database itself sees to.
    op.execute("GRANT SELECT, INSERT ON assistant_jobs.procrastinate_events TO assistant_service")
    op.execute(
        """
        GRANT SELECT, INSERT, UPDATE, DELETE ON
            assistant_jobs.procrastinate_jobs,
            assistant_jobs.procrastinate_periodic_defers,
            assistant_jobs.procrastinate_workers
        TO assistant_service
        """
    )
    op.execute("GRANT USAGE ON ALL SEQUENCES IN SCHEMA assistant_jobs TO assistant_service")


def downgrade() -> None:
    op.execute("DROP SCHEMA assistant_jobs CASCADE")
