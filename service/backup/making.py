"""A copy of a home that is being used, as it was at one moment. Takes no lock and stops nobody.

The catalog is copied first, then the files that the copy names. Whatever is acknowledged has its
files before its row, so they are all there; what is written meanwhile is in no row of the copy and
is left out. A file can only be missing because it was erased, deleted or merged after the catalog
was copied: then the copy is no longer true, and another pass begins with a new one. Files never
change, so a later pass copies only what is new.
"""

import os
import shutil
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex

from features.blobs import Blobs
from features.conversion import calibrated
from features.disk import flush, make_folder, reaching, write_new
from features.storage import local_folder, newest_version
from service.backup.manifest import (
    CATALOG,
    MANIFEST,
    RECORDS,
    Entry,
    Manifest,
    copy_file,
    stays_inside,
)
from service.catalog import Catalog, now
from service.catalog.database import REVISION
from service.catalog.urls import sqlite_file, supported
from service.errors import CatalogUnavailable, InvalidRequest
from service.settings import Settings
from service.version import VERSION
from service.workspace import ENGINES, IMAGES, WEIGHTS, ZOO

PASSES = 10
"""How often it is tried again because something was removed meanwhile."""

SETTLE_S = 0.2
"""How long after a pass that missed something the next begins."""


@dataclass(frozen=True, slots=True)
class Made:
    """A backup that was made: where, what it says of itself, and how many passes it took."""

    path: Path
    manifest: Manifest
    passes: int


def back_up(settings: Settings, target: Path) -> Made:
    """Copies everything in a home that cannot be made again, while it is used.

    Args:
        settings: which home.
        target: a folder that is not there yet.

    Raises:
        InvalidRequest: the target will not do, or the home holds not all of it itself.
        CatalogUnavailable: the catalog cannot be copied, or names files outside the home.
        StoreDamaged: the records cannot be read.
        StoreUnavailable: the disk refuses.
    """
    target = target.absolute()
    records = _own_records(settings)
    _refuse_target(settings, target)
    with closing(_own_catalog(settings)) as catalog, _unfinished(target) as staging:
        making = _Making(settings.home.absolute(), records, catalog, staging)
        passes = making.run()
        manifest = Manifest(now(), VERSION, REVISION, tuple(sorted(making.lost)), making.files)
        write_new(staging / MANIFEST, manifest.to_json())
        os.sync()
        staging.rename(target)
        flush(target.parent)
    return Made(target, manifest, passes)


class _Making:
    """One backup on its way.

    Args:
        home: what is copied.
        records: its folder of records.
        catalog: its catalog.
        staging: where to.
    """

    def __init__(self, home: Path, records: Path, catalog: Catalog, staging: Path) -> None:
        self._home = home
        self._records = records
        self._catalog = catalog
        self._staging = staging
        self.files: dict[str, Entry] = {}
        self.lost: set[str] = set()

    def run(self) -> int:
        """Copies until nothing was removed meanwhile; returns how many passes that took."""
        for number in range(1, PASSES + 1):
            wanted = self._copy()
            now_named = self._named(self._catalog)
            if not self.lost and wanted <= now_named:
                return number
            time.sleep(SETTLE_S)
        # What is lost by now was so before; what was erased since belongs to this moment.
        return PASSES

    def _copy(self) -> set[str]:
        """One pass: the catalog as it is now, and the files that it names; returns these."""
        self._copy_catalog()
        with closing(Catalog(self._staging / CATALOG)) as copied:
            wanted = self._named(copied)
        self.lost = set()
        for path in self.files.keys() - wanted:
            (self._staging / path).unlink()
            del self.files[path]
        for path in sorted(wanted - self.files.keys()):
            try:
                self.files[path] = copy_file(self._source(path), self._staging / path)
            except FileNotFoundError:
                self.lost.add(path)
        self.files[CATALOG] = copy_file(self._staging / CATALOG, None)
        return wanted

    def _copy_catalog(self) -> None:
        copy = self._staging / CATALOG
        copy.unlink(missing_ok=True)
        self.files.pop(CATALOG, None)
        write_new(copy, b"")
        self._catalog.database.copy_to(copy)

    def _named(self, catalog: Catalog) -> set[str]:
        """Every file that a catalog and the newest records name, as paths in a backup."""
        paths = set[str]()
        spaces = set[str]()
        for name in catalog.workspaces():
            spaces |= catalog.spaces.all(name).keys()
            blobs = Blobs(Path(IMAGES) / name)
            paths.update(blobs.path(d).as_posix() for d in catalog.datasets.digests(name))
            for artefact in catalog.heads.artefacts(name):
                paths.update(self._artefact(f"{ZOO}/{name}/{artefact}"))
        for table in sorted(self._records.glob("*/*/")):
            place = f"{RECORDS}/{table.relative_to(self._records).as_posix()}"
            paths.update(f"{place}/{path}" for path in newest_version(table))
        return _inside(paths | self._backbones(spaces))

    def _backbones(self, spaces: set[str]) -> set[str]:
        """What the vectors came from, as far as it cannot be made again."""
        files = [f for f in (self._home / WEIGHTS).glob("*") if f.is_file()]
        for space, made in calibrated(self._home / ENGINES):
            files += made if space.id in spaces else []
        return {file.relative_to(self._home).as_posix() for file in files}

    def _artefact(self, place: str) -> list[str]:
        try:
            return [f"{place}/{file.name}" for file in (self._home / place).iterdir()]
        except FileNotFoundError:
            return [place]

    def _source(self, path: str) -> Path:
        top, _, rest = path.partition("/")
        return self._records / rest if top == RECORDS else self._home / path


@contextmanager
def _unfinished(target: Path) -> Iterator[Path]:
    """A private folder beside the target; gone at the end, unless it was renamed."""
    staging = target.with_name(f".{target.name}.{token_hex(4)}.unfinished")
    with reaching(target):
        make_folder(staging)
        try:
            yield staging
        finally:
            shutil.rmtree(staging, ignore_errors=True)


def _inside(paths: set[str]) -> set[str]:
    """The paths, if none leads out of the home: it would be copied, and from a wrong place."""
    outside = next((path for path in paths if not stays_inside(path)), None)
    if outside is not None:
        raise CatalogUnavailable(
            f"the catalog names the file '{outside[:100]}', which is not in the home",
            hint="Somebody changed the catalog by hand: restore a backup that you trust.",
        )
    return paths


def _refuse_target(settings: Settings, target: Path) -> None:
    if target.exists() or target.is_symlink():
        raise InvalidRequest(f"{target} is there already.", hint="Name a folder that is not.")
    if target.resolve().is_relative_to(settings.home.resolve()):
        raise InvalidRequest(
            f"{target} is inside the home folder, and would be lost with it.",
            hint="Name a folder elsewhere, best on another disk.",
        )


def _own_catalog(settings: Settings) -> Catalog:
    place = settings.catalog_place
    file = sqlite_file(supported(place))
    if file is not None and not (file.is_file() and file.stat().st_size):
        raise InvalidRequest(
            f"{settings.home.absolute()} holds nothing yet.", hint="Check PENULTIMATE_HOME."
        )
    return Catalog(place)


def _own_records(settings: Settings) -> Path:
    folder = local_folder(settings.effective_store_uri)
    if folder is None:
        raise InvalidRequest(
            f"The records lie at {settings.effective_store_uri}, not on this machine.",
            hint="Back up the catalog first, after it the folders images, zoo and weights, and "
            "last the records with the store's own tools.",
        )
    return folder
