"""Parts of the product as programs, each in a process of its own: what roads compare."""

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.speed.homes import digest_of
from features import resizing
from features.engine import open_engine
from features.images import decode
from service.names import DEFAULT_WORKSPACE
from service.settings import Settings
from service.wiring import build

AHEAD = 16
"""Images decoded while as many are in the backbone."""


class Floor:
    """Decode and forward, in this process, with nothing around them: no road can be faster.

    Args:
        engines: folder of converted backbones.
        files: JPEGs, taken in turn.
        threads: that decode, and that the backbone uses.
    """

    def __init__(self, engines: str, files: list[str], threads: int) -> None:
        self._engine = open_engine(cache=Path(engines), device="cpu", threads=threads)
        self._files = [Path(file).read_bytes() for file in files]
        self._pool = ThreadPoolExecutor(threads)

    def __call__(self, images: int, *, lone: bool = False) -> dict[str, Any]:
        """Seconds for so many images; `lone`: of each, decoded and run one by one."""
        some = [self._files[number % len(self._files)] for number in range(images)]
        return {"seconds": [self._one(data) for data in some]} if lone else self._all(some)

    def _one(self, data: bytes) -> float:
        start = time.perf_counter()
        self._engine.run(self._decode(data)[np.newaxis])
        return time.perf_counter() - start

    def _all(self, some: list[bytes]) -> dict[str, Any]:
        start, busy = time.perf_counter(), time.process_time()
        batches = [some[at : at + AHEAD] for at in range(0, len(some), AHEAD)]
        ahead = [self._pool.submit(self._decode, data) for data in batches[0]]
        for following in [*batches[1:], []]:
            pixels = np.stack([decoded.result() for decoded in ahead])
            ahead = [self._pool.submit(self._decode, data) for data in following]
            self._engine.run(pixels)
        return {"total": time.perf_counter() - start, "busy": time.process_time() - busy}

    def _decode(self, data: bytes) -> Any:  # noqa: ANN401  uint8 (size, size, 3)
        return decode(data, self._engine.space.preprocessing)


class Embedding:
    """The engine on pixels: float32 vectors of the penultimate layer and of all stages."""

    def __init__(self, engines: str) -> None:
        self._engine = open_engine(cache=Path(engines), device="cpu")

    def __call__(self, batch: int, images: int) -> float:
        """Seconds an image, in such batches."""
        size = self._engine.space.preprocessing.size
        pixels = np.random.default_rng(0).integers(0, 256, (batch, size, size, 3), np.uint8)
        start = time.perf_counter()
        for _ in range(max(1, images // batch)):
            self._engine.run(pixels)
        return (time.perf_counter() - start) / (max(1, images // batch) * batch)


class Vectors:
    """What the engine sees in given pixels."""

    def __init__(self, engines: str) -> None:
        self._engine = open_engine(cache=Path(engines), device="cpu")

    def __call__(self, pixels: str) -> list[list[float]]:
        """Vectors of the uint8 (n, 224, 224, 3) pixels in a file."""
        found: list[list[float]] = self._engine.run(
            np.load(pixels, allow_pickle=False)
        ).embeddings.tolist()
        return found


class Decoding:
    """The product's rule from bytes to pixels."""

    def __init__(self, engines: str, files: list[str]) -> None:
        engine = open_engine(cache=Path(engines), device="cpu")
        engine.close()
        self._preprocessing = engine.space.preprocessing
        self._files = [Path(file).read_bytes() for file in files]
        resizing.load()  # as a server does

    def __call__(self) -> float:
        """Seconds an image, one after the other."""
        start = time.perf_counter()
        for data in self._files:
            decode(data, self._preprocessing)
        return (time.perf_counter() - start) / len(self._files)


class Heads:
    """The product on a home with many heads, asked about one known image, without HTTP."""

    def __init__(self, home: str) -> None:
        self._product = build(Settings(home=Path(home), device="cpu"))

    def __call__(self, heads: int, times: int) -> list[float]:
        """Seconds of each answer of so many heads, worded as a server words it."""
        from service.workflows.predict import predict_digests

        names = [f"head-{number:05}" for number in range(heads)]
        seconds = []
        for _ in range(times):
            start = time.perf_counter()
            predict_digests(self._product, DEFAULT_WORKSPACE, [digest_of(0)], names, as_json=True)
            seconds.append(time.perf_counter() - start)
        return seconds
