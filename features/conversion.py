"""Converts a backbone for OpenVINO once, and keeps it in a cache on disk. Runs nothing for anybody.

A second start needs no torch. The cache is disposable: whatever is missing, damaged or of another
version is converted again. Reading what space an entry is of costs its label alone; the graph and
its weights are checked when they are first used.
"""

import hashlib
import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from features.disk import make_folder, reaching
from features.errors import BackboneUnavailable, EngineFailed, StoreUnavailable
from features.keys import EmbeddingSpace, Float32, digest
from features.locks import FileLock
from features.quantisation import need_nncf, quantised
from features.runtime import has_bf16, openvino, settings_of
from features.weights import Source

if TYPE_CHECKING:
    from features.backbones import Backbone

BUILD = 1
"""Version of the conversion. Raise it whenever `backbones`, `networks`, `quantisation` or this file
changes what a converted backbone computes: caches of older versions are then built again."""

_GRAPH, _WEIGHTS, _LABEL = "backbone.xml", "backbone.bin", "space.json"

_TOLERANCE = {"f32": 1e-4, "bf16": 0.25, "int8": 0.5}
"""Largest difference from torch that a conversion may show on noise, relative to the largest value.

EfficientNet-Lite0 shows 3e-6, 0.07 and 0.16. In the lower precisions this sees a graph that is
wrong; what a sound one costs a head, only `penultimate compare` sees."""


@dataclass(frozen=True, slots=True)
class Converted:
    """A backbone as OpenVINO reads it, by its label: the space and what its files must hold."""

    space: EmbeddingSpace
    folder: Path
    label: dict[str, Any]

    @property
    def graph(self) -> Path:
        """The file to compile; its weights lie beside it."""
        return self.folder / _GRAPH

    def is_whole(self) -> bool:
        """Say whether both files are there and hold what the label says."""
        try:
            return all(_digest(self.folder / n) == self.label[n] for n in (_GRAPH, _WEIGHTS))
        except OSError:
            return False


def find_or_convert(source: Source, cache: Path) -> Converted:
    """Return a converted backbone by its label, converting it if the cache has none.

    Raises:
        BackboneUnavailable: its weights cannot be had, or nothing here runs or makes its precision.
        EngineFailed: it cannot be converted.
        StoreUnavailable: the cache cannot be read or written.
    """
    if source.precision == "bf16" and not has_bf16():
        raise BackboneUnavailable(
            source.name,
            "this CPU does not compute in bf16",
            hint=f"Use {source.backbone}, or a CPU with AVX512-BF16 or AMX.",
        )
    folder = _folder(source, cache)
    return _read(folder) or _made(source, folder, whole=False)


def whole(source: Source, converted: Converted) -> Converted:
    """Return a converted backbone whose files were checked, converting it again if they are not.

    Raises:
        EngineFailed: it cannot be converted, or is of another space now.
        BackboneUnavailable, StoreUnavailable: as `find_or_convert`.
    """
    if converted.is_whole():
        return converted
    mended = _made(source, converted.folder, whole=True)
    if mended.space != converted.space:
        raise EngineFailed("its files were damaged, and made again they are of another space")
    return mended


def calibrated(cache: Path) -> Iterator[tuple[EmbeddingSpace, list[Path]]]:
    """Find what no other machine may make again: each space that was calibrated, with its files.

    Where its images, NNCF or the processor round otherwise, int8 is another space.
    """
    for folder in sorted(cache.glob("[!.]*/")):
        found = _read(folder)
        if found is not None and found.space.precision == "int8":
            yield found.space, [folder / name for name in (_GRAPH, _WEIGHTS, _LABEL)]


def _folder(source: Source, cache: Path) -> Path:
    made_of = [BUILD, source.backbone, source.identity, source.precision]
    # Calibrated anew by another release, int8 could be another space; the old graph runs on.
    made_of += [version("openvino")] if source.precision != "int8" else []
    name = f"{source.name.replace('/', '-')}-{digest(json.dumps(made_of).encode())[:16]}"
    return cache / name


def _made(source: Source, folder: Path, *, whole: bool) -> Converted:
    # One process converts; the others that start at the same time wait for it.
    with FileLock([folder.with_name(f"{folder.name}.lock")]):
        found = _read(folder)
        if found and (not whole or found.is_whole()):
            return found
        with reaching(folder.parent):
            _build(source, folder)
    if found := _read(folder):
        return found
    raise EngineFailed(f"what was just written to {folder} cannot be read back")


def _read(folder: Path) -> Converted | None:
    """Return what a folder of the cache holds by its label, or None if that is not believable."""
    try:
        label = json.loads((folder / _LABEL).read_bytes())
        space = EmbeddingSpace.from_dict(label["space"])
        there = all((folder / name).is_file() for name in (_GRAPH, _WEIGHTS))
        expected = {"id", "space", _GRAPH, _WEIGHTS}
        if there and label.keys() == expected and label["id"] == space.id:
            return Converted(space, folder, label)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        pass
    return None


def _build(source: Source, folder: Path) -> None:
    """Convert a backbone into `folder`, which appears whole or not at all."""
    from features.backbones import load

    if source.precision == "int8":
        need_nncf(source.name)
    backbone, space = load(source)
    model = _convert(backbone, space, source.precision)
    draft = folder.with_name(f".{folder.name}")
    shutil.rmtree(draft, ignore_errors=True)
    make_folder(draft)
    try:
        openvino().save_model(model, draft / _GRAPH, compress_to_fp16=False)
    except RuntimeError as error:
        hint = "Look whether its disk is full, and try again."
        raise StoreUnavailable(str(draft), "the backbone cannot be written", hint=hint) from error
    weights = _digest(draft / _WEIGHTS)
    if source.precision == "int8":
        # What the calibration has made of the weights is what the vectors come from.
        space = replace(space, weights_sha256=weights)
    space = replace(space, precision=source.precision)
    label = {
        "id": space.id,
        "space": space.to_dict(),
        _GRAPH: _digest(draft / _GRAPH),
        _WEIGHTS: weights,
    }
    (draft / _LABEL).write_text(json.dumps(label, indent=2), encoding="utf-8")
    shutil.rmtree(folder, ignore_errors=True)
    draft.rename(folder)


def _convert(backbone: "Backbone", space: EmbeddingSpace, precision: str) -> Any:  # noqa: ANN401  OpenVINO publishes no types
    """Return the OpenVINO model of a backbone for one image, seen to give torch's vectors."""
    size = space.preprocessing.size
    image = np.random.default_rng(0).integers(0, 256, (1, size, size, 3), np.uint8)
    expected = backbone.look(image)
    ov = openvino()
    try:
        # Given the module itself, it traces it under a memory profiler: ten times slower.
        model = ov.convert_model(backbone.traced(image), input=list(image.shape))
    except Exception as error:  # Both converters raise anything on an operator they do not know.
        raise EngineFailed(f"{space.backbone} cannot be converted ({error})") from error
    if precision == "int8":
        model = quantised(model, space)
    try:
        outputs = ov.compile_model(model, "CPU", settings_of(precision))(image)
    except RuntimeError as error:
        raise EngineFailed(f"{space.backbone} cannot be converted ({error})") from error
    for found, wanted in zip(outputs.values(), (expected.embeddings, expected.stages), strict=True):
        if found.shape != wanted.shape or _difference(found, wanted) > _TOLERANCE[precision]:
            raise EngineFailed(f"{space.backbone} gives other vectors once it is converted")
    return model


def _difference(found: Float32, wanted: Float32) -> float:
    """Return the largest difference, relative to the largest value."""
    return float(np.abs(found - wanted).max(initial=0) / np.abs(wanted).max(initial=1e-12))


def _digest(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
