"""The codes of a mirror in their file: read when they change, replaced whole, not needed.

Without them every search scans all rows, so nothing is lost but time. Whoever writes holds the
store's lock. Knows no records.
"""

import logging
from pathlib import Path
from secrets import token_hex
from threading import Lock

import numpy as np

from features.codes import Codes, CodesDamaged
from features.disk import reaching
from features.index import Proposer, propose
from features.view import CODES, View

LARGE = 150_000
"""Rows from which on codes are learnt; a scan of so many takes about 40 ms."""

TAIL = 4096
"""Rows without a code that a search scans besides, before they are coded as well."""

_OUTGROWN = 2
"""How many times the rows that centroids were learnt from there may be before they are new."""

_log = logging.getLogger(__name__)


class Coded:
    """The codes of the mirror in `folder`, of whichever generation a view is."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = Lock()
        self._read: tuple[tuple[int, int, int], Codes | None] | None = None

    def proposer(self, view: View) -> Proposer:
        """Return the quickest way to search this view."""
        return (self.codes(view) or propose) if len(view) >= LARGE else propose

    def codes(self, view: View) -> Codes | None:
        """Return the codes as they are on disk now; None where there are none to be trusted."""
        path = self._path(view)
        with self._lock, reaching(path):
            try:
                found = _identity(path)
                if self._read is None or self._read[0] != found:
                    self._read = (found, _parse(path))
            except FileNotFoundError:
                self._read = None
            return self._read[1] if self._read is not None else None

    def due(self, view: View) -> Codes | None:
        """Make the codes that this view should have, if it has not: may take long, needs no lock.

        Raises:
            MirrorDamaged: a unit is not what was written, or was erased meanwhile.
        """
        if len(view) < LARGE:
            return None
        codes, rows = self.codes(view), view.state.rows
        # Centroids of what was there first say little of what came later, and are too few for it.
        if codes is None or len(view) > _OUTGROWN * codes.learnt:
            return Codes.learn(view.units, view.live, rows)
        if rows - codes.covered >= TAIL:
            return codes.extended(view.units, view.live, rows)
        return None

    def write(self, view: View, codes: Codes) -> None:
        """Let searches use these codes of rows of this view, but for those that were erased."""
        gone = np.setdiff1d(codes.coded(), view.live, assume_unique=True)
        if len(gone):
            codes = codes.without(gone)
        path = self._path(view)
        with reaching(path):
            new = path.with_name(f"{path.stem}-{token_hex(4)}.{CODES}")
            new.touch(mode=0o600)
            new.write_bytes(codes.to_bytes())
            new.replace(path)

    def drop(self, view: View) -> Codes | None:
        """Delete the file, and return what it held: call it before rows of the view are erased."""
        codes = self.codes(view)
        with reaching(self._folder):
            self._path(view).unlink(missing_ok=True)
        return codes

    def _path(self, view: View) -> Path:
        return self._folder / f"{view.state.generation}.{CODES}"


def _identity(path: Path) -> tuple[int, int, int]:
    """What no two files that ever lay at this path have in common."""
    found = path.stat()
    return found.st_ino, found.st_mtime_ns, found.st_size


def _parse(path: Path) -> Codes | None:
    try:
        return Codes.from_bytes(path.read_bytes())
    except CodesDamaged:
        _log.warning("the codes in %s are damaged; searches scan all rows until they are new", path)
        return None
