"""Runs a backbone: OpenVINO on CPU, torch on CUDA. OpenVINO only here.

What OpenVINO runs is converted from torch once and kept in a cache on disk, so that a second start
needs no torch. The cache is disposable: whatever is missing, damaged or of another version is
converted again. Knows nothing of images as bytes, and nothing of how vectors are kept.

The converted backbone takes one image at a time, for three measured reasons: a batch in one call is
slower (on two cores 150 images/s against 270), its vectors would depend in their last bits on the
size of the batch, and a fixed shape compiles to faster code. A batch is instead spread over streams
of one image each, as many as suit the machine; an image that comes alone gets all cores at once.
"""

import ctypes
import json
import shutil
import sys
import threading
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from features.disk import make_folder, reaching
from features.errors import EngineFailed
from features.keys import EmbeddingSpace, Float32, UInt8, Vectors, digest
from features.locks import FileLock
from features.mapper import Change, Mapper
from features.maps import Maps
from features.weights import DEFAULT, Source, locate

if TYPE_CHECKING:
    from features.backbones import Backbone

BUILD = 1
"""Version of the conversion. Raise it whenever `backbones`, `networks` or this file changes what a
converted backbone computes: caches of older versions are then built again."""

_GRAPH, _WEIGHTS, _LABEL = "backbone.xml", "backbone.bin", "space.json"

_TOLERANCE = 1e-4
"""Largest relative difference from torch that a conversion may show; 3e-6 is what is seen."""


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
        backbone: "toy", the name of a packaged backbone, `timm/<name>` or `torchvision/<name>`.
        weights: a .pth state dict or .safetensors file, instead of the weights of that name.
        device: "cpu", "cuda", "reference" (torch as it comes, slow: what the others are compared
            with), or "auto": CUDA where there is a GPU, else CPU.
        cache: folder for converted backbones.
        threads: CPU threads to use, 0 for all.

    Raises:
        BackboneUnavailable: there is no such backbone, or its weights cannot be had.
        EngineFailed: it cannot be converted or compiled.
        StoreUnavailable: the cache cannot be read or written.
    """
    if device not in {"auto", "cpu", "cuda", "reference"}:
        raise ValueError(f"device must be auto, cpu, cuda or reference, got {device!r}")
    if backbone == "toy":
        from features.testing import ToyBackbone

        return ToyBackbone()
    source = locate(backbone, weights)
    if device == "auto":
        device = "cuda" if _has_cuda() else "cpu"
    if device == "cpu":
        return OpenVinoEngine(source, cache, threads)
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
    """An engine that runs a converted backbone on the CPU, in float32."""

    device = "cpu"

    def __init__(self, source: Source, cache: Path, threads: int = 0) -> None:
        converted = _converted(source, cache)
        self.space = converted.space
        self._lone = _Lane(converted, "LATENCY", threads)
        self._many = _Lane(converted, "THROUGHPUT", threads)
        self._mapper = Mapper(
            self, lambda change: _compile(_converted(source, cache), "LATENCY", threads, change)
        )

    def run(self, pixels: UInt8) -> Vectors:
        """Return the vectors of `pixels`: uint8 (n_images, size, size, 3), each seen on its own."""
        self.space.preprocessing.check(pixels)
        lane = self._lone if len(pixels) == 1 else self._many
        # OpenVINO reads the memory of an image as it lies.
        return lane.run(np.ascontiguousarray(pixels))

    def maps(self, image: UInt8) -> Maps:
        """Return what each place of an image adds to its vectors; image: uint8 (size, size, 3)."""
        return self._mapper.run(image)

    def close(self) -> None:
        """Free the compiled backbones, after the calls that are running."""
        self._lone.close()
        self._many.close()
        self._mapper.close()


@dataclass(frozen=True, slots=True)
class _Converted:
    """A backbone as OpenVINO reads it, and the space its vectors live in."""

    space: EmbeddingSpace
    graph: bytes
    weights: bytes


class _Lane:
    """One compiled backbone with its streams; serves one call at a time."""

    def __init__(self, converted: _Converted, hint: str, threads: int) -> None:
        self._queue = _openvino().AsyncInferQueue(_compile(converted, hint, threads))
        self._space = converted.space
        self._lock = threading.Lock()

    def run(self, pixels: UInt8) -> Vectors:
        embeddings = np.empty((len(pixels), self._space.dim), np.float32)
        stages = np.empty((len(pixels), self._space.stages_dim), np.float32)

        def keep(request: Any, row: int) -> None:  # noqa: ANN401  OpenVINO publishes no types
            embeddings[row] = request.get_output_tensor(0).data[0]
            stages[row] = request.get_output_tensor(1).data[0]

        with self._lock:
            if self._queue is None:
                raise EngineFailed("it has been closed", hint="Open it again.")
            try:
                self._queue.set_callback(keep)
                for row in range(len(pixels)):
                    self._queue.start_async({0: pixels[row : row + 1]}, row, share_inputs=True)
                self._queue.wait_all()
            except RuntimeError as error:
                raise EngineFailed(f"OpenVINO failed while running ({error})") from error
        return Vectors(embeddings, stages)

    def close(self) -> None:
        with self._lock:
            self._queue = None


def _compile(converted: _Converted, hint: str, threads: int, change: Change | None = None) -> Any:  # noqa: ANN401  OpenVINO publishes no types
    # bfloat16, the default where a CPU has it, would be another space. Pinned threads of
    # several worker processes would share the first cores and leave the others idle.
    settings = {
        "PERFORMANCE_HINT": hint,
        "INFERENCE_PRECISION_HINT": "f32",
        "ENABLE_CPU_PINNING": False,
    } | ({"INFERENCE_NUM_THREADS": threads} if threads else {})
    core = _openvino().Core()
    try:
        model = core.read_model(converted.graph, converted.weights)
        if change is not None:
            change(model)
        return core.compile_model(model, "CPU", settings)
    except RuntimeError as error:
        raise EngineFailed(f"OpenVINO cannot compile it ({error})") from error


def _openvino() -> Any:  # noqa: ANN401  OpenVINO publishes no types
    """Import OpenVINO with its telemetry cut off.

    As soon as it is imported, `openvino` forks a process that reports to an analytics service on
    the internet, and writes a client number and a counter into the home folder, unless a file there
    says no. It does without if `openvino_telemetry` cannot be imported: None in `sys.modules` makes
    that so, for this process only and whatever is installed.
    """
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    import openvino

    return openvino


def _converted(source: Source, cache: Path) -> _Converted:
    """Return the converted backbone from the cache, converting it if it is not there."""
    made_of = [BUILD, source.backbone, source.identity, "f32", version("openvino")]
    name = f"{source.backbone.replace('/', '-')}-{digest(json.dumps(made_of).encode())[:16]}"
    if found := _read(cache / name):
        return found
    # One process converts; the others that start at the same time wait for it.
    with FileLock([cache / f"{name}.lock"]):
        if found := _read(cache / name):
            return found
        with reaching(cache):
            _build(source, cache / name)
    if found := _read(cache / name):
        return found
    raise EngineFailed(f"what was just written to {cache / name} cannot be read back")


def _read(folder: Path) -> _Converted | None:
    """Return what a folder of the cache holds, or None unless all of it is there and whole."""
    try:
        label = json.loads((folder / _LABEL).read_bytes())
        space = EmbeddingSpace.from_dict(label["space"])
        found = _Converted(space, (folder / _GRAPH).read_bytes(), (folder / _WEIGHTS).read_bytes())
        return found if _label(found) == label else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _label(converted: _Converted) -> dict[str, object]:
    return {
        "id": converted.space.id,
        "space": converted.space.to_dict(),
        _GRAPH: digest(converted.graph),
        _WEIGHTS: digest(converted.weights),
    }


def _build(source: Source, folder: Path) -> None:
    """Convert a backbone into `folder`, which appears whole or not at all."""
    from features.backbones import load

    backbone, space = load(source)
    model = _convert(backbone, space)
    draft = folder.with_name(f".{folder.name}")
    shutil.rmtree(draft, ignore_errors=True)
    make_folder(draft)
    _openvino().save_model(model, draft / _GRAPH, compress_to_fp16=False)
    graph, weights = (draft / _GRAPH).read_bytes(), (draft / _WEIGHTS).read_bytes()
    label = _label(_Converted(space, graph, weights))
    (draft / _LABEL).write_text(json.dumps(label, indent=2), encoding="utf-8")
    shutil.rmtree(folder, ignore_errors=True)
    draft.rename(folder)


def _convert(backbone: "Backbone", space: EmbeddingSpace) -> Any:  # noqa: ANN401  OpenVINO publishes no types
    """Return the OpenVINO model of a backbone for one image, proved to give torch's vectors."""
    size = space.preprocessing.size
    image = np.random.default_rng(0).integers(0, 256, (1, size, size, 3), np.uint8)
    expected = backbone.look(image)
    ov = _openvino()
    try:
        # Given the module itself, it traces it under a memory profiler: ten times slower.
        model = ov.convert_model(backbone.traced(image), input=list(image.shape))
        outputs = ov.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})(image)
    except Exception as error:  # Both converters raise anything on an operator they do not know.
        raise EngineFailed(f"{space.backbone} cannot be converted ({error})") from error
    for found, wanted in zip(outputs.values(), (expected.embeddings, expected.stages), strict=True):
        if found.shape != wanted.shape or _difference(found, wanted) > _TOLERANCE:
            raise EngineFailed(f"{space.backbone} gives other vectors once it is converted")
    return model


def _difference(found: Float32, wanted: Float32) -> float:
    """Return the largest difference, relative to the largest value."""
    return float(np.abs(found - wanted).max(initial=0) / np.abs(wanted).max(initial=1e-12))
