"""Alembic's steps from one shape of the catalog to the next; each is named by its number."""
