"""Heads as they stand, with their versions and aliases, read within a transaction. Changes none."""

from collections.abc import Mapping
from dataclasses import dataclass
from operator import itemgetter

from sqlalchemy import ColumnElement, Connection, select

from service.catalog.tables import aliases, heads, versions

ELSEWHERE = ""
"""In place of a dataset: the version came as a file, and its images never were here."""


@dataclass(frozen=True, slots=True)
class Version:
    """One version of a head; it never changes.

    Args:
        head: the head's name.
        version: counts from 1; a number is never given twice.
        artefact: content hash of the artefact in the zoo.
        space_id: the space of the vectors that it takes.
        dataset: what it was trained on; `ELSEWHERE` where that is not here.
        created: RFC 3339 time.
    """

    head: str
    version: int
    artefact: str
    space_id: str
    dataset: str
    created: str


@dataclass(frozen=True, slots=True)
class HeadEntry:
    """A head with its versions (oldest first) and aliases; only admins change a protected one."""

    name: str
    created: str
    versions: tuple[Version, ...]
    aliases: Mapping[str, int]
    protected: bool = False


def entries(connection: Connection, condition: ColumnElement[bool]) -> list[HeadEntry]:
    """The heads that a condition finds and that have a version, by name."""
    rows = connection.execute(
        select(
            *(heads.c.id, heads.c.name, heads.c.created.label("made"), heads.c.protected),
            versions,
        )
        .join(versions)
        .where(condition)
        .order_by(versions.c.version)
    ).all()
    named: dict[int, dict[str, int]] = {}
    of_heads = select(aliases).join(heads).where(condition)
    for r in connection.execute(of_heads):
        named.setdefault(r.head_id, {})[r.alias] = r.version
    grouped: dict[int, list[Version]] = {}
    heads_by_id: dict[int, tuple[str, str, bool]] = {}
    for r in rows:
        heads_by_id[r.id] = (r.name, r.made, r.protected)
        grouped.setdefault(r.id, []).append(
            Version(r.name, r.version, r.artefact, r.space_id, r.dataset, r.created)
        )
    return [
        HeadEntry(name, made, tuple(grouped[key]), named.get(key, {}), protected)
        for key, (name, made, protected) in sorted(heads_by_id.items(), key=itemgetter(1))
    ]
