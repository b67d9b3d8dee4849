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


NO_GROUP = ""
"""In place of a group: whichever an image has is taken away, where None would leave it."""

NO_ROW = 0
"""Stands for the row of an image that is not in the table yet; those that are count from 1."""

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


def add(connection: Connection, dataset_id: int, images: Sequence[Labelled], held: Entries) -> None:
    """Adds images, or what is new of those that are held; a second label is a second row."""
    fresh: list[tuple[str, int]] = []
    for image in images:
        entries = held.setdefault(image.digest, [])
        places = _places(entries, image)
        for at in places:
            row, old = entries[at]
            merged = _merged(old, replace(image, label=image.label or old.label))
            if merged != old and row != NO_ROW:
                change = update(labels).where(labels.c.id == row)
                connection.execute(change.values(_values(merged)))
            entries[at] = row, merged
        if not places:
            fresh.append((image.digest, len(entries)))
            entries.append((NO_ROW, image))
    if fresh:
        shared = {"dataset_id": dataset_id, "added": now()}
        rows = [{**shared, **_values(held[digest][at][1])} for digest, at in fresh]
        connection.execute(insert(labels), rows)


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


def _places(entries: Sequence[tuple[int, Labelled]], new: Labelled) -> list[int]:
    """Which entries of an image say the same as a new one, or could."""
    same = [at for at, (_, old) in enumerate(entries) if new.label in (None, old.label)]
    return same or [at for at, (_, old) in enumerate(entries) if old.label is None]


def _merged(old: Labelled, new: Labelled) -> Labelled:
    return Labelled(
        digest=old.digest,
        label=new.label,
        group=old.group if new.group is None else new.group or None,
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
