"""The mirror as one process reads it: from a digest to its vectors in microseconds, without a lock.

Never writes; what the files mean is said in `features/mirror.py`.
"""

import json
import mmap
import os
import zlib
from array import array
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from itertools import repeat
from pathlib import Path
from weakref import finalize

import numpy as np
import numpy.typing as npt

from features.keys import EmbeddingSpace, Float32

FORMAT = 1
"""Layout of a mirror's files. Raise it with any change; an older mirror is then made again."""

STATE = "state.json"
KINDS = ("keys", "rows", "units")
CODES = "codes"
"""A file that a generation may have besides, see `features/coded.py`."""
DIGEST_BYTES, KEY_BYTES = 32, 40

_ERASED = "0" * 2 * DIGEST_BYTES

Int64 = npt.NDArray[np.int64]


class MirrorDamaged(Exception):
    """The mirror is missing, incomplete or contradicts itself; it can always be made again."""


@dataclass(frozen=True, slots=True)
class State:
    """What a mirror's files hold, and which state of the records that is.

    `table` and `version` name the records, `files` those of its files that are covered; `crc` is
    the CRC-32 of all keys.
    """

    table: str
    space: str
    version: int
    files: tuple[str, ...]
    generation: str
    rows: int = 0
    erased: int = 0
    crc: int = 0
    format: int = FORMAT


class Generation:
    """The files of one generation, open for reading, and what has been read of their keys.

    They stay readable when they are deleted. What is kept here only grows; rows that a view does
    not count are not for it.
    """

    def __init__(self, folder: Path, name: str, space: EmbeddingSpace) -> None:
        self.space = space
        self.row_of: dict[str, int] = {}
        self.digests: list[str] = []
        self.crcs = array("I")
        """Two for each row: of its vectors and of its unit."""
        self._mapped = np.empty((0, space.dim), np.float32), np.zeros(0, np.bool_)
        """All units, and whether each has been checked."""
        self._files: dict[str, int] = {}
        finalize(self, _close, self._files)
        for kind in KINDS:
            try:
                self._files[kind] = os.open(folder / f"{name}.{kind}", os.O_RDONLY | os.O_CLOEXEC)
            except FileNotFoundError as error:
                raise MirrorDamaged(f"there are no {kind}") from error

    def grow(self, rows: int, crc_before: int, crc_after: int) -> Int64:
        """Read the keys of rows that are new, and return which of these are not erased.

        Raises:
            MirrorDamaged: the checksums differ, or a file is too short for so many rows.
        """
        start = len(self.digests)
        data = os.pread(self._files["keys"], (rows - start) * KEY_BYTES, start * KEY_BYTES)
        whole = len(data) == (rows - start) * KEY_BYTES and self._is_long_enough(rows)
        if not whole or zlib.crc32(data, crc_before) != crc_after:
            raise MirrorDamaged("the files do not hold what was written")
        keys = np.frombuffer(data, np.uint8).reshape(-1, KEY_BYTES)
        self.crcs.frombytes(keys[:, DIGEST_BYTES:].tobytes())
        text = keys[:, :DIGEST_BYTES].tobytes().hex()
        digests = [text[i : i + 64] for i in range(0, len(text), 64)]
        self.digests += digests
        # Last, because other threads look here first.
        self.row_of.update(zip(digests, range(start, rows), strict=True))
        self.row_of.pop(_ERASED, None)
        added: Int64 = start + np.flatnonzero(keys[:, :DIGEST_BYTES].any(axis=1))
        return added

    def read(self, row: int, out: memoryview) -> bool:
        """Fill `out` with the vectors of a row; say whether they are what was written there."""
        length = os.preadv(self._files["rows"], [out], row * len(out))
        return length == len(out) and zlib.crc32(out) == self.crcs[2 * row]

    def units(self, rows: int, used: Int64) -> Float32:
        """Return the first units, mapped: float32 (rows, dim); see `View.units`."""
        if not self._is_long_enough(rows):
            raise MirrorDamaged("a file has lost its end")
        units, checked = self._mapped
        if len(units) < rows:
            # The file is longer than what is in use, so this is done again only now and then.
            mapped = mmap.mmap(self._files["units"], 0, access=mmap.ACCESS_READ)
            count = len(mapped) // (4 * self.space.dim)
            whole = np.frombuffer(mapped, np.float32, count * self.space.dim)
            units = whole.reshape(count, self.space.dim)
            checked = np.concatenate((checked, np.zeros(count - len(checked), np.bool_)))
            self._mapped = units, checked
        # A damaged unit would hide its record from every search, and nobody would see it missing.
        new = used[~checked[used]]
        for row in new.tolist():
            if zlib.crc32(units[row]) != self.crcs[2 * row + 1]:
                raise MirrorDamaged("a unit is not what was written")
        checked[new] = True
        return units[:rows]

    def _is_long_enough(self, rows: int) -> bool:
        widths = {"rows": 4 * self.space.width, "units": 4 * self.space.dim}
        return all(
            os.fstat(self._files[kind]).st_size >= rows * width for kind, width in widths.items()
        )


class View:
    """The mirror at one moment.

    `live`: int64 (n,), the rows that are not erased, in order.

    Args:
        folder: where the mirror is.
        space: what it must hold.
        previous: the latest view of this process; what it has read is not read again.

    Raises:
        MirrorDamaged: there is no mirror that can be trusted.
    """

    def __init__(self, folder: Path, space: EmbeddingSpace, previous: "View | None" = None) -> None:
        self._path = folder / STATE
        try:
            descriptor = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError as error:
            raise MirrorDamaged("there is none") from error
        # Held open, its inode cannot be given to a later state: same inode means same state.
        finalize(self, os.close, descriptor)
        self._stat = os.fstat(descriptor)
        self.state = _parse(os.pread(descriptor, self._stat.st_size, 0), space)
        self.generation: Generation
        self.live: Int64 = np.empty(0, np.int64)
        crc = 0
        if previous is not None and _continues(previous.state, self.state):
            self.generation, self.live = previous.generation, previous.live
            crc = previous.state.crc
        else:
            self.generation = Generation(folder, self.state.generation, space)
        added = self.generation.grow(self.state.rows, crc, self.state.crc)
        self.live = np.concatenate((self.live, added))

    def __len__(self) -> int:
        return len(self.live)

    def is_current(self) -> bool:
        """Say whether no process has changed the mirror since."""
        try:
            return os.path.samestat(os.stat(self._path), self._stat)  # noqa: PTH116  half the time of Path.stat
        except FileNotFoundError:
            return False

    def find(self, digests: Iterable[str]) -> dict[str, int]:
        """Return the rows of those that are known."""
        row_of, rows = self.generation.row_of, self.state.rows
        # A later view of the same generation may have added rows already.
        return {d: row for d in digests if (row := row_of.get(d, rows)) < rows}

    def rows(self, digests: Collection[str]) -> Int64:
        """Return the rows of those that are known, ascending, each once: int64 (n,)."""
        row_of, end = self.generation.row_of, self.state.rows
        # No step of Python for each: these may be half of a million.
        found = np.fromiter(map(row_of.get, digests, repeat(end)), np.int64, len(digests))
        found.sort()
        known = found < end
        known[1:] &= found[1:] != found[:-1]
        rows: Int64 = found[known]
        return rows

    def digests(self, rows: Sequence[int]) -> list[str]:
        """Return the digests of rows that are not erased."""
        return [self.generation.digests[row] for row in rows]

    def known(self, digests: Iterable[str]) -> tuple[list[str], Float32]:
        """Return those that are known, each once, and their vectors; raises as `read`."""
        rows = self.find(digests)
        return list(rows), self.read(list(rows.values()))

    def read(self, rows: Sequence[int]) -> Float32:
        """Return a copy of the vectors of some rows: float32 (n, width), read-only.

        Raises:
            MirrorDamaged: one of them is not what was written, or erased since the view was made.
        """
        matrix: Float32 = np.empty((len(rows), self.generation.space.width), np.float32)
        if rows:
            flat, length = matrix.data.cast("B"), matrix.strides[0]
            for place, row in enumerate(rows):
                if not self.generation.read(row, flat[place * length : (place + 1) * length]):
                    raise MirrorDamaged("a row is not what was written")
        matrix.setflags(write=False)
        return matrix

    def units(self, used: Int64) -> Float32:
        """Return the embeddings scaled to length 1, by row: float32 (rows, dim), mapped.

        Args:
            used: int64 (m,), the rows that will be looked at; each is checked once.

        Raises:
            MirrorDamaged: one of them is not what was written, or erased since the view was made.
        """
        return self.generation.units(self.state.rows, used)


def _continues(earlier: State, later: State) -> bool:
    same = ("table", "generation", "erased")
    return earlier.rows <= later.rows and all(
        getattr(earlier, name) == getattr(later, name) for name in same
    )


def _parse(data: bytes, space: EmbeddingSpace) -> State:
    try:
        values = json.loads(data)
        state = State(**{**values, "files": tuple(values["files"])})
    except (ValueError, TypeError, KeyError) as error:
        raise MirrorDamaged("the state cannot be read") from error
    if (state.format, state.space) != (FORMAT, space.id):
        raise MirrorDamaged("it is of another format or space")
    return state


def _close(descriptors: dict[str, int]) -> None:
    for descriptor in descriptors.values():
        os.close(descriptor)
