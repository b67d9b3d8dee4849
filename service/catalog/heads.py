"""Heads and their versions. Knows nothing of artefacts but their hashes."""

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import Connection, delete, func, insert, select, update

from service.catalog.aliases import CHAMPION, AliasMove, advance, move, moves, pointed, reseat
from service.catalog.audit import note
from service.catalog.database import Database, now
from service.catalog.entries import ELSEWHERE, HeadEntry, entries
from service.catalog.tables import heads, registry, training_images, versions
from service.errors import NotFound
from service.names import check_name


@dataclass(frozen=True, slots=True)
class TrainingImage:
    """An image that a version was trained on, or tested on where an official split says so.

    Args:
        digest: the image.
        label: as it was then.
        row: of the head's out-of-fold answers; None where it has none.
    """

    digest: str
    label: str
    row: int | None


class Heads:
    """The heads of every workspace."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._seen: tuple[int | None, int] = (None, 0)

    def generation(self) -> int:
        """Moves at every change of any head, version or alias."""
        changes, (seen, generation) = self._database.changes(), self._seen
        if changes is not None and changes == seen:
            return generation
        generation = self.generation_anew()
        # As of before the query: a commit meanwhile is asked about again the next time.
        self._seen = changes, generation
        return generation

    def generation_anew(self) -> int:
        """The same, whatever is remembered: raises where the catalog cannot be read."""
        with self._database.read() as connection:
            return int(connection.execute(select(registry.c.generation)).scalar() or 0)

    def generation_now(self) -> int | None:
        """The same, if the catalog need not be asked for it; None where it must be."""
        changes, (seen, generation) = self._database.changes(), self._seen
        return generation if changes is not None and changes == seen else None

    def register(  # noqa: PLR0913 - a version is made of this much
        self,
        connection: Connection,
        workspace: str,
        name: str,
        *,
        artefact: str,
        space_id: str,
        dataset: str,
        training: Mapping[str, str],
        actor: str,
        rows: Mapping[str, int] | None = None,
    ) -> int:
        """Adds a version within a transaction; the first one becomes the champion.

        Args:
            connection: an open write transaction.
            workspace: whose head it is.
            name: the head.
            artefact: content hash in the zoo.
            space_id: the space of its vectors.
            dataset: the dataset's name, or `ELSEWHERE`.
            training: digest → label of the images that it was trained on.
            actor: who did it, for the alias's history.
            rows: digest → row of the head's out-of-fold answers, for those that have one.

        Returns:
            The version's number.
        """
        check_name("head", name)  # a job has it out of the catalog
        head_id, last = self._find_or_make(connection, workspace, name)
        version = last + 1
        connection.execute(update(heads).where(heads.c.id == head_id).values(last_version=version))
        made = {"version": version, "artefact": artefact}
        row = {"head_id": head_id, **made, "space_id": space_id, "dataset": dataset}
        connection.execute(insert(versions).values(**row, created=now()))
        if training:
            row_of, mine = rows or {}, {"head_id": head_id, "version": version}
            images = [
                {**mine, "digest": d, "label": label, "row": row_of.get(d)}
                for d, label in training.items()
            ]
            connection.execute(insert(training_images), images)
        if pointed(connection, head_id, CHAMPION) is None:
            move(connection, head_id, CHAMPION, version, "first version", actor)
        action = "head.import" if dataset == ELSEWHERE else "head.register"
        note(connection, workspace, actor, action, name, details=made)
        advance(connection)
        return version

    def version_of(
        self, connection: Connection, workspace: str, name: str, artefact: str
    ) -> int | None:
        """The first version of a head that has this artefact; None where it has not."""
        query = (
            select(func.min(versions.c.version))
            .join(heads)
            .where(
                heads.c.workspace == workspace,
                heads.c.name == name,
                versions.c.artefact == artefact,
            )
        )
        return connection.execute(query).scalar()

    def entries(self, workspace: str) -> list[HeadEntry]:
        """Every head that has a version, by name."""
        with self._database.read() as connection:
            return entries(connection, heads.c.workspace == workspace)

    def entry(self, workspace: str, name: str) -> HeadEntry:
        """One head."""
        with self._database.read() as connection:
            condition = (heads.c.workspace == workspace) & (heads.c.name == name)
            found = entries(connection, condition)
        if not found:
            raise NotFound("head", name, hint="GET /v1/heads lists those there are.")
        return found[0]

    def training_labels(self, workspace: str, name: str, version: int) -> dict[str, str]:
        """Digest → label of the images that a version was trained on (erased ones left out)."""
        images = self.training_images(workspace, name, version)
        return {image.digest: image.label for image in images}

    def training_images(self, workspace: str, name: str, version: int) -> list[TrainingImage]:
        """The images that a version was trained on, by digest (erased ones left out)."""
        columns = training_images.c
        query = (
            select(columns.digest, columns.label, columns.row)
            .join(heads, heads.c.id == columns.head_id)
            .where(heads.c.workspace == workspace, heads.c.name == name, columns.version == version)
            .order_by(columns.digest)
        )
        with self._database.read() as connection:
            return [TrainingImage(r[0], r[1], r[2]) for r in connection.execute(query)]

    def trained_on(
        self, connection: Connection, workspace: str, digest: str
    ) -> list[tuple[str, int]]:
        """(head, version) of every version that was trained on an image."""
        query = (
            select(heads.c.name, training_images.c.version)
            .join(heads, heads.c.id == training_images.c.head_id)
            .where(heads.c.workspace == workspace, training_images.c.digest == digest)
            .order_by(heads.c.name, training_images.c.version)
        )
        return [(r.name, r.version) for r in connection.execute(query)]

    def forget_image(self, connection: Connection, workspace: str, digest: str) -> None:
        """Drops an erased image from the lists of training images."""
        of_workspace = select(heads.c.id).where(heads.c.workspace == workspace)
        connection.execute(
            delete(training_images).where(
                training_images.c.digest == digest, training_images.c.head_id.in_(of_workspace)
            )
        )
        advance(connection)

    def point(
        self, workspace: str, name: str, alias: str, version: int, *, reason: str, actor: str
    ) -> None:
        """Points an alias to a version."""
        with self._database.write() as connection:
            head_id = self._id(connection, workspace, name)
            self._require(connection, head_id, name, version)
            move(connection, head_id, alias, version, reason, actor)
            details = {"alias": alias, "version": version}
            note(connection, workspace, actor, "head.point", name, details=details)
            advance(connection)

    def protect(self, workspace: str, name: str, *, protected: bool, actor: str) -> None:
        """Lets only admins move a head's aliases and delete it, or everybody who may train."""
        with self._database.write() as connection:
            head_id = self._id(connection, workspace, name)
            row = update(heads).where(heads.c.id == head_id)
            connection.execute(row.values(protected=protected))
            note(
                connection, workspace, actor, "head.protect", name, details={"protected": protected}
            )

    def is_protected(self, workspace: str, name: str) -> bool:
        """Whether a head is protected; one that does not exist is not."""
        query = select(heads.c.protected).where(
            heads.c.workspace == workspace, heads.c.name == name
        )
        with self._database.read() as connection:
            return bool(connection.execute(query).scalar())

    def history(self, workspace: str, name: str) -> list[AliasMove]:
        """Who moved which alias when, newest first."""
        with self._database.read() as connection:
            head_id = self._id(connection, workspace, name)
            return moves(connection, head_id)

    def remove_version(self, workspace: str, name: str, version: int, *, actor: str) -> set[str]:
        """Removes one version and the aliases on it; returns artefacts that nothing uses now.

        A champion that is removed is succeeded by the newest version left.
        """
        with self._database.write() as connection:
            head_id = self._id(connection, workspace, name)
            self._require(connection, head_id, name, version)
            note(connection, workspace, actor, "version.delete", name, details={"version": version})
            return self._remove(connection, workspace, head_id, [version], actor)

    def remove(self, workspace: str, name: str, *, actor: str) -> set[str]:
        """Removes every version of a head; returns artefacts that nothing uses now."""
        with self._database.write() as connection:
            head_id = self._id(connection, workspace, name)
            query = select(versions.c.version).where(versions.c.head_id == head_id)
            numbers = list(connection.execute(query).scalars())
            note(connection, workspace, actor, "head.delete", name, details={"versions": numbers})
            return self._remove(connection, workspace, head_id, numbers, actor)

    def artefacts(self, workspace: str) -> set[str]:
        """Every artefact that a version of the workspace uses."""
        query = select(versions.c.artefact).join(heads).where(heads.c.workspace == workspace)
        with self._database.read() as connection:
            return set(connection.execute(query).scalars())

    def first(self, workspace: str) -> str:
        """When a workspace's first head was named, also if it is gone: other catalogs differ."""
        query = select(func.min(heads.c.created)).where(heads.c.workspace == workspace)
        with self._database.read() as connection:
            return str(connection.execute(query).scalar())

    def _remove(
        self, connection: Connection, workspace: str, head_id: int, numbers: list[int], actor: str
    ) -> set[str]:
        mine = (versions.c.head_id == head_id) & versions.c.version.in_(numbers)
        dropped = set(connection.execute(select(versions.c.artefact).where(mine)).scalars())
        connection.execute(delete(versions).where(mine))
        connection.execute(
            delete(training_images).where(
                training_images.c.head_id == head_id, training_images.c.version.in_(numbers)
            )
        )
        reseat(connection, head_id, numbers, actor)
        kept = select(versions.c.artefact).join(heads).where(heads.c.workspace == workspace)
        advance(connection)
        return dropped - set(connection.execute(kept).scalars())

    @staticmethod
    def _find_or_make(connection: Connection, workspace: str, name: str) -> tuple[int, int]:
        query = select(heads.c.id, heads.c.last_version).where(
            heads.c.workspace == workspace, heads.c.name == name
        )
        found = connection.execute(query).first()
        if found is not None:
            return found.id, found.last_version
        values = {"workspace": workspace, "name": name, "created": now(), "last_version": 0}
        made = insert(heads).values(values).returning(heads.c.id)
        return connection.execute(made).scalar_one(), 0

    @staticmethod
    def _id(connection: Connection, workspace: str, name: str) -> int:
        query = (
            select(heads.c.id)
            .join(versions)
            .where(heads.c.workspace == workspace, heads.c.name == name)
            .limit(1)
        )
        found = connection.execute(query).scalar()
        if found is None:
            raise NotFound("head", name, hint="GET /v1/heads lists those there are.")
        return int(found)

    @staticmethod
    def _require(connection: Connection, head_id: int, name: str, version: int) -> None:
        # Compared here: a client's number may be larger than any that a database takes.
        query = select(versions.c.version).where(versions.c.head_id == head_id)
        if version not in set(connection.execute(query).scalars()):
            raise NotFound(
                "version", f"{name}@{version}", hint=f"GET /v1/heads/{name} lists its versions."
            )
