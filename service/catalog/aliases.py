"""Aliases of heads and who moved them when, within a transaction. Knows heads by their row's id."""

from dataclasses import dataclass

from sqlalchemy import Connection, delete, func, insert, select, update

from service.catalog.database import now
from service.catalog.tables import alias_moves, aliases, registry, versions

CHAMPION = "champion"
"""The alias that answers where no version is named. The first version of a head takes it."""


@dataclass(frozen=True, slots=True)
class AliasMove:
    """One line of an alias's history; a version of None means that it was removed."""

    alias: str
    version: int | None
    previous: int | None
    reason: str
    actor: str
    at: str


def pointed(connection: Connection, head_id: int, alias: str) -> int | None:
    """The version that an alias points to, if there is such an alias."""
    row = (aliases.c.head_id == head_id) & (aliases.c.alias == alias)
    return connection.execute(select(aliases.c.version).where(row)).scalar()


def move(
    connection: Connection, head_id: int, alias: str, version: int | None, reason: str, actor: str
) -> None:
    """Points an alias to a version, or removes it, and writes down who did it."""
    previous = pointed(connection, head_id, alias)
    row = (aliases.c.head_id == head_id) & (aliases.c.alias == alias)
    connection.execute(delete(aliases).where(row))
    if version is not None:
        values = {"head_id": head_id, "alias": alias, "version": version}
        connection.execute(insert(aliases).values(values))
    connection.execute(
        insert(alias_moves).values(
            head_id=head_id,
            alias=alias,
            version=version,
            previous=previous,
            reason=reason,
            actor=actor,
            at=now(),
        )
    )


def reseat(connection: Connection, head_id: int, gone: list[int], actor: str) -> None:
    """Takes aliases off versions that are gone; the newest version left becomes champion."""
    of_head = select(func.max(versions.c.version)).where(versions.c.head_id == head_id)
    newest = connection.execute(of_head).scalar()
    lost = (aliases.c.head_id == head_id) & aliases.c.version.in_(gone)
    for alias in list(connection.execute(select(aliases.c.alias).where(lost)).scalars()):
        heir = newest if alias == CHAMPION else None
        move(connection, head_id, alias, heir, "its version was deleted", actor)


def moves(connection: Connection, head_id: int) -> list[AliasMove]:
    """Every move of a head's aliases, newest first."""
    query = select(alias_moves).where(alias_moves.c.head_id == head_id)
    rows = connection.execute(query.order_by(alias_moves.c.id.desc()))
    return [AliasMove(r.alias, r.version, r.previous, r.reason, r.actor, r.at) for r in rows]


def advance(connection: Connection) -> None:
    """Moves the generation: some head, version or alias is not what it was."""
    connection.execute(update(registry).values(generation=registry.c.generation + 1))
