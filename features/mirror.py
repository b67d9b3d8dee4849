"""A local copy of the records that answers in microseconds; it can always be made again from them.

One folder holds the state and three files per generation, with a row for each record:

    keys    digest (32 bytes), CRC-32 of the row's vectors and of its unit (4 bytes each)
    rows    embedding and stages: float32 (n, width)
    units   the embedding scaled to length 1: float32 (n, dim), what the index searches

Rows are only added. An erased row is overwritten with zeros, and its number is not used again. The
state is replaced last, by renaming, so readers see whole changes; rows beyond those it counts do
not exist. Nothing is flushed to the disk: what a power cut leaves is found out by a checksum or a
size, like any other damage. Callers hold the store's lock. Knows no Parquet and no FAISS.
"""

import json
import sys
import zlib
from collections.abc import Collection, Iterable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from secrets import token_hex

import numpy as np

from features.disk import make_folder, reaching
from features.index import unit
from features.keys import EmbeddingSpace, Float32
from features.view import CODES, KEY_BYTES, KINDS, STATE, State, View

Part = tuple[list[str], Float32]
"""Some records: their digests, and float32 (n, width)."""

_SPARE_UNITS = 4096
"""Units the file has room for beyond those in use: no reader maps it again for every new record."""


class Mirror:
    """Writes the mirror in `folder`, and opens views of it."""

    def __init__(self, folder: Path, space: EmbeddingSpace) -> None:
        self.folder = folder
        self._space = space
        self._widths = {"keys": KEY_BYTES, "rows": 4 * space.width, "units": 4 * space.dim}

    def view(self, previous: View | None = None) -> View:
        """Return the mirror as it is now.

        Raises:
            MirrorDamaged: there is none, or none that can be trusted.
        """
        with reaching(self.folder):
            return View(self.folder, self._space, previous)

    def build(self, table: str, version: int, files: Iterable[str], parts: Iterable[Part]) -> None:
        """Make the whole mirror again; who reads the one before is not disturbed."""
        state = State(table, self._space.id, version, tuple(files), generation=token_hex(8))
        paths = [self._path(state, kind) for kind in KINDS]
        with reaching(self.folder):
            make_folder(self.folder)
            try:
                for path in paths:
                    path.touch(mode=0o600, exist_ok=False)
                for digests, matrix in parts:
                    state = self._add(state, digests, matrix)
                self._publish(state)
            except BaseException:
                for path in paths:
                    path.unlink(missing_ok=True)
                raise
        self.sweep(state)

    def extend(self, state: State, digests: Sequence[str], matrix: Float32) -> State:
        """Add records behind those that are there; `publish` makes them known."""
        with reaching(self.folder):
            return self._add(state, digests, matrix)

    def erase(self, view: View, digests: Collection[str]) -> State:
        """Overwrite records with zeros; `publish` makes it known."""
        state = view.state
        rows = view.find(digests).values()
        with reaching(self.folder):
            # Keys first: a reader that finds its checksum unchanged has read what was there before.
            for kind, width in self._widths.items():
                with self._path(state, kind).open("r+b") as file:
                    for row in rows:
                        file.seek(row * width)
                        file.write(bytes(width))
            keys = self._path(state, "keys").read_bytes()[: state.rows * KEY_BYTES]
        return replace(state, erased=state.erased + len(rows), crc=zlib.crc32(keys))

    def publish(self, state: State) -> None:
        """Let readers see the rows of `state`."""
        with reaching(self.folder):
            self._publish(state)

    def sweep(self, state: State) -> None:
        """Delete every generation but this one."""
        with reaching(self.folder):
            for kind in (*KINDS, CODES):
                for path in self.folder.glob(f"*.{kind}"):
                    if path != self._path(state, kind):
                        path.unlink(missing_ok=True)

    def _path(self, state: State, kind: str) -> Path:
        return self.folder / f"{state.generation}.{kind}"

    def _add(self, state: State, digests: Sequence[str], matrix: Float32) -> State:
        matrix = np.ascontiguousarray(matrix)
        units = unit(matrix[:, : self._space.dim])
        keys = b"".join(
            bytes.fromhex(digest) + _crc(row) + _crc(scaled)
            for digest, row, scaled in zip(digests, matrix, units, strict=True)
        )
        self._write(state, "rows", matrix.data)
        self._write(state, "units", units.data)
        self._write(state, "keys", keys)
        return replace(state, rows=state.rows + len(digests), crc=zlib.crc32(keys, state.crc))

    def _write(self, state: State, kind: str, data: bytes | memoryview) -> None:
        start = state.rows * self._widths[kind]
        with self._path(state, kind).open("r+b") as file:
            # What a crash left behind the last row may be larger than what is written now.
            file.truncate(start)
            file.seek(start)
            file.write(data)
            end = file.tell()
            if kind == "units":
                room = _SPARE_UNITS * self._widths[kind]
                file.truncate(-(-end // room) * room)

    def _publish(self, state: State) -> None:
        new = self.folder / f"{STATE}.new"
        new.write_text(json.dumps(asdict(state)), encoding="utf-8")
        new.replace(self.folder / STATE)


def _crc(row: Float32) -> bytes:
    return zlib.crc32(row.data).to_bytes(4, sys.byteorder)
