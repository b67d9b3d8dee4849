"""How Alembic reaches the catalog: over the connection that `catalog/database.py` hands it."""

from alembic import context

from service.catalog.tables import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
context.run_migrations()
