"""What every road of a run shares: how large it is, where it writes, what it has started."""

import os
import shutil
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from benchmarks.speed import servers
from benchmarks.speed.child import Child
from benchmarks.speed.images import Images
from benchmarks.speed.measuring import Journal, Series, Turns
from benchmarks.speed.servers import Server
from benchmarks.speed.vectors import VIEWS
from features.keys import EmbeddingSpace

T = TypeVar("T")

OURS, FLOOR, EMPTY = "penultimate", "floor", "empty endpoint"
BENTO, FASTAPI = "BentoML + torch eager", "FastAPI + torch eager"

MS = 1e3
"""Milliseconds in a second."""


@dataclass
class Bench:
    """One run of one road.

    Args:
        quick: small sizes, to see that everything works.
        cache: folder that outlives the run: the converted backbone, and what was found.
        images: what is looked at.
        templates: folder of the homes that roads of this run have asked for.
        journal: what was found.
        stack: ends what was started.
    """

    quick: bool
    cache: Path
    images: Images
    templates: Path
    journal: Journal
    stack: ExitStack

    def pick(self, full: T, quick: T) -> T:
        """The one of two sizes that this run has."""
        return quick if self.quick else full

    @property
    def turns(self) -> int:
        """How often programs take turns."""
        return self.pick(7, 3)

    @cached_property
    def folder(self) -> Path:
        """A folder that is gone after the road."""
        folder = Path(tempfile.mkdtemp(prefix="penultimate-bench-"))
        self.stack.callback(shutil.rmtree, folder, ignore_errors=True)
        return folder

    @property
    def free_gib(self) -> float:
        """Room on the disk that the folder is on."""
        return shutil.disk_usage(self.folder).free / 2**30

    def home(self, name: str, *, heads: int = 0, vectors: int = 0) -> Path:
        """A new home of the product, with so many heads and stored vectors."""
        template = self.templates / f"{heads}-heads-{vectors}-vectors"
        if not template.exists():
            self.make("home", home=str(template), heads=heads, vectors=vectors)
        return Path(shutil.copytree(template, self.folder / name))

    def child(self, target: str, **options: Any) -> Child:  # noqa: ANN401  any JSON
        """A program in a process of its own; see `Child`."""
        return self.stack.enter_context(Child(f"benchmarks.speed.{target}", **options))

    def clients(self, requests: Sequence[bytes]) -> Child:
        """Clients that send these requests; see `client.Clients`."""
        path = Path(tempfile.mkstemp(dir=self.folder)[1])
        with path.open("wb") as file:
            file.writelines(requests)
        return self.child("client:Clients", requests=str(path), lengths=[len(r) for r in requests])

    def product(self, home: Path, *, workers: int = 1) -> Server:
        """The product, serving."""
        return self.stack.enter_context(servers.product(home, workers=workers))

    def rival(self, kind: str, *, heads: int = 1) -> Server:
        """A rival, serving; `kind` names its module in `rivals/`."""
        return self.stack.enter_context(servers.rival(kind, self.folder, heads=heads))

    def keep(self, road: str, unit: str, turns: Turns, curve: str = "", x: float = 0) -> None:
        """Writes down what every program took."""
        for program, values in turns.items():
            place = x if curve else None
            self.journal.add(Series(road, program, unit, values, curve=curve, x=place))

    def engines(self) -> str:
        """The folder of converted backbones, for programs that open an engine themselves."""
        folder = self.cache / "engines"
        if not folder.exists():
            self.make("space")
        return str(folder)

    def space(self) -> EmbeddingSpace:
        """The space of the default backbone."""
        return EmbeddingSpace.from_dict(self.make("space"))

    def views(self) -> str:
        """A file of what the backbone sees in views of the images; made at the first call."""
        images = self.images.write(self.folder / "images")
        return str(self.make("views", images=images, count=self.pick(VIEWS, 1_200)))

    def make(self, what: str, **told: Any) -> Any:  # noqa: ANN401  any JSON
        """Has something made by a process of its own; see `homes.Making`."""
        with Child("benchmarks.speed.homes:Making", cache=str(self.cache)) as making:
            return making(what=what, **told)


def cores() -> int:
    """How many processors this process may use."""
    return len(os.sched_getaffinity(0))
