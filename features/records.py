"""The vectors, on record: what is appended, erased and merged. The truth that all else copies.

Files and commits are the table's business; the mirror, the lock and FAISS are not known.
"""

import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import chain
from typing import BinaryIO

import numpy as np

from features.columns import (
    Bool,
    Int64,
    Malformed,
    Rows,
    identity,
    read,
    read_keys,
    schema,
    space_of,
    write_parquet,
)
from features.errors import SpaceMismatch
from features.keys import EmbeddingSpace, Float32
from features.table import Commit, Table, TableFile

FILE_BYTES = 32 * 2**20
"""About what one Parquet file holds at most: what erasing one image has to write again."""

_ROWS = 1024
"""Rows handled at a time."""


class Records:
    """All records of one space, in the table at `uri`. Callers hold the store's lock.

    Raises:
        SpaceMismatch: the table holds vectors of another space.
        StoreDamaged: what is there is no table, or not one of ours.
        StoreUnavailable: it cannot be reached or created.
    """

    def __init__(
        self, uri: str, space: EmbeddingSpace, storage_options: Mapping[str, str] | None = None
    ) -> None:
        self.table = Table(uri, schema(space).remove_metadata(), identity(space), storage_options)
        self._space = space
        try:
            found = space_of(self.table.configuration)
        except Malformed as error:
            raise self.table.damaged(str(error)) from error
        if found.id != space.id:
            raise SpaceMismatch(expected=space.id, found=found.id)

    @property
    def rows_per_file(self) -> int:
        """How many records fill a file."""
        return max(1, FILE_BYTES // (4 * self._space.width))

    def keys(self, file: TableFile) -> tuple[list[str], Int64]:
        """Return the digests of a file and when each was created, without reading vectors."""
        with self.table.reading(file.name, whole=False) as source:
            return read_keys(source)

    def read(self, file: TableFile) -> Iterator[Rows]:
        """Yield all rows of a file, some at a time."""
        with self.table.reading(file.name, whole=True) as source:
            yield from read(source, self._space)

    def winners(self, files: Iterable[TableFile] | None = None) -> dict[TableFile, Bool]:
        """Say for each file (all, by default) which rows count: one per digest, the first created.

        This store never writes a digest twice; another program might.
        """
        chosen = self.table.files().values() if files is None else files
        by_name = {file.name: file for file in chosen}
        best: dict[str, tuple[int, str, int]] = {}
        kept: dict[TableFile, Bool] = {}
        for name, file in by_name.items():
            digests, created = self.keys(file)
            kept[file] = np.zeros(len(digests), np.bool_)
            for row, (digest, when) in enumerate(zip(digests, created.tolist(), strict=True)):
                place = (when, name, row)
                if place < best.setdefault(digest, place):
                    best[digest] = place
        for _, name, row in best.values():
            kept[by_name[name]][row] = True
        return kept

    def append(self, digests: list[str], matrix: Float32) -> Commit:
        """Add records, durably on return; the caller has made sure that none is there already.

        Raises:
            Conflict: somebody else committed meanwhile.
        """
        now = time.time_ns() // 1000
        rows = (
            Rows(digests[i : i + _ROWS], part := matrix[i : i + _ROWS], np.full(len(part), now))
            for i in range(0, len(digests), _ROWS)
        )
        return self._replace([], rows, changes=True)

    def erase(self, digests: Collection[str]) -> tuple[set[str], Commit]:
        """Take records out of the table; return which were there. The files are for `sweep`.

        Raises:
            Conflict: somebody else committed meanwhile.
        """
        wanted = frozenset(digests)
        found = set[str]()
        holders: dict[TableFile, Bool] = {}
        for file in self.table.files().values():
            there = self.keys(file)[0]
            if not wanted.isdisjoint(there):
                found.update(wanted.intersection(there))
                holders[file] = np.array([digest not in wanted for digest in there])
        return found, self._replace(list(holders), self._chosen(holders), changes=True)

    def merge(self, files: Sequence[TableFile]) -> Commit:
        """Put as few files as possible, with each digest once, in the place of these.

        Raises:
            Conflict: somebody else committed meanwhile.
        """
        return self._replace(files, self._chosen(self.winners(files)), changes=False)

    def chosen(self) -> Iterator[Rows]:
        """Yield all records, each digest once, some at a time."""
        return self._chosen(self.winners())

    def small_files(self) -> list[TableFile]:
        """Return the files that are worth merging."""
        limit = self.rows_per_file // 2
        return [file for file in self.table.files().values() if file.rows < limit]

    def fill_one(self, files: Sequence[TableFile]) -> bool:
        """Whether the records of these files are enough for a file that is full."""
        return sum(file.rows for file in files) >= self.rows_per_file

    def _replace(
        self, files: Sequence[TableFile], rows: Iterable[Rows], *, changes: bool
    ) -> Commit:
        return self.table.replace(files, self._filling(filter(len, rows)), changes=changes)

    def _filling(self, rows: Iterator[Rows]) -> Iterator[Callable[[BinaryIO], int]]:
        """Yield for one file after the other what writes it, and returns its number of rows."""
        for first in rows:
            parts = chain([first], rows)
            yield partial(write_parquet, parts=parts, space=self._space, enough=self.rows_per_file)

    def _chosen(self, kept: Mapping[TableFile, Bool]) -> Iterator[Rows]:
        """Yield the rows that a mask for each file keeps, some at a time."""
        for file, mask in kept.items():
            start = 0
            for rows in self.read(file):
                kept_here = mask[start : start + len(rows)]
                start += len(rows)
                if start > len(mask):
                    break
                yield rows[kept_here]
            if start != len(mask):
                raise self.table.damaged(f"{file.name} has not as many vectors as digests")
