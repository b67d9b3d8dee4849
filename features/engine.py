"""Runs a backbone: OpenVINO on CPU, torch on CUDA.

Opening costs reading what space the converted backbone is of; it is compiled when it is first run.
Knows nothing of images as bytes, nothing of how vectors are kept, nor how a backbone is converted.

The converted backbone takes one image at a time, for three measured reasons: a batch in one call is
slower (on two cores 150 images/s against 270), its vectors would depend in their last bits on the
size of the batch, and a fixed shape compiles to faster code. A batch is instead spread over streams
of one image each, as many as suit the machine; an image that comes alone gets all cores at once.
"""

import ctypes
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from features.conversion import find_or_convert, whole
from features.errors import BackboneUnavailable, EngineFailed
from features.keys import EmbeddingSpace, UInt8, Vectors
from features.mapper import Mapper
from features.maps import Maps
from features.runtime import Change, Hint, compile_graph, make_requests
from features.weights import DEFAULT, Source, locate


class Engine(Protocol):
    """Turns pixels into vectors of one space; may be called from several threads."""

    @property
    def space(self) -> EmbeddingSpace:
        """The space its vectors live in."""

    @property
    def device(self) -> str:
        """What it runs on: cpu, cuda or reference."""

    def run(self, pixels: UInt8) -> Vectors:
        """Return the vectors of `pixels`: uint8 (n_images, size, size, 3), in order."""

    def maps(self, image: UInt8) -> Maps:
        """Return what each place of an image adds to its vectors; image: uint8 (size, size, 3).

        What this needs is made when it is first asked for. Raises `NoMaps` where there are none.
        """

    def warm(self) -> None:
        """Make ready now what a run would have to wait for otherwise."""

    def close(self) -> None:
        """Release what it holds; it cannot run afterwards."""


def open_engine(
    backbone: str = DEFAULT,
    *,
    weights: Path | None = None,
    device: str = "auto",
    cache: Path,
    threads: int = 0,
) -> Engine:
    """Open the engine for a backbone, converting it first if this machine has not done so.

    Args:
        backbone: "toy", the name of a packaged backbone, `timm/<name>` or `torchvision/<name>`;
            the latter three with `@bf16` or `@int8` for a space of that precision, on the CPU.
        weights: a .pth state dict or .safetensors file, instead of the weights of that name.
        device: "cpu", "cuda", "reference" (torch as it comes, slow: what the others are compared
            with), or "auto": CUDA where there is a GPU, else CPU.
        cache: folder for converted backbones.
        threads: CPU threads to use, 0 for all.

    Raises:
        BackboneUnavailable: there is no such backbone, or its weights cannot be had.
        EngineFailed: it cannot be converted.
        StoreUnavailable: the cache cannot be read or written.
    """
    if device not in {"auto", "cpu", "cuda", "reference"}:
        raise ValueError(f"device must be auto, cpu, cuda or reference, got {device!r}")
    if backbone == "toy":
        from features.testing import ToyBackbone

        return ToyBackbone()
    source = locate(backbone, weights)
    if device == "auto":
        device = "cuda" if source.precision == "f32" and _has_cuda() else "cpu"
    if device == "cpu":
        return OpenVinoEngine(source, cache, threads)
    if source.precision != "f32":
        raise BackboneUnavailable(
            source.name,
            f"only the CPU computes in {source.precision}, not device {device}",
            hint=f"Use device cpu, or {source.backbone}.",
        )
    from features.backbones import TorchEngine

    return TorchEngine(source, device, threads)


def _has_cuda() -> bool:
    # The driver is asked first: importing torch takes seconds, and most machines have no GPU.
    try:
        ctypes.CDLL("libcuda.so.1")
    except OSError:
        return False
    from features.backbones import has_cuda

    return has_cuda()


class OpenVinoEngine:
    """An engine that runs a converted backbone on the CPU, in the precision of its space."""

    device = "cpu"

    def __init__(self, source: Source, cache: Path, threads: int = 0) -> None:
        self._source, self._threads = source, threads
        self._converted = find_or_convert(source, cache)
        self._checked = False
        self._check = threading.Lock()
        self.space = self._converted.space
        self._lone = _Lane(self.space, lambda: self._compile("LATENCY"))
        self._many = _Lane(self.space, lambda: self._compile("THROUGHPUT"))
        self._mapper = Mapper(self, lambda change: self._compile("LATENCY", change))

    def run(self, pixels: UInt8) -> Vectors:
        """Return the vectors of `pixels`: uint8 (n_images, size, size, 3), each seen on its own.

        Raises:
            EngineFailed: it cannot be compiled, fails, or was closed.
        """
        self.space.preprocessing.check(pixels)
        lane = self._lone if len(pixels) == 1 else self._many
        # OpenVINO reads the memory of an image as it lies.
        return lane.run(np.ascontiguousarray(pixels))

    def maps(self, image: UInt8) -> Maps:
        """Return what each place of an image adds to its vectors; image: uint8 (size, size, 3)."""
        return self._mapper.run(image)

    def warm(self) -> None:
        """Compile what runs lone images and what runs many."""
        self._lone.warm()
        self._many.warm()

    def close(self) -> None:
        """Free the compiled backbones, after the calls that are running."""
        self._lone.close()
        self._many.close()
        self._mapper.close()

    def _compile(self, hint: Hint, change: Change | None = None) -> Any:  # noqa: ANN401  OpenVINO publishes no types
        with self._check:
            if not self._checked:
                self._converted = whole(self._source, self._converted)
                self._checked = True
        graph, precision = self._converted.graph, self.space.precision
        return compile_graph(graph, precision, hint, self._threads, change)


class _Lane:
    """A compiled backbone with its streams; compiled for the first call, serves one at a time."""

    def __init__(self, space: EmbeddingSpace, compiled: Callable[[], Any]) -> None:
        self._space, self._compiled = space, compiled
        self._requests: list[Any] = []
        self._closed = False
        self._lock = threading.Lock()

    def warm(self) -> None:
        with self._lock:
            self._open()

    def run(self, pixels: UInt8) -> Vectors:
        vectors = Vectors(
            np.empty((len(pixels), self._space.dim), np.float32),
            np.empty((len(pixels), self._space.stages_dim), np.float32),
        )
        with self._lock:
            self._open()
            try:
                self._fill(vectors, pixels)
            except RuntimeError as error:
                self._settle()
                raise EngineFailed(f"OpenVINO failed while running ({error})") from error
        return vectors

    def close(self) -> None:
        with self._lock:
            self._requests, self._closed = [], True

    def _fill(self, vectors: Vectors, pixels: UInt8) -> None:
        """Keep the streams fed, with no Python between one image and the next."""
        requests, count = self._requests, len(pixels)
        for row in range(count + len(requests)):
            request = requests[row % len(requests)]
            done = row - len(requests)
            if 0 <= done < count:
                request.wait()
                vectors.embeddings[done] = request.get_output_tensor(0).data[0]
                vectors.stages[done] = request.get_output_tensor(1).data[0]
            if row < count:
                request.start_async({0: pixels[row : row + 1]}, share_inputs=True)

    def _settle(self) -> None:
        """Wait for what a failed run has left under way: its requests are the next one's."""
        for request in self._requests:
            with suppress(RuntimeError):
                request.wait()

    def _open(self) -> None:
        if self._closed:
            raise EngineFailed("it has been closed", hint="Open it again.")
        if not self._requests:
            self._requests = make_requests(self._compiled())
