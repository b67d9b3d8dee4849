"""One workspace's own places: records, index, images, heads. Nothing here reaches another's."""

from collections.abc import Callable
from pathlib import Path
from threading import Lock

from classifiers.zoo import Zoo
from features.blobs import Blobs
from features.keys import EmbeddingSpace
from features.store import FeatureStore


class Workspace:
    """The places of one workspace, for vectors of one space.

    Args:
        name: the workspace.
        home: the home folder.
        store_uri: where the records of all workspaces live.
        space: the space that is served.
    """

    def __init__(self, name: str, *, home: Path, store_uri: str, space: EmbeddingSpace) -> None:
        self.name = name
        self.space = space
        self.blobs = Blobs(home / "images" / name)
        self.zoo = Zoo(home / "zoo" / name)
        self.store = FeatureStore(
            f"{store_uri.rstrip('/')}/{name}/{space.id}", home / "index" / name / space.id, space
        )

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
