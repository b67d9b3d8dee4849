"""The rows that say what images of a dataset show, within a transaction. Knows datasets by id."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection, Row, delete, insert, select, update

from service.catalog.database import now
from service.catalog.tables import labels

BATCH = 500
"""Digests in one SQL statement: well under what any database takes as parameters."""


@dataclass(frozen=True, slots=True)
class Labelled:
    """One image of a dataset under one label.

    Args:
        digest: the image.
        label: what it shows; None where it is not labelled yet.
        group: patient, slide or whatever ties images that must not be split.
        split: `train` or `test` where the dataset has an official split.
        filename: the name it came with, for people; never a path.
    """

    digest: str
    label: str | None = None
    group: str | None = None
    split: str | None = None
    filename: str | None = None


Entries = dict[str, list[tuple[int, Labelled]]]
"""Digest → (row, image) for each of its labels, the oldest first."""


def labelled(row: Row[Any]) -> Labelled:
    """A row of the table as an image."""
    return Labelled(row.digest, row.label, row.group, row.split, row.filename)


def present(connection: Connection, dataset_id: int, digests: Collection[str]) -> Entries:
    """Those of the images that a dataset holds."""
    found: Entries = {}
    for some in batches(list(dict.fromkeys(digests))):
        query = select(labels).where(labels.c.dataset_id == dataset_id, labels.c.digest.in_(some))
        for row in connection.execute(query.order_by(labels.c.id)):
            found.setdefault(row.digest, []).append((row.id, labelled(row)))
    return found


def add(connection: Connection, dataset_id: int, new: Labelled, held: Entries) -> None:
    """Adds an image, or what is new of one that is held; a second label is a second row."""
    entries = held.setdefault(new.digest, [])
    same = [at for at, (_, old) in enumerate(entries) if new.label in (None, old.label)]
    unlabelled = [at for at, (_, old) in enumerate(entries) if old.label is None]
    places = same or unlabelled
    for at in places:
        row, old = entries[at]
        merged = _merged(old, replace(new, label=new.label or old.label))
        if merged != old:
            connection.execute(update(labels).where(labels.c.id == row).values(_values(merged)))
            entries[at] = row, merged
    if not places:
        values = {"dataset_id": dataset_id, "added": now(), **_values(new)}
        made = insert(labels).values(values).returning(labels.c.id)
        entries.append((connection.execute(made).scalar_one(), new))


def relabel(connection: Connection, new: Labelled, held: Entries) -> None:
    """Replaces every label of a held image by one; its place in the dataset stays."""
    (row, old), *others = held[new.digest]
    rows = [other for other, _ in others]
    connection.execute(delete(labels).where(labels.c.id.in_(rows)))
    merged = _merged(old, new)
    connection.execute(update(labels).where(labels.c.id == row).values(_values(merged)))
    held[new.digest] = [(row, merged)]


def batches(items: Sequence[str]) -> Iterator[Sequence[str]]:
    """The items, as many at a time as one statement takes."""
    return (items[start : start + BATCH] for start in range(0, len(items), BATCH))


def _merged(old: Labelled, new: Labelled) -> Labelled:
    return Labelled(
        digest=old.digest,
        label=new.label,
        group=old.group if new.group is None else new.group,
        split=old.split if new.split is None else new.split,
        filename=old.filename or new.filename,
    )


def _values(image: Labelled) -> dict[str, str | None]:
    return {
        "digest": image.digest,
        "label": image.label,
        "group": image.group,
        "split": image.split,
        "filename": image.filename,
    }
