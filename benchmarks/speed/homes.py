"""Homes of the product with as many heads and vectors as a measurement wants.

Heads are learnt from made-up vectors by the product itself; of a few, any number is made by letting
the trees look at other columns. Such a copy is as large, takes other ways through its trees on each
image, and says something else: to a processor it is another head.
"""

import hashlib
import logging
import re
import shutil
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import structlog

from benchmarks.speed import vectors as of_views
from classifiers.head import Head
from classifiers.labels import LabelSet
from classifiers.recipe import Recipe
from classifiers.training import learn
from features.engine import open_engine
from features.keys import EmbeddingSpace, Vectors
from features.store import FeatureStore
from service.names import DEFAULT_WORKSPACE
from service.product import Product
from service.settings import Settings
from service.wiring import build

Float32 = npt.NDArray[np.float32]

LEARNT = 3
"""Heads that are really learnt."""

IMAGES_PER_HEAD = 120
AT_ONCE = 2_048
TREES = 100

DIRECTIONS = 48
"""Independent directions of made-up vectors."""

_SPLIT_COLUMNS = re.compile(r"(?<=split_feature=)[0-9 ]+")


def engines(cache: Path) -> Path:
    """The folder of the converted backbone; it is converted at the first call."""
    folder = cache / "engines"
    if not folder.exists():
        open_engine(cache=folder, device="cpu").close()
    return folder


def space(folder: Path) -> EmbeddingSpace:
    """The space of the default backbone."""
    engine = open_engine(cache=folder, device="cpu")
    engine.close()
    return engine.space


def fill(home: Path, *, heads: int, vectors: int) -> None:
    """Puts heads, each its own champion, and vectors into a home."""
    product = build(Settings(home=home, device="cpu"))
    try:
        place = product.workspaces[DEFAULT_WORKSPACE]
        for head in made_heads(product.space, heads):
            register(product, head)
        store_vectors(place.store, vectors)
    finally:
        product.close()


def register(product: Product, head: Head) -> None:
    """Adds a head as a finished training does."""
    artefact = product.workspaces[DEFAULT_WORKSPACE].zoo.add(head)
    with product.catalog.database.write() as connection:
        product.catalog.heads.register(
            connection,
            DEFAULT_WORKSPACE,
            head.card.name,
            artefact=artefact,
            space_id=head.card.space_id,
            dataset="made-up",
            training={},
            actor="bench",
        )


def made_heads(of: EmbeddingSpace, count: int) -> Iterator[Head]:
    """Yield heads of 100 trees for two classes, no two alike."""
    learnt = [_learnt(of, seed) for seed in range(min(LEARNT, count))]
    for number in range(count):
        yield varied(learnt[number % LEARNT], f"head-{number:05}", number)


def varied(head: Head, name: str, seed: int) -> Head:
    """Return a head of other columns: a column becomes one with a number of as many digits."""
    generator = np.random.default_rng(seed)
    columns = np.arange(head.card.scaling.n_columns)
    for low, high in ((0, 10), (10, 100), (100, 1_000), (1_000, 10_000)):
        columns[low:high] = generator.permutation(columns[low:high])
    names = list(map(str, columns.tolist()))

    def renumbered(found: re.Match[str]) -> str:
        return " ".join(names[int(column)] for column in found[0].split(" "))

    text = _SPLIT_COLUMNS.sub(renumbered, head.text)
    arrays = {**head.arrays, "linear": np.roll(head.arrays["linear"], seed, axis=1)}
    return Head.assemble(replace(head.card, name=name), text, arrays)


def store_vectors(store: FeatureStore, count: int) -> None:
    """Put so many vectors into a store, named by their numbers."""
    for start, part in made_vectors(store.space.width, count):
        names = [digest_of(number) for number in range(start, start + len(part))]
        store.put(names, Vectors(part[:, : store.space.dim], part[:, store.space.dim :]))


def made_vectors(width: int, count: int) -> Iterator[tuple[int, Float32]]:
    """Yield (first number, float32 (some, width)): vectors as a backbone makes them.

    Never negative, around 50 centres, and of few independent directions of falling strength: noise
    in all dimensions has no neighbours worth finding.
    """
    generator = np.random.default_rng(7)
    strength = np.float32(1) / np.sqrt(np.arange(1, DIRECTIONS + 1, dtype=np.float32))
    centres = 1.5 * strength * generator.standard_normal((50, DIRECTIONS), np.float32)
    spread = generator.standard_normal((DIRECTIONS, width), np.float32)
    for start in range(0, count, AT_ONCE):
        size = min(AT_ONCE, count - start)
        inner = strength * generator.standard_normal((size, DIRECTIONS), np.float32)
        inner += centres[generator.integers(0, len(centres), size)]
        noise = generator.standard_normal((size, width), np.float32)
        yield start, np.maximum(inner @ spread + np.float32(0.2) * noise, 0)


def digest_of(number: int) -> str:
    """The digest that a made-up vector is stored under."""
    return hashlib.sha256(str(number).encode()).hexdigest()


def _learnt(of: EmbeddingSpace, seed: int) -> Head:
    generator = np.random.default_rng(seed)
    labels = ("no", "yes") * (IMAGES_PER_HEAD // 2)
    X = np.abs(generator.standard_normal((IMAGES_PER_HEAD, of.width))).astype(np.float32)
    X[1::2, generator.integers(0, of.width, 200)] += 1
    names = tuple(map(digest_of, range(IMAGES_PER_HEAD)))
    return learn(
        X,
        LabelSet(names, labels),
        name="learnt",
        space_id=of.id,
        blocks=[(b.name, b.start, b.stop) for b in of.blocks],
        recipe=Recipe(seed=seed, rounds=TREES, folds=3, repeats=1),
    )


class Making:
    """Makes homes and stores, as a program.

    What it loads stays out of the process that starts and ends servers: native libraries there
    have crashed it at SIGTERM, and then nobody ended them.
    """

    def __init__(self, cache: str) -> None:
        self._engines = engines(Path(cache))
        # A line of the audit for each of a thousand heads would bury what is measured.
        above = structlog.make_filtering_bound_logger(logging.WARNING)
        structlog.configure(wrapper_class=above)

    def __call__(self, what: str, **told: Any) -> Any:  # noqa: ANN401  any JSON
        """Makes what is asked for."""
        return getattr(self, f"_{what}")(**told)

    def _space(self) -> dict[str, Any]:
        return space(self._engines).to_dict()

    def _home(self, home: str, heads: int, vectors: int) -> None:
        shutil.copytree(self._engines, Path(home) / "cache" / "engines")
        fill(Path(home), heads=heads, vectors=vectors)

    def _views(self, images: str, count: int) -> str:
        """Looks at so many views of images, once; returns the file of what was seen."""
        found = [path.read_bytes() for path in of_views.files_of(Path(images), count // 2)]
        path = self._engines.parent / of_views.named(found, count, space(self._engines).id)
        if not path.exists():
            with closing(open_engine(cache=self._engines, device="cpu")) as engine:
                of_views.see(engine, found, count, path)
        return str(path)

    def _store(self, records: str, index: str, add: int) -> int:
        """Adds vectors to a store; returns how many there are."""
        store = FeatureStore(records, Path(index), space(self._engines))
        store_vectors(store, add)
        count = len(store)
        store.close()
        return count
