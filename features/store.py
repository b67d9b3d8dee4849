"""FeatureStore: what is known of images, by digest or by likeness. The one way to stored vectors.

Knows no images, no labels, and of a backbone only its space.
"""

import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from features.audit import disagreements
from features.coded import Coded
from features.errors import FeatureError, StoreUnavailable, UnknownDigest
from features.index import Int64, cosines
from features.keys import EmbeddingSpace, Float32, Vectors, is_digest
from features.selection import Selected, Selection
from features.sync import ATTEMPTS, Synced
from features.table import Conflict, TableFile
from features.view import MirrorDamaged, View

_MANY_ERASED = 1024
"""Erased rows from which on a mirror that consists mostly of them is made again."""

_SCORED_AT_ONCE = 4096

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, eq=False)
class Record:
    """What is stored of one image. embedding: float32 (dim,); stages: float32 (stages_dim,)."""

    digest: str
    embedding: Float32
    stages: Float32


@dataclass(frozen=True, slots=True)
class Hit:
    """A neighbour; `score` is its cosine with the query, higher is closer."""

    digest: str
    score: float


class FeatureStore:
    """All records of one workspace in one space. Thread-safe; processes may share it.

    What `put` and `delete` have returned from is on the disk, and outlives a kill or a power cut.
    A change by another process of this machine is seen by the next call; one by another machine,
    in a table on an object store, by the next call that writes.

    Args:
        uri: folder or object-store address of the records; created if nothing is there.
        index_dir: folder of the index, on a local disk; made again whenever it is not right.
        space: what the vectors are.
        storage_options: keys and endpoints of the object store.
        compact_after_files: small files of records are merged when so many, or when they fill one.

    Raises:
        SpaceMismatch: the records are of another space.
        StoreDamaged: the records contradict themselves, or are not those that the index knew.
        StoreUnavailable: the disk or the object store cannot be read or written.
    """

    def __init__(
        self,
        uri: str,
        index_dir: Path,
        space: EmbeddingSpace,
        *,
        storage_options: Mapping[str, str] | None = None,
        compact_after_files: int = 64,
    ) -> None:
        self.space = space
        self._compact_after = compact_after_files
        self._synced = Synced(uri, index_dir, space, storage_options)
        self._coded, self._selected = Coded(index_dir), Selected()

    def __len__(self) -> int:
        return len(self._synced.current())

    def __contains__(self, digest: str) -> bool:
        return bool(self._synced.current().find([digest]))

    def digests(self) -> set[str]:
        """Return the digests of all records."""
        view = self._synced.current()
        return set(view.digests(view.live.tolist()))

    def get(self, digests: Sequence[str]) -> dict[str, Record]:
        """Return the records that are known, by digest; their arrays are read-only."""
        return self._records(*self._read(digests))

    def get_now(self, digests: Sequence[str]) -> dict[str, Record] | None:
        """Return the same if nothing has to be waited for; None where something has to be."""
        view = self._synced.current_now()
        try:
            return None if view is None else self._records(*view.known(digests))
        except MirrorDamaged:
            return None  # whoever may wait sees to that

    def rows(self, digests: Sequence[str]) -> Vectors:
        """Return the vectors of all these digests, in order; a digest may come twice.

        Raises:
            UnknownDigest: some are not known; the error names them all.
        """
        found, matrix = self._read(digests)
        if found != list(digests):
            place = {digest: row for row, digest in enumerate(found)}
            unknown = [digest for digest in dict.fromkeys(digests) if digest not in place]
            if unknown:
                raise UnknownDigest(unknown)
            matrix = matrix[[place[digest] for digest in digests]]
        return Vectors(matrix[:, : self.space.dim], matrix[:, self.space.dim :])

    def put(self, digests: Sequence[str], vectors: Vectors) -> list[bool]:
        """Store vectors, durably on return; what is stored already stays as it is.

        Returns:
            For each digest, in order, whether it was added: False where it was known, or had come
            earlier in the same call.
        """
        matrix = self._matrix(digests, vectors)
        first: dict[str, int] = {}
        for place, digest in enumerate(digests):
            first.setdefault(digest, place)
        added: Collection[str] = ()
        if len(self._synced.current().find(first)) < len(first):
            added = self._synced.changing(lambda view: self._add(view, first, matrix))
        return [digest in added and first[digest] == i for i, digest in enumerate(digests)]

    def search(
        self,
        query: Float32,
        k: int,
        *,
        among: Collection[str] | Selection | None = None,
        exclude: Collection[str] = (),
    ) -> list[Hit]:
        """Return the k nearest records, best first, those of equal score by digest.

        Exact up to `coded.LARGE` records, and among few; of more, nearly all of the best are found.

        Args:
            query: float32 (dim,), of any length.
            k: how many at most.
            among: only these digests, if known; many, to be searched again, as a `Selection`.
            exclude: leave these out.
        """
        query = np.ascontiguousarray(query, np.float32)
        if query.shape != (self.space.dim,) or not np.isfinite(query).all():
            raise ValueError(f"query must be {self.space.dim} finite numbers, got {query.shape}")
        for _ in range(ATTEMPTS):
            view = self._synced.current()
            try:
                rows = view.live if among is None else self._selected.rows(view, among)
                left_out = view.rows(exclude)
                if k < 1 or not len(rows):
                    return []
                propose = self._coded.proposer(view)
                found = propose(view.units, rows, query, k + len(left_out))
                return self._score(view, found[~np.isin(found, left_out)], query)[:k]
            except MirrorDamaged:
                self._synced.recover(view)
        raise self._unreadable()

    def delete(self, digests: Collection[str]) -> int:
        """Erase records; on return no file of the store holds them. Return how many there were."""
        return self._synced.changing(lambda view: self._erase(view, digests))

    def check(self) -> list[str]:
        """Read everything, and say in words where records and index disagree; nothing if sound."""
        return self._synced.changing(lambda view: list(disagreements(self._synced.records, view)))

    def compact(self) -> None:
        """Merge small files, renumber the index, and delete what nothing refers to."""
        self._synced.changing(self._compact)

    def tend(self) -> bool:
        """Do what makes later searches quick, if it is due; say whether it was.

        Takes a minute or two for a million records, without keeping anybody waiting. Call it now
        and then where there is time.
        """
        view = self._synced.current()
        try:
            codes = self._coded.due(view)
        except MirrorDamaged:
            return False  # something was erased meanwhile, or a search will find the damage

        def write(now: View) -> bool:
            same = now.state.generation == view.state.generation
            if same and codes is not None:
                self._coded.write(now, codes)
            return same

        return codes is not None and self._synced.changing(write)

    def close(self) -> None:
        """Let go of the files; the store cannot be used afterwards. Nothing needs to be saved."""
        self._synced.close()

    def _records(self, digests: list[str], matrix: Float32) -> dict[str, Record]:
        dim = self.space.dim
        return {d: Record(d, row[:dim], row[dim:]) for d, row in zip(digests, matrix, strict=True)}

    def _read(self, digests: Sequence[str]) -> tuple[list[str], Float32]:
        """Return those that are known, each once, and their vectors: float32 (n, width)."""
        for _ in range(ATTEMPTS):
            view = self._synced.current()
            try:
                return view.known(digests)
            except MirrorDamaged:
                self._synced.recover(view)
        raise self._unreadable()

    def _score(self, view: View, rows: Int64, query: Float32) -> list[Hit]:
        hits: list[Hit] = []
        for start in range(0, len(rows), _SCORED_AT_ONCE):
            some = rows[start : start + _SCORED_AT_ONCE].tolist()
            scores = cosines(view.read(some)[:, : self.space.dim], query)
            hits += map(Hit, view.digests(some), scores.tolist())
        return sorted(hits, key=lambda hit: (-hit.score, hit.digest))

    def _add(self, view: View, first: Mapping[str, int], matrix: Float32) -> set[str]:
        known = view.find(first)
        new = {digest: place for digest, place in first.items() if digest not in known}
        if new:
            rows = matrix[list(new.values())]
            commit = self._synced.records.append(list(new), rows)
            state = self._synced.mirror.extend(view.state, list(new), rows)
            self._merge_if_many(self._synced.publish(state, commit))
        return set(new)

    def _erase(self, view: View, digests: Collection[str]) -> int:
        records, mirror = self._synced.records, self._synced.mirror
        found, commit = records.erase(digests)
        if found:
            codes = self._coded.drop(view)
            view = self._synced.publish(mirror.erase(view, found), commit)
            if view.state.erased > max(_MANY_ERASED, len(view)):
                view = self._synced.rebuild()
            elif codes is not None:
                self._coded.write(view, codes)
        # Always: an earlier call may have been killed before it came this far.
        records.table.sweep(commit.removed)
        mirror.sweep(view.state)
        return len(found)

    def _merge_if_many(self, view: View) -> None:
        files = self._small_files(view)
        if len(files) > self._compact_after or self._synced.records.fill_one(files):
            try:
                self._merge(view, files)
            except (FeatureError, Conflict) as error:
                # What was asked for is done and durable; this can wait for the next time.
                _log.warning("small files were not merged: %s", error)

    def _compact(self, view: View) -> None:
        files = self._small_files(view)
        if len(files) > 1:
            view = self._merge(view, files)
        if view.state.erased:
            view = self._synced.rebuild()
        self._synced.records.table.sweep()
        self._synced.mirror.sweep(view.state)

    def _small_files(self, view: View) -> list[TableFile]:
        """Return the files worth merging, of those that the index has taken in."""
        mirrored = set(view.state.files)
        return [file for file in self._synced.records.small_files() if file.name in mirrored]

    def _merge(self, view: View, files: list[TableFile]) -> View:
        commit = self._synced.records.merge(files)
        merged = self._synced.publish(view.state, commit)
        self._synced.records.table.sweep(commit.removed)
        return merged

    def _matrix(self, digests: Sequence[str], vectors: Vectors) -> Float32:
        """Return float32 (n, width), after checking that it is fit to be stored."""
        strange = [digest for digest in digests if not is_digest(digest)]
        if strange:
            raise ValueError(f"not a digest: {strange[0]!r}")
        expected = (len(digests), self.space.dim, self.space.stages_dim)
        found = (len(vectors), vectors.embeddings.shape[1], vectors.stages.shape[1])
        if found != expected:
            raise ValueError(f"expected (n, dim, stages_dim) = {expected}, got {found}")
        matrix = vectors.matrix()
        if not np.isfinite(matrix).all():
            raise ValueError("vectors must be finite numbers")
        return matrix

    def _unreadable(self) -> StoreUnavailable:
        hint = "Look at the disk under this folder; the records themselves are not there."
        where = str(self._synced.mirror.folder)
        return StoreUnavailable(where, "the index is damaged again and again", hint=hint)
