"""Spaces of lower precision: names and identity, how near they are, where they are refused."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
import torch

from features import conversion, networks, quantisation
from features.engine import Engine, open_engine
from features.errors import BackboneUnavailable
from features.keys import Preprocessing, UInt8
from features.quantisation import CROPS, calibration
from features.runtime import has_bf16
from features.weights import locate

NAME = "timm/test_resnet"
timm = networks.timm  # type: ignore[attr-defined]
NNCF = importlib.util.find_spec("nncf") is not None

needs_bf16 = pytest.mark.skipif(not has_bf16(), reason="this CPU does not compute in bf16")
needs_nncf = pytest.mark.skipif(not NNCF, reason="NNCF, the extra int8, is not installed")


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    file = tmp_path_factory.mktemp("weights") / "weights.pth"
    torch.save(timm.create_model("test_resnet").state_dict(), file)
    return file


def opened(precision: str, weights: Path, cache: Path) -> Engine:
    return open_engine(f"{NAME}{precision}", weights=weights, device="cpu", cache=cache)


def noise(n: int = 3) -> UInt8:
    return np.random.default_rng(1).integers(0, 256, (n, 160, 160, 3), np.uint8)


def cosine(one: np.ndarray, other: np.ndarray) -> float:
    norms = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
    return float(((one * other).sum(axis=1) / norms).min())


# Names


def test_a_suffix_is_the_precision_and_the_rest_the_network() -> None:
    plain, half = locate("efficientnet_lite0"), locate("efficientnet_lite0@bf16")

    assert (plain.precision, plain.name) == ("f32", "efficientnet_lite0")
    assert (half.precision, half.name) == ("bf16", "efficientnet_lite0@bf16")
    assert (half.backbone, half.file, half.identity) == (plain.backbone, plain.file, plain.identity)


@pytest.mark.parametrize("name", ["efficientnet_lite0@f16", "efficientnet_lite0@", "toy@bf16"])
def test_another_suffix_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(BackboneUnavailable) as caught:
        open_engine(name, cache=tmp_path)

    assert caught.value.hint.startswith("Try ")


def test_only_the_processor_computes_in_a_lower_precision(weights: Path, tmp_path: Path) -> None:
    with pytest.raises(BackboneUnavailable) as caught:
        open_engine(f"{NAME}@bf16", weights=weights, device="reference", cache=tmp_path)

    assert "cpu" in caught.value.hint


# bf16


@needs_bf16
def test_bf16_is_a_space_of_its_own_near_the_other(weights: Path, tmp_path: Path) -> None:
    plain, half = opened("", weights, tmp_path), opened("@bf16", weights, tmp_path)

    assert (half.space.backbone, half.space.precision) == (NAME, "bf16")
    assert half.space.id != plain.space.id
    found, wanted = half.run(noise()), plain.run(noise())
    assert not np.array_equal(found.embeddings, wanted.embeddings)
    assert cosine(found.embeddings, wanted.embeddings) > 0.99
    assert cosine(found.stages, wanted.stages) > 0.99


def test_a_processor_without_bf16_is_refused_before_anything_is_made(
    weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(conversion, "has_bf16", lambda: False)

    with pytest.raises(BackboneUnavailable) as caught:
        opened("@bf16", weights, tmp_path / "cache")

    assert NAME in caught.value.hint
    assert not (tmp_path / "cache").exists()


# int8


@needs_nncf
def test_int8_is_a_space_of_its_own_and_made_once(
    weights: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    plain, small = opened("", weights, tmp_path), opened("@int8", weights, tmp_path)

    assert (small.space.backbone, small.space.precision) == (NAME, "int8")
    assert small.space.weights_sha256 != plain.space.weights_sha256
    found = small.run(noise())
    assert cosine(found.embeddings, plain.run(noise()).embeddings) > 0.95
    assert capfd.readouterr().out == ""

    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    again = opened("@int8", weights, tmp_path)
    assert again.space == small.space
    np.testing.assert_array_equal(again.run(noise()).matrix(), found.matrix())


@needs_nncf
def test_the_same_calibration_is_the_same_space_and_another_is_another(
    weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = opened("@int8", weights, tmp_path / "1").space
    assert opened("@int8", weights, tmp_path / "2").space == first

    monkeypatch.setattr(
        quantisation, "calibration", lambda _: [image[np.newaxis] for image in noise()]
    )
    assert opened("@int8", weights, tmp_path / "3").space.id != first.id


def test_int8_without_what_makes_it_names_the_extra(
    weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "nncf" else real(name)
    )

    with pytest.raises(BackboneUnavailable) as caught:
        opened("@int8", weights, tmp_path)

    assert "penultimate[int8]" in caught.value.hint
    assert not [path for path in tmp_path.iterdir() if path.is_dir()]


def test_calibration_sees_the_same_images_everywhere_half_of_them_grey() -> None:
    wanted = Preprocessing("pillow-draft-v1", 32, 1.0, "bicubic", (0.5,) * 3, (0.5,) * 3)

    one, other = calibration(wanted), calibration(wanted)

    assert len(one) == CROPS
    assert {image.shape for image in one} == {(1, 32, 32, 3)}
    np.testing.assert_array_equal(one, other)
    assert len({image.tobytes() for image in one}) == CROPS
    grey = [np.ptp(image, axis=3).max() == 0 for image in one]
    assert sum(grey) == CROPS // 2
