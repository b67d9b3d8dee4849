"""What every engine promises, held against every engine this machine can open."""

from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import skimage
import sklearn
import torch

from features.backbones import load
from features.engine import Engine, open_engine
from features.images import decode
from features.keys import Float32, UInt8, Vectors
from features.weights import DEFAULT, locate

GOLDEN = Path(__file__).parents[1] / "features" / "golden" / "vectors.npy"

FAST = ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]
"""Every engine but the toy and the reference, which is torch as it comes."""

ALONE = {"toy": 0.0, "cpu": 0.0, "reference": 1e-5, "cuda": 1e-5}
"""How far an image's vector may move with the size of its batch, relative to its largest value.

Measured: nothing where images are run one by one; 1e-6 where torch runs them together.
"""
CONVERTED = 1e-5
"""How far an engine may be from torch as it comes; 3e-6 is measured."""
OTHER_MACHINES = 1e-4
"""How far from the golden vectors: other processors add in another order."""


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


def open_named(name: str, cache: Path) -> Engine:
    if name == "toy":
        return open_engine("toy", cache=cache)
    # One thread, because threads of torch that fight for busy cores are ten times slower.
    return open_engine(device=name, cache=cache, threads=1 if name == "reference" else 0)


@pytest.fixture(scope="module")
def reference(cache: Path) -> Engine:
    return open_named("reference", cache)


@pytest.fixture(scope="module", params=["toy", "reference", *FAST])
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def engine(name: str, cache: Path, reference: Engine) -> Iterator[Engine]:
    opened = reference if name == "reference" else open_named(name, cache)
    yield opened
    opened.close()


@pytest.fixture(scope="module", params=FAST)
def fast(request: pytest.FixtureRequest, cache: Path) -> Engine:
    return open_named(request.param, cache)


def pictures(size: int) -> UInt8:
    """Three pictures made of whole numbers only: uint8 (3, size, size, 3)."""
    y, x = np.mgrid[:size, :size]
    ramp = np.stack([x * 255 // size, y * 255 // size, (x + y) * 127 // size], 2)
    disc = (2 * x - size) ** 2 + (2 * y - size) ** 2 < (size * size) // 2
    board = (x * 8 // size + y * 8 // size) % 2
    shapes = np.stack([disc * 200, board * 150, (1 - board) * disc * 90], 2)
    noise = (x * 7919 + y * 104_729 + (x * y) % 251 * 31) % 256
    return np.stack([ramp, shapes, np.stack([noise, noise[::-1], noise.T], 2)]).astype(np.uint8)


def batch(engine: Engine, n: int = 5) -> UInt8:
    size = engine.space.preprocessing.size
    three = pictures(size)
    noise = np.random.default_rng(0).integers(0, 256, (n - 3, size, size, 3), np.uint8)
    return np.concatenate([three, noise])


def difference(found: Float32, wanted: Float32) -> float:
    assert found.shape == wanted.shape
    return float(np.abs(found - wanted).max() / np.abs(wanted).max())


def test_vectors_have_the_shapes_of_their_space(engine: Engine) -> None:
    vectors = engine.run(batch(engine))

    assert vectors.embeddings.shape == (5, engine.space.dim)
    assert vectors.stages.shape == (5, engine.space.stages_dim)
    assert vectors.matrix().shape == (5, engine.space.width)
    assert vectors.embeddings.dtype == vectors.stages.dtype == np.float32
    assert np.isfinite(vectors.matrix()).all()
    assert len(engine.space.stages) >= 2


def test_the_device_says_what_runs(engine: Engine, name: str) -> None:
    assert engine.device == {"toy": "cpu"}.get(name, name)


def test_an_empty_batch_gives_no_vectors(engine: Engine) -> None:
    vectors = engine.run(batch(engine)[:0])

    assert len(vectors) == 0
    assert vectors.matrix().shape == (0, engine.space.width)


@pytest.mark.parametrize("n", [1, 2, 5])
def test_the_same_pixels_give_the_same_bits(engine: Engine, n: int) -> None:
    pixels = batch(engine)[:n]

    first, again = engine.run(pixels), engine.run(pixels.copy())

    np.testing.assert_array_equal(first.matrix(), again.matrix())


def test_an_image_does_not_change_with_its_neighbours(engine: Engine, name: str) -> None:
    pixels = batch(engine)
    together = engine.run(pixels).matrix()

    for row in range(len(pixels)):
        alone = engine.run(pixels[row : row + 1]).matrix()
        other = engine.run(pixels[[row, 4 - row]]).matrix()[:1]
        assert difference(alone, together[row : row + 1]) <= ALONE[name]
        assert difference(other, together[row : row + 1]) <= ALONE[name]


def test_vectors_come_in_the_order_of_their_images(engine: Engine, name: str) -> None:
    pixels, order = batch(engine, 16), np.random.default_rng(1).permutation(16)

    straight, shuffled = engine.run(pixels), engine.run(pixels[order])

    assert difference(shuffled.matrix(), straight.matrix()[order]) <= ALONE[name]


def test_different_images_have_different_vectors(engine: Engine) -> None:
    vectors = engine.run(batch(engine))

    for array in (vectors.embeddings, vectors.stages):
        assert len(np.unique(array, axis=0)) == 5


def test_one_changed_pixel_is_seen(engine: Engine) -> None:
    pixels = batch(engine)[:1]
    changed = pixels.copy()
    changed[0, 15, 15] ^= 128

    assert not np.array_equal(engine.run(pixels).embeddings, engine.run(changed).embeddings)


def test_similar_images_are_nearer_than_different_ones(engine: Engine) -> None:
    pixels = batch(engine)[:2]
    dimmed = (pixels[0] * 0.95).astype(np.uint8)

    a, b, close = engine.run(np.stack([*pixels, dimmed])).embeddings

    assert np.linalg.norm(a - close) < np.linalg.norm(a - b) / 2


def test_images_are_run_in_order_as_they_come(engine: Engine, name: str) -> None:
    pixels = batch(engine, 7)
    # None, one, some at once, and one that comes while others are under way.
    coming = deque([None, pixels[0], None, *pixels[1:5], None, pixels[5], pixels[6], None])
    found: list[Vectors] = []

    while coming:
        found += engine.stream(lambda: coming.popleft() if coming else None)

    assert difference(Vectors.concat(found).matrix(), engine.run(pixels).matrix()) <= ALONE[name]


def test_who_stops_listening_leaves_the_engine_as_it_was(engine: Engine) -> None:
    pixels = batch(engine)
    expected = engine.run(pixels).matrix()

    for _ in range(3):
        left = deque(pixels[::-1])
        stream = engine.stream(lambda left=left: left.popleft() if left else None)  # type: ignore[misc]
        next(stream)
        stream.close()  # type: ignore[attr-defined]

    np.testing.assert_array_equal(expected, engine.run(pixels).matrix())


def test_a_stream_keeps_nobody_else_waiting(engine: Engine) -> None:
    pixels = batch(engine)
    left = deque(pixels)
    stream = engine.stream(lambda: left.popleft() if left else None)
    first = next(stream)

    expected = engine.run(pixels).matrix()

    assert len(Vectors.concat([first, *stream])) == len(expected) == len(pixels)


def test_threads_may_share_an_engine(engine: Engine, name: str) -> None:
    pixels = batch(engine, 8)
    parts = [slice(0, 1), slice(1, 4), slice(4, 5), slice(2, 8)] * 3

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda part: engine.run(pixels[part]).matrix(), parts))

    expected = engine.run(pixels).matrix()
    for part, matrix in zip(parts, found, strict=True):
        assert difference(matrix, expected[part]) <= ALONE[name]


def test_vectors_belong_to_the_caller(engine: Engine) -> None:
    """A later run must not write into what an earlier one returned."""
    pixels = batch(engine)
    first = engine.run(pixels[:1])
    kept = first.matrix()

    engine.run(pixels[1:2])

    np.testing.assert_array_equal(kept, first.matrix())


@pytest.mark.parametrize("layout", ["read-only", "every other", "reversed", "transposed"])
def test_pixels_may_lie_in_memory_in_any_way_and_are_not_changed(
    engine: Engine, layout: str
) -> None:
    pixels = batch(engine, 4)
    view = {
        "read-only": pixels.view(),
        "every other": pixels[::2],
        "reversed": pixels[:, ::-1],
        "transposed": pixels.transpose(0, 2, 1, 3),
    }[layout]
    view.setflags(write=False)
    before = view.copy()

    for n in (1, 2):
        expected = engine.run(before[:n]).matrix()
        np.testing.assert_array_equal(expected, engine.run(view[:n]).matrix())
    np.testing.assert_array_equal(before, view)


@pytest.mark.parametrize("change", ["dtype", "channels first", "size", "one image"])
def test_pixels_of_another_form_are_refused(engine: Engine, change: str) -> None:
    pixels = batch(engine)
    wrong: dict[str, Any] = {
        "dtype": pixels.astype(np.float32),
        "channels first": pixels.transpose(0, 3, 1, 2),
        "size": pixels[:, 1:],
        "one image": pixels[0],
    }

    with pytest.raises(ValueError, match="pixels must be uint8"):
        engine.run(wrong[change])


# Maps


def test_maps_add_up_to_the_vectors(engine: Engine) -> None:
    for pixels in batch(engine):
        maps = engine.maps(pixels)

        expected = engine.run(pixels[np.newaxis]).matrix()[0]
        for block, part in zip(engine.space.blocks, maps.blocks, strict=True):
            found = part.sum(axis=(1, 2))
            assert difference(found, expected[block.start : block.stop]) <= CONVERTED


def test_a_change_in_one_quarter_of_an_image_shows_there(engine: Engine) -> None:
    """Rows of maps are rows of the image, from the top, and columns its columns."""
    half = engine.space.preprocessing.size // 2
    plain = np.full((2 * half, 2 * half, 3), 128, np.uint8)
    before = engine.maps(plain)
    for rows, columns in [(0, 0), (0, half), (half, 0), (half, half)]:
        changed = plain.copy()
        places = slice(rows, rows + half), slice(columns, columns + half)
        changed[places] = batch(engine)[2][:half, :half]

        after = engine.maps(changed)

        side = before.blocks[1].shape[1]
        moved = np.abs(after.blocks[1] - before.blocks[1]).sum(axis=0)
        inside = moved[rows * side // (2 * half) :, columns * side // (2 * half) :]
        assert inside[: side // 2, : side // 2].sum() > 0.6 * moved.sum()


def test_maps_belong_to_the_caller(engine: Engine) -> None:
    pixels = batch(engine)
    first = engine.maps(pixels[0])
    kept = [block.copy() for block in first.blocks]

    engine.maps(pixels[1])

    for block, before in zip(first.blocks, kept, strict=True):
        np.testing.assert_array_equal(block, before)


def test_maps_are_made_of_one_image_of_the_right_form(engine: Engine) -> None:
    pixels = batch(engine)
    for wrong in (pixels, pixels[:1], pixels[0, 1:], pixels[0].astype(np.float32)):
        with pytest.raises(ValueError, match="pixels must be uint8"):
            engine.maps(wrong)


def test_threads_may_ask_for_maps_at_once(engine: Engine) -> None:
    pixels = batch(engine, 4)
    expected = [engine.maps(image).pooled() for image in pixels]

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda image: engine.maps(image).pooled(), pixels))

    for mine, alone in zip(found, expected, strict=True):
        np.testing.assert_array_equal(mine, alone)


# The default backbone


def test_every_engine_has_the_maps_of_torch(fast: Engine, reference: Engine) -> None:
    image = batch(reference)[1]

    found, wanted = fast.maps(image), reference.maps(image)

    for mine, torchs in zip(found.blocks, wanted.blocks, strict=True):
        assert difference(mine, torchs) <= 10 * CONVERTED


def test_every_engine_works_in_the_same_space(fast: Engine, reference: Engine) -> None:
    assert fast.space == reference.space
    assert fast.space.id == reference.space.id


@pytest.mark.parametrize("n", [1, 5])
def test_every_engine_agrees_with_torch(fast: Engine, reference: Engine, n: int) -> None:
    pixels = batch(reference)[:n]

    found, wanted = fast.run(pixels), reference.run(pixels)

    assert difference(found.embeddings, wanted.embeddings) <= CONVERTED
    assert difference(found.stages, wanted.stages) <= CONVERTED


def test_vectors_are_what_they_have_always_been(engine: Engine, name: str) -> None:
    """Other vectors under the same space id would be compared with the stored ones."""
    if name == "toy":
        pytest.skip("the toy is never stored")

    found = engine.run(pictures(224))

    golden: Float32 = np.load(GOLDEN)
    wanted = Vectors(golden[:, : engine.space.dim], golden[:, engine.space.dim :])
    assert difference(found.embeddings, wanted.embeddings) <= OTHER_MACHINES
    assert difference(found.stages, wanted.stages) <= OTHER_MACHINES


PHOTOGRAPHS = {
    Path(skimage.__file__).parent / "data" / "coffee.png": {967},  # espresso
    Path(skimage.__file__).parent / "data" / "camera.png": {872},  # tripod
    Path(skimage.__file__).parent / "data" / "chelsea.png": {281, 282, 285},  # cats
    Path(skimage.__file__).parent / "data" / "rocket.jpg": {657, 744},  # missile, projectile
    Path(sklearn.__file__).parent / "datasets" / "images" / "china.jpg": {698},  # palace
}


def test_known_photographs_are_recognised(engine: Engine, name: str) -> None:
    """The weights are paired with the network by position: this is the proof of it."""
    if name == "toy":
        pytest.skip("the toy knows no classes")
    classifier = load(locate(DEFAULT))[0].classifier
    assert classifier is not None
    rules = engine.space.preprocessing
    pixels = np.stack([decode(file.read_bytes(), rules) for file in PHOTOGRAPHS])

    scores = classifier(torch.tensor(engine.run(pixels).embeddings)).softmax(1)

    found = dict(zip([f.name for f in PHOTOGRAPHS], scores.argmax(1).tolist(), strict=True))
    assert not {file.name for file, right in PHOTOGRAPHS.items() if found[file.name] not in right}
    assert scores[0, 967] > 0.9
    assert scores[1, 872] > 0.9
