"""Runs the migrations on the connection that assistant.adapters.postgres.migrate hands over.

That connection is inside a transaction and holds the lock that keeps replicas apart, so a
migration is all or nothing.
"""

from alembic import context

context.configure(connection=context.config.attributes["connection"])
with context.begin_transaction():
    context.run_migrations()
