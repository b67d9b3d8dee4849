"""A Delta Lake table as a set of files and a log of commits, local or in an object store.

What the files hold, who may write and what FAISS makes of it are not known here.
"""

import json
import logging
import re
import time
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import BinaryIO, NoReturn, cast
from uuid import uuid4

import pyarrow as pa
from deltalake import CommitProperties, DeltaTable, PostCommitHookProperties, Schema
from deltalake.exceptions import CommitFailedError, DeltaError, TableNotFoundError
from deltalake.transaction import AddAction, RemoveAction

from features.disk import flush, make_folder, reaching
from features.errors import FeatureError, StoreDamaged, StoreUnavailable
from features.storage import LOG, Folder, ObjectStore, Storage, first_line, local_folder, named

CHECKPOINT_EVERY = 64
"""Commits between two summaries of the log, which keep opening fast."""

_NO_HOOKS = PostCommitHookProperties(create_checkpoint=False, cleanup_expired_logs=False)
_PREFIX = "records-"
_CHECKSUM = re.compile(rf"{_PREFIX}.*-([0-9a-f]{{8}})\.parquet")

_log = logging.getLogger(__name__)


class Conflict(Exception):
    """Somebody else committed since `refresh`: nothing was added, refresh and decide again."""


@dataclass(frozen=True, slots=True)
class TableFile:
    """One Parquet file of the table."""

    name: str
    size: int
    rows: int


@dataclass(frozen=True, slots=True)
class Commit:
    """A commit of ours: its version, and the names of the files it has added and removed."""

    version: int
    added: tuple[str, ...]
    removed: tuple[str, ...]


class Table:
    """The table at `uri`, created with `columns` and `configuration` if nothing is there.

    Raises:
        StoreDamaged: what is there is no table.
        StoreUnavailable: it cannot be reached or created.
    """

    def __init__(
        self,
        uri: str,
        columns: pa.Schema,
        configuration: Mapping[str, str],
        storage_options: Mapping[str, str] | None = None,
    ) -> None:
        self._folder = folder = local_folder(uri)
        self.uri = str(folder or uri)
        self._options = dict(storage_options or {})
        with self._talking():
            if not DeltaTable.is_deltatable(self.uri, self._options):
                self._create(columns, configuration)
            self._delta = DeltaTable(self.uri, storage_options=self._options)
            metadata = self._delta.metadata()
            self._storage: Storage = Folder(folder) if folder else ObjectStore(self._delta)
        self.id = str(metadata.id)
        self.configuration = dict(metadata.configuration)

    @property
    def version(self) -> int:
        """Number of the newest commit seen."""
        return self._delta.version()

    def refresh(self) -> None:
        """Look for commits of others."""
        with self._talking():
            self._delta.update_incremental()

    def files(self) -> dict[str, TableFile]:
        """Return the files that make up the table now, by name."""
        with self._talking():
            if self._delta.protocol().min_reader_version > 1:
                raise self.damaged("another program gave it features that are not understood here")
            actions = self._delta.get_add_actions()
        columns = [actions.column(c).to_pylist() for c in ("path", "size_bytes", "num_records")]
        found = zip(*columns, strict=True)
        files = [TableFile(named(n, self.uri), size, rows or 0) for n, size, rows in found]
        return {file.name: file for file in files}

    def missing(self) -> list[str]:
        """Name the files that the folder has not, or not in the size that the log says.

        An entry of the log that is empty has lost what it said, and the library would not mind.
        """
        if self._folder is None:
            return []
        with reaching(self.uri):
            sizes = {path.name: path.stat().st_size for path in self._folder.glob("*.parquet")}
            empty = [p.name for p in (self._folder / LOG).glob("*.json") if not p.stat().st_size]
        return empty + [n for n, file in self.files().items() if sizes.get(n) != file.size]

    @contextmanager
    def reading(self, name: str, *, whole: bool) -> Iterator[pa.NativeFile]:
        """Open a file of the table; what turns out to be wrong with it is a `StoreDamaged`.

        If the `whole` of it is going to be read, the checksum in its name is compared first.
        """
        try:
            with self._storage.open(name) as source:
                yield self._verified(name, source) if whole else source
        except FileNotFoundError as error:
            raise self.damaged(f"{name} is missing") from error
        except OSError as error:
            # Arrow reports bad pages as OSError too, but without the number a system error has.
            if error.errno is None and not str(error).startswith("Generic"):
                raise self.damaged(f"{name}: {error}") from error
            raise self._unavailable(f"{name}: {error}") from error
        except (ValueError, KeyError, pa.ArrowException) as error:
            raise self.damaged(f"{name}: {error}") from error

    def replace(
        self,
        removed: Sequence[TableFile],
        added: Iterable[Callable[[BinaryIO], int]],
        *,
        changes: bool,
    ) -> Commit:
        """Put new files in the place of others in one commit, durable on return.

        Args:
            removed: files the table stops referring to; `sweep` deletes them.
            added: for each new file what writes it, and returns its number of rows.
            changes: whether the rows differ, or are only arranged in another way.

        Raises:
            Conflict: somebody else committed meanwhile.
        """
        new: list[AddAction] = []
        try:
            new.extend(self._write(fill, changes=changes) for fill in added)
            # The log must not name a file before its bytes and its name are on the disk.
            with reaching(self.uri):
                self._storage.settle()
        except BaseException:
            self._withdraw(new)
            raise
        # A moment ago, or a clean-up within the same tick of the clock would spare them.
        when = time.time_ns() // 1_000_000 - 1000
        old = [RemoveAction(f.name, changes, when, f.size, {}) for f in removed]
        version = self._commit(new, old) if new or old else self.version
        return Commit(version, tuple(a.path for a in new), tuple(f.name for f in removed))

    def sweep(self, removed: Iterable[str] = ()) -> None:
        """Delete what the table no longer refers to: `removed`, and what a crash left behind.

        On an object store another machine may be about to commit a file that nothing refers to
        yet, so only what the log says was removed goes.
        """
        if self._folder is None:
            with self._talking():
                self._delta.vacuum(0, dry_run=False, enforce_retention_duration=False)
                self._delta.update_incremental()
            return
        live = self.files()
        with reaching(self.uri):
            there = {path.name for path in self._folder.glob(f"{_PREFIX}*")}
            doomed = there.union(removed) - live.keys()
            self._storage.delete(doomed)
            if doomed:
                self._storage.settle()

    def damaged(self, detail: str) -> StoreDamaged:
        """Build the error that says so of this table."""
        hint = "Restore it from a backup; vectors can also be made again from the images."
        return StoreDamaged(self.uri, first_line(detail), hint=hint)

    def _unavailable(self, detail: str) -> StoreUnavailable:
        hint = "Check that the address and the rights are correct, and try again."
        return StoreUnavailable(self.uri, first_line(detail), hint=hint)

    def _create(self, columns: pa.Schema, configuration: Mapping[str, str]) -> None:
        if self._folder is not None:
            make_folder(self._folder)
            if next(self._folder.glob("*.parquet"), None) is not None:
                raise self.damaged("there are Parquet files, but no log that says which count")
        DeltaTable.create(
            self.uri,
            Schema.from_arrow(columns),
            mode="ignore",
            # Older versions cannot be read, their files are gone; but every commit lists the log.
            configuration={**configuration, "delta.logRetentionDuration": "interval 1 minutes"},
            storage_options=self._options,
            raise_if_key_not_exists=False,
        )
        self._flush_log(0)

    def _write(self, fill: Callable[[BinaryIO], int], *, changes: bool) -> AddAction:
        draft = f"{_PREFIX}{uuid4()}"
        with reaching(self.uri), self._storage.begin(draft) as sink:
            rows = fill(cast("BinaryIO", sink))
            name = f"{draft}-{sink.crc:08x}.parquet"
            sink.keep(name)
        # No smallest and largest values: an erased digest must not live on in the log.
        stats, now = json.dumps({"numRecords": rows}), time.time_ns() // 1_000_000
        return AddAction(name, sink.size, {}, now, changes, stats)

    def _verified(self, name: str, source: pa.NativeFile) -> pa.NativeFile:
        data = source.read_buffer()
        written = _CHECKSUM.fullmatch(name)
        # Files of other programs have none; the checksums inside a file do not cover all of it.
        if written and zlib.crc32(data) != int(written[1], 16):
            raise self.damaged(f"{name} is not what was written")
        return pa.BufferReader(data)

    def _commit(self, new: list[AddAction], old: list[RemoveAction]) -> int:
        version = self.version + 1
        try:
            with self._talking():
                self._delta.create_write_transaction(
                    [*new, *old],
                    "append",
                    self._delta.schema(),
                    # None, or it would be added behind a commit that we have not seen.
                    commit_properties=CommitProperties(max_commit_retries=0),
                    post_commithook_properties=_NO_HOOKS,
                )
        except (CommitFailedError, FeatureError) as error:
            self._refuse(new, version, error)
        self.refresh()
        self._flush_log(version)
        if version % CHECKPOINT_EVERY == 0:
            self._checkpoint()
        return version

    def _refuse(self, new: list[AddAction], version: int, error: Exception) -> NoReturn:
        """Clean up after a commit that has failed, and raise what that means."""
        self.refresh()
        conflict = self.version >= version and not self.files().keys() & {a.path for a in new}
        # From an object store the answer may have been lost, and the commit not.
        if conflict or self._folder is not None:
            self._withdraw(new)
        if conflict:
            raise Conflict from error
        if isinstance(error, FeatureError):
            raise error
        raise self._unavailable(str(error)) from error

    def _withdraw(self, new: Iterable[AddAction]) -> None:
        """Delete files that were not committed; whatever hinders that, `sweep` will do it."""
        with suppress(FeatureError, OSError):
            live = self.files()
            self._storage.delete(action.path for action in new if action.path not in live)

    def _flush_log(self, version: int) -> None:
        if self._folder is not None:
            log = self._folder / LOG
            with reaching(log):
                flush(log / f"{version:020d}.json")
                flush(log)

    def _checkpoint(self) -> None:
        """Sum up the log, so that opening need not replay it; the commits stand without that."""
        try:
            with self._talking():
                self._delta.create_checkpoint()
                for path in self._folder.glob("_delta_log/*checkpoint*") if self._folder else ():
                    flush(path)
                    flush(path.parent)
                self._delta.cleanup_metadata()
        except FeatureError as error:
            _log.warning("the log was not summed up: %s", error)

    @contextmanager
    def _talking(self) -> Iterator[None]:
        """Say what the Delta library raises in our own words; a failed commit goes through."""
        try:
            with reaching(self.uri):
                yield
        except CommitFailedError:
            raise
        except TableNotFoundError as error:
            raise self._unavailable(str(error)) from error
        except DeltaError as error:
            raise self.damaged(str(error)) from error
