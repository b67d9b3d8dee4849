"""Networks with weights of no meaning, and how far vectors lie apart. Loads torch."""

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from features import networks
from features.keys import UInt8

LITE0 = "efficientnet_lite0"
EXACT = 1e-5

timm: Any = networks.timm  # type: ignore[attr-defined]
torchvision: Any = networks.torchvision


def noise(size: int, n: int = 2, seed: int = 0) -> UInt8:
    return np.random.default_rng(seed).integers(0, 256, (n, size, size, 3), np.uint8)


def difference(found: Any, wanted: Any) -> float:
    found, wanted = np.asarray(found), np.asarray(wanted)
    assert found.shape == wanted.shape
    return float(np.abs(found - wanted).max() / np.abs(wanted).max())


def fresh(name: str, **options: Any) -> nn.Module:
    """A network of timm with weights that are random but always the same."""
    torch.manual_seed(0)
    net: nn.Module = timm.create_model(name, **options)
    for part in net.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.running_mean.normal_(0, 0.1)  # type: ignore[union-attr]
            part.running_var.uniform_(0.5, 1.5)  # type: ignore[union-attr]
    return net.eval()


def normalised(pixels: UInt8, mean: float = 0.5, std: float = 0.5) -> Tensor:
    return (torch.tensor(pixels).permute(0, 3, 1, 2).double() / 255 - mean).float() / std
