"""Networks of every family, taken apart at the right places."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from small_networks import difference, noise, timm, torchvision
from torch import Tensor, nn

from features import backbones, networks
from features.backbones import load
from features.errors import BackboneUnavailable
from features.keys import Preprocessing, Stage
from features.networks import Network
from features.weights import locate

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.mark.parametrize(
    ("name", "layer", "dim", "stages"),
    [
        (
            "timm/test_efficientnet",
            "classifier",
            256,
            ["blocks.1", "blocks.2", "blocks.3", "blocks.4"],
        ),
        ("timm/test_resnet", "fc", 96, ["layer1", "layer2", "layer3", "layer4"]),
        ("timm/test_convnext", "head.fc", 64, ["stages.0", "stages.1", "stages.2", "stages.3"]),
        ("timm/test_vit", "head", 64, []),
        (
            "torchvision/mobilenet_v3_small",
            "classifier.3",
            1024,
            ["features.9", "features.10", "features.11", "features.12"],
        ),
    ],
)
def test_networks_of_every_family_are_taken_apart(
    name: str, layer: str, dim: int, stages: list[str], tmp_path: Path
) -> None:
    library, _, short = name.partition("/")
    torch.manual_seed(0)
    net = timm.create_model(short) if library == "timm" else getattr(torchvision.models, short)()
    torch.save(net.state_dict(), tmp_path / "weights.pth")

    backbone, space = load(locate(name, tmp_path / "weights.pth"))

    assert space.layer == f"input of {layer}"
    assert space.dim == dim
    assert stages == [stage.name for stage in space.stages]
    size = space.preprocessing.size
    vectors = backbone.look(noise(size))
    assert vectors.matrix().shape == (2, space.width)
    assert backbone.classifier is not None
    with torch.no_grad():
        mean, std = (torch.tensor(v) for v in (space.preprocessing.mean, space.preprocessing.std))
        images = (torch.tensor(noise(size)).float() / 255 - mean) / std
        expected = net.eval()(images.permute(0, 3, 1, 2))
        found = backbone.classifier(torch.tensor(vectors.embeddings))
    assert difference(found, expected) < 1e-4


def test_the_stages_of_torchvisions_resnets_are_its_layers() -> None:
    names = backbones._stage_names(torchvision.models.resnet18())

    assert names == ["layer1", "layer2", "layer3", "layer4"]


def test_torchvision_weights_bring_their_own_preprocessing(tmp_path: Path) -> None:
    torch.save(torchvision.models.mobilenet_v3_small().state_dict(), tmp_path / "w.pth")

    space = load(locate("torchvision/mobilenet_v3_small", tmp_path / "w.pth"))[1]

    assert space.preprocessing == Preprocessing(
        decode="pillow-draft-v1",
        size=224,
        crop=0.875,
        interpolation="bilinear",
        mean=(0.485, 0.456, 0.406),
        std=(0.229, 0.224, 0.225),
    )


def test_a_tag_chooses_among_the_weights_of_torchvision(tmp_path: Path) -> None:
    torch.save(torchvision.models.mobilenet_v3_large().state_dict(), tmp_path / "w.pth")

    tags = ("", ".imagenet1k_v1", ".imagenet1k_v2")
    names = [f"torchvision/mobilenet_v3_large{tag}" for tag in tags]
    crops = [load(locate(name, tmp_path / "w.pth"))[1].preprocessing.crop for name in names]

    assert crops == [224 / 232, 224 / 256, 224 / 232]


def test_maps_whose_channels_come_last_are_no_stages(
    resnet_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Last(nn.Module):
        def forward(self, maps: Tensor) -> Tensor:
            return maps.movedim(1, 3)

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.features = nn.Sequential(nn.Conv2d(3, 5, 1), Last())
            self.head = nn.Linear(5, 2)

        def forward(self, images: Tensor) -> Tensor:
            result: Tensor = self.head(self.features(images).mean((1, 2)))
            return result

    rules = Preprocessing("rule", 8, 1.0, "bicubic", (0.5,) * 3, (0.5,) * 3)
    monkeypatch.setattr(networks, "build", lambda _: Network(Net(), rules, resnet_file))

    space = load(locate("timm/test_resnet", resnet_file))[1]

    assert space.stages == (Stage("features.0", 5),)


def without_linear() -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 4, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten())


def linear_in_the_middle() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(192, 192), nn.Unflatten(1, (192, 1)))


def linear_needed() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(192, 5), nn.LayerNorm(5))


@pytest.mark.parametrize("make", [without_linear, linear_in_the_middle, linear_needed])
def test_networks_without_a_penultimate_layer_are_refused(
    make: Callable[[], nn.Module], resnet_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rules = Preprocessing("rule", 8, 1.0, "bicubic", (0.5,) * 3, (0.5,) * 3)
    monkeypatch.setattr(networks, "build", lambda _: Network(make(), rules, resnet_file))

    with pytest.raises(BackboneUnavailable) as caught:
        load(locate("timm/test_resnet", resnet_file))

    assert "linear" in caught.value.reason + caught.value.hint
