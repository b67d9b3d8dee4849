"""Datasets, their images and labels. Knows nothing of vectors, bytes or heads."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from sqlalchemy import Column, Connection, Select, and_, delete, func, insert, select

from service.catalog import labels as label_rows
from service.catalog.audit import SYSTEM, note
from service.catalog.database import Database, now
from service.catalog.labels import Labelled, batches, labelled, present
from service.catalog.tables import datasets, erasures, labels
from service.errors import Conflict, NotFound


@dataclass(frozen=True, slots=True)
class DatasetSummary:
    """A dataset in numbers.

    Args:
        name: the dataset.
        created: RFC 3339 time.
        images: distinct images.
        labels: images for each label.
        unlabelled: images without a label.
        groups: distinct groups.
    """

    name: str
    created: str
    images: int
    labels: dict[str, int]
    unlabelled: int
    groups: int


class Datasets:
    """The datasets of every workspace."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(
        self, workspace: str, name: str, images: Sequence[Labelled], *, actor: str = SYSTEM
    ) -> tuple[list[str], list[str]]:
        """Adds labelled images to a dataset, which is made if it is new.

        An image that has this label already stays as it is, but for a group or split that was not
        said of it before; what is said last counts. Under another label it is kept twice, so that
        the label check can name it.

        Returns:
            (added, known): digests that the dataset did not hold, and those that it did.

        Raises:
            Conflict: an image is being erased at this moment.
        """
        digests = [i.digest for i in images]
        with self._database.write() as connection:
            _refuse_erasing(connection, workspace, digests)
            dataset_id = self._find_or_make(connection, workspace, name, actor)
            held = present(connection, dataset_id, digests)
            known = [d for d in digests if d in held]
            added = [d for d in dict.fromkeys(digests) if d not in held]
            label_rows.add(connection, dataset_id, images, held)
            if images:
                counts = {"added": len(added), "known": len(set(known))}
                note(connection, workspace, actor, "dataset.add", name, details=counts)
        return added, known

    def relabel(
        self, workspace: str, name: str, images: Sequence[Labelled], *, actor: str = SYSTEM
    ) -> list[str]:
        """Replaces every label of the given images; returns digests that are not in the dataset."""
        with self._database.write() as connection:
            dataset_id = self._id(connection, workspace, name)
            held = present(connection, dataset_id, [i.digest for i in images])
            for image in images:
                if image.digest in held:
                    label_rows.relabel(connection, image, held)
            note(
                connection,
                workspace,
                actor,
                "dataset.relabel",
                name,
                details={"images": len(images)},
            )
        return [i.digest for i in images if i.digest not in held]

    def images(self, workspace: str, name: str) -> list[Labelled]:
        """Every image of a dataset, one entry for each of its labels, in order of arrival."""
        with self._database.read() as connection:
            dataset_id = self._id(connection, workspace, name)
            rows = connection.execute(
                select(labels).where(labels.c.dataset_id == dataset_id).order_by(labels.c.id)
            )
            return [labelled(r) for r in rows]

    def newest(self) -> int:
        """The number of the newest label of all; another once images have come."""
        with self._database.read() as connection:
            return connection.execute(select(func.max(labels.c.id))).scalar() or 0

    def digests(
        self, workspace: str, name: str | None = None, label: str | None = None
    ) -> set[str]:
        """The images of a workspace, of one dataset, or with one label."""
        query = select(labels.c.digest).join(datasets).where(datasets.c.workspace == workspace)
        if label is not None:
            query = query.where(labels.c.label == label)
        with self._database.read() as connection:
            if name is not None:
                query = query.where(datasets.c.id == self._id(connection, workspace, name))
            return set(connection.execute(query).scalars())

    def describe(
        self,
        workspace: str,
        digests: Sequence[str],
        dataset: str | None = None,
        label: str | None = None,
    ) -> dict[str, tuple[str, Labelled]]:
        """For each digest: (dataset, image) of its oldest entry, in this dataset, with this label.

        Digests that have no such entry are absent.
        """
        found: dict[str, tuple[str, Labelled]] = {}
        with self._database.read() as connection:
            for some in batches(digests):
                query = (
                    select(labels, datasets.c.name.label("dataset"))
                    .join(datasets)
                    .where(datasets.c.workspace == workspace, labels.c.digest.in_(some))
                    .order_by(labels.c.id.desc())
                )
                if dataset is not None:
                    query = query.where(datasets.c.name == dataset)
                if label is not None:
                    query = query.where(labels.c.label == label)
                for r in connection.execute(query):
                    found[r.digest] = (r.dataset, labelled(r))
        return found

    def summary(self, workspace: str, name: str) -> DatasetSummary:
        """One dataset in numbers."""
        with self._database.read() as connection:
            dataset_id = self._id(connection, workspace, name)
            made = select(datasets.c.created).where(datasets.c.id == dataset_id)
            created = connection.execute(made).scalar_one()
            mine = labels.c.dataset_id == dataset_id
            images = connection.execute(_distinct(labels.c.digest).where(mine)).scalar_one()
            groups = connection.execute(_distinct(labels.c.group).where(mine)).scalar_one()
            counts, unlabelled = _by_label(connection, dataset_id)
        return DatasetSummary(name, created, images, counts, unlabelled, groups)

    def label_counts(self, workspace: str, name: str) -> dict[str, int]:
        """Images of a dataset for each label; those without one are not among them."""
        with self._database.read() as connection:
            return _by_label(connection, self._id(connection, workspace, name))[0]

    def names(self, workspace: str) -> list[str]:
        """The datasets of a workspace, by name."""
        query = select(datasets.c.name).where(datasets.c.workspace == workspace)
        with self._database.read() as connection:
            return sorted(connection.execute(query).scalars())

    def remove(self, connection: Connection, workspace: str, name: str) -> set[str]:
        """Removes a dataset, within a transaction.

        Returns:
            The images that no other dataset of the workspace holds.
        """
        dataset_id = self._id(connection, workspace, name)
        mine = select(labels.c.digest).where(labels.c.dataset_id == dataset_id)
        others = (
            select(labels.c.digest)
            .join(datasets)
            .where(datasets.c.workspace == workspace, labels.c.dataset_id != dataset_id)
        )
        orphans = set(connection.execute(mine.except_(others)).scalars())
        connection.execute(delete(labels).where(labels.c.dataset_id == dataset_id))
        connection.execute(delete(datasets).where(datasets.c.id == dataset_id))
        return orphans

    def remove_image(self, connection: Connection, workspace: str, digest: str) -> int:
        """Removes an image from every dataset of a workspace, within a transaction."""
        of_workspace = select(datasets.c.id).where(datasets.c.workspace == workspace)
        condition = and_(labels.c.digest == digest, labels.c.dataset_id.in_(of_workspace))
        return connection.execute(delete(labels).where(condition)).rowcount

    def held(self, connection: Connection, workspace: str, digests: Collection[str]) -> set[str]:
        """Those of these images that a dataset of the workspace holds, within a transaction."""
        found = set[str]()
        for some in batches(list(digests)):
            query = select(labels.c.digest).join(datasets)
            mine = query.where(datasets.c.workspace == workspace, labels.c.digest.in_(some))
            found.update(connection.execute(mine).scalars())
        return found

    def _find_or_make(self, connection: Connection, workspace: str, name: str, actor: str) -> int:
        query = select(datasets.c.id).where(
            datasets.c.workspace == workspace, datasets.c.name == name
        )
        found = connection.execute(query).scalar()
        if found is not None:
            return int(found)
        values = {"workspace": workspace, "name": name, "created": now()}
        made = insert(datasets).values(values).returning(datasets.c.id)
        note(connection, workspace, actor, "dataset.create", name)
        return int(connection.execute(made).scalar_one())

    def _id(self, connection: Connection, workspace: str, name: str) -> int:
        query = select(datasets.c.id).where(
            datasets.c.workspace == workspace, datasets.c.name == name
        )
        found = connection.execute(query).scalar()
        if found is None:
            raise NotFound("dataset", name, hint="GET /v1/datasets lists those there are.")
        return int(found)

    def count(self, workspace: str) -> int:
        """Distinct images in the datasets of a workspace."""
        query = _distinct(labels.c.digest).join(datasets).where(datasets.c.workspace == workspace)
        with self._database.read() as connection:
            return int(connection.execute(query).scalar_one())


def _by_label(connection: Connection, dataset_id: int) -> tuple[dict[str, int], int]:
    """Images for each label, and those without one."""
    query = select(labels.c.label, func.count()).where(labels.c.dataset_id == dataset_id)
    counts = {row[0]: row[1] for row in connection.execute(query.group_by(labels.c.label))}
    unlabelled = counts.pop(None, 0)
    return dict(sorted(counts.items())), unlabelled


def _distinct(column: Column[str]) -> Select[int]:
    return select(func.count(column.distinct()))


def _refuse_erasing(connection: Connection, workspace: str, digests: Sequence[str]) -> None:
    for some in batches(digests):
        query = select(erasures.c.digest).where(
            erasures.c.workspace == workspace, erasures.c.digest.in_(some)
        )
        erasing = connection.execute(query).scalar()
        if erasing is not None:
            raise Conflict(f"Image {erasing} is being erased.", hint="Try again in a moment.")
