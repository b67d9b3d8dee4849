"""Which spaces a workspace has records in: an erasure must find them all. Knows no vector."""

from typing import Any

from sqlalchemy import insert, select

from service.catalog.database import Database, now
from service.catalog.tables import spaces


class Spaces:
    """The spaces of every workspace, each noted before its first record, and never forgotten."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def note(self, workspace: str, space_id: str, description: dict[str, Any]) -> None:
        """Notes that a workspace has, or is about to have, records in a space."""
        if space_id in self.all(workspace):
            return
        key = {"workspace": workspace, "space_id": space_id}
        with self._database.write() as connection:
            mine = (spaces.c.workspace == workspace) & (spaces.c.space_id == space_id)
            if connection.execute(select(spaces.c.space_id).where(mine)).first() is None:
                values = {**key, "description": description, "noted": now()}
                connection.execute(insert(spaces).values(values))

    def all(self, workspace: str) -> dict[str, dict[str, Any]]:
        """Space id → everything that makes the space, as it was noted."""
        query = select(spaces).where(spaces.c.workspace == workspace).order_by(spaces.c.space_id)
        with self._database.read() as connection:
            return {row.space_id: row.description for row in connection.execute(query)}
