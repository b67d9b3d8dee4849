"""Records and mirror kept in step, between the threads and processes that share a store.

Every change is made under one lock, to the records first. Knows rows and files, not what they mean.
"""

import logging
from collections.abc import Callable, Mapping
from dataclasses import replace
from itertools import chain
from pathlib import Path
from threading import Lock
from typing import TypeVar

from features.errors import StoreDamaged, StoreUnavailable
from features.keys import EmbeddingSpace
from features.locks import FileLock
from features.mirror import Mirror
from features.records import Records
from features.storage import local_folder
from features.table import Commit, Conflict
from features.view import MirrorDamaged, State, View

ATTEMPTS = 5
"""How often something is tried again that another process or machine got in the way of."""

_log = logging.getLogger(__name__)

T = TypeVar("T")


class Synced:
    """The records at `uri` and their mirror in `index_dir`, in step from the start.

    Raises:
        SpaceMismatch: the records are of another space.
        StoreDamaged: the records contradict themselves, or are not those that the mirror knew.
        StoreUnavailable: the disk or the object store cannot be read or written.
    """

    def __init__(
        self,
        uri: str,
        index_dir: Path,
        space: EmbeddingSpace,
        storage_options: Mapping[str, str] | None,
    ) -> None:
        # The lock beside the records serves those who keep a mirror in another folder.
        folder = local_folder(uri)
        self._lock = FileLock([index_dir / "lock", *([folder / "_lock"] if folder else [])])
        self._viewing = Lock()
        self._view: View | None = None
        self._closed = False
        self.mirror = Mirror(index_dir, space)
        with self._lock:
            self.records = Records(uri, space, storage_options)
            self._refuse_what_is_incomplete()
            self.mirror.sweep(self.catch_up().state)

    def current(self) -> View:
        """Return a view that includes every change made before this call. Takes microseconds."""
        view = self._view
        if view is not None and view.is_current():
            return view
        self._refuse_when_closed()
        try:
            return self._load()
        except MirrorDamaged:
            with self._lock:
                return self.catch_up()

    def current_now(self) -> View | None:
        """Return the same if it is at hand; None if it has to be read, which others may delay."""
        view = self._view
        return view if view is not None and view.is_current() else None

    def recover(self, view: View) -> None:
        """Deal with a view that did not hold what it should: it is outdated, or damaged."""
        with self._lock:
            if view.is_current():
                _log.warning("the index in %s is damaged and is made again", self.mirror.folder)
                self.rebuild()
            else:
                self.catch_up()

    def changing(self, change: Callable[[View], T]) -> T:
        """Run `change` alone and with the newest view; again if another machine came between."""
        for _ in range(ATTEMPTS):
            with self._lock:
                self._refuse_when_closed()
                view = self.catch_up()
                try:
                    return change(view)
                except Conflict:
                    continue
        hint = "Try again; something else writes to this table all the time."
        raise StoreUnavailable(self.records.table.uri, "other writers came first", hint=hint)

    def publish(self, state: State, commit: Commit) -> View:
        """Let readers see `state`, which has what the commit has changed."""
        files = [name for name in state.files if name not in commit.removed]
        # If another machine has committed in between, the version stays behind, to catch up from.
        version = commit.version if commit.version == state.version + 1 else state.version
        state = replace(state, version=version, files=(*files, *commit.added))
        self.mirror.publish(state)
        return self._load()

    def rebuild(self) -> View:
        """Make the mirror again from the records."""
        table = self.records.table
        parts = ((rows.digests, rows.matrix) for rows in self.records.chosen())
        self.mirror.build(table.id, table.version, table.files(), parts)
        return self._load()

    def catch_up(self) -> View:
        """Bring the mirror up to the newest records and return it. The lock must be held."""
        table = self.records.table
        table.refresh()
        for _ in range(ATTEMPTS):
            before = table.version
            try:
                return self._follow()
            except StoreDamaged:
                # A file that another machine has just replaced is gone for a good reason.
                table.refresh()
                if table.version == before:
                    raise
        hint = "Try again; something else rewrites this table all the time."
        raise StoreUnavailable(table.uri, "it changes faster than it can be read", hint=hint)

    def close(self) -> None:
        """Let go of the files; nothing needs to be saved."""
        with self._lock:
            self._closed = True
            self._view = None

    def _load(self) -> View:
        with self._viewing:
            if self._view is None or not self._view.is_current():
                self._view = self.mirror.view(self._view)
            return self._view

    def _follow(self) -> View:
        try:
            view = self._load()
        except MirrorDamaged:
            return self.rebuild()
        table, state = self.records.table, view.state
        if state.table != table.id:
            return self.rebuild()
        if state.version > table.version:
            raise table.damaged(
                f"the log ends at version {table.version}, and the index has seen {state.version}"
            )
        return view if state.version == table.version else self._extend(view)

    def _extend(self, view: View) -> View:
        state, files = view.state, self.records.table.files()
        if not files.keys() >= set(state.files):
            # Merged or erased elsewhere: which rows are left can only be read from all of them.
            return self.rebuild()
        seen = set[str]()
        new = [file for name, file in files.items() if name not in state.files]
        for rows in chain.from_iterable(map(self.records.read, new)):
            seen.update(rows.digests)
            state = self.mirror.extend(state, rows.digests, rows.matrix)
        if view.find(seen) or len(seen) < state.rows - view.state.rows:
            # Another program wrote a digest that is there already: the first created counts.
            return self.rebuild()
        self.mirror.publish(replace(state, version=self.records.table.version, files=tuple(files)))
        return self._load()

    def _refuse_what_is_incomplete(self) -> None:
        table = self.records.table
        if missing := table.missing():
            raise table.damaged(
                f"{missing[0]} is missing or cut short, of {len(missing)} such files"
            )
        try:
            view = self._load()
        except MirrorDamaged:
            return
        if view.state.table != table.id and len(view) and not table.files():
            raise StoreDamaged(
                table.uri,
                f"there are no records, but {self.mirror.folder} is the index of {len(view)}",
                hint="Check that the right disk is mounted. To start anew, delete the index.",
            )

    def _refuse_when_closed(self) -> None:
        if self._closed:
            raise ValueError("the store is closed")
