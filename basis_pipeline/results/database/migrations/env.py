"""What alembic runs: the migrations, on the connection and in the transaction `migrate` gives."""

from alembic import context

from basis_pipeline.results.database.tables import METADATA

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=METADATA,
    transactional_ddl=True,
)
context.run_migrations()
