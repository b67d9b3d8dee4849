"""A backup put into an empty home: all of it, checked, or nothing. Knows no use of what it copies.

Everything is copied into a folder of the home itself, because a home may be a disk of its own. As
long as that folder is there, nothing else opens the home.
"""

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from features.disk import flush, make_folder, reaching
from service.backup.manifest import (
    CATALOG,
    TOP,
    Manifest,
    read_manifest,
    refuse_names,
    refusing_damage,
)
from service.errors import InvalidRequest
from service.settings import Settings

RESTORING = ".restoring"
"""The folder of a restore that has not ended."""


def restore(settings: Settings, backup: Path) -> Manifest:
    """Puts a backup into an empty home, after comparing every file with the manifest.

    A restore that was interrupted begins again.

    Raises:
        BackupRejected: the backup is damaged, of a newer release, or names what lies elsewhere.
        InvalidRequest: the home is not empty, does not hold everything itself, or is being
            restored already.
        StoreUnavailable: the disk refuses.
    """
    home = settings.home.absolute()
    _refuse_elsewhere(settings)
    manifest = read_manifest(backup)
    with reaching(home):
        make_folder(home)
        with _alone(home):
            _empty(home)
            staging = home / RESTORING
            make_folder(staging)
            try:
                with refusing_damage(backup) as damage:
                    for path, entry in manifest.files.items():
                        damage.check(path, entry, staging / path)
                refuse_names(backup, staging / CATALOG)
                _refuse_others(home, _names(home) - {RESTORING})
            except BaseException:
                shutil.rmtree(staging, ignore_errors=True)
                raise
            _put_in_place(home)
    return manifest


@contextmanager
def _alone(home: Path) -> Iterator[None]:
    """Hold a lock on the folder itself: a file in it, or beside it, may not be to be had."""
    descriptor = os.open(home, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError as error:
        raise InvalidRequest(
            f"Another restore into {home} is at work.", hint="Wait until it has ended."
        ) from error
    finally:
        os.close(descriptor)


def _put_in_place(home: Path) -> None:
    staging = home / RESTORING
    # Before anything is renamed: a name must not reach the disk before its bytes.
    os.sync()
    for place in sorted(staging.iterdir()):
        place.rename(home / place.name)
    flush(home)
    staging.rmdir()
    flush(home)


def _empty(home: Path) -> None:
    """Removes what an interrupted restore left; refuses a home with anything else."""
    names = _names(home)
    if RESTORING in names:
        for name in names & (TOP | {RESTORING}):
            place = home / name
            shutil.rmtree(place) if place.is_dir() else place.unlink()
        names -= TOP | {RESTORING}
    _refuse_others(home, names)


def _names(home: Path) -> set[str]:
    return {place.name for place in home.iterdir()}


def _refuse_others(home: Path, names: set[str]) -> None:
    if names - {"lost+found"}:
        raise InvalidRequest(
            f"{home} is not empty: it holds {', '.join(sorted(names)[:3])}.",
            hint="Set PENULTIMATE_HOME to an empty folder, or move what is there away.",
        )


def _refuse_elsewhere(settings: Settings) -> None:
    for name, value in (("CATALOG_URL", settings.catalog_url), ("STORE_URI", settings.store_uri)):
        if value is not None:
            raise InvalidRequest(
                f"PENULTIMATE_{name} is set, but a backup is restored into the home folder.",
                hint="Unset it for the restore; a catalog can be moved afterwards.",
            )
