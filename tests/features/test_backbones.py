"""Backbones: the right numbers, taken from the right places, frozen."""

import importlib.util
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from small_networks import (
    EXACT,
    LITE0,
    difference,
    noise,
    normalised,
    timm,
    torchvision,
)
from torch import Tensor, nn

from features import backbones, weights
from features.backbones import Backbone, TorchEngine, load
from features.keys import EmbeddingSpace, Preprocessing, Stage
from features.weights import locate

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def default() -> tuple[Backbone, EmbeddingSpace]:
    return load(locate(LITE0))


@pytest.fixture(scope="module")
def lite0(default: tuple[Backbone, EmbeddingSpace]) -> Backbone:
    return default[0]


@pytest.fixture(scope="module")
def lite0_net() -> nn.Module:
    """The same network, put together here without our code."""
    state = torch.load(weights._packaged(LITE0), weights_only=True)
    net: nn.Module = timm.create_model(f"tf_{LITE0}")
    names = list(net.state_dict())
    net.load_state_dict(dict(zip(names, state.values(), strict=True)), strict=True)
    return net.eval()


def test_the_space_of_the_default_backbone(default: tuple[Backbone, EmbeddingSpace]) -> None:
    space = default[1]

    assert space.backbone == LITE0
    assert space.weights_sha256 == locate(LITE0).identity
    assert space.layer == "input of classifier"
    assert space.dim == 1280
    assert space.stages == (
        Stage("blocks.3", 80),
        Stage("blocks.4", 112),
        Stage("blocks.5", 192),
        Stage("blocks.6", 320),
    )
    assert space.preprocessing == Preprocessing(
        decode="pillow-draft-v1",
        size=224,
        crop=0.875,
        interpolation="bicubic",
        mean=(0.5, 0.5, 0.5),
        std=(0.5, 0.5, 0.5),
    )
    assert space.precision == "f32"


def test_lite1_comes_with_its_own_size() -> None:
    if not importlib.util.find_spec(weights.PACKAGES["efficientnet_lite1"]):
        pytest.skip("the optional package with the weights is not installed")
    backbone, space = load(locate("efficientnet_lite1"))

    assert space.preprocessing.size == 240
    assert backbone.look(noise(240, 1)).matrix().shape == (1, space.width)


def test_the_embedding_is_what_the_classifier_is_given(
    lite0: Backbone, lite0_net: nn.Module
) -> None:
    pixels = noise(224)
    assert lite0.classifier is not None

    with torch.no_grad():
        logits = lite0.classifier(torch.tensor(lite0.look(pixels).embeddings))
        expected = lite0_net(normalised(pixels))

    assert difference(logits, expected) < EXACT


def test_stages_are_mean_and_deviation_of_the_last_four_blocks(
    lite0: Backbone, lite0_net: Any
) -> None:
    expected: list[Any] = []
    with torch.no_grad():
        maps = lite0_net.bn1(lite0_net.conv_stem(normalised(noise(224))))
        for number, block in enumerate(lite0_net.blocks):
            maps = block(maps)
            if number >= 3:
                flat = maps.double().numpy().reshape(2, maps.shape[1], -1)
                expected += [flat.mean(2), np.sqrt(flat.var(2) + 1e-6)]

    assert difference(lite0.look(noise(224)).stages, np.concatenate(expected, 1)) < EXACT


def test_it_is_frozen_and_cannot_be_put_into_training_mode(lite0: Backbone) -> None:
    lite0.train()

    assert not any(part.training for part in lite0.modules())
    assert not any(parameter.requires_grad for parameter in lite0.parameters())


def test_an_image_does_not_change_with_its_neighbours(lite0: Backbone) -> None:
    pixels = noise(224, 3)

    together = lite0.look(pixels).matrix()

    assert difference(lite0.look(pixels[:1]).matrix(), together[:1]) < EXACT


def test_a_pass_leaves_nothing_behind(lite0: Backbone) -> None:
    lite0.look(noise(224, 1))

    assert lite0._pooled == []


# Pooling


def test_the_deviation_keeps_its_digits_beside_a_large_mean() -> None:
    maps = 10_000 + torch.randn(1, 2, 30, 30, generator=torch.Generator().manual_seed(0))

    mean, deviation = backbones._pool(maps)

    exact = maps.double().flatten(2)
    assert difference(mean, exact.mean(2)) < 1e-6
    assert difference(deviation, exact.std(2, correction=0)) < 1e-4


def test_rounding_does_not_show_in_a_constant_channel() -> None:
    constant = torch.full((1, 1, 7, 7), 3.3)
    wavering = constant + torch.linspace(-3e-7, 3e-7, 49).reshape(1, 1, 7, 7)

    _, one = backbones._pool(constant)
    _, other = backbones._pool(wavering)

    assert abs(one - other).item() < 1e-8


def test_stages_are_taken_before_the_network_changes_its_maps_in_place() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first = nn.Conv2d(3, 4, 3)

        def forward(self, images: Tensor) -> Tensor:
            maps: Tensor = self.first(images)
            return maps.relu_().mean((2, 3))

    rules = Preprocessing("rule", 8, 1.0, "bicubic", (0.5,) * 3, (0.5,) * 3)
    net = Net()
    backbone = Backbone(net, None, ["first"], rules)

    with torch.no_grad():
        expected = net.first(normalised(noise(8))).mean((2, 3))

    assert difference(backbone.look(noise(8)).stages[:, :4], expected) < EXACT


def test_torchvision_is_whole_after_its_import_was_helped() -> None:
    assert torchvision is sys.modules["torchvision"]
    assert callable(torchvision.models.resnet18)
    assert callable(torchvision.ops.nms)


def test_the_reference_engine_is_frozen_and_takes_an_empty_batch(resnet_file: Path) -> None:
    engine = TorchEngine(locate("timm/test_resnet", resnet_file), "reference", 0)

    assert engine.device == "reference"
    assert not engine.backbone.training
    assert engine.run(noise(160, 0)).matrix().shape == (0, engine.space.width)
