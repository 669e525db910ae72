"""Alembic's entry point: runs the migrations in the transaction of `migrate`."""

from alembic import context

from basis_pipeline.results.database.tables import METADATA

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=METADATA,
    transactional_ddl=True,
)
context.run_migrations()
