"""An embedder that is watched: what its backbone was given, what its observer was told."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextvars import Context

import numpy as np
from made_up import SPACE, picture

from features.call import Embedded
from features.errors import ImageRejected
from features.images import decode
from features.keys import UInt8, Vectors, digest
from features.store import FeatureStore
from features.testing import ToyBackbone

Opener = Callable[..., FeatureStore]

Image = tuple[str | None, bytes]

PATIENCE_S = 20
"""How long a test waits for what should happen at once, before it fails."""


class Watched(ToyBackbone):
    """The toy backbone; counts, and can be held up or made to fail."""

    def __init__(self) -> None:
        self.batches: list[int] = []
        self.open = threading.Event()
        self.open.set()
        self.entered = threading.Semaphore(0)
        self.failure: Exception | None = None

    @property
    def images(self) -> int:
        return sum(self.batches)

    def run(self, pixels: UInt8) -> Vectors:
        self.batches.append(len(pixels))
        self.entered.release()
        assert self.open.wait(PATIENCE_S)
        if self.failure is not None:
            raise self.failure
        return super().run(pixels)

    def hold(self) -> None:
        self.open.clear()

    def wait_until_held(self) -> None:
        assert self.entered.acquire(timeout=PATIENCE_S)


class Notes:
    """An observer that remembers."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.times: Counter[str] = Counter()
        self._lock = threading.Lock()

    def count(self, name: str, value: int = 1) -> None:
        with self._lock:
            self.counts[name] += value

    def time(self, stage: str, seconds: float, calls: Sequence[Context] = ()) -> None:
        assert seconds >= 0
        assert bool(calls) == (stage != "write")
        with self._lock:
            self.times[stage] += 1


def images(*numbers: int) -> list[Image]:
    return [(f"{number}.png", picture(number)) for number in numbers]


def expected(data: bytes) -> Vectors:
    return ToyBackbone().run(decode(data, SPACE.preprocessing)[np.newaxis])


def right(results: Sequence[Embedded | ImageRejected], sent: Sequence[Image]) -> bool:
    """Say whether these are the vectors of these images, in order."""
    assert len(results) == len(sent)
    for result, (_, data) in zip(results, sent, strict=True):
        assert isinstance(result, Embedded)
        assert result.digest == digest(data)
        assert np.array_equal(result.embedding, expected(data).embeddings[0])
        assert np.array_equal(result.stages, expected(data).stages[0])
    return True


def cached(results: Sequence[Embedded | ImageRejected]) -> list[bool]:
    return [isinstance(result, Embedded) and result.cached for result in results]


def wait_for(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.002)
