"""Head artefacts on disk: an immutable folder per head, named by the hash of its card.

The card names the hash of every other file, so its own hash stands for all. Knows no head names,
versions or vectors.
"""

import hashlib
import os
import re
import shutil
import time
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path

from classifiers.errors import HeadDamaged, HeadNotFound
from classifiers.head import CARD, Head

LEFTOVER_SECONDS = 3600
"""Age at which a half-written folder is taken for the leftover of a process that died."""

_ARTEFACT = re.compile(r"[0-9a-f]{64}")
_UNFINISHED = ".unfinished-"


class Zoo:
    """A library of heads in a folder. Threads and processes may share it without a lock.

    A head appears whole or not at all, survives a power cut once `add` has returned, and never
    changes.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        root.mkdir(parents=True, exist_ok=True)
        for leftover in root.glob(f"{_UNFINISHED}*"):
            if time.time() - leftover.stat().st_mtime > LEFTOVER_SECONDS:
                shutil.rmtree(leftover, ignore_errors=True)

    def add(self, head: Head) -> str:
        """Store a head and return its artefact; storing it again changes nothing."""
        files = head.to_files()
        artefact = hashlib.sha256(files[CARD]).hexdigest()
        if self._is_sound(artefact):
            return artefact
        unfinished = self._root / f"{_UNFINISHED}{uuid.uuid4().hex}"
        try:
            _write(unfinished, files)
            while not _rename(unfinished, self._root / artefact):
                # Another process was faster, or what is there is damaged and makes way.
                if self._is_sound(artefact):
                    break
                self.remove(artefact)
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)
        _fsync(self._root)
        return artefact

    def has(self, artefact: str) -> bool:
        """Whether there is such a head, sound or not."""
        return (self._root / artefact).is_dir()

    def load(self, artefact: str) -> Head:
        """Return a head, every file checked against its hash.

        Raises:
            HeadNotFound: if the zoo has no such artefact.
            HeadDamaged: if its files are not what they were.
        """
        files = self._read(artefact)
        if hashlib.sha256(files.get(CARD, b"")).hexdigest() != artefact:
            raise HeadDamaged(artefact, f"{CARD} is missing or was changed")
        return Head.from_files(files, artefact)

    def remove(self, artefact: str) -> bool:
        """Remove a head; False if there was none."""
        if not _ARTEFACT.fullmatch(artefact):
            return False
        aside = self._root / f"{_UNFINISHED}{uuid.uuid4().hex}"
        try:
            (self._root / artefact).rename(aside)
        except FileNotFoundError:
            return False
        _fsync(self._root)
        shutil.rmtree(aside, ignore_errors=True)
        return True

    def artefacts(self) -> Iterator[str]:
        """Yield every artefact, in alphabetical order, sound or not."""
        yield from sorted(
            path.name for path in self._root.iterdir() if _ARTEFACT.fullmatch(path.name)
        )

    def check(self) -> list[str]:
        """Return what is wrong, a sentence per artefact; empty if all is sound."""
        found = []
        for artefact in self.artefacts():
            try:
                self.load(artefact)
            except HeadDamaged as problem:
                found.append(f"{problem}. {problem.hint}")
            except HeadNotFound:
                continue  # removed since it was listed
        return found

    def _is_sound(self, artefact: str) -> bool:
        try:
            self.load(artefact)
        except (HeadDamaged, HeadNotFound):
            return False
        return True

    def _read(self, artefact: str) -> dict[str, bytes]:
        folder = self._root / artefact
        if not _ARTEFACT.fullmatch(artefact) or not folder.is_dir():
            raise HeadNotFound(artefact)
        try:
            return {path.name: path.read_bytes() for path in folder.iterdir()}
        except FileNotFoundError as problem:
            raise HeadNotFound(artefact) from problem
        except OSError as problem:
            raise HeadDamaged(artefact, f"cannot be read: {problem}") from problem


def _write(folder: Path, files: Mapping[str, bytes]) -> None:
    folder.mkdir()
    for name, data in files.items():
        with (folder / name).open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    _fsync(folder)


def _rename(source: Path, target: Path) -> bool:
    """Rename a folder; False if there is one of the new name already."""
    try:
        source.rename(target)
    except OSError:
        if target.exists():
            return False
        raise
    return True


def _fsync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
