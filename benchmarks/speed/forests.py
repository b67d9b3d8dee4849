"""The packed forest as programs: its kernel beside LightGBM's predictor; what a head takes."""

import gc
import time
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import psutil

from benchmarks.speed.homes import made_heads, space
from classifiers.bushes import to_bushes
from classifiers.forest import Forest
from classifiers.head import Head
from classifiers.zoo import Zoo

LONGEST_LOOP = 1_000
"""Boosters that the loop over them keeps; more would not fit into memory beside the forest."""


class Kernel:
    """Heads on one image, on one core.

    Args:
        engines: folder of converted backbones, for the space.
        heads: how many heads of 100 trees.
    """

    def __init__(self, engines: str, heads: int) -> None:
        of = space(Path(engines))
        self._heads = list(made_heads(of, heads))
        self._forest = Forest(self._heads)
        self._slots = self._forest.slots
        generator = np.random.default_rng(1)
        images = np.abs(generator.standard_normal((64, 1, of.width)))
        self._images: list[npt.NDArray[np.float32]] = list(images.astype(np.float32))
        self._columns = [self._heads[0].scaling.scale(image) for image in self._images]
        self._forest.raw(self._images[0])  # compiles the loop

    def __call__(self, what: str, heads: int, times: int) -> Any:  # noqa: ANN401  any JSON
        """What is asked for: seconds of each time, or whether scores are equal."""
        return getattr(self, f"_{what}")(heads, times)

    def _raw(self, heads: int, times: int) -> list[float]:
        slots = self._slots[:heads]
        return [_timed(self._forest.raw, self._image(n), slots) for n in range(times)]

    def _loop(self, heads: int, times: int) -> list[float]:
        boosters = [head.booster for head in self._heads[: min(heads, LONGEST_LOOP)]]

        def every(columns: npt.NDArray[np.float32]) -> None:
            for booster in boosters:
                booster.predict(columns, raw_score=True, num_threads=1)

        return [_timed(every, self._columns[n % len(self._columns)]) for n in range(times)]

    def _identical(self, heads: int, times: int) -> bool:
        some = self._heads[:heads]
        return all(
            np.array_equal(found, head.raw(self._image(n)))
            for n in range(times)
            for found, head in zip(self._forest.raw(self._image(n)), some, strict=False)
        )

    def _image(self, number: int) -> npt.NDArray[np.float32]:
        return self._images[number % len(self._images)]


class Memory:
    """What each further head takes once it is loaded from the zoo, as a server loads it."""

    def __init__(self, home: str) -> None:
        self._zoo = Zoo(Path(home) / "zoo" / "default")

    def __call__(self) -> dict[str, float]:
        """Bytes for each head: resident, and of its packed nodes alone."""
        artefacts = list(self._zoo.artefacts())
        forest = Forest()
        # The first ones pay for libraries and pages that all share.
        early = len(artefacts) // 10
        before, packed = 0, 0
        for number, artefact in enumerate(artefacts):
            if number == early:
                gc.collect()
                before = psutil.Process().memory_info().rss
            head = self._zoo.load(artefact)
            forest.add(head)
            if number >= early:
                packed += packed_bytes(head)
        gc.collect()
        count = len(artefacts) - early
        resident = psutil.Process().memory_info().rss - before
        return {"resident": resident / count, "packed": packed / count}


def packed_bytes(head: Head) -> int:
    """Bytes of a head's trees as the forest packs them."""
    return sum(part.nbytes for part in to_bushes(head.trees, head.scaling.columns))


def _timed(function: Any, *arguments: object) -> float:  # noqa: ANN401  whatever is timed
    start = time.perf_counter()
    function(*arguments)
    return time.perf_counter() - start
