"""One workspace's own places: records, index, images, heads. Nothing here reaches another's."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from threading import Lock

from classifiers.zoo import Zoo
from features.blobs import Blobs
from features.keys import EmbeddingSpace
from features.locks import holding_together
from features.store import FeatureStore
from service.catalog.paths import known_workspace

IMAGES, ZOO, INDEX = "images", "zoo", "index"
WEIGHTS, ENGINES = "weights", "cache/engines"
"""Folders of the home, each with one folder for each workspace."""


class Workspace:
    """The places of one workspace, for vectors of one space.

    Args:
        name: the workspace.
        home: the home folder.
        store_uri: where the records of all workspaces live.
        space: the space that is served.
        note: told every space before its records are opened, so that an erasure finds them all.

    Raises:
        CatalogUnavailable: the name cannot be a folder's. Requests are refused before; this one is
            the catalog's.
    """

    def __init__(
        self,
        name: str,
        *,
        home: Path,
        store_uri: str,
        space: EmbeddingSpace,
        note: Callable[[EmbeddingSpace], None],
    ) -> None:
        self.name = name = known_workspace(name)
        self.space = space
        self._home, self._store_uri, self._note = home, store_uri, note
        self.blobs = Blobs(home / IMAGES / name)
        self.zoo = Zoo(home / ZOO / name)
        self.store = self._store_of(space)

    @contextmanager
    def store_in(self, space: EmbeddingSpace) -> Iterator[FeatureStore]:
        """The workspace's records in any space, open for as long as the block runs."""
        if space == self.space:
            yield self.store
            return
        store = self._store_of(space)
        try:
            yield store
        finally:
            store.close()

    def erasing(self) -> AbstractContextManager[Callable[[], None]]:
        """Held by whoever removes images of which the catalog has a note that they are to go.

        The note is taken back only by who then holds it alone: an image that comes again after it
        must not meet somebody who still removes it. See `features.locks.holding_together`.
        """
        return holding_together(self._home / "run" / f"erasing-{self.name}.lock")

    def _store_of(self, space: EmbeddingSpace) -> FeatureStore:
        self._note(space)
        uri = f"{self._store_uri.rstrip('/')}/{self.name}/{space.id}"
        return FeatureStore(uri, self._home / INDEX / self.name / space.id, space)

    def close(self) -> None:
        """Closes the store."""
        self.store.close()


class Workspaces:
    """Opens each workspace once, when it is first asked for.

    Args:
        make: opens the workspace of a name.
    """

    def __init__(self, make: Callable[[str], Workspace]) -> None:
        self._make = make
        self._open: dict[str, Workspace] = {}
        self._lock = Lock()

    def __getitem__(self, name: str) -> Workspace:
        with self._lock:
            if name not in self._open:
                self._open[name] = self._make(name)
            return self._open[name]

    def close(self) -> None:
        """Closes every workspace that was opened."""
        with self._lock:
            for workspace in self._open.values():
                workspace.close()
            self._open.clear()
