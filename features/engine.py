"""Runs a backbone: OpenVINO on CPU, torch on CUDA.

Opening costs reading what space the converted backbone is of; it is compiled when it is first run.
Knows nothing of images as bytes, nothing of how vectors are kept, nor how a backbone is converted.

The converted backbone takes one image at a time, for three measured reasons: a batch in one call is
slower (on two cores 150 images/s against 270), its vectors would depend in their last bits on the
size of the batch, and a fixed shape compiles to faster code. Images are instead spread over streams
of one image each, as many as suit the machine, which are fed as long as images come; an image that
comes alone gets all cores at once.
"""

import ctypes
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from features.conversion import find_or_convert, whole
from features.errors import BackboneUnavailable, EngineFailed
from features.keys import EmbeddingSpace, Float32, UInt8, Vectors
from features.mapper import Mapper
from features.maps import Maps
from features.runtime import Change, Hint, compile_graph, make_requests
from features.stream import Alone, Take, always
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

    def stream(self, take: Take, alone: Alone = always) -> Iterator[Vectors]:
        """Run images as they come; yield the vectors of some of them at a time, in order.

        Ends where none comes and none is under way. How many are taken ahead is the engine's to
        say, and the caller's to limit.
        """

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
        self._lone = _Lane(lambda: self._compile("LATENCY"))
        self._many = _Lane(lambda: self._compile("THROUGHPUT"))
        self._mapper = Mapper(self.space, self.run, lambda change: self._compile("LATENCY", change))

    def run(self, pixels: UInt8) -> Vectors:
        """Return the vectors of `pixels`: uint8 (n_images, size, size, 3), each seen on its own.

        Raises:
            EngineFailed: it cannot be compiled, fails, or was closed.
        """
        self.space.preprocessing.check(pixels)
        found = self.stream(_first(pixels, lambda: None))
        none = (np.empty((0, n), np.float32) for n in (self.space.dim, self.space.stages_dim))
        return Vectors.concat([Vectors(*none), *found])

    def stream(self, take: Take, alone: Alone = always) -> Iterator[Vectors]:
        """Run images as they come; yield the vectors of each, in order.

        Raises:
            EngineFailed: it cannot be compiled, fails, or was closed.
        """
        while (image := take()) is not None:
            if (following := take()) is not None:
                yield from self._many.stream(_first([image, following], take))
            elif alone():
                yield from self._lone.stream(_first([image], lambda: None))
            else:
                yield from self._many.stream(_first([image], take))

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
    """A compiled backbone with its streams; compiled when it is first needed."""

    def __init__(self, compiled: Callable[[], Any]) -> None:
        self._compiled = compiled
        self._graph: Any = None
        self._idle: list[list[Any]] = []
        self._closed = False
        self._lock = threading.Lock()

    def warm(self) -> None:
        self._give_back(self._borrow())

    def stream(self, take: Take) -> Iterator[Vectors]:
        """Keep the streams fed, with no Python between one image and the next."""
        requests = self._borrow()
        free, ahead = list(requests), deque[tuple[Any, UInt8]]()

        def feed() -> None:
            while free and (image := take()) is not None:
                # OpenVINO reads the memory of an image as it lies.
                ahead.append((free.pop(), lying := np.ascontiguousarray(image)[np.newaxis]))
                ahead[-1][0].start_async({0: lying}, share_inputs=True)

        try:
            feed()
            while ahead:
                # Half of them: each time this thread wakes, it drives a stream off its core.
                done = [request for request, _ in islice(ahead, (len(ahead) + 1) // 2)]
                for request in reversed(done):
                    request.wait()
                vectors = Vectors(*(_outputs(done, number) for number in (0, 1)))
                for request in done:
                    ahead.popleft()
                    free.append(request)
                feed()
                yield vectors
        except RuntimeError as error:
            raise EngineFailed(f"OpenVINO failed while running ({error})") from error
        finally:
            # What a failed run has left under way would be the next one's.
            for request, _ in ahead:
                with suppress(RuntimeError):
                    request.wait()
            self._give_back(requests)

    def close(self) -> None:
        with self._lock:
            self._graph, self._idle, self._closed = None, [], True

    def _borrow(self) -> list[Any]:
        """Return requests that nobody uses; each caller has some of his own."""
        with self._lock:
            if self._closed:
                raise EngineFailed("it has been closed", hint="Open it again.")
            if self._graph is None:
                self._graph = self._compiled()
            return self._idle.pop() if self._idle else make_requests(self._graph)

    def _give_back(self, requests: list[Any]) -> None:
        with self._lock:
            if not self._closed:
                self._idle.append(requests)


def _outputs(requests: Iterable[Any], number: int) -> Float32:
    """Return a copy of an output of each: float32 (n_requests, columns)."""
    return np.concatenate([request.get_output_tensor(number).data for request in requests])


def _first(images: Iterable[UInt8], take: Take) -> Take:
    """Give these images, and then what `take` gives."""
    waiting = deque(images)
    return lambda: waiting.popleft() if waiting else take()
