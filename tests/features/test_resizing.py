"""Every level is Pillow's, to the last bit, whichever program computes it."""

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from features import resizing
from features.resizing import resize

BICUBIC = Image.Resampling.BICUBIC


def noise(width: int, height: int, mode: str = "RGB") -> Image.Image:
    shape = (height, width, 3) if mode == "RGB" else (height, width)
    levels = np.random.default_rng(width * height).integers(0, 256, shape, dtype=np.uint8)
    return Image.fromarray(levels)


def by_pillow(
    image: Image.Image, size: tuple[int, int], box: tuple[float, float, float, float]
) -> np.ndarray:
    return np.asarray(image.resize(size, BICUBIC, box).convert("RGB"))


@pytest.fixture(autouse=True)
def _loaded() -> None:
    assert resizing.load() is not None, "this Pillow resizes otherwise than the loop does"


@settings(deadline=None, max_examples=300)
@given(
    size=st.tuples(st.integers(1, 700), st.integers(1, 700)),
    target=st.tuples(st.integers(1, 300), st.integers(1, 300)),
    mode=st.sampled_from(["RGB", "L"]),
    share=st.floats(0.05, 1),
    place=st.tuples(st.floats(0, 1), st.floats(0, 1)),
)
def test_every_level_is_that_of_pillow(
    size: tuple[int, int],
    target: tuple[int, int],
    mode: str,
    share: float,
    place: tuple[float, float],
) -> None:
    width, height = size
    left, top = place[0] * (1 - share) * width, place[1] * (1 - share) * height
    box = (left, top, min(left + share * width, width), min(top + share * height, height))
    image = noise(width, height, mode)
    assert np.array_equal(resize(image, target, BICUBIC, box), by_pillow(image, target, box))


@pytest.mark.parametrize("mode", ["RGB", "L"])
@pytest.mark.parametrize("level", [0, 255])
def test_levels_that_overshoot_are_cut(mode: str, level: int) -> None:
    edge = Image.new(mode, (60, 40), (255 - level,) * 3 if mode == "RGB" else 255 - level)
    edge.paste((level,) * 3 if mode == "RGB" else level, (0, 0, 31, 17))
    box = (0, 0, 60, 40)
    assert np.array_equal(resize(edge, (97, 33), BICUBIC, box), by_pillow(edge, (97, 33), box))


@pytest.mark.parametrize("resample", [Image.Resampling.BILINEAR, Image.Resampling.LANCZOS])
def test_what_the_loop_does_not_know_is_left_to_pillow(resample: int) -> None:
    image, box = noise(80, 50), (0, 0, 80, 50)
    expected = np.asarray(image.resize((30, 20), resample, box))
    assert np.array_equal(resize(image, (30, 20), resample, box), expected)


def test_a_picture_that_lies_in_several_pieces_is_left_to_pillow() -> None:
    large, box = noise(2_400, 2_400), (0, 0, 2_400, 2_400)
    assert np.array_equal(resize(large, (30, 20), BICUBIC, box), by_pillow(large, (30, 20), box))


def test_numbers_of_deep_grey_are_rounded_not_cut() -> None:
    deep = Image.fromarray(np.full((20, 20), 99.7, np.float32))
    assert (resize(deep, (10, 10), BICUBIC, (0, 0, 20, 20)) == 100).all()


def test_a_loop_that_is_not_like_this_pillow_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    def other(_: np.ndarray, __: np.ndarray, found: np.ndarray) -> None:
        found[:] = 7

    monkeypatch.setattr("features.kernels.resize.resize", other)
    resizing.load.cache_clear()
    assert resizing.load() is None
    image, box = noise(80, 50), (0, 0, 80, 50)
    assert np.array_equal(resize(image, (30, 20), BICUBIC, box), by_pillow(image, (30, 20), box))
    resizing.load.cache_clear()


def test_no_picture_is_blamed_for_a_loop_that_cannot_be_had(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "features.kernels.resize", None)
    resizing.load.cache_clear()
    assert resizing.load() is None
    image, box = noise(80, 50), (0, 0, 80, 50)
    assert np.array_equal(resize(image, (30, 20), BICUBIC, box), by_pillow(image, (30, 20), box))
    resizing.load.cache_clear()


@pytest.mark.parametrize(
    "box",
    [
        *((-1, 0, 9, 9), (0, -0.5, 9, 9), (0, 0, 80.01, 9), (0, 0, 9, 51), (90, 0, 99, 9)),
        *((9, 0, 9, 9), (9, 9, 3, 12), (float("nan"), 0, 9, 9), (0, 0, float("inf"), 9)),
    ],
)
def test_what_is_not_in_the_picture_is_not_read(box: tuple[float, float, float, float]) -> None:
    image = noise(80, 50)
    assert resizing._by_loop(lambda *_: pytest.fail("read"), image, (5, 5), box) is None


def test_a_few_pictures_do_not_wait_for_a_compiler() -> None:
    script = (
        "import sys; from PIL import Image; from features.resizing import FEW, resize\n"
        "image = Image.new('RGB', (40, 30))\n"
        "def some(n): [resize(image, (9, 9), Image.Resampling.BICUBIC, (0, 0, 40, 30))"
        " for _ in range(n)]\n"
        "for n in (FEW, 1): some(n); print('numba' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], check=False, capture_output=True, text=True
    )
    assert done.stdout.split() == ["False", "True"], done.stderr
