"""Keys: who may do what in which workspace. Knows hashes of secrets, never a secret."""

from dataclasses import dataclass, fields
from typing import Any
from uuid import uuid4

from sqlalchemy import Row, insert, select, update

from service.catalog.audit import note
from service.catalog.database import Database, now
from service.catalog.tables import keys, workspaces
from service.errors import Conflict, NotFound


@dataclass(frozen=True, slots=True)
class Key:
    """One key, without its secret.

    Args:
        id: 12 hex digits that name it; they open nothing.
        workspace: what it opens.
        name: unique in its workspace for ever, so that the audit is.
        role: predict, train or admin.
        hash: lower-case hex SHA-256 of the secret.
        created, created_by: when, and who made it.
        expires: RFC 3339 time after which it opens nothing; None is never.
        revoked: when somebody took it back.
    """

    id: str
    workspace: str
    name: str
    role: str
    hash: str
    created: str
    created_by: str
    expires: str | None
    revoked: str | None


class Keys:
    """The keys of every workspace."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(
        self,
        workspace: str,
        *,
        name: str | None,
        role: str,
        hashed: str,
        expires: str | None,
        actor: str,
    ) -> Key:
        """Adds a key; its workspace is made if it is new.

        Raises:
            Conflict: the workspace has, or had, a key of this name.
        """
        key_id = uuid4().hex[:12]
        key = Key(
            id=key_id,
            workspace=workspace,
            name=name or f"{role}-{key_id}",
            role=role,
            hash=hashed,
            created=now(),
            created_by=actor,
            expires=expires,
            revoked=None,
        )
        with self._database.write() as connection:
            there = select(workspaces.c.name).where(workspaces.c.name == workspace)
            if connection.execute(there).first() is None:
                connection.execute(insert(workspaces).values(name=workspace, created=key.created))
            same = (keys.c.workspace == workspace) & (keys.c.name == key.name)
            if connection.execute(select(keys.c.id).where(same)).first() is not None:
                raise Conflict(
                    f"Workspace '{workspace}' has, or had, a key named '{key.name}'.",
                    hint="Choose another name: the audit tells keys apart by it.",
                )
            connection.execute(insert(keys).values(_values(key)))
            details = {"name": key.name, "role": role, "expires": expires}
            note(connection, workspace, actor, "key.create", key.id, details=details)
        return key

    def revoke(self, workspace: str, key_id: str, *, actor: str) -> Key:
        """Takes a key back, for ever. Safe to repeat.

        Raises:
            NotFound: the workspace has no such key.
        """
        mine = (keys.c.workspace == workspace) & (keys.c.id == key_id)
        with self._database.write() as connection:
            row = connection.execute(select(keys).where(mine)).first()
            if row is None:
                raise NotFound("key", key_id, hint="GET /v1/keys lists those there are.")
            if row.revoked is None:
                connection.execute(update(keys).where(mine).values(revoked=now()))
                note(connection, workspace, actor, "key.revoke", key_id, details={"name": row.name})
            return _key(connection.execute(select(keys).where(mine)).one())

    def all(self, workspace: str | None = None) -> list[Key]:
        """The keys of one workspace or of all, oldest first, with those that open nothing now."""
        query = select(keys).order_by(keys.c.created, keys.c.id)
        if workspace is not None:
            query = query.where(keys.c.workspace == workspace)
        with self._database.read() as connection:
            return [_key(row) for row in connection.execute(query)]

    def any(self) -> bool:
        """Whether there ever was a key: a home that had one stays closed without."""
        with self._database.read() as connection:
            return connection.execute(select(keys.c.id).limit(1)).first() is not None


def _values(key: Key) -> dict[str, Any]:
    return {field.name: getattr(key, field.name) for field in fields(Key)}


def _key(row: Row[Any]) -> Key:
    return Key(**{field.name: getattr(row, field.name) for field in fields(Key)})
