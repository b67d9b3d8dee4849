"""What a backup says of itself: every file with its size and hash. Copies files; makes no backup.

A backup is a folder: `manifest.json`, `catalog.sqlite`, and the folders `images`, `zoo`, `records`,
`weights` and `cache/engines` as they lie in a home.
"""

import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from features.disk import make_folder
from service.catalog import strange_names
from service.catalog.database import REVISION
from service.errors import BackupRejected, CatalogUnavailable
from service.workspace import ENGINES, IMAGES, WEIGHTS, ZOO

FORMAT = 1
"""Layout of a backup. Raise it with any change, and go on reading the older ones."""

MANIFEST, CATALOG, RECORDS = "manifest.json", "catalog.sqlite", "records"

TOP = {CATALOG, IMAGES, ZOO, RECORDS, WEIGHTS, ENGINES.partition("/")[0]}
"""What a backup holds beside its manifest."""

CHUNK = 2**20


@dataclass(frozen=True, slots=True)
class Entry:
    """One file: its size and the SHA-256 of its bytes, in hexadecimal digits."""

    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a backup says of itself.

    Args:
        made: when its last file was written, RFC 3339.
        release: of which release.
        catalog: the catalog's revision.
        missing: what the catalog names and the home had lost before the backup was made.
        files: path below the backup, with `/` → size and hash.
        format: layout of the backup.
    """

    made: str
    release: str
    catalog: str
    missing: tuple[str, ...]
    files: dict[str, Entry]
    format: int = FORMAT

    def to_json(self) -> bytes:
        """The manifest as it is written."""
        return json.dumps(asdict(self), indent=1, sort_keys=True).encode()


def read_manifest(backup: Path) -> Manifest:
    """Reads what a backup says of itself, and whether this release understands it.

    Raises:
        BackupRejected: it is none, was written by a newer release, or names a path outside.
    """
    try:
        said: dict[str, Any] = json.loads((backup / MANIFEST).read_bytes())
        _refuse_newer(said["format"], str(said["catalog"]), str(said["release"]))
        files = {str(path): Entry(**entry) for path, entry in said["files"].items()}
        manifest = Manifest(**{**said, "files": files, "missing": tuple(said["missing"])})
    except (FileNotFoundError, NotADirectoryError) as error:
        raise BackupRejected(
            f"{backup} is no backup: it has no {MANIFEST}.",
            hint="Name the folder that `penultimate backup` made.",
        ) from error
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise BackupRejected(
            f"{backup / MANIFEST} cannot be read: {error}.", hint="Take another backup."
        ) from error
    strange = [path for path in files if not stays_inside(path)]
    if strange or CATALOG not in files:
        about = f"names '{strange[0][:100]}'" if strange else "names no catalog"
        raise BackupRejected(f"{backup / MANIFEST} {about}.", hint="Take another backup.")
    return manifest


def verify(backup: Path) -> Manifest:
    """Reads every file of a backup and compares it with the manifest.

    Raises:
        BackupRejected: it is damaged, or not one that this release can restore.
    """
    manifest = read_manifest(backup)
    with refusing_damage(backup) as damage:
        for path, entry in manifest.files.items():
            damage.check(path, entry, None)
    refuse_names(backup, backup / CATALOG)
    return manifest


def refuse_names(backup: Path, catalog: Path) -> None:
    """Refuses a backup whose catalog names what would be read, written or removed elsewhere.

    Args:
        backup: its folder.
        catalog: its catalog, compared with the manifest already.

    Raises:
        BackupRejected: there is such a name, or the catalog cannot be read.
    """
    hint = "It was changed by hand, or not made by Penultimate: take another backup."
    try:
        found = strange_names(catalog)
    except CatalogUnavailable as error:
        raise BackupRejected(f"{backup}: {error.detail}.", hint=hint) from error
    if found:
        raise BackupRejected(
            f"The catalog of {backup} names {found[0]}, and nothing can be called so. "
            "Nothing was restored.",
            hint=hint,
            problems=[
                {"code": BackupRejected.code, "detail": f"The catalog names {name}."}
                for name in found
            ],
        )


class Damage:
    """Collects what is wrong with the files of a backup.

    Args:
        backup: its folder.
    """

    def __init__(self, backup: Path) -> None:
        self.found: list[dict[str, str]] = []
        self._backup = backup

    def check(self, path: str, entry: Entry, copy: Path | None) -> None:
        """Compares one file with what the manifest says, while it is copied where that is asked."""
        try:
            if self._passes_a_link(path):
                self._add(path, "is a link")
            elif not (self._backup / path).is_file() and (self._backup / path).exists():
                self._add(path, "is no file")
            elif copy_file(self._backup / path, copy) != entry:
                self._add(path, "is not what was written")
        except (FileNotFoundError, NotADirectoryError):
            self._add(path, "is missing")

    def _add(self, path: str, what: str) -> None:
        self.found.append({"code": "backup_rejected", "detail": f"{path} {what}."})

    def _passes_a_link(self, path: str) -> bool:
        place = self._backup / path
        inside = [place, *place.parents][: len(PurePosixPath(path).parts)]
        return any(step.is_symlink() for step in inside)


@contextmanager
def refusing_damage(backup: Path) -> Iterator[Damage]:
    """Refuses a backup at the end of the block, if anything was found: all of it at once."""
    damage = Damage(backup)
    yield damage
    if damage.found:
        raise BackupRejected(
            f"{backup} is damaged: {damage.found[0]['detail']} Nothing was restored.",
            hint="Copy it again from where it came, or take another backup.",
            problems=damage.found,
        )


def copy_file(source: Path, target: Path | None) -> Entry:
    """Reads a file, into a new private file where there is a target; returns what was read."""
    seen, size = hashlib.sha256(), 0
    with source.open("rb") as reading, _writing(target) as write:
        while chunk := reading.read(CHUNK):
            seen.update(chunk)
            size += len(chunk)
            write(chunk)
    return Entry(size, seen.hexdigest())


@contextmanager
def _writing(target: Path | None) -> Iterator[Any]:
    if target is None:
        yield lambda _chunk: None
        return
    make_folder(target.parent)
    descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        yield file.write


def _refuse_newer(format_number: object, revision: str, release: str) -> None:
    if type(format_number) is not int or format_number < 1:
        raise ValueError(f"format {format_number!r} is none")
    if format_number > FORMAT or revision > REVISION:
        raise BackupRejected(
            f"The backup was made by release {release}, which is newer than this one.",
            hint="Restore it with that release.",
        )


def stays_inside(path: str) -> bool:
    """Whether that is the path of a file which a backup may hold: a plain one below its folder."""
    parts = PurePosixPath(path).parts
    clean = str(PurePosixPath(path)) == path and ".." not in parts and "\0" not in path
    return clean and bool(parts) and parts[0] in TOP
