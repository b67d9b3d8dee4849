"""What the service knows of names: datasets, heads, jobs, keys and more. SQL lives here alone."""

from collections.abc import Collection
from pathlib import Path

from sqlalchemy import ColumnElement, Connection, delete, insert, select, update

from service.catalog.aliases import CHAMPION, AliasMove
from service.catalog.audit import SYSTEM, Audit, note
from service.catalog.database import Database, now
from service.catalog.datasets import Datasets, DatasetSummary
from service.catalog.entries import ELSEWHERE, HeadEntry, Version
from service.catalog.heads import Heads
from service.catalog.job import FINISHED, Job
from service.catalog.jobs import Jobs
from service.catalog.keys import Key, Keys
from service.catalog.labels import NO_GROUP, Labelled
from service.catalog.paths import known_workspace, strange_names
from service.catalog.spaces import Spaces
from service.catalog.tables import erasures, registry, workspaces
from service.errors import ErasurePending

__all__ = [
    "CHAMPION",
    "ELSEWHERE",
    "FINISHED",
    "NO_GROUP",
    "SYSTEM",
    "AliasMove",
    "Audit",
    "Catalog",
    "Database",
    "DatasetSummary",
    "Datasets",
    "HeadEntry",
    "Heads",
    "Job",
    "Jobs",
    "Key",
    "Keys",
    "Labelled",
    "Spaces",
    "Version",
    "now",
    "strange_names",
]


class Catalog:
    """A catalog, migrated to this release's tables.

    Args:
        place: SQLAlchemy URL, or a file of SQLite's.

    Raises:
        CatalogUnavailable: it cannot be opened, or a newer release wrote it.
    """

    def __init__(self, place: str | Path) -> None:
        self.database = Database(place)
        self.datasets = Datasets(self.database)
        self.heads = Heads(self.database)
        self.jobs = Jobs(self.database)
        self.spaces = Spaces(self.database)
        self.keys = Keys(self.database)
        self.audit = Audit(self.database)

    def belongs_to(self, home: str) -> str:
        """The id of the home that this catalog belongs to: the first that asks."""
        query = select(registry.c.home)
        with self.database.read() as connection:
            found = connection.execute(query).scalar()
        if found is None:
            with self.database.write() as connection:
                connection.execute(
                    update(registry).where(registry.c.home.is_(None)).values(home=home)
                )
                found = connection.execute(query).scalar()
        return str(found)

    def make_workspace(self, name: str) -> None:
        """Makes a workspace, if it is new."""
        if name in self.workspaces():
            return
        with self.database.write() as connection:
            there = select(workspaces.c.name).where(workspaces.c.name == name)
            if connection.execute(there).first() is None:
                connection.execute(insert(workspaces).values(name=name, created=now()))

    def workspaces(self) -> list[str]:
        """Every workspace, by name.

        Raises:
            CatalogUnavailable: no workspace can have the name of one; folders are called so.
        """
        with self.database.read() as connection:
            query = select(workspaces.c.name).order_by(workspaces.c.name)
            return [known_workspace(name) for name in connection.execute(query).scalars()]

    def begin_erasure(
        self, workspace: str, digest: str, *, stored: bool = True, actor: str = SYSTEM
    ) -> tuple[int, list[tuple[str, int]]]:
        """Notes the intent to erase an image and takes it out of datasets and training lists.

        Args:
            workspace: whose image.
            digest: which.
            stored: whether there is anything of it outside the catalog.
            actor: who asked for it.

        Returns:
            (entries removed from datasets, [(head, version) trained on it]).
        """
        with self.database.write() as connection:
            trained = self.heads.trained_on(connection, workspace, digest)
            removed = self.datasets.remove_image(connection, workspace, digest)
            self.heads.forget_image(connection, workspace, digest)
            self._note_erasure(connection, workspace, digest)
            if stored or removed or trained:
                heads = [f"{name}@{version}" for name, version in trained]
                details = {"datasets": removed, "heads": heads}
                note(connection, workspace, actor, "image.erase", digest, details=details)
        return removed, trained

    def remove_dataset(self, workspace: str, name: str, *, actor: str = SYSTEM) -> set[str]:
        """Removes a dataset and notes the intent to erase the images that no other one holds."""
        with self.database.write() as connection:
            orphans = self.datasets.remove(connection, workspace, name)
            for digest in orphans:
                self._note_erasure(connection, workspace, digest)
            note(
                connection,
                workspace,
                actor,
                "dataset.delete",
                name,
                details={"images": len(orphans)},
            )
        return orphans

    def erase_strays(self, workspace: str, digests: Collection[str]) -> set[str]:
        """Notes the intent to erase those images that no dataset of the workspace holds."""
        with self.database.write() as connection:
            strays = set(digests) - self.datasets.held(connection, workspace, digests)
            for digest in strays:
                self._note_erasure(connection, workspace, digest)
        return strays

    def finish_erasures(self, workspace: str, digests: Collection[str]) -> None:
        """Says that nothing of the images is left anywhere, after seeing to that here.

        Raises:
            ErasurePending: deleted rows are still in the catalog's log.
        """
        if not self.database.empty_log():
            raise ErasurePending
        with self.database.write() as connection:
            for digest in digests:
                connection.execute(delete(erasures).where(_erasure(workspace, digest)))

    def open_erasures(self) -> list[tuple[str, str]]:
        """(workspace, digest) of erasures that are not finished."""
        with self.database.read() as connection:
            rows = connection.execute(select(erasures))
            return [(r.workspace, r.digest) for r in rows]

    def close(self) -> None:
        """Closes every connection."""
        self.database.close()

    @staticmethod
    def _note_erasure(connection: Connection, workspace: str, digest: str) -> None:
        connection.execute(delete(erasures).where(_erasure(workspace, digest)))
        values = {"workspace": workspace, "digest": digest, "requested": now()}
        connection.execute(insert(erasures).values(values))


def _erasure(workspace: str, digest: str) -> ColumnElement[bool]:
    return (erasures.c.workspace == workspace) & (erasures.c.digest == digest)
