"""The wired product that every workflow takes. Holds the parts together; builds none of them."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from contextvars import Context
from dataclasses import dataclass, field
from functools import cached_property
from threading import Lock
from time import perf_counter
from typing import Protocol

from features.embedder import Embedder
from features.engine import Engine
from features.keys import EmbeddingSpace, digest
from service.access import Door
from service.catalog import Catalog
from service.serving import ServedHeads
from service.settings import Settings
from service.workspace import Workspaces


@dataclass(frozen=True)
class Upload:
    """One file as it was sent."""

    filename: str | None
    data: bytes

    @cached_property
    def digest(self) -> str:
        """The name of its bytes; they are hashed once, however many ask."""
        return digest(self.data)


class Metrics(Protocol):
    """What happened, counted and timed."""

    def count(self, name: str, value: int = 1) -> None:
        """Adds to a counter."""

    def time(self, stage: str, seconds: float, calls: Sequence[Context] = ()) -> None:
        """Adds one duration of a stage; `calls` are those it was for, if not the caller itself."""

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        """Times the block as one duration of a stage."""
        start = perf_counter()
        yield
        self.time(stage, perf_counter() - start)


class NoMetrics(Metrics):
    """Counts nothing: for the trainer and the command line."""

    def count(self, name: str, value: int = 1) -> None:
        """Forgets it."""

    def time(self, stage: str, seconds: float, calls: Sequence[Context] = ()) -> None:
        """Forgets it."""


@dataclass
class Product:
    """Everything that is wired.

    Args:
        settings: what it was built from.
        catalog: names.
        engine: runs the backbone.
        embedder: bytes to vectors.
        workspaces: each workspace's places.
        metrics: counters and times.
        open_backbone: opens another backbone than the served one, for as long as a block runs.
        door: who may come in.
    """

    settings: Settings
    catalog: Catalog
    engine: Engine
    embedder: Embedder
    workspaces: Workspaces
    metrics: Metrics
    open_backbone: Callable[[str], AbstractContextManager[Embedder]]
    door: Door
    _served: dict[str, ServedHeads] = field(default_factory=dict)
    _lock: Lock = field(default_factory=Lock)

    @property
    def space(self) -> EmbeddingSpace:
        """The space that is served."""
        return self.engine.space

    def served(self, workspace: str) -> ServedHeads:
        """The loaded heads of a workspace."""
        with self._lock:
            if workspace not in self._served:
                place = self.workspaces[workspace]
                self._served[workspace] = ServedHeads(self.catalog, place)
            return self._served[workspace]

    def served_now(self, workspace: str) -> ServedHeads | None:
        """The same, if they were asked for before; waits for nobody."""
        return self._served.get(workspace)

    def close(self) -> None:
        """Makes everything remembered durable and closes every part."""
        self.embedder.close()
        self.engine.close()
        self.workspaces.close()
        self.catalog.close()
