"""Maps add up to vectors; grids keep sums; backbones without maps say so."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from features import engine as engine_module
from features import networks
from features.engine import OpenVinoEngine, open_engine
from features.errors import EngineFailed, NoMaps
from features.keys import UInt8
from features.maps import Maps, deviation_parts, from_layers, mean_parts, regrid

sides = st.integers(1, 24)
squares = sides.flatmap(lambda n: arrays(np.float64, (n, n), elements=st.floats(-1e3, 1e3)))
layers = st.tuples(st.integers(1, 4), st.integers(1, 6)).flatmap(
    lambda s: arrays(np.float32, (s[0], s[1], s[1]), elements=st.floats(-100, 100, width=32))
)


@given(squares, sides)
def test_another_grid_has_the_same_sum(values: np.ndarray, side: int) -> None:
    there = regrid(values, side)

    assert there.shape == (side, side)
    assert there.sum() == pytest.approx(values.sum(), abs=1e-6)
    np.testing.assert_array_equal(regrid(values, len(values)), values)


@given(squares, sides)
def test_a_grid_stays_where_it_was(values: np.ndarray, side: int) -> None:
    """What is turned before comes out turned, and rows stay rows."""
    there = regrid(values, side)
    for turned in (np.transpose, np.flipud, np.fliplr):
        np.testing.assert_allclose(regrid(turned(values), side), turned(there), atol=1e-6)


def test_a_finer_grid_parts_each_cell_and_a_coarser_one_joins_them() -> None:
    four = np.array([[4.0, 8.0], [0.0, -4.0]])
    finer = np.array([[1, 1, 2, 2], [1, 1, 2, 2], [0, 0, -1, -1], [0, 0, -1, -1]], float)

    np.testing.assert_allclose(regrid(four, 4), finer)
    np.testing.assert_allclose(regrid(finer, 2), four)
    np.testing.assert_allclose(regrid(np.eye(3), 2), [[1.25, 0.25], [0.25, 1.25]])


@given(layers)
def test_parts_add_up_to_what_they_are_parts_of(layer: np.ndarray) -> None:
    values = layer.astype(np.float64)
    means = mean_parts(layer).sum(axis=(1, 2), dtype=np.float64)
    deviations = deviation_parts(layer).sum(axis=(1, 2), dtype=np.float64)

    np.testing.assert_allclose(means, values.mean(axis=(1, 2)), atol=1e-4)
    np.testing.assert_allclose(deviations, values.std(axis=(1, 2)), rtol=1e-4, atol=1e-4)
    assert (deviation_parts(layer) >= 0).all()


def test_a_channel_that_is_even_varies_the_same_everywhere() -> None:
    np.testing.assert_allclose(deviation_parts(np.full((1, 2, 2), 3.0), 0.16), 0.1)


def test_maps_are_in_the_order_of_the_blocks_of_a_space() -> None:
    last, stage = np.arange(8.0).reshape(2, 2, 2), np.arange(9.0).reshape(1, 3, 3)

    maps = from_layers(last.astype(np.float32), [stage.astype(np.float32)])

    np.testing.assert_allclose(maps.pooled(), [1.5, 5.5, 4.0, np.std(np.arange(9))], rtol=1e-6)


@pytest.mark.parametrize(
    ("found", "chosen"), [((7, 14), 14), ((7, 14, 28), 14), ((56, 28), 28), ((9, 17), 17)]
)
def test_the_grid_is_the_finest_that_is_not_too_fine(found: list[int], chosen: int) -> None:
    assert Maps(tuple(np.zeros((1, n, n), np.float32) for n in found)).side == chosen


# Backbones


def random_weights(folder: Path, name: str) -> Path:
    torch.manual_seed(0)
    torch.save(networks.timm.create_model(name).state_dict(), folder / f"{name}.pth")
    return folder / f"{name}.pth"


def noise(size: int = 160) -> UInt8:
    return np.random.default_rng(0).integers(0, 256, (size, size, 3), np.uint8)


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.mark.parametrize("device", ["cpu", "reference"])
@pytest.mark.parametrize("name", ["test_resnet", "test_efficientnet"])
def test_a_backbone_that_pools_its_last_maps_has_maps(
    device: str, name: str, tmp_path: Path
) -> None:
    weights = random_weights(tmp_path, name)
    opened = open_engine(f"timm/{name}", weights=weights, device=device, cache=tmp_path)

    maps = opened.maps(noise())

    assert maps.pool_to(opened.run(noise()[np.newaxis]))
    assert [len(b) for b in maps.blocks] == [b.stop - b.start for b in opened.space.blocks]


@pytest.mark.parametrize("device", ["cpu", "reference"])
@pytest.mark.parametrize("name", ["test_vit", "test_convnext"])
def test_a_backbone_that_does_not_says_so(device: str, name: str, tmp_path: Path) -> None:
    """A transformer has no maps; ConvNeXt normalises after it has pooled."""
    weights = random_weights(tmp_path, name)
    opened = open_engine(f"timm/{name}", weights=weights, device=device, cache=tmp_path)

    for _ in range(2):
        with pytest.raises(NoMaps) as caught:
            opened.maps(noise())

    assert caught.value.name == f"timm/{name}"
    assert np.isfinite(opened.run(noise()[np.newaxis]).matrix()).all()


@pytest.fixture(scope="module")
def resnet(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Weights, and a cache in which they are converted already."""
    folder = tmp_path_factory.mktemp("resnet")
    weights = random_weights(folder, "test_resnet")
    open_engine("timm/test_resnet", weights=weights, device="cpu", cache=folder / "c").close()
    return weights, folder / "c"


def test_who_never_asks_for_maps_compiles_nothing_for_them(
    resnet: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    compiled = []
    original = engine_module.compile_graph

    def watched(*given: Any) -> object:
        compiled.append(given)
        return original(*given)

    monkeypatch.setattr(engine_module, "compile_graph", watched)
    opened = open_engine("timm/test_resnet", weights=resnet[0], device="cpu", cache=resnet[1])
    opened.run(noise()[np.newaxis])
    assert len(compiled) == 1

    opened.maps(noise())
    opened.maps(noise())
    assert len(compiled) == 2


def test_a_closed_engine_has_no_maps(resnet: tuple[Path, Path]) -> None:
    opened = open_engine("timm/test_resnet", weights=resnet[0], device="cpu", cache=resnet[1])
    assert isinstance(opened, OpenVinoEngine)
    opened.maps(noise())
    opened.close()

    with pytest.raises(EngineFailed, match="closed"):
        opened.maps(noise())
