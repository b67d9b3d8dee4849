"""Quantises a converted backbone to 8-bit weights and activations. NNCF only here.

How far each activation reaches is measured on crops of the two photographs that come with
scikit-learn, so that every machine calibrates with the same images. The pooling that turns stages
into means and deviations stays in float32: it is cheap, and a deviation of rounded numbers is not
worth having.

Method: Jacob et al., Quantization and Training of Neural Networks for Efficient
Integer-Arithmetic-Only Inference, CVPR 2018; NNCF's post-training quantisation, with its fast bias
correction.
"""

import importlib.util
import logging
from contextlib import redirect_stdout
from io import BytesIO, StringIO
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from features.errors import BackboneUnavailable
from features.images import decode
from features.keys import EmbeddingSpace, Preprocessing, UInt8
from features.limits import Limits
from features.runtime import fold_constants, openvino

CROPS = 200
_PHOTOGRAPHS = ("china.jpg", "flower.jpg")
_SMALLEST = 0.25
"""Shortest side of a crop, as a share of the photograph's."""

_POOLING = ["ReduceMean", "Subtract", "Power", "Sqrt"]
"""What stages and embedding are pooled with, as OpenVINO calls it."""


def need_nncf(name: str) -> None:
    """Raise `BackboneUnavailable` unless NNCF is installed."""
    if importlib.util.find_spec("nncf") is None:
        raise BackboneUnavailable(
            name,
            "quantising it needs NNCF, once, which is not installed",
            hint="Install the extra: pip install 'penultimate[int8]'.",
        )


def quantised(model: Any, space: EmbeddingSpace) -> Any:  # noqa: ANN401  OpenVINO publishes no types
    """Return the OpenVINO model with weights and activations of 8 bits."""
    openvino()  # First, with its telemetry cut off: NNCF imports it too.
    import nncf

    # Paddings are computed in the graph; as constants, they are merged into the convolutions.
    fold_constants(model)
    nncf.set_log_level(logging.ERROR)
    # It draws its progress on the standard output, which belongs to our answers.
    with redirect_stdout(StringIO()):
        return nncf.quantize(
            model,
            nncf.Dataset(calibration(space.preprocessing)),
            subset_size=CROPS,
            # Asymmetric activations, its other preset, were no closer to float32 and 15 % slower.
            preset=nncf.QuantizationPreset.PERFORMANCE,
            ignored_scope=nncf.IgnoredScope(types=_POOLING, validate=False),
        )


def calibration(preprocessing: Preprocessing) -> list[UInt8]:
    """Return the images to calibrate with: `CROPS` of uint8 (1, size, size, 3), always the same.

    Every second one is grey, as medical images often are.
    """
    chance = np.random.default_rng(0)
    photographs, crops = _photographs(), []
    for number in range(CROPS):
        photograph = photographs[number % len(photographs)]
        side = int(min(photograph.size) * chance.uniform(_SMALLEST, 1))
        left, top = (int(chance.integers(0, length - side + 1)) for length in photograph.size)
        crop = photograph.crop((left, top, left + side, top + side))
        if number // 2 % 2:
            crop = crop.convert("L")
        file = BytesIO()
        crop.save(file, "BMP")
        crops.append(decode(file.getvalue(), preprocessing, Limits())[np.newaxis])
    return crops


def _photographs() -> list[Image.Image]:
    # Found, not imported: scikit-learn takes a second, and these are plain files.
    spec = importlib.util.find_spec("sklearn")
    assert spec is not None  # noqa: S101  it is a dependency
    assert spec.origin is not None  # noqa: S101  and a package
    folder = Path(spec.origin).parent / "datasets" / "images"
    return [Image.open(folder / name) for name in _PHOTOGRAPHS]
